/// A key as `box top` knows it.
package enum TopKey: Equatable, Sendable {
    case up, down, pageUp, pageDown, home, end, enter, escape
    /// ^C.
    case interrupt
    /// ^Z.
    case suspend
    /// ^L.
    case redraw
    case character(Character)
}

/// Keys from the bytes that a terminal sends, which may come in pieces.
package struct TopKeys: Sendable {
    private var bytes: [UInt8] = []

    package init() {}

    /// Whether an escape came that may be the beginning of more, or the key itself.
    package var isUndecided: Bool { !bytes.isEmpty }

    /// Takes what came.
    package mutating func take(_ more: [UInt8]) -> [TopKey] {
        bytes += more
        var keys: [TopKey] = []
        while let (key, length) = TopKeys.next(bytes) {
            bytes.removeFirst(length)
            if let key { keys.append(key) }
        }
        return keys
    }

    /// Nothing more has come: an escape is the key.
    package mutating func settle() -> [TopKey] {
        defer { bytes = [] }
        return bytes.first == 0x1b ? [.escape] : []
    }

    /// The first key and its length; nil if there is none, or not all of it. No key: it is none of these.
    private static func next(_ bytes: [UInt8]) -> (TopKey?, Int)? {
        guard let first = bytes.first else { return nil }
        switch first {
        case 0x03: return (.interrupt, 1)
        case 0x1a: return (.suspend, 1)
        case 0x0c: return (.redraw, 1)
        case 0x0d, 0x0a: return (.enter, 1)
        case 0x10: return (.up, 1)
        case 0x0e: return (.down, 1)
        case 0x02: return (.pageUp, 1)
        case 0x06: return (.pageDown, 1)
        case 0x1b: return sequence(bytes)
        case 0x20..<0x7f: return (.character(Character(UnicodeScalar(first))), 1)
        default: return (nil, 1)
        }
    }

    private static func sequence(_ bytes: [UInt8]) -> (TopKey?, Int)? {
        guard bytes.count > 1 else { return nil }
        switch bytes[1] {
        case UInt8(ascii: "["):
            guard let end = bytes.dropFirst(2).firstIndex(where: { (0x40..<0x7f).contains($0) }) else {
                // No terminal sends one that is so long.
                return bytes.count > 32 ? (nil, bytes.count) : nil
            }
            return (named(bytes[end], Array(bytes[2..<end])), end + 1)
        case UInt8(ascii: "O"):
            guard bytes.count > 2 else { return nil }
            return (named(bytes[2], []), 3)
        default: return (.escape, 1)
        }
    }

    private static func named(_ final: UInt8, _ numbers: [UInt8]) -> TopKey? {
        switch final {
        case UInt8(ascii: "A"): .up
        case UInt8(ascii: "B"): .down
        case UInt8(ascii: "H"): .home
        case UInt8(ascii: "F"): .end
        case UInt8(ascii: "M"): numbers.isEmpty ? .enter : nil
        case UInt8(ascii: "~"):
            switch numbers.count == 1 ? numbers[0] : 0 {
            case UInt8(ascii: "1"), UInt8(ascii: "7"): .home
            case UInt8(ascii: "4"), UInt8(ascii: "8"): .end
            case UInt8(ascii: "5"): .pageUp
            case UInt8(ascii: "6"): .pageDown
            default: nil
            }
        default: nil
        }
    }
}
