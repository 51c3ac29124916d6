import Foundation
import Testing

/// `box exec`: a second program in a session that runs.
@Suite(.recorded("TT")) struct Executed {
    /// `box exec quinn -- COMMAND` and its words.
    private static func exec(_ command: [String], _ options: [String] = []) -> [String] {
        ["exec"] + options + ["quinn", "--"] + command
    }

    private static func shell(_ script: String, _ options: [String] = []) -> [String] {
        exec(["/bin/sh", "-c", script], options)
    }

    // MARK: - Protections

    @Test func `it has all the protections of the session's command`() throws {
        // Everything that the kernel tells of a process's rights, and what they come to.
        let script = """
            grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp|Umask)' /proc/self/status
            for name in cgroup ipc mnt net pid user uts; do readlink /proc/self/ns/$name; done
            cat /proc/self/limits /proc/self/mountinfo; env | grep -v '^_=' | sort; pwd
            ls /proc/self/fd | head -n 4 | tr '\\n' ' '
            for path in /usr/box-test /etc/box-test /proc/sysrq-trigger; do echo x > $path; done 2>&1
            unshare -U true 2>&1; mount -t tmpfs none /tmp 2>&1; ls -d /proc/[0-9]* | head -n 1
            """
        let scene = try SessionScene(["--workspace", "overlay"])
        let session = try Detached(
            "quinn", "{ \(script)\n} > seen </dev/null 2>/dev/null; echo 1 > done; read line", in: scene)
        #expect(try Host.eventually { try session.listed().changes == 2 })
        let own = try scene.command(Executed.shell("cat seen")).lines
        let other = try scene.command(Executed.shell("{ \(script)\n} </dev/null 2>/dev/null")).lines
        #expect(own.contains { $0.hasPrefix("CapBnd:\t0000000000000000") } && own.count > 40, "\(own)")
        #expect(own.contains("NoNewPrivs:\t1") && own.contains { $0.hasPrefix("Seccomp:\t2") })
        #expect(other.difference(from: own).isEmpty, "\(other.difference(from: own))")
    }

    @Test func `what it tries that is forbidden fails as everywhere inside`() throws {
        var scene = try SessionScene()
        scene.box.options = ["--workspace", "direct", "--net", "none", "--quiet"]
        try FileManager.default.copyItem(atPath: try Tools.probe.get(), toPath: scene.project + "/probe")
        let session = try Detached("quinn", "read line", in: scene)
        let acts = [
            "call,unshare,0x10000000", "call,bpf,0,0,0", "call,keyctl,0,0,0", "call,ptrace,16,1,0,0",
            "call,setuid,0",
            "call,mount,0,0,0,0,0", "call,socket,16,3,0", "open,/etc/box-x,rw", "layers", "exe-write",
            "int80",
        ]
        try scene.box.scratch.write(acts.joined(separator: "\n") + "\n", to: scene.project + "/acts")
        let words = [scene.project + "/probe", "--file", scene.project + "/acts"]
        let other = try Answer.parse(try scene.command(Executed.exec(words)), acts: acts)
        let own = try scene.box.probe(acts)
        for act in acts { #expect(other[act]?.word == own[act]?.word, "\(act): \(other) \(own)") }
        withExtendedLifetime(session) {}
    }

    @Test func `the session's limits count for it`() throws {
        let scene = try SessionScene()
        let session = try Detached("quinn", "read line", in: scene, options: ["--pids", "20"])
        let outcome = try scene.box.call(
            Executed.shell("i=0; while [ $i -lt 60 ]; do sleep 60 & i=$((i+1)); done; echo all"))
        #expect(!outcome.text.contains("all") || outcome.errors.contains("fork"), "\(outcome)")
        withExtendedLifetime(session) {}
    }

    // MARK: - Streams and status

    @Test func `its streams are the caller's, and its status as well`() throws {
        let scene = try SessionScene()
        let session = try Detached("quinn", "read line", in: scene)
        let outcome = try scene.box.call(
            Executed.shell("cat; echo err >&2; exit 7"), input: Array("text\n".utf8))
        #expect(outcome.status == 7 && outcome.text == "text\n" && outcome.errors == "err\n", "\(outcome)")
        #expect(try scene.box.call(Executed.shell("kill -TERM $$")).status == 143)
        // In one order where both streams are one.
        let mixed = try Host.shell(
            "cd \(scene.project) && exec env \(scene.variables) \(Box.binary) exec quinn -- "
                + "/bin/sh -c 'for i in 1 2 3 4; do echo $i; echo e$i >&2; done' 2>&1")
        #expect(mixed.lines == ["1", "e1", "2", "e2", "3", "e3", "4", "e4"], "\(mixed)")
        let large = try Host.shell(
            "cd \(scene.project) && head -c 30000000 /dev/zero | env \(scene.variables) \(Box.binary) exec quinn -- cat | wc -c"
        )
        #expect(large.answer == "30000000", "\(large)")
        withExtendedLifetime(session) {}
    }

    @Test func `a session in its own terminal has room for a second program, too`() throws {
        let scene = try SessionScene()
        let running = try scene.running("quinn")
        #expect(try scene.command(["exec", "--", "/bin/echo", "second"]).answer == "second")
        #expect(try scene.command(["exec", "qui", "--", "/bin/echo", "--", "x"]).answer == "-- x")
        running.closeInput()
        #expect(try running.wait().status < 125)
        #expect(try scene.command(["exec", "quinn", "--", "true"], status: 125).errors.contains("has ended"))
        #expect(try scene.command(["exec", "--", "true"], status: 125).errors.contains("no session runs"))
    }

    static let refusals: [([String], Int32, String)] = [
        (["exec", "quinn", "--", "/no/such/program"], 127, "not found"),
        (["exec", "quinn", "--", "no-such-program"], 127, "not found"),
        (["exec", "quinn", "--", "/etc/hostname"], 126, "not executable"),
        (["exec", "quinn", "--"], 127, "no command"), (["exec", "quinn", "--", ""], 127, "no command"),
        (["exec", "quinn", "/bin/true"], 125, "argument"), (["exec", "quinn"], 125, "after --"),
        (["exec", "nobody", "--", "/bin/true"], 125, "there is none"),
        (["exec", "--cwd", "/no/such/place", "quinn", "--", "/bin/true"], 125, "directory"),
        (["exec", "--cwd", "../../../../../../../../..", "quinn", "--", "/bin/true"], 125, "directory"),
        (["exec", "--env", "LD_PRELOAD=/x", "quinn", "--", "/bin/true"], 125, "LD_PRELOAD"),
        (["exec", "--env", "BOX_SESSION=x", "quinn", "--", "/bin/true"], 125, "BOX_SESSION"),
        (["exec", "--env", "NO_SUCH_VARIABLE", "quinn", "--", "/bin/true"], 125, "NO_SUCH_VARIABLE"),
        (["exec", "quinn", "--", "/bin/echo", String(repeating: "x", count: 70_000)], 125, "longer"),
    ]

    @Test func `what cannot be run is told apart, and harms nobody`() throws {
        let scene = try SessionScene()
        let session = try Detached("quinn", "read line", in: scene)
        for (words, status, reason) in Executed.refusals {
            let outcome = try scene.command(words, status: status)
            #expect(outcome.errors.contains(reason) && outcome.text.isEmpty, "\(words): \(outcome)")
        }
        #expect(try session.listed().state == "running")
    }

    @Test func `variables and directory are as asked`() throws {
        let scene = try SessionScene()
        let session = try Detached("quinn", "mkdir -p sub; read line", in: scene, environment: ["LANG": "C"])
        let outcome = try scene.command(
            Executed.shell(
                "echo $ONE $TWO $LANG $BOX_SESSION; pwd",
                ["--env", "ONE=1=1", "--env", "TWO", "--cwd", "sub"]),
            environment: ["TWO": "two", "SECRET": "x"])
        #expect(outcome.lines == ["1=1 two C quinn", scene.project + "/sub"], "\(outcome)")
        #expect(try scene.command(Executed.exec(["pwd"], ["--cwd", "/tmp"])).answer == "/tmp")
        #expect(
            try !scene.command(Executed.exec(["env"]), environment: ["SECRET": "x"]).text.contains("SECRET"))
        withExtendedLifetime(session) {}
    }

    // MARK: - Terminal

    @Test func `on a terminal it has one of its own`() throws {
        let scene = try SessionScene()
        let session = try Detached("quinn", "tty > own; read line", in: scene)
        let user = try Running(
            [Box.binary]
                + Executed.shell(
                    "tty; stty size; cat own; trap 'stty size; exit 4' WINCH; echo up; while :; do sleep 0.05; done"
                ),
            environment: scene.box.environment.merging(["TERM": "screen"]) { $1 }, directory: scene.project,
            streams: .terminal(rows: 31, columns: 101))
        let lines = try user.expect("up\r\n").split(separator: "\r\n").map(String.init)
        #expect(lines.count == 3 && lines[0] != lines[2] && lines[1] == "31 101", "\(lines)")
        try user.resize(rows: 12, columns: 34)
        try user.expect("12 34")
        #expect(try user.wait().status == 4)
        withExtendedLifetime(session) {}
    }

    @Test func `keys reach it, and the terminal is left in order`() throws {
        let scene = try SessionScene()
        let session = try Detached("quinn", "read line", in: scene)
        let script =
            "stty -echo raw; printf '\\033[?1049h\\033[?25lraw'; dd bs=1 count=3 2>/dev/null; exit 3"
        // A shell of the user's owns the terminal, so that its settings can be seen before and after.
        let user = try Running(
            [
                "/bin/sh", "-c", "echo '[start]'; \"$@\"; echo \"[status $?]\"; stty -a; read line", "sh",
                Box.binary,
            ]
                + Executed.shell(script),
            environment: scene.box.environment, directory: scene.project,
            streams: .terminal(rows: 24, columns: 80))
        try user.expect("[start]")
        let before = try user.settings()
        try user.expect("raw")
        // ^C, ^Z and ^] are the program's.
        try user.send("\u{03}\u{1A}\u{1D}")
        let end = try user.expect("[status 3]")
        #expect(
            end.hasPrefix("\u{03}\u{1A}\u{1D}") && end.contains("\u{1B}[?25h\u{1B}[?1049l"),
            "\(end.debugDescription)")
        try user.expect("speed")
        let after = try user.settings()
        #expect(before.c_lflag == after.c_lflag && before.c_iflag == after.c_iflag)
        withExtendedLifetime(session) {}
    }

    @Test func `errors that go elsewhere stay out of the terminal`() throws {
        let scene = try SessionScene()
        let session = try Detached("quinn", "read line", in: scene)
        let user = try Running(
            [
                "/bin/sh", "-c",
                "\(Box.binary) exec quinn -- /bin/sh -c 'echo error >&2; test -t 1 && echo terminal' 2>errors; cat errors | tr a-z A-Z",
            ],
            environment: scene.box.environment, directory: scene.project,
            streams: .terminal(rows: 24, columns: 80))
        #expect(try user.wait().text == "terminal\r\nERROR\r\n")
        withExtendedLifetime(session) {}
    }

    // MARK: - Ends

    @Test(arguments: [SIGINT, SIGTERM, SIGQUIT, SIGUSR1])
    func `signals are handed on`(_ signal: Int32) throws {
        let scene = try SessionScene()
        let session = try Detached("quinn", "read line", in: scene)
        let running = try Running(
            [Box.binary]
                + Executed.shell(
                    "for s in 2 3 10 15; do trap \"echo got $s; exit 9\" $s; done; echo up; while :; do sleep 0.05; done"
                ),
            environment: scene.box.environment, directory: scene.project, streams: .openInput)
        try running.expect("up\n")
        running.signal(signal)
        let outcome = try running.wait()
        #expect(outcome.status == 9 && outcome.text.hasSuffix("got \(signal)\n"), "\(outcome)")
        withExtendedLifetime(session) {}
    }

    @Test(arguments: [SIGKILL, SIGHUP])
    func `a program whose caller is gone gets a hang-up`(_ signal: Int32) throws {
        let scene = try SessionScene()
        let session = try Detached("quinn", "read line", in: scene)
        let running = try Running(
            [Box.binary]
                + Executed.shell(
                    "exec 2>/dev/null; trap 'echo 1 > hung; exit' HUP; echo up; while :; do sleep 0.05; done"),
            environment: scene.box.environment, directory: scene.project, streams: .openInput)
        try running.expect("up\n")
        running.signal(signal)
        #expect(try running.wait().status == 128 + signal)
        #expect(try Host.eventually { try session.listed().changes == 1 })
        #expect(try session.listed().state == "running")
    }

    @Test(arguments: [false, true])
    func `it ends with its session`(_ isKilled: Bool) throws {
        let scene = try SessionScene()
        let session = try Detached("quinn", "read line", in: scene)
        let running = try Running(
            [Box.binary] + Executed.shell("trap '' HUP TERM; echo up; while :; do sleep 0.05; done"),
            environment: scene.box.environment, directory: scene.project, streams: .openInput)
        try running.expect("up\n")
        let supervisor = try session.supervisor()
        let inside = Host.descendants(of: supervisor.pid)
        if isKilled {
            kill(supervisor.pid, SIGKILL)
        } else {
            try scene.command(["stop", "--kill", "quinn"])
        }
        let outcome = try running.wait()
        #expect(outcome.status == 137 && outcome.errors.contains("session quinn has ended"), "\(outcome)")
        #expect(Host.eventually { inside.allSatisfy { !$0.isAlive } })
    }

    @Test func `what it leaves behind is not waited for, and ends with the session`() throws {
        let scene = try SessionScene()
        let session = try Detached("quinn", "read line", in: scene)
        let start = ContinuousClock.now
        let outcome = try scene.command(Executed.shell("sleep 600 & echo started"))
        #expect(outcome.text == "started\n" && ContinuousClock.now - start < .seconds(10))
        let supervisor = try session.supervisor()
        let left = Host.descendants(of: supervisor.pid).filter { $0.commandLine.contains("600") }
        #expect(!left.isEmpty)
        try scene.command(["stop", "--kill", "quinn"])
        #expect(Host.eventually { left.allSatisfy { !$0.isAlive } })
    }

    @Test func `many at once all run, and leave no descriptor open`() throws {
        let scene = try SessionScene()
        let session = try Detached("quinn", "read line", in: scene)
        let supervisor = try session.supervisor()
        let open = try supervisor.descriptors()
        let all = try (0..<20).map { number in
            try Running(
                [Box.binary] + Executed.shell("echo \(number); cat; exit \(number)"),
                environment: scene.box.environment, directory: scene.project, streams: .openInput)
        }
        for (number, running) in all.enumerated() { try running.expect("\(number)\n") }
        for (number, running) in all.enumerated() {
            running.closeInput()
            #expect(try running.wait().status == Int32(number))
        }
        #expect(try Host.eventually { try supervisor.descriptors() == open })
    }
}

extension SessionScene {
    /// What box needs of the environment, as words of env(1).
    fileprivate var variables: String {
        box.environment.filter { $0.key.hasPrefix("XDG_") || $0.key == "HOME" }
            .map { "\($0.key)=\($0.value)" }.joined(separator: " ")
    }
}
