import BoxPolicy
import BoxTypes
import Testing

@testable import BoxSession

/// What would open what was refused.
struct RemedyTests {
    private func request(
        _ host: String, _ port: Int = 443, _ reason: RefusalReason = .host, _ detail: String = ""
    ) -> RefusedRequest {
        let time = "2026-02-03T10:22:01.000Z"
        var request = RefusedRequest(host: host, port: port, reason: reason, first: time, last: time)
        request.detail = detail
        return request
    }

    private func rules(_ allow: [String] = [], deny: [String] = [], hosts: [HostSettings] = []) throws
        -> NetworkRules
    {
        NetworkRules(
            allow: try allow.map { try HostRule($0) }, deny: try deny.map { try HostRule($0) }, hosts: hosts)
    }

    @Test(arguments: [
        ("example.com", 443, RefusalReason.host, "box allow example.com"),
        ("example.com", 8443, .host, "box allow example.com:8443"),
        ("example.com", 80, .port, "box allow example.com:80"),
        ("example.com", 0, .host, "box allow example.com"),
        ("93.184.216.34", 22, .host, "box allow 93.184.216.34:22"),
        ("2606:2800:220:1::6", 443, .host, "box allow '[2606:2800:220:1::6]'"),
        ("10.0.0.7", 5432, .address, "box allow 10.0.0.7:5432"),
        ("127.0.0.1", 8080, .address, "box allow 127.0.0.1:8080"),
        ("localhost", 5432, .host, "box allow localhost:5432"),
        ("fd00::7", 5432, .address, "box allow '[fd00::7]:5432'"),
    ])
    func `the command is one that box takes, and it opens the target`(
        host: String, port: Int, reason: RefusalReason, command: String
    ) throws {
        let before = try rules(["other.example.com"])
        let remedy = try #require(RemedySearch(before).remedy(for: request(host, port, reason)))
        #expect(remedy.command == command)
        let rule = try #require(remedy.rule)
        #expect(rule.liveRefusal == nil && rule.widthRefusal == nil)
        var after = before
        after.allow.append(rule)
        #expect(RemedySearch(after).remedy(for: request(host, port, reason)) == nil, "it is still refused")
    }

    @Test(arguments: [
        ("169.254.169.254", 80, RefusalReason.address), ("fd00:ec2::254", 80, .address),
        ("224.0.0.1", 443, .address), ("::ffff:10.0.0.1", 443, .address), ("198.18.0.7", 443, .address),
        ("", 0, .host), ("", 0, .protocol), ("github", 443, .host), ("a b; rm -rf ~", 443, .host),
        ("$(id).example.com", 443, .host), ("127.1", 443, .host), ("-s", 443, .host),
    ])
    func `what no rule opens has no command, and is explained`(
        host: String, port: Int, reason: RefusalReason
    ) throws {
        let remedy = try #require(RemedySearch(try rules()).remedy(for: request(host, port, reason, "why")))
        #expect(remedy.command == nil && remedy.setting == nil)
        #expect(remedy.advice?.isEmpty == false)
    }

    @Test func `what the policy allows by now needs nothing`() throws {
        let search = RemedySearch(try rules(["*.example.com", "a.b:80"]))
        #expect(search.remedy(for: request("x.example.com")) == nil)
        #expect(search.remedy(for: request("a.b", 0)) == nil, "the name has an address")
        #expect(search.remedy(for: request("a.b", 443))?.command == "box allow a.b")
        #expect(search.remedy(for: request("x.example.com", 80, .port)) != nil)
    }

    @Test func `what a rule denies is opened by no other`() throws {
        let search = RemedySearch(try rules(["a.b.org"], deny: ["*.b.org"])) { _ in "box.toml:7" }
        let remedy = try #require(search.remedy(for: request("a.b.org")))
        #expect(remedy.command == nil)
        #expect(remedy.advice == "the rule *.b.org denies it (box.toml:7), and no other is stronger")
    }

    // MARK: - Addresses behind a name

