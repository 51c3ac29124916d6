/// A pattern of `[workspace] hide`, written as in a `.gitignore`, with two differences: it counts at the project's
/// root only, unless it begins with `**/`, and what it can say is bounded.
///
///     .env            the name at the root, whatever it is
///     .aws/           only if it is a directory, with all that is below
///     config/*.key    below one directory
///     **/*.pem        at any depth; finding these needs a walk through the project
///     !.env.example   not hidden, whatever was said before
package struct HidePattern: Hashable, Sendable, CustomStringConvertible {
    /// The pattern as it was written.
    package let description: String
    /// It takes names out again, `!`.
    package let isException: Bool
    /// It counts at any depth, `**/`.
    package let isAtAnyDepth: Bool
    /// It means directories alone, `/` at its end.
    package let isForDirectories: Bool
    /// The patterns of the components, outermost first; never empty.
    package let components: [ByteGlob]

    /// Whether it can only match below the root's own names, so that finding them costs nothing.
    package var isAtRoot: Bool { !isAtAnyDepth }

    private static let longest = 1024

    /// Parses; what could mean more or less than it seems to is refused with the reason.
    package init(_ text: String) throws(PatternRefusal) {
        description = text
        var rest = text[...]
        isException = rest.first == "!"
        if isException { rest.removeFirst() }
        isForDirectories = rest.last == "/"
        if isForDirectories { rest.removeLast() }
        isAtAnyDepth = rest.hasPrefix("**/")
        if isAtAnyDepth { rest.removeFirst(3) }
        try HidePattern.check(rest, of: text)
        do throws(PatternRefusal) {
            var globs: [ByteGlob] = []
            for part in rest.split(separator: "/") { globs.append(try ByteGlob(part.utf8)) }
            components = globs
        } catch { throw PatternRefusal("\"\(text)\": \(error)") }
        guard isException || components.count > 1 || !components[0].isEverything else {
            throw PatternRefusal(
                "\"\(text)\" would hide everything (an empty workspace is mode = \"none\")")
        }
    }

    /// What can be said of the components as texts.
    private static func check(_ rest: Substring, of text: String) throws(PatternRefusal) {
        let quoted = "\"\(text.prefix(80))\""
        guard !rest.isEmpty else { throw PatternRefusal("\(quoted) names nothing") }
        guard text.utf8.count <= longest else { throw PatternRefusal("\(quoted)… is too long a pattern") }
        guard text == text.escapedForTerminal else {
            throw PatternRefusal("\(quoted) contains a control or invisible character")
        }
        guard rest.first != "/" else {
            throw PatternRefusal("\(quoted): patterns begin at the project's root; leave out the first /")
        }
        guard rest.first != "~" else {
            throw PatternRefusal("\(quoted): only files of the project can be hidden; others are not inside")
        }
        for part in rest.split(separator: "/", omittingEmptySubsequences: false) {
            guard !part.isEmpty else { throw PatternRefusal("\(quoted) has an empty part between two /") }
            guard part != ".", part != ".." else {
                throw PatternRefusal("\(quoted): write the path from the project's root, without \(part)")
            }
            guard !part.contains("**") else {
                throw PatternRefusal("\(quoted): ** can only stand at the beginning, as **/NAME")
            }
        }
    }

    /// Whether the path itself matches; what lies below a match is `HideRules`' business.
    package func matches(_ path: BytePath, isDirectory: Bool) -> Bool {
        if isForDirectories, !isDirectory { return false }
        let names = path.components
        guard isAtAnyDepth ? names.count >= components.count : names.count == components.count else {
            return false
        }
        return zip(components, names.suffix(components.count)).allSatisfy { $0.matches($1) }
    }
}

/// All patterns of a policy in their order: the last one that matches decides, as in a `.gitignore`.
package struct HideRules: Hashable, Sendable {
    package let patterns: [HidePattern]

    package init(_ patterns: [HidePattern]) { self.patterns = patterns }

    /// Whether something can be hidden below the root's own names, so that the whole project has to be looked at.
    package var needsWalk: Bool { patterns.contains { !$0.isException && $0.isAtAnyDepth } }

    /// Whether a path is absent inside: a pattern hides it or a directory that it lies in. No exception brings back
    /// what lies in a hidden directory.
    package func hides(_ path: BytePath, isDirectory: Bool) -> Bool {
        guard !path.bytes.isEmpty else { return false }
        return path.ancestors.contains { isHidden($0, isDirectory: true) }
            || isHidden(path, isDirectory: isDirectory)
    }

    /// Whether a path whose directories are visible is hidden: for a walk, which asks about the directories first.
    package func isHidden(_ path: BytePath, isDirectory: Bool) -> Bool {
        patterns.last { $0.matches(path, isDirectory: isDirectory) }.map { !$0.isException } ?? false
    }
}
