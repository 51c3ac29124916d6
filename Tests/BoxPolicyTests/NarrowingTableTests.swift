import BoxPolicy
import BoxTypes
import Testing

/// Key by key: what a project's file may say of itself, and what it may not.
struct NarrowingTableTests {
    /// A line of the tables.
    struct Line: Sendable, CustomTestStringConvertible {
        let below: String
        let project: String
        /// What is given back, each with its place.
        let wishes: [String]
        /// A file that says the policy that is left.
        let left: String

        init(_ below: String, _ project: String, _ wishes: [String], left: String) {
            self.below = below
            self.project = project
            self.wishes = wishes
            self.left = left
        }

        /// One that gives back all and takes nothing.
        init(_ below: String, _ project: String, _ wishes: String...) {
            self.init(below, project, wishes, left: below)
        }

        /// One that takes all.
        init(_ below: String, takes project: String) {
            self.init(below, project, [], left: below + "\n" + project)
        }

        var testDescription: String { project }
    }

    private static let groups = HostGroups([
        .init(name: "both", summary: "Two hosts", rules: [rule("a.org"), rule("b.org")].compactMap(\.self))
    ])

    private static func rule(_ text: String) -> HostRule? { try? HostRule(text) }

    private func layer(_ text: String, isProject: Bool) throws -> PolicyLayer {
        try PolicyReader.read(Array(text.utf8), file: "box.toml", isProject: isProject) { Self.groups }
    }

    private func check(_ line: Line, ram: Int? = nil) throws {
        var policy = Policy(merging: [try layer(line.below, isProject: false)])
        let wishes = policy.narrow(by: try layer(line.project, isProject: true), ram: ram)
        #expect(wishes.map { "\($0.position?.description ?? "-") \($0.text)" } == line.wishes)
        // The values of the file that says what is left stand one below the other, and the last one counts.
        let left = try line.left.split(separator: "\n").map { try layer(String($0), isProject: false) }
        #expect(policy == Policy(merging: left))
    }

    // MARK: - Network

    @Test(arguments: [
        Line("network.mode = \"proxy\"", takes: "network.mode = \"none\""),
        Line("network.mode = \"none\"", takes: "network.mode = \"none\""),
        Line("network.mode = \"none\"", "network.mode = \"proxy\"", "1:9 network.mode proxy (now none)"),
        Line("network.hold = 10", takes: "network.hold = 0"),
        Line("", "network.hold = \"1m\"", "1:9 network.hold 60s (now 0s)"),
        Line("network.on_proxy_failure = \"continue\"", takes: "network.on_proxy_failure = \"end\""),
        Line(
            "network.on_proxy_failure = \"end\"", "[network]\non_proxy_failure = \"continue\"",
            "2:1 network.on_proxy_failure continue (now end)"),
        Line(
            "", "network.upstream_proxy = \"http://p.org:1\"",
            "1:9 network.upstream_proxy http://p.org:1 (now none)"),
        Line(
            "network.upstream_proxy = \"http://p.org:1\"",
            takes: "network.upstream_proxy = \"http://p.org:1/\""),
        Line(
            "network.upstream_proxy = \"http://p.org:1\"",
            "network.upstream_proxy = \"http://ann:geheim@q.org:1\"",
            "1:9 network.upstream_proxy http://q.org:1 (now http://p.org:1)"),
        Line(
            "network.upstream_proxy = \"http://p.org:1\"",
            "network.upstream_proxy = \"http://ann:geheim@p.org:1\"",
            "1:9 network.upstream_proxy http://p.org:1 with another login"),
        Line("", "audit.level = \"network\"", "1:7 audit.level network (now full)"),
        Line("audit.level = \"off\"", takes: "audit.level = \"network\""),
        Line("", "network.ca = \"~/evil.pem\"", "1:9 network.ca ~/evil.pem (now none)"),
        Line("network.ca = \"/a.pem\"", "network.ca = \"/b.pem\"", "1:9 network.ca /b.pem (now /a.pem)"),
        Line("network.ca = \"/a.pem\"", takes: "network.ca = \"/a.pem\""),
        Line(
            "network.publish = [\"3000\"]", "network.publish = [\"3000\", \"3000:80\"]",
            "1:28 publish 3000:80"),
        Line("network.publish = [\"3000\"]", takes: "network.publish = [\"3000\"]"),
    ])
    func `values of the network`(line: Line) throws { try check(line) }

