import Foundation
import Testing

/// A made-up agent of the user's own: a profile, and a program that does what it is told.
struct MadeUpAgent {
    var scene: PolicyScene
    var box: Box { scene.box }
    /// Where the program is; no part of the project or the home.
    var tools: String { box.scratch.root + "/tools" }
    /// The agent's home on the host.
    func home(_ name: String = "fake") -> String { "\(scene.state)/homes/\(name)" }
    var userHome: String { box.scratch.home }

    static func profile(_ name: String, _ more: String = "") -> String {
        """
        [agent]
        name = "\(name)"
        summary = "made up for tests"
        command = ["fake-agent", "--yolo"]
        [agent.home]
        login = [".fake/login.json", ".fake-token"]
        secured = [".fake/settings.json", ".fake/hooks/"]
        [agent.home.seed]
        ".fake/settings.json" = '{"seed": 1}'
        [environment]
        pass = ["FAKE_KEY"]
        set = { FAKE_TELEMETRY = "off" }
        \(more)
        """
    }

    init(_ options: [String] = ["--net", "none"], more: String = "") throws {
        scene = try PolicyScene(options)
        try scene.write(profile: "fake", MadeUpAgent.profile("fake", more))
        try scene.box.scratch.write(
            "#!/bin/sh\n[ \"$1\" = --yolo ] || exit 99\neval \"$2\"\n", to: tools + "/fake-agent", mode: 0o755
        )
        try scene.box.scratch.write("token\n", to: userHome + "/.fake/login.json", mode: 0o644)
        try scene.box.scratch.write("history\n", to: userHome + "/.fake/history", mode: 0o644)
    }

    /// The words and variables of a run in which the agent does this.
    func words(_ script: String, _ options: [String] = [], agent: String = "fake") -> [String] {
        ["run"] + box.options + options + [agent, script]
    }

    func variables(_ more: [String: String] = [:]) -> [String: String] {
        ["PATH": tools + ":" + Host.path].merging(more) { $1 }
    }

    /// The agent at work; it must end with this status.
    @discardableResult
    func run(
        _ script: String, _ options: [String] = [], agent: String = "fake", status: Int32 = 0,
        environment: [String: String] = [:], sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> Outcome {
        let outcome = try box.call(
            words(script, options, agent: agent), environment: variables(environment))
        #expect(outcome.status == status, "\(script): \(outcome)", sourceLocation: sourceLocation)
        return outcome
    }

    /// The same on a terminal, not waited for.
    func start(_ script: String, _ options: [String] = [], streams: Running.Streams) throws -> Running {
        try Running(
            [box.executable] + words(script, options),
            environment: box.environment.merging(variables()) { $1 }, directory: scene.project,
            streams: streams)
    }
}

/// Agents by name: their programs, homes, logins and keys.
@Suite struct Agents {
    // MARK: - Homes

    @Suite(.recorded("FS-01")) struct Homes {
        @Test func `the home lasts, and is neither the user's nor another agent's`() throws {
            let agent = try MadeUpAgent()
            try agent.scene.write(profile: "other", MadeUpAgent.profile("other"))
            let before = try Host.manifest(agent.userHome)
            let first = try agent.run(
                "echo $HOME; echo $0 $FAKE_TELEMETRY; echo mine >~/note; mkdir -p ~/.cache/x; echo y >~/.cache/x/y"
            )
            #expect(first.lines.last == agent.tools + "/fake-agent off", "\(first)")
            #expect(try agent.run("cat ~/note ~/.cache/x/y").lines == ["mine", "y"])
            #expect(try agent.run("ls -A ~ | grep -c note; true", agent: "other").answer == "0")
            #expect(
                try agent.run("ls ~/.fake; ls '\(agent.userHome)' 2>/dev/null; true").lines.sorted() == [
                    "hooks", "settings.json",
                ])
            // On the host it is the user's alone, and the user's own home is as it was.
            #expect(try Host.text(agent.home() + "/note") == "mine\n")
            for path in [agent.home(), agent.scene.state + "/homes"] {
                #expect(
                    try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int == 0o700
                )
            }
            #expect(try Host.manifest(agent.userHome) == before)
            // Nothing of the state directory is to be seen, not even by its path.
            let looked = try agent.run(
                "ls -A '\(agent.scene.state)' '\(agent.home())' 2>/dev/null; grep -c '\(agent.scene.project)x' /proc/self/mountinfo; true"
            )
            #expect(looked.lines == ["0"], "\(looked)")
        }

