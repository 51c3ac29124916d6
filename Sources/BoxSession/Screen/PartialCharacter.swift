/// A character in UTF-8 whose bytes come one by one.
struct PartialCharacter: Hashable, Sendable {
    private var value: UInt32 = 0
    private var missing = 0
    /// The bytes so far, the first in the lowest place, and their number.
    private var held: UInt32 = 0
    private var count = 0
    /// What the next byte may be: fewer values after some first bytes (Unicode, table 3-7).
    private var allowed: ClosedRange<UInt8> = 0x80...0xBF

    var isEmpty: Bool { missing == 0 }

    /// The bytes of the character that is incomplete.
    var bytes: [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: held >> ($0 * 8)) } }

    enum Step {
        /// The character goes on.
        case incomplete
        case whole(Unicode.Scalar)
        /// This byte is no part of any character.
        case broken
        /// What came before is no character; the byte was not taken.
        case interrupted
    }

    /// Takes a byte that is not ASCII, or finds the character broken off by one that is.
    mutating func take(_ byte: UInt8) -> Step {
        if missing == 0 { return begin(byte) }
        guard allowed.contains(byte) else {
            self = Self()
            return .interrupted
        }
        value = value << 6 | UInt32(byte & 0x3F)
        missing -= 1
        guard missing == 0 else {
            hold(byte)
            allowed = 0x80...0xBF
            return .incomplete
        }
        let whole = Unicode.Scalar(value)
        self = Self()
        return whole.map { .whole($0) } ?? .broken
    }

    private mutating func begin(_ byte: UInt8) -> Step {
        switch byte {
        case 0xC2...0xDF: (missing, value) = (1, UInt32(byte & 0x1F))
        case 0xE0...0xEF: (missing, value) = (2, UInt32(byte & 0x0F))
        case 0xF0...0xF4: (missing, value) = (3, UInt32(byte & 0x07))
        default: return .broken
        }
        switch byte {
        case 0xE0: allowed = 0xA0...0xBF
        case 0xED: allowed = 0x80...0x9F
        case 0xF0: allowed = 0x90...0xBF
        case 0xF4: allowed = 0x80...0x8F
        default: allowed = 0x80...0xBF
        }
        hold(byte)
        return .incomplete
    }

    private mutating func hold(_ byte: UInt8) {
        held |= UInt32(byte) << (count * 8)
        count += 1
    }
}
