import BoxPolicy
import BoxTypes
import Profiles
import Testing

/// The groups of hosts: the shipped file, and what is wrong with others.
struct HostGroupsTests {
    private let shipped: HostGroups

    init() throws { shipped = try HostGroups(reading: Shipped.groups, file: "groups.toml") }

    private var hosts: [(group: String, rule: HostRule)] {
        shipped.all.flatMap { group in group.rules.map { (group.name, $0) } }
    }

    @Test func `the shipped groups are those that people ask for`() {
        let asked = [
            "github", "gitlab", "bitbucket", "npm", "crates", "go", "maven", "gradle", "rubygems", "nuget",
            "hex", "swift",
            "docker-hub", "huggingface", "anthropic", "openai", "google-ai", "openrouter", "node", "rust",
            "deno", "jsr",
        ]
        for name in asked { #expect(shipped[name] != nil, "\(name)") }
        #expect(shipped.all.map(\.name) == shipped.all.map(\.name).sorted())
        #expect(Set(shipped.all.map(\.name)).count == shipped.all.count)
    }

    @Test func `the shipped groups name each host exactly`() {
        for (group, rule) in hosts {
            guard case .name = rule.pattern else {
                Issue.record("\(group): \(rule)")
                continue
            }
            #expect(rule.port == .https || rule.port.number == 22, "\(group): \(rule)")
        }
    }

    @Test func `no host is in two shipped groups`() {
        let counts = Dictionary(grouping: hosts, by: \.rule).mapValues { $0.map(\.group) }
        for (rule, groups) in counts { #expect(groups.count == 1, "\(rule): \(groups)") }
    }

    /// Who collects what programs do, and where anybody can put what they collected.
    @Test(arguments: [
        "telemetry", "statsig", "sentry", "analytics", "segment", "bugsnag", "datadog", "metrics", "stats",
        "scans",
        "play.googleapis.com", "ab.chatgpt.com",
    ])
    func `no shipped group opens a collector`(word: String) {
        for (group, rule) in hosts { #expect(!rule.description.contains(word), "\(group): \(rule)") }
    }

    @Test(arguments: [
        "storage.googleapis.com", "s3.amazonaws.com", "blob.core.windows.net", "r2.cloudflarestorage.com",
        "github.io",
        "pages.dev", "workers.dev", "gist.githubusercontent.com", "ngrok.io", "vercel.app", "herokuapp.com",
    ])
    func `no shipped group opens what everybody can rent or write`(host: String) throws {
        let owned = [
            "github-cloud.s3.amazonaws.com", "docker-images-prod.6aa30f8b08e16409b46e0173d6de2f56.\(host)",
        ]
        for (group, rule) in hosts where !owned.contains(rule.short) {
            guard case .name(let name) = rule.pattern else { continue }
            let shared = try HostName(host)
            #expect(name != shared && !name.isSubdomain(of: shared), "\(group): \(rule)")
        }
    }

    @Test func `the summaries are lines for people`() {
        for group in shipped.all {
            #expect((5...100).contains(group.summary.count), "\(group.name)")
            #expect(!group.summary.hasSuffix("."), "\(group.name)")
        }
    }

    @Test func `a text is a rule or a group's rules`() throws {
        #expect(try shipped.rules("example.com:8443") == [HostRule("example.com:8443")])
        #expect(try shipped.rules("@npm") == shipped["npm"]?.rules)
        #expect(HostGroups.name(in: "@npm") == "npm")
        #expect(HostGroups.name(in: "npm") == nil)
    }

    @Test(arguments: [
        ("@nmp", "there is no group @nmp. Did you mean @npm?"),
        ("@", "there is no group @ (box policy groups"),
        ("@GitHub", "Did you mean @github?"), ("@a\u{1b}[2J", "there is no group @a"),
        ("npm", "\"npm\" has no dot"),
    ])
    func `a text that is neither is refused with what may be meant`(text: String, message: String) {
        #expect {
            _ = try shipped.rules(text)
        } throws: {
            "\($0)".contains(message) && !"\($0)".contains("\u{1b}")
        }
    }

    @Test(arguments: [
        ("a = 1", "g.toml: only [groups.NAME]"), ("[groups]\n[other]", "g.toml: only [groups.NAME]"),
        ("[groups.a]\nsummary = \"A\"", "g.toml:1:9: groups.a: a group has summary and hosts"),
        ("[groups.a]\nsummary = \"A\"\nhosts = []", "g.toml:1:9: groups.a: a group has summary and hosts"),
        ("[groups.a]\nsummary = \"A\"\nhosts = [\"a.example\"]\nx = 1", "g.toml:1:9: groups.a: a group has"),
        ("groups.a = 5", "g.toml:1:8: groups.a: a group has summary and hosts, and nothing else"),
        (
            "[groups.A]\nsummary = \"A\"\nhosts = [\"a.example\"]",
            "g.toml:1:9: groups.A: a group's name has only"
        ),
        (
            "[groups.-a]\nsummary = \"A\"\nhosts = [\"a.example\"]",
            "g.toml:1:9: groups.-a: a group's name has only"
        ),
        (
            "[groups.a]\nsummary = \"\"\nhosts = [\"a.example\"]",
            "g.toml:2:1: groups.a.summary: must be one line"
        ),
        (
            "[groups.a]\nsummary = \"A\\n\"\nhosts = [\"a.example\"]",
            "g.toml:2:1: groups.a.summary: must be one line"
        ),
        (
            "[groups.a]\nsummary = \"A\"\nhosts = [5]",
            "g.toml:3:10: groups.a.hosts: must be a string, not an integer"
        ),
        (
            "[groups.a]\nsummary = \"A\"\nhosts = [\"a.example\", \"A.example:443\"]",
            "g.toml:3:23: groups.a.hosts: a.example is there"
        ),
        ("[groups.a]\nsummary = \"A\"\nhosts = [\"a\"]", "g.toml:3:10: groups.a.hosts: \"a\" has no dot"),
        ("[groups", "g.toml:1:8: expected ] at the end"),
    ])
    func `a file of groups that is wrong is refused with the place`(text: String, message: String) {
        #expect {
            _ = try HostGroups(reading: Array(text.utf8), file: "g.toml")
        } throws: {
            "\($0)".hasPrefix(message)
        }
    }

    @Test func `all errors of a file of groups come together`() {
        let text = "[groups.A]\nsummary = \"A\"\nhosts = [\"x\", 5]\n[groups.b]\n"
        #expect {
            _ = try HostGroups(reading: Array(text.utf8), file: "g.toml")
        } throws: {
            "\($0)".split(separator: "\n").count == 4
        }
    }
}
