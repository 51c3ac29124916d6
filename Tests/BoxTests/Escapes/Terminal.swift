import Foundation
import Testing

/// Area TT: the terminal.
@Suite(.recorded("TT"), .serialized) struct Terminal {
    @Test func `the terminal inside is box's own`() throws {
        row("TT-01")
        let box = try Box()
        let terminal = try box.start(
            [
                "/bin/sh", "-c",
                """
                tty; stat -c 'dev %t:%T ino %i' -L /proc/self/fd/0; ls /dev/pts; \
                \(box.scratch.project)/probe terminal
                """,
            ],
            options: ["--quiet"], streams: .terminal(rows: 24, columns: 80))
        let outcome = try terminal.wait()
        let path = try #require(terminal.terminalPath)
        #expect(outcome.status == 0 && outcome.text.contains("/dev/pts/"), "\(outcome)")
        #expect(outcome.text.contains("\"errno\":\"0\""), "/dev/tty opens: \(outcome)")
        // The same number may exist in both instances; the device it is on may not.
        let host = try Host.shell("stat -c '%d:%i' \(path)").answer
        let inside = try box.start(
            ["/usr/bin/stat", "-L", "-c", "%d:%i", "/proc/self/fd/0"], options: ["--quiet"],
            streams: .terminal(rows: 24, columns: 80)
        ).wait()
        #expect(!inside.text.contains(host), "\(inside)")
    }

    @Test func `without a terminal there is none inside`() throws {
        row("TT-01")
        let box = try Box()
        let act = "terminal"
        let inside = try #require(try box.probe([act])[act])
        #expect(inside.word == "ENXIO", "\(inside)")
        #expect(
            try box.shell("tty; test -t 0 || test -t 1 || test -t 2; echo $?").lines == ["not a tty", "1"])
    }

    @Test(arguments: [false, true])
    func `the terminal is as before after the agent dies in raw mode`(_ killed: Bool) throws {
        row("TT-03")
        let box = try Box()
        let script = """
            stty raw -echo -icrnl; printf '\\033[?1049h\\033[?1000h\\033[?2004h\\033[?25lraw'; \(killed ? "kill -9 $$" : "exit 3")
            """
        // A shell of the user's owns the terminal, so that its settings can be seen before and after.
        let shell = try Running(
            [
                "/bin/sh", "-c", "stty -a; \"$@\"; echo \"[status $?]\"; stty -a; read line", "sh",
                Box.binary, "run",
            ]
                + box.options + ["--quiet", "--", "/bin/sh", "-c", script],
            environment: box.environment, directory: box.scratch.project,
            streams: .terminal(rows: 24, columns: 80))
        try shell.expect("speed")
        let before = try shell.settings()
        try shell.expect("raw")
        let reset = try shell.expect("[status \(killed ? 137 : 3)]")
        try shell.expect("speed")
        let after = try shell.settings()
        #expect(before.c_iflag == after.c_iflag && before.c_oflag == after.c_oflag)
        #expect(before.c_lflag == after.c_lflag && before.c_cflag == after.c_cflag)
        for mode in ["?1049l", "?1000l", "?2004l", "?25h"] {
            #expect(
                reset.contains("\u{1b}[" + mode) || reset.contains(mode),
                "\(mode) is not reset: \(reset.debugDescription)")
        }
        try shell.send("\n")
        _ = try shell.wait()
    }

    @Test(arguments: [SIGTERM, SIGHUP])
    func `the terminal is as before after box is ended`(_ signal: Int32) throws {
        row("TT-03")
        let box = try Box()
        let front = try box.start(
            ["/bin/sh", "-c", "stty raw -echo; echo ready; sleep 100"], options: ["--quiet"],
            streams: .terminal(rows: 24, columns: 80))
        let before = try front.settings()
        try front.expect("ready")
        #expect(try front.settings().c_lflag != before.c_lflag, "box does not put the terminal into raw mode")
        front.signal(signal)
        #expect(Host.eventually { front.hasEnded }, "signal \(signal) does not end box")
        let after = try front.settings()
        #expect(
            before.c_lflag == after.c_lflag && before.c_iflag == after.c_iflag
                && before.c_oflag == after.c_oflag)
    }

    @Test func `nothing is printed after box has returned`() throws {
        row("TT-04")
        let box = try Box()
        let script =
            """
            (trap '' HUP TERM INT; setsid sh -c 'while :; do echo late; echo late >&2; done') & \
            sleep 0.1; echo end; exit 5
            """
        let piped = try box.shell(script)
        #expect(piped.status == 5 && !piped.heldOpen, "\(piped.heldOpen) \(piped.status)")
        let terminal = try box.start(["/bin/sh", "-c", script], streams: .terminal(rows: 24, columns: 80))
        let outcome = try terminal.wait()
        let count = terminal.out.count
        try terminal.listen(seconds: 0.3)
        #expect(outcome.status == 5 && terminal.out.count == count)
    }

    @Test func `the window's size and its changes come through`() throws {
        row("TT-05")
        let box = try Box()
        let script =
            "trap 'stty size' WINCH; stty size; while :; do read line && test \"$line\" = end && exit 0; done"
        let terminal = try box.start(
            ["/bin/bash", "-c", script], options: ["--quiet"], streams: .terminal(rows: 31, columns: 97))
        try terminal.expect("31 97")
        try terminal.resize(rows: 50, columns: 132)
        try terminal.send("\n")
        try terminal.expect("50 132")
        try terminal.send("end\n")
        #expect(try terminal.wait().status == 0)
    }

    @Test func `control-C ends the command, not the session of the user`() throws {
        row("TT-05")
        let box = try Box()
        let terminal = try box.start(
            ["/bin/sh", "-c", "trap 'echo interrupted; exit 9' INT; echo ready; while :; do sleep 1; done"],
            options: ["--quiet"], streams: .terminal(rows: 24, columns: 80))
        try terminal.expect("ready")
        try terminal.send("\u{3}")
        try terminal.expect("interrupted")
        #expect(try terminal.wait().status == 9)
    }

    @Test func `control-Z stops and fg goes on`() throws {
        row("TT-05")
        let box = try Box()
        let shell = try Running(
            ["/bin/bash", "--norc", "--noprofile", "-i"],
            environment: box.environment.merging(["PS1": "user$ "]) { $1 },
            directory: box.scratch.project, streams: .terminal(rows: 24, columns: 80))
        try shell.expect("user$ ")
        let options = box.options.joined(separator: " ")
        try shell.send(
            """
            \(Box.binary) run \(options) --quiet -- sh -c 'echo re''ady; read line; echo got $line; \
            exit 4'\n
            """
        )
        try shell.expect("ready")
        try shell.send("\u{1a}")
        try shell.expect("Stopped")
        try shell.expect("user$ ")
        try shell.send("echo in'-'between\n")
        try shell.expect("in-between")
        try shell.send("fg\n")
        try shell.expect("run")
        try shell.send("word\n")
        try shell.expect("got word")
        try shell.expect("user$ ")
        try shell.send("echo status-$?\n")
        try shell.expect("status-4")
        try shell.send("exit\n")
        #expect(try shell.wait().status == 0)
    }

    @Test func `job control works inside`() throws {
        row("TT-05")
        let box = try Box()
        let shell = try box.start(
            ["/bin/bash", "--norc", "--noprofile", "-i"], options: ["--quiet", "--env", "PS1=in$ "],
            streams: .terminal(rows: 24, columns: 80))
        try shell.expect("in$ ")
        try shell.send("echo rea''dy; cat\n")
        try shell.expect("ready")
        try shell.send("hello\n")
        try shell.expect("hello\r\nhello")
        try shell.send("\u{1a}")
        try shell.expect("Stopped")
        // Not by `kill %1; wait`: bash does not wait for a job that it still takes for stopped.
        try shell.expect("in$ ")
        try shell.send("fg\n")
        try shell.expect("cat\r\n")
        try shell.send("again\n")
        try shell.expect("again\r\nagain")
        try shell.send("\u{4}")
        try shell.expect("in$ ")
        try shell.send("exit 6\n")
        #expect(try shell.wait().status == 6)
    }

    /// What would act on the user's terminal, and must not come through.
    static let hostile = [
        "\u{1b}]52;c;aGVsbG8=\u{7}", "\u{1b}]52;c;aGVsbG8=\u{1b}\\", "\u{1b}]52;p;?\u{7}", "\u{1b}[21t",
        "\u{1b}[20t", "\u{1b}]50;?\u{7}", "\u{1b}]1337;File=name=eA==;inline=0:eA==\u{7}", "\u{5}",
        "\u{1b}]1337;CopyToClipboard=\u{7}", "\u{1b}P0;1|17/6c73\u{1b}\\", "\u{1b}]46;/tmp/x\u{7}",
        "\u{1b}_Gt=f,a=T;L2V0Yy9wYXNzd2Q=\u{1b}\\", "\u{1b}[5i",
    ]
    /// What a terminal answers: harmless where the answer goes to the program, typed text where it does not.
    static let queries = [
        "\u{1b}[c", "\u{1b}[>c", "\u{1b}[6n", "\u{1b}[5n", "\u{1b}]11;?\u{7}", "\u{1b}P$qm\u{1b}\\",
        "\u{1b}[0x",
    ]

    @Test(arguments: queries)
    func `a query is filtered where its answer would go to the user's shell`(_ query: String) throws {
        row("TT-06")
        let box = try Box()
        try box.scratch.write("before" + query + "after", to: box.scratch.project + "/query")
        let command = [Box.binary, "run"] + box.options + ["--quiet", "--", "/bin/cat", "query"]
        let shell = try Running(
            ["/bin/sh", "-c", "\"$@\" </dev/null", "sh"] + command, environment: box.environment,
            directory: box.scratch.project, streams: .terminal(rows: 24, columns: 80))
        let outcome = try shell.wait()
        #expect(
            outcome.status == 0 && outcome.text.contains("beforeafter"), "\(outcome.text.debugDescription)")
    }

    @Test(arguments: hostile)
    func `a sequence that makes the terminal act is filtered`(_ sequence: String) throws {
        row("TT-06")
        let box = try Box()
        try box.scratch.write(
            "before" + sequence + "after\u{1b}[31mred\u{1b}[0m", to: box.scratch.project + "/hostile")
        let control = try Running(
            ["/bin/cat", box.scratch.project + "/hostile"], environment: [:], directory: "/",
            streams: .terminal(rows: 24, columns: 80)
        ).wait()
        #expect(control.text.contains(sequence), "no control")
        let inside = try box.start(
            ["/bin/cat", box.scratch.project + "/hostile"], options: ["--quiet"],
            streams: .terminal(rows: 24, columns: 80)
        ).wait()
        #expect(!inside.text.contains(sequence), "\(inside.text.debugDescription)")
        #expect(
            inside.text.contains("before") && inside.text.contains("after\u{1b}[31mred\u{1b}[0m"),
            "\(inside.text.debugDescription)")
        let piped = try box.run(["/bin/cat", box.scratch.project + "/hostile"])
        #expect(piped.text.contains(sequence), "a pipe carries every byte")
    }
}
