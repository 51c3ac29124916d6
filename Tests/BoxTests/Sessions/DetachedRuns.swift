import Foundation
import Testing

/// `box run --detach`: a session that goes on when its caller has gone.
@Suite(.recorded("TT")) struct DetachedRuns {
    @Test func `it is named on standard output, and goes on without its caller`() throws {
        var scene = try SessionScene()
        scene.box.options.removeAll { $0 == "--quiet" }
        let outcome = try scene.box.shell("read line", options: ["--detach", "--name", "quinn"])
        defer { _ = try? scene.box.call(["stop", "--kill", "quinn"]) }
        #expect(outcome.status == 0 && outcome.text == "quinn\n", "\(outcome)")
        #expect(
            outcome.errors == "box: session quinn runs. To see it: box attach quinn\n" && !outcome.heldOpen)
        let listed = try #require(try scene.list().first)
        #expect(listed.id == "quinn" && listed.state == "running" && listed.detached == true)
        // Nothing of the caller's is held: no stream, no terminal, no session.
        let supervisor = try #require(listed.supervisor)
        for number in 0..<3 {
            let target = try FileManager.default.destinationOfSymbolicLink(
                atPath: "/proc/\(supervisor)/fd/\(number)")
            #expect(target == "/dev/null")
        }
        #expect(getsid(supervisor) == supervisor)
    }

    @Test func `descriptors that the caller has open by chance are closed`() throws {
        let scene = try SessionScene()
        let outcome = try Host.run(
            [
                "/bin/sh", "-c", "exec 7>held; cd \(scene.project); exec \"$@\" 8>&7", "sh", Box.binary,
                "run",
            ] + scene.box.options + ["--detach", "--name", "quinn", "--", "/bin/sleep", "600"],
            directory: scene.box.scratch.root, environment: scene.box.environment)
        defer { _ = try? scene.box.call(["stop", "--kill", "quinn"]) }
        #expect(outcome.status == 0, "\(outcome)")
        let supervisor = try #require(try scene.list().first?.supervisor)
        let all = [try #require(Process(supervisor))] + Host.descendants(of: supervisor)
        for process in all {
            let files = try Host.shell("ls -l /proc/\(process.pid)/fd 2>/dev/null || :").text
            #expect(!files.contains("/held"), "\(process): \(files)")
        }
    }

    @Test func `with --json it is named as JSON`() throws {
        let scene = try SessionScene()
        let outcome = try scene.box.shell(":", options: ["--detach", "--json", "--name", "quinn"])
        let named = try JSONDecoder().decode([String: String].self, from: Data(outcome.out))
        #expect(named == ["id": "quinn", "name": "quinn"] && outcome.errors.isEmpty, "\(outcome)")
        #expect(try Host.eventually { try scene.list(["-a"]).first?.state == "finished" })
    }

    static let refusals: [([String], [String], Int32, String)] = [
        (["--net", "everything"], ["/bin/true"], 125, "--net"),
        (["--memory", "1x"], ["/bin/true"], 125, "--memory"),
        ([], ["/no/such/program"], 127, "not found"),
        ([], ["/etc/hostname"], 126, "not executable"),
        (["--name", "taken"], ["/bin/true"], 125, "taken"),
        (["--name", "No Name"], ["/bin/true"], 125, "not a name"),
        (["--policy", "/no/such/file"], ["/bin/true"], 125, "/no/such/file"),
    ]

    @Test(arguments: refusals)
    func `what is refused is said to the caller`(
        _ options: [String], _ command: [String], _ status: Int32, _ reason: String
    ) throws {
        let scene = try SessionScene()
        try scene.ended("taken")
        let before = try scene.names
        let outcome = try scene.box.run(command, options: ["--detach"] + options)
        #expect(outcome.status == status && outcome.text.isEmpty && !outcome.heldOpen, "\(outcome)")
        #expect(outcome.errors.contains(reason), "\(outcome)")
        #expect(try scene.list().isEmpty)
        // A command that cannot be executed had a session, as without --detach.
        if status == 125 { #expect(try scene.names == before) }
    }

    @Test(arguments: [SIGINT, SIGTERM, SIGHUP, SIGKILL])
    func `a caller that is ended before it runs leaves nothing behind`(_ signal: Int32) throws {
        let scene = try SessionScene()
        let policy = scene.box.scratch.root + "/slow.toml"
        // The command for a secret takes its time.
        try scene.box.scratch.write(
            """
            [environment.from]
            KEY = { command = "touch \(scene.box.scratch.root)/asked; exec sleep 600" }
            """, to: policy)
        let caller = try scene.box.start(
            ["/bin/sleep", "600"], options: ["--detach", "--name", "quinn", "--policy", policy])
        #expect(Host.eventually(within: 20) { scene.exists(scene.box.scratch.root + "/asked") })
        let children = Host.descendants(of: caller.pid)
        #expect(children.contains { $0.commandLine.contains("--detach") }, "\(children)")
        caller.signal(signal)
        let outcome = try caller.wait()
        #expect(outcome.status != 0 && outcome.text.isEmpty && !outcome.timedOut, "\(outcome)")
        // What box itself had started is not reached by a signal that box cannot see.
        let boxes = children.filter { $0.commandLine.contains("--detach") || signal != SIGKILL }
        #expect(Host.eventually { boxes.allSatisfy { !$0.isAlive } }, "\(boxes)")
        #expect(try scene.list().isEmpty)
    }

    @Test func `a hang-up is none of its business, and a request to end is`() throws {
        let scene = try SessionScene()
        let session = try Detached("quinn", "trap 'exit 9' TERM; while :; do sleep 0.05; done", in: scene)
        let supervisor = try session.supervisor()
        kill(supervisor.pid, SIGHUP)
        // It has taken that signal when it takes this one.
        kill(supervisor.pid, SIGTERM)
        #expect(try session.ends().exitStatus == 9)
        #expect(Host.eventually { !supervisor.isAlive })
    }

    @Test func `its limits and its log are those of any session`() throws {
        let scene = try SessionScene()
        let session = try Detached(
            "quinn", "echo 1 > made; sleep 600", in: scene, options: ["--timeout", "1s"])
        let ended = try session.ends()
        #expect(ended.state == "finished" && ended.exitStatus == 124 && ended.changes == 1, "\(ended)")
        #expect(try scene.command(["log", "quinn"]).text.contains("--timeout"))
        try scene.command(["log", "--verify", "quinn"])
    }

    @Test func `its command has a terminal of 24 lines even where the caller has none`() throws {
        let scene = try SessionScene()
        let session = try Detached(
            "quinn", "stty size > seen; echo $TERM >> seen; test -t 0 -a -t 1 -a -t 2", in: scene)
        #expect(try session.ends().exitStatus == 0)
        try scene.command(["apply", "--yes"])
        #expect(try Host.text(scene.project + "/seen") == "24 80\nxterm-256color\n")
    }

    @Test func `output without end does not stop it, and does not make it grow`() throws {
        let scene = try SessionScene()
        let session = try Detached(
            "quinn",
            "yes 'a line of text that is printed over and over again' | head -c 60000000; echo 1 > done; read line",
            in: scene)
        let supervisor = try session.supervisor()
        #expect(try Host.eventually(within: 60) { try session.listed().changes == 1 })
        #expect(try supervisor.memory() < 80 << 20)
    }

    @Test func `what must be asked is asked before it detaches`() throws {
        let agent = try MadeUpAgent()
        let user = try agent.start(
            "read line", ["--detach", "--name", "quinn"], streams: .terminal(rows: 24, columns: 80))
        defer { _ = try? agent.box.call(["stop", "--kill", "quinn"]) }
        try user.expect("[n]one? ")
        try user.send("import\n")
        let outcome = try user.wait(within: 20)
        #expect(outcome.status == 0 && outcome.text.hasSuffix("quinn\r\n"), "\(outcome)")
        #expect(outcome.text.contains("~/.fake/login.json"))
        #expect(try Host.text(agent.home() + "/.fake/login.json") == "token\n")
    }
}
