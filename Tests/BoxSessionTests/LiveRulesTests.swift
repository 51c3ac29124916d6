import BoxKernel
import BoxTypes
import Testing

@testable import BoxSession

/// Rules that change while a session runs.
struct LiveRulesTests {
    private func rules(_ texts: [String]) throws -> [HostRule] { try texts.map { try HostRule($0) } }

    private func live(allow: [String] = [], deny: [String] = []) throws -> LiveRules {
        LiveRules(NetworkRules(allow: try rules(allow), deny: try rules(deny)))
    }

    private func allow(_ texts: String..., seconds: Int? = nil) throws -> RuleChange {
        RuleChange(.allow, try rules(texts), seconds: seconds)
    }

    private func deny(_ texts: String...) throws -> RuleChange { RuleChange(.deny, try rules(texts)) }

    @Test func `a host denied without a port is denied on every port that is open for it`() throws {
        let base = NetworkRules(allow: try rules(["*.a.org:22", "x.a.org", "b.org:8080", "*.c.org:25"]))
        var live = LiveRules(base)
        var change = try deny("x.a.org")
        change.everyPort = change.rules
        _ = live.apply(change, now: 0)
        #expect(Set(live.rules.deny.map(\.description)) == ["x.a.org:443", "x.a.org:22"])
    }

    private func decide(_ live: LiveRules, _ target: String) throws -> Bool {
        Allowlist(allow: live.rules.allow, deny: live.rules.deny)
            .decide(try HostTarget(authority: target, defaultPort: .https)).allowed
    }

    @Test func `an allowed host is reachable, and only on its port`() throws {
        var live = try live()
        #expect(try live.apply(allow("example.com"), now: 0).isEmpty)
        #expect(try decide(live, "example.com") && !decide(live, "example.com:80"))
    }

    @Test func `a denied host is closed, and an allow takes that back`() throws {
        var live = try live(allow: ["example.com"])
        _ = try live.apply(deny("example.com"), now: 0)
        #expect(try !decide(live, "example.com"))
        #expect(try live.apply(allow("example.com"), now: 0).isEmpty)
        #expect(try decide(live, "example.com"))
        #expect(live.rules == NetworkRules(allow: try rules(["example.com"])))
    }

    @Test(arguments: [
        ("example.com", "example.com"), ("*.example.com", "a.example.com"),
        ("*.example.com", "*.a.example.com"),
        ("10.0.0.0/8:80", "10.1.2.3:80"), ("10.0.0.0/8:80", "10.1.0.0/16:80"),
    ])
    func `what the policy denies stays denied, and the user is told`(denied: String, allowed: String) throws {
        var live = try live(deny: [denied])
        let notes = try live.apply(allow(allowed), now: 0)
        #expect(notes.count == 1 && notes[0].contains("stays refused"))
    }

    @Test(arguments: [
        ("example.com:80", "example.com"), ("*.example.com", "example.com"),
        ("a.example.com", "*.example.com"),
        ("10.1.0.0/16:80", "10.0.0.0/8:80"), ("*.a.example.com", "*.example.com"),
    ])
    func `a denial of something else is no obstacle`(denied: String, allowed: String) throws {
        var live = try live(deny: [denied])
        #expect(try live.apply(allow(allowed), now: 0).isEmpty)
    }

    @Test func `a rule for a time ends then and not before`() throws {
        var live = try live(allow: ["b.example.com"])
        _ = try live.apply(allow("a.example.com", seconds: 10), now: 1000)
        #expect(live.nextEnd == 11_000)
        #expect(live.expire(now: 10_999).isEmpty)
        #expect(try decide(live, "a.example.com"))
        #expect(live.expire(now: 11_000) == (try rules(["a.example.com"])))
        #expect(try !decide(live, "a.example.com") && decide(live, "b.example.com"))
        #expect(live.nextEnd == nil)
    }

    @Test func `a time does not shorten what is allowed without end`() throws {
        var live = try live(allow: ["a.example.com"])
        #expect(try live.apply(allow("a.example.com", seconds: 10), now: 0).count == 1)
        #expect(live.nextEnd == nil)
        _ = try live.apply(allow("b.example.com"), now: 0)
        #expect(try live.apply(allow("b.example.com", seconds: 10), now: 0).count == 1)
        #expect(live.nextEnd == nil)
    }

    @Test func `the last time counts, and without one it is for good`() throws {
        var live = try live()
        _ = try live.apply(allow("a.example.com", seconds: 10), now: 0)
        _ = try live.apply(allow("a.example.com", seconds: 5), now: 0)
        #expect(live.nextEnd == 5000)
        _ = try live.apply(allow("a.example.com"), now: 0)
        #expect(live.nextEnd == nil && live.rules.allow.count == 1)
    }

    @Test func `a denial ends what was allowed for a time`() throws {
        var live = try live()
        _ = try live.apply(allow("a.example.com", seconds: 10), now: 0)
        _ = try live.apply(deny("a.example.com"), now: 0)
        #expect(live.nextEnd == nil && live.rules.allow.isEmpty)
        #expect(try live.apply(deny("a.example.com"), now: 0).count == 1)
        #expect(live.rules.deny.count == 1)
    }

