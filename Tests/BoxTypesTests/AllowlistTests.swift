import BoxTypes
import Testing

/// The index behind the rules, against what going through the list would say.
@Suite struct AllowlistTests {
    private static let parts = ["a", "b", "example", "org", "x-y"]
    private static let ports = [Port.https, .http]

    private static func name(_ random: inout some RandomNumberGenerator) -> String {
        (0..<Int.random(in: 2...4, using: &random)).map { _ in parts.randomElement(using: &random) ?? "a" }
            .joined(separator: ".")
    }

    private static func rule(_ random: inout some RandomNumberGenerator) throws -> HostRule {
        let port = ports.randomElement(using: &random) ?? .https
        let low = UInt8.random(in: 0...3, using: &random)
        switch Int.random(in: 0..<5, using: &random) {
        case 0: return try HostRule("\(name(&random)):\(port)")
        case 1: return try HostRule("*.\(name(&random)):\(port)")
        case 2: return try HostRule("8.8.8.\(low):\(port)")
        case 3: return try HostRule("8.8.\(low).0/24:\(port)")
        default: return try HostRule("[2001:4860::\(low + 1)]:\(port)")
        }
    }

    private static func target(_ random: inout some RandomNumberGenerator) throws -> HostTarget {
        let port = ports.randomElement(using: &random) ?? .https
        let low = UInt8.random(in: 0...3, using: &random)
        switch Int.random(in: 0..<3, using: &random) {
        case 0: return try HostTarget(authority: "\(name(&random)):\(port)")
        case 1: return try HostTarget(authority: "8.8.\(low).\(low):\(port)")
        default: return try HostTarget(authority: "[2001:4860::\(low + 1)]:\(port)")
        }
    }

    @Test func `the index finds the rule that going through the list finds`() throws {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<200 {
            let allow = try (0..<12).map { _ in try Self.rule(&random) }
            let deny = try (0..<2).map { _ in try Self.rule(&random) }
            let list = Allowlist(allow: allow, deny: deny)
            for _ in 0..<20 {
                let target = try Self.target(&random)
                let decision = list.decide(target)
                if let rule = deny.first(where: { $0.matches(target) }) {
                    #expect(decision.rule == rule)
                    #expect(!decision.allowed)
                } else if let rule = allow.first(where: { $0.matches(target) }) {
                    #expect(decision.rule == rule, "\(target) by \(allow)")
                    #expect(decision.allowed)
                } else {
                    #expect(!decision.allowed)
                    let isNear = allow.contains { $0.matches(target.host) }
                    #expect(decision.reason == (isNear ? .port : .host))
                }
                let opens = Self.ports.contains { port in
                    list.decide(HostTarget(host: target.host, port: port)).allowed
                }
                #expect(list.opens(target.host) == opens)
            }
        }
    }

    private static let allow = [
        "github.com", "github.com:22", "*.example.com", "*.deep.example.org:8443", "api.example.net",
        "*.example.net", "localhost:5432", "203.0.114.7", "[2606:4700::7]:443", "10.0.0.0/8:5432",
        "[fd00::/8]:5432", "192.168.1.1:22", "127.0.0.1:9000", "169.254.169.254:80", "8.8.0.0/16:53",
        "xn--bcher-kva.example", "_dmarc.example.org", "0x7f.example.org", "1.example.org",
    ]
    private static let deny = [
        "gist.github.com", "*.bad.example.com", "secret.example.net", "10.6.6.6:5432", "8.8.4.0/24:53",
        "203.0.114.7:22",
    ]