    @Test(arguments: [
        Line(
            "", "[network]\nallow = [\n  \"a.org\",\n  \"b.org:80\",\n]", "3:3 allow a.org",
            "4:3 allow b.org:80"),
        Line("network.allow = [\"a.org\"]", takes: "network.allow = [\"a.org\"]"),
        Line("network.allow = [\"*.a.org\"]", "network.allow = [\"x.a.org\", \"*.x.a.org\"]"),
        Line("network.allow = [\"*.a.org\"]", "network.allow = [\"a.org\"]", "1:18 allow a.org"),
        Line("network.allow = [\"a.org\"]", "network.allow = [\"a.org:80\"]", "1:18 allow a.org:80"),
        Line("network.allow = [\"x.a.org\"]", "network.allow = [\"*.a.org\"]", "1:18 allow *.a.org"),
        Line("network.allow = [\"10.0.0.0/8\"]", "network.allow = [\"10.1.0.0/16\"]"),
        // The exact rule reaches the address also if it is the host's own, and the network's does not.
        Line("network.allow = [\"127.0.0.0/8\"]", "network.allow = [\"127.0.0.1\"]", "1:18 allow 127.0.0.1"),
        Line("network.allow = [\"10.0.0.0/8\"]", "network.allow = [\"10.1.2.3\"]", "1:18 allow 10.1.2.3"),
        Line("", takes: "network.deny = [\"a.org\"]"),
        Line("network.deny = [\"*.a.org\"]", "network.allow = [\"x.a.org\"]"),
        Line("network.deny = [\"x.a.org\"]", "network.allow = [\"*.a.org\"]", "1:18 allow *.a.org"),
        Line(
            "network.allow = [\"a.org\", \"b.org\"]", "network = { allow = [\"a.org\"], deny = [\"a.org\"] }",
            [],
            left: "network = { allow = [\"b.org\"], deny = [\"a.org\"] }"),
        Line(
            "network.allow = [\"a.org\"]", "network.allow = [\"c.org\", \"@both\", \"d.org\"]",
            "1:18 allow c.org",
            "1:27 allow b.org (@both)", "1:36 allow d.org"),
    ])
    func `rules of the network`(line: Line) throws { try check(line) }

    @Test(arguments: [
        Line("", takes: "network.limits.upload = 5"),
        Line("network.limits.upload = 5", takes: "network.limits.upload = 4"),
        Line(
            "network.limits.upload = \"2GB\"", "[network.limits]\nupload = \"5GB\"",
            "2:1 network.limits.upload 5GB (now 2GB)"),
        Line(
            "network.limits.download = \"2GB\"", "network.limits.download = \"5GB\"",
            "1:16 network.limits.download 5GB (now 2GB)"),
        Line(
            "network.limits.connections = 2", "network.limits.connections = 3",
            "1:16 network.limits.connections 3 (now 2)"),
        Line(
            "network.limits.requests_per_minute = 2", "network.limits.requests_per_minute = 3",
            "1:16 network.limits.requests_per_minute 3 (now 2)"),
        Line(
            "network.limits.bytes_per_second = 1024", "network.limits.bytes_per_second = 2048",
            "1:16 network.limits.bytes_per_second 2KiB (now 1KiB)"),
        Line("", takes: "network.limits.excess = \"slow\""),
        Line("network.limits.excess = \"slow\"", takes: "network.limits.excess = \"close\""),
        Line(
            "network.limits.excess = \"close\"", "network.limits.excess = \"slow\"",
            "1:16 network.limits.excess slow (now close)"),
        Line(
            "network.limits.upload = 5", "network.limits = { upload = 6, download = 7 }",
            ["1:20 network.limits.upload 6B (now 5B)"],
            left: "network.limits = { upload = 5, download = 7 }"),
    ])
    func `limits of the network`(line: Line) throws { try check(line) }

