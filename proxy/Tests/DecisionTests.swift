import BoxAudit
import BoxProxy
import BoxTypes
import NIOCore
import Testing

/// The state machine behind each entry: decisions, limits, waiting and rules that change, without any socket.
@Suite struct DecisionTests {
    private typealias Action = ProxyConnection.Action
    private static let address = IPAddress.v4(0x0808_0808)
    private static let lookup = Lookup(addresses: [address], own: [])

    private static func target(_ text: String) throws -> HostTarget { try HostTarget(authority: text) }

    /// A captured connection to a target.
    private static func captured(
        _ text: String, _ rules: DoorRules, terms: ProxyConnection.Terms = .init()
    ) throws -> (ProxyConnection, [Action]) {
        var connection = ProxyConnection(.transparent(try target(text)), terms: terms)
        let actions = connection.start(rules: rules)
        return (connection, actions)
    }

    /// The same after the limits have let it through and the connection stands.
    private static func opened(_ text: String, _ rules: DoorRules) throws -> (ProxyConnection, [Action]) {
        var (connection, _) = try captured(text, rules)
        _ = connection.admitted(.granted)
        _ = connection.resolved(lookup, rules: rules)
        let actions = connection.connected(to: address, rules: rules)
        return (connection, actions)
    }

    // MARK: Captured connections

    @Test func `a captured connection is decided before its first byte`() throws {
        let rules = try doorRules(["a.b:22"])
        var (connection, actions) = try Self.captured("a.b:22", rules)
        #expect(actions == [.admit(.name(try HostName("a.b")))])
        #expect(!connection.wantsClient)
        #expect(connection.admitted(.granted) == [.resolve(.name(try HostName("a.b")))])
        actions = connection.resolved(Self.lookup, rules: rules)
        #expect(actions.events.first?.text("via") == "transparent")
        actions = connection.connected(to: Self.address, rules: rules)
        #expect(actions.relays)
        #expect(actions.toClient.isEmpty, "nothing is said in a protocol that is the program's own")
    }

    @Test(arguments: [
        ("a.b:23", "port"), ("c.d:22", "host"), ("10.0.0.1:22", "address"), ("127.0.0.2:22", "address"),
        ("localhost:22", "host"), ("198.18.0.9:22", "address"),
    ])
    func `a captured connection is refused by its close alone`(text: String, reason: String) throws {
        let (connection, actions) = try Self.captured(text, try doorRules(["a.b:22"]))
        #expect(actions.events.map { $0.text("reason") } == [reason])
        #expect(actions.toClient.isEmpty)
        #expect(actions.last == .finish)
        #expect(connection.phase == .over)
    }

    @Test func `an address that stands for no name is refused`() throws {
        var connection = ProxyConnection(.transparent(nil))
        let actions = connection.start(rules: try doorRules(["a.b"]))
        #expect(actions.events.first?.text("reason") == "host")
        #expect(actions.last == .finish)
    }

    @Test func `a captured connection to 443 needs the right server name like a tunnel`() throws {
        let rules = try doorRules(["github.com"])
        var (connection, actions) = try Self.opened("github.com:443", rules)
        #expect(actions.isEmpty)
        #expect(connection.phase == .serverName)
        let good = connection.received(ByteBuffer(bytes: Hello().records()), rules: rules)
        #expect(good.relays)
        (connection, _) = try Self.opened("github.com:443", rules)
        let bad = connection.received(ByteBuffer(bytes: Hello(name: "evil.com").records()), rules: rules)
        #expect(bad.events.first?.text("reason") == "name")
        #expect(bad.last == .abort)
    }