    @Test func `limits and hosts stay what they were`() throws {
        var base = NetworkRules()
        base.limits.connections = 3
        base.hosts = [HostSettings(rule: try HostRule("example.com"), raw: true)]
        var live = LiveRules(base)
        _ = try live.apply(allow("a.example.com"), now: 0)
        #expect(live.rules.limits == base.limits && live.rules.hosts == base.hosts)
    }

    @Test(arguments: [
        "169.254.169.254:80", "169.254.169.254:443", "100.100.100.200:80", "[fd00:ec2::254]:80",
        "0.0.0.0/8:443",
        "224.0.0.0/8:443", "255.255.255.255:443",
    ])
    func `metadata services and what is no host are not opened while a session runs`(text: String) throws {
        #expect(try HostRule(text).liveRefusal != nil)
    }

    @Test(arguments: [
        "example.com", "*.example.com", "10.0.0.0/8:80", "127.0.0.1:80", "localhost:80", "192.0.2.1:22",
    ])
    func `ordinary rules are taken`(text: String) throws {
        #expect(try HostRule(text).liveRefusal == nil)
    }
}

/// What goes over a session's control socket.
struct ControlMessageTests {
    private func samples() throws -> (requests: [ControlRequest], replies: [ControlReply]) {
        let rules = try ["example.com", "*.example.com:80", "[fd00::/8]:5432"].map { try HostRule($0) }
        let ports = try ["3000", "3000:80"].map { try PublishedPort($0) }
        var status = SessionStatus(
            name: "demo-7f3k", supervisor: 17, network: .open, rules: NetworkRules(allow: rules),
            published: ports)
        status.pause = ["user", "time"]
        (status.bytesUp, status.bytesDown) = (1, 1 << 40)
        status.refused = [.init(host: "a\u{1b}b", port: 443, count: 3, reason: "host")]
        status.limits = [LimitHit(name: "time", detail: "90 s")]
        (status.programs, status.current, status.isDetached) = (7, "cc -c x.c", true)
        return (
            [
                .status, .change(RuleChange(.allow, rules, seconds: 600)), .change(RuleChange(.deny, rules)),
                .publish(ports), .pause, .resume,
            ],
            [
                .refused("why"), .status(status),
                .done(ControlOutcome(tunnelsClosed: 3, notes: ["one", "two"])),
            ]
        )
    }

    @Test func `messages arrive as they were sent`() throws {
        let (requests, replies) = try samples()
        for request in requests { #expect(try ControlRequest(wire: request.wire) == request) }
        for reply in replies { #expect(try ControlReply(wire: reply.wire) == reply) }
    }

    @Test func `a piece of a message, and more than a message, is an error`() throws {
        let (requests, replies) = try samples()
        for wire in requests.map(\.wire) {
            for length in 0..<wire.count {
                #expect(throws: WireError.self) { try ControlRequest(wire: Array(wire.prefix(length))) }
            }
            #expect(throws: WireError.self) { try ControlRequest(wire: wire + [0]) }
        }
        for wire in replies.map(\.wire) {
            for length in 0..<wire.count {
                #expect(throws: WireError.self) { try ControlReply(wire: Array(wire.prefix(length))) }
            }
        }
    }

    @Test func `another version is an error`() throws {
        let wire = ControlRequest.status.wire
        #expect(throws: WireError.self) { try ControlRequest(wire: [wire[0] + 1] + wire.dropFirst()) }
    }

    @Test(arguments: [0, -1, 366 * 86400 + 1])
    func `a time that no user can ask for is an error`(seconds: Int) throws {
        let change = RuleChange(.allow, [try HostRule("example.com")], seconds: seconds)
        #expect(throws: WireError.self) { try ControlRequest(wire: ControlRequest.change(change).wire) }
    }

    @Test func `a message too long for a packet arrives all the same`() async throws {
        await #expect(processExitsWith: .success) {
            let pair = try ChannelPair()
            let rules = try (0..<9000).map { try HostRule("host-\($0).example.com") }
            let status = SessionStatus(
                name: "s", supervisor: 1, network: .open, rules: NetworkRules(allow: rules), published: [])
            let reply = ControlReply.status(status)
            #expect(reply.wire.count > 1 << 17)
            try ControlSocket.send(reply.wire, to: pair.far.number)
            let (bytes, descriptors) = try #require(try ControlSocket.receive(pair.near.descriptor.number))
            #expect(descriptors.isEmpty)
            #expect(try ControlReply(wire: bytes) == reply)
        }
    }
}

/// How a socket is found in the kernel's table.
struct ConnectionOwnerTests {
    @Test(arguments: [
        ("127.0.0.1", 3128, "tcp", "0100007F:0C38"), ("198.18.0.7", 443, "tcp", "070012C6:01BB"),
        ("10.2.3.4", 65535, "tcp", "0403020A:FFFF"),
    ])
    func `an IPv4 address is written as the kernel writes it`(
        text: String, port: UInt16, file: String, place: String
    ) throws {
        let entry = ConnectionOwner.tableEntry(try #require(IPAddress(v4: text)), port)
        #expect(entry.file == file && entry.place == place)
    }

    @Test func `an IPv6 address is written as the kernel writes it`() throws {
        let one = ConnectionOwner.tableEntry(.v6(1), 80)
        #expect(one.file == "tcp6" && one.place == "00000000000000000000000001000000:0050")
        let other = ConnectionOwner.tableEntry(try #require(IPAddress(v6: "2001:db8::7")), 443)
        #expect(other.place == "B80D0120000000000000000007000000:01BB")
    }
}