    @Test(arguments: [
        Line("", takes: "network.hosts.\"a.org\".upload = 5"),
        Line(
            "network.hosts.\"a.org\".upload = 5", "[network.hosts.\"A.org.\"]\nupload = 6",
            "2:1 network.hosts.\"a.org\".upload 6B (now 5B)"),
        Line(
            "", "[network.hosts.\"a.org\"]\nraw = true\nprivate = true",
            [
                "2:1 network.hosts.\"a.org\".raw true (now false)",
                "3:1 network.hosts.\"a.org\".private true (now false)",
            ], left: "network.hosts.\"a.org\".raw = false"),
        Line(
            "network.hosts.\"a.org\" = { raw = true, private = true }",
            takes: "network.hosts.\"a.org\" = { raw = false, private = false }"),
        Line(
            "network.hosts.\"a.org\" = { raw = true, private = true }",
            takes: "network.hosts.\"a.org\" = { raw = true, private = true }"),
        // More exact, and so the only one that counts.
        Line(
            "network.hosts.\"*.a.org\" = { raw = true, connections = 4 }",
            "[network.hosts.\"x.a.org\"]\nupload = 6",
            ["1:16 network.hosts.\"x.a.org\".connections unlimited (now 4)"],
            left: """
                network.hosts."*.a.org" = { raw = true, connections = 4 }
                network.hosts."x.a.org" = { raw = false, connections = 4, upload = 6 }
                """),
        Line(
            "network.hosts.\"*.a.org\" = { raw = true, connections = 4 }",
            takes: "network.hosts.\"x.a.org\" = { raw = true, connections = 3 }"),
        Line(
            "network.hosts.\"*.a.org\" = { connections = 4, excess = \"close\" }",
            "[network.hosts.\"*.x.a.org\"]\nraw = true\nconnections = 5",
            [
                "1:16 network.hosts.\"*.x.a.org\".excess slow (now close)",
                "2:1 network.hosts.\"*.x.a.org\".raw true (now false)",
                "3:1 network.hosts.\"*.x.a.org\".connections 5 (now 4)",
            ],
            left: """
                network.hosts."*.a.org" = { connections = 4, excess = "close" }
                network.hosts."*.x.a.org" = { connections = 4, excess = "close" }
                """),
        // Two of one layer are two: neither begins with the other's limits.
        Line(
            "", takes: "network.hosts = { \"*.a.org\" = { connections = 2 }, \"x.a.org\" = { upload = 6 } }"),
        // A wider one counts for what had none.
        Line("network.hosts.\"x.a.org\".connections = 4", takes: "network.hosts.\"*.a.org\".connections = 2"),
        Line(
            "network.hosts.\"10.1.0.0/16\".private = true", "network.hosts.\"10.0.0.0/8\".private = true",
            ["1:28 network.hosts.\"10.0.0.0/8\".private true (now false)"],
            left: """
                network.hosts."10.1.0.0/16".private = true
                network.hosts."10.0.0.0/8".private = false
                """),
    ])
    func `tables of hosts`(line: Line) throws { try check(line) }

    // MARK: - Workspace and files

    @Test(arguments: [
        Line("workspace.mode = \"direct\"", takes: "workspace.mode = \"overlay\""),
        Line("workspace.mode = \"overlay\"", takes: "workspace.mode = \"copy\""),
        Line("workspace.mode = \"copy\"", takes: "workspace.mode = \"overlay\""),
        Line("workspace.mode = \"overlay\"", takes: "workspace.mode = \"none\""),
        Line(
            "workspace.mode = \"overlay\"", "workspace.mode = \"direct\"",
            "1:11 workspace.mode direct (now overlay)"),
        Line("workspace.mode = \"none\"", "workspace.mode = \"copy\"", "1:11 workspace.mode copy (now none)"),
        Line(
            "workspace.hide = [\".env*\", \"!.env.test\"]", takes: "workspace.hide = [\"*.pem\", \".env*\"]"),
        Line("", takes: "workspace.only = [\"src\"]"),
        Line("", takes: "workspace.only = []"),
        Line("workspace.only = [\"src\"]", takes: "workspace.only = [\"src/a\", \"src/b\"]"),
        Line("workspace.only = [\"src\"]", "[workspace]\nonly = []", "2:1 show the whole project"),
        Line("workspace.only = [\"src\"]", "workspace.only = [\"docs\"]", "1:19 show docs"),
        Line(
            "workspace.only = [\"src/a\", \"docs\"]", "workspace.only = [\"src\", \"docs/x\", \"srcs\"]",
            ["1:19 show src", "1:36 show srcs"], left: "workspace.only = [\"src/a\", \"docs/x\"]"),
    ])
    func `the workspace`(line: Line) throws { try check(line) }

