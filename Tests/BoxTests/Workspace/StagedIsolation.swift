import Foundation
import Testing

/// A staged session reaches nothing of the host's but what it reads through its view, and nobody reaches its
/// stage.
@Suite(.recorded("FS-09")) struct StagedIsolation {
    private static let start = """
        mkdir -p d/deep many; for n in 1 2 3 4 5 6 7 8 9; do echo "$n" > many/f$n; done; echo a > a
        echo b > d/b; echo c > d/deep/c
        ln -s a link; ln a hard; mkfifo fifo; chmod 640 d/b; touch -d '2001-02-03 04:05:06.7' a d
        truncate -s 100000 sparse
        mkdir empty; printf '#!/bin/sh\\n' > tool; chmod 755 tool; echo '# policy' > box.toml
        """

    /// Does everything to everything: each call must work where it does outside.
    private static let storm = """
        import os
        paths = sorted([os.path.join(at, name) for at, dirs, files in os.walk(".") for name in dirs + files])
        done = 0
        def attempt(call, *words, **more):
            global done
            try: call(*words, **more); done += 1
            except OSError: pass
        def write(path):
            if os.path.islink(path) or not os.path.isfile(path): return
            with open(path, "r+b") as f: f.write(b"overwritten"); f.truncate(5)
        for path in paths:
            attempt(os.chmod, path, 0o700)
            attempt(os.setxattr, path, "user.agent", b"1", follow_symlinks=False)
            attempt(os.setxattr, path, "user.overlay.opaque", b"y", follow_symlinks=False)
            attempt(os.setxattr, path, "user.overlay.whiteout", b"y", follow_symlinks=False)
            attempt(os.utime, path, (1, 1), follow_symlinks=False)
            attempt(os.chown, path, os.getuid(), os.getgid(), follow_symlinks=False)
            attempt(write, path)
            attempt(os.link, path, path + ".link")
            attempt(os.rename, path, path + ".moved")
            attempt(os.mkdir, path)
            attempt(os.symlink, "/", path + ".root")
        for at, dirs, files in os.walk(".", topdown=False):
            for name in files: attempt(os.unlink, os.path.join(at, name))
            for name in dirs: attempt(os.rmdir, os.path.join(at, name)); attempt(os.unlink, os.path.join(at, name))
        print(done > 150, os.listdir("."))
        """

    private func project(_ mode: String = "overlay") throws -> ReviewedProject {
        try ReviewedProject(StagedIsolation.start, repository: false, ["--workspace", mode])
    }

    /// As `ReviewedProject.manifest`, with attributes, which need no tool.
    private func evidence(_ project: ReviewedProject) throws -> [String] {
        let attributes = """
            python3 -c 'import os
            for at, dirs, files in os.walk("."):
                for name in dirs + files:
                    path = os.path.join(at, name)
                    print(path, [(k, os.getxattr(path, k, follow_symlinks=False)) for k in sorted(os.listxattr(path, follow_symlinks=False))])' | sort
            """
        return try project.manifest() + project.host(attributes).lines
    }

    @Test(arguments: ["overlay", "copy"])
    func `whatever is done inside, the project on the host is as it was`(_ mode: String) throws {
        guard has("python3") else { return }
        let project = try project(mode)
        let before = try evidence(project)
        try project.box.scratch.write(StagedIsolation.storm, to: project.box.scratch.root + "/storm.py")
        let stormed = try project.work(
            "python3 '\(project.box.scratch.root)/storm.py'",
            options: ["--read", project.box.scratch.root + "/storm.py"])
        #expect(stormed.answer.hasPrefix("True ["), "\(stormed)")
        Lines.expectSame(try evidence(project), before, "\(mode)")
        #expect(try project.review().changes.count > 10)
        try project.command(["discard", "--yes"])
        Lines.expectSame(try evidence(project), before, "\(mode), after the discard")
        // The control.
        try project.host("cp -a . ../control; cd ../control; python3 ../storm.py")
        #expect(try Host.manifest(project.box.scratch.root + "/control").count < 5)
    }

    @Test(arguments: ["overlay", "copy"])
    func `box's own policy cannot be changed from inside`(_ mode: String) throws {
        row("FS-17")
        let project = try project(mode)
        let before = try evidence(project)
        let outcome = try project.work(
            """
            for line in 'echo x > box.toml' 'echo x >> box.toml' 'rm -f box.toml' 'mv box.toml b' 'mv a box.toml' \
                'ln -sf a box.toml' 'cp a box.toml' 'chmod 777 box.toml' 'touch box.toml' 'sed -i s/p/q/ box.toml'; do
                sh -c "$line" 2>/dev/null && echo "done $line"
            done; cat box.toml
            """)
        #expect(outcome.lines == ["# policy"], "\(outcome)")
        #expect(try evidence(project) == before)
        #expect(try project.stages().isEmpty, "\(outcome)")
    }

    @Test func `where there is no policy none can be made, and nobody sees what keeps its name`() throws {
        row("FS-17")
        let project = try ReviewedProject("echo 1 > a")
        let outcome = try project.work(
            """
            for line in 'echo x > box.toml' 'rm -rf box.toml' 'rmdir box.toml' 'mv a box.toml' 'mv box.toml b' \
                'ln -sf a box.toml' 'cp a box.toml' 'mkdir box.toml' 'mkfifo box.toml' 'rm -f box.toml; mv a box.toml' \
                'git mv a box.toml' 'ln -sfn a box.toml' 'mv -T a box.toml' 'chmod 700 box.toml'; do
                sh -c "$line" >/dev/null 2>&1 && echo "done $line"
            done; cat a; git status --porcelain; ls -A; find . -name box.toml; cp -a . /tmp/copy && ls /tmp/copy
            """)
        #expect(outcome.lines == ["1", ".git", "a", "a"], "\(outcome)")
        #expect(!project.exists("box.toml"))
        #expect(try project.stages().isEmpty, "\(outcome)")
        // What is committed with everything else is no policy, either.
        try project.work(
            "echo 2 > n; git add -A; git commit -qm all; git ls-files", options: ["--name", "all"])
        try project.apply()
        #expect(try project.host("git ls-files; git status --porcelain").lines == ["a", "n"])
    }

    @Test func `what an agent makes of it in a copy is only staged, and held back`() throws {
        row("FS-17")
        let project = try ReviewedProject("echo 1 > a", repository: false, ["--workspace", "copy"])
        try project.work("echo x > box.toml; ls; echo y > b")
        #expect(try project.review()["box.toml"]?.risk == "blocked")
        try project.apply()
        #expect(!project.exists("box.toml") && project.exists("b"))
    }

    @Test func `an agent's own settings are only staged, and held back`() throws {
        row("FS-17")
        let project = try ReviewedProject("echo 1 > a", repository: false)
        try project.work("mkdir -p .claude; echo x > .claude/settings.json; echo y > .envrc")
        try project.apply()
        #expect(!project.exists(".envrc") && !project.exists(".claude"))
    }

    @Test func `what is held back is so at its last name, whatever names its directories had`() throws {
        row("FS-18")
        guard has("git") else { return }
        let project = try ReviewedProject(
            "mkdir -p sub/deep; echo 1 > sub/deep/f; git config core.hooksPath sub/hooks; mkdir sub/hooks; echo 1 > sub/hooks/README"
        )
        let before = try project.host(
            "find .git -maxdepth 1 -newer .git/HEAD; sha256sum .git/config sub/hooks/*"
        ).lines
        try project.work(
            """
            mkdir -p x/y; echo evil > x/y/tasks.json; mv x/y x/.vscode; mv x sub/x; mv sub/x/.vscode .vscode
            mkdir plain; echo '#!/bin/sh' > plain/pre-commit; mv .git/hooks old-hooks; mv plain .git/hooks
            mv sub other; mkdir -p sub/hooks; echo evil > sub/hooks/pre-commit; chmod +x sub/hooks/pre-commit
            echo 'x' > envrc; mv envrc .envrc; mv .git git; mv git .git
            """)
        let review = try project.review()
        for path in [".vscode/tasks.json", ".git/hooks/pre-commit", "sub/hooks/pre-commit", ".envrc"] {
            #expect(review[path]?.risk == "blocked", "\(path): \(String(describing: review[path]))")
        }
        try project.apply()
        for path in [".vscode", ".git/hooks/pre-commit", "sub/hooks/pre-commit", ".envrc"] {
            #expect(!project.exists(path))
        }
        #expect(project.exists("other/deep/f") && project.exists("old-hooks/pre-commit.sample"))
        #expect(
            try project.host(
                "find .git -maxdepth 1 -newer .git/HEAD; sha256sum .git/config sub/hooks/* 2>/dev/null || :"
            ).lines.first == before.first)
    }

    @Test func `layers and box's state are reached by no path, and no mount tells of them`() throws {
        row("FS-11")
        let project = try project()
        let running = try project.box.start(
            ["/bin/sh"], options: ["--name", "work", "--hide", "many/"], streams: .openInput)
        try running.send("echo agent > n; echo more >> a; echo ready\n")
        try running.expect("ready")
        let state = project.box.scratch.state
        let stage = project.sessions + "/work/stage"
        let inodes = try project.host(
            "stat -c %i '\(stage)' '\(stage)/0' '\(stage)'/0/* '\(stage)/0/upper/n' '\(state)/box' '\(project.sessions)' '\(project.path)/..'"
        ).lines
        #expect(inodes.count >= 8)
        // Each in a find of its own would take long; the numbers of other file systems are told apart by what
        // they are.
        let numbers = inodes.map { "-inum \($0)" }.joined(separator: " -o ")
        try running.send(
            """
            find / \\( -path /proc -o -path /usr -o -path /opt \\) -prune -o \\( \(numbers) \\) -print 2>/dev/null | sed 's/^/found /'
            for p in '\(state)' '\(stage)' '\(stage)/0/upper/n' '\(project.path)/../state'; do ls "$p" >/dev/null 2>&1 && echo "there $p"; done
            ls -d work upper 0 ../0 ../upper ../work ../../stage 2>/dev/null
            find / -xdev \\( -name upper -o -name work -o -name hide \\) 2>/dev/null |
                sed 's/^/there /'
            cat /proc/self/mountinfo /proc/mounts; echo finished

            """)
        let seen = try running.expect("finished", within: 30)
        running.closeInput()
        _ = try running.wait()
        let lines = seen.split(separator: "\n").map(String.init)
        #expect(!seen.contains(state) && !seen.contains("sessions/"), "\(seen)")
        // The file that the agent made is its own, and found where it made it.
        let found = lines.filter { $0.hasPrefix("found ") }
        #expect(Set(found).isSubset(of: ["found \(project.path)/n", "found \(project.path)"]), "\(found)")
        #expect(found.contains("found \(project.path)/n"), "no control: \(seen)")
        #expect(!lines.contains { $0.hasPrefix("there ") }, "\(lines)")
        // Layers are named in a way that says nothing of where they are.
        let layers = lines.filter { $0.contains("lowerdir=") }
        #expect(
            !layers.isEmpty && layers.allSatisfy { !$0.contains("dir=/") && !$0.contains(":/") }, "\(layers)")
    }

    @Test func `no node, link or attribute fools the review`() throws {
        row("FS-15")
        guard has("python3") else { return }
        let project = try project()
        let before = try evidence(project)
        let outcome = try project.work(
            """
            set +e; mknod w c 0 0 2>&1; mknod null c 1 3 2>&1; mkfifo pipe; ln -s /etc/passwd out; ln a other
            ln /etc/passwd hard 2>&1
            ln /usr/bin/env hard2 2>&1; chattr +i a 2>&1; true
            python3 - <<'PY'
            import os, socket
            socket.socket(socket.AF_UNIX).bind("socket")
            for name in ["user.overlay.opaque", "user.overlay.whiteout", "user.overlay.redirect", "user.overlay.metacopy", "trusted.overlay.opaque"]:
                for path in ["d", "a"]:
                    try: os.setxattr(path, name, b"y"); print("set", name, path)
                    except OSError as e: print("refused", name, path)
            os.mkdir("d/new"); open("d/new/file", "w").write("x")
            PY
            ls d
            """)
        #expect(outcome.text.components(separatedBy: "not permitted").count >= 3, "\(outcome)")
        #expect(
            !outcome.text.contains("hard'") || outcome.text.contains("ross-device")
                || outcome.text.contains("not permitted"))
        #expect(
            outcome.lines.suffix(3) == ["b", "deep", "new"],
            "what it sees has not changed by attributes: \(outcome)")
        let review = try project.review()
        #expect(
            review["pipe"]?.risk == "blocked" && review["socket"]?.risk == "blocked"
                && review["out"]?.risk == "blocked")
        for path in ["w", "null", "hard", "hard2"] { #expect(review[path] == nil, "\(path)") }
        #expect(!review.changes.contains { $0.kind == "deleted" }, "\(review.paths)")
        let applied = try project.apply()
        #expect(
            applied.errors.contains("pipe: a FIFO") && applied.errors.contains("socket: a socket"),
            "\(applied)")
        for path in ["pipe", "socket", "out", "w"] { #expect(!project.exists(path)) }
        #expect(project.exists("d/new/file") && project.exists("other"))
        // The hard link is a file of its own: the user's other name of the file stays what it is.
        #expect(try project.host("stat -c %h a").answer == "2")
        let attributes = try evidence(project).filter { $0.contains("overlay") }
        #expect(attributes.isEmpty && !before.isEmpty)
    }

    @Test func `two sessions on one project see nothing of each other`() throws {
        let project = try project()
        let before = try project.manifest()
        let sessions = try ["one", "two"].map { name in
            let running = try project.box.start(["/bin/sh"], options: ["--name", name], streams: .openInput)
            try running.send("echo \(name) > a; echo \(name) > of-\(name); rm -r d/deep; echo ready\n")
            try running.expect("ready")
            return running
        }
        for (running, name) in zip(sessions, ["one", "two"]) {
            try running.send("cat a; ls; cat /tmp/* 2>/dev/null; echo \(name) > /tmp/mark; echo ready\n")
            let seen = try running.expect("ready")
            let other = name == "one" ? "two" : "one"
            #expect(seen.contains(name) && !seen.contains(other), "\(name): \(seen)")
        }
        #expect(try project.manifest() == before, "the project is as it was while they run")
        for running in sessions {
            running.closeInput()
            #expect(try running.wait().status == 0)
        }
        #expect(try project.stages().sorted() == ["one", "two"])
        try project.command(["apply", "--yes", "-s", "one"])
        // What both changed is a conflict now, and what both deleted is none.
        let refused = try project.command(["apply", "--yes", "-s", "two"], status: 1)
        #expect(
            refused.errors.contains("a: changed on the host") && !refused.errors.contains("deep"),
            "\(refused)")
        try project.command(["apply", "-s", "two", "of-two"])
        #expect(try project.host("cat a of-one of-two").lines == ["one", "one", "two"])
    }

    @Test func `nobody else on the computer can look into a stage`() throws {
        row("AP-23")
        let project = try project()
        try project.work("echo secret > n", options: ["--name", "work"])
        // The way from the state directory to the stage is the user's alone.
        let modes = try project.host(
            "cd '\(project.box.scratch.state)'; stat -c '%a %u' box box/sessions box/sessions/work box/sessions/work/stage"
        ).lines
        let root = try project.host("id -u").answer
        #expect(modes.allSatisfy { $0 == "700 \(root)" }, "\(modes)")
    }
}
