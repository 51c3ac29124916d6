import Foundation
import Testing

/// Files of policies that cannot be used: an error that says where and why, nothing is started, nothing is lost.
@Suite struct PolicyFiles {
    /// Where a policy file can be.
    enum Place: String, CaseIterable, CustomTestStringConvertible {
        case project, user, profile, option

        var testDescription: String { rawValue }

        func path(_ scene: PolicyScene) -> String {
            switch self {
            case .project: scene.projectFile
            case .user: scene.userFile
            case .profile: scene.profile("mine")
            case .option: scene.box.scratch.root + "/above.toml"
            }
        }

        /// The end of the file's name as messages have it.
        var shown: String {
            switch self {
            case .project: "box.toml"
            case .user: "config.toml"
            case .profile: "mine.toml"
            case .option: "above.toml"
            }
        }

        func options(_ scene: PolicyScene) -> [String] {
            switch self {
            case .project, .user: []
            case .profile: ["--agent", "mine"]
            case .option: ["--policy", path(scene)]
            }
        }

        /// A policy that is right there, and that widens nothing.
        var good: String {
            self == .profile
                ? "[agent]\nname = \"mine\"\ncommand = [\"true\"]\n" : "[limits]\nprocesses = 200\n"
        }
    }

    /// A text that is no policy, and what is said of it, with the place.
    struct Mistake: CustomTestStringConvertible {
        var name: String
        var bytes: [UInt8]
        var said: String

        init(_ name: String, _ text: String, _ said: String) { self.init(name, Array(text.utf8), said) }
        init(_ name: String, _ bytes: [UInt8], _ said: String) {
            (self.name, self.bytes, self.said) = (name, bytes, said)
        }

        var testDescription: String { name }
    }

    static let mistakes: [Mistake] = [
        Mistake("broken TOML", "[network\nallow = []\n", ":1:9: expected ]"),
        Mistake("a string without an end", "[network]\nmode = \"none\n", ":2:"),
        Mistake(
            "an unknown key", "[network]\nalow = [\"x.example.com\"]\n",
            ":2:1: unknown key \"alow\" in [network] (did you mean \"allow\"?)"),
        Mistake(
            "an unknown table", "[netwrk]\n", ":1:2: unknown table \"netwrk\" (did you mean \"network\"?)"),
        Mistake("a key twice", "[network]\nmode = \"none\"\nmode = \"proxy\"\n", ":3:"),
        Mistake("a table twice", "[limits]\n[network]\n[limits]\n", ":3:"),
        Mistake(
            "a wrong type", "[network]\nallow = \"x.example.com\"\n",
            ":2:1: network.allow must be an array of strings, not a string"),
        Mistake("a wrong element", "[files]\nread = [\n  \"/usr/share\",\n  7,\n]\n", ":4:3: "),
        Mistake(
            "an unknown word", "[workspace]\nmode = \"overlya\"\n", "(did you mean \"overlay\"?)"),
        Mistake(
            "no memory at all", "[limits]\nmemory = \"0\"\n", ":2:1: limits.memory: 0 is less than 16MiB"),
        Mistake("fewer than no processes", "[limits]\nprocesses = -1\n", ":2:1: limits.processes: -1 is not"),
        Mistake("time without end", "[limits]\ntime = \"99999999999999h\"\n", "is more than 366 days"),
        Mistake("CPUs beyond number", "[limits]\ncpus = 1e300\n", ":2:1: limits.cpus: "),
        Mistake("a host that is none", "[network]\nallow = [\"x y\"]\n", ":2:10: network.allow: "),
        Mistake("a path that is not whole", "[files]\nread = [\"../other\"]\n", ":2:9: files.read: "),
        Mistake("a group that is not there", "[network]\nallow = [\"@githup\"]\n", "Did you mean @github?"),
        Mistake(
            "a parent that is not there", "extends = \"nowhere\"\n", "there is no policy named \"nowhere\""),
        Mistake("a parent by a path", "extends = \"../../evil\"\n", ":1:1: extends: "),
        Mistake(
            "a byte order mark", [0xEF, 0xBB, 0xBF] + Array("[network]\n".utf8),
            ":1:1: the file begins with a byte"),
        Mistake("a NUL", Array("[network]\n# a\0b\n".utf8), ":2:4: the file contains a NUL character"),
        Mistake(
            "a NUL behind all that is read", Array("[network]\n\0[files]\nread = [\"/\"]\n".utf8), ":2:1: "),
        Mistake("no UTF-8", Array("[network]\n# ".utf8) + [0xFF, 0x0A], ":2:3: the file is not valid UTF-8"),
        Mistake("a surrogate", Array("# ".utf8) + [0xED, 0xA0, 0x80], ":1:3: the file is not valid UTF-8"),
        Mistake(
            "deep arrays", "[limits]\nmemory = " + String(repeating: "[", count: 60_000),
            ":2:25: the value is nested"),
        Mistake(
            "deep tables", "[limits]\nmemory = " + String(repeating: "{a=", count: 60_000),
            "nested too deeply"),
        Mistake(
            "a deep key", "[" + Array(repeating: "a", count: 60_000).joined(separator: ".") + "]\n",
            "nested too deeply"),
        Mistake(
            "more than 1 MiB", String(repeating: "#", count: 1 << 20) + "\n",
            "it has 1048577 bytes; a policy has at most"),
    ]

