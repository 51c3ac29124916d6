import Foundation
import Testing

extension Agents {
    /// How an agent gets its login: by the user's word, and nothing beside it.
    @Suite(.recorded("FS-01")) struct Logins {
        @Test func `an import brings exactly the files that are shown`() throws {
            let agent = try MadeUpAgent()
            try agent.scene.host("echo t >~/real-token; ln -s real-token ~/.fake-token")
            let outcome = try agent.run(
                "cd; find .fake .fake-token -type f -printf '%p %m\\n' | sort", ["--login", "import"])
            #expect(
                outcome.lines == [".fake-token 600", ".fake/login.json 600", ".fake/settings.json 600"],
                "\(outcome)")
            #expect(
                outcome.errors.contains("copied for fake: ~/.fake/login.json ~/.fake-token"), "\(outcome)")
            // It is a copy: what becomes of it is not the user's.
            try agent.run("echo changed >~/.fake/login.json")
            #expect(try Host.text(agent.userHome + "/.fake/login.json") == "token\n")
            // And it is not done again by itself.
            #expect(try agent.run("cat ~/.fake/login.json").answer == "changed")
        }

        @Test func `without a word and a terminal no login is taken, and it is said how`() throws {
            let agent = try MadeUpAgent()
            let first = try agent.run("ls ~/.fake")
            #expect(first.lines == ["hooks", "settings.json"], "\(first)")
            #expect(
                first.errors.contains(
                    "your login is not used (~/.fake/login.json). To copy it for fake: box run --login import fake"
                ), "\(first)")
            // It is said once.
            #expect(try !agent.run("true").errors.contains("login"))
        }

        @Test func `fresh is a session for the set-up, and none is not`() throws {
            for (way, works) in [("fresh", true), ("none", false)] {
                let agent = try MadeUpAgent()
                let outcome = try agent.run(
                    "ls -A ~/.fake | grep login; echo x >~/.fake/settings.json 2>/dev/null && echo wrote; true",
                    ["--login", way])
                #expect(outcome.lines == (works ? ["wrote"] : []), "\(outcome)")
                #expect(
                    try agent.run("echo x >~/.fake/settings.json 2>/dev/null && echo wrote; true").out.isEmpty
                )
            }
        }

        @Test func `what cannot be is refused before anything is made`() throws {
            let agent = try MadeUpAgent()
            let unknown = try agent.run("echo ran", ["--login", "magic"], status: 125)
            #expect(
                unknown.errors.contains("--login magic: there is no such way. Known: import, fresh, none"),
                "\(unknown)")
            try agent.scene.host("rm ~/.fake/login.json")
            let absent = try agent.run("echo ran", ["--login", "import"], status: 125)
            #expect(
                absent.errors.contains("you have no login of fake (~/.fake/login.json, ~/.fake-token)"),
                "\(absent)")
            let plain = try agent.scene.command(["run", "--login", "import", "--", "true"], status: 125)
            #expect(plain.errors.contains("agents that have a home"), "\(plain)")
            #expect(!agent.scene.exists(agent.scene.state + "/homes"))
        }

        @Test(arguments: [
            ("i", true, false), ("f", false, true), ("n", false, false), ("what\nimport", true, false),
        ])
        func `on a terminal the user is asked, once`(_ answer: String, _ imports: Bool, _ writes: Bool) throws
        {
            let agent = try MadeUpAgent()
            let running = try agent.start(
                "ls ~/.fake | tr '\\n' ' '; echo x >~/.fake/settings.json 2>/dev/null && echo wrote; echo end",
                [],
                streams: .terminal(rows: 30, columns: 120))
            let shown = try running.expect("[i]mport these, [f]resh login inside, or [n]one? ")
            #expect(shown.contains("    ~/.fake/login.json") && !shown.contains("history"), "\(shown)")
            try running.send(answer + "\n")
            let said = try running.expect("end")
            #expect(said.contains("login.json") == imports && said.contains("wrote") == writes, "\(said)")
            #expect(try running.wait().status == 0)
            let again = try agent.start("echo end", [], streams: .terminal(rows: 30, columns: 120))
            #expect(try !again.expect("end").contains("[i]mport"))
            _ = try again.wait()
        }

        @Test func `no answer starts nothing`() throws {
            let agent = try MadeUpAgent()
            let running = try agent.start("echo ran", [], streams: .terminal(rows: 30, columns: 120))
            try running.expect("or [n]one? ")
            try running.send("\u{4}")
            let outcome = try running.wait()
            #expect(outcome.status == 125 && !outcome.text.contains("ran\r"), "\(outcome)")
            #expect(!agent.scene.exists(agent.home()))
        }
    }
}
