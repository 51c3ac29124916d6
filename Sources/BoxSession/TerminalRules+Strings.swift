extension TerminalRules {
    /// Control strings, without introducer and terminator.
    static func verdict(string body: ArraySlice<UInt8>, _ kind: StringKind) -> Verdict {
        switch kind {
        case .operatingSystem: operatingSystem(body)
        case .device: device(body)
        case .title: .pass
        case .other: .remove
        }
    }

    /// Whether the string is one of the Linux console's two commands without an end: `P` with a colour, `R`.
    static func isLinuxPalette(_ body: ArraySlice<UInt8>) -> Bool {
        if body.elementsEqual("R".utf8) { return true }
        return body.count == 8 && body.first == UInt8(ascii: "P")
            && body.dropFirst().allSatisfy { Character(UnicodeScalar($0)).isHexDigit && $0 < 0x80 }
    }

    /// Whether this is the head of a Sixel image: numbers, and `q`.
    static func isImage(_ body: ArraySlice<UInt8>) -> Bool {
        body.last == UInt8(ascii: "q")
            && body.dropLast().allSatisfy { (0x30...0x39).contains($0) || $0 == 0x3B }
    }

    private static func operatingSystem(_ body: ArraySlice<UInt8>) -> Verdict {
        let digits = body.prefix { (0x30...0x39).contains($0) }
        let rest = body.dropFirst(digits.count)
        guard !digits.isEmpty, digits.count <= 4, rest.isEmpty || rest.first == UInt8(ascii: ";") else {
            return .remove
        }
        let number = digits.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
        let text = rest.dropFirst()
        switch number {
        case 0, 1, 2: return .pass
        case 4, 5, 10...19: return text.contains(UInt8(ascii: "?")) ? .query : .pass
        case 8: return isHarmlessLink(text) ? .pass : .remove
        case 9: return isNotification(text) ? .pass : .remove
        case 104, 105, 110...119: return .pass
        case 133: return isPromptMark(text) ? .pass : .remove
        case 777: return text.starts(with: "notify;".utf8) ? .pass : .remove
        default: return .remove
        }
    }

    /// `parameters;URI`; an empty URI ends the link.
    private static func isHarmlessLink(_ text: ArraySlice<UInt8>) -> Bool {
        guard let semicolon = text.firstIndex(of: UInt8(ascii: ";")) else { return false }
        let uri = text[(semicolon + 1)...]
        if uri.isEmpty { return true }
        let scheme = String(decoding: uri.prefix { $0 != UInt8(ascii: ":") }, as: UTF8.self).lowercased()
        return ["http", "https", "mailto", "file"].contains(scheme)
    }

    /// A text to show, or a progress bar (`4;`). ConEmu takes a leading number as a command, `7;` as one to
    /// execute.
    private static func isNotification(_ text: ArraySlice<UInt8>) -> Bool {
        guard let first = text.first else { return false }
        return !(0x30...0x39).contains(first) || text.starts(with: "4;".utf8)
    }

    /// A mark of a shell's prompt without options; `D` may carry the exit status.
    private static func isPromptMark(_ text: ArraySlice<UInt8>) -> Bool {
        guard let mark = text.first, "ABCD".utf8.contains(mark) else { return false }
        if text.count == 1 { return true }
        return mark == UInt8(ascii: "D") && text.dropFirst().first == UInt8(ascii: ";")
            && text.dropFirst(2).allSatisfy { (0x30...0x39).contains($0) }
    }

    /// Settings whose request (DECRQSS) is answered with the setting's numbers and this very name.
    private static let settings = ["m", "r", "s", "t", " q", "\"p", "\"q", "$}", "$~", "$|", "*x", "*|"]

    private static func device(_ body: ArraySlice<UInt8>) -> Verdict {
        let text = String(decoding: body, as: UTF8.self)
        // Vim sends this unknown string to see whether the terminal shows it.
        if text == "zz" { return .pass }
        // Requests of capabilities by name (XTGETTCAP): names and answer are hexadecimal, no text gets
        // through.
        if text.hasPrefix("+q") {
            return text.dropFirst(2).allSatisfy { $0.isHexDigit && $0.isASCII || $0 == ";" }
                ? .query : .remove
        }
        guard text.hasPrefix("$q") else { return .remove }
        return settings.contains(String(text.dropFirst(2))) ? .query : .remove
    }
}
