import Foundation
import Testing

/// AP-09: the host and the agent both changed something. Nothing is overwritten unasked, and there is a way out.
@Suite(.recorded("AP-09")) struct ApplyConflicts {
    private static let lines = "seq 1 20 | sed 's/^/line /'"

    /// The file `text` of twenty lines, of which the agent changed some and then the host.
    private func project(agent: String, host: String) throws -> (StagedProject, TreeDigest) {
        let project = try StagedProject("\(ApplyConflicts.lines) > text; echo other > other; chmod 640 text")
        try project.session("set -e; \(agent)")
        try project.host(host)
        return (project, try project.digest())
    }

    private func text(_ project: StagedProject) throws -> String { try Host.text(project.path + "/text") }

    // MARK: - Merging

    @Test func `changes of different lines are joined with --merge, and undone exactly`() throws {
        let (project, before) = try project(
            agent: "sed -i 's/^line 2$/agent/' text; echo new > new",
            host: "sed -i 's/^line 18$/host/' text; chmod 604 text")
        let refused = try project.apply("--yes")
        #expect(refused.status == 1 && refused.errors.contains("--merge"), "\(refused)")
        #expect(try project.digest() == before)
        #expect(try project.review().conflicts == ["text"])
        let merged = try project.apply("--yes", "--merge")
        #expect(merged.status == 0 && merged.errors.contains("1 merged"), "\(merged)")
        let wanted = try Host.shell("\(ApplyConflicts.lines) | sed 's/^line 2$/agent/; s/^line 18$/host/'")
            .text
        #expect(try text(project) == wanted)
        let after = try project.digest()
        // The mode is the host's: the agent did not change it.
        #expect(after.entries["text"]?.mode == 0o604)
        #expect(after.entries["new"] != nil)
        #expect(try project.review().changes.isEmpty)
        #expect(try project.undo().status == 0)
        #expect(try project.digest().differences(from: before).isEmpty)
        #expect(try project.review().conflicts == ["text"])
    }

    @Test func `changes of the same line are not joined, and nothing is touched`() throws {
        let (project, before) = try project(
            agent: "sed -i 's/^line 9$/agent/' text; echo new > new", host: "sed -i 's/^line 9$/host/' text")
        let outcome = try project.apply("--yes", "--merge")
        #expect(outcome.status == 1, "\(outcome)")
        #expect(outcome.errors.contains("one place was changed on both sides"), "\(outcome)")
        #expect(try project.digest() == before)
        // The same changes by both are one.
        let same = try self.project(
            agent: "sed -i 's/^line 9$/both/; s/^line 2$/agent/' text", host: "sed -i 's/^line 9$/both/' text"
        )
        #expect(try same.0.apply("--merge").status == 0)
        let wanted = try Host.shell("\(ApplyConflicts.lines) | sed 's/^line 9$/both/; s/^line 2$/agent/'")
            .text
        #expect(try text(same.0) == wanted)
    }

    @Test func `what the agent started from is not kept of a large file, and that is said`() throws {
        let project = try StagedProject("head -c 3000000 /dev/zero | tr '\\0' '\\n' > text; echo end >> text")
        try project.session("sed -i '1s/^/agent/' text")
        try project.host("echo host >> text")
        let before = try project.digest()
        let outcome = try project.apply("--merge")
        #expect(outcome.status == 1 && outcome.errors.contains("not known any more"), "\(outcome)")
        #expect(try project.digest() == before)
        #expect(try project.apply("--theirs", "text").status == 0)
        #expect(try project.undo().status == 0)
        #expect(try project.digest().differences(from: before).isEmpty)
    }

    @Test(arguments: [
        "rm text", "rm text; mkdir text", "head -c 4000 /dev/zero > text", "rm text; ln -s other text",
    ])
    func `what is no text on both sides is not merged`(host: String) throws {
        let (project, before) = try project(agent: "sed -i 's/^line 9$/agent/' text", host: host)
        let outcome = try project.apply("--yes", "--merge")
        #expect(outcome.status == 1, "\(outcome)")
        #expect(try project.digest() == before)
    }

    // MARK: - Choosing a side

    @Test func `--theirs and --ours decide for the paths that are named`() throws {
        let (project, before) = try project(
            agent: "sed -i 's/^line 9$/agent/' text; echo agent > other; echo agent > free",
            host: "sed -i 's/^line 9$/host/' text; echo host > other")
        #expect(try project.review().conflicts.sorted() == ["other", "text"])
        let theirs = try project.apply("--theirs", "text")
        #expect(theirs.status == 0, "\(theirs)")
        #expect(try text(project).contains("agent"))
        let between = try project.digest()
        #expect(between.without("text").plain() == before.without("text").plain(), "only what was named")
        #expect(try project.review().conflicts == ["other"])
        let ours = try project.apply("--ours", "other")
        #expect(ours.status == 0 && ours.errors.contains("kept as on the host"), "\(ours)")
        #expect(try project.digest().differences(from: between).isEmpty)
        #expect(try project.review().list == ["added free"])
        // Each undo takes back the last apply, here the decision for the host.
        #expect(try project.undo().status == 0)
        #expect(try project.digest().differences(from: between).isEmpty)
        #expect(try project.review().conflicts == ["other"])
    }

    @Test func `undo after --theirs brings the host's version back, and the conflict`() throws {
        let (project, before) = try project(
            agent: "rm text; ln -s other text; rm other", host: "echo host >> text; echo host > other")
        #expect(try project.apply("--theirs", "--yes").status == 0)
        let after = try project.digest()
        #expect(after.entries["text"]?.kind == "l" && after.entries["other"] == nil)
        #expect(try project.undo().status == 0)
        #expect(try project.digest().differences(from: before).isEmpty)
        #expect(try project.review().conflicts.sorted() == ["other", "text"])
    }

    @Test func `what both did alike is no conflict`() throws {
        let (project, before) = try project(
            agent: "echo both >> text; rm other; mkdir d; echo both > d/f; ln -s d/f l",
            host: "echo both >> text; rm other; mkdir d; echo both > d/f; ln -s d/f l")
        #expect(try project.review().conflicts.isEmpty)
        let outcome = try project.apply("--yes")
        #expect(outcome.status == 0, "\(outcome)")
        #expect(try project.digest().plain() == before.plain())
        #expect(try project.undo().status == 0)
        #expect(try project.digest().differences(from: before).isEmpty)
    }

    // MARK: - While the session runs

    @Test func `what the host changes while the session runs is a conflict, before or after the agent`()
        throws
    {
        let project = try StagedProject(
            "echo a > a; echo b > b; echo c > c; echo d > d; mkdir e; echo e > e/e")
        let session = try Conversation(project.box)
        let name = Conversation.name
        try session.say("echo agent >> a; echo agent >> c; rm e/e; rm d; mkdir d; echo agent > d/d")
        try project.host("echo host >> a; echo host >> b; chmod 600 c; echo host > e/e; echo host >> d")
        try session.say("echo agent >> b")
        let during = try project.box.call(["apply", "--yes", "-s", name])
        #expect(during.status == 1 && during.errors.contains("still runs"), "\(during)")
        let before = try project.digest()
        let diff = try project.box.call(["diff", "--name-only", "-s", name])
        #expect(diff.status == 0 && diff.lines.contains("a"), "\(diff)")
        #expect(try session.end().status == 0)
        let review = try project.review(session: name)
        #expect(Set(review.conflicts) == ["a", "b", "c", "d", "e/e"])
        #expect(try project.apply("--yes", session: name).status == 1)
        #expect(try project.digest() == before)
        // A free file of the same session can be had all the same.
        #expect(try project.apply("d/d", "--theirs", "d", session: name).status == 0)
        #expect(try project.undo(session: name).status == 0)
        #expect(try project.digest().differences(from: before).isEmpty)
    }

    @Test func `an edit after the review is seen by the apply itself`() throws {
        let (project, _) = try project(agent: "echo agent >> text", host: ":")
        let review = try project.review()
        #expect(review.conflicts.isEmpty)
        try project.host("echo host >> text")
        let before = try project.digest()
        #expect(try project.apply("--yes", "--digest", review.digest).status == 1)
        #expect(try project.digest() == before)
    }

    @Test func `undo is refused where an applied file was edited since, and names it`() throws {
        let (project, before) = try project(
            agent: "echo agent >> text; echo agent > new; rm other", host: ":")
        #expect(try project.apply("--yes").status == 0)
        let applied = try project.digest()
        try project.host("echo edited >> new")
        let edited = try project.digest()
        let refused = try project.undo()
        #expect(refused.status == 1 && refused.errors.contains("new"), "\(refused)")
        #expect(!refused.errors.contains("text"), "\(refused)")
        #expect(try project.digest() == edited)
        try project.host("echo agent > new")
        let stamp = applied.entries["new"]
        try project.host("touch -d @\(stamp?.seconds ?? 0).\(TreeDigest.padded(stamp?.nanoseconds ?? 0)) new")
        // The very content and time that were applied.
        #expect(try project.undo().status == 0)
        #expect(try project.digest().plain() == before.plain())
    }

    // MARK: - Two sessions

    @Test
    func `of two sessions with the same file the second one is a conflict, and its other files are not`()
        throws
    {
        let project = try StagedProject("\(ApplyConflicts.lines) > text; echo a > a; echo b > b")
        let (first, second) = (project.box, project.box)
        let one = try first.start(["/bin/sh"], options: ["--name", "one"], streams: .openInput)
        let two = try second.start(["/bin/sh"], options: ["--name", "two"], streams: .openInput)
        try one.send("sed -i 's/^line 3$/one/' text; echo one >> a; echo done\n")
        try two.send(
            "cat text | head -3 | tail -1; sed -i 's/^line 15$/two/' text; echo two >> b; echo done\n")
        try one.expect("done\n")
        #expect(try two.expect("done\n").contains("line 3"), "each has its own view")
        for running in [one, two] {
            running.closeInput()
            #expect(try running.wait().status == 0)
        }
        let before = try project.digest()
        #expect(try project.apply("--yes", session: "one").status == 0)
        let applied = try project.digest()
        #expect(try project.review(session: "two").conflicts == ["text"])
        #expect(try project.apply("--yes", session: "two").status == 1)
        #expect(try project.digest() == applied)
        #expect(try project.apply("b", session: "two").status == 0)
        #expect(try project.apply("--merge", session: "two").status == 0)
        let wanted = try Host.shell("\(ApplyConflicts.lines) | sed 's/^line 3$/one/; s/^line 15$/two/'").text
        #expect(try text(project) == wanted)
        // The first session's text is not what it applied any more.
        #expect(try project.undo(session: "one").status == 1)
        #expect(try project.undo(session: "two").status == 0)
        #expect(try project.undo(session: "one").status == 0)
        #expect(
            try project.digest().without("b").plain(times: true) == before.without("b").plain(times: true))
    }

    @Test func `applies to one project wait for each other`() throws {
        let project = try StagedProject("echo old > a; echo old > b")
        for name in ["one", "two"] {
            try project.session(
                "echo \(name) > \(name == "one" ? "a" : "b"); echo \(name) > \(name)", as: name)
        }
        // Somebody has the project's lock, as an apply that is under way does.
        let number = try Host.shell("stat -c '%d-%i' .", directory: project.path).answer
        let locks = project.box.scratch.state + "/box/locks"
        try FileManager.default.createDirectory(
            atPath: locks, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        let holder = try Running(
            ["/usr/bin/flock", "\(locks)/\(number)", "/bin/sh", "-c", "echo held; read line"],
            environment: ["PATH": Host.path], directory: "/", streams: .openInput)
        try holder.expect("held")
        let before = try project.digest()
        let applies = try ["one", "two"].map { name in
            try Running(
                [Box.binary, "apply", "--yes", "-s", name], environment: project.box.environment,
                directory: project.path, streams: .terminal(rows: 24, columns: 80))
        }
        for apply in applies { try apply.expect("waiting for another apply") }
        #expect(try project.digest() == before)
        try holder.send("\n")
        for apply in applies {
            let outcome = try apply.wait()
            #expect(outcome.status == 0, "\(outcome)")
        }
        for (name, content) in [("a", "one"), ("b", "two"), ("one", "one"), ("two", "two")] {
            #expect(try Host.text("\(project.path)/\(name)") == content + "\n")
        }
    }
}
