import Foundation

@testable import BoxSession

/// What tmux, a terminal of others' making, shows of a stream.
struct TmuxPicture {
    /// Its picture, as a screen.
    let screen: Screen
    /// Where the cursor is; in the column after the last one if the row is full.
    let cursor: (row: Int, column: Int)

    static let program = path("tmux")

    /// Where a program is; nil if it is not installed.
    static func path(_ name: String) -> String? {
        ["/usr/bin/", "/usr/local/bin/", "/bin/"].map { $0 + name }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    struct Failure: Error, CustomStringConvertible { let description: String }

    /// Shows a stream in a pane of this size of a tmux server of its own, until tmux has taken all of it.
    init(_ stream: [UInt8], rows: Int, columns: Int) throws {
        let directory = NSTemporaryDirectory() + "screen-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let tmux = "'\(Self.program ?? "")' -u -S '\(directory)/socket'"
        // tmux takes things in order, so when the last query is answered all is shown. Only that answer has
        // this end. `cat` ends when the pane is closed.
        let pane = """
            stty raw -echo; cat '\(directory)/stream'; printf '\\033[5n'
            while IFS= read -r -d n answer; do case $answer in *'[0') break;; esac; done
            \(tmux) wait-for -S shown; exec cat > /dev/null
            """
        let terminal = """
            exec timeout 30 \(tmux) -f '\(directory)/settings' \\
                new-session -d -x \(columns) -y \(rows) 'bash "\(directory)/pane"' \\; wait-for shown \\; \\
                capture-pane -p -e -N \\; display-message -p '#{cursor_x} #{cursor_y}' \\; kill-server \\
                > '\(directory)/output' 2>&1
            """
        for (name, content) in [
            ("stream", Data(stream)), ("pane", Data(pane.utf8)), ("terminal", Data(terminal.utf8)),
            ("settings", Data("set -g status off\n".utf8)),
        ] { try content.write(to: URL(fileURLWithPath: "\(directory)/\(name)")) }
        let status = try Self.run("\(directory)/terminal")
        var lines = try String(contentsOfFile: "\(directory)/output", encoding: .utf8)
            .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        if lines.last == "" { lines.removeLast() }
        let numbers = (lines.last ?? "").split(separator: " ").compactMap { Int($0) }
        guard status == 0, lines.count == rows + 1, numbers.count == 2 else {
            throw Failure(description: "tmux: \(status), \(lines.count) lines of \(rows): \(lines)")
        }
        cursor = (row: numbers[1], column: numbers[0])
        var screen = Screen(rows: rows, columns: columns)
        // tmux writes line drawing as G1.
        screen.feed(Array(("\u{1B})0" + lines.dropLast().joined(separator: "\r\n")).utf8))
        self.screen = screen
    }

    /// Runs a shell script with default signals, which the threads of the test library block.
    static func run(_ script: String) throws -> CInt {
        var attributes = posix_spawnattr_t()
        var signals = sigset_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        unsafe sigemptyset(&signals)
        unsafe posix_spawnattr_setsigmask(&attributes, &signals)
        unsafe sigfillset(&signals)
        unsafe posix_spawnattr_setsigdefault(&attributes, &signals)
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var arguments = unsafe strings(["sh", script])
        var environment = unsafe strings([
            "LC_ALL=C.UTF-8", "PATH=/usr/bin:/bin", "TERM=xterm", "HOME=/", "SHELL=/bin/sh",
        ])
        defer { unsafe (arguments + environment).forEach { unsafe free($0) } }
        var pid: pid_t = 0
        let code = unsafe posix_spawn(&pid, "/bin/sh", nil, &attributes, &arguments, &environment)
        guard code == 0 else { throw Failure(description: "posix_spawn: \(code)") }
        var status: CInt = 0
        while unsafe waitpid(pid, &status, 0) < 0 {
            guard errno == EINTR else { throw Failure(description: "waitpid: \(errno)") }
        }
        return status
    }

    /// The texts as C has them; the last one is none.
    private static func strings(_ texts: [String]) -> [UnsafeMutablePointer<CChar>?] {
        unsafe texts.map { unsafe strdup($0) } + [nil]
    }
}
