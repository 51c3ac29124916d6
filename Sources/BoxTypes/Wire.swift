/// The encoding of values between box's own processes: little-endian integers, length-prefixed bytes.
///
/// Both ends are the same build of the same program, so there is no versioning; the reader checks every bound
/// all the same, because a broken message must be an error and never a crash.
package struct WireWriter: Sendable {
    /// What was written so far.
    package private(set) var bytes: [UInt8] = []

    package init() {}

    /// Writes one byte.
    package mutating func write(_ value: UInt8) { bytes.append(value) }

    /// Writes a truth value as one byte.
    package mutating func write(_ value: Bool) { bytes.append(value ? 1 : 0) }

    /// Writes 8 bytes, least significant first.
    package mutating func write(_ value: UInt64) {
        for shift in stride(from: 0, to: 64, by: 8) {
            bytes.append(UInt8(truncatingIfNeeded: value >> shift))
        }
    }

    /// Writes a signed integer as its 64-bit pattern.
    package mutating func write(_ value: Int) { write(UInt64(bitPattern: Int64(value))) }

    /// Writes a length and the text's UTF-8 bytes.
    package mutating func write(_ value: String) {
        write(value.utf8.count)
        bytes.append(contentsOf: value.utf8)
    }

    /// Writes a length and raw bytes.
    package mutating func write(_ value: [UInt8]) {
        write(value.count)
        bytes.append(contentsOf: value)
    }

    /// Writes a count and each element.
    package mutating func write<Element>(_ list: [Element], each: (inout WireWriter, Element) -> Void) {
        write(list.count)
        for element in list { each(&self, element) }
    }

    /// Writes whether there is a value, and the value.
    package mutating func write<Value>(_ value: Value?, each: (inout WireWriter, Value) -> Void) {
        write(value != nil)
        if let value { each(&self, value) }
    }
}

/// Why a message could not be read.
package enum WireError: Error, Equatable {
    /// The message ended before the value did.
    case truncated(at: Int)
    /// A value that no writer makes: an unknown tag, a bad length, text that is not UTF-8.
    case malformed(at: Int, what: String)
    /// Bytes are left after the last value.
    case trailing(Int)
}

/// Reads what `WireWriter` wrote. Every read checks its bounds and throws.
package struct WireReader: Sendable {
    private let bytes: [UInt8]
    private var at = 0

    package init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// Throws unless everything was read.
    package func finish() throws(WireError) {
        guard at == bytes.count else { throw .trailing(bytes.count - at) }
    }

    /// Whether everything was read.
    package var isAtEnd: Bool { at == bytes.count }

    /// The error for a value at the present position that no writer makes.
    package func malformed(_ what: String) -> WireError { .malformed(at: at, what: what) }

    /// Reads one byte.
    package mutating func byte() throws(WireError) -> UInt8 {
        guard at < bytes.count else { throw .truncated(at: at) }
        defer { at += 1 }
        return bytes[at]
    }

    /// Reads a truth value; anything but 0 and 1 is malformed.
    package mutating func bool() throws(WireError) -> Bool {
        switch try byte() {
        case 0: false
        case 1: true
        default: throw malformed("truth value")
        }
    }

    /// Reads 8 bytes.
    package mutating func unsigned() throws(WireError) -> UInt64 {
        guard bytes.count - at >= 8 else { throw .truncated(at: at) }
        var value: UInt64 = 0
        for index in 0..<8 { value |= UInt64(bytes[at + index]) << (8 * UInt64(index)) }
        at += 8
        return value
    }

    /// Reads a signed integer.
    package mutating func int() throws(WireError) -> Int { Int(Int64(bitPattern: try unsigned())) }

    /// Reads a signed integer that fits 32 bits.
    package mutating func int32() throws(WireError) -> Int32 {
        guard let value = Int32(exactly: try int()) else { throw malformed("32-bit integer") }
        return value
    }

    /// Reads an unsigned integer that fits 32 bits.
    package mutating func uint32() throws(WireError) -> UInt32 {
        guard let value = UInt32(exactly: try int()) else { throw malformed("32-bit integer") }
        return value
    }

    /// Reads a length that the rest of the message can hold.
    private mutating func length() throws(WireError) -> Int {
        let count = try int()
        guard count >= 0 else { throw malformed("length \(count)") }
        guard count <= bytes.count - at else { throw .truncated(at: at) }
        return count
    }

    /// Reads length-prefixed bytes.
    package mutating func data() throws(WireError) -> [UInt8] {
        let count = try length()
        defer { at += count }
        return Array(bytes[at..<at + count])
    }

    /// Reads length-prefixed UTF-8.
    package mutating func string() throws(WireError) -> String {
        let count = try length()
        let piece = bytes[at..<at + count]
        guard let text = String(validating: piece, as: UTF8.self) else { throw malformed("UTF-8") }
        at += count
        return text
    }

    /// Reads a counted list. Each element takes at least one byte, so the count is bounded by what is left.
    package mutating func list<Element>(
        _ each: (inout WireReader) throws(WireError) -> Element
    ) throws(WireError) -> [Element] {
        let count = try length()
        var all: [Element] = []
        all.reserveCapacity(min(count, 4096))
        for _ in 0..<count { all.append(try each(&self)) }
        return all
    }

    /// Reads an optional value.
    package mutating func optional<Value>(
        _ each: (inout WireReader) throws(WireError) -> Value
    ) throws(WireError) -> Value? {
        try bool() ? try each(&self) : nil
    }
}