    /// Runs box where the file is; what it said, if nothing was started and all is as it was.
    static func refused(
        _ place: Place, in scene: PolicyScene, _ said: String,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let outcome = try scene.box.run(
            ["/bin/sh", "-c", "echo ran; touch ran"], options: place.options(scene), within: 15)
        #expect(
            outcome.status == 125 && outcome.out.isEmpty && !outcome.timedOut, "\(outcome)",
            sourceLocation: sourceLocation)
        #expect(
            outcome.errors.hasPrefix("box: ") && outcome.errors.contains(place.shown)
                && outcome.errors.contains(said), "wanted \(said): \(outcome)", sourceLocation: sourceLocation
        )
        #expect(!scene.exists(scene.project + "/ran"), sourceLocation: sourceLocation)
        #expect(scene.sessions.isEmpty, sourceLocation: sourceLocation)
    }

    /// Everything of the user's: nothing of it is lost.
    static func belongings(_ scene: PolicyScene) throws -> [String] {
        try [scene.project, scene.configuration, scene.box.scratch.home].flatMap(Host.manifest)
    }

    /// The same place with what is right: it runs.
    static func runs(
        _ place: Place, in scene: PolicyScene, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        try scene.box.scratch.write(place.good, to: place.path(scene))
        let outcome = try scene.inside("touch ran", place.options(scene), sourceLocation: sourceLocation)
        #expect(scene.exists(scene.project + "/ran"), "\(outcome)", sourceLocation: sourceLocation)
    }

    // MARK: - What is written

    @Suite(.recorded("CF-05")) struct Texts {
        @Test(arguments: Place.allCases)
        func `a mistake is an error with its place`(_ place: Place) throws {
            row("CF-05")
            let scene = try PolicyScene()
            try scene.box.scratch.write("", to: place.path(scene))
            for mistake in PolicyFiles.mistakes {
                try Data(mistake.bytes).write(to: URL(filePath: place.path(scene)))
                try PolicyFiles.refused(place, in: scene, mistake.said)
            }
            let before = try PolicyFiles.belongings(scene)
            try PolicyFiles.refused(place, in: scene, PolicyFiles.mistakes.last?.said ?? "")
            #expect(try PolicyFiles.belongings(scene) == before)
            try PolicyFiles.runs(place, in: scene)
        }

        @Test(arguments: Place.allCases)
        func `a variable that makes programs load code is not to be had`(_ place: Place) throws {
            row("EN-02")
            let scene = try PolicyScene()
            let names = [
                "LD_PRELOAD", "LD_AUDIT", "LD_LIBRARY_PATH", "GCONV_PATH", "BASH_ENV", "ENV", "NODE_OPTIONS",
                "PYTHONSTARTUP", "PERL5OPT", "RUBYOPT", "JAVA_TOOL_OPTIONS", "BASH_FUNC_ls", "SSH_AUTH_SOCK",
                "DBUS_SESSION_BUS_ADDRESS", "DOCKER_HOST", "http_proxy", "BOX",
            ]
            let pass = names.map { "\"\($0)\"" }.joined(separator: ",\n")
            let set = names.map { "\($0) = \"/evil\"" }.joined(separator: "\n")
            let from = names.map { "\($0) = { file = \"/etc/hostname\" }" }.joined(separator: "\n")
            for text in [
                "pass = [\n\(pass)\n]", "\n[environment.set]\n\(set)", "\n[environment.from]\n\(from)",
            ] {
                try scene.box.scratch.write("[environment]\n" + text + "\n", to: place.path(scene))
                try PolicyFiles.refused(place, in: scene, ": \(names[0]) ")
                // Every one of them is told, with its line.
                let outcome = try scene.box.run(["true"], options: place.options(scene))
                let first = text.hasPrefix("pass") ? 3 : 4
                for (number, name) in names.enumerated() {
                    #expect(
                        outcome.errors.split(separator: "\n").contains {
                            $0.contains(":\(number + first):") && $0.contains(": \(name) ")
                        }, "\(name): \(outcome)")
                }
            }
            try PolicyFiles.runs(place, in: scene)
        }

        @Test func `the largest values that are taken are values that work`() throws {
            let scene = try PolicyScene(["--net", "none"])
            try scene.write(
                user:
                    "[limits]\nprocesses = 4194304\nopen_files = 1048576\nfile_size = \"1TB\"\ntime = \"366d\"\n"
            )
            let outcome = try scene.box.shell("echo ran")
            #expect(outcome.status == 0 && outcome.answer == "ran", "\(outcome)")
        }

        @Test func `all mistakes of a file are told at once`() throws {
            let scene = try PolicyScene(
                policy: "[netwrk]\n[limits]\nmemory = \"x\"\nprocesses = 0\n[workspace]\nmoed = \"direct\"\n")
            let outcome = try scene.inside("true", status: 125)
            for place in [":1:2: ", ":3:1: ", ":4:1: ", ":6:1: "] {
                #expect(outcome.errors.contains("box.toml" + place), "\(outcome)")
            }
        }

        @Test func `what makes a terminal do something is not printed as it is`() throws {
            let scene = try PolicyScene(policy: "\"\\u001b]0;evil\\u0007\\u202e\" = 1\n[\"\\u001b[2J\"]\n")
            let outcome = try scene.inside("true", status: 125)
            let bad = outcome.errors.unicodeScalars.filter {
                $0.value < 0x20 && $0 != "\n" || $0.value == 0x202e
            }
            #expect(bad.isEmpty && outcome.errors.contains("unknown"), "\(outcome)")
        }

        @Test func `a profile that extends itself is refused, and one that builds on the shipped one is not`()
            throws
        {
            let scene = try PolicyScene()
            let agent = "[agent]\nname = \"mine\"\ncommand = [\"true\"]\n"
            try scene.write(profile: "mine", "extends = \"mine\"\n" + agent)
            try PolicyFiles.refused(.profile, in: scene, "extend each other in a circle: mine -> mine")
            try scene.write(profile: "mine", "extends = \"other\"\n" + agent)
            try scene.write(profile: "other", "extends = \"third\"\n")
            try scene.write(profile: "third", "extends = \"mine\"\n")
            try PolicyFiles.refused(.profile, in: scene, "in a circle: other -> third -> mine -> other")
            let checked = try scene.command(["policy", "check"], status: 1)
            #expect(
                checked.errors.contains("mine.toml:1:1: ") && checked.errors.contains("circle"), "\(checked)")
            // The control: a profile of a shipped one's name builds on that, once.
            try FileManager.default.removeItem(atPath: scene.configuration + "/profiles")
            try scene.write(profile: "claude", "extends = \"claude\"\n[limits]\nprocesses = 321\n")
            let shown = try scene.command(["policy", "show", "--agent", "claude"])
            #expect(shown.text.contains("limits.processes = 321"), "\(shown)")
            #expect(shown.text.contains("network.allow = api.anthropic.com"), "\(shown)")
        }
    }

    // MARK: - What the file is

    /// What stands at the place instead of a file of the user's, made by a script with the path as `$1`.
    struct Stranger: CustomTestStringConvertible {
        var name: String
        var script: String
        var said: String
        var places = Place.allCases
        var needsRoot = false
        var testDescription: String { name }
    }

    static let strangers: [Stranger] = [
        Stranger(
            name: "a link to a good file", script: "mv \"$1\" \"$1.real\"; ln -s \"$1.real\" \"$1\"",
            said: "it is a symbolic link"),
        Stranger(name: "a link to nowhere", script: "ln -sf nowhere \"$1\"", said: "it is a symbolic link"),
        Stranger(name: "a FIFO", script: "rm \"$1\"; mkfifo \"$1\"", said: "it is no regular file (a FIFO)"),
        Stranger(
            name: "a directory", script: "rm \"$1\"; mkdir \"$1\"",
            said: "it is no regular file (a directory)"),
        Stranger(
            name: "a socket",
            script: "rm \"$1\"; cd \"$(dirname \"$1\")\"; python3 -c 'import socket, sys; "
                + "socket.socket(socket.AF_UNIX).bind(sys.argv[1])' \"$(basename \"$1\")\"",
            said: "it is a socket and no file"),
        Stranger(
            name: "a device", script: "rm \"$1\"; mknod \"$1\" c 1 5",
            said: "it is no regular file (a device)", needsRoot: true),
        Stranger(
            name: "writable for all", script: "chmod 666 \"$1\"", said: "others may write to it (mode 666)"),
        Stranger(
            name: "writable for the group", script: "chmod 664 \"$1\"",
            said: "others may write to it (mode 664)",
            places: [.user, .profile, .option]),
        Stranger(
            name: "another user's", script: "chown 12345 \"$1\"",
            said: "it belongs to another user (uid 12345)",
            needsRoot: true),
    ]

    @Suite(.recorded("CF-03")) struct Kinds {
        @Test(arguments: Place.allCases)
        func `what is no file of the user's own is refused, and nothing waits for it`(_ place: Place) throws {
            row("CF-03")
            guard has("python3") else { return }
            for stranger in PolicyFiles.strangers
            where stranger.places.contains(place) && (Host.isRoot || !stranger.needsRoot) {
                let scene = try PolicyScene()
                try PolicyFiles.runs(place, in: scene)
                try scene.host("rm ran; rm -rf '\(scene.state)/sessions'")
                let made = try Host.run(["/bin/sh", "-ec", stranger.script, "sh", place.path(scene)])
                #expect(made.status == 0, "\(stranger.name): \(made)")
                let before = try scene.host("ls -lnR '\(scene.box.scratch.root)'").lines
                try PolicyFiles.refused(place, in: scene, stranger.said)
                let after = try scene.host("ls -lnR '\(scene.box.scratch.root)'").lines
                Lines.expectSame(
                    after.filter { !$0.contains("state") }, before.filter { !$0.contains("state") })
            }
        }

        @Test func `the project's group may write to its file`() throws {
            let scene = try PolicyScene(policy: Place.project.good)
            try scene.host("chmod 664 box.toml")
            try scene.inside("true")
        }

        @Test func `a file that cannot be read is an error and not absent`() throws {
            for place in Place.allCases {
                let scene = try PolicyScene()
                try PolicyFiles.runs(place, in: scene)
                try scene.host("rm ran; rm -rf '\(scene.state)/sessions'; chmod 0 '\(place.path(scene))'")
                // Root reads it all the same.
                if Host.isRoot {
                    try scene.inside("true", place.options(scene))
                } else {
                    try PolicyFiles.refused(place, in: scene, "Permission denied")
                }
            }
        }

        /// Another process changes what stands at the path all the time.
        @Test(.timeLimit(.minutes(1)))
        func `a file that is exchanged all the time is used as it was once, or not`()
            throws
        {
            row("CF-03")
            let scene = try PolicyScene()
            let file = scene.userFile
            try scene.write(user: "[environment]\nset = { GOOD = \"1\" }\n")
            try scene.host(
                """
                cd '\(scene.configuration)'; mkdir kinds; cp config.toml kinds/good; mkfifo kinds/fifo
                printf '[environment]\\nset = { EVIL = "1" }\\n' >kinds/evil; chmod 666 kinds/evil
                head -c 3000000 /dev/zero | tr '\\0' '#' >kinds/huge
                """)
            let exchange = try Running(
                [
                    "/bin/sh", "-c",
                    """
                    cd '\(scene.configuration)'; echo ready
                    while :; do for kind in good fifo evil link directory huge good; do
                        case $kind in
                        link) ln -s kinds/evil new;;
                        directory) mkdir new;;
                        *) ln kinds/$kind new;;
                        esac
                        mv -fT new config.toml 2>/dev/null || { rm -rf config.toml; mv -fT new config.toml; }
                    done; done
                    """,
                ], environment: ["PATH": Host.path], directory: scene.project, streams: .pipes(input: nil))
            defer { exchange.signal(SIGKILL) }
            try exchange.expect("ready")
            var (used, refused) = (0, 0)
            for _ in 0..<40 {
                let outcome = try scene.box.run(["/usr/bin/env"], within: 15)
                #expect(!outcome.timedOut && !outcome.text.contains("EVIL"), "\(outcome)")
                if outcome.status == 0 { used += 1 } else { refused += 1 }
                #expect(
                    outcome.status == 0
                        || outcome.status == 125 && outcome.errors.contains("box: cannot read"), "\(outcome)")
            }
            #expect(used > 0 && refused > 0, "\(used) used, \(refused) refused: no test of \(file)")
        }
    }

    // MARK: - The directory of the state

    @Suite(.recorded("CF-03")) struct State {
        /// What is wrong with it, by a script in the directory that holds it.
        static let strangers: [(name: String, script: String, needsRoot: Bool)] = [
            ("another user's", "mkdir -m 700 box; chown 12345 box", true),
            ("a link", "mkdir -m 700 real; ln -s real box", false),
            ("a file", "echo mine >box", false),
        ]

        @Test func `a state directory that others could change is not used`() throws {
            for stranger in State.strangers where Host.isRoot || !stranger.needsRoot {
                let scene = try PolicyScene(policy: "[network]\nallow = [\"example.com\"]\n")
                let folder = scene.box.scratch.state
                try scene.host("cd '\(folder)' && \(stranger.script)")
                let before = try [folder, scene.project].map(Host.manifest)
                for words in [["run", "--", "touch", "ran"], ["trust", "--yes"], ["allow", "example.org"]] {
                    let outcome = try scene.box.call(words)
                    #expect(
                        outcome.status == 125 && outcome.errors.contains(folder + "/box"),
                        "\(stranger.name): \(words): \(outcome)")
                }
                #expect(try [folder, scene.project].map(Host.manifest) == before, "\(stranger.name)")
                // The control.
                try scene.host("rm -rf '\(folder)'/*")
                try scene.inside("touch ran")
                #expect(scene.exists(scene.project + "/ran"))
            }
        }

        @Test func `a state directory that is open to others is closed before it is used`() throws {
            let scene = try PolicyScene()
            try scene.host("mkdir '\(scene.state)'; chmod 777 '\(scene.state)'")
            try scene.inside("true")
            let mode = try FileManager.default.attributesOfItem(atPath: scene.state)[.posixPermissions]
            #expect(mode as? Int == 0o700, "\(String(describing: mode))")
        }

        @Test(arguments: ["{", "", "{\"version\": 7, \"projects\": []}", "null", "{\"version\": 1}"])
        func `a store of trust that is damaged gives no trust`(_ text: String) throws {
            let scene = try PolicyScene(policy: "[environment]\nset = { WIDE = \"1\" }\n")
            try scene.command(["trust", "--yes"])
            #expect(try scene.inside("echo $WIDE").answer == "1")
            try scene.box.scratch.write(text, to: scene.state + "/trust.json", mode: 0o600)
            let outcome = try scene.inside("echo ran", status: 125)
            #expect(
                outcome.out.isEmpty && outcome.errors.contains("trust.json")
                    && outcome.errors.contains("it is damaged"), "\(outcome)")
            #expect(try Host.text(scene.state + "/trust.json") == text)
        }
    }
}