    @Test(arguments: [
        ("github.com:443", true, RefusalReason?.none, "its rule"),
        ("GITHUB.com.:443", true, nil, "another spelling"),
        ("github.com:22", true, nil, "its second rule"), ("github.com:80", false, .port, "another port"),
        ("github.com:4430", false, .port, "a port that begins like an allowed one"),
        ("github.com:65535", false, .port, "another port"), ("gist.github.com:443", false, .host, "denied"),
        ("gist.github.com:22", false, .host, "no rule, and the denial is of another port"),
        ("api.github.com:443", false, .host, "an exact rule has no subdomains"),
        ("github.co:443", false, .host, "shorter"), ("github.community:443", false, .host, "longer"),
        ("agithub.com:443", false, .host, "longer in front"), ("a-github.com:443", false, .host, "a hyphen"),
        ("github.com.example:443", false, .host, "a suffix of its own"),
        ("com.github:443", false, .host, "turned round"),
        ("github-com.example:443", false, .host, "a hyphen"),
        ("githubcom.example:443", false, .host, "no dot"),
        ("xn--github-com.example:443", false, .host, "encoded"),
        ("a.example.com:443", true, nil, "below"), ("a.b.example.com:443", true, nil, "far below"),
        ("a.b.c.d.e.f.example.com:443", true, nil, "very far below"),
        ("_a.example.com:443", true, nil, "a mark"),
        ("1.example.com:443", true, nil, "a digit"), ("example.com:443", false, .host, "not below itself"),
        ("aexample.com:443", false, .host, "no dot"), ("a.example.com:80", false, .port, "another port"),
        ("a.example.comx:443", false, .host, "longer"), ("a.example.co:443", false, .host, "shorter"),
        ("example.com.a.example.org:443", false, .host, "the suffix is in front"),
        ("bad.example.com:443", true, nil, "what is denied is below it"),
        ("a.bad.example.com:443", false, .host, "denied below an allowed name"),
        ("b.a.bad.example.com:443", false, .host, "denied far below"),
        ("abad.example.com:443", true, nil, "no dot in front of what is denied"),
        ("x.deep.example.org:8443", true, nil, "below"),
        ("deep.example.org:8443", false, .host, "not below itself"),
        ("x.deep.example.org:443", false, .port, "another port"),
        ("deep.example.org:443", false, .host, "no rule"),
        ("x.example.org:8443", false, .host, "above"), ("api.example.net:443", true, nil, "by both rules"),
        ("secret.example.net:443", false, .host, "denied beside an allowed pattern"),
        ("a.secret.example.net:443", true, nil, "an exact denial has no subdomains"),
        ("localhost:5432", true, nil, "that port"), ("LOCALHOST.:5432", true, nil, "another spelling"),
        ("localhost:5433", false, .port, "another port"), ("localhost:443", false, .port, "another port"),
        ("a.localhost:5432", false, .host, "below it"),
        ("localhost.example:5432", false, .host, "another name"),
        ("203.0.114.7:443", true, nil, "the address"), ("203.0.114.7:22", false, .host, "denied"),
        ("203.0.114.7:80", false, .port, "another port"),
        ("203.0.114.8:443", false, .host, "the next address"),
        ("[2606:4700::7]:443", true, nil, "the address"),
        ("[2606:4700::8]:443", false, .host, "the next address"),
        ("[2606:4700::7]:22", false, .port, "another port"), ("10.1.2.3:5432", true, nil, "in the network"),
        ("10.255.255.255:5432", true, nil, "its last address"),
        ("10.6.6.6:5432", false, .host, "denied in it"),
        ("10.1.2.3:443", false, .port, "another port"), ("11.0.0.0:5432", false, .host, "behind the network"),
        ("9.255.255.255:5432", false, .host, "in front of the network"),
        ("[fd12::1]:5432", true, nil, "in the network"), ("[fc00::1]:5432", false, .address, "beside it"),
        ("[fd00:ec2::254]:5432", false, .address, "metadata in the network needs its own rule"),
        ("192.168.1.1:22", true, nil, "the address"), ("192.168.1.2:22", false, .address, "private, no rule"),
        ("127.0.0.1:9000", true, nil, "exactly that"), ("127.0.0.1:9001", false, .port, "another port"),
        ("127.0.0.2:9000", false, .address, "loopback, no rule"), ("[::1]:9000", false, .address, "no rule"),
        ("169.254.169.254:80", true, nil, "metadata by its own rule"),
        ("169.254.169.254:443", false, .port, "another port"),
        ("169.254.0.1:80", false, .address, "link-local"),
        ("100.64.0.1:443", false, .address, "carrier-grade NAT"),
        ("100.100.100.200:80", false, .address, "metadata"),
        ("0.0.0.0:443", false, .address, "unspecified"), ("0.1.2.3:443", false, .address, "this network"),
        ("224.0.0.1:443", false, .address, "multicast"),
        ("255.255.255.255:443", false, .address, "broadcast"),
        ("240.0.0.1:443", false, .address, "reserved"), ("192.0.2.1:443", false, .address, "documentation"),
        ("198.18.0.1:443", false, .address, "benchmarking"), ("172.16.0.1:443", false, .address, "private"),
        ("[::]:443", false, .address, "unspecified"), ("[fe80::1]:443", false, .address, "link-local"),
        ("[ff02::1]:443", false, .address, "multicast"), ("[::ffff:8.8.8.8]:443", false, .address, "mapped"),
        ("[64:ff9b::808:808]:443", false, .address, "NAT64"),
        ("[2002:808:808::1]:443", false, .address, "6to4"),
        ("[2001::1]:443", false, .address, "Teredo"), ("[2001:db8::1]:443", false, .address, "documentation"),
        ("[fec0::1]:443", false, .address, "site-local"), ("[4000::1]:443", false, .address, "not given out"),
        ("8.8.8.8:53", true, nil, "in a public network"), ("8.8.4.4:53", false, .host, "denied in it"),
        ("8.9.0.0:53", false, .host, "behind it"), ("8.8.8.8:443", false, .port, "another port"),
        ("xn--bcher-kva.example:443", true, nil, "encoded"),
        ("bcher-kva.example:443", false, .host, "not encoded"),
        ("_dmarc.example.org:443", true, nil, "a mark in front"),
        ("dmarc.example.org:443", false, .host, "none"),
        ("0x7f.example.org:443", true, nil, "hexadecimal in front of a name"),
        ("1.example.org:443", true, nil, "a digit in front of a name"),
        ("01.example.org:443", false, .host, "another digit"),
        ("1.1.example.org:443", false, .host, "below it"),
    ])
    func `a host is allowed or refused for its reason`(
        text: String, allowed: Bool, reason: RefusalReason?, why: String
    ) throws {
        let list = Allowlist(
            allow: try Self.allow.map { try HostRule($0) }, deny: try Self.deny.map { try HostRule($0) })
        let decision = list.decide(try HostTarget(authority: text))
        #expect(decision.allowed == allowed, "\(why)")
        #expect(decision.reason == reason, "\(why)")
    }

