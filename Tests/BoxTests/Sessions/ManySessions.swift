import Foundation
import Testing

/// Many sessions on one project at the same time, each with programs, changes and refusals of its own.
@Suite(.recorded("RC-01")) struct ManySessions {
    private static let count = 50
    private static let rounds = 25

    private struct Line: Decodable {
        var session: String
        var event: String
        var path: String?
        var host: String?
        var count: Int?
        var exitStatus: Int?
    }

    private func lines(_ scene: SessionScene, _ name: String) throws -> [Line] {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try Host.text("\(scene.store)/\(name)/events.jsonl").split(separator: "\n").map {
            try decoder.decode(Line.self, from: Data($0.utf8))
        }
    }

    @Test func `fifty of them get in nobody's way, and leave nothing behind`() throws {
        let scene = try SessionScene(["--workspace", "overlay"])
        try scene.box.scratch.write("as it was\n", to: scene.project + "/shared")
        let mounts = try Host.mounts()
        let names = (0..<Self.count).map { "many-\($0)" }
        let script = """
            for i in $(seq 1 \(Self.rounds)); do
                /bin/true; echo "$BOX_SESSION $i" >> shared; echo $i > "new-$i"
                getent hosts "host-$i.example.com" > /dev/null
            done
            read line; exit 7
            """
        for name in names {
            let begun = try scene.box.call(
                ["run"] + scene.box.options + ["--detach", "--name", name, "--", "/bin/sh", "-c", script])
            #expect(begun.status == 0 && begun.text == name + "\n", "\(begun)")
        }
        defer { for name in names { _ = try? scene.box.call(["stop", "--kill", name]) } }
        let own = try Host.shell("realpath /bin/true").text.trimmingCharacters(in: .newlines)
        #expect(
            try Host.eventually(within: 180) {
                try names.allSatisfy {
                    try Host.text("\(scene.store)/\($0)/events.jsonl").contains("host-\(Self.rounds).")
                }
            })
        let listed = try scene.list()
        #expect(Set(listed.map(\.id)) == Set(names) && listed.allSatisfy { $0.state == "running" })
        #expect(listed.allSatisfy { $0.processes ?? 0 >= 3 })
        // A supervisor that does not answer at once is listed without what only it knows.
        #expect(
            try Host.eventually { try scene.list().allSatisfy { ($0.refusals ?? 0) >= Self.rounds } })
        let supervisors = listed.compactMap(\.supervisor)
        #expect(try Host.text(scene.project + "/shared") == "as it was\n")

        let stopped = try scene.box.call(["stop", "--time", "20s"] + names, within: 120)
        #expect(stopped.status == 0, "\(stopped)")
        #expect(!stopped.errors.contains("was killed"), "\(stopped)")
        for name in names {
            let all = try lines(scene, name)
            #expect(all.allSatisfy { $0.session == name })
            #expect(all.count { $0.event == "exec" && $0.path == own } == Self.rounds, "\(name)")
            #expect(
                all.count { $0.event == "exec.end" && $0.path == own && $0.exitStatus == 0 } == Self.rounds)
            let refused = Set(all.filter { $0.event == "net.deny" }.compactMap(\.host))
            #expect(refused.count == Self.rounds, "\(name): \(refused)")
            #expect(all.first?.event == "session.start")
            #expect(all.last?.event == "session.end", "\(name): \(all.suffix(3))")
            #expect(try scene.command(["log", "--verify", name]).text.contains("as they were written"))
            let stage = try Host.text("\(scene.store)/\(name)/stage/0/upper/shared")
            #expect(stage.hasPrefix("as it was\n\(name) 1\n") && stage.hasSuffix("\(name) \(Self.rounds)\n"))
        }
        let ended = try scene.list(["-a"])
        #expect(ended.count == Self.count && ended.allSatisfy { $0.changes == Self.rounds + 1 })
        #expect(supervisors.count == Self.count)
        #expect(Host.eventually { supervisors.allSatisfy { kill($0, 0) != 0 } })
        #expect(try Host.mounts() == mounts)
        #expect(try scene.box.call(["rm", "--force"] + names).status == 0)
        #expect(try scene.names.isEmpty)
        #expect(try Host.text(scene.project + "/shared") == "as it was\n")
    }

    @Test func `of two that want one name one gets it`() throws {
        let scene = try SessionScene(["--workspace", "none"])
        let both = try (0..<2).map { _ in
            try scene.box.start(["/bin/sh", "-c", "exit 0"], options: ["--name", "same"])
        }
        let outcomes = try both.map { try $0.wait(within: 60) }
        let refused = outcomes.filter { $0.status == 125 }
        // The second may come when the first has ended, and is refused all the same.
        #expect(outcomes.count { $0.status == 0 } == 1 && refused.count == 1, "\(outcomes)")
        #expect(refused.first?.errors.contains("same") == true)
    }

    @Test func `a clock that jumps changes nothing but the times`() throws {
        let scene = try SessionScene(["--workspace", "none"])
        try scene.ended("first", "/bin/true")
        try scene.edit("first", "\"started\": \"20", "\"started\": \"21")
        try scene.ended("second", "/bin/true")
        #expect(try Set(scene.list(["-a"]).map(\.id)) == ["first", "second"])
        #expect(try scene.command(["ps", "-a"]).text.contains("first"))
        #expect(try scene.command(["log", "--verify", "first"]).status == 0)
    }
}
