internal import BoxTypes

/// What the beginning of a program's file says: which interpreter it needs, and which program a shell script goes on as.
struct ScriptHead: Equatable {
    /// Who reads the script.
    enum Interpreter: Equatable {
        /// By its path in the first line.
        case path(AbsolutePath)
        /// By name in `PATH`, through `env`.
        case name(String)
    }

    /// What a line of a shell script runs in the script's place.
    struct Command: Equatable {
        let program: Interpreter
        /// Arguments that are absolute paths.
        var paths: [AbsolutePath] = []
    }

    let interpreter: Interpreter
    /// In their order; which of them runs is not known.
    var commands: [Command] = []
    /// Whether the script looks for files in its own directory.
    var usesOwnDirectory = false
    /// Versions of asdf that its shim names: plugin and version.
    var asdfVersions: [(plugin: String, version: String)] = []

    static func == (left: ScriptHead, right: ScriptHead) -> Bool {
        left.interpreter == right.interpreter && left.commands == right.commands
            && left.usesOwnDirectory == right.usesOwnDirectory
            && left.asdfVersions.elementsEqual(right.asdfVersions, by: ==)
    }

    /// Reads the beginning of a file; nil for a program that is no script.
    init?(_ bytes: [UInt8], at file: AbsolutePath, home: AbsolutePath) throws(ProgramObstacle) {
        guard bytes.starts(with: "#!".utf8) else {
            if bytes.isEmpty { throw ProgramObstacle(reason: "\(file) is empty") }
            // The kernel does not run text without that line.
            guard bytes.contains(0) else {
                throw ProgramObstacle(
                    reason: "\(file) is a text whose first line is not #! and an interpreter")
            }
            return nil
        }
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        // The last line may be cut off; the kernel, too, takes no first line that long.
        if bytes.count >= 4096 { lines.removeLast() }
        guard let first = lines.first else {
            throw ProgramObstacle(reason: "\(file) has a first line that is too long")
        }
        let texts = lines.dropFirst().map { String(decoding: $0, as: UTF8.self) }
        interpreter = try ScriptHead.interpreter(String(decoding: first.dropFirst(2), as: UTF8.self), file)
        readVersions(texts)
        if isShell { readCommands(texts, at: file, home: home) }
    }

    /// The kernel takes the interpreter's path and, as one argument, the rest.
    private static func interpreter(
        _ line: String, _ file: AbsolutePath
    ) throws(ProgramObstacle) -> Interpreter {
        let words = line.split { $0 == " " || $0 == "\t" || $0 == "\r\n" || $0 == "\r" }.map(String.init)
        guard let first = words.first, first.hasPrefix("/"), let path = HostPath.parsed(first) else {
            throw ProgramObstacle(
                reason: "\(file) names no absolute path of an interpreter in its first line")
        }
        guard path.lastComponent == "env" else { return .path(path) }
        let named = words.dropFirst().first { word in
            !word.hasPrefix("-") && !(word.contains("=") && !word.contains("/"))
        }
        guard let named else {
            throw ProgramObstacle(reason: "\(file) names no interpreter in its first line")
        }
        guard named.contains("/") else { return .name(named) }
        guard let path = HostPath.parsed(named) else {
            throw ProgramObstacle(
                reason: "\(file) names no absolute path of an interpreter in its first line")
        }
        return .path(path)
    }

    /// The interpreter's name.
    var interpreterName: String {
        switch interpreter {
        case .path(let path): path.lastComponent
        case .name(let name): name
        }
    }

    private var isShell: Bool { ["sh", "bash", "dash", "zsh", "ksh", "ash"].contains(interpreterName) }

    private mutating func readVersions(_ lines: [String]) {
        for line in lines where line.hasPrefix("# asdf-plugin: ") {
            let words = line.split(separator: " ").dropFirst(2).map(String.init)
            guard words.count == 2, !words.contains(where: { $0.contains("/") }) else { continue }
            asdfVersions.append((words[0], words[1]))
        }
    }

    // MARK: - Shell

    /// Understands the lines of wrappers that people and installers write, and passes over all others.
    private mutating func readCommands(_ lines: [String], at file: AbsolutePath, home: AbsolutePath) {
        var variables = ["HOME": home.string]
        for line in lines {
            let text = line.drop { $0 == " " || $0 == "\t" }
            if text.hasPrefix("#") { continue }
            if let (name, value) = ScriptHead.assignment(text, file, variables) {
                variables[name] = value
                if text.contains("dirname") || text.contains("BASH_SOURCE") || text.contains("%/*") {
                    usesOwnDirectory = true
                }
                continue
            }
            if text.contains("dirname \"$0\"") || text.contains("dirname $0") { usesOwnDirectory = true }
            for part in ScriptHead.parts(text) {
                let words = ShellWords(part, variables: variables)
                if let command = ScriptHead.command(words) { commands.append(command) }
            }
        }
    }