        /// What an agent that means ill would do to what it is started with the next time.
        static let attempts: [String] = [
            "echo evil >~/.fake/settings.json", "echo evil >>~/.fake/settings.json",
            "rm ~/.fake/settings.json",
            "mv ~/.fake/settings.json ~/.fake/s", "echo evil >~/evil; mv -f ~/evil ~/.fake/settings.json",
            "ln -f ~/.fake/login.json ~/.fake/settings.json", "ln -sf note ~/.fake/settings.json",
            "truncate -s 0 ~/.fake/settings.json", "chmod 666 ~/.fake/settings.json",
            "touch ~/.fake/settings.json",
            "echo evil >~/.fake/hooks/start", "ln -s ../login.json ~/.fake/hooks/start",
            "rmdir ~/.fake/hooks",
            "mv ~/.fake/hooks ~/.fake/h", "mkdir ~/h; mv -fT ~/h ~/.fake/hooks", "mv ~/.fake ~/.old",
            "mv ~/.fake ~/.old && mkdir ~/.fake && echo evil >~/.fake/settings.json",
            "mkdir ~/.new; echo evil >~/.new/settings.json; mv -fT ~/.new ~/.fake",
            "rm -rf ~/.fake/settings.json",
            "echo evil >~/.bashrc", "echo evil >~/.profile", "echo evil >~/.zshenv",
            "echo evil >~/.gitconfig", "echo evil >~/.config/git/config", "mv ~/.config ~/.c",
            "python3 -c 'import os; fd = os.open(os.path.expanduser(\"~/.fake\"), os.O_RDONLY); os.rename(\"settings.json\", \"x\", src_dir_fd=fd, dst_dir_fd=fd)'",
            "cat </proc/self/fd/0 >~/.fake/settings.json", "dd if=/dev/zero of=~/.fake/settings.json count=1",
        ]

        /// More of it, that is tried inside alone: outside it would not stay in the scratch directory.
        static let attemptsInside: [String] = [
            "mount --bind ~/evil ~/.fake/settings.json", "umount ~/.fake/settings.json",
            "umount -l ~/.fake/hooks",
            "unshare -Urm umount ~/.fake/settings.json", "cd ~/..; mv fake other",
            "mount -o remount,rw ~/.fake/hooks",
        ]

        @Test func `what it is started with cannot be changed after the set-up`() throws {
            row("FS-17")
            guard has("python3") else { return }
            row("FS-17")
            let agent = try MadeUpAgent()
            try agent.run("true", ["--login", "import"])
            let secured =
                "cd '\(agent.home())' && cat .fake/settings.json .bashrc .profile .zshenv .gitconfig && find .fake/hooks .config/git"
            let before = try agent.scene.host(secured).lines
            var script = ""
            for (number, attempt) in Homes.attempts.enumerated() {
                script += "( \(attempt) ) >/dev/null 2>&1 </dev/null && echo 'done \(number)'\n"
            }
            let more = Homes.attemptsInside.map { "( \($0) ) >/dev/null 2>&1 </dev/null && echo '\($0)'\n" }
                .joined()
            // What is the agent's own to write stays so, between all this.
            let outcome = try agent.run(script + more + "echo more >>~/.fake/login.json && echo end")
            let done = outcome.lines.dropLast().map { line in
                Int(line.dropFirst(5)).map { Homes.attempts[$0] } ?? line
            }
            #expect(outcome.lines.last == "end" && done.isEmpty, "\(done)")
            #expect(try agent.scene.host(secured).lines == before)
            #expect(try Host.text(agent.home() + "/.fake/login.json") == "token\nmore\n")
            // The control: without a box they work. It runs on files of its own, or not at all.
            let guarded = "case \"$HOME\" in */box-test-*/home) ;; *) exit 1;; esac\ncd || exit 1\n"
            let control = try Host.run(
                ["/bin/sh", "-c", guarded + script], directory: agent.userHome,
                environment: ["HOME": agent.userHome])
            #expect(control.lines.count > 8, "no control: \(control)")
        }

        @Test func `in a session for the set-up it can, and what it set up holds`() throws {
            let agent = try MadeUpAgent()
            try agent.run("true")
            try agent.run("echo x >~/.fake/settings.json 2>/dev/null && exit 9; true")
            let setup = try agent.run(
                "echo mine >~/.fake/settings.json; echo run >~/.fake/hooks/start", ["--setup"])
            #expect(setup.errors.contains("fake may change its settings in this session"), "\(setup)")
            let next = try agent.run(
                "cat ~/.fake/settings.json ~/.fake/hooks/start; echo x >~/.fake/settings.json 2>/dev/null || echo refused"
            )
            #expect(next.lines == ["mine", "run", "refused"], "\(next)")
        }

        @Test func `a token is refreshed in place, by rename as well`() throws {
            let agent = try MadeUpAgent()
            try agent.run("true", ["--login", "import"])
            try agent.run(
                "umask 077; echo fresh >~/.fake/login.json.new; mv ~/.fake/login.json.new ~/.fake/login.json; echo t >~/.fake-token"
            )
            #expect(try agent.run("cat ~/.fake/login.json ~/.fake-token").lines == ["fresh", "t"])
            #expect(try Host.text(agent.userHome + "/.fake/login.json") == "token\n")
        }