    @Test func `the first settings that match a host count`() throws {
        var rules = NetworkRules(allow: [try HostRule("*.example.com")])
        rules.hosts = [
            HostSettings(rule: try HostRule("a.example.com"), raw: true),
            HostSettings(rule: try HostRule("*.example.com"), isPrivate: true),
            HostSettings(rule: try HostRule("10.0.0.0/8"), raw: true),
        ]
        let list = Allowlist(rules)
        for (text, expected) in [("a.example.com", 0), ("b.example.com", 1), ("10.1.1.1", 2)] {
            let host = try Host(text)
            #expect(list.settings(of: host) == rules.hosts[expected])
            #expect(list.settings(of: host) == rules.settings(of: host))
        }
        #expect(list.settings(of: try Host("example.com")) == nil)
    }

    @Test func `ten thousand rules are decided as fast as ten`() throws {
        let rules = { (count: Int) in
            Allowlist(
                allow: try (0..<count).map { try HostRule("h\($0).example.com") } + [
                    HostRule("*.tail.example")
                ],
                deny: [])
        }
        let targets = try (0..<64).map { try HostTarget(authority: "a.b.\($0).tail.example:443") }
        let few = try rules(10)
        let many = try rules(10_000)
        let time = { (list: Allowlist) in
            ContinuousClock().measure { for target in targets { _ = list.decide(target) } }
        }
        // Going through the list would cost a thousand times as much. In turns, and the best of many short runs:
        // other tests use the machine at the same time.
        let runs = (0..<60).map { _ in (few: time(few), many: time(many)) }
        let fast = runs.map(\.few).min() ?? .zero
        let slow = runs.map(\.many).min() ?? .zero
        #expect(slow < fast * 10, "\(slow) against \(fast)")
    }
}
