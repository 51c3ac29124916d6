import Foundation
import Testing

/// Streams, signals and ends: box is as if it were not there, and leaves nothing.
@Suite(.recorded("supervision"), .serialized) struct Supervision {
    @Test(arguments: [SIGKILL, SIGTERM, SIGHUP, SIGINT])
    func `nothing is left when box is ended`(_ signal: Int32) throws {
        row("NS-17")
        let box = try Box()
        let mounts = try Host.mounts()
        let running = try box.start(
            [
                "/bin/sh", "-c",
                "trap '' TERM HUP INT; (setsid sleep 1000 &) ; sleep 1000 & echo ready; wait; wait",
            ])
        try running.expect("ready")
        // The children have their own name once they have been executed.
        #expect(
            Host.eventually { Host.descendants(of: running.pid).filter { $0.name == "sleep" }.count == 2 })
        let members = Host.descendants(of: running.pid)
        #expect(members.contains { $0.name.hasPrefix("box-proxy") }, "\(members)")
        running.signal(signal)
        // The command ignores what box passes on; then box is ended the hard way.
        if !Host.eventually(within: 1, { running.hasEnded }) { running.signal(SIGKILL) }
        #expect(Host.eventually { members.allSatisfy { !$0.isAlive } }, "\(members.filter(\.isAlive))")
        #expect(Host.eventually { running.hasEnded })
        #expect(try Host.mounts() == mounts)
    }

    @Test func `killing the sandbox's first process ends all of them`() throws {
        row("NS-17")
        let box = try Box()
        let running = try box.start(["/bin/sh", "-c", "(setsid sleep 1000 &); echo ready; sleep 1000"])
        try running.expect("ready")
        let members = Host.descendants(of: running.pid)
        let first = try #require(
            members.first { $0.pids.count > 1 && $0.pids.last == "1" })
        kill(first.pid, SIGKILL)
        let outcome = try running.wait()
        #expect(!outcome.timedOut && outcome.status != 0, "\(outcome)")
        #expect(Host.eventually { members.allSatisfy { !$0.isAlive } }, "\(members.filter(\.isAlive))")
    }

    @Test(arguments: [
        (SIGTERM, "TERM"), (SIGHUP, "HUP"), (SIGINT, "INT"), (SIGUSR1, "USR1"), (SIGUSR2, "USR2"),
        (SIGQUIT, "QUIT"),
    ])
    func `a signal reaches the command`(_ signal: Int32, _ name: String) throws {
        let box = try Box()
        let running = try box.start(
            [
                "/bin/bash", "-c",
                "trap 'echo got; exit 17' \(name); sleep 1000 & echo ready; wait",
            ])
        try running.expect("ready")
        running.signal(signal)
        let outcome = try running.wait()
        #expect(outcome.status == 17 && outcome.text.hasSuffix("got\n"), "\(outcome)")
    }

    @Test(arguments: [(SIGTERM, 143), (SIGINT, 130)])
    func `a command that does not catch the signal ends by it`(_ signal: Int32, _ status: Int) throws {
        let box = try Box()
        let running = try box.start(["/bin/sh", "-c", "echo ready; exec sleep 1000"])
        try running.expect("ready")
        running.signal(signal)
        #expect(try running.wait().status == Int32(status))
    }

    @Test func `standard input ends where it ends`() throws {
        let box = try Box()
        #expect(try box.run(["/usr/bin/wc", "-c"]).answer == "0")
        #expect(try box.run(["/usr/bin/wc", "-c"], input: Array("hello".utf8)).answer == "5")
        let running = try box.start(["/bin/cat"], streams: .openInput)
        try running.send("one\n")
        try running.expect("one")
        running.closeInput()
        #expect(try running.wait().status == 0)
    }

    @Test func `a reader that goes away ends the writer`() throws {
        let box = try Box()
        let outcome = try box.call(
            ["run"] + box.options + ["--", "/bin/sh", "-c", "yes; echo $? >&2"],
            rig: ["/bin/bash", "-c", "\"$@\" | head -n 2; echo ${PIPESTATUS[0]}", "bash"], within: 20)
        #expect(outcome.lines.prefix(2) == ["y", "y"] && !outcome.timedOut, "\(outcome)")
    }

    @Test func `the two output streams stay two`() throws {
        let outcome = try Box().shell("echo one; echo two >&2; echo three; echo four >&2")
        #expect(outcome.text == "one\nthree\n", "\(outcome)")
        #expect(outcome.errors.hasSuffix("two\nfour\n") || outcome.errors.contains("two\n"), "\(outcome)")
        let quiet = try Box().shell("echo two >&2", options: ["--quiet"])
        #expect(quiet.errors == "two\n", "\(quiet)")
    }

    @Test func `64 MiB come through both ways unchanged`() throws {
        let box = try Box()
        var bytes = [UInt8](repeating: 0, count: 64 << 20)
        var state: UInt64 = 88_172_645_463_325_252
        for index in stride(from: 0, to: bytes.count, by: 8) {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            for part in 0..<8 { bytes[index + part] = UInt8(truncatingIfNeeded: state >> (8 * UInt64(part))) }
        }
        let outcome = try box.run(["/bin/cat"], input: bytes, within: 60)
        #expect(outcome.status == 0 && outcome.out == bytes, "\(outcome.status) \(outcome.out.count) bytes")
        let sum = try box.run(["/usr/bin/sha256sum"], input: bytes, within: 60)
        #expect(sum.text == (try Host.run(["/usr/bin/sha256sum"], input: bytes)).text)
    }

    @Test func `two sessions on one project do not disturb each other`() throws {
        let box = try Box()
        let first = try box.start(
            ["/bin/sh", "-c", "echo a > first; echo $BOX_SESSION; echo ready; read line; cat second"],
            streams: .openInput)
        let second = try box.start(
            [
                "/bin/sh", "-c",
                """
                echo b > second; echo $BOX_SESSION; echo ready; read line; cat first; ls /proc | \
                grep -c '^[0-9]'
                """,
            ], streams: .openInput)
        let one = try first.expect("ready"), two = try second.expect("ready")
        #expect(one != two && !one.isEmpty)
        try first.send("\n")
        #expect(try first.wait().text.hasSuffix("ready\nb\n"))
        try second.send("\n")
        let outcome = try second.wait()
        #expect(outcome.status == 0 && outcome.text.contains("ready\na\n"), "\(outcome)")
    }

    @Test func `the session is written down privately`() throws {
        let box = try Box()
        let outcome = try box.shell("echo $BOX_SESSION; exit 3", options: ["--name", "named"])
        #expect(outcome.status == 3, "\(outcome)")
        let sessions = box.scratch.state + "/box/sessions"
        let names = try FileManager.default.contentsOfDirectory(atPath: sessions)
        #expect(names == [outcome.answer], "\(names) \(outcome)")
        for path in [box.scratch.state + "/box", sessions, sessions + "/" + outcome.answer] {
            let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
            #expect(mode == 0o700, "\(path): \(String(describing: mode))")
        }
        let events = try Host.text(sessions + "/" + outcome.answer + "/events.jsonl").split(separator: "\n")
        struct Event: Decodable { var time: String, session: String, event: String }
        let read = try events.map { try JSONDecoder().decode(Event.self, from: Data($0.utf8)) }
        #expect(read.first?.event == "session.start" && read.last?.event == "session.end", "\(events)")
        #expect(
            read.allSatisfy {
                $0.session == outcome.answer && $0.time.hasSuffix("Z") && $0.time.contains(".")
            })
        let session = try JSONSerialization.jsonObject(
            with: Data(try Host.text(sessions + "/" + outcome.answer + "/session.json").utf8))
        #expect((session as? [String: Any])?["exit_status"] as? Int == 3, "\(session)")
    }
}
