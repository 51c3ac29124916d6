import Foundation
import Testing

/// `box allow` and `box deny`: one rule more or less in one file of the user's, and nothing else in it.
@Suite struct Allow {
    /// What `box allow --json` says of one rule.
    struct Said: Decodable {
        var file: String?
        var rule: String?
        var done: Bool
        var changed: Bool?
        var presentAs: String?
        var session: String?
    }

    // MARK: - The text

    @Suite(.recorded("CF-01")) struct Text {
        @Test func `the first rule makes a file, which holds`() throws {
            let scene = try PolicyScene()
            let outcome = try scene.command(["allow", "example.com", "*.example.org:8443"])
            #expect(
                outcome.lines == [
                    "example.com allowed in box.toml", "*.example.org:8443 allowed in box.toml",
                ],
                "\(outcome)")
            #expect(
                try Host.text(scene.projectFile)
                    == "[network]\nallow = [\"example.com\", \"*.example.org:8443\"]\n")
            #expect(try scene.explain("example.com").allowed)
            #expect(try scene.explain("a.b.example.org:8443").source == "box.toml:2")
            #expect(try !scene.explain("example.com:80").allowed)
            // What the user wrote by this is agreed to.
            #expect(try scene.inside("true").errors.isEmpty)
            let attributes = try FileManager.default.attributesOfItem(atPath: scene.projectFile)
            #expect(attributes[.posixPermissions] as? Int == 0o644)
            #expect(try scene.host("ls -A").lines == ["box.toml"])
        }

        /// Comments, order, line endings, and what has no newline at its end.
        @Test(arguments: [
            (
                "# mine\n[network]   # here\nallow = [\n    \"a.example.com\",  # for the build\n    # last\n]\n[limits]\nprocesses = 200\n",
                "+    \"new.example.com\","
            ),
            (
                "[network]\r\nallow = [\"a.example.com\"]\r\n# end\r\n",
                "+allow = [\"a.example.com\", \"new.example.com\"]\r"
            ),
            (
                "network.allow = [ 'a.example.com' ]",
                "+network.allow = [ 'a.example.com', 'new.example.com' ]"
            ),
            (
                "network = { allow = [\"a.example.com\"] }\n",
                "+network = { allow = [\"a.example.com\", \"new.example.com\"] }"
            ),
            ("[limits]\nprocesses = 200 # few\n", "+allow = [\"new.example.com\"]"),
            ("# only a comment\n", "+allow = [\"new.example.com\"]"),
        ])
        func `comments, order and line endings stay as they are`(_ before: String, _ added: String) throws {
            guard has("diff") else { return }
            let scene = try PolicyScene(policy: before)
            try scene.command(["trust", "--yes"])
            try scene.host("cp -p box.toml ../old; chmod 640 box.toml")
            try scene.command(["allow", "new.example.com"])
            let difference = try Host.run(
                ["/usr/bin/env", "diff", "-U0", "../old", "box.toml"], directory: scene.project
            ).lines
            let lines = difference.dropFirst(2).filter { !$0.hasPrefix("@") && !$0.hasPrefix("\\") }
            #expect(lines.contains(added.trimmingCharacters(in: .newlines)), "\(difference)")
            // At most one line is another, and what is new beside the rule is a table for it.
            #expect(lines.filter { $0.hasPrefix("-") }.count <= 1, "\(difference)")
            #expect(
                lines.filter { $0.hasPrefix("+") }.allSatisfy {
                    $0.contains("new.example.com") || $0 == "+" || $0 == "+[network]"
                }, "\(difference)")
            #expect(try scene.explain("new.example.com").allowed)
            let text = try Host.text(scene.projectFile)
            #expect(text.contains("\r\n") == before.contains("\r\n"))
            #expect(
                !text.replacingOccurrences(of: "\r\n", with: "").contains("\n") || !before.contains("\r\n"),
                "\(text)")
            // Who may read the file stays, and the agreement goes on.
            let attributes = try FileManager.default.attributesOfItem(atPath: scene.projectFile)
            #expect(attributes[.posixPermissions] as? Int == 0o640)
            #expect(try scene.inside("true").errors.isEmpty)
            // Denying it takes it out again.
            try scene.command(["deny", "new.example.com"])
            #expect(try !Host.text(scene.projectFile).contains("allow = [\"new"))
            #expect(try !scene.explain("new.example.com").allowed)
        }

        @Test func `a group is one element, and its hosts are open`() throws {
            let scene = try PolicyScene()
            try scene.command(["allow", "@github", "@go"])
            #expect(try Host.text(scene.projectFile) == "[network]\nallow = [\"@github\", \"@go\"]\n")
            for host in ["github.com", "github.com:22", "api.github.com", "sum.golang.org"] {
                #expect(try scene.explain(host).allowed, "\(host)")
            }
            #expect(try !scene.explain("gist.github.com").allowed)
            let again = try scene.command(["allow", "api.github.com", "@github"])
            #expect(
                again.lines == [
                    "api.github.com is allowed already in box.toml, by @github",
                    "@github is allowed already in box.toml",
                ], "\(again)")
            try scene.command(["deny", "@github"])
            #expect(try !scene.explain("github.com").allowed)
            #expect(try scene.explain("sum.golang.org").allowed)
        }

        @Test func `no rule is written in two spellings, and a wider one is told`() throws {
            let scene = try PolicyScene()
            try scene.command(["allow", "*.example.com", "93.184.216.0/24:7777", "localhost:5432"])
            let text = try Host.text(scene.projectFile)
            let same = [
                ("A.Example.COM.", "a.example.com is allowed already in box.toml, by *.example.com"),
                ("deep.a.example.com:443", "by *.example.com"),
                ("*.EXAMPLE.com", "*.example.com is allowed already"),
                ("93.184.216.0/28:7777", "by 93.184.216.0/24:7777"), ("*.a.example.com", "by *.example.com"),
                ("localhost:5432", "localhost:5432 is allowed already in box.toml"),
            ]
            for (host, said) in same {
                let outcome = try scene.command(["allow", host])
                #expect(outcome.text.contains(said), "\(host): \(outcome)")
                #expect(try Host.text(scene.projectFile) == text, "\(host)")
            }
            // The apex, another port and another address are not in it.
            // (An address by itself opens more than its network does: loopback, for one.)
            for host in ["example.com", "a.example.com:80", "93.184.217.1:7777", "93.184.216.34:7777"] {
                #expect(
                    try scene.command(["allow", host]).text.contains("\(host) allowed in box.toml"), "\(host)"
                )
            }
            // What the user allows everywhere is not written once more here.
            try scene.command(["allow", "--user", "all.example.net"])
            let known = try scene.command(["allow", "all.example.net"])
            #expect(known.text.contains("all.example.net is allowed already, by all.example.net"), "\(known)")
            #expect(try !Host.text(scene.projectFile).contains("all.example.net"))
        }

        @Test func `the user's own file is for all projects`() throws {
            let scene = try PolicyScene()
            let outcome = try scene.command(["allow", "--user", "everywhere.example.com"])
            #expect(outcome.text.contains("everywhere.example.com allowed in "), "\(outcome)")
            #expect(!scene.exists(scene.projectFile))
            #expect(try Host.text(scene.userFile).contains("everywhere.example.com"))
            let other = scene.box.scratch.root + "/other"
            try scene.host("mkdir '\(other)'")
            #expect(try scene.explain("everywhere.example.com", "-C", other).allowed)
            // One project's rule is that project's.
            try scene.command(["allow", "here.example.com"])
            #expect(try scene.explain("here.example.com").allowed)
            #expect(try !scene.explain("here.example.com", "-C", other).allowed)
            try scene.command(["allow", "-C", other, "there.example.com"])
            #expect(try Host.text(other + "/box.toml").contains("there.example.com"))
            #expect(try !scene.explain("there.example.com").allowed)
        }

        @Test func `a denial is stronger, and that is said`() throws {
            let scene = try PolicyScene()
            try scene.write(user: "[network]\ndeny = [\"*.example.com\"]\n")
            let outcome = try scene.command(["allow", "a.example.com"])
            #expect(
                outcome.errors.contains("a.example.com stays refused: *.example.com is denied by")
                    && outcome.errors.contains("config.toml:2"), "\(outcome)")
            #expect(try !scene.explain("a.example.com").allowed)
            // Of one file the last word counts.
            try scene.command(["deny", "b.example.org"])
            #expect(try !scene.explain("b.example.org").allowed)
            try scene.command(["allow", "b.example.org"])
            #expect(try scene.explain("b.example.org").allowed)
            #expect(try Host.text(scene.projectFile).components(separatedBy: "b.example.org").count == 2)
        }

        @Test func `it is told as JSON`() throws {
            let scene = try PolicyScene()
            let said = try scene.json(["allow", "--json", "example.com", "@npm"], [Said].self)
            #expect(
                said.map(\.rule) == ["example.com", "@npm"]
                    && said.allSatisfy { $0.done && $0.changed == true })
            #expect(said.allSatisfy { $0.file == scene.projectFile })
            let again = try scene.json(["allow", "--json", "example.com"], [Said].self)
            #expect(again.first?.changed == false && again.first?.presentAs == "example.com", "\(again)")
            let denied = try scene.json(["deny", "--json", "example.com"], [Said].self)
            #expect(denied.first?.changed == true, "\(denied)")
        }

        @Test func `from a directory below it is the project of the session that runs`() throws {
            let scene = try PolicyScene(["--workspace", "overlay"])
            try scene.host("mkdir -p deep/er")
            // Without a session it is the directory itself.
            try scene.command(["allow", "first.example.com"], directory: scene.project + "/deep")
            #expect(try Host.text(scene.project + "/deep/box.toml").contains("first.example.com"))
            try scene.host("rm deep/box.toml")
            let session = try Conversation(scene.box)
            let outcome = try scene.command(
                ["allow", "second.example.com"], directory: scene.project + "/deep/er")
            #expect(outcome.text.contains("\(Conversation.name): follows"), "\(outcome)")
            #expect(try Host.text(scene.projectFile).contains("second.example.com"))
            #expect(try scene.host("find deep -type f").lines.isEmpty)
            try session.end()
        }
    }

    // MARK: - What is refused

    @Suite(.recorded("CF-07")) struct Refused {
        static let hosts = [
            "*", "*.", "*.com", "*.co.uk", "*.github.io", "*.amazonaws.com", "*.pages.dev", "**.example.com",
            "a.*.example.com", "ex*mple.com", "0.0.0.0/0", "::/0", "[::/0]:443", "10.0.0.0/1",
            "http://example.com",
            "https://example.com/x", "example.com/path", "user@example.com", "169.254.169.254",
            "169.254.169.254:80", "metadata.google.internal", "[fd00:ec2::254]:80", "100.100.100.200",
            "example.com:0", "example.com:99999", "example.com:http", "-x.example.com", "a b", "", ".",
            "a..b", "1.2.3",
            "0x7f000001", "2130706433", "127.1", "exämple.com", "@nosuchgroup", "@", "example.com\n",
            "a\u{1b}[2J",
        ]

        @Test func `what opens more than one party's hosts, or is no host, is refused with the reason`()
            throws
        {
            let scene = try PolicyScene(policy: "# mine\n")
            for (number, host) in Refused.hosts.enumerated() {
                for words in [["allow", "good.example.com"], ["allow", "--user"]].prefix(
                    number % 4 == 0 ? 2 : 1)
                {
                    let outcome = try scene.command(words + ["--", host], status: 125)
                    #expect(outcome.out.isEmpty && outcome.errors.hasPrefix("box: "), "\(host): \(outcome)")
                    #expect(
                        outcome.errors.utf8.count > 20 && !outcome.err.contains(0x1B), "\(host): \(outcome)")
                }
            }
            // Neither these nor what stood beside them is written.
            #expect(try Host.text(scene.projectFile) == "# mine\n")
            #expect(!scene.exists(scene.userFile))
            #expect(!scene.exists(scene.state + "/trust.json"))
            // The control: without these it is.
            try scene.command(["allow", "good.example.com"])
            #expect(try Host.text(scene.projectFile).contains("good.example.com"))
        }

        /// A file that is not to be written: it stays as it is, and nothing else is made.
        @Test func `a file that cannot be trusted is not written`() throws {
            for stranger in PolicyFiles.strangers where Host.isRoot || !stranger.needsRoot {
                guard !stranger.name.contains("group") else { continue }
                let scene = try PolicyScene(policy: "# mine\n")
                let made = try Host.run(["/bin/sh", "-ec", stranger.script, "sh", scene.projectFile])
                #expect(made.status == 0, "\(made)")
                let before = try scene.host(
                    "ls -lnA --time-style=full-iso; cat box.toml.real 2>/dev/null || :"
                ).lines
                for words in [["allow", "example.com"], ["deny", "example.com"]] {
                    let outcome = try scene.command(words, status: 125)
                    #expect(outcome.errors.contains(stranger.said), "\(stranger.name): \(outcome)")
                }
                if !stranger.name.contains("directory") {
                    try scene.command(["init"], status: 125)
                }
                let after = try scene.host(
                    "ls -lnA --time-style=full-iso; cat box.toml.real 2>/dev/null || :"
                ).lines
                Lines.expectSame(after, before, stranger.name)
            }
        }

        @Test func `a file with a mistake is not written, and the mistake is told`() throws {
            let scene = try PolicyScene(policy: "[network]\nalow = []\n")
            let outcome = try scene.command(["allow", "example.com"], status: 125)
            #expect(outcome.errors.contains("box.toml:2:1: unknown key"), "\(outcome)")
            #expect(try Host.text(scene.projectFile) == "[network]\nalow = []\n")
        }

        @Test func `what contradicts itself is refused`() throws {
            let scene = try PolicyScene()
            for words in [
                ["--user", "--for", "1m"], ["--user", "-s", "x"], ["--for", "soon"], ["--for", "0s"],
            ] {
                try scene.command(["allow"] + words + ["example.com"], status: 125)
            }
            // Without a session there is nothing to open for a time.
            let none = try scene.command(["allow", "--for", "1m", "example.com"], status: 125)
            #expect(none.errors.contains("no session of this project runs"), "\(none)")
            #expect(try scene.host("ls -A").lines.isEmpty)
        }

        @Test func `in a file that is not trusted only the user's own rule is in force`() throws {
            row("CF-01")
            let scene = try PolicyScene(
                policy: "[network]\nallow = [\"evil.example.com\"]\n[environment]\nset = { WIDE = \"1\" }\n")
            let outcome = try scene.command(["allow", "mine.example.com"])
            #expect(
                outcome.errors.contains(
                    "the rest of box.toml is not trusted: only this rule of yours is in force"),
                "\(outcome)")
            #expect(
                try Host.text(scene.projectFile).hasPrefix(
                    "[network]\nallow = [\"evil.example.com\", \"mine.example.com\"]"))
            #expect(try scene.explain("mine.example.com").allowed)
            #expect(try !scene.explain("evil.example.com").allowed)
            let run = try scene.inside("echo \"<$WIDE>\"")
            #expect(run.answer == "<>" && run.errors.contains("wants to widen"), "\(run)")
            // A rule that is there already becomes the user's own by the user's word, and no other does.
            try scene.command(["allow", "evil.example.com"])
            #expect(try scene.explain("evil.example.com").allowed)
            #expect(try scene.inside("echo \"<$WIDE>\"").answer == "<>")
            // Somebody else's edit of the file brings nothing, and the own rules stay.
            try scene.write(try Host.text(scene.projectFile) + "[files]\nread = [\"/opt/secret\"]\n")
            #expect(try scene.explain("mine.example.com").allowed)
            #expect(try !scene.explain("/opt/secret").allowed)
            // Taking the agreement back takes these, too.
            try scene.command(["trust", "--revoke"])
            #expect(try !scene.explain("mine.example.com").allowed)
        }
    }

    // MARK: - At the same time

    @Suite(.recorded("CF-03"), .serialized) struct Together {
        @Test func `commands at the same time lose nothing`() throws {
            for target in [[], ["--user"]] {
                let scene = try PolicyScene()
                let hosts = (1...8).map { "h\($0).example.com" }
                let running = try hosts.map {
                    try Running(
                        [scene.box.executable, "allow"] + target + [$0], environment: scene.box.environment,
                        directory: scene.project, streams: .pipes(input: nil))
                }
                for one in running {
                    let outcome = try one.wait()
                    #expect(outcome.status == 0, "\(outcome)")
                }
                for host in hosts { #expect(try scene.explain(host).allowed, "\(host)") }
                let file = target.isEmpty ? scene.projectFile : scene.userFile
                let folder = (file as NSString).deletingLastPathComponent
                #expect(try Host.text(file).components(separatedBy: ".example.com").count == 9)
                #expect(try FileManager.default.contentsOfDirectory(atPath: folder).count == 1)
            }
        }

        @Test func `a command that is killed leaves the old file or the new one`() throws {
            let scene = try PolicyScene()
            let many = (1...40).map { "\"old\($0).example.com\"" }.joined(separator: ",\n    ")
            let old = "# mine\n[network]\nallow = [\n    \(many),\n]\n"
            try scene.write(old)
            try scene.command(["trust", "--yes"])
            let new = old.replacingOccurrences(of: ",\n]", with: ",\n    \"new.example.com\",\n]")
            let began = Date()
            try scene.command(["allow", "new.example.com"])
            let whole = Date().timeIntervalSince(began)
            #expect(try Host.text(scene.projectFile) == new)
            try scene.write(old)
            var (olds, news) = (0, 0)
            for turn in 0..<60 {
                let running = try Running(
                    [scene.box.executable, "allow", "new.example.com"], environment: scene.box.environment,
                    directory: scene.project, streams: .pipes(input: nil))
                // Sooner and later, over all that it does.
                var pause = timespec(tv_sec: 0, tv_nsec: Int(whole * 1.5e9) * turn / 60)
                _ = unsafe nanosleep(&pause, nil)
                running.signal(SIGKILL)
                _ = try running.wait()
                let text = try Host.text(scene.projectFile)
                if text == old { olds += 1 } else if text == new { news += 1 }
                #expect(text == old || text == new, "\(text)")
                #expect(try scene.box.call(["policy", "check"]).status == 0)
                if text == new { try scene.write(old) }
            }
            #expect(olds > 0 && news > 0, "\(olds) old, \(news) new: no test")
            // And the next one is not kept from its work, nor does anything of theirs stay.
            try scene.command(["allow", "last.example.com"])
            #expect(try scene.host("ls -A").lines == ["box.toml"])
        }
    }
}
