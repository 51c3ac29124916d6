import Foundation
import Testing

/// The log has every program that starts inside, however it is started, and how it ended.
@Suite(.recorded("OT-03")) struct ProgramAudit {
    /// One line of the log that is about a program.
    private struct Program: Decodable {
        var event: String
        var pid: Int
        var parent: Int?
        var path: String?
        var arguments: [String]?
        var omitted: Int?
        var cwd: String?
        var exitStatus: Int?
        var signal: Int?
        var ms: Int?
        var insteadOf: String?
        var hidden: Bool?
    }

    private func programs(_ scene: SessionScene, _ name: String) throws -> [Program] {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try scene.command(["log", "--exec", "--json", name]).lines.map {
            try decoder.decode(Program.self, from: Data($0.utf8))
        }
    }

    private func starts(_ scene: SessionScene) throws -> String {
        let path = scene.project + "/starts"
        try FileManager.default.copyItem(atPath: try Tools.starts.get(), toPath: path)
        return path
    }

    private static func real(_ path: String) throws -> String {
        try Host.shell("realpath '\(path)'").text.trimmingCharacters(in: .newlines)
    }

    @Test(arguments: ["overlay", "direct", "none"])
    func `each program is there with its words, place, parent and end`(workspace: String) throws {
        let scene = try SessionScene(["--workspace", workspace])
        try scene.ended(
            "work",
            """
            mkdir -p below; cd below; /bin/echo one 'two  three' "" > /dev/null; /bin/sh -c 'exit 7'
            /bin/sh -c 'kill -9 $$'; :; cd ..
            """)
        let all = try programs(scene, "work")
        let begun = all.filter { $0.event == "exec" }
        let shell = try #require(begun.first)
        let echo = try #require(begun.first { $0.arguments?.first == "/bin/echo" })
        #expect(try echo.path == Self.real("/bin/echo"))
        #expect(try shell.path == Self.real("/bin/sh"))
        #expect(echo.arguments == ["/bin/echo", "one", "two  three", ""])
        #expect(echo.cwd == (workspace == "none" ? "/tmp" : scene.project) + "/below")
        #expect(echo.parent == shell.pid && shell.pid == 2 && shell.parent == 1)
        let ends = all.filter { $0.event == "exec.end" }
        #expect(ends.count == begun.count, "\(all)")
        #expect(ends.map(\.exitStatus).contains(7) && ends.contains { $0.signal == 9 })
        #expect(
            ends.allSatisfy { $0.ms.map { $0 >= 0 } ?? false && ($0.exitStatus != nil || $0.signal != nil) })
        #expect(ends.last?.pid == 2)
        let text = try scene.command(["log", "work"])
        #expect(text.text.contains("exec       /bin/echo one 'two  three' ''  ["))
        #expect(text.text.contains("status 7") && text.text.contains("signal 9"))
    }

    @Test func `what is written down is for the user to say`() throws {
        let scene = try SessionScene(["--workspace", "overlay"])
        let script = "getent hosts nope.example.com; /bin/true"
        for (level, hasPrograms, hasNetwork) in [
            ("full", true, true), ("network", false, true), ("off", false, false),
        ] {
            try scene.ended(level, script, ["--audit", level])
            let log = try scene.command(["log", "--json", level]).text
            #expect(log.contains("\"event\":\"exec\"") == hasPrograms, "\(log)")
            #expect(log.contains("\"event\":\"net.deny\"") == hasNetwork, "\(log)")
            #expect(log.contains("\"event\":\"session.end\""))
        }
        #expect(try scene.box.shell(":", options: ["--audit", "some"]).status == 125)
        // A project may ask for more, and not for less.
        try scene.box.scratch.write("[audit]\nlevel = \"off\"\n", to: scene.project + "/box.toml")
        try scene.ended("asked", "/bin/true")
        #expect(try !programs(scene, "asked").isEmpty)
    }

    @Test(arguments: [
        "thread", "vfork", "spawn", "directory", "descriptor", "memory", "hidden", "allow", "trace", "log",
    ])
    func `however it is started`(way: String) throws {
        let scene = try SessionScene()
        let tool = try starts(scene)
        let outside = try Host.run([tool, way])
        let inside = try scene.box.run([tool, way], options: ["--name", "work"])
        #expect(inside.status == outside.status && inside.text == outside.text, "\(inside)")
        let begun = try programs(scene, "work").filter { $0.event == "exec" }.dropFirst()
        let path = way == "memory" ? "/memfd:nameless (deleted)" : try Self.real("/bin/echo")
        // Once, whatever is known of it: a program that ends at once may be gone before it can be looked at.
        #expect(begun.count == 1, "\(begun)")
        let isSeen = begun.first?.path == path && begun.first?.arguments == ["echo", "started"]
        #expect(isSeen || way == "hidden" && begun.first?.hidden == true, "\(begun)")
    }

    @Test func `a program of a closed process is seen when it stays`() throws {
        let scene = try SessionScene()
        let tool = try starts(scene)
        #expect(
            try scene.box.run([tool, "hidden", "/bin/sleep", "0.5"], options: ["--name", "work"]).status == 0)
        let begun = try programs(scene, "work").filter { $0.event == "exec" }
        #expect(begun.last?.path == (try Self.real("/bin/sleep")), "\(begun)")
    }

    @Test func `nobody inside can answer these calls in box's place`() throws {
        let scene = try SessionScene()
        let tool = try starts(scene)
        #expect(try Host.run([tool, "listener"]).status == 0)
        #expect(try scene.box.run([tool, "listener"]).status == 16)
        // Without the audit and without a staged view there is no listener.
        let bare = ["--audit", "network", "--workspace", "direct"]
        #expect(try scene.box.run([tool, "listener"], options: bare).status == 0)
    }

    @Test func `a program that is refused says the same as outside, and is not there`() throws {
        let scene = try SessionScene()
        let tool = try starts(scene)
        try scene.box.scratch.write("text", to: scene.project + "/text")
        try FileManager.default.createSymbolicLink(
            atPath: scene.project + "/ring", withDestinationPath: scene.project + "/ring")
        let long = "./" + String(repeating: "x", count: 300)
        let paths = [
            "/nope", "", "/bin", "text", "./text/more", "ring", long, String(repeating: "/x", count: 2047),
            ".",
        ]
        let outside = try Host.run([tool, "refused"] + paths, directory: scene.project)
        let inside = try scene.box.run([tool, "refused"] + paths, options: ["--name", "work"])
        #expect(outside.lines.count == paths.count + 1)
        #expect(inside.text == outside.text)
        #expect(try programs(scene, "work").count { $0.event == "exec" && $0.hidden != true } == 1)
    }

    @Test func `ten thousand programs are all there`() throws {
        let scene = try SessionScene()
        let outcome = try scene.box.run(
            [try starts(scene), "storm", "10000"], options: ["--name", "work"], within: 240)
        #expect(outcome.status == 0, "\(outcome)")
        let all = try programs(scene, "work")
        let own = try Self.real("/bin/true")
        #expect(all.count { $0.event == "exec" && $0.path == own } == 10_000)
        #expect(all.count { $0.event == "exec.end" && $0.path == own && $0.exitStatus == 0 } == 10_000)
        #expect(try scene.command(["log", "--verify", "work"]).text.contains("as they were written"))
    }

    /// A path that changes between what box reads and what the kernel reads.
    @Test func `a program that runs in place of the one that was asked for is seen`() throws {
        let scene = try SessionScene()
        let tool = try starts(scene)
        let (asked, meant) = (scene.project + "/asked", scene.project + "/meant")
        try FileManager.default.copyItem(atPath: Self.real("/bin/true"), toPath: asked)
        // Long enough to be seen: what it starts is another program.
        try scene.box.scratch.write("x", to: scene.project + "/x")
        try FileManager.default.copyItem(atPath: try Tools.probe.get(), toPath: meant)
        let outcome = try scene.box.run(
            [tool, "race", "200", asked, meant], options: ["--name", "work"], within: 120)
        #expect(outcome.status == 0, "\(outcome)")
        let all = try programs(scene, "work")
        // Each start is there, under one name or the other; nothing stalls, and the chain holds.
        let begun = all.filter { $0.event == "exec" && $0.arguments == ["race"] }
        let failed = try #require(outcome.lines.last.flatMap { Int($0) })
        #expect(failed < 200 && begun.count >= 200 - failed && begun.count <= 200, "\(failed) failed")
        #expect(begun.allSatisfy { [asked, meant].contains($0.path) || $0.hidden == true })
        #expect(try scene.command(["log", "--verify", "work"]).text.contains("as they were written"))
    }

    @Test func `what a name has in it does no harm to a terminal`() throws {
        let scene = try SessionScene()
        let name = "a\u{1b}]0;title\u{7}b\u{202e}\n{\"event\":\"net.allow\"}"
        try scene.ended("work", "cp /bin/true './\(name)'; './\(name)' '\u{1b}[2J'")
        let text = try scene.onTerminal(["log", "work"])
        #expect(text.isHarmless, "\(text)")
        let ran = try programs(scene, "work").filter { $0.path == scene.project + "/" + name }
        #expect(ran.count == 2)
        #expect(try scene.command(["log", "--net", "work"]).text.isEmpty)
    }

    @Test func `long command lines are cut, and say so`() throws {
        let scene = try SessionScene()
        try scene.ended("work", "/bin/true $(seq 1 5000); /bin/true $(printf '%0100000d' 7)")
        let begun = try programs(scene, "work").filter {
            $0.event == "exec" && $0.arguments?.first == "/bin/true"
        }
        #expect(begun.count == 2)
        let many = try #require(begun.first)
        #expect((many.arguments?.count ?? 0) + (many.omitted ?? 0) == 5001)
        #expect(begun.last?.arguments?.last?.hasSuffix("…") == true)
        #expect(begun.last?.arguments?.last?.utf8.count ?? 0 < 4096)
    }

    /// The calls wait for process 1; if the supervisor is killed nobody would answer.
    @Test func `nothing stalls when the supervisor is killed in the middle of it`() throws {
        let scene = try SessionScene()
        let tool = try starts(scene)
        let running = try scene.box.start(
            ["/bin/sh", "-c", "echo up; \(tool) storm 1000000"], options: ["--name", "work"])
        try running.expect("up\n", within: 30)
        let log = scene.store + "/work/events.jsonl"
        #expect(Host.eventually(within: 30) { (try? Host.text(log).contains("/true")) == true })
        let inside = Host.descendants(of: running.pid).map(\.pid)
        #expect(!inside.isEmpty)
        running.signal(SIGKILL)
        _ = try running.wait()
        #expect(Host.eventually { inside.allSatisfy { kill($0, 0) != 0 } })
        #expect(try scene.list(["-a"]).first?.state == "interrupted")
        // What was written until then is whole, but for a last line that may be cut off.
        let verdict = try scene.box.call(["log", "--verify", "work"])
        #expect(verdict.status == 0 || verdict.text.contains("its end is missing"), "\(verdict)")
    }
}
