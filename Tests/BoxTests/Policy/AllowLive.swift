import Foundation
import Testing

extension Door {
    /// Policy files that change while sessions run, with connections to a pretended internet.
    @Suite(.recorded("CF-01"), .serialized) struct AllowLive {
        /// Asks for a page once; says `<200>`, or what the proxy answered instead.
        static func get(_ host: String) -> String {
            "echo \"<$(curl -sk -m 5 -o /dev/null -w '%{http_code}%{http_connect}' https://\(host)/ | tail -c 3)>\""
        }

        /// A user's session in the project, on the pretended host.
        struct Work {
            let internet: Internet
            let session: Conversation
            var box: Box { session.box }
            var file: String { box.scratch.project + "/box.toml" }

            init(
                _ identity: Identity, _ mode: String = "overlay", policy: String? = nil, trusted: Bool = true
            ) throws {
                internet = try Internet.shared.get()
                let box = try internet.box(as: identity)
                if let policy {
                    let made = try Host.run(
                        box.prefix + ["/bin/sh", "-c", "printf %s \"$1\" >box.toml", "sh", policy])
                    guard made.status == 0 else { throw HarnessError(description: "\(made)") }
                    if trusted {
                        guard try box.call(["trust", "--yes"]).status == 0 else {
                            throw HarnessError(description: "no trust")
                        }
                    }
                }
                session = try Conversation(box, options: ["--workspace", mode])
            }

            /// A command of box's in the project, which must succeed.
            @discardableResult
            func command(_ words: String..., sourceLocation: SourceLocation = #_sourceLocation) throws
                -> Outcome
            {
                let outcome = try box.call(words)
                #expect(outcome.status == 0, "\(words): \(outcome)", sourceLocation: sourceLocation)
                return outcome
            }

            /// Puts another file in the place of the project's, as editors do.
            func edit(_ text: String) throws {
                let outcome = try Host.run(
                    box.prefix + [
                        "/bin/sh", "-c", "printf %s \"$1\" >box.toml~ && mv box.toml~ box.toml", "sh", text,
                    ])
                guard outcome.status == 0 else { throw HarnessError(description: "\(outcome)") }
            }

            /// Whether the host answers now.
            func reaches(_ host: String, in other: Conversation? = nil) throws -> Bool {
                let said = try (other ?? session).say(AllowLive.get(host))
                #expect(said.contains("<200>") || said.contains("<403>"), "\(host): \(said)")
                return said.contains("<200>")
            }

            /// Waits until the session has followed a file.
            func follows(_ host: String, _ open: Bool) throws -> Bool {
                try Host.eventually { try reaches(host) == open }
            }

            func log() throws -> String {
                try Host.text("\(box.scratch.state)/box/sessions/\(Conversation.name)/events.jsonl")
            }
        }

        @Test(arguments: Identity.all, ["overlay", "direct"])
        func `a host is opened from a second terminal, and closed again`(_ identity: Identity, _ mode: String)
            throws
        {
            let work = try Work(identity, mode)
            #expect(try !work.reaches("github.com"))
            let allowed = try work.command("allow", "github.com")
            #expect(allowed.lines == ["github.com allowed in box.toml", "door: follows"], "\(allowed)")
            // At once, in the session that runs, and written for the next one.
            #expect(try work.reaches("github.com"))
            #expect(try Host.text(work.file) == "[network]\nallow = [\"github.com\"]\n")
            #expect(try !work.reaches("evil.net"))
            // A second rule goes into the file that is there now.
            #expect(try work.command("allow", "four.example.com:7777").text.contains("door: follows"))
            #expect(try work.reaches("github.com"))
            #expect(try work.command("deny", "github.com").text.contains("github.com denied in box.toml"))
            #expect(try !work.reaches("github.com"))
            #expect(try work.session.end().status == 0)
            let next = try work.box.exchange([
                .tunnel("github", "github.com:443"), .tunnel("four", "four.example.com:7777"),
            ])
            #expect(next["github"]?.status == 403 && next["four"]?.status == 200, "\(next)")
        }

        @Test(arguments: Identity.all)
        func `what is denied or not trusted any more is closed at once, open tunnels with it`(
            _ identity: Identity
        )
            throws
        {
            let work = try Work(
                identity,
                policy:
                    "[network]\nallow = [\"github.com:7777\", \"four.example.com:7777\", \"index.example.org:7777\"]\n"
            )
            let mark = try work.internet.mark()
            let list = [
                Exchange.tunnel("denied", "github.com:7777", [.send("a"), .read(1), .rest], within: 30),
                Exchange.tunnel(
                    "revoked", "four.example.com:7777", [.send("a"), .read(1), .rest], within: 30),
            ]
            try work.session.beginExchange(list, together: 2)
            for host in ["140.82.112.3", "93.184.216.40"] {
                #expect(try work.internet.eventually(since: mark, "tcp") { $0.to == host && $0.first == "a" })
            }
            let denied = try work.command("deny", "github.com:7777")
            #expect(denied.text.contains("door: follows"), "\(denied)")
            let revoked = try work.command("trust", "--revoke")
            #expect(revoked.errors.contains("not trusted any more"), "\(revoked)")
            for reply in try work.session.endExchange(list).values {
                #expect(["eof", "reset"].contains(reply.end), "\(reply)")
            }
            let again = try work.session.exchange([
                .tunnel("four", "four.example.com:7777"), .tunnel("index", "index.example.org:7777"),
            ])
            #expect(again.values.allSatisfy { $0.status == 403 }, "\(again)")
            try work.command("trust", "--yes")
            #expect(
                try work.session.exchange([.tunnel("four", "four.example.com:7777")])["four"]?.status == 200)
            try work.session.end()
        }

        @Test(arguments: Identity.all)
        func `an edit is followed as far as it tightens, and wholly when it is agreed to`(
            _ identity: Identity
        ) throws {
            let work = try Work(identity, policy: "[network]\nallow = [\"evil.net\"]\n")
            try work.command("allow", "github.com")
            #expect(try work.reaches("github.com"))
            #expect(try work.reaches("evil.net"))
            // A comment is enough: it is not what was agreed to. The user's own rule is the user's still.
            try work.edit("[network]\nallow = [\"evil.net\", \"github.com\", \"four.example.com\"] # more\n")
            #expect(try work.follows("evil.net", false))
            #expect(try work.reaches("github.com"))
            #expect(try !work.reaches("four.example.com"))
            try work.command("trust", "--yes")
            #expect(try work.reaches("evil.net"))
            #expect(try work.reaches("four.example.com"))
            try work.edit("[network]\nallow = [\"github.com\"]\ndeny = [\"github.com\"]\n")
            #expect(try work.follows("github.com", false))
            // A file that is taken away takes its rules with it.
            try work.edit("[network]\nallow = [\"github.com\"]\n")
            #expect(try work.follows("github.com", true))
            #expect(try Host.run(work.box.prefix + ["rm", "box.toml"]).status == 0)
            #expect(try work.follows("github.com", false))
            try work.session.end()
        }

        /// Files are watched only in sessions that last; what changed before is followed then.
        @Test(arguments: Identity.all, ["printf %s", "sed -i s/github/gitlab/"])
        func `an edit in a session's first moments is followed`(_ identity: Identity, _ how: String) throws {
            let old = "[network]\nallow = [\"github.com\"]\n"
            let work = try Work(identity, policy: old)
            // As many bytes, in the same file and in another one.
            let script =
                how.hasPrefix("sed")
                ? "\(how) box.toml" : "\(how) \"$1\" >box.toml"
            let edited = try Host.run(
                work.box.prefix + [
                    "/bin/sh", "-c", script, "sh", old.replacingOccurrences(of: "github", with: "gitlab"),
                ])
            #expect(edited.status == 0, "\(edited)")
            #expect(try work.follows("github.com", false))
            try work.session.end()
        }

        @Test(arguments: Identity.all)
        func `a file with a mistake changes nothing, and is written down`(_ identity: Identity) throws {
            let work = try Work(identity, policy: "[network]\nallow = [\"github.com\"]\n")
            for broken in [
                "[network\n", "[network]\nalow = []\n", "\0", String(repeating: "#", count: 1_100_000),
            ] {
                let before = try work.log().components(separatedBy: "\"error\"").count
                try work.box.scratch.write(broken, to: work.box.scratch.root + "/broken", mode: 0o644)
                #expect(
                    try Host.run(
                        work.box.prefix + ["/bin/sh", "-c", "cp ../broken broken && mv broken box.toml"]
                    ).status == 0)
                let told = try Host.eventually {
                    try work.log().components(separatedBy: "\"error\"").count > before
                }
                #expect(told, "nothing is written down of \(broken.prefix(20))")
                #expect(try work.reaches("github.com"))
                #expect(try !work.reaches("evil.net"))
            }
            #expect(try work.log().contains("box.toml:1:9: expected ]"))
            // A command of the user's does not go past it, either.
            let refused = try work.box.call(["allow", "evil.net"])
            #expect(refused.status == 125 && refused.errors.contains("1 MiB"), "\(refused)")
            try work.edit("[network]\ndeny = [\"github.com\"]\n")
            #expect(try work.follows("github.com", false))
            try work.session.end()
        }

