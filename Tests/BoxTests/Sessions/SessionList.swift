import Foundation
import Testing

/// `box ps`: what runs, what has ended, and what cannot be told.
@Suite(.recorded("OT-01")) struct SessionList {
    @Test func `a session that runs is listed with what it does`() throws {
        let scene = try SessionScene()
        #expect(try scene.list().isEmpty)
        let running = try scene.running("quinn", "echo 1 > one; echo 2 > two; echo made; read line; exit 4")
        try running.expect("made\n")
        let one = try #require(try scene.list().first)
        #expect(try scene.list().count == 1)
        #expect(one.id == "quinn" && one.name == "quinn" && one.state == "running" && one.agent == nil)
        #expect(one.project == scene.project && one.workspace == "overlay" && one.command.first == "/bin/sh")
        #expect(one.ended == nil && one.exitStatus == nil && one.changes == 2 && one.refusals == 0, "\(one)")
        #expect(one.supervisor == running.pid && (one.processes ?? 0) >= 3 && one.memoryBytes ?? 0 > 100_000)
        #expect(one.cpuMs != nil)
        let table = try scene.command(["ps"])
        #expect(table.lines.count == 2 && table.lines[0].hasPrefix("ID "), "\(table)")
        #expect(
            table.lines[1].hasPrefix("quinn ") && table.lines[1].hasSuffix(" " + scene.project), "\(table)")
        running.closeInput()
        #expect(try running.wait().status == 4)
        #expect(try scene.list().isEmpty)
        #expect(try scene.command(["ps"]).errors.contains("box ps -a"))
        let ended = try #require(try scene.list(["-a"]).first)
        #expect(ended.state == "finished" && ended.exitStatus == 4 && ended.changes == 2, "\(ended)")
        #expect(ended.ended != nil && ended.supervisor == nil && ended.memoryBytes == nil)
        #expect(try scene.command(["ps", "--all"]).lines.last?.contains("finished (4)") == true)
    }

    @Test func `changes are those that wait`() throws {
        let scene = try SessionScene()
        try scene.ended("work", "for i in 1 2 3; do echo $i > $i; done")
        func changes() throws -> Int? { try #require(try scene.list(["-a"]).first).changes }
        #expect(try changes() == 3)
        try scene.command(["apply", "1", "--yes"])
        #expect(try changes() == 2)
        try scene.command(["apply", "--yes"])
        #expect(try changes() == 0)
        try scene.command(["undo", "--yes"])
        #expect(try changes() == 2)
        try scene.command(["discard", "--yes"])
        #expect(try changes() == 0)
        try scene.ended("direct", ":", ["--workspace", "direct"])
        #expect(try #require(try scene.list(["-a"]).first { $0.id == "direct" }).changes == nil)
    }

    @Test func `only the sessions of a project are listed when one is named`() throws {
        let scene = try SessionScene()
        try scene.ended("here")
        let other = scene.box.scratch.home + "/other"
        try FileManager.default.createDirectory(atPath: other, withIntermediateDirectories: false)
        try scene.ended("there", ":", ["-C", other])
        #expect(Set(try scene.list(["-a"]).map(\.id)) == ["here", "there"])
        #expect(try scene.list(["-a", "-C", "."]).map(\.id) == ["here"])
        #expect(try scene.list(["-a", "-C", other]).map(\.id) == ["there"])
        #expect(try scene.command(["ps", "-a"]).text.contains(" ~/other\n"))
        #expect(try scene.command(["ps", "-C", other + "/none"], status: 125).errors.contains("none"))
    }

    @Test func `a second session of a name is refused while the first runs and afterwards`() throws {
        let scene = try SessionScene()
        let first = try scene.running("quinn")
        let second = try scene.box.shell("echo ran", options: ["--name", "quinn"])
        #expect(second.status == 125 && second.text.isEmpty, "\(second)")
        #expect(second.errors.contains("a session quinn runs already. Choose another --name"), "\(second)")
        first.closeInput()
        #expect(try first.wait().status < 125)
        let third = try scene.box.shell("echo ran", options: ["--name", "quinn"])
        #expect(third.status == 125 && third.errors.contains("or remove it: box rm quinn"), "\(third)")
        try scene.command(["rm", "quinn"])
        #expect(try scene.box.shell("echo ran", options: ["--name", "quinn"]).answer == "ran")
    }

    @Test func `one whose supervisor was killed is interrupted and its changes are there`() throws {
        let scene = try SessionScene()
        let running = try scene.running("gone", "echo 1 > made; echo made; read line")
        try running.expect("made\n")
        // Then its stage is noted as one that waits.
        #expect(Host.eventually { scene.exists(scene.box.scratch.state + "/box/waiting") })
        running.signal(SIGKILL)
        #expect(try running.wait().status == 137)
        #expect(try scene.list().isEmpty)
        let one = try #require(try scene.list(["-a"]).first)
        #expect(one.state == "interrupted" && one.changes == 1 && one.ended == nil, "\(one)")
        #expect(try scene.command(["diff", "--name-only"]).answer == "made")
        #expect(try scene.command(["log", "--verify"]).status == 0)
        try scene.command(["rm", "gone"], status: 1)
        try scene.command(["apply", "--yes"])
        #expect(scene.exists(scene.project + "/made"))
        try scene.command(["rm", "gone", "--force"])
        #expect(try scene.names.isEmpty)
    }

    @Test func `a thousand sessions are listed at once`() throws {
        let scene = try SessionScene()
        for number in 0..<1000 {
            let name = "s-\(number)"
            try scene.put(name, record: SessionScene.record(name), log: "{}\n")
        }
        let running = try scene.running("quinn")
        // How long it takes is for make bench to say.
        #expect(try scene.list().map(\.id) == ["quinn"])
        #expect(try scene.list(["-a"]).count == 1001)
        running.closeInput()
        #expect(try running.wait().status < 125)
        #expect(try scene.command(["prune", "--json"]).text.components(separatedBy: "\"id\"").count == 1001)
        #expect(try scene.names == ["quinn"])
    }

    @Test func `whatever is in the store, it is listed, and it can be removed`() throws {
        row("OT-03")
        let scene = try SessionScene()
        let record = SessionScene.record("x")
        try scene.put("none", record: nil)
        try scene.put("empty", record: "")
        try scene.put("half", record: String(record.prefix(90)))
        try scene.put("list", record: "[1,2]")
        try scene.put("deep", record: String(repeating: "[", count: 200_000))
        try scene.put(
            "future", record: record.replacingOccurrences(of: "\"version\":1", with: "\"version\":9"))
        try scene.put("escapes", record: "\u{1b}]0;owned\u{7}")
        try scene.put("Bad\u{1b}[2J\u{202e}", record: record)
        try scene.put(
            "fine", record: record.replacingOccurrences(of: "/nowhere", with: "/p\\u001b[2J\\u202e"))
        try scene.put("linked", record: nil)
        try scene.put("waits", record: nil)
        _ = try Host.shell(
            """
            cd \(scene.store) && ln -s /etc/passwd linked/session.json && mkfifo waits/session.json waits/lock
            ln -s /etc alias; ln -s nothing dangling; : > file; mkdir mode; chmod 0 mode
            dd if=/dev/zero of=none/session.json bs=1M count=3 2>/dev/null
            """)
        let listed = try scene.list(["-a"])
        #expect(listed.count == 15, "\(listed.map(\.id))")
        #expect(listed.filter { $0.state != "damaged" }.map(\.id) == ["fine"], "\(listed)")
        #expect(listed.allSatisfy { $0.state != "damaged" || $0.damage?.isEmpty == false })
        for outcome in [try scene.command(["ps", "-a"]), try scene.onTerminal(["ps", "-a"])] {
            #expect(outcome.status == 0 && outcome.isHarmless && outcome.lines.count == 16, "\(outcome)")
        }
        for command in [
            ["log", "half"], ["log", "alias"], ["log", "waits"], ["stop", "half"],
            ["log", "none", "--verify"],
        ] {
            let outcome = try scene.box.call(command, within: 10)
            #expect(
                !outcome.timedOut && [1, 125].contains(outcome.status) && outcome.isHarmless, "\(outcome)")
        }
        #expect(try scene.command(["ps"]).lines.isEmpty)
        for one in listed { try scene.command(["rm", one.id]) }
        #expect(try scene.names.isEmpty)
        #expect(scene.exists("/etc/passwd"))
    }

    @Test func `names and commands cannot do anything to a terminal`() throws {
        row("OT-01")
        let scene = try SessionScene()
        let evil = "\u{1b}[2J\u{1b}]0;t\u{7}\u{9b}1m\u{202e}\u{200b}\n"
        _ = try scene.box.run(["/bin/sh", "-c", ":", evil], options: ["--name", "odd"])
        for words in [
            ["ps", "-a"], ["log"], ["log", "--json"], ["log", "--verify"], ["log", evil], ["rm", evil],
        ] {
            let outcome = try scene.onTerminal(words)
            #expect(outcome.isHarmless && !outcome.text.isEmpty, "\(words): \(outcome)")
        }
        let data = try scene.command(["log", "--json"])
        struct Event: Decodable { var event: String, command: [String]? }
        let first = try JSONDecoder().decode(Event.self, from: Data(data.lines[0].utf8))
        #expect(first.command?.last == evil)
    }

    @Test func `a narrow terminal gets no line that is longer`() throws {
        let scene = try SessionScene()
        try scene.ended("work")
        for columns in [1, 2, 20, 80] {
            let running = try Running(
                [Box.binary, "ps", "-a"],
                environment: scene.box.environment.merging(["NO_COLOR": "1"]) { $1 },
                directory: scene.project, streams: .terminal(rows: 5, columns: columns))
            let outcome = try running.wait()
            #expect(outcome.status == 0 && outcome.lines.allSatisfy { $0.count <= columns }, "\(outcome)")
            #expect(outcome.lines.count == 2, "\(outcome)")
        }
    }

    @Test func `sessions begin undisturbed while they are looked at`() throws {
        let scene = try SessionScene(["--workspace", "none", "--net", "none"])
        let watching = try Running(
            [
                "/bin/sh", "-c",
                "while [ ! -e \(scene.box.scratch.root)/stop ]; do \"$@\" >/dev/null || exit 9; done", "sh",
                Box.binary, "ps", "-a",
            ],
            environment: scene.box.environment, directory: scene.project, streams: .pipes(input: nil))
        for round in 0..<5 {
            let started = try (0..<6).map { number in
                try scene.box.start(
                    ["/bin/sh", "-c", "echo up"], options: ["--name", "s-\(round)-\(number)"])
            }
            for running in started {
                let outcome = try running.wait()
                #expect(outcome.status == 0 && outcome.answer == "up", "\(outcome)")
            }
        }
        try scene.box.scratch.write("", to: scene.box.scratch.root + "/stop")
        #expect(try watching.wait().status == 0)
        #expect(try scene.list(["-a"]).count { $0.state == "finished" } == 30)
    }
}