    @Test(arguments: [
        Line(
            "", "[files]\nread = [\"~/.x\"]\nwrite = [\"/opt/y\"]", "2:9 read ~/.x", "3:10 write /opt/y"),
        Line("files.read = [\"~/.x\"]", "files.read = [\"~/.x\", \"~/.x/y\", \"~//.x/.\"]"),
        Line("files.read = [\"~/.x\"]", "files.read = [\"~/.xy\", \"~\"]", "1:15 read ~/.xy", "1:24 read ~"),
        Line("files.write = [\"~/.x\"]", "files = { read = [\"~/.x/y\"], write = [\"~/.x/z\"] }"),
        Line("files.read = [\"~/.x\"]", "files.write = [\"~/.x/y\"]", "1:16 write ~/.x/y"),
        // Read-only below what may be written.
        Line(
            "files = { write = [\"~/.x\"], read = [\"~/.x/y\"] }", "files.write = [\"~/.x/y/z\"]",
            "1:16 write ~/.x/y/z"),
        Line("files.read = [\"~\"]", "files.read = [\"/home/ann/x\"]", "1:15 read /home/ann/x"),
        Line("files.read = [\"/\"]", "files.read = [\"/opt\"]"),
    ])
    func `files beside the project`(line: Line) throws { try check(line) }

    // MARK: - The rest

    @Test(arguments: [
        Line(
            "", "[environment]\npass = [\"A\", \"B\"]\nset = { C = \"1\" }", "2:9 pass A", "2:14 pass B",
            "3:9 set C"),
        Line("environment.pass = [\"A\"]", takes: "environment.pass = [\"A\"]"),
        Line("environment.set.A = \"1\"", takes: "environment.set.A = \"1\""),
        Line("environment.set.A = \"1\"", "environment.set.A = \"2\"", "1:17 set A"),
        Line("environment.pass = [\"A\"]", "environment.set.A = \"\"", "1:17 set A"),
        Line("environment.set.A = \"1\"", "environment.pass = [\"A\"]", "1:21 pass A"),
        Line("environment.from.A.file = \"~/k\"", "environment.pass = [\"A\"]", "1:21 pass A"),
        Line("syscalls.profile = \"nested\"", takes: "syscalls.profile = \"default\""),
        Line("syscalls.profile = \"default\"", takes: "syscalls.profile = \"strict\""),
        Line("", "syscalls.profile = \"nested\"", "1:10 syscalls.profile nested (now default)"),
        Line(
            "syscalls.profile = \"strict\"", "syscalls.profile = \"default\"",
            "1:10 syscalls.profile default (now strict)"),
        Line("", "syscalls.profile = \"/x.json\"", "1:10 syscalls.profile /x.json (now default)"),
        Line(
            "syscalls.profile = \"/x.json\"", "syscalls.profile = \"strict\"",
            "1:10 syscalls.profile strict (now /x.json)"),
        Line("syscalls.profile = \"/x.json\"", takes: "syscalls.profile = \"/x.json\""),
        Line("", "protections.accept_missing = [\"landlock\"]", "1:31 accept missing landlock"),
        Line(
            "protections.accept_missing = [\"landlock\"]",
            "protections.accept_missing = [\"proc-masks\", \"landlock\", \"cpu-limit\"]",
            "1:13 accept missing cpu-limit", "1:13 accept missing proc-masks"),
    ])
    func `environment, system calls and protections`(line: Line) throws { try check(line) }

