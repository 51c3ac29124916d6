import Foundation
import Testing

/// `box log`: what happened in a session, live and afterwards, and whether somebody touched it.
@Suite(.recorded("OT-03")) struct SessionLog {
    /// Sessions whose programs are not in the log: what is expected here is what else happens.
    private static func scene(
        _ options: [String] = ["--workspace", "overlay", "--net", "none"]
    ) throws -> SessionScene {
        try SessionScene(options + ["--audit", "network"])
    }

    private func lines(_ scene: SessionScene, _ words: String...) throws -> [String] {
        try scene.command(["log"] + words).lines.filter { !$0.hasPrefix("-- ") }
    }

    @Test func `what happened is told in order`() throws {
        let scene = try SessionLog.scene(["--workspace", "overlay"])
        try scene.ended("work", "getent hosts nope.example.com; echo 1 > made; exit 3")
        try scene.command(["apply", "--yes"])
        let all = try lines(scene)
        #expect(all.count >= 4, "\(all)")
        #expect(all.first?.contains("  started    /bin/sh -c ") == true, "\(all)")
        #expect(
            all.contains { $0.contains("  refused    nope.example.com") }, "\(all)")
        #expect(all.contains { $0.contains("  ended      status 3  after ") }, "\(all)")
        #expect(all.last?.hasSuffix("  apply      1 changes") == true, "\(all)")
        #expect(try lines(scene, "work") == all && lines(scene, "w") == all)
        let denied = try lines(scene, "--denied")
        #expect(!denied.isEmpty && denied.allSatisfy { $0.contains("refused") }, "\(denied)")
        #expect(try lines(scene, "--net", "--denied") == lines(scene, "--net"))
        #expect(try lines(scene, "--since", "1h") == all && lines(scene, "--since", "2030-01-01").isEmpty)
        #expect(try scene.command(["log", "--since", "soon"], status: 125).errors.contains("--since soon"))
        let json = try scene.command(["log", "--json"])
        #expect(json.text == (try Host.text(scene.store + "/work/events.jsonl")))
        #expect(try scene.list(["-a"]).first?.refusals ?? 0 > 0)
    }

    @Test func `colours are for terminals that want them`() throws {
        let scene = try SessionLog.scene()
        try scene.ended("work")
        #expect(try scene.onTerminal(["log"], colour: true).text.contains("\u{1b}[1m"))
        #expect(try scene.onTerminal(["log"]).isHarmless)
        #expect(try scene.command(["log"]).isHarmless)
    }

    @Test func `it can be followed until the session ends`() throws {
        let scene = try SessionLog.scene(["--workspace", "none"])
        let running = try scene.running("work")
        let log = try Running(
            [Box.binary, "log", "-f"], environment: scene.box.environment, directory: scene.project,
            streams: .pipes(input: nil))
        try log.expect("started")
        for host in ["one.example.com", "two.example.com"] {
            try scene.command(["allow", "-s", "work", host])
            try log.expect("allow  \(host)")
        }
        #expect(!log.hasEnded)
        running.closeInput()
        #expect(try running.wait().status < 125)
        try log.expect("ended")
        #expect(try log.wait().status == 0)
        // Of one that has ended there is nothing to wait for.
        #expect(try scene.command(["log", "-f", "work"]).text.contains("ended"))
    }

    @Test func `following ends with control-C`() throws {
        let scene = try SessionLog.scene()
        let running = try scene.running("work")
        let log = try Running(
            [Box.binary, "log", "-f"], environment: scene.box.environment, directory: scene.project,
            streams: .terminal(rows: 24, columns: 80))
        try log.expect("started")
        try log.send("\u{3}")
        #expect(try log.wait().status == 130)
        running.closeInput()
        #expect(try running.wait().status < 125)
    }

    @Test func `the chain holds through everything that writes to it`() throws {
        let scene = try SessionLog.scene()
        func events() throws -> Int {
            struct Verdict: Decodable {
                var session: String, whole: Bool, events: Int, line: Int?, reason: String?
            }
            let outcome = try scene.command(["log", "--verify", "--json", "work"])
            let verdict = try JSONDecoder().decode(Verdict.self, from: Data(outcome.out))
            #expect(verdict.whole && verdict.session == "work" && verdict.line == nil)
            return verdict.events
        }
        try scene.ended("work", "echo 1 > a; echo 2 > b")
        #expect(try events() == 2)
        try scene.command(["apply", "a", "--yes"])
        #expect(try events() == 3)
        try scene.command(["undo", "--yes"])
        #expect(try events() == 4)
        #expect(try scene.box.shell("echo 3 > c", options: ["--continue"]).status == 0)
        #expect(try events() == 6)
        let running = try scene.box.start(
            ["/bin/sh", "-c", "echo up; read line"], options: ["--continue"], streams: .openInput)
        try running.expect("up\n")
        #expect(try events() == 7)
        running.closeInput()
        #expect(try running.wait().status < 125)
        try scene.command(["discard", "--yes"])
        #expect(try events() == 9)
        #expect(try scene.command(["log", "--verify"]).answer == "work: 9 events, as they were written")
    }

    @Test(arguments: [
        ("sed -i '2s/exit_status\":0/exit_status\":1/' LOG", 2), ("sed -i 1d LOG", 1), ("sed -i 2d LOG", 2),
        ("sed -i '1{h;d};2G' LOG", 1), ("echo '{}' >> LOG", 4), ("truncate -s -3 LOG", 3), (": > LOG", 1),
        ("sed -i '1{p}' LOG", 2),
    ])
    func `whoever touched it is found out`(_ edit: String, _ line: Int) throws {
        let scene = try SessionLog.scene()
        try scene.ended("work", "echo 1 > a")
        try scene.command(["discard", "--yes"])
        let edited = try Host.shell(
            edit.replacingOccurrences(of: "LOG", with: scene.store + "/work/events.jsonl"))
        #expect(edited.status == 0, "\(edited)")
        let outcome = try scene.command(["log", "--verify"], status: 1)
        #expect(outcome.errors.hasPrefix("box: work: line \(line): ") && outcome.text.isEmpty, "\(outcome)")
        let json = try scene.command(["log", "--verify", "--json"], status: 1)
        #expect(json.text.contains("\"line\": \(line),"), "\(json)")
    }

    @Test func `damaged lines are told of and passed over`() throws {
        let scene = try SessionLog.scene()
        try scene.ended("work")
        let path = scene.store + "/work/events.jsonl"
        let lines = try Host.text(path).split(separator: "\n")
        let junk = ["", "{", "\u{1b}[2J", "{\"event\":\"exec\"}", String(repeating: "y", count: 3 << 20)]
        let text = ([String(lines[0])] + junk + [String(lines[1])]).joined(separator: "\n") + "\n{\"time\""
        try scene.box.scratch.write(text, to: path, mode: 0o600)
        let outcome = try scene.command(["log"])
        #expect(
            outcome.text.contains("started") && outcome.text.contains("ended") && outcome.lines.count == 3)
        #expect(outcome.errors.contains("6 damaged lines were passed over (2, 3, 4, 5, 6 …)"), "\(outcome)")
        #expect(outcome.isHarmless)
        let json = try scene.command(["log", "--json"])
        #expect(json.lines.count == 2 && json.isHarmless, "\(json)")
    }

    @Test(arguments: [
        "ln -sf VICTIM LOG", "rm LOG; mkfifo LOG", "rm LOG; mkdir LOG", "ln -sf VICTIM/none LOG",
    ])
    func `a log that is none is neither read nor written`(_ edit: String) throws {
        row("OT-07")
        let scene = try SessionLog.scene()
        try scene.ended("work", "echo 1 > a")
        let victim = scene.box.scratch.root + "/victim"
        try scene.box.scratch.write("precious\n", to: victim)
        let log = scene.store + "/work/events.jsonl"
        _ = try Host.shell(
            edit.replacingOccurrences(of: "LOG", with: log).replacingOccurrences(of: "VICTIM", with: victim))
        for words in [["log"], ["log", "-f"], ["log", "--verify"], ["log", "--json"]] {
            let outcome = try scene.box.call(words, within: 10)
            #expect(
                outcome.status == 125 && !outcome.timedOut && !outcome.text.contains("precious"), "\(outcome)"
            )
        }
        let again = try scene.box.shell("echo ran", options: ["--continue"])
        #expect(again.status == 125 && again.text.isEmpty && again.errors.contains("log"), "\(again)")
        #expect(try Host.text(victim) == "precious\n")
        let mode = try FileManager.default.attributesOfItem(atPath: victim)[.posixPermissions] as? Int
        #expect(mode == 0o644)
        #expect(!scene.exists(victim + "/none"))
    }

    @Test func `a log of 100 MB takes little memory`() throws {
        let scene = try SessionLog.scene()
        try scene.ended("work")
        let path = scene.store + "/work/events.jsonl"
        let line = try Host.text(path).split(separator: "\n")[1]
        let block = String(repeating: line + "\n", count: 1000)
        let file = try #require(FileHandle(forWritingAtPath: path))
        try file.seekToEnd()
        for _ in 0..<(100_000_000 / block.utf8.count) { try file.write(contentsOf: Data(block.utf8)) }
        try file.write(
            contentsOf: Data((line.replacingOccurrences(of: "session.end", with: "net.deny") + "\n").utf8))
        try file.close()
        let small = ["/bin/sh", "-c", "ulimit -d 49152; exec \"$@\"", "sh"]
        let outcome = try scene.command(["log", "--denied"], rig: small)
        #expect(outcome.lines.count == 2, "\(outcome)")
    }

    @Test func `without a session there is a word about it`() throws {
        let scene = try SessionLog.scene()
        #expect(try scene.command(["log"], status: 125).errors.contains("there is none of this project"))
        #expect(try scene.command(["log", "quinn"], status: 125).errors.contains("box ps -a"))
        try scene.ended("work-1")
        try scene.ended("work-2")
        #expect(try scene.command(["log", "work"], status: 125).errors.contains("work-1 work-2"))
    }

    /// The parts of a session's log, in order.
    private func parts(_ scene: SessionScene) throws -> [String] {
        let all = try FileManager.default.contentsOfDirectory(atPath: scene.store + "/work")
        return all.filter { $0.hasPrefix("events.") }.sorted {
            $0.compare($1, options: .numeric) == .orderedAscending
        }
    }

    @Test(.enabled(if: Box.mutant != nil)) func `a log in many parts is one`() throws {
        var scene = try SessionLog.scene(["--workspace", "overlay"])
        scene.box.executable = try #require(Box.mutant)
        let running = try scene.box.start(
            ["/bin/sh", "-c", "echo up; echo 1 > made; read line"], options: ["--name", "work"],
            environment: ["BOX_LOG_PART": "1500"], streams: .openInput)
        try running.expect("up\n", within: 30)
        let log = try Running(
            [Box.binary, "log", "-f"], environment: scene.box.environment, directory: scene.project,
            streams: .pipes(input: nil))
        try log.expect("started")
        let hosts = (1...40).map { "h\($0).example.com" }
        for host in hosts {
            try scene.command(["allow", "-s", "work", host])
            try log.expect("allow  \(host)")
        }
        running.closeInput()
        #expect(try running.wait().status < 125)
        try log.expect("ended")
        let followed = try log.wait()
        #expect(followed.status == 0)
        let parts = try parts(scene)
        #expect(parts.count > 3 && parts.last == "events.jsonl", "\(parts)")
        // Every line, in order, and once.
        let all = try lines(scene)
        #expect(
            all.filter { $0.contains("  policy  ") }.map { String($0.split(separator: " ").last ?? "") }
                == hosts.map { $0 + ":443" })
        #expect(followed.lines.filter { !$0.hasPrefix("-- ") } == all)
        let json = try scene.command(["log", "--json"]).text
        let texts = try parts.map { try Host.text("\(scene.store)/work/\($0)") }
        #expect(json == texts.joined())
        #expect(
            try scene.command(["log", "--verify"]).answer == "work: \(all.count) events, as they were written"
        )
        #expect(try lines(scene, "--since", "1h") == all)
        // A later command goes on with the last part.
        try scene.command(["apply", "--yes"])
        #expect(try lines(scene).last?.contains("  apply  ") == true)
        #expect(try scene.command(["log", "--verify"]).status == 0)
        try scene.box.scratch.write("", to: "\(scene.store)/work/\(parts[1])", mode: 0o600)
        #expect(try scene.command(["log", "--verify"], status: 1).errors.contains("box: work: line "))
        try FileManager.default.removeItem(atPath: "\(scene.store)/work/\(parts[1])")
        let missing = try scene.command(["log", "--verify"], status: 1)
        #expect(missing.errors.contains("\(parts[1]) is missing"), "\(missing)")
        try scene.command(["rm", "--force", "work"])
        #expect(try scene.names.isEmpty)
    }

    @Test(.enabled(if: Box.mutant != nil)) func `a storm of programs and of refusals is counted`() throws {
        var scene = try SessionScene(["--workspace", "none"])
        scene.box.executable = try #require(Box.mutant)
        let script = """
            ask() { exec 3<>/dev/tcp/127.0.0.1/3128; printf 'CONNECT %s HTTP/1.1\\r\\nHost: %s\\r\\n\\r\\n' "$1" "$1" >&3
                read -r line <&3; exec 3>&-; }
            for i in {1..400}; do /bin/true; done; for i in {1..300}; do ask h$i.example:443; done
            """
        let outcome = try scene.command(
            ["run"] + scene.box.options + ["--name", "storm", "--json", "--", "/bin/bash", "-c", script],
            environment: ["BOX_LOG_BURST": "50"])
        #expect(outcome.text.contains("\"started\": 401"), "\(outcome)")
        var (starts, started, ends, refusals, refused) = (0, 0, 0, 0, 0)
        for line in try Host.text(scene.store + "/storm/events.jsonl").split(separator: "\n") {
            let event = try JSONDecoder().decode(Counted.self, from: Data(line.utf8))
            switch event.event {
            case "exec": (starts, started) = (starts + 1, started + (event.count ?? 1))
            case "exec.end": ends += 1
            case "net.deny": (refusals, refused) = (refusals + 1, refused + (event.count ?? 1))
            default: continue
            }
        }
        // Ten a second come on top, and what was only counted.
        #expect(started == 401 && (51..<200).contains(starts), "\(started) \(starts)")
        #expect(refused == 300 && (51..<250).contains(refusals), "\(refused) \(refusals)")
        #expect(ends < starts)
        #expect(try scene.command(["log", "--verify", "storm"]).status == 0)
        #expect(try scene.command(["log", "storm"]).text.contains(" times"))
        #expect(try scene.list(["-a"]).first?.refusals == 300)
    }

    /// What an event says of how many it stands for.
    private struct Counted: Decodable { var event: String, count: Int? }

    @Test func `on a full disk a session does not go on unseen, and its changes are kept`() throws {
        let scene = try SessionLog.scene(["--workspace", "overlay"])
        // Its own changes fill the disk that the log is on.
        let script = """
            echo kept > kept; head -c 30M /dev/zero > big 2>/dev/null; echo full
            ask() { exec 3<>/dev/tcp/127.0.0.1/3128; printf 'CONNECT %s HTTP/1.1\\r\\nHost: %s\\r\\n\\r\\n' "$1" "$1" >&3
                head -n 1 <&3; exec 3>&-; }
            for i in $(seq 500); do ask h$i.example:443; done; echo end
            """
        let outer = """
            run='\(scene.box.executable)'; $run run --workspace overlay --name work -- /bin/bash -c "$0"; echo "status $?"
            $run ps -a; $run log work | tail -n 1; $run log --verify work; $run diff -s work --name-only --no-pager
            """
        let running = try Running(
            [
                try Tools.rig.get(), "--tmpfs", scene.box.scratch.state + "=6m", "--", "/bin/sh", "-c", outer,
                script,
            ],
            environment: scene.box.environment, directory: scene.project, streams: .pipes(input: nil))
        let outcome = try running.wait(within: 60)
        let text = outcome.text
        #expect(text.contains("full\n") && !text.contains("end\n"), "\(outcome)")
        #expect(
            outcome.errors.contains("cannot write the session's log")
                && outcome.errors.contains("No space left"),
            "\(outcome)")
        #expect(outcome.errors.contains("What was changed is kept: box diff -s work"), "\(outcome)")
        #expect(text.contains("status 125") && text.contains("as they were written"), "\(outcome)")
        #expect(text.contains("big\n") && text.contains("kept\n"), "\(outcome)")
    }
}
