import Foundation
import Testing

/// A stage from the first change to the last: what is said, what is kept, and what becomes of it.
@Suite(.recorded("AP-23")) struct StageLifecycle {
    private static let start = "echo 1 > a; mkdir d; echo 2 > d/b"

    private func project() throws -> ReviewedProject {
        try ReviewedProject(StageLifecycle.start, repository: false)
    }

    // MARK: - The end of a session

    @Test func `the end says how many files changed and what to do, and the status is the command's`() throws
    {
        let project = try project()
        let before = try project.manifest()
        let outcome = try project.work(
            "echo more >> a; rm d/b; echo new > n; exit 7", options: ["--name", "work"], status: 7)
        #expect(
            outcome.errors.contains("3 files changed in session work: box diff · box apply · box discard"),
            "\(outcome)")
        #expect(try project.stages() == ["work"])
        #expect(try project.manifest() == before)
        let quiet = try project.work("echo one > only", options: ["--quiet"])
        #expect(quiet.errors.isEmpty, "\(quiet)")
        let one = try project.work("echo one > only")
        #expect(one.errors.contains("1 file changed in session"), "\(one)")
        // A signal's status stays, too.
        #expect(try project.work("echo x > a; kill -9 $$", status: 137).errors.contains("1 file changed"))
    }

    @Test(arguments: [
        ":", "cat a d/b", "echo 1 > a", "echo x > t; rm t", "mv d e; mv e d", "chmod 600 a; chmod 644 a",
        "exit 3",
    ])
    func `what changes nothing leaves no stage and says nothing`(_ script: String) throws {
        let project = try project()
        let outcome = try project.box.shell(script)
        #expect(!outcome.errors.contains("changed"), "\(outcome)")
        #expect(try project.stages().isEmpty)
        #expect(try project.command(["diff"]).errors.contains("changed nothing"))
        #expect(try project.command(["apply"], status: 1).errors.contains("nothing to apply"))
    }

    @Test func `with no stage wanted there is none`() throws {
        let project = try project()
        let none = try project.work(
            "cat a d/b 2>/dev/null || echo x > new", options: ["--workspace", "none"])
        #expect(none.text.isEmpty && !none.errors.contains("changed"), "\(none)")
        #expect(try project.stages().isEmpty && !project.exists("new"))
        try project.work("echo x > new", options: ["--workspace", "direct"])
        #expect(try project.stages().isEmpty && project.exists("new"))
        #expect(try project.box.call(["apply"]).status == 1)
    }

    // MARK: - What becomes of it

    @Test(arguments: ["keep", "apply", "discard", "ask"])
    func `the end can be said beforehand`(_ end: String) throws {
        let project = try project()
        let outcome = try project.work(
            "echo new > n; echo x > .envrc; exit 5", options: ["--on-exit", end], status: 5)
        #expect(project.exists("n") == (end == "apply"), "\(outcome)")
        #expect(!project.exists(".envrc"))
        #expect(try project.stages().count == (end == "discard" ? 0 : 1))
        if end == "apply" {
            #expect(
                outcome.errors.contains(".envrc: a shell runs it")
                    && outcome.errors.contains("1 file applied"), "\(outcome)")
            #expect(try project.review().paths == [".envrc"])
        }
    }

    @Test func `an end that there is not is refused before anything runs`() throws {
        let project = try project()
        let refused = try project.box.shell("echo ran", options: ["--on-exit", "burn"])
        #expect(
            refused.status == 125 && refused.text.isEmpty
                && refused.errors.contains("Known: ask, apply, keep, discard"), "\(refused)")
    }

    /// Keys, and what must have become of the change.
    static let answers: [(keys: [String], applied: Bool, stages: Int)] = [
        (["a\n"], true, 1), (["apply\n"], true, 1), (["k\n"], false, 1), (["\n"], false, 1),
        (["x\n"], false, 0),
        (["what?\n", "d\n", "k\n"], false, 1), (["D\n", "A\n"], true, 1), (["\u{4}"], false, 1),
    ]

    @Test(arguments: answers.indices)
    func `on a terminal it is asked`(_ index: Int) throws {
        let answer = StageLifecycle.answers[index]
        let project = try project()
        // No pager stands between the question and the next one.
        let running = try project.box.start(
            ["/bin/sh", "-c", "echo more >> a; exit 6"], environment: ["PAGER": "cat"],
            streams: .terminal(rows: 30, columns: 100))
        for key in answer.keys {
            try running.expect("[a]pply, [d]iff, [k]eep or [x] discard? ")
            try running.send(key)
            if key.lowercased() == "d\n" { try running.expect("+more") }
        }
        let outcome = try running.wait()
        #expect(outcome.status == 6, "\(outcome)")
        #expect(try project.text("a") == (answer.applied ? "1\nmore\n" : "1\n"))
        #expect(try project.stages().count == answer.stages)
    }

    @Test func `an apply that is refused at the end is asked about again`() throws {
        let project = try project()
        let running = try project.box.start(
            ["/bin/sh", "-c", "echo more >> a; echo ready; read line"], options: ["--name", "work"],
            streams: .terminal(rows: 30, columns: 100))
        try running.expect("ready")
        try project.host("echo host >> a")
        try running.send("\n")
        try running.expect("[x] discard? ")
        try running.send("a\n")
        try running.expect("nothing was touched")
        try running.expect("[x] discard? ")
        try running.send("k\n")
        #expect(try running.wait().status == 0)
        #expect(try project.text("a") == "1\nhost\n")
        #expect(try project.stages() == ["work"])
    }

    // MARK: - Going on

    @Test func `a new session begins anew and says that changes wait, a continued one has them`() throws {
        let project = try project()
        try project.work("echo first > n", options: ["--name", "first"])
        let anew = try project.work("ls; echo 2 > m", options: ["--name", "second"])
        #expect(anew.lines == ["a", "d"], "\(anew)")
        #expect(anew.errors.contains("session first has changes that wait: box diff"), "\(anew)")
        #expect(anew.errors.contains("box run --continue"), "\(anew)")
        let newest = try project.work("cat m; ls; rm m; echo 3 > k", options: ["--continue"])
        #expect(newest.lines == ["2", "a", "d", "m"] && !newest.errors.contains("wait"), "\(newest)")
        #expect(try project.review("-s", "second").paths == ["k"])
        // By a unique beginning of its name.
        let older = try project.work(
            "cat n; echo more >> n; echo $BOX_SESSION", options: ["--continue", "-s", "fir"])
        #expect(older.lines == ["first", "first"], "\(older)")
        try project.command(["apply", "-s", "first"])
        try project.command(["apply", "-s", "second"])
        #expect(try project.host("cat n k; ls").lines == ["first", "more", "3", "a", "d", "k", "n"])
        // After an apply it can go on as well, from what is there.
        let after = try project.work("cat n; echo again >> n", options: ["--continue", "-s", "first"])
        #expect(after.lines == ["first", "more"], "\(after)")
        #expect(try project.review("-s", "first").paths == ["n"])
        try project.command(["apply", "-s", "first"])
        #expect(try project.text("n") == "first\nmore\nagain\n")
    }

    @Test(arguments: [
        ["-s", "work"], ["--continue", "--name", "other"], ["--continue", "-s", "none"],
        ["--continue", "--workspace", "copy"],
    ])
    func `what does not fit together is refused`(_ options: [String]) throws {
        let project = try project()
        try project.work("echo x > n", options: ["--name", "work"])
        let refused = try project.box.shell("echo ran", options: options)
        #expect(refused.status == 125 && refused.text.isEmpty && !refused.errors.isEmpty, "\(refused)")
        #expect(try project.review("-s", "work").paths == ["n"])
    }

    @Test func `there is nothing to go on with`() throws {
        let project = try project()
        #expect(try project.box.shell("echo ran", options: ["--continue"]).status == 125)
        try project.work("echo x > n", options: ["--name", "work"])
        try project.command(["discard", "--yes"])
        let refused = try project.box.shell("echo ran", options: ["--continue"])
        #expect(
            refused.status == 125 && refused.text.isEmpty && refused.errors.contains("nothing to go on with"),
            "\(refused)")
    }

    // MARK: - Discarding

    @Test func `a discard removes all, whatever the agent left`() throws {
        row("FS-23")
        let project = try project()
        let before = try project.manifest()
        // Deeper than a path can name, closed, unwritable, full, and of every kind.
        try project.work(
            """
            mkdir -p closed/below; echo x > closed/below/f; chmod 000 closed/below closed; mkdir ro
            echo x > ro/f; chmod 555 ro
            chmod 000 a; mkfifo fifo; ln -s / link; chmod 6755 d; mkdir sticky; chmod 1777 sticky
            chattr +i ro/f 2>/dev/null && exit 9; printf x > "$(printf 'odd\\n\\001name')"
            python3 - <<'PY'
            import os
            for n in range(1500):
                os.mkdir("deep-directory"); os.chdir("deep-directory")
            PY
            i=0; mkdir many; while [ $i -lt 300 ]; do : > many/$i; i=$((i+1)); done
            """, options: ["--name", "work"])
        #expect(try project.stages() == ["work"])
        let asked = try project.command(["discard", "--yes"])
        #expect(asked.errors.contains("the changes of session work are discarded"), "\(asked)")
        let left = try project.host("cd '\(project.sessions)/work'; find . -type f | sort")
        #expect(left.lines == ["./events.jsonl", "./lock", "./session.json"], "\(left)")
        #expect(try project.manifest() == before)
        let events = try Host.text(project.sessions + "/work/events.jsonl")
        #expect(events.contains("\"event\":\"discard\""), "\(events)")
    }

    @Test func `on a terminal a discard is asked about`() throws {
        let project = try project()
        try project.work("echo x > n", options: ["--name", "work"])
        for (key, status, stages) in [("n\n", Int32(1), ["work"]), ("\n", 1, ["work"]), ("y\n", 0, [])] {
            let asked = try Running(
                [project.box.executable, "discard"], environment: project.box.environment,
                directory: project.path,
                streams: .terminal(rows: 24, columns: 80))
            try asked.expect("[y/N]")
            try asked.send(key)
            #expect(try asked.wait().status == status)
            #expect(try project.stages() == stages)
        }
    }

    // MARK: - Running, and killed

    @Test func `a session that runs is not applied, undone or discarded`() throws {
        let project = try project()
        let running = try project.box.start(
            ["/bin/sh", "-c", "echo more >> a; echo ready; read line"], options: ["--name", "work"],
            streams: .openInput)
        try running.expect("ready")
        let before = try project.manifest()
        for words in [["apply", "--yes"], ["undo", "--yes"], ["discard", "--yes"], ["apply", "--resume"]] {
            let refused = try project.command(words, status: 1)
            #expect(refused.errors.contains("still runs"), "\(words): \(refused)")
        }
        #expect(try project.box.shell("echo ran", options: ["--continue"]).text.isEmpty)
        // To look at what it does so far is no harm.
        #expect(try project.command(["diff", "--name-only"]).lines == ["a"])
        #expect(try project.manifest() == before)
        try running.send("\n")
        #expect(try running.wait().status == 0)
        try project.apply()
        #expect(try project.text("a") == "1\nmore\n")
    }

    @Test func `changes wait where commands find them, not where their directory has gone`() throws {
        let project = try project()
        try project.work("echo first > n", options: ["--name", "first"])
        // The same inode; the next directory that is made could have it as well.
        let here = project.box.scratch.project
        #expect(try Host.run(["/bin/mv", here, here + "-moved"]).status == 0)
        let there = try project.box.call(
            ["run"] + project.box.options + ["--name", "second", "--", "true"], directory: here + "-moved")
        #expect(there.status == 0 && !there.errors.contains("wait"), "\(there)")
        #expect(try Host.run(["/bin/mv", here + "-moved", here]).status == 0)
        #expect(try project.work("true").errors.contains("session first has changes that wait"))
    }

    @Test func `after a kill of box itself nothing is lost`() throws {
        let project = try project()
        let running = try project.box.start(
            ["/bin/sh", "-c", "echo more >> a; rm d/b; echo ready; read line"], options: ["--name", "work"],
            streams: .openInput)
        try running.expect("ready")
        try project.waitUntilKept(Data("1\n".utf8), in: "work")
        let second = try project.work("cat a")
        #expect(
            second.answer == "1" && !second.errors.contains("wait"), "it runs, and does not wait: \(second)")
        let members = Host.descendants(of: running.pid)
        running.signal(SIGKILL)
        #expect(try running.wait().status == 137)
        #expect(Host.eventually { members.allSatisfy { !$0.isAlive } })
        let waiting = try project.work("true")
        #expect(waiting.errors.contains("session work has changes that wait"), "\(waiting)")
        #expect(try project.review().paths == ["a", "d/b"])
        let goesOn = try project.work("cat a; echo 3 > c", options: ["--continue"])
        #expect(goesOn.lines == ["1", "more"], "\(goesOn)")
        try project.apply()
        #expect(try project.host("cat a c; ls d").lines == ["1", "more", "3"])
        try project.command(["undo", "--yes"])
        #expect(try project.host("cat a d/b; ls").lines == ["1", "2", "a", "d"])
    }

    @Test(arguments: [SIGTERM, SIGHUP])
    func `a session that is told to end keeps what it has`(_ signal: Int32) throws {
        let project = try project()
        let running = try project.box.start(
            ["/bin/sh", "-c", "echo more >> a; echo ready; read line"], options: ["--name", "work"],
            streams: .openInput)
        try running.expect("ready")
        running.signal(signal)
        let outcome = try running.wait()
        #expect(outcome.status == 128 + signal, "\(outcome)")
        #expect(try project.review().paths == ["a"])
    }

    @Test func `a session that ran out of time keeps what it has`() throws {
        let project = try project()
        let outcome = try project.box.shell("echo more >> a; read line", options: ["--timeout", "1s"])
        let hangs = try project.box.run(["/bin/sleep", "100"], options: ["--timeout", "1s"])
        #expect(outcome.errors.contains("1 file changed"), "\(outcome)")
        #expect(hangs.status == 124, "\(hangs)")
    }

    @Test func `from a directory below, and from elsewhere by its path, it is the same project`() throws {
        let project = try project()
        try project.work("echo more >> a; echo 3 > d/c", options: ["--name", "work"])
        let below = try project.box.call(["diff", "--name-only"], directory: project.path + "/d")
        #expect(below.lines == ["a", "d/c"], "\(below)")
        let part = try project.box.call(["apply", "c"], directory: project.path + "/d")
        #expect(part.status == 0 && project.exists("d/c"), "\(part)")
        let elsewhere = try project.box.call(
            ["apply", "-C", project.path], directory: project.box.scratch.root)
        #expect(elsewhere.status == 0, "\(elsewhere)")
        #expect(try project.text("a") == "1\nmore\n")
        let other = try project.box.call(["diff"], directory: project.box.scratch.home)
        #expect(other.status == 125 && other.errors.contains("none of this project"), "\(other)")
    }
}
