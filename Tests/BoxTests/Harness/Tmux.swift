import Foundation

/// A terminal that shows what a program draws: a pane of a tmux server of its own, which ends with this value.
/// Not used by two threads at once.
final class Tmux {
    private let directory: String
    private let program: String

    /// Starts a program in a terminal of this size, with exactly this environment and, if there is none in it,
    /// tmux's TERM. When it has ended, the terminal shows its last picture.
    init(
        _ command: [String], environment: [String: String], directory: String, rows: Int = 24,
        columns: Int = 80
    ) throws {
        guard let program = Host.program("tmux") else { throw HarnessError(description: "no tmux") }
        self.program = program
        let top = ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp"
        var template = Array("\(top)/box-tmux-XXXXXX".utf8CString)
        guard let made = unsafe mkdtemp(&template) else {
            throw HarnessError(description: "no directory in \(top): \(errno)")
        }
        self.directory = unsafe String(cString: made)
        try Data("set -g status off\nset -s escape-time 0\n".utf8)
            .write(to: URL(filePath: self.directory + "/settings"))
        // tmux sometimes does not reap a program that has ended, so that its status comes from a shell. `cat` ends
        // with the terminal.
        let script = "\"$@\"; echo $? > ended; mv ended status; exec cat > /dev/null"
        let variables = ["TERM": "screen-256color"].merging(environment) { $1 }.map { "\($0)=\($1)" }
        try call(
            ["new-session", "-d", "-x", "\(columns)", "-y", "\(rows)", "-c", self.directory]
                // More than one word is no shell command for tmux.
                + ["/bin/sh", "-c", script, "sh", "/usr/bin/env", "-i", "-C", directory]
                + variables.sorted() + command)
    }

    deinit {
        _ = try? call(["kill-server"])
        try? FileManager.default.removeItem(atPath: directory)
    }

    /// Gives the server a command; what it printed.
    @discardableResult
    private func call(_ arguments: [String]) throws -> String {
        let outcome = try Host.run(
            [program, "-u", "-S", directory + "/socket", "-f", directory + "/settings"] + arguments,
            within: 20)
        guard outcome.status == 0 else {
            throw HarnessError(description: "tmux \(arguments.prefix(3)): \(outcome)")
        }
        return outcome.text
    }

    // MARK: - What is seen

    /// The lines, without blanks at their ends; with `escapes`, with their colours and attributes as sequences.
    func lines(escapes: Bool = false) throws -> [String] {
        var lines = try call(["capture-pane", "-p"] + (escapes ? ["-e"] : []))
            .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        if lines.last == "" { lines.removeLast() }
        return lines
    }

    /// Where the cursor is, counted from 0; nil while it is hidden.
    func cursor() throws -> (row: Int, column: Int)? {
        let words = try numbers("#{cursor_flag} #{cursor_y} #{cursor_x}")
        return words[0] == 1 ? (words[1], words[2]) : nil
    }

    /// Whether the alternate screen is shown.
    func isAlternate() throws -> Bool { try numbers("#{alternate_on}") == [1] }

    /// The program's exit status, or 128 + the signal that ended it; nil while it runs.
    func status() throws -> Int? {
        let path = directory + "/status"
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        return Int(try Host.text(path).trimmingCharacters(in: .whitespacesAndNewlines))
    }

    /// A format's numbers.
    private func numbers(_ format: String) throws -> [Int] {
        let text = try call(["display-message", "-p", format])
        let numbers = text.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
        guard numbers.count == format.split(separator: " ").count else {
            throw HarnessError(description: "\(format): \(text)")
        }
        return numbers
    }

    /// Waits until the lines are as wanted, and gives them.
    @discardableResult
    func shows(_ what: String, within seconds: Double = 30, _ isSo: ([String]) throws -> Bool) throws
        -> [String]
    {
        var last: [String] = []
        let wasSo = try Host.eventually(within: seconds) {
            last = try lines()
            return try isSo(last)
        }
        guard wasSo else {
            let shown = last.joined(separator: "\n")
            throw HarnessError(
                description: "the terminal does not show \(what) in \(seconds) s, but:\n\(shown)")
        }
        return last
    }

    /// Waits until a text is somewhere in a line, and gives the lines.
    @discardableResult
    func shows(_ text: String, within seconds: Double = 30) throws -> [String] {
        try shows("\"\(text)\"", within: seconds) { lines in lines.contains { $0.contains(text) } }
    }

    /// Waits until the program has ended, and gives its exit status.
    func ends(within seconds: Double = 30) throws -> Int {
        var status: Int?
        let hasEnded = try Host.eventually(within: seconds) {
            status = try self.status()
            return status != nil
        }
        guard hasEnded, let status else {
            throw HarnessError(description: "still running: \(try lines().joined(separator: "\n"))")
        }
        return status
    }

    // MARK: - What is done

    /// Types a text as it stands.
    func type(_ text: String) throws { try call(["send-keys", "-l", "--", text]) }

    /// Presses keys by tmux's names for them: `Enter`, `C-c`, `Up`, `F1`.
    func press(_ keys: String...) throws { try call(["send-keys", "--"] + keys) }

    /// Changes the size, as a window does.
    func resize(rows: Int, columns: Int) throws {
        try call(["resize-window", "-x", "\(columns)", "-y", "\(rows)"])
    }
}
