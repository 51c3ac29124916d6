import Foundation
import Testing

/// `box top` on a terminal: what it shows, what its keys do, and what it leaves behind.
@Suite(.recorded("OT-01"), .enabled(if: Window.tmux != nil)) struct SessionTop {
    private func scene(_ options: [String] = ["--workspace", "overlay", "--net", "none"]) throws
        -> SessionScene
    {
        try SessionScene(options)
    }

    @Test func `the sessions that run are on the screen, with what they do`() throws {
        let scene = try scene()
        let one = try scene.running("quinn", "echo 1 > a; echo 2 > b; echo made; exec sleep 600")
        try one.expect("made\n")
        let window = try Window(scene)
        try window.type("box top\n")
        try window.expect("1 session runs")
        #expect(try window.sees { $0.contains { $0.hasPrefix("quinn ") && $0.contains(" sleep 600") } })
        let row = try #require(try window.lines().first { $0.hasPrefix("quinn ") })
        // Name, agent, state …, and two changes before the command.
        #expect(row.contains(" running ") && row.contains("    2 sleep 600"), "\(row)")
        let other = try scene.running("ada", "exec sleep 601")
        try window.expect("2 sessions run")
        #expect(try window.sees { $0[2].hasPrefix("ada ") && $0[3].hasPrefix("quinn ") })
        for running in [one, other] { running.signal(SIGKILL) }
        try window.expect("no session runs")
        try window.type("q")
        #expect(try window.isAsBefore())
    }

    @Test func `a session is paused, goes on and is ended by keys`() throws {
        let scene = try scene()
        let running = try scene.running("quinn")
        let window = try Window(scene)
        try window.type("box top\n")
        try window.expect("quinn ")
        try window.type("p")
        try window.expect("session quinn is paused")
        #expect(try scene.list().first?.paused == true)
        try window.expect(" paused ")
        try window.type("p")
        try window.expect("session quinn goes on")
        try window.type("s")
        try window.expect("end session quinn? [y/N]")
        try window.type("n")
        try window.expect("q quit")
        try window.type("s")
        try window.type("y")
        try window.expect("session quinn has ended")
        #expect(try running.wait().status == 143)
        try window.type("q")
        #expect(try window.isAsBefore())
    }

    @Test func `a refused host is allowed by a key`() throws {
        let scene = try SessionScene(["--workspace", "direct"])
        let python = try #require(Host.program("python3"))
        let running = try scene.running(
            "quinn",
            """
            \(python) -c 'import socket
            s = socket.create_connection(("127.0.0.1", 3128))
            s.sendall(b"CONNECT telemetry.invalid:8443 HTTP/1.1\\r\\nHost: telemetry.invalid\\r\\n\\r\\n")
            print(s.recv(100).split()[1])'; read line
            """)
        try running.expect("403")
        let window = try Window(scene)
        try window.type("box top\n")
        try window.expect("refused   telemetry.invalid:8443  once")
        try window.type("a")
        try window.expect("1  telemetry.invalid:8443  once")
        try window.type("1")
        try window.expect("quinn: telemetry.invalid:8443 allowed")
        #expect(
            try scene.command(["log", "quinn"]).text.contains("policy     allow  telemetry.invalid:8443"))
        try window.type("l")
        try window.expect("quinn: log")
        try window.expect("allow  telemetry.invalid:8443")
        // It follows.
        try scene.command(["deny", "-s", "quinn", "other.invalid"])
        try window.expect("deny  other.invalid:443")
        try window.type("q")
        try window.expect("q quit")
        try window.type("q")
        #expect(try window.isAsBefore())
        running.signal(SIGKILL)
    }

    @Test func `it follows the size of its window, down to one column`() throws {
        let scene = try scene()
        let running = try scene.running("quinn", "exec sleep 600")
        let window = try Window(scene)
        try window.type("box top\n")
        try window.expect("COMMAND")
        for (columns, rows) in [(40, 10), (1, 1), (7, 3), (1, 24), (200, 50), (80, 24)] {
            try window.resize(columns, rows)
            let isRight = try window.sees { lines in
                lines.count == rows && lines.allSatisfy { $0.count <= columns }
                    && (columns < 10 || lines.contains { $0.hasPrefix("quinn ") })
                    && (rows < 24 || columns < 40 || lines[rows - 1].hasPrefix("up/down"))
                    && (rows < 10 || columns < 40 || lines[0].hasPrefix("box top  1 session runs"))
            }
            #expect(isRight, "\(columns) x \(rows): \((try? window.lines()) ?? [])")
        }
        try window.type("q")
        #expect(try window.isAsBefore())
        running.signal(SIGKILL)
    }

    /// The ways to end it, with the status that the shell sees.
    @Test(arguments: [("q", 0), ("\u{3}", 0), ("TERM", 143), ("HUP", 129), ("INT", 130)])
    func `the terminal is as it was before, however it ends`(how: String, status: Int) throws {
        let scene = try scene()
        let window = try Window(scene)
        try window.type("box top; echo \"status $?\"\n")
        try window.expect("no session runs")
        if how.count == 1 {
            try window.type(how)
        } else {
            let pid = try #require(window.top)
            #expect(kill(pid, ["TERM": SIGTERM, "HUP": SIGHUP, "INT": SIGINT][how] ?? SIGKILL) == 0)
        }
        try window.expect("status \(status)\n")
        #expect(try window.isAsBefore())
        #expect(try window.sees { !$0.contains { $0.contains("no session runs") } })
    }

    @Test func `it is suspended and comes back`() throws {
        let scene = try scene()
        let running = try scene.running("quinn", "exec sleep 600")
        let window = try Window(scene)
        for how in ["\u{1a}", "TSTP", "STOP"] {
            try window.type(how == "\u{1a}" ? "box top\n" : "clear; box top\n")
            try window.expect("COMMAND")
            if how == "\u{1a}" {
                try window.type(how)
            } else {
                kill(try #require(window.top), how == "TSTP" ? SIGTSTP : SIGSTOP)
            }
            try window.expect("Stopped")
            // Nobody can put a screen in order who is stopped by SIGSTOP.
            if how != "STOP" { #expect(try window.isAsBefore(), "\(how)") }
            try window.type("clear; fg\n")
            try window.expect("quinn ")
            try window.expect("q quit")
            try window.type("q")
            #expect(try window.isAsBefore(), "\(how)")
        }
        running.signal(SIGKILL)
    }

    @Test func `names and hosts from inside do nothing to the terminal`() throws {
        let scene = try scene()
        let name = "$(printf '\\033[2J\\033]0;pwned\\007\\302\\2336n')"
        let running = try scene.running("quinn", "exec sh -c 'while :; do read line; done' \"\(name)\"")
        let window = try Window(scene)
        try window.type("box top\n")
        try window.expect("quinn ")
        try window.expect("\\x1b[2J")
        #expect(try window.title() != "pwned")
        try window.type("q")
        #expect(try window.isAsBefore())
        running.signal(SIGKILL)
    }

    @Test func `keys are answered while a supervisor is stopped`() throws {
        let scene = try scene()
        let running = try scene.running("stuck")
        let window = try Window(scene)
        try window.type("box top\n")
        try window.expect("stuck ")
        running.signal(SIGSTOP)
        for _ in 0..<5 {
            let start = ContinuousClock.now
            try window.type("?")
            try window.expect("any key comes back")
            try window.type("x")
            try window.expect("q quit")
            #expect(ContinuousClock.now - start < .seconds(2))
        }
        try window.expect(" silent ")
        running.signal(SIGCONT)
        try window.expect(" running ")
        try window.type("q")
        #expect(try window.isAsBefore())
        running.signal(SIGKILL)
    }

    @Test func `without a terminal it says what to do instead`() throws {
        let outcome = try scene().command(["top"], status: 125)
        #expect(outcome.errors.contains("box ps --json") && outcome.out.isEmpty)
    }
}

/// A shell in a window of a terminal that is drawn, so that one sees what a user sees.
private final class Window {
    static let tmux = Host.program("tmux")

    private let scene: SessionScene
    private let socket: String

    init(_ scene: SessionScene, columns: Int = 80, rows: Int = 24) throws {
        self.scene = scene
        socket = scene.box.scratch.root + "/tmux"
        let shell = try #require(Host.program("bash"))
        var words = ["env", "-i"] + scene.box.environment.map { "\($0.key)=\($0.value)" }
        words += ["PATH=\((Box.binary as NSString).deletingLastPathComponent):\(Host.path)", "PS1=> "]
        words += [shell, "--norc", "--noprofile"]
        _ = try Window.call(
            socket,
            ["new-session", "-d", "-x", "\(columns)", "-y", "\(rows)", "-c", scene.project] + words)
        try type("stty -g > \(scene.box.scratch.root)/before; clear\n")
        let file = scene.box.scratch.root + "/before"
        #expect(Host.eventually { ((try? Host.text(file)) ?? "").hasSuffix("\n") })
    }

    deinit { _ = try? Window.call(socket, ["kill-server"]) }

    @discardableResult
    private static func call(_ socket: String, _ words: [String]) throws -> Outcome {
        let outcome = try Host.run([try #require(tmux), "-S", socket, "-f", "/dev/null"] + words)
        guard outcome.status == 0 else { throw HarnessError(description: "tmux \(words): \(outcome)") }
        return outcome
    }

    /// Types text.
    func type(_ text: String) throws {
        let keys = text.utf8.map { String($0, radix: 16) }
        try Window.call(socket, ["send-keys", "-H"] + keys)
    }

    func resize(_ columns: Int, _ rows: Int) throws {
        try Window.call(socket, ["resize-window", "-x", "\(columns)", "-y", "\(rows)"])
    }

    /// What is on the screen, a line each.
    func lines() throws -> [String] {
        let text = try Window.call(socket, ["capture-pane", "-p"]).text
        return text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
    }

    func title() throws -> String {
        try Window.call(socket, ["display-message", "-p", "#{pane_title}"]).answer
    }

    func sees(_ condition: ([String]) -> Bool) throws -> Bool {
        try Host.eventually(within: 20) { condition(try lines()) }
    }

    /// Waits until a text is on the screen.
    func expect(_ text: String) throws {
        guard try sees({ ($0.joined(separator: "\n") + "\n").contains(text) }) else {
            throw HarnessError(description: "no \"\(text)\" on\n" + (try lines().joined(separator: "\n")))
        }
    }

    /// The process of `box top`.
    var top: pid_t? {
        let text = (try? Window.call(socket, ["display-message", "-p", "#{pane_pid}"]))?.answer ?? ""
        guard let shell = pid_t(text) else { return nil }
        return Host.descendants(of: shell).first { $0.commandLine.hasPrefix("box top") }?.pid
    }

    /// Whether the terminal's settings are those from the beginning, it shows its cursor, and it is not the other screen.
    func isAsBefore() throws -> Bool {
        let file = scene.box.scratch.root + "/after"
        // What is typed while it still reads is its.
        #expect(Host.eventually { top.flatMap { Process($0)?.state }.map { "TtZX".contains($0) } ?? true })
        try type("stty -g > \(file); echo 'set'tled\n")
        try expect("settled")
        let state = try Window.call(
            socket, ["display-message", "-p", "#{cursor_flag} #{alternate_on} #{wrap_flag}"]
        ).answer
        let same = try Host.text(file) == Host.text(scene.box.scratch.root + "/before")
        try FileManager.default.removeItem(atPath: file)
        try type("clear\n")
        return same && state == "1 0 1"
    }
}