        @Test func `two sessions of one agent at once do not disturb each other`() throws {
            let agent = try MadeUpAgent()
            let other = agent.box.scratch.root + "/second-project"
            try agent.scene.host("mkdir '\(other)'; echo 1 >'\(other)/only-here'")
            let script =
                "for i in 1 2 3 4 5 6 7 8 9; do echo $$ $i >>~/log; done; echo ready; read line; wc -l <~/log; cat ~/.fake/settings.json; echo; ls"
            let running = try [[], ["-C", other]].map { try agent.start(script, $0, streams: .openInput) }
            for one in running { try one.expect("ready") }
            for one in running {
                try one.send("\n")
                let outcome = try one.wait()
                #expect(
                    outcome.status == 0 && outcome.lines.contains("18")
                        && outcome.lines.contains("{\"seed\": 1}"), "\(outcome)")
            }
            // The home tells neither of the other's project.
            for name in ["second-project", agent.scene.project] {
                #expect(try Host.run(["/usr/bin/env", "grep", "-rFl", name, agent.home()]).lines.isEmpty)
                #expect(
                    try Host.run([
                        "/usr/bin/env", "find", agent.home(), "-name",
                        "*\((name as NSString).lastPathComponent)*",
                    ]).lines.isEmpty)
            }
        }

        @Test func `first sessions that begin at once make one home`() throws {
            let agent = try MadeUpAgent()
            let running = try (0..<6).map { _ in
                try agent.start("cat ~/.fake/settings.json; echo", streams: .pipes(input: nil))
            }
            for one in running {
                let outcome = try one.wait()
                #expect(outcome.status == 0 && outcome.lines == ["{\"seed\": 1}"], "\(outcome)")
            }
            let left = try Host.run(["/usr/bin/env", "find", agent.home(), "-name", "*new*"])
            #expect(left.out.isEmpty, "\(left)")
        }

        @Test func `what the agent made of its home leads box nowhere else`() throws {
            row("FS-17")
            let agent = try MadeUpAgent(more: "")
            let victim = agent.box.scratch.root + "/victim"
            try agent.scene.host(
                "mkdir '\(victim)'; echo keep >'\(victim)/token'; echo keep >'\(victim)/login.json'")
            try agent.scene.host("echo secret >~/.fake-token")
            // A link in the place of a login: the next import replaces it, and does not follow.
            try agent.run("ln -s '\(victim)/token' ~/.fake-token")
            try agent.run("cat ~/.fake-token", ["--login", "import"])
            #expect(try Host.text(victim + "/token") == "keep\n")
            #expect(try Host.text(agent.home() + "/.fake-token") == "secret\n")
            // A link in the place of a directory: a refusal that names it, and nothing is written through it.
            try agent.scene.write(
                profile: "deep",
                "[agent]\nname = \"deep\"\ncommand = [\"fake-agent\", \"--yolo\"]\n[agent.home]\nlogin = [\".fake/login.json\"]\n"
            )
            try agent.run("rm -rf ~/.fake; ln -s '\(victim)' ~/.fake", agent: "deep")
            let refused = try agent.run("echo ran", ["--login", "import"], agent: "deep", status: 125)
            #expect(
                refused.out.isEmpty && refused.errors.contains("The agent put a link there"), "\(refused)")
            #expect(try Host.text(victim + "/login.json") == "keep\n")
        }

        @Test(arguments: ["homes/fake", "homes"])
        func `a home that is a link or another's is not used`(_ name: String) throws {
            row("CF-03")
            let agent = try MadeUpAgent()
            let path = "\(agent.scene.state)/\(name)"
            try agent.run("true")
            try agent.scene.host("mv '\(path)' '\(path).real'; ln -s '\(path).real' '\(path)'")
            let outcome = try agent.run("echo ran", status: 125)
            #expect(
                outcome.out.isEmpty && outcome.errors.contains(path + ": it is a link or a file"),
                "\(outcome)")
            try agent.scene.host("rm '\(path)'; mv '\(path).real' '\(path)'")
            if Host.isRoot {
                try agent.scene.host("chown 12345 '\(path)'")
                let foreign = try agent.run("echo ran", status: 125)
                #expect(foreign.errors.contains("it belongs to another user (uid 12345)"), "\(foreign)")
                try agent.scene.host("chown 0 '\(path)'")
            }
            #expect(try agent.run("echo ran").answer == "ran")
        }

        @Test func `the profile serves another command, too`() throws {
            let agent = try MadeUpAgent()
            try agent.run("echo mine >~/note")
            let outcome = try agent.box.call(
                ["run"] + agent.box.options + [
                    "--agent", "fake", "--", "/bin/sh", "-c",
                    "cat ~/note; echo $FAKE_TELEMETRY; command -v fake-agent",
                ],
                environment: agent.variables())
            #expect(outcome.status == 0 && outcome.lines.prefix(2) == ["mine", "off"], "\(outcome)")
            let none = try agent.box.call(
                ["run"] + agent.box.options + [
                    "--", "/bin/sh", "-c", "cat ~/note; echo \"<$FAKE_TELEMETRY>\"",
                ])
            #expect(none.answer == "<>", "\(none)")
        }
    }
}
