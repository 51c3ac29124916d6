import BoxPolicy
import BoxTypes
import Testing

/// How layers become one policy.
struct PolicyLayerTests {
    private func layer(_ text: String, name: String = "test") throws -> PolicyLayer {
        try PolicyReader.read(Array(text.utf8), file: name)
    }

    private func merged(_ texts: String...) throws -> Policy {
        Policy(merging: try texts.map { try layer($0) })
    }

    @Test func `no layer allows nothing`() {
        let policy = Policy(merging: [])
        #expect(policy == Policy())
        #expect(policy.network.allow.isEmpty && policy.files.read.isEmpty && policy.environment.pass.isEmpty)
        #expect(policy.protections.acceptMissing.isEmpty)
    }

    @Test func `a layer that says nothing changes nothing`() throws {
        let everything = try Fixture.text("good/everything.toml")
        #expect(try merged(everything, "") == merged(everything))
        #expect(try merged("", everything) == merged(everything))
        #expect(try merged(everything, everything) == merged(everything))
    }

    @Test func `single values of a higher layer replace a lower one's`() throws {
        let policy = try merged(
            "network.mode = \"proxy\"\nlimits = { memory = \"1GB\", processes = 10, time = \"1h\" }",
            "limits = { memory = \"50%\" }",
            "network.mode = \"none\"\nworkspace.mode = \"none\"\nsyscalls.profile = \"strict\"\nlimits = { time = 5 }"
        )
        #expect(policy.network.mode == .none)
        #expect(policy.workspace.mode == .none)
        #expect(policy.syscalls.profile == "strict")
        #expect(policy.limits.memory == .percentOfRAM(50))
        #expect(policy.limits.processes == 10)
        #expect(policy.limits.time == .seconds(5))
    }

    @Test func `lists are united in order and without repetition`() throws {
        let policy = try merged(
            "network.allow = [\"a.example.com\", \"b.example.com\"]\nfiles.read = [\"/a\"]",
            "network.allow = [\"b.example.com\", \"c.example.com\"]\nfiles = { read = [\"/b\", \"/a\"], write = [\"/c\"] }"
        )
        let expected = try ["a.example.com", "b.example.com", "c.example.com"].map { try HostRule($0) }
        #expect(policy.network.allow == expected)
        #expect(policy.files.read == ["/a", "/b"])
        #expect(policy.files.write == ["/c"])
    }

    @Test func `accepted shortfalls are united`() throws {
        let policy = try merged(
            "protections.accept_missing = [\"memory-limit\"]", "protections.accept_missing = [\"cpu-limit\"]")
        #expect(policy.protections.acceptMissing == [.memoryLimit, .cpuLimit])
    }

    @Test func `a denied host stays denied whichever layer allows it`() throws {
        let deny = "network.deny = [\"gist.example.com\"]"
        let allow = "network.allow = [\"gist.example.com\", \"ok.example.com\"]"
        for policy in [try merged(deny, allow), try merged(allow, deny)] {
            #expect(policy.network.deny == [try HostRule("gist.example.com")])
            #expect(policy.network.allow == [try HostRule("ok.example.com")])
        }
    }

    @Test func `the highest layer says whether a variable is passed or set`() throws {
        let pass = "environment.pass = [\"CI\", \"KEY\"]"
        let set = "environment.set = { CI = \"1\" }"
        let setLast = try merged(pass, set).environment
        #expect(setLast.pass == ["KEY"] && setLast.set == ["CI": "1"])
        let passLast = try merged(set, pass).environment
        #expect(passLast.pass == ["CI", "KEY"] && passLast.set == [:])
    }

    @Test func `a higher layer's command takes the place of a script`() throws {
        let script = "[agent]\nname = \"a\"\nsummary = \"s\"\nscript = \"true\""
        let command = "[agent]\nname = \"b\"\ncommand = [\"c\"]"
        let commandLast = try #require(try merged(script, command).agent)
        #expect(commandLast.command == ["c"] && commandLast.script == nil)
        #expect(commandLast.name == "b" && commandLast.summary == "s")
        let scriptLast = try #require(try merged(command, script).agent)
        #expect(scriptLast.command == [] && scriptLast.script == "true")
    }

    @Test func `a profile builds on base, and on what it extends`() throws {
        let base = try layer("", name: "base")
        let library = try [
            "middle": layer("extends = \"low\"", name: "middle"), "low": layer("", name: "low"),
        ]
        let top = try layer("extends = \"middle\"", name: "top")
        let chain = try top.chain(base: base) { name throws(PolicyErrors) in library[name] }
        #expect(chain.map(\.name) == ["base", "low", "middle", "top"])
        let plain = try layer("", name: "plain").chain(base: base) { _ throws(PolicyErrors) in nil }
        #expect(plain.map(\.name) == ["base", "plain"])
    }

    @Test func `policies that extend each other in a circle are refused`() throws {
        let base = try layer("", name: "base")
        let library = try [
            "a": layer("extends = \"b\"", name: "a.toml"), "b": layer("extends = \"a\"", name: "b.toml"),
        ]
        let top = try #require(library["a"])
        do throws(PolicyErrors) {
            _ = try top.chain(base: base) { name throws(PolicyErrors) in library[name] }
            Issue.record("accepted")
        } catch {
            #expect(
                error.description == "a.toml:1:1: the policies extend each other in a circle: b -> a -> b")
        }
    }

    @Test func `extending an unknown policy is refused at its place`() throws {
        let top = try layer("# c\nextends = \"nobody\"", name: "top.toml")
        do throws(PolicyErrors) {
            _ = try top.chain(base: try PolicyReader.read([], file: "base")) { _ throws(PolicyErrors) in nil }
            Issue.record("accepted")
        } catch {
            #expect(error.description == "top.toml:2:1: extends: there is no policy named \"nobody\"")
        }
    }

    @Test(arguments: [
        ("75%", 6_000_000_000), ("1%", 80_000_000), ("100%", 8_000_000_000), ("4GB", 4_000_000_000),
    ])
    func `a memory limit is a size or a share of the memory`(text: String, bytes: Int) throws {
        #expect(try MemoryLimit(text).bytes(ofRAM: 8_000_000_000) == bytes)
        #expect(try MemoryLimit(text).description == text)
        #expect(try MemoryLimit("99%").bytes(ofRAM: Int.max) > 0)
    }

    @Test(arguments: ["0%", "101%", "%", "-5%", "7.5%", "75 %", "99999999999999999999%", "15MiB", "0", "1KB"])
    func `a memory limit that nothing could live in is refused`(text: String) {
        #expect(throws: UnitRefusal.self) { try MemoryLimit(text) }
    }

    @Test func `a path below the home is put there and nowhere else`() throws {
        let home = try AbsolutePath("/home/ann")
        #expect(try PolicyPath("~").resolved(home: home) == home)
        #expect(try PolicyPath("~/.cache//pip/").resolved(home: home) == AbsolutePath("/home/ann/.cache/pip"))
        #expect(try PolicyPath("/opt/x/./y").resolved(home: home) == AbsolutePath("/opt/x/y"))
        #expect(try PolicyPath("~").resolved(home: .root) == .root)
        #expect(throws: UnitRefusal.self) { try PolicyPath("~/../bob") }
    }
}