    @Test(arguments: [
        Line("", takes: "limits.memory = \"4GB\""),
        Line("limits.memory = \"4GB\"", takes: "limits.memory = \"3GB\""),
        Line("limits.memory = \"4GB\"", "limits.memory = \"8GB\"", "1:8 limits.memory 8GB (now 4GB)"),
        Line("limits.memory = \"75%\"", takes: "limits.memory = \"50%\""),
        Line("limits.memory = \"75%\"", "limits.memory = \"80%\"", "1:8 limits.memory 80% (now 75%)"),
        Line("limits.memory = \"75%\"", "limits.memory = \"16MiB\"", "1:8 limits.memory 16MiB (now 75%)"),
        Line("limits.memory = \"4GB\"", "limits.memory = \"1%\"", "1:8 limits.memory 1% (now 4GB)"),
        Line("limits.memory = \"100%\"", takes: "limits.memory = \"4GB\""),
        Line("limits.processes = 5", takes: "limits.processes = 4"),
        Line("limits.processes = 5", "limits.processes = 6", "1:8 limits.processes 6 (now 5)"),
        Line("limits.cpus = 1.5", takes: "limits.cpus = 1"),
        Line("limits.cpus = 1.5", "limits.cpus = 2", "1:8 limits.cpus 2 (now 1.5)"),
        Line("limits.time = \"1h\"", takes: "limits.time = \"59m\""),
        Line("limits.time = \"1h\"", "limits.time = \"2h\"", "1:8 limits.time 2h (now 1h)"),
        Line("limits.temporary = \"1GB\"", takes: "limits.temporary = \"1MiB\""),
        Line(
            "limits.temporary = \"1GB\"", "limits.temporary = \"2GB\"", "1:8 limits.temporary 2GB (now 1GB)"),
        Line("limits.open_files = 100", takes: "limits.open_files = 64"),
        Line("limits.open_files = 64", "limits.open_files = 100", "1:8 limits.open_files 100 (now 64)"),
        Line("limits.file_size = \"1GB\"", takes: "limits.file_size = \"1MiB\""),
        Line(
            "limits.file_size = \"1GB\"", "limits.file_size = \"2GB\"", "1:8 limits.file_size 2GB (now 1GB)"),
        Line("limits.disk = \"1GB\"", takes: "limits.disk = \"2MiB\""),
        Line("limits.on_exceeded = \"pause\"", takes: "limits.on_exceeded = \"end\""),
        Line("", takes: "limits.on_exceeded = \"end\""),
        Line(
            "", "[limits]\non_exceeded = \"pause\"", "2:1 limits.on_exceeded pause (now end)"),
        Line("limits.disk = \"1GB\"", "limits.disk = \"2GB\"", "1:8 limits.disk 2GB (now 1GB)"),
        Line(
            "", takes: "limits = { processes = 4, cpus = 1, time = 5, temporary = \"1MiB\", open_files = 64 }"
        ),
    ])
    func `limits`(line: Line) throws { try check(line) }

    @Test(arguments: [
        Line("limits.memory = \"75%\"", takes: "limits.memory = \"4GB\""),
        Line("limits.memory = \"75%\"", takes: "limits.memory = \"6GB\""),
        Line("limits.memory = \"75%\"", "limits.memory = \"7GB\"", "1:8 limits.memory 7GB (now 75%)"),
        Line("limits.memory = \"4GB\"", takes: "limits.memory = \"50%\""),
        // Neither is ever reached.
        Line("limits.memory = \"9GB\"", takes: "limits.memory = \"10GB\""),
        Line("limits.memory = \"100%\"", takes: "limits.memory = \"10GB\""),
        Line("limits.memory = \"4GB\"", "limits.memory = \"51%\"", "1:8 limits.memory 51% (now 4GB)"),
    ])
    func `sizes and shares of a memory that is known`(line: Line) throws {
        try check(line, ram: 8_000_000_000)
    }
}

