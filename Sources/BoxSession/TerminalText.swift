/// Where a byte stands in UTF-8 text (Unicode, table 3-7: no overlong forms, no surrogates).
struct UTF8Progress: Sendable {
    enum Place {
        /// Part of a character of two or more bytes.
        case inside
        /// 0xC2, which begins U+0080…U+009F (controls) or U+00A0…U+00BF (text).
        case c1Lead
        /// ASCII, or a byte that is no UTF-8 here.
        case outside
    }

    private var missing: UInt8 = 0
    private var least: UInt8 = 0x80
    private var most: UInt8 = 0xBF

    /// Whether the last character is incomplete.
    var isInside: Bool { missing > 0 }

    /// Takes the next byte.
    mutating func take(_ byte: UInt8) -> Place {
        if byte < 0x80 {
            missing = 0
            return .outside
        }
        if missing > 0, least <= byte, byte <= most {
            missing -= 1
            (least, most) = (0x80, 0xBF)
            return .inside
        }
        (missing, least, most) = (0, 0x80, 0xBF)
        switch byte {
        case 0xC2: return .c1Lead
        case 0xC3...0xDF: missing = 1
        case 0xE0: (missing, least) = (2, 0xA0)
        case 0xED: (missing, most) = (2, 0x9F)
        case 0xE1...0xEF: missing = 2
        case 0xF0: (missing, least) = (3, 0x90)
        case 0xF4: (missing, most) = (3, 0x8F)
        case 0xF1...0xF3: missing = 3
        default: return .outside
        }
        return .inside
    }
}

/// Finds where text needs a closer look.
enum PlainText {
    /// The first place at or after `start` that is not plain text: ENQ, ESC, a C1 control in either spelling,
    /// broken UTF-8, or a character that goes on after the end of the bytes.
    static func end(in bytes: Span<UInt8>, from start: Int) -> Int {
        // Sound: every access below is within `raw.count`, and the pointer stays in this function.
        unsafe bytes.withUnsafeBytes { raw in
            var at = start
            while true {
                unsafe at = endOfASCII(raw, at)
                guard at < raw.count, unsafe raw[at] >= 0x80 else { return at }
                // Words of a script that is not Latin, with single spaces, without starting the scan of eight
                // anew.
                while at < raw.count, unsafe raw[at] >= 0x80 || raw[at] == 0x20 {
                    let length = unsafe characterLength(raw, at)
                    if length == 0 { return at }
                    at += length
                }
            }
        }
    }

    /// Skips ASCII without ENQ and ESC, eight bytes at a time.
    @inline(__always)
    private static func endOfASCII(_ raw: UnsafeRawBufferPointer, _ start: Int) -> Int {
        let high: UInt64 = 0x8080_8080_8080_8080
        let ones: UInt64 = 0x0101_0101_0101_0101
        var at = start
        while at + 8 <= raw.count {
            let word = UInt64(littleEndian: unsafe raw.loadUnaligned(fromByteOffset: at, as: UInt64.self))
            // A byte is zero where the subtraction borrows; the lowest such bit is exact.
            let escape = word ^ (ones &* 0x1B)
            let enquiry = word ^ (ones &* 0x05)
            let found = (((escape &- ones) & ~escape) | ((enquiry &- ones) & ~enquiry) | word) & high
            if found != 0 { return at + found.trailingZeroBitCount / 8 }
            at += 8
        }
        while at < raw.count {
            let byte = unsafe raw[at]
            if byte >= 0x80 || byte == 0x1B || byte == 0x05 { return at }
            at += 1
        }
        return at
    }

    /// The length of a space or of a whole, correct character of two or more bytes that is no C1 control;
    /// otherwise 0.
    @inline(__always)
    private static func characterLength(_ raw: UnsafeRawBufferPointer, _ at: Int) -> Int {
        let lead = unsafe raw[at]
        let left = raw.count - at
        if lead == 0x20 { return 1 }
        guard lead >= 0xC2, left >= 2 else { return 0 }
        let second = unsafe raw[at + 1]
        if lead < 0xE0 { return second & 0xC0 == 0x80 && (lead != 0xC2 || second >= 0xA0) ? 2 : 0 }
        guard left >= 3, unsafe raw[at + 2] & 0xC0 == 0x80 else { return 0 }
        if lead < 0xF0 {
            let least: UInt8 = lead == 0xE0 ? 0xA0 : 0x80
            let most: UInt8 = lead == 0xED ? 0x9F : 0xBF
            return least <= second && second <= most ? 3 : 0
        }
        guard lead <= 0xF4, left >= 4, unsafe raw[at + 3] & 0xC0 == 0x80 else { return 0 }
        let least: UInt8 = lead == 0xF0 ? 0x90 : 0x80
        let most: UInt8 = lead == 0xF4 ? 0x8F : 0xBF
        return least <= second && second <= most ? 4 : 0
    }
}
