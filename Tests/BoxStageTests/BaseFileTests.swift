import BoxKernel
import BoxStage
import BoxTypes
import Glibc
import Testing

@Suite struct BaseFiles {
    private static func record(_ path: String, _ number: Int) throws -> BaseRecord {
        let time = Node.Time(seconds: 1_700_000_000 + number, nanoseconds: number % 1_000_000_000)
        let node = Node(
            kind: Node.Kind.allCases[number % 7], mode: UInt32(number % 0o7777), uid: 1000, gid: 100,
            device: 66,
            inode: UInt64(number), links: 2, size: number * 3, allocated: 4096, special: 7, modified: time,
            changed: time)
        return BaseRecord(
            path: try #require(BytePath(path)), node: number % 5 == 0 ? nil : node,
            target: number % 3 == 0 ? [0xFF, UInt8(number % 250)] : nil,
            kept: number % 4 == 0 ? UInt64(number) : nil,
            isApplied: number % 2 == 0, copy: number % 6 == 0 ? BaseRecord.Stamp(node) : nil,
            isWhole: number % 7 == 0)
    }

    private static func write(_ records: [BaseRecord], _ path: String) throws {
        var writer = try BaseWriter(path)
        for record in records { try writer.append(record) }
        try writer.finish()
    }

    private static func read(_ path: String) throws(StageError) -> [BaseRecord] {
        var reader = try BaseReader(path, isRequired: true)
        var all: [BaseRecord] = []
        while let record = try reader.next() { all.append(record) }
        return all
    }

    private static func some(_ count: Int) throws -> [BaseRecord] {
        try (0..<count).map {
            try record("dir\($0 / 10)/sub/\($0)/\(String(repeating: "n", count: $0 % 40 + 1))", $0)
        }
        .sorted { $0.path < $1.path }
    }

    @Test func `records come back as they were written`() throws {
        let fixture = try StageFixture()
        for count in [0, 1, 7, 5000] {
            let records = try Self.some(count)
            try Self.write(records, fixture.stage.base(0))
            #expect(try Self.read(fixture.stage.base(0)) == records)
        }
        #expect(try fixture.shell("ls 0", in: fixture.stage.directory) == "base\nupper\nwork\n")
    }

    @Test func `no file is no records, unless it has to be there`() throws {
        let fixture = try StageFixture()
        var reader = try BaseReader(fixture.stage.base(0), isRequired: false)
        #expect(try reader.next() == nil)
        #expect(throws: StageError.self) { try Self.read(fixture.stage.base(0)) }
        fixture.stage.mode = .copy
        #expect(throws: StageError.self) { try fixture.changes() }
    }

    @Test func `every byte that is missing or different is noticed`() throws {
        let fixture = try StageFixture()
        let path = fixture.stage.base(0)
        try Self.write(try Self.some(4), path)
        let bytes = try Descriptor.open(path, O_RDONLY).readAll(limit: 1 << 20)
        var damaged: [[UInt8]] = bytes.indices.map { Array(bytes[..<$0]) }
        for index in bytes.indices {
            var other = bytes
            other[index] ^= 0x41
            damaged.append(other)
        }
        for content in damaged {
            let file = try Descriptor.open(path, O_WRONLY | O_TRUNC)
            try file.write(all: content)
            let error = #expect(throws: StageError.self) { try Self.read(path) }
            #expect(error?.description.contains("damaged") ?? false)
        }
    }

    @Test func `a writer that is given up leaves the old file`() throws {
        let fixture = try StageFixture()
        let records = try Self.some(3)
        try Self.write(records, fixture.stage.base(0))
        func giveUp() throws {
            var writer = try BaseWriter(fixture.stage.base(0))
            try writer.append(try Self.record("other", 1))
        }
        try giveUp()
        #expect(try Self.read(fixture.stage.base(0)) == records)
        #expect(try fixture.shell("ls 0", in: fixture.stage.directory) == "base\nupper\nwork\n")
    }

    @Test func `records are replaced and added by path, and the others stay`() throws {
        let fixture = try StageFixture()
        let old = try ["a", "b", "d"].enumerated().map { try Self.record($1, $0 + 1) }
        try Self.write(old, fixture.stage.base(0))
        let new = try ["e", "c", "b", "0"].enumerated().map { try Self.record($1, $0 + 20) }
        try BaseFile.replace(fixture.stage, 0, new)
        #expect(try Self.read(fixture.stage.base(0)) == [new[3], old[0], new[2], new[1], old[2], new[0]])
    }
}
