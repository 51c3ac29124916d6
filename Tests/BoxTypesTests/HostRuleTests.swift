import BoxTypes
import Testing

/// Rules and what they let through.
@Suite struct HostRuleTests {
    private static func rules(_ allow: [String], deny: [String] = []) throws -> Allowlist {
        Allowlist(allow: try allow.map { try HostRule($0) }, deny: try deny.map { try HostRule($0) })
    }

    @Test(arguments: [
        ("example.com", "example.com:443", "example.com"), ("Example.COM.", "example.com:443", "example.com"),
        ("example.com:443", "example.com:443", "example.com"),
        ("example.com:80", "example.com:80", "example.com:80"),
        ("*.example.com", "*.example.com:443", "*.example.com"),
        ("*.Example.com:22", "*.example.com:22", "*.example.com:22"),
        ("localhost:5432", "localhost:5432", "localhost:5432"), ("localhost", "localhost:443", "localhost"),
        ("10.0.0.1", "10.0.0.1:443", "10.0.0.1"), ("10.0.0.0/8", "10.0.0.0/8:443", "10.0.0.0/8"),
        ("10.0.0.0/8:5432", "10.0.0.0/8:5432", "10.0.0.0/8:5432"),
        ("10.0.0.1/32", "10.0.0.1/32:443", "10.0.0.1/32"),
        ("[2001:db8::1]", "[2001:db8::1]:443", "[2001:db8::1]"),
        ("[2001:db8::1]:22", "[2001:db8::1]:22", "[2001:db8::1]:22"),
        ("fd00::/8", "[fd00::/8]:443", "[fd00::/8]"), ("[fd00::/8]:22", "[fd00::/8]:22", "[fd00::/8]:22"),
    ])
    func `a rule has one canonical spelling and a short one`(text: String, canonical: String, short: String)
        throws
    {
        let rule = try HostRule(text)
        #expect(rule.description == canonical)
        #expect(rule.short == short)
        #expect(try HostRule(canonical) == rule)
        #expect(try HostRule(short) == rule)
    }

    @Test(arguments: [
        ("", "nothing"), ("*", "everything"), ("*.com", "one label behind the star"),
        ("*.localhost", "one label behind the star"), ("*example.com", "a star without a dot"),
        ("**.example.com", "two stars"), ("*.*.example.com", "two stars"),
        ("a.*.example.com", "a star inside"),
        ("example.*", "a star behind"), ("exa*mple.com", "a star inside"), ("*.", "nothing behind the star"),
        ("*.10.0.0.1", "a star in front of an address"), ("com", "one label"), ("printer:9100", "one label"),
        ("https://example.com", "a URL"), ("example.com/path", "a path"), ("http://example.com/", "a URL"),
        ("user@example.com", "user information"), ("example.com:", "an empty port"),
        ("example.com:0", "port 0"),
        ("example.com:443:80", "two ports"), ("example.com:*", "a star as port"),
        ("example.com:80-90", "a range"),
        (" example.com", "a space"), ("example.com ", "a space"),
        ("exämple.com", "a name that is not encoded"),
        ("127.1", "a short address"), ("0x7f.0.0.1", "hexadecimal"), ("10.0.0.1/8", "bits behind the length"),
        ("10.0.0.0/33", "too long"), ("10.0.0.0/", "no length"), ("10.0.0.0/08", "a leading zero"),
        ("10.0.0.0/-1", "a sign"), ("0.0.0.0/0", "everything"), ("0.0.0.0/1", "half of everything"),
        ("[::/0]", "everything"), ("2000::/3", "all that is given out"), ("10.0/8", "a short address"),
        ("2001:db8::1", "no brackets"), ("::1:443", "no brackets"), ("[2001:db8:0::1]", "not canonical"),
        ("[10.0.0.0/8]", "IPv4 in brackets"), ("[fd00::/8", "no closing bracket"),
        ("[fd00::]/8", "a bracket inside"),
        ("fd00::/129", "too long"), ("example.com/24", "a name with a length"),
        ("10.0.0.0/8/8", "two lengths"),
        ("!example.com", "a mark"), ("-example.com", "a hyphen in front"), ("#example.com", "a mark"),
    ])
    func `what is not exactly a rule is refused`(text: String, why: String) {
        #expect(throws: HostRefusal.self, "\(why)") { try HostRule(text) }
    }

    private static let samples = ["github.com", "*.example.com", "index.example.org:443", "plain.example:80"]