        @Test(arguments: Identity.all)
        func `a rule of one project opens nothing in another, and one of the user's opens both`(
            _ identity: Identity
        )
            throws
        {
            let work = try Work(identity)
            let project = work.box.scratch.root + "/other"
            #expect(try Host.run(work.box.prefix + ["mkdir", project]).status == 0)
            let other = try Conversation(work.box, options: ["--name", "other", "-C", project])
            let allowed = try work.command("allow", "github.com")
            #expect(!allowed.text.contains("other"), "\(allowed)")
            #expect(try work.reaches("github.com"))
            #expect(try !work.reaches("github.com", in: other))
            let everywhere = try work.command("allow", "--user", "evil.net")
            for name in ["door: follows", "other: follows"] {
                #expect(everywhere.text.contains(name), "\(everywhere)")
            }
            #expect(try work.reaches("evil.net"))
            #expect(try work.reaches("evil.net", in: other))
            #expect(try !work.reaches("github.com", in: other))
            // What all projects are kept from, this one is, too.
            try work.command("deny", "--user", "github.com")
            #expect(try !work.reaches("github.com"))
            try other.end()
            try work.session.end()
        }

        @Test(arguments: Identity.all)
        func `an agent that writes a policy of its own opens nothing`(_ identity: Identity) throws {
            let work = try Work(identity, "direct")
            let tried = try work.session.say(
                """
                printf '[network]\\nallow = ["github.com"]\\n' >rules; mv -f rules box.toml; cp rules box.toml
                printf '[network]\\nallow = ["github.com"]\\n' >box.toml; mkdir sub; cd sub
                printf '[network]\\nallow = ["github.com"]\\n' >box.toml; echo done
                """)
            #expect(tried.contains("done"), "\(tried)")
            #expect(try !work.reaches("github.com"))
            // While it works, something that is no file keeps the name free.
            let kind = try Host.run([
                "/usr/bin/env", "find", work.box.scratch.project, "-maxdepth", "1", "-type", "f",
            ]).lines
            #expect(!kind.contains { $0.hasSuffix("box.toml") }, "\(kind)")
            // The control: the user can.
            try work.command("allow", "github.com")
            #expect(try work.reaches("github.com"))
            try work.session.end()
        }
    }
}
