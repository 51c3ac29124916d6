import BoxProxy
import BoxTypes
import Testing

@Suite struct FakeNamesTests {
    private func address(_ text: String) throws -> IPAddress { try #require(IPAddress(v4: text)) }

    @Test func `a name keeps its address, and the address its name`() throws {
        var names = FakeNames()
        let github = try HostName("github.com")
        let index = try HostName("index.example.org")
        let first = try #require(IPAddress(v4: "198.18.0.1"))
        let second = try #require(IPAddress(v4: "198.18.0.2"))
        #expect(names.address(of: github) == first)
        #expect(names.address(of: index) == second)
        let again = try HostName("GitHub.com.")
        #expect(names.address(of: again) == first)
        #expect(names.name(at: first) == github)
        #expect(names.name(at: second) == index)
    }

    @Test(arguments: [
        ("198.18.0.0", true, "the first of the range"), ("198.18.0.1", true, "the first that is given out"),
        ("198.18.0.3", true, "not given out yet"), ("198.18.1.1", true, "the next block"),
        ("198.19.255.255", true, "the last of the range"), ("198.17.255.255", false, "before the range"),
        ("198.20.0.0", false, "behind the range"), ("127.0.0.1", false, "another address"),
    ])
    func `an address that was not given out has no name`(text: String, isFake: Bool, why: String) throws {
        var names = FakeNames()
        if text != "198.18.0.1" { _ = names.address(of: try HostName("github.com")) }
        #expect(FakeNames.isFake(try address(text)) == isFake, "\(why)")
        #expect(names.name(at: try address(text)) == nil, "\(why)")
    }

    @Test func `IPv6 is never one of these`() {
        let mapped = IPAddress.v6(0xFFFF_C612_0001)
        #expect(!FakeNames.isFake(mapped))
        #expect(FakeNames().name(at: mapped) == nil)
    }

    @Test func `a full table gives nothing out, forgets nothing and never uses an address twice`() throws {
        var names = FakeNames()
        var given: Set<IPAddress> = []
        for number in 0..<FakeNames.most {
            guard let address = names.address(of: try HostName("h\(number).example.org")) else {
                Issue.record("none after \(number)")
                return
            }
            given.insert(address)
        }
        #expect(given.count == FakeNames.most)
        let next = try HostName("one-more.example.org")
        #expect(names.address(of: next) == nil)
        for number in [0, 253, 254, 255, 40_000, FakeNames.most - 1] {
            let name = try HostName("h\(number).example.org")
            let address = names.address(of: name)
            #expect(address.flatMap(names.name(at:)) == name)
        }
        for address in given {
            guard case .v4(let value) = address else {
                Issue.record("\(address) is not IPv4")
                return
            }
            #expect(FakeNames.isFake(address) && (1...254).contains(value & 0xFF), "\(address)")
        }
    }
}
