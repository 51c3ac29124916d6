/// Contents for a terminal: every byte is seen, and none of them moves the cursor, hides or reorders text.
package struct VisibleText: Sendable {
    /// More bytes of one line than this are not shown.
    package static let longest = 4096

    /// Around what is not the content itself, e.g. reverse video; empty without colours.
    private let before: [UInt8]
    private let after: [UInt8]

    package init(colour: Bool) {
        before = colour ? Array("\u{1B}[7m".utf8) : []
        after = colour ? Array("\u{1B}[27m".utf8) : []
    }

    /// Adds a line without its `\n`. Of a line longer than `limit` the rest is left out; gives how many bytes that are.
    @discardableResult
    package func append(
        _ line: ArraySlice<UInt8>, to text: inout [UInt8], limit: Int = VisibleText.longest
    ) -> Int {
        var at = line.startIndex
        let end = line.last == UInt8.newline ? line.endIndex - 1 : line.endIndex
        let stop = end - at > limit ? at + limit : end
        var previous: UInt32 = 0
        while at < stop {
            let byte = line[at]
            if byte >= 0x20 && byte < 0x7F || byte == 0x09 {
                text.append(byte)
                previous = UInt32(byte)
                at += 1
            } else if let (scalar, length) = VisibleText.decode(line[at..<end]) {
                let isLast = at + length == end
                if VisibleText.isPlain(scalar, after: previous) {
                    text += line[at..<at + length]
                } else {
                    mark(VisibleText.name(scalar, isLast: isLast), in: &text)
                }
                previous = scalar.value
                at += length
            } else {
                mark("\\x" + VisibleText.hexadecimal(UInt32(byte), 2), in: &text)
                previous = 0
                at += 1
            }
        }
        return end - at
    }

    private func mark(_ name: String, in text: inout [UInt8]) {
        text += before
        text += name.utf8
        text += after
    }

    /// What stands for a character that is not shown as it is.
    private static func name(_ scalar: Unicode.Scalar, isLast: Bool) -> String {
        switch scalar.value {
        case 0x0D: isLast ? "^M" : "\\r"
        case 0..<0x20, 0x7F..<0xA0: "\\x" + hexadecimal(scalar.value, 2)
        default: "\\u{" + hexadecimal(scalar.value, 4) + "}"
        }
    }

    /// Whether a character is seen, and does nothing else.
    private static func isPlain(_ scalar: Unicode.Scalar, after previous: UInt32) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7F..<0xA0: false
        case 0x2028, 0x2029, 0xFFF9...0xFFFB: false
        // They choose how the character before is drawn; alone, or in a row, they are only a hiding place.
        case 0xFE0E, 0xFE0F: previous > 0xFF && !(0xFE00...0xFE0F).contains(previous)
        default: !scalar.properties.isDefaultIgnorableCodePoint
        }
    }

    /// The first character of some bytes with its length; nil if they do not begin with one in UTF-8.
    private static func decode(_ bytes: ArraySlice<UInt8>) -> (Unicode.Scalar, Int)? {
        guard let first = bytes.first else { return nil }
        let length = first < 0x80 ? 1 : first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4
        guard length > 0, bytes.count >= length, first < 0xF5 else { return nil }
        if length == 1 { return (Unicode.Scalar(first), 1) }
        var value = UInt32(first) & (0x7F >> UInt32(length))
        for byte in bytes.dropFirst().prefix(length - 1) {
            guard byte & 0xC0 == 0x80 else { return nil }
            value = value << 6 | UInt32(byte & 0x3F)
        }
        let least: UInt32 = length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000
        guard value >= least, let scalar = Unicode.Scalar(value) else { return nil }
        return (scalar, length)
    }

    private static func hexadecimal(_ value: UInt32, _ digits: Int) -> String {
        let text = String(value, radix: 16)
        return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
    }
}
