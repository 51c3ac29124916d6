import CTesting
import Foundation
import Testing

/// What an agent could leave in its stage to reach beyond the project, or past the review (AP).
@Suite(.recorded("AP-05")) struct ApplyHostile {
    /// A project with a directory beside it that nothing may ever touch.
    private func project(_ script: String) throws -> (project: StagedProject, outside: String) {
        let project = try StagedProject("mkdir ../outside; echo secret > ../outside/file; \(script)")
        return (project, project.box.scratch.root + "/outside")
    }

    // MARK: - Links

    @Test func `links are shown with their targets, those that lead out are flagged, and none is followed`()
        throws
    {
        row("AP-05")
        let (project, outside) = try project("mkdir d; echo x > d/x; ln -s d old")
        let targets = [
            "relative": "d/x", "dangling": "nowhere", "up": "../outside/file", "absolute": outside + "/file",
            "proc": "/proc/self/root/etc/passwd", "home": "/root", "deep": "d/../../outside", "dot": ".",
        ]
        let making = targets.sorted { $0.key < $1.key }.map { "ln -s '\($0.value)' \($0.key)" }
        try project.session("set -e; \(making.joined(separator: "; ")); ln -sfn ../outside old")
        let before = try TreeDigest(outside)
        let review = try project.review()
        for (name, target) in targets {
            #expect(review[name]?.link_target == target && review[name]?.type == "symlink", "\(name)")
            let leads = ["up", "absolute", "proc", "home", "deep"].contains(name)
            #expect(review[name]?.risk == (leads ? "blocked" : "confirm"), "\(name): \(review[name] as Any)")
        }
        #expect(review["old"]?.kind == "modified" && review["old"]?.risk == "blocked")
        let shown = try project.box.call(["diff", "-s", "one"])
        #expect(shown.text.contains("outside/file"), "\(shown)")
        // Without consent nothing comes; named, they come as links.
        #expect(try project.apply().status == 1)
        let names = targets.keys.sorted() + ["old"]
        let outcome = try project.apply(["--yes"] + names)
        #expect(outcome.status == 0, "\(outcome)")
        let after = try project.digest()
        for name in names {
            #expect(after.entries[name]?.kind == "l", "\(name)")
            #expect(after.entries[name]?.content == Array((targets[name] ?? "../outside").utf8), "\(name)")
        }
        #expect(try TreeDigest(outside) == before)
    }

    @Test func `a directory that became a link is not written through`() throws {
        row("AP-06")
        let (project, outside) = try project(
            "mkdir -p d/e; echo old > d/x; echo old > d/e/y; ln -s ../outside way")
        try project.session(
            "echo agent >> d/x; rm -r d; ln -s ../outside d; rm way; mkdir way; echo agent > way/file")
        let (before, out) = (try project.digest(), try TreeDigest(outside))
        // A part of it cannot come without the rest.
        let part = try project.apply("--yes", "way/file")
        #expect(part.status != 0, "\(part)")
        #expect(try project.digest().differences(from: before).isEmpty)
        let outcome = try project.apply("--yes", "d", "way")
        #expect(outcome.status == 0, "\(outcome)")
        let after = try project.digest()
        #expect(after.entries["d"]?.kind == "l" && after.entries["way"]?.kind == "d")
        #expect(after.entries["way/file"]?.content == Array("agent\n".utf8))
        #expect(try TreeDigest(outside) == out)
        #expect(try project.undo().status == 0)
        #expect(try project.digest().differences(from: before).isEmpty)
        // The host makes the link while the changes wait: nothing goes through it either.
        let second = try self.project("mkdir d; echo old > d/x")
        try second.project.session("echo agent > d/x; echo agent > d/file")
        try second.project.host("mv d e; ln -s ../outside d")
        let was = try second.project.digest()
        for words in [["--yes"], ["--yes", "--theirs"], ["--yes", "--merge"], ["--yes", "d/file"]] {
            #expect(try second.project.apply(words).status != 0)
            #expect(try TreeDigest(second.outside).entries["file"]?.content == Array("secret\n".utf8))
        }
        #expect(try second.project.digest() == was)
    }

    @Test func `a host that swaps a directory for a link during 300 applies loses nothing outside`() throws {
        row("AP-07")
        let (project, outside) = try project(
            "mkdir -p d/sub; for i in 1 2 3 4; do echo old > d/f$i; done; echo old > d/sub/x")
        try project.session(
            "for i in 1 2 3 4 5; do echo agent > d/f$i; done; echo agent > d/sub/x; echo agent > d/file; rm d/f4"
        )
        try project.host("ln -s ../outside ../link; cp d/sub/x ../outside/f1; mkdir ../outside/sub")
        let before = try TreeDigest(outside)
        let plain = try project.digest()
        let racer = """
            import ctypes, os, time
            libc = ctypes.CDLL(None, use_errno=True)
            done = 0
            print("racing", flush=True)
            while os.getppid() == \(getpid()):
                if libc.renameat2(-100, b"d", -100, b"../link", 2) == 0: done += 1
                time.sleep(0.0001)
                if not os.path.exists("../racing"):
                    if os.path.islink("d"): libc.renameat2(-100, b"d", -100, b"../link", 2)
                    break
            print(done, flush=True)
            """
        try project.host("touch ../racing")
        let race = try Running(
            ["/usr/bin/python3", "-c", racer], environment: ["PATH": Host.path], directory: project.path,
            streams: .openInput)
        try race.expect("racing\n")
        var statuses: [Int32: Int] = [:]
        for _ in 0..<300 {
            let outcome = try project.apply("--yes", "--quiet")
            statuses[outcome.status, default: 0] += 1
            #expect([0, 1, 125].contains(outcome.status), "\(outcome)")
            if outcome.status == 0 || outcome.errors.contains("--rollback") { try takeBack(project) }
        }
        try project.host("rm ../racing")
        let raced = try race.wait()
        #expect((Int(raced.lines.last ?? "") ?? 0) > 300, "no race: \(raced)")
        #expect(statuses.count > 1, "no race: \(statuses)")
        try takeBack(project)
        let differences = try TreeDigest(outside).differences(from: before)
        #expect(differences.isEmpty, "\(differences)")
        let inside = try project.digest().plain().differences(from: plain.plain())
        #expect(inside.isEmpty, "\(inside)")
        // Left alone it works, in the very same stage.
        let last = try project.apply("--yes")
        #expect(last.status == 0, "\(last)")
        #expect(try Host.text(project.path + "/d/file") == "agent\n")
    }

    /// Undoes, and rolls back what was interrupted, again and again: while somebody swaps directories each may be refused,
    /// and touches nothing then.
    private func takeBack(_ project: StagedProject) throws {
        func call(_ words: [String]) throws -> Outcome {
            let outcome = try project.box.call(words + ["-s", "one"])
            #expect([0, 1, 125].contains(outcome.status), "\(words): \(outcome)")
            return outcome
        }
        var last: Outcome?
        for _ in 0..<1000 {
            let outcome = try call(["undo", "--yes"])
            if outcome.status == 0 || outcome.errors.contains("there is nothing to undo") { return }
            if outcome.errors.contains("was interrupted") { _ = try call(["apply", "--rollback"]) }
            last = outcome
        }
        throw HarnessError(description: "it is never undone: \(String(describing: last))")
    }

    // MARK: - Hard links

    @Test func `a file with another name outside keeps its content there`() throws {
        row("AP-11")
        let (project, outside) = try project(
            "echo old > ../outside/shared; ln ../outside/shared a; ln a b; echo x > c; ln c d")
        let (before, out) = (try project.digest(), try TreeDigest(outside))
        #expect(before.entries["a"]?.links == 3)
        try project.session("echo agent >> a; chmod 600 d")
        #expect(try project.apply("--yes").status == 0)
        #expect(try Host.text(project.path + "/a") == "old\nagent\n")
        #expect(try Host.text(outside + "/shared") == "old\n")
        #expect(try Host.text(project.path + "/b") == "old\n")
        #expect(try project.digest().entries["c"]?.mode == 0o644, "another name of a file whose mode changed")
        #expect(try project.undo().status == 0)
        // Links and all.
        #expect(try project.digest().differences(from: before).isEmpty)
        #expect(try TreeDigest(outside).differences(from: out).isEmpty)
    }

    @Test func `each of an agent's hard links has its content, and none leads to the stage`() throws {
        row("AP-12")
        let (project, _) = try project("echo one > one; echo two > two; echo gone > gone")
        try project.session(
            """
            set -e; echo many > l0; for i in 1 2 3 4 5 6 7 8 9; do ln l0 l$i; done; ln one also; echo more >> also
            rm gone; mkdir d; ln two d/two; rm two; ln l0 d/l; ln l0 .hidden
            """)
        #expect(try project.apply("--yes").status == 0)
        let after = try project.digest()
        for name in (0...9).map({ "l\($0)" }) + ["d/l", ".hidden"] {
            #expect(after.entries[name]?.content == Array("many\n".utf8), "\(name)")
        }
        #expect(after.entries["one"]?.content == Array("one\nmore\n".utf8))
        #expect(after.entries["also"]?.content == Array("one\nmore\n".utf8))
        #expect(after.entries["d/two"]?.content == Array("two\n".utf8))
        #expect(after.entries["two"] == nil && after.entries["gone"] == nil)
        // Whoever writes to the project later does not write to the stage.
        let inodes = "find . -type f -printf '%i\\n' | sort -u"
        let stage = try Host.shell(inodes, directory: project.box.scratch.state + "/box/sessions/one/stage")
        let here = try Host.shell(inodes, directory: project.path)
        #expect(Set(stage.lines).isDisjoint(with: here.lines))
        #expect(try project.undo().status == 0)
        #expect(Set(try project.digest().entries.keys) == ["", "one", "two", "gone"])
    }

    // MARK: - Attributes

    @Test func `setuid, setgid and sticky bits do not come over, and are named`() throws {
        row("AP-13")
        let (project, _) = try project("echo x > old; mkdir dir")
        try project.session(
            """
            set -e; for m in 4755 2755 6755 1777; do echo x > f$m; chmod $m f$m; mkdir d$m; chmod $m d$m; done
            chmod 4755 old; chmod 2775 dir
            """)
        let review = try project.review()
        for name in ["f4755", "f2755", "f6755", "d2755", "d1777", "old", "dir"] {
            #expect(review[name]?.risk == "confirm", "\(name): \(review[name] as Any)")
        }
        #expect(try project.apply().status == 1)
        let outcome = try project.apply("--yes")
        #expect(outcome.status == 0, "\(outcome)")
        for (name, entry) in try project.digest().entries { #expect(entry.mode & 0o7000 == 0, "\(name)") }
        #expect(try project.review().changes.isEmpty, "what does not come over is no change")
    }

    @Test func `what comes belongs to whoever applies, whatever the agent's id was`() throws {
        row("AP-15")
        let (project, _) = try project("echo x > old; mkdir -p a/b; chmod 700 a")
        try project.session(
            "umask 0; echo y > old; echo x > new; mkdir d; ln -s x d/l; echo x > d/f; chmod 666 d/f; echo x > a/b/c"
        )
        #expect(try project.apply("--yes").status == 0)
        for (name, entry) in try project.digest().entries {
            #expect(
                entry.owner == geteuid() && entry.group == getegid(), "\(name): \(entry.owner):\(entry.group)"
            )
        }
    }

    @Test func `attributes do not come from the agent, and an undo brings the host's own back`() throws {
        row("AP-25")
        let (project, _) = try project("echo x > kept; echo x > other; chmod 604 kept")
        try project.setAttribute("user.mine", "value", "kept")
        let before = try project.digest()
        let outcome = try project.session(
            """
            python3 -c 'import os; os.setxattr("other", "user.agent", b"x"); os.setxattr("kept", "user.agent", b"x")' || echo none
            echo agent >> kept; python3 -c 'import os
            try: os.setxattr("kept", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000")); print("set")
            except OSError: pass'
            """)
        #expect(!outcome.text.contains("set"), "\(outcome)")
        #expect(try project.apply("--yes").status == 0)
        let after = try project.digest()
        let attributes = String(decoding: after.entries["kept"]?.attributes ?? [], as: UTF8.self)
        #expect(!attributes.contains("user.agent"))
        #expect(after.entries["other"]?.attributes == before.entries["other"]?.attributes)
        #expect(try project.undo().status == 0)
        #expect(try project.digest().differences(from: before).isEmpty)
    }

    @Test func `sparse and huge files keep their holes, and cost what is in them`() throws {
        row("AP-17")
        let (project, _) = try project("truncate -s 1G old; echo head | dd of=old conv=notrunc status=none")
        let made = try project.session(
            """
            truncate -s 5G big && echo middle | dd of=big bs=1M seek=2500 conv=notrunc status=none
            truncate -s 1T huge && echo end >> huge || echo none; echo x | dd of=old bs=1 seek=900000000 conv=notrunc status=none
            ls -s --block-size=1M big
            """)
        let review = try project.review()
        #expect(review["big"]?.new_size == 5 << 30 && review["old"]?.new_size == 1 << 30, "\(made)")
        let huge = review["huge"]?.new_size ?? 0
        let outcome = try project.apply("--yes")
        #expect(outcome.status == 0, "\(outcome)")
        let sizes = try Host.shell(
            "stat -c '%n %s %b' big old; [ ! -e huge ] || stat -c '%n %s %b' huge", directory: project.path)
        for line in sizes.lines {
            let words = line.split(separator: " ")
            #expect((Int(words[2]) ?? .max) < 40_000, "no holes: \(line)")
        }
        #expect(sizes.text.contains("big \(5 << 30) ") && sizes.text.contains("old \(1 << 30) "), "\(sizes)")
        #expect(huge == 0 || sizes.text.contains("huge \(huge) "), "\(sizes)")
        let middle = try Host.shell(
            "dd if=big bs=1M skip=2500 count=1 status=none | head -c 6", directory: project.path)
        #expect(middle.text == "middle")
        #expect(try project.undo().status == 0)
        #expect(try Host.shell("ls; stat -c %b old", directory: project.path).lines.count == 2)
    }

    @Test func `devices cannot be made, and pipes and sockets are left out and named`() throws {
        row("FS-15")
        let (project, _) = try project("echo x > was")
        try project.session(
            """
            mkfifo fifo; rm was; mkfifo was; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("sock")'
            for d in 'c 0 0' 'c 1 3' 'b 8 0'; do mknod dev $d 2>/dev/null && echo made; done; echo agent > file
            """)
        let before = try project.digest()
        let outcome = try project.apply("--yes", "fifo", "was", "sock", "file")
        #expect(outcome.status == 0, "\(outcome)")
        for name in ["fifo", "was", "sock"] { #expect(outcome.errors.contains(name), "\(outcome)") }
        let after = try project.digest()
        #expect(after.entries["was"] == before.entries["was"], "what stood there stays")
        #expect(Set(after.entries.keys) == ["", "was", "file"])
    }

    // MARK: - Names

    @Test func `names that differ only in case or in marks are flagged, and look-alikes of .git are git`()
        throws
    {
        row("AP-20")
        let (project, _) = try project("echo x > Foo; echo x > café; echo x > plain")
        let twins = ["foo", "cafe\u{301}", "PLAIN", "new/A", "new/a", "x\u{200B}y", "xy"]
        let git = [
            ".GIT/config", ".Git/hooks/pre-commit", ".git /config", ".git./config", "git~1/config",
            ".g\u{200C}it/config", "sub/.giT/config", ".git\u{FEFF}/HEAD",
        ]
        let making = (twins + git).map { "mkdir -p \"$(dirname '\($0)')\"; echo agent > '\($0)'" }
        try project.session("set -e; \(making.joined(separator: "; "))")
        let review = try project.review()
        for name in git where !name.hasSuffix("HEAD") {
            #expect(review[name]?.risk == "blocked", "\(name): \(review[name] as Any)")
        }
        for name in ["foo", "cafe\u{301}", "PLAIN", "new/A"] {
            #expect(
                review.changes.contains { $0.path.utf8.elementsEqual(name.utf8) && $0.risk == "confirm" },
                "\(name)")
        }
        #expect(try project.apply("--yes").status == 0)
        let after = try project.digest().entries.keys
        #expect(
            !after.contains { $0.lowercased().contains("git") && $0.contains("/") && !$0.hasSuffix("HEAD") },
            "\(after)")
        #expect(after.contains("foo") && after.contains("Foo"))
    }

    // MARK: - Where the stage lies

    @Test func `the state directory is the user's alone, and another's or a link is refused`() throws {
        row("AP-23")
        let (project, _) = try project("echo old > a")
        try project.session("echo agent > a")
        let state = project.box.scratch.state + "/box"
        let paths = try Host.shell(
            "find . -type d -not -path '*/upper*' -not -path '*/work/*' -printf '%m %U %p\\n'",
            directory: state)
        for line in paths.lines where line.contains(" ./sessions") || line.hasSuffix(" .") {
            let words = line.split(separator: " ")
            #expect((Int(words[0], radix: 8) ?? 0o777) & 0o077 == 0, "\(line)")
            #expect(words[1] == "\(geteuid())", "\(line)")
        }
        let commands = [["run"] + project.box.options + ["--", "/bin/true"], ["apply", "--yes"], ["diff"]]
        try project.host("cd ..; mv state/box elsewhere; ln -s ../elsewhere state/box")
        for words in commands {
            let outcome = try project.box.call(words)
            #expect(outcome.status == 125 && outcome.errors.contains("it is a link"), "\(words): \(outcome)")
        }
        try project.host("cd ..; rm state/box; mv elsewhere state/box; chmod 777 state/box")
        for words in commands.dropFirst() {
            let outcome = try project.box.call(words)
            #expect(
                outcome.status == 125 && outcome.errors.contains("others may write"), "\(words): \(outcome)")
        }
        if Host.isRoot {
            try project.host("chmod 700 '\(state)'; chown 12345 '\(state)'")
            for words in commands {
                let outcome = try project.box.call(words)
                #expect(
                    outcome.status == 125 && outcome.errors.contains("another user"), "\(words): \(outcome)")
            }
            try project.host("chown 0 '\(state)'")
        }
        #expect(try Host.text(project.path + "/a") == "old\n")
        try project.host("chmod 700 '\(state)'")
        #expect(try project.box.call(["apply", "--yes"]).status == 0)
        #expect(try Host.text(project.path + "/a") == "agent\n")
    }

    // MARK: - Nothing hidden

    @Test
    func `nothing is hidden from the review: ignored, dotted, binary, mode-only and empty ones are listed`()
        throws
    {
        row("AP-25")
        guard has("git") else { return }
        row("AP-25")
        let (project, _) = try project(
            "git init -q .; echo '*' > .gitignore; mkdir -p node_modules/p build; echo x > node_modules/p/i.js; echo x > mode; echo x > time; echo '*.o binary -diff' > .gitattributes"
        )
        try project.session(
            """
            echo y > node_modules/p/i.js; mkdir -p .cache; echo x > .cache/x; printf 'a\\0' > b.o; chmod 600 mode; : > empty
            mkdir -p build/out; touch time; echo x > .hidden; echo x > .git/refs/heads/sneaky; echo x > build/x.pyc; echo x > 'end '
            """)
        let review = try project.review()
        let wanted: Set<String> = [
            "node_modules/p/i.js", ".cache/x", "b.o", "mode", "empty", "build/out", ".hidden",
            ".git/refs/heads/sneaky",
            "build/x.pyc", "end ",
        ]
        #expect(Set(review.changes.map(\.path)) == wanted)
        let names = try project.box.call(["diff", "--name-only", "-z", "-s", "one"])
        #expect(names.out.count { $0 == 0 } == wanted.count)
        let stat = try project.box.call(["diff", "-s", "one", "--stat"])
        #expect(stat.text.contains("\(wanted.count) files changed"), "\(stat)")
        #expect(try project.apply("--yes").status == 0)
        #expect(try project.review().changes.isEmpty)
    }
}
