import Foundation
import Testing

/// One line of `box pending --json`.
struct PendingLine: Decodable, Sendable, Equatable {
    var host: String
    var port: Int?
    var count: Int
    var first: String
    var last: String
    var reason: String
    var command: String?
}

/// PD-01: what was refused, from the logs of the project's sessions.
@Suite(.recorded("PD-01")) struct Pending {
    /// A line of a log; the host is what JSON has for it.
    static func line(
        _ event: String, _ host: String, _ port: Int, reason: String?, minute: Int = 10, _ more: String = ""
    ) -> String {
        let time = "2026-02-03T10:\(minute):00.000Z"
        let why = reason.map { #","reason":"\#($0)""# } ?? ""
        return #"{"time":"\#(time)","session":"s","event":"\#(event)","host":"\#(host)","port":\#(port),"#
            + #""via":"connect"\#(why)\#(more)}"# + "\n"
    }

    static func refused(_ host: String, _ port: Int = 443, minute: Int = 10) -> String {
        line("net.deny", host, port, reason: "host", minute: minute, #","detail":"no rule names it""#)
    }

    /// Writes a session as it is on the disk when it has ended.
    static func make(
        _ name: String, in scene: PolicyScene, project: String? = nil,
        started: String = "2026-02-03T10:00:00.000Z",
        record: String? = nil, log: String?
    ) throws {
        let directory = "\(scene.state)/sessions/\(name)"
        try FileManager.default.createDirectory(
            atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        for parent in [scene.state, scene.state + "/sessions"] {
            try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: parent)
        }
        let project = project ?? scene.project
        let text =
            record
            ?? #"{"version":1,"name":"\#(name)","project":"\#(project)","state":"finished","started":"\#(started)"}"#
        try scene.box.scratch.write(text, to: directory + "/session.json", mode: 0o600)
        if let log { try scene.box.scratch.write(log, to: directory + "/events.jsonl", mode: 0o600) }
    }

    private func pending(_ scene: PolicyScene, _ words: String...) throws -> [PendingLine] {
        try scene.json(["pending", "--json"] + words, [PendingLine].self)
    }

    @Test func `refusals of all sessions of the project are added up, the newest first`() throws {
        let scene = try PolicyScene()
        try Pending.make("one", in: scene, log: Pending.refused("a.example.com", minute: 11))
        try Pending.make(
            "two", in: scene,
            log: Pending.refused("a.example.com", minute: 13)
                + Pending.refused("b.example.com", 22, minute: 12))
        try Pending.make("other", in: scene, project: "/srv", log: Pending.refused("c.example.com"))
        #expect(
            try pending(scene) == [
                PendingLine(
                    host: "a.example.com", port: 443, count: 2, first: "2026-02-03T10:11:00.000Z",
                    last: "2026-02-03T10:13:00.000Z", reason: "host", command: "box allow a.example.com"),
                PendingLine(
                    host: "b.example.com", port: 22, count: 1, first: "2026-02-03T10:12:00.000Z",
                    last: "2026-02-03T10:12:00.000Z", reason: "host", command: "box allow b.example.com:22"),
            ])
        #expect(try pending(scene, "-s", "one").map(\.count) == [1])
        #expect(try pending(scene, "-C", "/tmp").isEmpty)
        let nobody = try scene.command(["pending", "-s", "nobody"], status: 125)
        #expect(nobody.errors.contains("find the session nobody"), "\(nobody)")
        // A directory of the project is part of it.
        let below = scene.project + "/below"
        try FileManager.default.createDirectory(atPath: below, withIntermediateDirectories: false)
        #expect(try pending(scene, "-C", below).count == 2)
    }

    @Test func `what is allowed by now is left out, by the commands that are shown`() throws {
        let scene = try PolicyScene()
        let hosts = [
            ("a.example.com", 443), ("b.example.com", 8080), ("93.184.216.41", 22), ("10.0.0.7", 5432),
        ]
        let log =
            hosts.map { Pending.refused($0.0, $0.1) }.joined() + Pending.refused("2606:2800:220:1::6", 22)
        try Pending.make("one", in: scene, log: log)
        let found = try pending(scene)
        #expect(found.count == 5)
        for line in found {
            // As a user would: the line goes to a shell as it is.
            let command = try #require(line.command)
            let shell = try Host.run(
                ["/bin/sh", "-c", command.replacing("box ", with: "'\(scene.box.executable)' ")],
                directory: scene.project, environment: scene.box.environment)
            #expect(shell.status == 0, "\(command): \(shell)")
        }
        #expect(try pending(scene).isEmpty)
        #expect(try pending(scene, "--all").count == 5)
        let none = try scene.command(["pending"])
        #expect(none.text.isEmpty && none.errors.contains("nothing was refused"), "\(none)")
    }

    @Test func `a policy that denies it is said, and no command is shown that would not help`() throws {
        let scene = try PolicyScene(
            policy: "[network]\nallow = [\"a.example.com\"]\ndeny = [\"*.example.com\"]\n")
        let limit = Pending.line(
            "net.limit", "c.example.org", 443, reason: "rate", #","limit":"connections","scope":"session""#)
        let inner = Pending.line(
            "net.deny", "169.254.169.254", 80, reason: "address", #","detail":"cloud metadata""#)
        let own = Pending.line(
            "net.deny", "git.example.net", 443, reason: "address",
            #","detail":"10.0.0.5: its address is not public (private)""#)
        try Pending.make("one", in: scene, log: Pending.refused("a.example.com") + limit + inner + own)
        let found = try pending(scene)
        #expect(found.count == 4)
        for line in found where line.host != "git.example.net" { #expect(line.command == nil, "\(line)") }
        #expect(found.first { $0.host == "git.example.net" }?.command == "box allow git.example.net")
        let text = try scene.command(["pending"]).text
        #expect(text.contains("the rule *.example.com denies it (box.toml:3)"), "\(text)")
        #expect(text.contains("Raise connections below [network.limits]"), "\(text)")
        #expect(text.contains("only --allow opens it"), "\(text)")
        #expect(text.contains(#"[network.hosts."git.example.net"] private = true"#), "\(text)")
    }

    @Test func `a request that waited and was let in was not refused`() throws {
        let scene = try PolicyScene()
        let held = Pending.line("net.deny", "a.example.com", 443, reason: "host", #","held":60"#)
        let allowed = Pending.line(
            "net.allow", "a.example.com", 443, reason: nil, #","rule":"a.example.com:443""#)
        try Pending.make("one", in: scene, log: held + held + allowed)
        #expect(try pending(scene).map(\.count) == [1])
        try Pending.make("one", in: scene, log: held + allowed)
        #expect(try pending(scene).isEmpty)
    }

    @Test func `damaged sessions and lines are passed over`() throws {
        let scene = try PolicyScene()
        let good = Pending.refused("a.example.com")
        try Pending.make(
            "good", in: scene,
            log: "\u{0}\u{1}\n{\n" + good.dropLast(9) + "\n" + good
                + Pending.refused("half.example.com").dropLast(1))
        try Pending.make("no-log", in: scene, log: nil)
        try Pending.make("bad-record", in: scene, record: "{\"project\":", log: good)
        try FileManager.default.createDirectory(
            atPath: "\(scene.state)/sessions/being-made", withIntermediateDirectories: true)
        let outcome = try scene.command(["pending", "--json"])
        let found = try JSONDecoder().decode([PendingLine].self, from: Data(outcome.out))
        #expect(found.map(\.host) == ["a.example.com"] && found.first?.count == 1, "\(outcome)")
        #expect(outcome.errors.contains("bad-record"), "\(outcome)")
        #expect(outcome.errors.contains("session no-log is passed over"), "\(outcome)")
        #expect(!outcome.errors.contains("being-made"), "\(outcome)")
    }

    @Test func `a log that is no file, and one of somebody's choosing, is not read`() throws {
        let scene = try PolicyScene()
        for name in ["fifo", "link"] { try Pending.make(name, in: scene, log: nil) }
        let sessions = scene.state + "/sessions"
        let made = try Host.shell(
            "mkfifo '\(sessions)/fifo/events.jsonl'; ln -s /dev/zero '\(sessions)/link/events.jsonl'")
        #expect(made.status == 0, "\(made)")
        let outcome = try scene.command(["pending"])
        for name in ["fifo", "link"] {
            #expect(outcome.errors.contains("session \(name) is passed over"), "\(outcome)")
        }
    }

    @Test func `the newest 50 sessions count, and --all counts the others`() throws {
        let scene = try PolicyScene()
        for number in 10..<70 {
            try Pending.make(
                "s\(number)", in: scene, started: "2026-02-03T10:\(number % 60):\(number / 60)0.000Z",
                log: Pending.refused(
                    "s\(number).example.com", minute: number % 60 + 10 > 59 ? 59 : number % 60 + 10))
        }
        #expect(try pending(scene).count == 50)
        #expect(try pending(scene, "--all").count == 60)
    }

    @Test func `text of the sandbox's does nothing to a terminal or a shell`() throws {
        let scene = try PolicyScene()
        let hosts = [
            #"\u001b]0;owned\u0007.example.com"#, #"\u202eexample.com"#, #"$(touch owned).example.com"#,
            #"a;touch owned"#, #"'; touch owned; '.example.com"#, #"-s.example.com"#, #"a\nb.example.com"#,
            #"\u009b2J.example.com"#, String(repeating: "x", count: 5000) + ".com",
        ]
        try Pending.make("one", in: scene, log: hosts.map { Pending.refused($0) }.joined())
        let outcome = try scene.command(["pending"])
        let bad = outcome.text.unicodeScalars.filter {
            ($0.value < 0x20 && $0 != "\n") || (0x7F..<0xA0).contains($0.value) || $0.value == 0x202E
        }
        #expect(bad.isEmpty, "\(outcome)")
        #expect(
            outcome.text.split(separator: "\n").count == 1 + 2 * hosts.count, "one line each, and one below")
        for line in try pending(scene) {
            #expect(line.command == nil, "none of these can be in a rule: \(line)")
        }
    }

    @Test func `lines fit into 80 columns`() throws {
        let scene = try PolicyScene()
        let long = "a-rather-long-name-of-a-host.region-1.example.com"
        try Pending.make(
            "one", in: scene,
            log: ["a.b", "registry.example.com", "10.0.0.7"].map { Pending.refused($0, 8443) }.joined())
        let text = try scene.command(["pending"]).text
        for line in text.split(separator: "\n") { #expect(line.count <= 80, "\(line)") }
        let columns = text.split(separator: "\n").filter { !$0.hasPrefix(" ") }
        #expect(
            Set(columns.map { $0.distance(from: $0.startIndex, to: $0.lastIndex(of: " ") ?? $0.startIndex) })
                .count == 1)
        try Pending.make("one", in: scene, log: Pending.refused(long))
        #expect(try scene.command(["pending"]).text.contains("\n    box allow \(long)\n"))
    }

    @Test func `a very long log takes little memory`() throws {
        let scene = try PolicyScene()
        try Pending.make("long", in: scene, log: "")
        // 100 MB, most of it about connections that were allowed, with 20,000 hosts that were refused.
        let path = "\(scene.state)/sessions/long/events.jsonl"
        let script = """
            import sys
            head = '{"time":"2026-02-03T10:%02d:%02d.%03dZ","session":"long","event":"%s","host":"%s","port":443,"via":"connect"'
            with open(sys.argv[1], "w") as out:
                for n in range(20000):
                    time = (n // 400 % 60, n // 7 % 60, n % 1000)
                    out.write(head % (*time, "net.deny", "h%d.example.com" % n) + ',"reason":"host","detail":"no rule names it"}\\n')
                    other = head % (*time, "net.close", "a.example.com") + ',"rule":"a.example.com:443","bytes_up":1}\\n'
                    out.write(other * 32)
            """
        let made = try Host.run([try #require(Host.program("python3")), "-c", script, path])
        #expect(made.status == 0, "\(made)")
        let size = try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int ?? 0
        #expect(size > 80 << 20, "\(size)")
        // Far less than the log: a limit on data, since address space is reserved and not used.
        let outcome = try scene.box.call(
            ["pending", "--json"], rig: [try #require(Host.program("prlimit")), "--data=\(96 << 20)"],
            within: 60)
        #expect(outcome.status == 0, "\(outcome.errors)")
        let found = try JSONDecoder().decode([PendingLine].self, from: Data(outcome.out))
        #expect(found.count == 2000)
        #expect(outcome.errors.contains("more hosts were refused"), "\(outcome.errors)")
    }
}

extension Door {
    /// PD-01 with real sessions: what the door refuses is what is shown, and the command opens it.
    @Suite(.recorded("PD-01"), .serialized) struct Refused {
        @Test(arguments: Identity.all)
        func `what is refused is shown, for every way out, until it is allowed`(_ identity: Identity) throws {
            row("PD-01")
            let session = try Conversation(
                try Internet.shared.get().box(as: identity),
                options: ["--allow", "private.example.org", "--allow", "index.example.org"])
            func pending() throws -> [PendingLine] {
                let outcome = try session.box.call(["pending", "--json"])
                return try JSONDecoder().decode([PendingLine].self, from: Data(outcome.out))
            }
            try session.say("curl -s -m 5 -k https://github.com/; curl -s -m 5 http://four.example.com:8080/")
            try session.say(
                "curl -s -m 5 --noproxy '*' https://a.example.com/; curl -s -m 5 -k https://private.example.org/"
            )
            try session.say("curl -s -m 5 -k --socks5-hostname 127.0.0.1:1080 https://b.example.com/")
            try session.say("curl -s -m 5 -k https://index.example.org/ -o /dev/null")
            let places = try pending().map { "\($0.host) \($0.port ?? 0) \($0.reason)" }
            #expect(
                Set(places) == [
                    "github.com 443 host", "four.example.com 8080 host", "a.example.com 0 host",
                    "private.example.org 443 address", "b.example.com 443 host",
                ])
            #expect(places.first?.hasPrefix("b.example.com") == true, "\(places)")
            let allowed = try session.box.call(["allow", "github.com", "four.example.com:8080"])
            #expect(allowed.status == 0, "\(allowed)")
            #expect(
                Set(try pending().map(\.host)) == ["a.example.com", "private.example.org", "b.example.com"])
            try session.end()
            let text = try session.box.call(["pending"]).text
            #expect(
                text.contains(#"in box.toml: [network.hosts."private.example.org"] private = true"#),
                "\(text)")
        }
    }
}
