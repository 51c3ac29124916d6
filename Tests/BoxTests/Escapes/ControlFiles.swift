import Foundation
import Testing

/// Direct mode: the files that make the user's own programs run something stay as they are, and where there are
/// none, none are made, not even by box.
@Suite(.recorded("FS-17")) struct ControlFiles {
    /// Written by one shell line each; every one must fail.
    static let attempts: [String] = [
        "echo x > .git/config", "echo x >> .git/config", "echo x > .git/hooks/pre-commit",
        "mkdir -p .git/hooks && echo x > .git/hooks/post-checkout",
        "ln -s /tmp .git/hooks/x", "rm -rf .git/hooks", "mv .git/hooks .git/hooks2", "rm .git/config",
        "mv .git/config .git/c",
        "ln -f README .git/config", "mv .git git2", "rm -rf .git/config",
        "chmod 777 .git/config && echo x > .git/config",
        "git config core.fsmonitor ./evil", "git config core.hooksPath hooks",
        "echo x > .git/info/attributes",
        "echo x > .git/config.worktree", "echo 'gitdir: ../evil' > .git/commondir", "echo x > box.toml",
        "rm -f box.toml && echo x > box.toml",
        "cp README box.toml", "mkdir box.toml", "ln -s README box.toml",
        "mkdir -p .vscode && echo x > .vscode/tasks.json",
        "echo x > .vscode", "mkdir -p .idea && echo x > .idea/workspace.xml",
        "mkdir -p .claude && echo x > .claude/settings.json",
        "mkdir -p .codex && echo x > .codex/config.toml", "mkdir -p .cursor && echo x > .cursor/mcp.json",
        "echo x > .mcp.json", "echo x > .envrc",
        "ln -s /tmp .vscode", "mv sub .vscode", "mv README .envrc", "mv README .mcp.json",
    ]

    /// A project with a repository and some control files, others absent.
    static func project() throws -> Box {
        let box = try Box()
        let made = try Host.shell(
            """
            git init -q . && git config user.email a@b.invalid && git config user.name a && echo \
            text > README && mkdir sub && echo '/probe\n/acts' > .gitignore && git add README \
            .gitignore && git commit -qm first && echo '# policy' > box.toml
            """,
            directory: box.scratch.project)
        guard made.status == 0 else { throw HarnessError(description: "\(made)") }
        return box
    }

    /// What of the project may run programs on the host: everything but the work itself.
    static func evidence(_ box: Box) throws -> [String] {
        try Host.manifest(box.scratch.project).filter { line in
            [
                ".git/config", ".git/hooks", ".git/info", "commondir", "box.toml", ".vscode", ".idea",
                ".claude", ".codex", ".cursor", ".mcp.json", ".envrc", "git2",
            ]
            .contains { line.contains("./" + $0) || line.contains($0) }
        }
    }

    @Test func `no control file can be written, moved, replaced or made`() throws {
        row("FS-17")
        guard has("git") else { return }
        row("FS-17")
        let box = try ControlFiles.project()
        let before = try ControlFiles.evidence(box)
        var script = ""
        for (number, attempt) in ControlFiles.attempts.enumerated() {
            script += "( \(attempt) ) >/dev/null 2>&1 </dev/null && echo 'done \(number)'\n"
        }
        let outcome = try box.shell(script + "echo end")
        let done = outcome.lines.compactMap { $0.hasPrefix("done ") ? Int($0.dropFirst(5)) : nil }
        #expect(outcome.lines.last == "end", "\(outcome)")
        #expect(done.isEmpty, "\(done.map { ControlFiles.attempts[$0] })")
        #expect(try ControlFiles.evidence(box) == before)
        // The same lines work without box.
        let control = try Host.run(
            ["/bin/sh", "-c", script], directory: box.scratch.project, environment: ["HOME": box.scratch.home]
        )
        #expect(control.lines.count > 20, "no control: \(control)")
    }

    @Test(arguments: [false, true])
    func `no stub is left on the host`(_ killed: Bool) throws {
        row("FS-17")
        let box = try Box()
        let names = { try FileManager.default.subpathsOfDirectory(atPath: box.scratch.project).sorted() }
        let before = try names()
        let running = try box.start(["/bin/sh", "-c", "echo ready; read line"], streams: .openInput)
        try running.expect("ready")
        let members = Host.descendants(of: running.pid)
        if killed { running.signal(SIGKILL) } else { try running.send("\n") }
        _ = try running.wait()
        #expect(Host.eventually { members.allSatisfy { !$0.isAlive } })
        if killed {
            // What a killed run could not take away itself, the next one does.
            #expect(try box.run(["/bin/true"]).status == 0)
        }
        #expect(try names() == before)
    }

    @Test func `a directory is not renamed away from above what it protects`() throws {
        row("FS-18")
        guard has("git") else { return }
        row("FS-18")
        let box = try ControlFiles.project()
        let before = try ControlFiles.evidence(box)
        let outcome = try box.shell(
            """
            mv .git moved; mkdir -p .git/hooks; echo x > .git/hooks/pre-commit; mv sub .git; cd ..; \
            mv project other; mkdir project; ls -A project | head -3; true
            """
        )
        #expect(outcome.status == 0, "\(outcome)")
        #expect(try ControlFiles.evidence(box) == before, "\(outcome)")
        #expect(!FileManager.default.fileExists(atPath: box.scratch.root + "/other"))
    }

    @Test func `a read-only project of one's own is no way round: its owner could make it writable`() throws {
        let box = try Box()
        let project = box.scratch.project
        let script = "chmod u+w . && mkdir .idea && echo open; true"
        // The control: without a sandbox its owner just does it.
        let control = try Host.shell("mkdir -m 555 \(project)/own && cd \(project)/own && \(script)")
        #expect(control.text.contains("open"), "no control: \(control)")
        _ = unsafe chmod(project, 0o555)
        defer { _ = unsafe chmod(project, 0o755) }
        let outcome = try box.shell(script)
        #expect(!outcome.text.contains("open"), "\(outcome)")
        #expect(getuid() == 0 || outcome.status == 125 && outcome.errors.contains("chmod u+w"), "\(outcome)")
        #expect(!FileManager.default.fileExists(atPath: project + "/.idea"))
    }

    @Test func `git works all the same`() throws {
        row("GT-01")
        guard has("git") else { return }
        row("GT-01")
        let box = try ControlFiles.project()
        let outcome = try box.shell(
            """
            echo more >> README && git add -A && git commit -qm second && git checkout -qb topic && \
            git mv README R2 && git commit -qm third && git log --oneline | wc -l && git status \
            --short && git stash list && git gc -q && git fsck
            """
        )
        #expect(outcome.status == 0 && outcome.lines.first == "3", "\(outcome)")
        let host = try Host.run(
            ["/usr/bin/git", "-c", "safe.directory=*", "log", "--format=%s %an"],
            directory: box.scratch.project)
        #expect(host.lines == ["third a", "second a", "first a"], "\(host)")
    }

    @Test func `new files belong to the project's owner`() throws {
        row("AP-15")
        let box = try Box()
        try box.scratch.write("mine", to: box.scratch.project + "/private", mode: 0o600)
        let outcome = try box.shell(
            """
            cat private; echo changed > private; mkdir d; echo x > d/new; ln -s new d/link; stat -c \
            %u private d d/new | sort -u | wc -l; id -u; stat -c %u d
            """
        )
        #expect(outcome.lines.first?.hasPrefix("mine") == true && outcome.status == 0, "\(outcome)")
        #expect(outcome.lines.suffix(2).first == outcome.lines.last, "inside they are one's own: \(outcome)")
        for name in ["private", "d", "d/new", "d/link"] {
            let attributes = try FileManager.default.attributesOfItem(
                atPath: box.scratch.project + "/" + name)
            #expect(attributes[.ownerAccountID] as? Int == Int(geteuid()), "\(name): \(attributes)")
            #expect(attributes[.groupOwnerAccountID] as? Int == Int(getegid()), "\(name): \(attributes)")
        }
    }
}