    /// `NAME=value`, of a value that is plain text or the script's own directory.
    private static func assignment(
        _ line: Substring, _ file: AbsolutePath, _ variables: [String: String]
    ) -> (String, String)? {
        var text = line
        for word in ["export ", "local ", "readonly "] where text.hasPrefix(word) {
            text = text.dropFirst(word.count)
        }
        guard let equals = text.firstIndex(of: "="), case let name = String(text[..<equals]), !name.isEmpty,
            name.allSatisfy({ $0.isLetter || $0.isNumber || $0 == "_" })
        else { return nil }
        let value = text[text.index(after: equals)...]
        if value.contains("dirname") || value.contains("%/*") {
            // `$(cd "$(dirname "$0")/.." && pwd)`: one level up for each.
            var directory = file.parent
            let levels = value.split(separator: "/..", omittingEmptySubsequences: false).count - 1
            for _ in 0..<levels { directory = directory.parent }
            return (name, directory.string)
        }
        let words = ShellWords(value, variables: variables)
        guard words.all.count == 1, !words.endsEarly, !words.passesArguments else { return nil }
        return words.all[0].map { (name, $0) }
    }

    /// The commands on one line.
    private static func parts(_ line: Substring) -> [Substring] {
        var parts: [Substring] = [line]
        for separator in ["&& ", "; ", "then ", "else ", "|| "] {
            parts = parts.flatMap { $0.split(separator: separator) }
        }
        return parts
    }

    /// `exec PROGRAM …`, or `PROGRAM … "$@"`, with `env` and variables before it.
    private static func command(_ words: ShellWords) -> Command? {
        var rest = words.all[...]
        func isAssignment(_ word: String?) -> Bool {
            guard let word, let equals = word.firstIndex(of: "=") else { return false }
            return word[..<equals].allSatisfy { $0.isLetter || $0.isNumber || $0 == "_" }
        }
        rest = rest.drop(while: isAssignment)
        let isExec = rest.first == "exec"
        guard isExec || words.passesArguments else { return nil }
        if isExec {
            rest = rest.dropFirst()
            while let option = rest.first ?? nil, option.hasPrefix("-") {
                rest = rest.dropFirst(option.hasSuffix("a") ? 2 : 1)
            }
        }
        if let word = rest.first ?? nil, word == "env" || word == "/usr/bin/env" {
            rest = rest.dropFirst().drop { isAssignment($0) || $0 == "-S" || $0 == "--" }
        }
        guard let program = rest.first ?? nil, !program.isEmpty else { return nil }
        let arguments = rest.dropFirst().compactMap { $0 }.filter { $0.hasPrefix("/") }
        let paths = arguments.compactMap(HostPath.parsed)
        if let path = HostPath.parsed(program) { return Command(program: .path(path), paths: paths) }
        // A bare name is a program only where nothing else can be meant.
        guard isExec, !program.contains("/"), !program.contains("$") else { return nil }
        return Command(program: .name(program), paths: paths)
    }
}

/// The words of a simple shell command: quotes, and variables whose value is known.
struct ShellWords: Equatable {
    /// nil for a word that is not understood.
    private(set) var all: [String?] = []
    /// Whether `"$@"` was among them; it ends them.
    private(set) var passesArguments = false
    /// Whether something that is no word ended them.
    private(set) var endsEarly = false

    private enum Quote { case none, single, double }

    init(_ text: some StringProtocol, variables: [String: String]) {
        var word: String? = ""
        var isOpen = false
        var quote = Quote.none
        var rest = Substring(text)
        while let character = rest.popFirst() {
            switch (character, quote) {
            case ("'", .none): (quote, isOpen) = (.single, true)
            case ("'", .single), ("\"", .double): quote = .none
            case ("\"", .none): (quote, isOpen) = (.double, true)
            case (_, .single): word?.append(character)
            case ("\\", _):
                isOpen = true
                if let next = rest.popFirst() { word?.append(next) }
            case ("$", _):
                isOpen = true
                if rest.hasPrefix("@") || rest.hasPrefix("{@") || rest.hasPrefix("*") || rest.hasPrefix("{1+")
                {
                    passesArguments = true
                    return
                }
                word = ShellWords.value(&rest, variables).flatMap { value in word.map { $0 + value } }
            case ("`", _): word = nil
            case (" ", .none), ("\t", .none):
                if isOpen { all.append(word) }
                (word, isOpen) = ("", false)
            case (_, .none) where ";|&<>()".contains(character) || character == "#" && !isOpen:
                endsEarly = true
                if isOpen { all.append(word) }
                return
            case ("~", .none) where !isOpen && rest.hasPrefix("/"):
                isOpen = true
                word = variables["HOME"]
            default:
                isOpen = true
                word?.append(character)
            }
        }
        if isOpen { all.append(quote == .none ? word : nil) }
    }

    /// The value of the variable behind a `$`; nil if it is not known.
    private static func value(_ rest: inout Substring, _ variables: [String: String]) -> String? {
        func isName(_ character: Character) -> Bool {
            character.isASCII && (character.isLetter || character.isNumber || character == "_")
        }
        if rest.first == "{" {
            guard let end = rest.firstIndex(of: "}") else { return nil }
            let name = rest[rest.index(after: rest.startIndex)..<end]
            rest = rest[rest.index(after: end)...]
            return name.allSatisfy(isName) ? variables[String(name)] : nil
        }
        let name = rest.prefix(while: isName)
        rest = rest.dropFirst(name.count)
        return name.isEmpty ? nil : variables[String(name)]
    }
}
