import BoxTypes
import Testing

@Suite struct WireTests {
    @Test func `what is written is read`() throws {
        var writer = WireWriter()
        writer.write(UInt8(7))
        writer.write(true)
        writer.write(-5)
        writer.write(UInt64.max)
        writer.write("ü\0x")
        writer.write([1, 2, 3] as [UInt8])
        writer.write(["a", "b"]) { $0.write($1) }
        writer.write(Optional<String>.none) { $0.write($1) }
        var reader = WireReader(writer.bytes)
        #expect(try reader.byte() == 7)
        #expect(try reader.bool())
        #expect(try reader.int() == -5)
        #expect(try reader.unsigned() == .max)
        #expect(try reader.string() == "ü\0x")
        #expect(try reader.data() == [1, 2, 3])
        #expect(
            try reader.list { (reader: inout WireReader) throws(WireError) in try reader.string() } == [
                "a", "b",
            ])
        #expect(
            try reader.optional { (reader: inout WireReader) throws(WireError) in try reader.string() } == nil
        )
        try reader.finish()
    }

    @Test func `a length beyond the message is an error`() {
        var writer = WireWriter()
        writer.write(Int.max)
        #expect(throws: WireError.truncated(at: 8)) {
            var reader = WireReader(writer.bytes)
            _ = try reader.data()
        }
    }

    @Test func `a negative length is an error`() {
        var writer = WireWriter()
        writer.write(-1)
        #expect(throws: WireError.self) {
            var reader = WireReader(writer.bytes)
            _ = try reader.string()
        }
    }

    @Test func `bytes after the last value are an error`() {
        #expect(throws: WireError.trailing(1)) { try WireReader([0]).finish() }
    }

    @Test func `text that is not UTF-8 is an error`() {
        var writer = WireWriter()
        writer.write([0xFF] as [UInt8])
        #expect(throws: WireError.self) {
            var reader = WireReader(writer.bytes)
            _ = try reader.string()
        }
    }
}
