/// A name as those file systems see it that take different spellings for one: case (macOS, Windows, ext4 with
/// casefold), characters that are not shown (macOS, ext4), dots and spaces at the end and streams (Windows).
///
/// A project may lie on such a file system, or be copied to one, so what is dangerous under one spelling is dangerous
/// under all of them. It errs towards seeing two names as one.
package struct FoldedName: Hashable, Sendable {
    /// Without case and without characters that are not shown. Swift compares it by canonical equivalence, so composed
    /// and decomposed letters are the same.
    package let folded: String
    /// The same as Windows opens it: without a stream (`:…`) and without dots and spaces at the end.
    package let base: String

    package init(_ name: some Collection<UInt8>) {
        let isPlain = name.allSatisfy { byte in byte < 0x80 }
        folded = isPlain ? FoldedName.lowered(name) : FoldedName.folded(name)
        base = FoldedName.stripped(folded)
    }

    private static func lowered(_ name: some Collection<UInt8>) -> String {
        let isUpper = { (byte: UInt8) in (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) }
        return String(decoding: name.map { isUpper($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
    }

    private static func folded(_ name: some Collection<UInt8>) -> String {
        var out = ""
        for scalar in String(decoding: name, as: UTF8.self).unicodeScalars
        where !scalar.properties.isDefaultIgnorableCodePoint {
            // Up and down again: some small letters, as the long s, are another's only by their capital.
            for upper in scalar.properties.uppercaseMapping.unicodeScalars {
                out += upper.properties.lowercaseMapping
            }
        }
        return out
    }

    private static func stripped(_ folded: String) -> String {
        // Nearly every name is whole already.
        guard let last = folded.utf8.last else { return folded }
        let isWhole = last != UInt8(ascii: ".") && last != UInt8(ascii: " ")
        if isWhole, !folded.utf8.contains(UInt8(ascii: ":")) { return folded }
        let stream = folded.utf8.firstIndex(of: UInt8(ascii: ":")) ?? folded.endIndex
        var rest = folded[..<stream]
        while rest.utf8.last == UInt8(ascii: ".") || rest.utf8.last == UInt8(ascii: " ") { rest.removeLast() }
        return rest.isEmpty ? folded : String(rest)
    }

    /// Whether some file system takes the name for `.git`: any case, invisible characters, `.git.`, `.git::$INDEX…`,
    /// and the short names that Windows gives it, `git~1`.
    package var isGit: Bool {
        base == ".git"
            || base.hasPrefix("git~") && base.utf8.count > 4 && base.dropFirst(4).allSatisfy(\.isNumber)
    }

    /// Whether it has the form of a short name of Windows (`PACKAG~1.JSO`), which may be any longer name's.
    package var isShortName: Bool {
        let parts = base.split(separator: ".", omittingEmptySubsequences: false)
        guard let stem = parts.first, parts.count <= 2, stem.utf8.count <= 8,
            parts.count == 1 || (1...3).contains(parts[1].utf8.count)
        else { return false }
        guard let tilde = stem.lastIndex(of: "~"), tilde > stem.startIndex else { return false }
        let digits = stem[stem.index(after: tilde)...]
        return !digits.isEmpty && digits.allSatisfy { ("0"..."9").contains($0) }
    }

    /// Whether Windows takes the name for a device: `nul`, `con.txt`, `com1`.
    package var isWindowsDevice: Bool {
        let stem = base.prefix { $0 != "." }
        switch stem {
        case "con", "prn", "aux", "nul", "conin$", "conout$": return true
        default:
            guard stem.hasPrefix("com") || stem.hasPrefix("lpt") else { return false }
            return stem.count == 4 && "0123456789¹²³".contains(stem.suffix(1))
        }
    }
}

/// Names of what git obeys in a git directory.
enum GitNames {
    /// What makes a directory a git directory, and what git reads in one; folded.
    static func isOfGit(_ name: FoldedName) -> Bool {
        all.contains(name.base) || name.base.hasPrefix("config")
    }

    private static let all: Set<String> = [
        "head", "objects", "refs", "hooks", "info", "commondir", "gitdir", "packed-refs", "index", "logs",
        "modules", "worktrees", "remotes", "branches",
    ]

    /// The spellings under which a name is looked for, since the host's file system may not tell case.
    static func spellings(_ name: StaticString) -> [[UInt8]] {
        let small = name.description.lowercased()
        return [small.uppercased(), small, small.prefix(1).uppercased() + small.dropFirst()].map {
            Array($0.utf8)
        }
    }

    /// Whether a name is one of those that make a git directory, in a spelling that nobody uses: `hEAD`.
    static func isOdd(_ name: FoldedName, _ bytes: some Collection<UInt8>) -> Bool {
        switch name.base {
        case "head", "objects", "refs", "config", "hooks", "commondir":
            let text = String(decoding: bytes, as: UTF8.self)
            let small = text.lowercased()
            return text != small && text != small.uppercased()
                && text != small.prefix(1).uppercased() + small.dropFirst() || !text.utf8.elementsEqual(bytes)
                || small != name.base
        default: return false
        }
    }
}
