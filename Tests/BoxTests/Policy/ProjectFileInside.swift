import Foundation
import Testing

/// The project's `box.toml` seen from inside: it is to be read, and never to be written, replaced or made.
@Suite(.recorded("CF-01")) struct ProjectFileInside {
    /// One line each; every one must fail, or have no effect.
    static let attempts: [String] = [
        "echo x >box.toml", "echo x >>box.toml", ": >box.toml", "rm -f box.toml; echo x >box.toml",
        "rm box.toml",
        "unlink box.toml", "mv box.toml away", "mv file box.toml", "mv -T directory box.toml",
        "cp file box.toml",
        "ln -f file box.toml", "ln -sf file box.toml", "ln -s file box.toml", "mkdir box.toml",
        "mkfifo box.toml",
        "mv -fT empty box.toml", "rm -rf box.toml && mkdir box.toml", "sed -i s/a/b/ box.toml",
        "chmod 666 box.toml && echo x >box.toml", "touch box.toml", "truncate -s 0 box.toml",
        "dd if=file of=box.toml conv=notrunc", "git checkout -q other -- box.toml", "git checkout -qf other",
        "git stash -qu", "git reset -q --hard other", "git apply patch",
        "python3 -c 'import os; os.rename(\"file\", \"box.toml\")'",
        "python3 -c 'import os; os.link(\"file\", \"box.toml\")'",
        "cd ..; mv project elsewhere; mkdir project; echo x >project/box.toml",
        "echo x >box.toml/x", "ln -s ../file box.toml/x",
    ]
    /// More of it, that is tried inside alone.
    static let attemptsInside = [
        "umount box.toml; echo x >box.toml", "mount --bind file box.toml", "umount -l .",
    ]

    static let modes = ["overlay", "copy", "direct"]

    /// A repository whose branch `other` brings a policy of its own.
    static func project(_ mode: String, exists: Bool) throws -> ReviewedProject {
        let project = try ReviewedProject(["--workspace", mode])
        let mine = exists ? "echo '# mine' >box.toml" : ":"
        try project.host(
            """
            set -e; \(ReviewedProject.repository); echo work >file; mkdir directory empty; echo x >directory/x
            \(mine); git add -A; git commit -qm first; git checkout -qb other
            printf '[network]\\nallow = ["evil.example.com"]\\n' >box.toml; git add -f box.toml; git commit -qm evil
            git diff main other >patch; git checkout -q main; echo patch >.git/info/exclude
            """)
        return project
    }

    @Test(arguments: modes, [true, false])
    func `it cannot be written, replaced or made inside`(_ mode: String, _ exists: Bool) throws {
        // In a copy one that is made is staged, and held back like the other control files.
        guard has("git", "python3"), exists || mode != "copy" else { return }
        row("CF-01")
        let project = try ProjectFileInside.project(mode, exists: exists)
        // Something empty may keep the name free.
        let look = """
            if [ -L box.toml ]; then echo link; elif [ -s box.toml ] && [ -f box.toml ]; then cat box.toml
            else echo "none$(ls -A box.toml/ 2>/dev/null)"; fi
            """
        var script = ""
        for (number, attempt) in ProjectFileInside.attempts.enumerated() {
            script += "( \(attempt) ) >/dev/null 2>&1 </dev/null\necho \"\(number) $(\(look))\"\n"
        }
        let more = ProjectFileInside.attemptsInside.map { "( \($0) ) >/dev/null 2>&1\n" }.joined()
        let outcome = try project.work("set +e\n" + more + script + "echo x >new")
        let wanted = exists ? "# mine" : "none"
        for (number, attempt) in ProjectFileInside.attempts.enumerated() {
            #expect(outcome.lines.contains("\(number) \(wanted)"), "\(attempt): \(outcome)")
        }
        // On the host it is what it was, and where there was none there is none.
        #expect(project.exists("box.toml") == exists)
        if exists { #expect(try project.text("box.toml") == "# mine\n") }
        if mode != "direct" {
            // Not even by name.
            try project.applyByName()
            #expect(project.exists("box.toml") == exists)
            if exists { #expect(try project.text("box.toml") == "# mine\n") }
        }
        // The control: most of them change it without a box. It runs on files of its own, or not at all.
        let guarded = "case \"$PWD\" in */box-test-*/project) ;; *) exit 1;; esac\n"
        let control = try Host.run(["/bin/sh", "-c", guarded + script], directory: project.path)
        let changed = control.lines.filter { !$0.hasSuffix(" " + wanted) }
        #expect(changed.count > ProjectFileInside.attempts.count / 2, "no control: \(control)")
    }

    @Test(arguments: modes, [true, false])
    func `no phantom shows in git, inside or outside, and none stays`(_ mode: String, _ exists: Bool) throws {
        guard has("git") else { return }
        row("FS-17")
        let project = try ProjectFileInside.project(mode, exists: exists)
        let before = try project.host("ls -A; git status --porcelain --ignored").lines
        let running = try project.box.start(
            [
                "/bin/sh", "-c",
                "git status --porcelain; git stash list; echo ready; read line",
            ], options: project.box.options, streams: .openInput)
        let inside = try running.expect("ready")
        #expect(inside.isEmpty, "\(inside)")
        // While it runs, the user sees nothing of it in git.
        #expect(try project.host("git status --porcelain --ignored").lines == ["!! patch"])
        running.closeInput()
        #expect(try running.wait().status == 1)
        #expect(try project.host("ls -A; git status --porcelain --ignored").lines == before)
    }

    @Test(arguments: ["overlay", "copy"], [true, false])
    func `a commit that brings one does not bring it to the host`(_ mode: String, _ exists: Bool) throws {
        guard has("git") else { return }
        row("CF-01")
        let project = try ProjectFileInside.project(mode, exists: exists)
        try project.work(
            """
            echo more >>file; git add -A; git commit -qm work
            blob=$(git rev-parse other:box.toml); git update-index --add --cacheinfo 100644,$blob,box.toml
            git commit -qm policy; git show --stat HEAD | grep -q box.toml
            """)
        try project.apply()
        #expect(try project.text("file") == "work\nmore\n")
        #expect(project.exists("box.toml") == exists)
        if exists { #expect(try project.text("box.toml") == "# mine\n") }
        #expect(try project.host("git log --format=%s -1").answer == "policy")
        // And what it would say is not in force.
        let why = try project.box.call(["policy", "explain", "evil.example.com"])
        #expect(why.status == 1, "\(why)")
    }

    @Test func `a killed session leaves none behind`() throws {
        let project = try ProjectFileInside.project("direct", exists: false)
        let before = try project.host("ls -A; git status --porcelain --ignored").lines
        let running = try project.box.start(
            ["/bin/sh", "-c", "echo ready; read line"], options: project.box.options, streams: .openInput)
        try running.expect("ready")
        let members = Host.descendants(of: running.pid)
        running.signal(SIGKILL)
        _ = try running.wait()
        #expect(Host.eventually { members.allSatisfy { !$0.isAlive } })
        // What it could not take away itself, the next one does; and until then it is no policy, and hinders none.
        let allowed = try project.box.call(["policy", "show"])
        #expect(allowed.status == 0, "\(allowed)")
        try project.work("true")
        #expect(try project.host("ls -A; git status --porcelain --ignored").lines == before)
    }
}
