import Foundation
import Testing

extension Agents {
    /// Which program runs: never one that the project or others could have put there.
    @Suite(.recorded("CF-11")) struct Programs {
        @Test func `an agent that there is not, and a program that there is not`() throws {
            row("CF-17")
            let agent = try MadeUpAgent()
            let near = try agent.run("x", agent: "fak", status: 127)
            #expect(
                near.errors.contains(
                    "there is no agent fak. Did you mean fake? To run a command: box run -- fak"), "\(near)")
            let far = try agent.run("x", agent: "no\u{1b}[2Jsuch", status: 127)
            #expect(far.errors.contains("To run a command: box run -- ") && !far.err.contains(0x1B), "\(far)")
            let option = try agent.scene.command(["run", "--agent", "nosuch", "--", "true"], status: 125)
            #expect(option.errors.contains("there is no profile nosuch"), "\(option)")
            try agent.scene.host("rm '\(agent.tools)/fake-agent'")
            let missing = try agent.run("x", status: 127)
            #expect(
                missing.errors.contains("fake-agent is not installed: no directory of your PATH has it"),
                "\(missing)")
            // A name that leads out of the directory of profiles is none.
            for name in ["../../project/evil", "/etc/passwd", ".hidden", ""] {
                try agent.scene.box.scratch.write(
                    MadeUpAgent.profile("evil"), to: agent.scene.project + "/evil.toml")
                #expect(try agent.box.call(["run", name, "x"]).status == 127, "\(name)")
            }
        }

        /// A place for another program of that name, before the right one in PATH, by a script with the place as `$1`.
        struct Place: CustomTestStringConvertible {
            var name: String
            /// The entry of PATH.
            var entry: (MadeUpAgent) -> String
            var script = ":"
            /// What is said if there is no other.
            var said: String
            var testDescription: String { name }
        }

        @Test func `a program that the project or others could have put there is not run`() throws {
            row("CF-11")
            let places: [Place] = [
                Place(
                    name: "in the project", entry: { $0.scene.project + "/bin" }, said: "lies in the project"),
                Place(
                    name: "in the project, by a link", entry: { $0.box.scratch.root + "/safe" },
                    script: "mkdir -p \"$1\"; rm -rf \"$1\"; ln -s '%' \"$1\"", said: "project"),
                Place(
                    name: "writable for all", entry: { $0.box.scratch.root + "/open" },
                    script: "chmod 777 \"$1\"", said: "can be written to by every user"),
                Place(name: "relative", entry: { _ in "bin" }, said: "lies in the project"),
                Place(name: "here", entry: { _ in "." }, said: "lies in the project"),
                Place(name: "empty", entry: { _ in "" }, said: "lies in the project"),
            ]
            for place in places {
                let agent = try MadeUpAgent()
                let project = agent.scene.project
                try agent.box.scratch.write(
                    "#!/bin/sh\ntouch '\(agent.box.scratch.root)/pwned' 2>/dev/null; echo pwned\n",
                    to: project + "/bin/fake-agent", mode: 0o755)
                try agent.scene.host("cp bin/fake-agent .")
                let entry = place.entry(agent)
                if entry.hasPrefix("/"), entry != project + "/bin" {
                    try agent.scene.host("mkdir '\(entry)' && cp -p bin/fake-agent '\(entry)'")
                    let script = place.script.replacingOccurrences(of: "%", with: project + "/bin")
                    #expect(try Host.run(["/bin/sh", "-ec", script, "sh", entry]).status == 0)
                }
                // The right one behind it is taken.
                let path = "\(entry):\(agent.tools):\(Host.path)"
                let right = try agent.run("echo right", environment: ["PATH": path])
                #expect(right.answer == "right", "\(place.name): \(right)")
                // And if there is no other, nothing runs.
                let none = try agent.box.call(
                    agent.words("echo ran"), environment: ["PATH": "\(entry):\(Host.path)"])
                #expect(
                    [125, 127].contains(none.status) && none.out.isEmpty && none.errors.contains(place.said),
                    "\(place.name): \(none)")
                #expect(!agent.scene.exists(agent.box.scratch.root + "/pwned"), "\(place.name)")
            }
        }

        @Test func `a script of the user's profile runs as the agent`() throws {
            let agent = try MadeUpAgent()
            try agent.scene.write(
                profile: "scripted", "[agent]\nname = \"scripted\"\nscript = '''echo \"$0 $1\"'''\n")
            #expect(try agent.run("word", agent: "scripted").answer == "scripted word")
            let listed = try agent.scene.command(["profiles"])
            #expect(
                listed.text.contains("scripted") && listed.text.contains("made up for tests"), "\(listed)")
            let shown = try agent.scene.command(["profiles", "show", "fake"])
            #expect(shown.text == (try Host.text(agent.scene.profile("fake"))), "\(shown)")
        }
    }
}
