extension String {
    /// The text made harmless for a terminal and for a one-line message: C0 and C1 controls, DEL, bidirectional
    /// and zero-width characters and line separators appear as `\n`, `\t`, `\x1b` or `\u{202e}`.
    package var escapedForTerminal: String {
        var out = ""
        for scalar in unicodeScalars {
            switch scalar.value {
            case 0x0A: out += "\\n"
            case 0x0D: out += "\\r"
            case 0x09: out += "\\t"
            case 0..<0x20, 0x7F..<0xA0: out += "\\x" + hexadecimal(scalar.value, digits: 2)
            case 0x061C, 0x200B...0x200F, 0x2028...0x202E, 0x2060...0x206F, 0xFEFF:
                out += "\\u{" + hexadecimal(scalar.value, digits: 4) + "}"
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out
    }
}

private func hexadecimal(_ value: UInt32, digits: Int) -> String {
    let text = String(value, radix: 16)
    return String(repeating: "0", count: max(0, digits - text.count)) + text
}
