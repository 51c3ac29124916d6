import Foundation
import Testing

/// What an agent leaves for programs of the host to run: real git and a real shell on the host are the
/// witnesses. Put in place by hand it runs; after `box apply` it does not.
@Suite(.recorded("GT-01")) struct GitRisk {
    /// Something planted in a project. In the scripts `$EVIL` is a program that leaves a mark where it runs.
    struct Trap: Sendable, CustomTestStringConvertible {
        var id: String
        var name: String
        /// What the agent does.
        var plant: String
        /// What a user does on the host afterwards, without a thought.
        var trigger: String
        /// A path that has to be held back, and why.
        var path: String
        var reason: String
        /// What is there before, beside the repository.
        var before = "echo text > README"
        var hasRepository = true
        var testDescription: String { "\(id) \(name)" }
    }

    private static let bare = """
        mkdir -p vendor/thing/objects vendor/thing/refs; cd vendor/thing; echo 'ref: refs/heads/main' > HEAD
        printf '[core]\\nrepositoryformatversion = 0\\nbare = false\\nworktree = .\\nfsmonitor = %s\\n' "$EVIL" > config
        """

    static let traps = [
        Trap(
            id: "GT-01", name: "a hook", plant: "cp \"$EVIL\" .git/hooks/pre-commit",
            trigger: "git commit -q --allow-empty -m x", path: ".git/hooks/pre-commit", reason: "hooks"),
        Trap(
            id: "GT-01", name: "a hook for a checkout", plant: "cp \"$EVIL\" .git/hooks/post-checkout",
            trigger: "git checkout -q -b other", path: ".git/hooks/post-checkout", reason: "hooks"),
        Trap(
            id: "GT-01", name: "the hooks as a link",
            plant: "rm -r .git/hooks; mkdir tools; cp \"$EVIL\" tools/pre-commit; ln -s ../tools .git/hooks",
            trigger: "git commit -q --allow-empty -m x", path: ".git/hooks", reason: "link in a git directory"
        ),
        Trap(
            id: "GT-01", name: "a setting that names the hooks",
            plant: "mkdir tools; cp \"$EVIL\" tools/pre-commit; git config core.hooksPath tools",
            trigger: "git commit -q --allow-empty -m x", path: ".git/config", reason: "settings"),
        Trap(
            id: "GT-01", name: "a hook where the host's settings have them",
            plant: "cp \"$EVIL\" tools/hooks/pre-commit", trigger: "git commit -q --allow-empty -m x",
            path: "tools/hooks/pre-commit", reason: "hook",
            before: "mkdir -p tools/hooks; echo 1 > tools/hooks/README; git config core.hooksPath tools/hooks"
        ),
        Trap(
            id: "GT-01", name: "a monitor", plant: "git config core.fsmonitor \"$EVIL\"",
            trigger: "git status",
            path: ".git/config", reason: "settings"),
        Trap(
            id: "GT-01", name: "a setting of the worktree",
            plant: "printf '[core]\\nfsmonitor = %s\\n' \"$EVIL\" > .git/config.worktree",
            trigger: "git status",
            path: ".git/config.worktree", reason: "settings",
            before: "git config extensions.worktreeConfig true; echo text > README"),
        Trap(
            id: "GT-01", name: "attributes for a filter that the user has",
            plant: "mkdir -p .git/info; echo 'README filter=mine' > .git/info/attributes",
            trigger: "rm README; git checkout README", path: ".git/info/attributes", reason: "info",
            before: "echo text > README; git config filter.mine.smudge \"$EVIL\""),
        Trap(
            id: "GT-03", name: ".git becomes a file",
            plant: "mv .git evil; echo 'gitdir: evil' > .git; git config core.fsmonitor \"$EVIL\"",
            trigger: "git status", path: ".git", reason: "another directory's settings"),
        Trap(
            id: "GT-03", name: ".git becomes a link",
            plant: "mv .git evil; ln -s evil .git; git config core.fsmonitor \"$EVIL\"",
            trigger: "git status",
            path: ".git", reason: "another directory's settings"),
        Trap(
            id: "GT-03", name: "a .git file below",
            plant: """
                git init -q evil; git -C evil config core.fsmonitor "$EVIL"; mkdir docs
                echo 'gitdir: ../evil/.git' > docs/.git
                """, trigger: "cd docs && git status", path: "docs/.git",
            reason: "another directory's settings"),
        Trap(
            id: "GT-05", name: "a bare repository in a plain directory", plant: bare,
            trigger: "cd vendor/thing && git status", path: "vendor/thing/config", reason: "made inside"),
        Trap(
            id: "GT-06", name: "a repository where none was",
            plant: "git init -q .; git config core.fsmonitor \"$EVIL\"", trigger: "git status",
            path: ".git/config", reason: "made inside", hasRepository: false),
        Trap(
            id: "GT-06", name: "a repository below",
            plant: "git init -q docs; cd docs; git config core.fsmonitor \"$EVIL\"",
            trigger: "cd docs && git status",
            path: "docs/.git/config", reason: "made inside"),
    ]

    @Test(arguments: traps)
    func `what git on the host would run is held back, and nothing runs`(_ trap: Trap) throws {
        row(trap.id)
        guard has("git") else { return }
        row(trap.id)
        let project = try ReviewedProject()
        let (evil, mark) = (project.box.scratch.root + "/evil", project.box.scratch.root + "/mark")
        try project.box.scratch.write("#!/bin/sh\ntouch '\(mark)'\n", to: evil, mode: 0o755)
        // The same bytes inside, so that both are planted with the same words.
        let begin = "EVIL='\(evil)'\n"
        let repository = trap.hasRepository ? ReviewedProject.repository + "\n" : ""
        let commit = trap.hasRepository ? "\ngit add -A; git commit -qm first" : ""
        try project.host("set -e\n\(begin)\(repository)\(trap.before)\(commit)")
        let trigger = "(\(trap.trigger)) >/dev/null 2>&1 </dev/null; true"

        // The control: what the agent does, done by hand on the host.
        try project.host("cp -a . ../control; cd ../control; \(begin)\(trap.plant)")
        #expect(!FileManager.default.fileExists(atPath: mark), "it ran too early")
        try project.host("cd ../control; \(trigger)")
        #expect(FileManager.default.fileExists(atPath: mark), "no control: nothing ran")
        try? FileManager.default.removeItem(atPath: mark)

        try project.work(begin + trap.plant, options: ["--read", evil])
        let change = try project.review()[trap.path]
        #expect(change?.risk == "blocked", "\(String(describing: change))")
        #expect(change?.reason.contains(trap.reason) == true, "\(String(describing: change))")
        let shown = try project.command(["diff"])
        #expect((shown.text + shown.errors).contains(trap.reason), "\(shown)")
        let applied = try project.apply()
        #expect(applied.errors.contains("left out"), "\(applied)")
        try project.host(trigger)
        #expect(!FileManager.default.fileExists(atPath: mark), "it ran on the host: \(applied)")
    }

    @Test func `box itself runs nothing that a hostile repository names`() throws {
        row("GT-07")
        guard has("git") else { return }
        row("GT-07")
        let project = try ReviewedProject()
        let (evil, mark) = (project.box.scratch.root + "/evil", project.box.scratch.root + "/mark")
        try project.box.scratch.write("#!/bin/sh\ntouch '\(mark)'\ncat >/dev/null\n", to: evil, mode: 0o755)
        try project.host(
            """
            \(ReviewedProject.repository); E='\(evil)'
            echo text > README; echo x > a.bin; echo '* diff=evil filter=evil' > .gitattributes; git add -A
            git commit -qm 1
            for name in core.fsmonitor core.pager pager.diff pager.status diff.external diff.evil.textconv diff.evil.command \
                filter.evil.clean filter.evil.smudge core.editor sequence.editor core.sshCommand gpg.program; do
                git config $name "$E"
            done
            git config core.hooksPath "$PWD/hooks"; mkdir hooks; cp "$E" hooks/post-checkout
            cp "$E" hooks/post-index-change
            cp "$E" less; cp "$E" more; cp "$E" git; cp "$E" vi; cp "$E" sh
            """)
        try project.host("git diff >/dev/null 2>&1; git status >/dev/null; true")
        #expect(FileManager.default.fileExists(atPath: mark), "no control")
        try? FileManager.default.removeItem(atPath: mark)
        try project.work(
            "echo more >> README; echo y > a.bin; echo new > new; rm .gitattributes; seq 500 > long")
        // A search path with the project in it, as careless people have.
        let careless = ["PATH": ".:" + project.path + ":" + Host.path]
        for words in [
            ["diff", "--color", "always"], ["diff", "--stat"], ["apply", "--yes"], ["undo", "--yes"],
        ] {
            let terminal = try Running(
                [project.box.executable] + words,
                environment: project.box.environment.merging(careless) { $1 },
                directory: project.path, streams: .terminal(rows: 24, columns: 80))
            // A pager that is the host's waits for keys.
            try terminal.send("qqq")
            let outcome = try terminal.wait(within: 30)
            #expect(outcome.status == 0 && !outcome.timedOut, "box \(words): \(outcome)")
            #expect(!FileManager.default.fileExists(atPath: mark), "box \(words) ran something")
        }
        try project.command(["discard", "--yes"])
        #expect(!FileManager.default.fileExists(atPath: mark))
        // The control for the search path.
        _ = try Host.run(["/bin/sh", "-c", "less README"], directory: project.path, environment: careless)
        #expect(FileManager.default.fileExists(atPath: mark), "no control")
    }

    // MARK: - Files that run when a project is opened or built

    /// Held back unless they are named.
    static let blocked = [
        ".envrc", ".mise.toml", ".vscode/tasks.json", ".vscode/settings.json", ".vscode/launch.json",
        ".idea/workspace.xml", ".devcontainer/devcontainer.json", ".claude/settings.json", ".mcp.json",
        ".cursor/mcp.json", ".gemini/settings.json", ".codex/config.toml", ".husky/pre-commit",
        "deep/down/.envrc", "deep/.claude/hooks/x", ".github/hooks/x.json", ".exrc",
    ]
    /// Applied if the user agrees.
    static let confirmed = [
        ".github/workflows/ci.yml", ".gitlab-ci.yml", "Makefile", "setup.py", "conftest.py", ".npmrc",
        ".yarnrc.yml",
        ".cargo/config.toml", "rust-toolchain.toml", "pip.conf", ".pre-commit-config.yaml", ".tool-versions",
        "gradle/wrapper/gradle-wrapper.jar", "build.rs", "AGENTS.md", "deep/Makefile", "CMakeLists.txt",
    ]

    @Test func `files that run on opening or building are ranked, asked about, and come only with consent`()
        throws
    {
        row("GT-09")
        let project = try ReviewedProject()
        let all = GitRisk.blocked + GitRisk.confirmed
        let lines = all.map { "mkdir -p \"$(dirname '\($0)')\"; echo x > '\($0)'" }.joined(separator: "\n")
        try project.work(
            lines + "\necho plain > plain; printf '{\"scripts\":{\"postinstall\":\"./x\"}}' > package.json")
        let review = try project.review()
        #expect(review.paths("blocked").sorted() == GitRisk.blocked.sorted())
        #expect(review.paths("confirm").sorted() == (GitRisk.confirmed + ["package.json"]).sorted())
        #expect(review.paths("normal") == ["plain"])
        #expect(review.changes.allSatisfy { $0.risk == "normal" || !$0.reason.isEmpty })
        // The risky ones first.
        let ranks = review.changes.map { ["blocked", "confirm", "normal"].firstIndex(of: $0.risk) ?? 9 }
        #expect(ranks == ranks.sorted())

        // Nobody who could be asked: nothing at all.
        let before = try project.manifest()
        let refused = try project.command(["apply"], status: 1)
        #expect(refused.errors.contains("Makefile: make and its like run it on the host"), "\(refused)")
        #expect(try project.manifest() == before)
        let applied = try project.apply()
        #expect(applied.errors.contains(".envrc: a shell runs it on entering the directory"), "\(applied)")
        let names = try project.host("find . -type f | sed 's:^./::'").lines
        #expect(names.sorted() == (GitRisk.confirmed + ["package.json", "plain"]).sorted())
        // Named, one of those held back comes, and only that.
        try project.command(["apply", ".envrc", ".vscode"])
        #expect(project.exists(".envrc") && !project.exists(".vscode"))
        #expect(try project.review().paths.sorted() == GitRisk.blocked.filter { $0 != ".envrc" }.sorted())
    }

    @Test(arguments: ["make", "npm"])
    func `what a common command runs is asked about first`(_ tool: String) throws {
        row("GT-09")
        guard has(tool) else { return }
        row("GT-09")
        let project = try ReviewedProject("echo text > README")
        let mark = project.box.scratch.root + "/mark"
        let plant =
            tool == "make"
            ? "printf 'all:\\n\\t@touch \(mark)\\n' > Makefile"
            : "printf '{\"name\":\"x\",\"version\":\"1.0.0\",\"scripts\":{\"test\":\"touch \(mark)\"}}' > package.json"
        let trigger = "\(tool == "make" ? "make" : "npm test") >/dev/null 2>&1; true"
        try project.host("mkdir ../control; cd ../control; \(plant); \(trigger)")
        #expect(FileManager.default.fileExists(atPath: mark), "no control")
        try FileManager.default.removeItem(atPath: mark)
        try project.work(plant)
        let asked = try Running(
            [project.box.executable, "apply"], environment: project.box.environment, directory: project.path,
            streams: .terminal(rows: 24, columns: 100))
        try asked.expect(tool == "make" ? "Makefile: make and its like run it" : "package.json:")
        try asked.expect("[y/N]")
        try asked.send("n\n")
        #expect(try asked.wait().status == 1)
        try project.host(trigger)
        #expect(!FileManager.default.fileExists(atPath: mark))
    }
}
