import BoxTypes

/// A place in a policy file; lines and columns (in characters) count from 1.
package struct SourcePosition: Hashable, Sendable, Comparable, CustomStringConvertible {
    package let line: Int
    package let column: Int

    package init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }

    package var description: String { "\(line):\(column)" }

    package static func < (left: SourcePosition, right: SourcePosition) -> Bool {
        (left.line, left.column) < (right.line, right.column)
    }
}

/// One thing that is wrong with a policy file, with its place.
package struct PolicyError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The file's name as the user knows it.
    package let file: String
    /// Nil if the error is about the whole file.
    package let position: SourcePosition?
    package let problem: Problem

    package init(file: String, position: SourcePosition?, problem: Problem) {
        self.file = file
        self.position = position
        self.problem = problem
    }

    /// What can be wrong.
    package enum Problem: Equatable, Sendable {
        case tooLarge(bytes: Int)
        case byteOrderMark
        case nul
        case notUTF8
        case syntax(String)
        /// `known` is what may stand there.
        case unknownKey(String, section: String, known: [String])
        case unknownTable(String, section: String, known: [String])
        case wrongType(String, expected: String, found: String)
        /// A value of the right type that cannot be; the text says why.
        case badValue(String, String)
        case unknownWord(String, value: String, known: [String])
        case missing(String)
        case contradiction(String)
        case extendsItself([String])
        case unknownParent(String)
    }

    /// `base.toml:12:3: unknown key "netwrok" (did you mean "network"?)`
    package var description: String {
        let place = position.map { ":\($0)" } ?? ""
        return "\(file.escapedForTerminal)\(place): \(problem)"
    }
}

extension PolicyError.Problem: CustomStringConvertible {
    package var description: String {
        switch self {
        case .tooLarge(let bytes): "the file has \(bytes) bytes; a policy has at most 1048576 (1 MiB)"
        case .byteOrderMark: "the file begins with a byte order mark; save it as UTF-8 without one"
        case .nul: "the file contains a NUL character"
        case .notUTF8: "the file is not valid UTF-8"
        case .syntax(let text): text.escapedForTerminal
        case .unknownKey(let key, let section, let known):
            "unknown key \(quoted(key))\(inside(section)) \(suggestion(for: key, known))"
        case .unknownTable(let key, let section, let known):
            "unknown table \(quoted(key))\(inside(section)) \(suggestion(for: key, known))"
        case .wrongType(let key, let expected, let found):
            "\(key.escapedForTerminal) must be \(expected), not \(found)"
        case .badValue(let key, let text): "\(key.escapedForTerminal): \(text.escapedForTerminal)"
        case .unknownWord(let key, let value, let known):
            "\(key.escapedForTerminal): unknown value \(quoted(value)) \(suggestion(for: value, known))"
        case .missing(let text), .contradiction(let text): text.escapedForTerminal
        case .extendsItself(let names):
            "the policies extend each other in a circle: \(names.joined(separator: " -> ").escapedForTerminal)"
        case .unknownParent(let name): "extends: there is no policy named \(quoted(name))"
        }
    }

    private func quoted(_ text: String) -> String {
        // A hostile file must not fill the terminal with one key.
        let shown = text.count > 60 ? text.prefix(60) + "..." : text[...]
        return "\"\(String(shown).escapedForTerminal)\""
    }

    private func inside(_ section: String) -> String {
        section.isEmpty ? "" : " in [\(section.escapedForTerminal)]"
    }

    private func suggestion(for word: String, _ known: [String]) -> String {
        if let near = word.nearest(in: known) { return "(did you mean \"\(near)\"?)" }
        return "(known: \(known.joined(separator: ", ")))"
    }
}

/// All that is wrong with a policy, in the order of the text; never empty.
package struct PolicyErrors: Error, Equatable, Sendable, CustomStringConvertible {
    package let all: [PolicyError]

    package init(_ first: PolicyError) { all = [first] }

    /// Nil if there is no error.
    init?(_ errors: [PolicyError]) {
        guard !errors.isEmpty else { return nil }
        all = errors.sorted { left, right in
            let start = SourcePosition(line: 0, column: 0)
            return (left.position ?? start) < (right.position ?? start)
        }
    }

    /// One line an error.
    package var description: String { all.map(\.description).joined(separator: "\n") }
}
