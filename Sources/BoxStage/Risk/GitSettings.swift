/// The text of a git configuration file (git-config(1)), for single keys that box has to know. Git itself is never run in
/// a project, since its configuration can name programs.
///
/// Includes are not followed, and a file that git would refuse is refused.
package struct GitSettings: Sendable {
    private var values: [String: [UInt8]] = [:]
    private var rest: ArraySlice<UInt8>

    /// Reads a whole file; nil if it is not one that git reads.
    package init?(_ bytes: [UInt8]) {
        rest = bytes[...]
        if rest.starts(with: [0xEF, 0xBB, 0xBF]) { rest = rest.dropFirst(3) }
        var section: String?
        while let byte = nextOutsideBlank() {
            if byte == UInt8(ascii: "[") {
                guard let name = takeSection() else { return nil }
                section = name
            } else {
                guard let section, let (key, value) = takeVariable() else { return nil }
                values["\(section).\(key)"] = value
            }
        }
    }

    /// A key's last value, `core.worktree`; section and key in small letters. nil if it is not set.
    package func value(_ key: String) -> [UInt8]? { values[key] }

    /// The byte that begins the next section or variable; nil at the end.
    private mutating func nextOutsideBlank() -> UInt8? {
        while let byte = rest.first {
            switch byte {
            case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\n"), UInt8(ascii: "\r"):
                rest.removeFirst()
            case UInt8(ascii: "#"), UInt8(ascii: ";"): rest = rest.drop { $0 != UInt8(ascii: "\n") }
            default: return byte
            }
        }
        return nil
    }

    /// `[name]`, in small letters; a subsection follows it after a newline, which no name has.
    private mutating func takeSection() -> String? {
        rest.removeFirst()
        var name = takeWord(with: [UInt8(ascii: "-"), UInt8(ascii: ".")])
        guard !name.isEmpty else { return nil }
        if rest.first == UInt8(ascii: " ") || rest.first == UInt8(ascii: "\t") {
            rest = rest.drop { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
            guard rest.popFirst() == UInt8(ascii: "\"") else { return nil }
            name += "\n"
            while true {
                guard var byte = rest.popFirst(), byte != UInt8(ascii: "\n") else { return nil }
                if byte == UInt8(ascii: "\"") { break }
                if byte == UInt8(ascii: "\\") {
                    guard let next = rest.popFirst(), next != UInt8(ascii: "\n") else { return nil }
                    byte = next
                }
                name.unicodeScalars.append(Unicode.Scalar(byte))
            }
        }
        return rest.popFirst() == UInt8(ascii: "]") ? name : nil
    }

    /// Letters, digits and some signs, in small letters.
    private mutating func takeWord(with signs: [UInt8]) -> String {
        let word = rest.prefix { byte in
            let character = Character(Unicode.Scalar(byte))
            return byte < 0x80 && (character.isLetter || character.isNumber) || signs.contains(byte)
        }
        rest = rest.dropFirst(word.count)
        return String(decoding: word, as: UTF8.self).lowercased()
    }

    /// `key = value` up to the end of the line; a key without a value is true.
    private mutating func takeVariable() -> (key: String, value: [UInt8])? {
        let key = takeWord(with: [UInt8(ascii: "-")])
        guard let first = key.first, first.isLetter else { return nil }
        rest = rest.drop { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
        guard let sign = rest.first, sign != UInt8(ascii: "\n"), !rest.starts(with: "\r\n".utf8) else {
            return (key, Array("true".utf8))
        }
        guard sign == UInt8(ascii: "=") else { return nil }
        rest.removeFirst()
        return takeValue().map { (key, $0) }
    }

    private mutating func takeValue() -> [UInt8]? {
        var value: [UInt8] = []
        // How much of the value stays when the spaces at its end go.
        var kept = 0
        var isQuoted = false
        rest = rest.drop { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
        while let byte = rest.popFirst(), byte != UInt8(ascii: "\n") {
            switch byte {
            case UInt8(ascii: "\""):
                isQuoted.toggle()
                kept = value.count
            case UInt8(ascii: "\\"):
                guard let meant = takeEscape() else { return nil }
                value += meant
                kept = value.count
            case UInt8(ascii: "#") where !isQuoted, UInt8(ascii: ";") where !isQuoted:
                rest = rest.drop { $0 != UInt8(ascii: "\n") }
            case UInt8(ascii: "\r") where rest.first == UInt8(ascii: "\n"): continue
            case 0: return nil
            default:
                value.append(byte)
                if isQuoted || byte != UInt8(ascii: " ") && byte != UInt8(ascii: "\t") { kept = value.count }
            }
        }
        return isQuoted ? nil : Array(value.prefix(kept))
    }

    /// What follows a backslash; before the end of a line it joins the next one.
    private mutating func takeEscape() -> [UInt8]? {
        switch rest.popFirst() {
        case UInt8(ascii: "\n"): []
        case UInt8(ascii: "\r") where rest.popFirst() == UInt8(ascii: "\n"): []
        case UInt8(ascii: "t"): [0x09]
        case UInt8(ascii: "n"): [0x0A]
        case UInt8(ascii: "b"): [0x08]
        case UInt8(ascii: "\\"): [UInt8(ascii: "\\")]
        case UInt8(ascii: "\""): [UInt8(ascii: "\"")]
        default: nil
        }
    }
}