    @Test func `an encrypted hello is refused, unless the host is raw`() throws {
        let encrypted = [0xFE, 0x0D] + Hello.vector([0, 1, 2], 2)
        let hello = Hello(extraExtensions: [encrypted]).records()
        let rules = try doorRules(["github.com"])
        var (connection, _) = try Self.opened("github.com:443", rules)
        let actions = connection.received(ByteBuffer(bytes: hello), rules: rules)
        #expect(actions.events.first?.text("detail")?.hasPrefix("ech: ") == true)
        #expect(actions.toUpstream.isEmpty)
        let raw = try doorRules(
            ["github.com"], hosts: [HostSettings(rule: try HostRule("github.com"), raw: true)])
        let (_, open) = try Self.opened("github.com:443", raw)
        #expect(open.relays, "nothing is looked at")
    }

    @Test func `raw is about the hosts that it names and no others`() throws {
        let raw = HostSettings(rule: try HostRule("*.raw.example"), raw: true)
        let rules = try doorRules(["*.raw.example", "raw.example"], hosts: [raw])
        #expect(try Self.opened("a.raw.example:443", rules).0.phase == .tunnel)
        #expect(try Self.opened("raw.example:443", rules).0.phase == .serverName)
    }

    // MARK: Private networks

    @Test(arguments: [
        ("10.1.2.3", true), ("172.16.0.1", true), ("192.168.1.1", true), ("100.64.0.1", true),
        ("fd00::1", true), ("8.8.8.8", true), ("127.0.0.1", false), ("::1", false), ("169.254.1.1", false),
        ("fe80::1", false), ("169.254.169.254", false), ("100.100.100.200", false), ("fd00:ec2::254", false),
        ("0.0.0.0", false), ("224.0.0.1", false), ("198.18.0.1", false), ("192.0.2.1", false),
        ("::ffff:10.0.0.1", false), ("64:ff9b::a00:1", false), ("10.9.9.9", false),
    ])
    func `private opens the addresses of private networks and nothing nearer`(text: String, opens: Bool)
        throws
    {
        let settings = HostSettings(rule: try HostRule("intern.example"), isPrivate: true)
        let rules = try doorRules(["intern.example:22"], hosts: [settings])
        let address = try #require(IPAddress(v4: text) ?? IPAddress(v6: text))
        let lookup = Lookup(addresses: [address], own: [.v4(0x0A09_0909)])
        let vetting = Vetting(try Self.target("intern.example:22"), lookup, rules.list)
        #expect(vetting.allowed == (opens ? [address] : []))
        let plain = try doorRules(["intern.example:22"])
        #expect(
            Vetting(try Self.target("intern.example:22"), lookup, plain.list).allowed
                == (text == "8.8.8.8" ? [address] : []))
    }

    @Test func `a denied network stays denied for a private host`() throws {
        let settings = HostSettings(rule: try HostRule("intern.example"), isPrivate: true)
        let rules = try doorRules(["intern.example:22"], deny: ["10.0.0.0/8:22"], hosts: [settings])
        let lookup = Lookup(addresses: [.v4(0x0A00_0001), .v4(0xC0A8_0001)], own: [])
        #expect(
            Vetting(try Self.target("intern.example:22"), lookup, rules.list).allowed == [.v4(0xC0A8_0001)])
    }

    // MARK: Limits

    @Test(arguments: [
        (RefusalReason.rate, 429, "requests_per_minute", "Retry-After: 7\r\n"),
        (.rate, 429, "connections", "Retry-After: 7\r\n"), (.bytes, 403, "upload", "X-Box-Reason: bytes\r\n"),
    ])
    func `a limit refuses with its status and is one event`(
        reason: RefusalReason, status: Int, limit: String, line: String
    ) throws {
        let rules = try doorRules(["a.b"])
        var connection = ProxyConnection()
        _ = connection.received(ByteBuffer(string: "CONNECT a.b:443 HTTP/1.1\r\n\r\n"), rules: rules)
        let actions = connection.admitted(
            .refused(limit: limit, scope: "host", retryAfter: 7, reason: reason))
        #expect(actions.status == status)
        #expect(actions.toClient.contains(line))
        #expect(actions.toClient.contains(limit))
        #expect(actions.events.map(\.kind) == [.netLimit])
        #expect(actions.events.first?.text("scope") == "host")
        #expect(actions.lookups.isEmpty)
        #expect(actions.last == .finish)
    }

    // MARK: Waiting for a rule

    private static let holding = ProxyConnection.Terms(hold: 30)

    @Test(
        arguments: [
            ("a.b:443", [], true), ("x.y:22", [], true), ("x.y:443", ["x.y"], false),
            ("10.0.0.1:443", [], false),
            ("224.0.0.1:443", [], false), ("8.8.8.8:443", [], true),
        ] as [(String, [String], Bool)])
    func `what a new rule could open waits for it, and nothing else`(
        text: String, deny: [String], waits: Bool
    ) throws {
        let rules = try doorRules(["x.y:443"], deny: deny)
        let (connection, actions) = try Self.captured(text, rules, terms: Self.holding)
        #expect((connection.phase == .held) == waits)
        #expect(actions.events.map { $0.number("held") } == [waits ? 30 : nil])
    }

    @Test func `a held request goes on with the rule, once`() throws {
        var (connection, _) = try Self.captured("a.b:443", try doorRules([]), terms: Self.holding)
        #expect(connection.rulesChanged(try doorRules(["a.b:22"])).isEmpty)
        #expect(connection.phase == .held)
        let actions = connection.rulesChanged(try doorRules(["a.b"]))
        #expect(actions == [.admit(.name(try HostName("a.b")))])
        #expect(connection.phase == .resolving)
    }

    @Test func `a held request that waited for nothing is told so, without another line in the log`() throws {
        var connection = ProxyConnection(.http, terms: Self.holding)
        let rules = try doorRules([])
        var actions = connection.received(
            ByteBuffer(string: "CONNECT a.b:443 HTTP/1.1\r\n\r\n"), rules: rules)
        #expect(actions.toClient.isEmpty)
        actions = connection.timedOut()
        #expect(actions.status == 403)
        #expect(actions.events.isEmpty)
        var socks = ProxyConnection(.socks, terms: Self.holding)
        _ = socks.received(ByteBuffer(bytes: [5, 1, 0, 5, 1, 0, 1, 8, 8, 8, 8, 1, 187]), rules: rules)
        #expect(socks.phase == .held)
        #expect(socks.timedOut() == [.toClient(SocksReader.reply(.notAllowed)), .finish])
        #expect(socks.rulesChanged(try doorRules(["8.8.8.8"])).isEmpty)
    }

    // MARK: Rules that change

    @Test func `a removed rule ends what it opened, in every phase`() throws {
        let rules = try doorRules(["a.b:22", "a.b:443"])
        let none = try doorRules(["c.d"])
        var (connection, _) = try Self.captured("a.b:22", rules)
        _ = connection.admitted(.granted)
        #expect(connection.rulesChanged(none).events.map(\.kind) == [.netDeny], "not logged as allowed yet")
        for text in ["a.b:22", "a.b:443"] {
            (connection, _) = try Self.captured(text, rules)
            _ = connection.admitted(.granted)
            _ = connection.resolved(Self.lookup, rules: rules)
            #expect(connection.phase == .dialling)
            var dialling = connection
            #expect(dialling.rulesChanged(none).closes == ["the rule was removed"])
            dialling = connection
            #expect(dialling.connected(to: Self.address, rules: none).closes == ["the rule was removed"])
            _ = connection.connected(to: Self.address, rules: rules)
            #expect(connection.rulesChanged(rules).isEmpty)
            let actions = connection.rulesChanged(none)
            #expect(actions.closes == ["the rule was removed"])
            #expect(actions.last == .abort)
            #expect(connection.phase == .over)
        }
    }

    @Test func `a tunnel to a private address ends with the rule that opened the address`() throws {
        let inside = IPAddress.v4(0x0A00_0001)
        let rules = try doorRules(["a.b:22", "10.0.0.0/8:22"])
        var (connection, _) = try Self.captured("a.b:22", rules)
        _ = connection.admitted(.granted)
        _ = connection.resolved(Lookup(addresses: [inside], own: []), rules: rules)
        #expect(connection.connected(to: inside, rules: rules).relays)
        #expect(connection.rulesChanged(try doorRules(["a.b:22"])).closes == ["the rule was removed"])
    }

    @Test func `a name behind a fake address is what is decided about`() throws {
        var rules = try doorRules(["a.b:22"])
        let address = try #require(rules.names.address(of: try HostName("a.b")))
        var connection = ProxyConnection()
        let actions = connection.received(
            ByteBuffer(string: "CONNECT \(address):22 HTTP/1.1\r\n\r\n"), rules: rules)
        #expect(actions == [.admit(.name(try HostName("a.b")))])
    }

    // MARK: SOCKS

    @Test(arguments: [
        (UpstreamFailure.nameNotFound, SocksReader.Code.hostUnreachable),
        (.resolverTimeout, .hostUnreachable),
        (.unreachable, .hostUnreachable), (.refused("refused"), .refused), (.connectTimeout, .ttlExpired),
    ])
    func `a SOCKS failure has its code`(failure: UpstreamFailure, code: SocksReader.Code) throws {
        var connection = ProxyConnection(.socks)
        let rules = try doorRules(["8.8.8.8:443"])
        _ = connection.received(ByteBuffer(bytes: [5, 1, 0, 5, 1, 0, 1, 8, 8, 8, 8, 1, 187]), rules: rules)
        _ = connection.admitted(.granted)
        let actions = connection.failed(failure)
        #expect(actions.contains(.toClient(SocksReader.reply(code))))
        #expect(actions.last == .finish)
        #expect(actions.closes.count == 1)
    }

    @Test func `a SOCKS success is said only when the connection stands`() throws {
        var connection = ProxyConnection(.socks)
        let rules = try doorRules(["8.8.8.8:22"])
        var actions = connection.received(
            ByteBuffer(bytes: [5, 1, 0, 5, 1, 0, 1, 8, 8, 8, 8, 0, 22, 0x41]), rules: rules)
        #expect(actions.first == .toClient(ByteBuffer(bytes: [5, 0])))
        actions = connection.admitted(.granted)
        actions += connection.resolved(Self.lookup, rules: rules)
        #expect(actions.toClient.isEmpty)
        actions = connection.connected(to: Self.address, rules: rules)
        #expect(actions.first == .toClient(SocksReader.reply(.succeeded)))
        #expect(actions.toUpstream == "A")
    }

    // MARK: The log

    @Test func `different events all pass, repeated ones are counted`() throws {
        var filter = RepeatFilter()
        func denied(_ host: String) -> Event {
            Event(.netDeny, [Event.Field("host", .text(host)), Event.Field("reason", .text("host"))])
        }
        #expect(filter.pass(denied("a.b"), now: 0) == denied("a.b"))
        #expect(filter.pass(denied("c.d"), now: 0) == denied("c.d"))
        for _ in 0..<5 { #expect(filter.pass(denied("a.b"), now: 500_000_000) == nil) }
        #expect(filter.due(now: 999_999_999).isEmpty)
        #expect(filter.due(now: 1_000_000_000).map { $0.number("count") } == [5])
        #expect(filter.isEmpty)
        let close = Event(.netClose, [])
        #expect(filter.pass(close, now: 0) == close)
        #expect(filter.pass(close, now: 0) == close)
    }

    @Test func `too many different events are counted without their hosts`() throws {
        var filter = RepeatFilter()
        let passed = (0..<5000).compactMap { number in
            filter.pass(
                Event(
                    .netDeny, [Event.Field("host", .text("h\(number)")), Event.Field("via", .text("dns"))]),
                now: 0)
        }
        #expect(passed.count == RepeatFilter.most)
        let rest = filter.rest()
        #expect(rest.map { $0.number("count") } == [5000 - RepeatFilter.most])
        #expect(rest.first?.text("host") == "")
        #expect(rest.first?.text("via") == "dns")
    }
}
