import Foundation
import Testing

extension Agents {
    /// Keys and other variables: what is named gets in, and is written nowhere.
    @Suite(.recorded("EN-01")) struct Keys {
        @Test func `keys get in from a command, a file and a variable, and are written nowhere`() throws {
            row("EN-04")
            let agent = try MadeUpAgent()
            let keys = ["COMMAND", "FILE", "VARIABLE"].map {
                ($0, "canary\($0)\(UInt64.random(in: 0...UInt64.max))")
            }
            let file = agent.box.scratch.root + "/key-source"
            let table = Dictionary(uniqueKeysWithValues: keys)
            try agent.box.scratch.write(table["COMMAND"] ?? "", to: file, mode: 0o600)
            try agent.scene.host("printf '%s\\r\\n' '\(table["FILE"] ?? "")' >~/.key; chmod 600 ~/.key")
            try agent.scene.write(
                user: """
                    [environment.from]
                    KEY_COMMAND = { command = "cat '\(file)'; echo" }
                    KEY_FILE = { file = "~/.key" }
                    KEY_VARIABLE = { variable = "MY_KEY" }
                    """)
            let environment = agent.variables(["MY_KEY": table["VARIABLE"] ?? ""])
            let running = try Running(
                [agent.box.executable]
                    + agent.words(
                        "echo $KEY_COMMAND $KEY_FILE $KEY_VARIABLE; echo \"<$MY_KEY>\"; echo ready; read line",
                        ["--card"]),
                environment: agent.box.environment.merging(environment) { $1 },
                directory: agent.scene.project, streams: .openInput)
            #expect(try running.expect("ready") == keys.map(\.1).joined(separator: " ") + "\n<>\n")
            // While it runs: no process but those inside has them, and only the user's variable was one before.
            let secret = [table["COMMAND"] ?? "", table["FILE"] ?? ""]
            for process in Host.processes().values {
                #expect(keys.allSatisfy { !process.commandLine.contains($0.1) }, "\(process)")
                let isCommand = process.pids.count > 1 && process.pids.last != "1"
                let variables =
                    (try? Data(contentsOf: URL(filePath: "/proc/\(process.pid)/environ"))) ?? Data()
                #expect(
                    isCommand || secret.allSatisfy { variables.range(of: Data($0.utf8)) == nil }, "\(process)"
                )
            }
            try running.send("\n")
            let outcome = try running.wait()
            #expect(outcome.status == 0, "\(outcome)")
            // Nothing that box wrote or said has them.
            let canaries = keys.flatMap { ["-e", $0.1] }
            let found = try Host.run(
                ["/usr/bin/env", "grep", "-rlaF"] + canaries + [agent.scene.state, agent.scene.project])
            #expect(found.status == 1 && found.out.isEmpty, "\(found)")
            #expect(keys.allSatisfy { !outcome.errors.contains($0.1) }, "\(outcome)")
            for words in [["plan"], ["plan", "--json"]] {
                let plan = try agent.box.call(
                    words + agent.words("true").dropFirst(), environment: environment)
                #expect(
                    plan.status == 0
                        && keys.allSatisfy { !plan.text.contains($0.1) && !plan.errors.contains($0.1) },
                    "\(plan)")
            }
            for words in [["policy", "show"], ["policy", "show", "--json"]] {
                let shown = try agent.box.call(words, environment: environment)
                #expect(
                    keys.allSatisfy { !shown.text.contains($0.1) } && shown.text.contains("KEY_COMMAND"),
                    "\(shown)")
            }
        }

        @Test(arguments: [
            ("{ command = \"exit 7\" }", "the command ended with status 7: exit 7"),
            ("{ command = \"kill -9 $$\" }", "ended by signal 9"), ("{ command = \"true\" }", "it is empty"),
            ("{ command = \"printf 'a\\\\0b'\" }", "it is not text"),
            ("{ file = \"~/.nokey\" }", "No such file"),
            ("{ file = \"/dev/zero\" }", "KEY"),
            ("{ variable = \"NOT_SET\" }", "NOT_SET is not in your environment"),
            ("{ command = \"nosuchprogram\" }", "status 127"),
        ])
        func `a key that cannot be had starts nothing`(_ source: String, _ said: String) throws {
            row("CF-12")
            let scene = try PolicyScene()
            try scene.write(user: "[environment.from]\nKEY = \(source)\n")
            let outcome = try scene.inside("touch ran", status: 125)
            #expect(
                outcome.errors.contains("KEY (environment.from)") && outcome.errors.contains(said),
                "\(outcome)")
            #expect(!scene.exists(scene.project + "/ran") && scene.sessions.isEmpty)
        }

        @Test func `an agent gets what is named for it and nothing else`() throws {
            row("EN-01")
            let agent = try MadeUpAgent([])
            var dirty = Dictionary(uniqueKeysWithValues: Environment.secrets.map { ($0, "canary-\($0)") })
            #expect(dirty.count >= 60)
            dirty["FAKE_KEY"] = "wanted"
            dirty.merge([
                "raw:1": "no-equals-sign", "raw:2": "=empty", "raw:3": "BASH_FUNC_x%%=() { :; }",
                "raw:4": "A\nB=x",
            ]) { $1 }
            let outcome = try agent.run("env -0", environment: dirty)
            let inside = Environment.names(outcome)
            #expect(inside["FAKE_KEY"] == "wanted" && inside["FAKE_TELEMETRY"] == "off", "\(inside)")
            let strange = inside.keys.filter {
                !Environment.allowed.contains($0) && !$0.hasPrefix("LC_") && !$0.hasPrefix("FAKE_")
                    && $0 != "_"
            }
            #expect(strange.isEmpty, "\(strange)")
            #expect(!inside.values.contains { $0.contains("canary") }, "\(inside)")
            for name in ["HTTP_PROXY", "https_proxy"] {
                #expect(inside[name] == "http://127.0.0.1:3128", "\(inside)")
            }
            // Nor by another door.
            let doors = try agent.run(
                "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n'",
                environment: dirty)
            #expect(!doors.text.contains("canary") && doors.text.contains("wanted"), "\(doors)")
        }

        @Test func `bytes that are no text are passed as they are, or not at all`() throws {
            row("EN-03")
            let scene = try PolicyScene()
            let rig = [
                "/bin/sh", "-c", "BAD=$(printf 'a\\377\\376b') GOOD=g; export BAD GOOD; exec \"$@\"", "sh",
            ]
            let words =
                ["run"] + scene.box.options + ["--env", "BAD", "--env", "GOOD", "--", "/usr/bin/env", "-0"]
            let outcome = try scene.box.call(words, rig: rig)
            let entries = outcome.out.split(separator: 0)
            let bad = entries.first { $0.starts(with: "BAD=".utf8) }
            if outcome.status == 0 {
                #expect(entries.contains { $0.elementsEqual("GOOD=g".utf8) }, "\(outcome)")
                #expect(
                    bad == nil
                        || bad?.elementsEqual(Array("BAD=a".utf8) + [0xFF, 0xFE] + Array("b".utf8)) == true,
                    "\(outcome)")
            } else {
                #expect(outcome.status == 125 && outcome.errors.contains("BAD"), "\(outcome)")
            }
        }
    }
}
