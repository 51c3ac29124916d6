import Foundation
import Testing

/// `box policy`, `box init`: what holds, where it comes from, and a first file of one's own.
@Suite(.recorded("CF-01")) struct PolicyCommands {
    // MARK: - Show

    /// What `box policy show --json` says.
    struct Shown: Decodable {
        struct Line: Decodable {
            var key: String
            var value: String
            var source: String
            var line: Int?
        }
        var digest: String
        var lines: [Line]
        var untrusted: [String]

        func line(_ key: String, _ value: String) -> Line? {
            lines.first { $0.key == key && $0.value == value }
        }
    }

    @Test func `each line is shown with the file and the line that say it`() throws {
        let scene = try PolicyScene(
            policy: "[network]\nallow = [\n  \"evil.example.com\",\n]\ndeny = [\"x.example.com\"]\n")
        try scene.write(user: "[network]\nallow = [\"mine.example.com\"]\n[limits]\nprocesses = 77\n")
        let above = scene.box.scratch.root + "/above.toml"
        try scene.box.scratch.write("[limits]\nprocesses = 66\n", to: above)
        let shown = try scene.json(["policy", "show", "--json", "--agent", "claude"], Shown.self)
        #expect(shown.line("network.allow", "mine.example.com")?.line == 2)
        #expect(shown.line("network.allow", "mine.example.com")?.source.hasSuffix("/config.toml") == true)
        #expect(shown.line("network.allow", "api.anthropic.com")?.source == "claude.toml")
        #expect(shown.line("network.deny", "x.example.com")?.source == "box.toml")
        #expect(shown.line("network.deny", "x.example.com")?.line == 5)
        #expect(shown.line("limits.processes", "77") != nil && shown.line("limits.processes", "4096") == nil)
        #expect(shown.line("network.mode", "proxy")?.source == "base.toml")
        // What is not agreed to is no part of it, and told beside it.
        #expect(
            shown.line("network.allow", "evil.example.com") == nil
                && shown.untrusted == ["allow evil.example.com"])
        let text = try scene.command(["policy", "show"])
        #expect(
            text.lines.contains { $0.hasPrefix("limits.processes = 77 ") && $0.hasSuffix("config.toml:4") },
            "\(text)")
        #expect(text.errors.contains("wants to widen the policy: allow evil.example.com"), "\(text)")
        // `--policy` stands above, and the digest is of all that holds.
        let higher = try scene.json(["policy", "show", "--json", "--policy", above], Shown.self)
        #expect(higher.line("limits.processes", "66") != nil && higher.digest != shown.digest)
        try scene.command(["trust", "--yes"])
        let trusted = try scene.json(["policy", "show", "--json"], Shown.self)
        #expect(trusted.untrusted.isEmpty && trusted.line("network.allow", "evil.example.com")?.line == 3)
    }

    @Test func `a session writes down the digest of what held for it`() throws {
        let scene = try PolicyScene()
        let shown = try scene.json(["policy", "show", "--json"], Shown.self)
        try scene.inside("true", ["--name", "one"])
        let events = try Host.text(scene.state + "/sessions/one/events.jsonl")
        // The options of the run are part of it, so it is another one.
        #expect(events.contains("\"policy\":\"") || events.contains("policy_digest"), "\(events)")
        #expect(!events.contains(shown.digest))
    }

    // MARK: - Check

    private struct Checked: Decodable {
        var file: String
        var errors: [String]
    }

    @Test func `all files are checked at once`() throws {
        let scene = try PolicyScene()
        let none = try scene.command(["policy", "check"])
        #expect(none.text.contains("there is no policy file here: the shipped policy holds"), "\(none)")
        try scene.write("[network]\nalow = []\n")
        try scene.write(user: "[limits]\nmemory = \"x\"\n")
        try scene.write(profile: "good", "[agent]\nname = \"good\"\ncommand = [\"true\"]\n")
        try scene.write(profile: "bad", "[agent]\nname = \"bad\"\n")
        let checked = try scene.command(["policy", "check"], status: 1)
        for place in ["box.toml:2:1: ", "config.toml:2:1: ", "profiles/bad.toml:1:2: "] {
            #expect(checked.errors.contains(place), "\(checked)")
        }
        #expect(checked.text.contains("good.toml: good") && !checked.text.contains("bad.toml"), "\(checked)")
        let list = try scene.json(["policy", "check", "--json"], [Checked].self, status: 1)
        #expect(list.map { $0.errors.count } == [1, 1, 1, 0], "\(list)")
        // One by name; and one that is not there is no good one.
        #expect(try scene.command(["policy", "check", scene.profile("good")]).text.contains(": good"))
        try scene.command(["policy", "check", scene.profile("bad")], status: 1)
        try scene.command(["policy", "check", "nowhere.toml"], status: 125)
    }

    // MARK: - Explain

    @Test func `a host is explained by the rule that decides`() throws {
        let scene = try PolicyScene(policy: "[network]\ndeny = [\"gist.example.com\"]\n", [])
        try scene.write(user: "[network]\nallow = [\"*.example.com\", \"git.example.org:22\"]\n")
        let allowed = try scene.explain("a.example.com")
        #expect(allowed.allowed && allowed.host == "a.example.com" && allowed.port == 443)
        #expect(
            allowed.rule == "*.example.com" && allowed.source?.hasSuffix("config.toml:2") == true,
            "\(allowed)")
        let denied = try scene.explain("gist.example.com")
        #expect(
            !denied.allowed && denied.source == "box.toml:2"
                && denied.reason.contains("is denied by box.toml:2"), "\(denied)")
        let port = try scene.explain("git.example.org")
        #expect(
            !port.allowed && port.reason.contains("only another port is allowed: git.example.org:22"),
            "\(port)")
        let unknown = try scene.explain("evil.example.net:8443")
        #expect(!unknown.allowed && unknown.rule == nil && unknown.source == nil, "\(unknown)")
        #expect(unknown.reason.hasSuffix("box allow evil.example.net:8443"), "\(unknown)")
        let text = try scene.command(["policy", "explain", "gist.example.com"], status: 1)
        #expect(
            text.answer == "gist.example.com:443 is refused: gist.example.com is denied by box.toml:2",
            "\(text)")
        for wrong in ["*.example.com", "10.0.0.0/8", "http://example.com", "a b"] {
            try scene.command(["policy", "explain", wrong], status: 125)
        }
        try scene.write(user: "[network]\nmode = \"none\"\nallow = [\"*.example.com\"]\n")
        #expect(try scene.explain("a.example.com").reason.contains("there is no network"))
    }

    /// What is explained of a path is what is inside.
    @Test func `a path is explained as it is inside`() throws {
        let scene = try PolicyScene([])
        let outside = scene.box.scratch.root + "/outside"
        try scene.host("mkdir '\(outside)'; echo x >'\(outside)/file'; echo s >.env; echo p >plain")
        try scene.write(user: "[files]\nread = [\"\(outside)\"]\n")
        let wanted: [(path: String, access: String)] = [
            (scene.project + "/plain", "write"), (scene.project + "/.env", "none"),
            (outside + "/file", "read"),
            ("/usr/bin/env", "read"), ("/srv/nowhere", "none"), ("/opt", "none"),
            ("/tmp/new", "write"), (scene.projectFile, "read"),
        ]
        for (path, access) in wanted {
            let said = try scene.explain(path)
            #expect(
                said.path == path && said.access == access && said.allowed == (access != "none"),
                "\(path): \(said)")
            let there = try scene.inside(
                "if [ -e '\(path)' ]; then echo there; fi; ( >>'\(path)' ) 2>/dev/null && echo written; true"
            ).lines
            switch access {
            case "write": #expect(there.last == "written", "\(path): \(there)")
            case "read": #expect(!there.contains("written"), "\(path): \(there)")
            default: #expect(!there.contains("there"), "\(path): \(there)")
            }
        }
        #expect(try scene.explain(outside + "/file").source?.hasSuffix("config.toml:2") == true)
        #expect(try scene.explain("./plain").path == scene.project + "/plain")
        // Nothing is made by asking.
        #expect(scene.sessions.isEmpty || !scene.exists(scene.state + "/sessions/SESSION"))
    }

    @Test func `a system call is explained by the profile`() throws {
        let scene = try PolicyScene()
        let open = try scene.explain("openat")
        #expect(
            open.allowed && open.syscall == "openat" && open.source?.hasPrefix("base.toml") == true, "\(open)"
        )
        for name in ["mount", "bpf", "io_uring_setup", "kexec_load", "unshare"] {
            let said = try scene.explain(name)
            #expect(!said.allowed && said.reason.contains("the profile default"), "\(said)")
        }
        let depends = try scene.explain("clone")
        #expect(depends.allowed && depends.reason.contains("it depends on the arguments"), "\(depends)")
    }

    // MARK: - Groups

    private struct Group: Decodable {
        var name: String
        var summary: String
        var hosts: [String]
    }

    @Test func `the groups are listed, and each with its hosts`() throws {
        let scene = try PolicyScene()
        let groups = try scene.json(["policy", "groups", "--json"], [Group].self)
        #expect(Set(groups.map(\.name)).isSuperset(of: ["github", "npm", "crates", "go"]), "\(groups)")
        #expect(groups.allSatisfy { !$0.summary.isEmpty && !$0.hosts.isEmpty })
        let one = try scene.command(["policy", "groups", "github"])
        #expect(
            one.lines.first?.hasPrefix("@github ") == true && one.lines.contains("    github.com:22"),
            "\(one)")
        #expect(try scene.command(["policy", "groups", "@github"]).text == one.text)
        let unknown = try scene.command(["policy", "groups", "githup"], status: 125)
        #expect(unknown.errors.contains("there is no group @githup. Did you mean @github?"), "\(unknown)")
        // Each can be allowed by its name, and is then in force.
        try scene.command(["allow"] + groups.map { "@" + $0.name })
        for group in groups.prefix(6) { #expect(try scene.explain(group.hosts[0]).allowed, "\(group.name)") }
    }

    // MARK: - Init

    @Test(arguments: [
        ("package.json", ["@npm"], "node"), ("Cargo.toml", ["@crates"], "rust"), ("go.mod", ["@go"], "go"),
        ("Package.swift", ["@github"], "swift"), ("pyproject.toml", [], "python"),
        ("README", [], "no language"),
    ])
    func `a first file is written for the project's language, and it holds`(
        _ name: String, _ groups: [String], _ language: String
    ) throws {
        let scene = try PolicyScene()
        try scene.host("echo >\(name)")
        let written = try scene.command(["init"])
        #expect(written.text.contains("box.toml written") && written.text.contains(language), "\(written)")
        let text = try Host.text(scene.projectFile)
        for group in groups { #expect(text.contains("    \"\(group)\","), "\(text)") }
        #expect(
            text.contains("#") && groups.count == text.components(separatedBy: "    \"@").count - 1, "\(text)"
        )
        #expect(try scene.command(["policy", "check"]).text.contains("box.toml: good"))
        // What box wrote at the user's word is the user's.
        #expect(try scene.inside("true").errors.isEmpty)
        // It is not written over.
        let again = try scene.command(["init"], status: 125)
        #expect(again.errors.contains("it exists"), "\(again)")
        #expect(try Host.text(scene.projectFile) == text)
        // Each line that is switched off can be switched on.
        let on = text.split(separator: "\n", omittingEmptySubsequences: false).map {
            $0.hasPrefix("#") && !$0.hasPrefix("# ") ? String($0.dropFirst()) : String($0)
        }
        try scene.write(on.joined(separator: "\n"))
        #expect(try scene.command(["policy", "check"]).text.contains("box.toml: good"))
        try scene.command(["allow", "added.example.com"])
        #expect(try scene.explain("added.example.com").allowed)
    }

    @Test func `with several languages each has its hosts, and -C says where`() throws {
        let scene = try PolicyScene()
        try scene.host("mkdir ../two; echo >../two/go.mod; echo '{}' >../two/package.json")
        let written = try scene.command(["init", "-C", scene.box.scratch.root + "/two"])
        #expect(written.text.contains("node, go"), "\(written)")
        let text = try Host.text(scene.box.scratch.root + "/two/box.toml")
        #expect(
            text.contains("\"@npm\",") && text.contains("\"@go\",") && !scene.exists(scene.projectFile),
            "\(text)")
    }
}