    @Test(arguments: [
        ("github.com:443", true, RefusalReason?.none, "the exact name"),
        ("GitHub.COM:443", true, nil, "another case"), ("github.com.:443", true, nil, "a trailing dot"),
        ("a.example.com:443", true, nil, "a subdomain"),
        ("a.b.c.example.com:443", true, nil, "a deep subdomain"),
        ("index.example.org:443", true, nil, "the port is written"),
        ("plain.example:80", true, nil, "port 80 is written"),
        ("evilgithub.com:443", false, .host, "a name that ends like an allowed one"),
        ("github.com.evil.com:443", false, .host, "a name that begins like an allowed one"),
        ("github.comx:443", false, .host, "a longer last label"),
        ("githubxcom.org:443", false, .host, "no dot"),
        ("xexample.com:443", false, .host, "no dot in front of the suffix"),
        ("x-example.com:443", false, .host, "no dot in front of the suffix"),
        ("example.com:443", false, .host, "the apex is not below itself"),
        ("www.github.com:443", false, .host, "an exact rule has no subdomains"),
        ("example.com.evil.org:443", false, .host, "the suffix is inside"),
        ("com:443", false, nil, "unusable"), ("gist.github.com:443", false, .host, "another subdomain"),
        ("github.com:22", false, .port, "another port"),
        ("github.com:80", false, .port, "80 only when written"),
        ("a.example.com:8443", false, .port, "another port"),
        ("plain.example:443", false, .port, "only 80 is written"),
        ("192.30.255.112:443", false, .host, "an address of an allowed name"),
        ("[2606:50c0:8000::153]:443", false, .host, "an address of an allowed name"),
        ("127.0.0.1:443", false, .address, "loopback"), ("[::1]:443", false, .address, "loopback"),
        ("169.254.169.254:443", false, .address, "metadata"), ("localhost:443", false, .host, "no rule"),
    ])
    func `a target is allowed by a rule that names it`(
        text: String, allowed: Bool, reason: RefusalReason?, why: String
    ) throws {
        guard let target = try? HostTarget(authority: text) else {
            #expect(!allowed, "\(why)")
            return
        }
        let decision = try Self.rules(Self.samples).decide(target)
        #expect(decision.allowed == allowed, "\(why)")
        #expect(decision.reason == reason, "\(why)")
        #expect((decision.rule == nil) == !allowed, "\(why)")
    }

    @Test(arguments: ["github.com:443", "localhost:5432", "127.0.0.1:80", "[::1]:80", "8.8.8.8:53"])
    func `an empty list denies everything`(text: String) throws {
        #expect(try !Self.rules([]).decide(try HostTarget(authority: text)).allowed)
    }

    @Test func `deny beats allow, however exact the allow rule is`() throws {
        let rules = try Self.rules(["*.github.com", "gist.github.com"], deny: ["gist.github.com"])
        let denied = rules.decide(try HostTarget(authority: "gist.github.com:443"))
        #expect(!denied.allowed)
        #expect(denied.reason == .host)
        #expect(denied.rule?.short == "gist.github.com")
        #expect(rules.decide(try HostTarget(authority: "api.github.com:443")).allowed)
        let wide = try Self.rules(["a.github.com"], deny: ["*.github.com"])
        #expect(!wide.decide(try HostTarget(authority: "a.github.com:443")).allowed)
    }

    @Test func `a denied network counts for the addresses of allowed names`() throws {
        let rules = try Self.rules(["example.com"], deny: ["8.8.8.0/24"])
        #expect(!rules.vet(.v4(0x0808_0808), port: .https).allowed)
        #expect(rules.vet(.v4(0x0808_0708), port: .https).allowed)
    }

    @Test func `addresses match address rules only, and names match name rules only`() throws {
        let rules = try Self.rules(["10.0.0.0/8", "8.8.8.8", "[2606:4700::/32]", "*.example.com"])
        let answers = try [
            "10.9.9.9:443", "8.8.8.8:443", "[2606:4700::1]:443", "8.8.8.9:443", "11.0.0.1:443",
        ]
        .map { rules.decide(try HostTarget(authority: $0)).allowed }
        #expect(answers == [true, true, true, false, false])
    }

    @Test func `a configuration survives the wire`() throws {
        let allow = try ["example.com", "*.example.com:22", "10.0.0.0/8:80", "[fd00::/8]"].map {
            try HostRule($0)
        }
        let configuration = ProxyConfiguration(
            session: "s1", rules: NetworkRules(allow: allow, deny: [try HostRule("gist.github.com")]),
            identity: 1234, acceptsMissingLandlock: true)
        var writer = WireWriter()
        configuration.write(to: &writer)
        var reader = WireReader(writer.bytes)
        #expect(try ProxyConfiguration(from: &reader) == configuration)
        try reader.finish()
        for count in 0..<writer.bytes.count {
            var reader = WireReader(Array(writer.bytes.prefix(count)))
            #expect(throws: WireError.self) { try ProxyConfiguration(from: &reader) }
        }
    }
}