/// What no file of a project can say, and how widenings are shown.
struct NarrowingTests {
    @Test func `exceptions, sources of secrets and agents are never taken`() throws {
        let text = """
            [workspace]
            hide = ["*.pem", "!ca.pem"]
            [environment.from]
            KEY = { command = "op read x" }
            FILE = { file = "~/f" }
            [agent]
            name = "mine"
            command = ["sh"]
            """
        let layer = try PolicyReader.read(Array(text.utf8), file: "x")
        var policy = Policy()
        let wishes = policy.narrow(by: layer)
        #expect(
            wishes.map { "\($0.position?.description ?? "-") \($0.text)" } == [
                "2:18 show ca.pem", "4:1 set KEY from command: op read x", "5:1 set FILE from file: ~/f",
                "6:2 define the agent mine",
            ])
        #expect(
            wishes.map(\.path) == [
                ["workspace", "hide", "1"], ["environment", "from", "KEY"], ["environment", "from", "FILE"],
                ["agent"],
            ])
        #expect(policy.workspace.hide.map(\.description) == ["*.pem"])
        #expect(policy.environment == Policy.Environment() && policy.agent == nil)
    }

    @Test func `paths are those of the layer's entries, in the order of the text`() throws {
        let text = """
            limits.processes = 9
            network.allow = ["b.org", "a.org"]
            network.hosts."A.ORG".raw = true
            """
        let layer = try PolicyReader.read(Array(text.utf8), file: "x", isProject: true)
        var policy = Policy()
        policy.limits.processes = 3
        let wishes = policy.narrow(by: layer)
        #expect(
            wishes.map(\.text) == [
                "limits.processes 9 (now 3)", "allow b.org", "allow a.org",
                "network.hosts.\"a.org\".raw true (now false)",
            ])
        let known = Set(layer.entries.map(\.path))
        #expect(wishes.allSatisfy { known.contains($0.path) })
    }

    @Test func `a layer without a text has no places`() throws {
        var layer = PolicyLayer(name: "command line")
        layer.network.allow = [try HostRule("a.org")]
        layer.network.hosts = [PolicyLayer.Host(rule: try HostRule("a.org"))]
        layer.network.hosts[0].raw = true
        var policy = Policy()
        let wishes = policy.narrow(by: layer)
        #expect(wishes.map(\.position) == [nil, nil])
        #expect(wishes.map(\.text) == ["allow a.org", "network.hosts.\"a.org\".raw true (now false)"])
    }

    @Test func `nothing in a text moves the user's terminal`() throws {
        let text = "files.read = [\"/a\u{202E}b\"]"
        let layer = try PolicyReader.read(Array(text.utf8), file: "x", isProject: true)
        var policy = Policy()
        #expect(policy.narrow(by: layer).map(\.text) == ["read /a\\u{202e}b"])
    }

    private func policy(_ text: String) throws -> Policy {
        Policy(merging: [try PolicyReader.read(Array(text.utf8), file: "x")])
    }

    @Test(arguments: [
        ("", "limits.memory = \"4GB\"", ["limits.memory unlimited (now 4GB)"]),
        ("", "network.limits.excess = \"close\"", ["network.limits.excess slow (now close)"]),
        ("", "network.deny = [\"a.org\"]", ["no longer deny a.org"]),
        ("network.deny = [\"*.a.org\"]", "network.deny = [\"x.a.org\"]", []),
        ("network.allow = [\"a.org\", \"b.org\"]", "network.allow = [\"b.org\"]", ["allow a.org"]),
        ("", "network.hosts.\"a.org\".upload = 5", ["network.hosts.\"a.org\".upload unlimited (now 5B)"]),
        ("network.hosts.\"*.a.org\".upload = 4", "network.hosts.\"x.a.org\".upload = 5", []),
        (
            "", "network.upstream_proxy = \"http://p.org:1\"",
            ["network.upstream_proxy none (now http://p.org:1)"]
        ),
        ("", "network.ca = \"/a.pem\"", []),
        ("network.publish = [\"1\"]", "", ["publish 1"]),
        ("", "workspace.hide = [\".env\"]", ["show .env"]),
        ("workspace.hide = [\".env\", \"!.env\"]", "workspace.hide = [\".env\"]", ["show .env"]),
        ("workspace.hide = [\"!.env\", \".env\"]", "workspace.hide = [\".env\"]", []),
        ("", "workspace.only = [\"src\"]", ["show the whole project"]),
        ("workspace.only = [\"src\", \"docs\"]", "workspace.only = [\"src\"]", ["show docs"]),
        ("files.write = [\"~/x\"]", "files = { write = [\"~/x\"], read = [\"~/x/y\"] }", ["write ~/x/y"]),
        ("environment.set.A = \"1\"", "environment.pass = [\"A\"]", ["set A"]),
        ("", "syscalls.profile = \"strict\"", ["syscalls.profile default (now strict)"]),
        ("protections.accept_missing = [\"landlock\"]", "", ["accept missing landlock"]),
        ("agent = { name = \"a\", command = [\"a\"] }", "", ["define the agent a"]),
        ("", "agent = { name = \"a\", command = [\"a\"] }", []),
    ])
    func `what one policy permits and another does not`(wide: String, narrow: String, texts: [String]) throws
    {
        let widenings = try policy(wide).widenings(over: try policy(narrow))
        #expect(widenings.map(\.text) == texts)
        #expect(widenings.allSatisfy { $0.position == nil && Int($0.path.last ?? "") == nil })
    }
}