    @Test func `a name with a private address needs its setting`() throws {
        let refused = request(
            "git.corp.example", 443, .address, "10.0.0.5: its address is not public (private)")
        var search = RemedySearch(try rules(["git.corp.example"]))
        var remedy = try #require(search.remedy(for: refused))
        #expect(remedy.command == nil)
        #expect(remedy.setting?.table == "[network.hosts.\"git.corp.example\"]")
        #expect(remedy.setting?.line == "private = true" && remedy.setting?.isRisky == false)
        // Where the name itself is closed by now it needs both.
        remedy = try #require(RemedySearch(try rules()).remedy(for: refused))
        #expect(remedy.command == "box allow git.corp.example" && remedy.setting != nil)
        let settings = HostSettings(rule: try HostRule("git.corp.example"), isPrivate: true)
        search = RemedySearch(try rules(["git.corp.example"], hosts: [settings]))
        #expect(search.remedy(for: refused) == nil)
        search = RemedySearch(try rules(["git.corp.example", "10.0.0.0/8"]))
        #expect(search.remedy(for: refused) == nil)
    }

    @Test(arguments: [
        ("127.0.0.1: its address is not public (loopback)", "box allow 127.0.0.1"),
        ("93.184.216.7: its address is one of this machine", "box allow 93.184.216.7"),
        ("192.0.2.9: its address is not public (documentation)", "box allow 192.0.2.9"),
    ])
    func `an address that the setting does not open needs a rule of its own`(
        detail: String, command: String
    ) throws {
        let refused = request("a.b", 443, .address, detail)
        var known = try rules(["a.b"])
        let remedy = try #require(RemedySearch(known).remedy(for: refused))
        #expect(remedy.command == command && remedy.setting == nil)
        known.allow.append(try #require(remedy.rule))
        #expect(RemedySearch(known).remedy(for: refused) == nil)
    }

    @Test(arguments: [
        "169.254.169.254: its address is not public (cloud metadata)",
        "0.0.0.0: its address is not public (unspecified)", "::ffff:10.0.0.1: its address is not public",
    ])
    func `an address that nothing opens is explained`(detail: String) throws {
        let search = RemedySearch(try rules(["a.b"]))
        let remedy = try #require(search.remedy(for: request("a.b", 443, .address, detail)))
        #expect(remedy.command == nil && remedy.setting == nil && remedy.advice != nil)
    }

    // MARK: - Contents and limits

    @Test(arguments: [
        (RefusalReason.name, "sni_mismatch: evil.example"),
        (.name, "ech: the TLS hello has an encrypted part"),
        (.protocol, "not TLS in a tunnel to port 443"),
    ])
    func `a check of the server's name is left out only by a setting that is called risky`(
        reason: RefusalReason, detail: String
    ) throws {
        var search = RemedySearch(try rules(["a.b"]))
        let remedy = try #require(search.remedy(for: request("a.b", 443, reason, detail)))
        #expect(remedy.command == nil)
        #expect(remedy.setting?.line == "raw = true" && remedy.setting?.isRisky == true)
        let settings = HostSettings(rule: try HostRule("a.b"), raw: true)
        search = RemedySearch(try rules(["a.b"], hosts: [settings]))
        #expect(search.remedy(for: request("a.b", 443, reason, detail)) == nil)
    }

    @Test func `a limit is raised where it stands`() throws {
        var limited = request("a.b", 443, .rate)
        (limited.limit, limited.scope) = ("connections", "host")
        let search = RemedySearch(try rules(["a.b"]))
        var advice = search.remedy(for: limited)?.advice
        #expect(advice?.contains("Raise connections below [network.hosts.\"a.b\"]") == true)
        limited.scope = "session"
        advice = search.remedy(for: limited)?.advice
        #expect(advice?.contains("[network.limits]") == true)
        #expect(search.remedy(for: limited)?.command == nil)
    }

    @Test func `text of the sandbox's is escaped`() throws {
        let search = RemedySearch(try rules())
        for reason in RefusalReason.allCases {
            let bad = request("\u{1b}]0;x\u{7}", 443, reason, "\u{1b}[2J\n\u{202e}")
            let shown = [search.remedy(for: bad)?.advice ?? "", bad.place].joined()
            #expect(!shown.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x202e }, "\(reason)")
        }
    }

    @Test(arguments: [
        ("example.com", "example.com"), ("*.example.com", "'*.example.com'"), ("[::1]:80", "'[::1]:80'"),
        ("it's", "'it'\\''s'"), ("", "''"), ("$(id)", "'$(id)'"), ("@npm", "@npm"),
    ])
    func `a word for the shell`(text: String, quoted: String) { #expect(text.quotedForShell == quoted) }
}

/// The policy that a session would have needed.
struct LearnedPolicyTests {
    private func request(
        _ host: String, _ port: Int = 443, _ reason: RefusalReason = .host, _ detail: String = ""
    ) -> RefusedRequest {
        let time = "2026-02-03T10:22:01.000Z"
        var request = RefusedRequest(host: host, port: port, reason: reason, first: time, last: time)
        request.detail = detail
        return request
    }

    private func learned(_ requests: [RefusedRequest], _ rules: NetworkRules = NetworkRules()) throws
        -> LearnedPolicy
    {
        LearnedPolicy(requests, RemedySearch(rules), groups: try ShippedGroups.read())
    }

    /// What the text says as a project's file.
    private func layer(_ learned: LearnedPolicy) throws -> PolicyLayer {
        try PolicyReader.read(
            Array(learned.text.utf8), file: "box.toml", isProject: true, groups: ShippedGroups.read)
    }

    /// All kinds of refusals together, with what no program should be able to write into a file.
    private var mixed: [RefusedRequest] {
        [
            request("a.example.com"), request("a.example.com", 8080), request("b.example.com", 0),
            request("2606:2800:220:1::6", 22), request("10.0.0.7", 5432, .address),
            request("169.254.169.254", 80, .address),
            request("git.corp.example", 443, .address, "10.0.0.5: its address is not public (private)"),
            request("c.example.com", 443, .name, "sni_mismatch: \u{1b}\"]\n[files]\nwrite = [\"/\"]"),
            request("x\"]\nwrite = [\"/\"]", 443), request("", 0, .protocol, "\r\n[files]"),
            request("a.example.com", 443, .rate),
        ]
    }

    @Test func `the text is a policy that opens exactly what was refused`() throws {
        let learned = try learned(mixed)
        let layer = try layer(learned)
        #expect(
            Set(layer.network.allow.map(\.short)) == [
                "a.example.com", "a.example.com:8080", "b.example.com", "[2606:2800:220:1::6]:22",
                "10.0.0.7:5432", "git.corp.example", "c.example.com",
            ])
        #expect(layer.network.hosts.map(\.rule.short) == ["git.corp.example"])
        #expect(layer.network.hosts.first?.isPrivate == true, "raw is only in a comment")
        #expect(layer.network.hosts.first?.raw == nil)
        #expect(layer.files.write.isEmpty && layer.files.read.isEmpty)
        // With it, nothing is left that a rule would open.
        let rules = NetworkRules(
            allow: layer.network.allow,
            hosts: [HostSettings(rule: try HostRule("git.corp.example"), isPrivate: true)])
        let rest = try self.learned(mixed, rules)
        #expect(rest.rules.isEmpty, "\(rest.text)")
        #expect(try self.layer(rest).network.allow.isEmpty)
    }

    @Test func `hosts of one group are written as the group, and others singly`() throws {
        let group = [request("github.com"), request("codeload.github.com"), request("github.com", 22)]
        #expect(try learned(group).rules == ["@github"])
        #expect(try layer(learned(group)).network.groups == ["github"])
        #expect(try learned(Array(group.prefix(1))).rules == ["github.com"], "one host is no group")
        let other = try learned(group + [request("evil.example.com")])
        #expect(other.rules == ["codeload.github.com", "evil.example.com", "github.com", "github.com:22"])
        #expect(try learned([request("github.com"), request("github.com", 80)]).rules.count == 2)
    }

    @Test func `where nothing is missing nothing is proposed`() throws {
        #expect(try learned([]).isEmpty)
        let allowed = NetworkRules(allow: [try HostRule("a.example.com")])
        #expect(try learned([request("a.example.com")], allowed).isEmpty)
    }

    @Test func `what the policy denies is not proposed, but said`() throws {
        let denied = NetworkRules(deny: [try HostRule("a.example.com")])
        let learned = try learned([request("a.example.com")], denied)
        #expect(learned.rules.isEmpty && !learned.isEmpty)
        #expect(try layer(learned).network.allow.isEmpty)
        #expect(learned.text.contains("# - a.example.com: the rule a.example.com denies it"))
    }

    @Test func `very many hosts are not proposed`() throws {
        let many = (0..<1000).map { request("h\($0).example.com") }
        let learned = try learned(many)
        #expect(try layer(learned).network.allow.count == LearnedPolicy.most)
        #expect(learned.text.contains("and \(1000 - LearnedPolicy.most) more hosts"))
    }
}
