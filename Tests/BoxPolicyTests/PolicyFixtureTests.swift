import BoxPolicy
import BoxTypes
import Testing

/// The files in `Tests/Fixtures/policies`.
struct PolicyFixtureTests {
    @Test func `every good policy file is read`() throws {
        let names = try Fixture.names(in: "good")
        #expect(names.count >= 4)
        for name in names {
            #expect(throws: Never.self, "\(name)") {
                try PolicyReader.read(try Fixture.read("good/\(name)"), file: name)
            }
        }
    }

    @Test func `every bad policy file is refused with the expected errors, all at once`() throws {
        let names = try Fixture.names(in: "bad")
        #expect(names.count >= 20)
        for name in names {
            let expected = try Fixture.text("bad/\(name.dropLast(5)).expected")
            let observed = Result { () throws -> PolicyLayer in
                try PolicyReader.read(try Fixture.read("bad/\(name)"), file: name)
            }
            switch observed {
            case .success: Issue.record("\(name) was accepted")
            case .failure(let error): #expect("\(error)\n" == expected, "\(name)")
            }
        }
    }

    @Test func `a file with every key says each thing`() throws {
        let layer = try PolicyReader.read(try Fixture.read("good/everything.toml"), file: "everything.toml")
        #expect(layer.extends == "base")
        #expect(layer.network.mode == .proxy)
        #expect(
            layer.network.allow == (try hosts("registry.example.org", "*.github.com", "git.example.com:22")))
        #expect(layer.network.deny == (try hosts("gist.github.com")))
        #expect(layer.network.hold == 60 && layer.network.certificates == "/opt/company.pem")
        #expect(layer.network.upstreamProxy?.target.description == "proxy.example.org:3128")
        #expect(layer.network.publish.map(\.description) == ["3000", "3001:80"])
        #expect(layer.network.onProxyFailure == .end)
        #expect(layer.network.limits.requestsPerMinute == 100 && layer.network.limits.excess == .slow)
        let host = try #require(layer.network.hosts.first)
        #expect(host.raw == false && host.isPrivate == true && host.limits.connections == 2)
        #expect(layer.workspace.mode == Policy.Workspace.Mode.none)
        #expect(layer.files.read == ["~/.gitconfig", "/opt/tools"])
        #expect(layer.files.write == ["~/.cache/pip"])
        #expect(layer.environment.pass == ["ANTHROPIC_API_KEY"])
        #expect(layer.environment.set == ["CI": "1", "EMPTY": ""])
        #expect(layer.limits.memory == .bytes(ByteSize(bytes: 1_610_612_736)))
        #expect(layer.limits.processes == 512)
        #expect(layer.limits.milliCPUs == 1500)
        #expect(layer.limits.time == .seconds(5400))
        #expect(layer.limits.temporary == ByteSize(bytes: 512_000_000))
        #expect(layer.limits.openFiles == 4096)
        #expect(layer.limits.fileSize == ByteSize(bytes: 1 << 30))
        #expect(layer.limits.onExceeded == .pause)
        #expect(layer.syscalls.profile == "strict")
        #expect(layer.protections.acceptMissing == [.memoryLimit, .landlockScope])
        #expect(layer.agent?.name == "sample")
        #expect(layer.agent?.command == ["sample", "--yes"])
    }

    @Test func `unusual but valid spellings mean the same`() throws {
        let layer = try PolicyReader.read(try Fixture.read("good/odd-spelling.toml"), file: "odd.toml")
        #expect(layer.extends == "base")
        #expect(layer.network.mode == Policy.Network.Mode.none)
        #expect(layer.network.allow == (try hosts("a.example.com", "b.example.com", "c.example.com")))
        #expect(layer.environment.set == ["A": "1", "B": "two\nlines", "C": "tab\tand \"quotes\" é"])
        #expect(layer.limits.time == .seconds(90))
        #expect(layer.limits.milliCPUs == 2000)
        #expect(layer.agent?.script == "echo \"it ends with two quotes \"\" and \\ a backslash \"\"")
    }

    @Test func `a layer knows where its keys stand`() throws {
        let layer = try PolicyReader.read(try Fixture.read("good/odd-spelling.toml"), file: "odd.toml")
        #expect(layer.positions[["extends"]] == SourcePosition(line: 2, column: 1))
        #expect(layer.positions[["network", "mode"]] == SourcePosition(line: 3, column: 9))
        #expect(layer.positions[["network", "allow", "0"]] == SourcePosition(line: 5, column: 5))
        #expect(layer.positions[["network", "allow", "2"]] == SourcePosition(line: 6, column: 26))
        #expect(layer.positions[["environment", "set", "B"]] == SourcePosition(line: 9, column: 32))
        #expect(layer.positions[["environment", "set", "C"]] == SourcePosition(line: 10, column: 11))
        #expect(layer.positions[["limits", "cpus"]] == SourcePosition(line: 13, column: 3))
        #expect(layer.positions[["agent", "name"]] == SourcePosition(line: 15, column: 1))
    }

    private func hosts(_ texts: String...) throws -> [HostRule] { try texts.map { try HostRule($0) } }
}
