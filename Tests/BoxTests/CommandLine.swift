import Foundation
import Testing

/// What people type, and what they get: exit statuses, options, bad input.
@Suite(.recorded("command-line")) struct CommandLineTests {
    @Test(arguments: [
        ("true", 0), ("exit 42", 42), ("exit 255", 255), ("kill -9 $$", 137), ("kill -TERM $$", 143),
        ("kill -SEGV $$", 139),
        ("exit 137", 137), ("exit 125", 125),
    ])
    func `the status is the command's own`(_ script: String, _ status: Int) throws {
        row("CF-17")
        #expect(try Box().shell(script).status == Int32(status))
    }

    @Test func `a command that is not there is 127`() throws {
        row("CF-17")
        for command in ["nosuchcommand", "/nosuch/command", "./nosuch"] {
            let outcome = try Box().run([command])
            #expect(
                outcome.status == 127 && outcome.errors.contains(command)
                    && outcome.errors.hasPrefix("box: "), "\(outcome)")
        }
    }

    @Test func `a command that cannot be executed is 126`() throws {
        row("CF-17")
        let box = try Box()
        try box.scratch.write("#!/bin/sh\n", to: box.scratch.project + "/plain", mode: 0o644)
        try box.scratch.write("#!/no/such/interpreter\n", to: box.scratch.project + "/broken", mode: 0o755)
        for command in ["./plain", box.scratch.project + "/plain", box.scratch.project] {
            let outcome = try box.run([command])
            #expect(outcome.status == 126 && outcome.errors.hasPrefix("box: "), "\(command): \(outcome)")
        }
        let broken = try box.run(["./broken"])
        #expect([126, 127].contains(broken.status) && broken.errors.contains("broken"), "\(broken)")
    }

    @Test func `an unknown agent is 127 and tells how to run a command`() throws {
        let box = try Box()
        let outcome = try box.call(["run", "nosuchagent"])
        #expect(
            outcome.status == 127
                && outcome.errors.lowercased().contains("to run a command: box run -- nosuchagent"),
            "\(outcome)")
        #expect(outcome.out.isEmpty)
    }

    @Test(arguments: [
        ["run", "--nosuch", "--", "true"], ["nosuch"],
        ["run", "--net", "everything", "--", "true"],
        ["run", "--workspace", "nosuch", "--", "true"], ["run", "--allow", "*.com*", "--", "true"],
        ["run", "--allow", "a b", "--", "true"],
        ["run", "--allow", "host:99999", "--", "true"], ["run", "--memory", "lots", "--", "true"],
        ["run", "--pids", "-1", "--", "true"],
        ["run", "--timeout", "soon", "--", "true"], ["run", "--accept", "nosuch", "--", "true"],
        ["run", "--env", "", "--", "true"],
        ["run", "--read", "/no/such/path", "--", "true"], ["run", "--read", "", "--", "true"],
        ["run", "--policy", "/no/such/policy", "--", "true"],
        ["plan", "--nosuch"], ["doctor", "--nosuch"],
    ])
    func `wrong usage is 125 with a message, and nothing runs`(_ arguments: [String]) throws {
        let box = try Box()
        let outcome = try box.call(arguments)
        #expect(outcome.status == 125 && !outcome.errors.isEmpty, "\(arguments): \(outcome)")
        #expect(!outcome.errors.contains("Fatal error") && outcome.errors.count < 4000, "\(outcome)")
        #expect(!FileManager.default.fileExists(atPath: box.scratch.state + "/box/sessions"))
    }

    @Test(arguments: [["run"], ["run", "--"]])
    func `no command at all is 127 with a message`(_ arguments: [String]) throws {
        let outcome = try Box().call(arguments)
        #expect(
            outcome.status == 127 && outcome.out.isEmpty && outcome.errors.hasPrefix("box: "), "\(outcome)")
    }

    @Test func `a near miss of an option is suggested`() throws {
        let outcome = try Box().call(["run", "--alow", "x.com", "--", "true"])
        #expect(outcome.status == 125 && outcome.errors.contains("--allow"), "\(outcome)")
    }

    @Test func `help and version are data`() throws {
        let box = try Box()
        let help = try box.call(["--help"])
        #expect(help.status == 0 && help.text.contains("run") && help.text.contains("doctor"), "\(help)")
        let run = try box.call(["run", "--help"])
        #expect(run.status == 0 && run.text.contains("--allow"), "\(run)")
        #expect(try box.call(["--version"]).status == 0)
    }

    /// A project that box must not take, and the word that says why.
    enum BadProject: String, CaseIterable, Sendable {
        case root, home, gone, unreadable, newline, escape, aboveHome, system
    }

    @Test(arguments: BadProject.allCases)
    func `a project that would be dangerous is refused with a reason`(_ kind: BadProject) throws {
        row("CF-09")
        let box = try Box()
        let odd = box.scratch.root + "/odd"
        var rig: [String] = []
        var directory = box.scratch.project
        switch kind {
        case .root: directory = "/"
        case .home: directory = box.scratch.home
        case .aboveHome: directory = box.scratch.root
        case .system: directory = "/etc"
        case .gone: rig = [try Tools.rig.get(), "--gone", odd, "--"]
        case .unreadable:
            guard !Host.isRoot else {
                return skip("CF-09 unreadable project", "root can read every directory")
            }
            directory = odd
            try FileManager.default.createDirectory(
                atPath: odd, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o311])
        case .newline: directory = odd + "\nline"
        case .escape: directory = odd + "\u{1b}[31mred"
        }
        if [.newline, .escape].contains(kind) {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
        }
        let outcome = try box.call(
            ["run"] + box.options + ["--", "/bin/echo", "started"], rig: rig, directory: directory)
        let strange = outcome.errors.unicodeScalars.filter {
            $0.value < 0x20 && $0 != "\n" && $0 != "\t" || $0.value == 0x7f
        }
        #expect(strange.isEmpty, "raw control bytes: \(outcome.errors.debugDescription)")
        if [.newline, .escape].contains(kind), outcome.status == 0 {
            // Such a name is legal: it may work, if it works whole.
            #expect(outcome.text == "started\n", "\(outcome)")
            return
        }
        #expect(
            outcome.status == 125 && outcome.out.isEmpty && outcome.errors.hasPrefix("box: "), "\(outcome)")
        #expect(outcome.errors.contains("project") || outcome.errors.contains("director"), "\(outcome)")
    }

    @Test func `a huge argument list is passed or refused, never cut`() throws {
        let box = try Box()
        let many = (0..<20_000).map { "argument-\($0)" }
        let passed = try box.run(["/bin/sh", "-c", "echo $#; shift 19999; echo $1", "sh"] + many, within: 30)
        #expect(passed.lines == ["20000", "argument-19999"] || passed.status == 125, "\(passed)")
        let long = try box.run(["/bin/sh", "-c", "echo ${#1}", "sh", String(repeating: "x", count: 130_000)])
        #expect(long.answer == "130000" || long.status == 125, "\(long)")
    }

    @Test func `arguments arrive as they are`() throws {
        let odd = [
            "", " ", "a b", "-x", "--", "--quiet", "$HOME", "`id`", "*", "new\nline", "\u{1b}[31m", "ü", "'",
            "\"", "\\",
        ]
        let outcome = try Box().run(["/usr/bin/printf", "<%s>"] + odd)
        #expect(outcome.text == odd.map { "<\($0)>" }.joined(), "\(outcome)")
    }

    @Test func `what is granted is there and what is not is not`() throws {
        row("CF-06")
        let box = try Box()
        for name in ["read/file", "write/file", "read-evil/file"] {
            try box.scratch.write(name, to: box.scratch.root + "/" + name)
        }
        let root = box.scratch.root
        let outcome = try box.shell(
            """
            cat \(root)/read/file \(root)/write/file \(root)/read-evil/file; echo new > \
            \(root)/write/new; echo new > \(root)/read/new; ls \(root)
            """,
            options: ["--read", root + "/read", "--write", root + "/write/"])
        #expect(
            outcome.text.hasPrefix("read/filewrite/file") && !outcome.text.contains("read-evil"), "\(outcome)"
        )
        #expect(FileManager.default.fileExists(atPath: root + "/write/new"))
        #expect(!FileManager.default.fileExists(atPath: root + "/read/new"))
    }

    @Test(arguments: ["/", "/proc", "/sys", "/dev", "{home}", "{home}/.ssh", "{state}", "{state}/box"])
    func `a dangerous grant is refused`(_ path: String) throws {
        row("CF-07")
        let box = try Box()
        try box.scratch.write("key", to: box.scratch.home + "/.ssh/id", mode: 0o600)
        #expect(try box.run(["/bin/true"]).status == 0)
        let real = path.replacingOccurrences(of: "{home}", with: box.scratch.home)
            .replacingOccurrences(of: "{state}", with: box.scratch.state)
        let outcome = try box.run(["/bin/echo", "started"], options: ["--write", real])
        #expect(outcome.status == 125 && outcome.out.isEmpty && outcome.errors.contains(real), "\(outcome)")
    }

    @Test func `the card is shown on a terminal only, and not when it is not wanted`() throws {
        let box = try Box()
        let card = try box.start(["/bin/true"], streams: .terminal(rows: 40, columns: 100)).wait()
        #expect(card.status == 0 && card.text.contains("box") && card.text.count > 100, "\(card)")
        let quiet = try box.start(
            ["/bin/true"], options: ["--quiet"], streams: .terminal(rows: 40, columns: 100)
        ).wait()
        #expect(quiet.status == 0 && !quiet.text.contains("writable"), "\(quiet)")
        let piped = try box.run(["/bin/true"])
        #expect(piped.out.isEmpty && !piped.errors.contains("\u{1b}"), "\(piped)")
    }

    @Test func `without network there is none at once`() throws {
        row("NT-12")
        guard has("curl") else { return }
        row("NT-12")
        let begin = Date()
        let outcome = try Box().run(["curl", "-sS", "https://example.com"], options: ["--net", "none"])
        #expect(outcome.status == 6 || outcome.status == 7, "\(outcome)")
        #expect(Date().timeIntervalSince(begin) < 3)
    }

    @Test func `it runs from below the project and from a link to it`() throws {
        row("CF-09")
        let box = try Box()
        try box.scratch.write("x", to: box.scratch.project + "/below/file")
        let below = try box.call(
            ["run"] + box.options + ["--", "/bin/ls"], directory: box.scratch.project + "/below")
        #expect(below.status == 0 && below.lines.contains("file"), "\(below)")
        let link = box.scratch.root + "/link"
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: box.scratch.project)
        let linked = try box.call(["run"] + box.options + ["--", "/bin/ls"], directory: link)
        #expect(linked.status == 0 && linked.text.contains("below"), "\(linked)")
    }

    @Test func `the demonstration agent runs without network or account`() throws {
        let box = try Box()
        let outcome = try box.call(["run", "--workspace", "direct", "demo"])
        #expect(outcome.status == 0 && outcome.text.count > 100, "\(outcome)")
    }
}
