import Foundation
import Testing

/// `box attach`: a detached session on a terminal.
@Suite(.recorded("TT")) struct Attached {
    /// Paints a screen of its own, says what it reads and how large its window is.
    static let painter = """
        stty -echo -icanon min 0 time 1; printf '\\033[?1049h\\033[?25l\\033[?2004h\\033[2J\\033[5;10Hpicture'
        trap 'printf "\\033[7;10Hsize %s " "$(stty size)"' WINCH
        while :; do
            key=$(dd bs=1 count=1 2>/dev/null) || continue
            case $key in q) printf '\\033[?1049l'; exit 5;; '') ;; *) printf '\\033[6;10Hkey %s' "$key";; esac
        done
        """

    @Test func `a full screen is shown again, obeys, and is left in order`() throws {
        let scene = try SessionScene()
        let session = try Detached("quinn", Attached.painter, in: scene)
        // A shell of the user's owns the terminal, so that its settings can be seen before and after.
        let user = try Running(
            [
                "/bin/sh", "-c",
                "echo \"[start]\"; for i in 1 2; do \(Box.binary) attach quinn; echo \"[status $?]\"; done; stty -a; read line",
            ],
            environment: scene.box.environment, directory: scene.project,
            streams: .terminal(rows: 24, columns: 80))
        try user.expect("[start]")
        let before = try user.settings()
        for key in ["x", "y"] {
            let shown = try user.expect("picture", within: 10)
            #expect(shown.contains("\u{1B}[?1049h") && shown.contains("\u{1B}[?25l"), "\(shown)")
            try user.send(key)
            try user.expect("key \(key)")
            try user.send("\u{1D}d")
            let left = try user.expect("[status 0]")
            for mode in ["?1049l", "?25h", "?2004l"] { #expect(left.contains("\u{1B}[\(mode)"), "\(left)") }
            #expect(left.contains("box: detached from quinn. To come back: box attach quinn\r\n"))
        }
        try user.expect("speed")
        let after = try user.settings()
        #expect(before.c_lflag == after.c_lflag && before.c_iflag == after.c_iflag)
        #expect(try session.listed().state == "running")
    }

    @Test func `the size of the window reaches the program`() throws {
        let scene = try SessionScene()
        let session = try Detached("quinn", Attached.painter, in: scene)
        let user = try session.attach(rows: 30, columns: 100)
        try user.expect("size 30 100")
        try user.resize(rows: 11, columns: 44)
        try user.expect("size 11 44")
        try user.detach(from: "quinn")
    }

    @Test func `its end is the end of what was attached`() throws {
        let scene = try SessionScene()
        let session = try Detached("quinn", Attached.painter, in: scene)
        let user = try session.attach()
        try user.expect("picture")
        try user.send("q")
        let outcome = try user.wait()
        #expect(outcome.status == 5 && outcome.text.contains("\u{1B}[?1049l"), "\(outcome)")
        #expect(try session.listed().exitStatus == 5)
    }

    @Test func `all that it printed last is seen, with how it ended`() throws {
        let scene = try SessionScene()
        let session = try Detached(
            "quinn", "read line; echo 1 > made; seq 1 5000; echo last; sleep 600", in: scene,
            options: ["--timeout", "3s"])
        let user = try session.attach()
        try user.send("\n")
        try user.expect("\r\n5000\r\nlast\r\n")
        let outcome = try user.wait()
        #expect(outcome.status == 124, "\(outcome)")
        #expect(outcome.text.contains("box: the command was ended after 3 s (--timeout)\r\n"))
        #expect(outcome.text.contains("box: 1 file changed in session quinn"))
    }

    @Test func `a supervisor that is killed leaves the terminal in order`() throws {
        let scene = try SessionScene()
        let session = try Detached("quinn", Attached.painter, in: scene)
        let user = try session.attach()
        let before = try user.expect("picture")
        #expect(before.contains("\u{1B}[?1049h"))
        kill(try session.supervisor().pid, SIGKILL)
        let outcome = try user.wait()
        #expect(outcome.status == 125, "\(outcome)")
        for mode in ["?1049l", "?25h", "?2004l"] {
            #expect(outcome.text.contains("\u{1B}[\(mode)"), "\(outcome)")
        }
        #expect(outcome.text.contains("box: the session was interrupted"), "\(outcome)")
        #expect(try session.listed().state == "interrupted")
    }

    @Test(arguments: [SIGTERM, SIGHUP, SIGINT, SIGQUIT])
    func `a signal ends what is attached, and not the session`(_ signal: Int32) throws {
        let scene = try SessionScene()
        let session = try Detached("quinn", Attached.painter, in: scene)
        let user = try session.attach()
        try user.expect("picture")
        user.signal(signal)
        let outcome = try user.wait()
        #expect(outcome.status == 128 + signal && outcome.text.contains("\u{1B}[?1049l"), "\(outcome)")
        #expect(try session.listed().state == "running")
    }

    @Test func `one whose terminal is gone is gone, too`() throws {
        let scene = try SessionScene()
        let session = try Detached("quinn", Attached.painter, in: scene)
        let supervisor = try session.supervisor()
        let open = try supervisor.descriptors()
        for kind in [SIGKILL, SIGHUP] {
            let user = try session.attach()
            try user.expect("picture")
            #expect(try supervisor.descriptors() > open)
            user.signal(kind)
            _ = try user.wait()
            #expect(try Host.eventually { try supervisor.descriptors() == open })
        }
        #expect(try session.listed().state == "running")
    }

    // MARK: - Several

    @Test func `several see the same, and the newest one's window counts`() throws {
        let scene = try SessionScene()
        let session = try Detached("quinn", Attached.painter, in: scene)
        let first = try session.attach(rows: 30, columns: 100)
        try first.expect("size 30 100")
        let second = try session.attach(rows: 20, columns: 60)
        try second.expect("size 20 60")
        try first.expect("size 20 60")
        // Not the newest: it is painted anew, and that is all.
        try first.resize(rows: 40, columns: 120)
        try first.expect("picture")
        try first.send("a")
        for user in [first, second] { try user.expect("key a") }
        try second.send("b")
        for user in [first, second] { try user.expect("key b") }
        try second.detach(from: "quinn")
        try first.expect("size 40 120")
        try first.send("q")
        #expect(try first.wait().status == 5)
    }

    @Test func `one that does not read stops nobody, and sees the present when it does`() throws {
        let scene = try SessionScene()
        let session = try Detached(
            "quinn",
            "echo up; read line; i=0; while [ $i -lt 40000 ]; do echo \"line $i of a program that prints without end\"; i=$((i+1)); done; echo finished; read line",
            in: scene)
        let slow = try session.attach()
        let other = try session.attach()
        for user in [slow, other] { try user.expect("up") }
        try other.send("\n")
        try slow.expect("line 10 ")
        slow.signal(SIGSTOP)
        #expect(Host.eventually { Process(slow.pid)?.state == "T" })
        try other.expect("finished", within: 60)
        #expect(try session.supervisor().memory() < 80 << 20)
        slow.signal(SIGCONT)
        try slow.expect("finished")
        try slow.detach(from: "quinn")
        try other.send("\n")
        #expect(try other.wait().status == 0)
    }

    // MARK: - Questions to the terminal

    @Test func `a program that asks the terminal is answered while nobody looks`() throws {
        let scene = try SessionScene()
        let session = try Detached(
            "quinn",
            "stty -echo raw; printf 'ab\\033[6n'; answer=$(dd bs=1 count=6 2>/dev/null); stty sane; printf %s \"$answer\" > seen",
            in: scene)
        #expect(try session.ends().exitStatus == 0)
        try scene.command(["apply", "--yes"])
        #expect(try Host.text(scene.project + "/seen") == "\u{1B}[1;3R")
    }

    @Test func `of several terminals one is asked`() throws {
        let scene = try SessionScene()
        let session = try Detached(
            "quinn",
            "stty -echo raw; echo up; dd bs=1 count=1 2>/dev/null; printf 'asked\\033[6nend'; dd bs=1 count=6 2>/dev/null | od -c; sleep 600",
            in: scene)
        let first = try session.attach()
        try first.expect("up")
        let second = try session.attach()
        try second.expect("up")
        try second.send("s")
        for user in [first, second] { try user.expect("asked") }
        #expect(try first.expect("end").isEmpty)
        #expect(try second.expect("end") == "\u{1B}[6n")
        try second.send("\u{1B}[1;1R")
        try first.expect("033   [   1   ;   1   R")
    }

    // MARK: - ^Z

    @Test func `a command that stops itself gives the terminal to the user's shell`() throws {
        let scene = try SessionScene()
        let session = try Detached(
            "quinn", "echo first; read line; while kill -TSTP $$; do echo \"again\"; read line; done",
            in: scene)
        let shell = try Running(
            ["/bin/sh", "-i"],
            environment: scene.box.environment.merging(["PS1": "prompt> ", "ENV": ""]) { $1 },
            directory: scene.project, streams: .terminal(rows: 24, columns: 80))
        try shell.expect("prompt> ")
        try shell.send("\(Box.binary) attach quinn\n")
        try shell.expect("first")
        try shell.send("\n")
        try shell.expect("prompt> ")
        #expect(try Host.eventually { try session.listed().state == "running" })
        try shell.send("fg\n")
        try shell.expect("again")
        // As it was when it stopped with nobody there: whoever comes continues it.
        try shell.send("\u{1D}d")
        try shell.expect("prompt> ")
        try shell.send("\(Box.binary) attach quinn\n")
        try shell.expect("first")
        try shell.send("\n")
        try shell.expect("prompt> ")
        try shell.send("fg\n")
        try shell.expect("again")
        try shell.send("\u{1A}")
        try shell.expect("prompt> ")
        try shell.send("fg\n")
        try shell.expect("again")
    }

    // MARK: - Refusals

    @Test func `what cannot be attached to is told apart`() throws {
        let scene = try SessionScene()
        #expect(try scene.box.call(["attach"]).errors.contains("needs a terminal"))
        func refused(_ words: [String]) throws -> Outcome {
            let outcome = try scene.onTerminal(["attach"] + words)
            #expect(outcome.status == 125, "\(outcome)")
            return outcome
        }
        #expect(try refused([]).text.contains("no session of box run --detach runs in this project"))
        #expect(try refused(["nobody"]).text.contains("there is none"))
        try scene.ended("over", "exit 3")
        let over = try refused(["over"]).text
        #expect(
            over.contains("ended with status 3") && over.contains("box log over")
                && over.contains("box run --continue -s over"))
        let running = try scene.running("own")
        #expect(try refused(["own"]).text.contains("runs where it was started"))
        // Even if its record says otherwise.
        try scene.edit("own", "\"detached\": false", "\"detached\": true")
        #expect(try refused(["own"]).text.contains("runs where it was started"))
        running.closeInput()
        #expect(try running.wait().status < 125)
    }

    @Test func `without a name it is the newest of this project`() throws {
        let scene = try SessionScene()
        let first = try Detached("first", "echo this is the first; read line", in: scene)
        let second = try Detached("second", "echo this is the second; read line", in: scene)
        let user = try Running(
            [Box.binary, "attach"], environment: scene.box.environment, directory: scene.project,
            streams: .terminal(rows: 24, columns: 80))
        try user.expect("this is the second")
        try user.detach(from: "second")
        let near = try Running(
            [Box.binary, "attach", "fi"], environment: scene.box.environment, directory: scene.project,
            streams: .terminal(rows: 24, columns: 80))
        try near.expect("this is the first")
        try near.detach(from: "first")
        withExtendedLifetime((first, second)) {}
    }

    @Test func `nobody else can connect`() throws {
        let scene = try SessionScene()
        let session = try Detached("quinn", "read line", in: scene)
        let modes = try Host.shell(
            "stat -c '%a %U' \(scene.store)/quinn \(scene.store)/quinn/control; id -un"
        ).lines
        #expect(modes.prefix(2) == ["700 \(modes[2])", "600 \(modes[2])"], "\(modes)")
        withExtendedLifetime(session) {}
    }
}
