import Foundation
import Testing

/// AP-21: an apply that is killed, or finds the disk full, leaves all or nothing in the end.
@Suite(.recorded("AP-21")) struct ApplyCrash {
    /// Changes of every kind; few, because each system call that changes the host is one round.
    private static let before = """
        echo old > modified; echo old > deleted; echo old > mode; mkdir -p gone/deep turned; echo old > gone/deep/f
        echo old > turned/f; ln -s old link; echo old > shared; ln shared other; touch -d @1700000000.25 modified deleted
        """
    private static let agent = """
        echo agent > modified; rm deleted; chmod 600 mode; rm -r gone turned; echo agent > turned; ln -sfn new link
        mkdir -p new/deep; echo agent > new/deep/f; echo agent > shared
        """

    /// The project, what it is before and what it is to be.
    private func project() throws -> (project: StagedProject, before: TreeDigest, after: TreeDigest) {
        let project = try StagedProject(ApplyCrash.before)
        try project.setAttribute("user.note", "of the host", "modified")
        try project.session(ApplyCrash.agent)
        let before = try project.digest()
        let applied = try project.apply("--yes")
        #expect(applied.status == 0, "\(applied)")
        let after = try project.digest()
        #expect(try project.undo().status == 0)
        #expect(try project.digest().differences(from: before).isEmpty)
        return (project, before, after)
    }

    /// Runs a command that is killed before its Nth call that changes something; false if it ended before that.
    private func kill(_ project: StagedProject, at number: Int, _ words: [String], _ binary: String) throws
        -> Bool
    {
        var box = project.box
        box.executable = binary
        let outcome = try box.call(
            words + ["--yes", "-s", "one"], environment: ["BOX_APPLY_KILL": "\(number)"])
        if outcome.status == 0 { return false }
        #expect(outcome.status == 128 + SIGKILL, "\(number): \(outcome)")
        return true
    }

    /// Finishes what was killed; whether there was something to finish, and what the project is then.
    private func finish(_ project: StagedProject, _ option: String) throws -> (isDone: Bool, tree: TreeDigest)
    {
        let outcome = try project.apply(option)
        #expect([0, 1].contains(outcome.status), "\(outcome)")
        let left = try Host.shell(
            "ls -A '\(project.path)' | grep '^.box' ; ls '\(project.box.scratch.state)/box/sessions/one/stage'"
        )
        #expect(!left.lines.contains { $0.hasPrefix(".box") || $0 == "apply" }, "\(option): \(left)")
        return (outcome.status == 0, try project.digest())
    }

    /// Whether a tree is one of two, times of files included.
    private func isSame(_ tree: TreeDigest, _ other: TreeDigest) -> Bool {
        tree.plain(times: true) == other.plain(times: true)
    }

    @Test(.enabled(if: Box.mutant != nil))
    func `an apply that is killed before any of its calls is finished, or taken back, exactly`() throws {
        let mutant = try #require(Box.mutant)
        let (project, before, after) = try project()
        var number = 0
        var firstDone: Int?
        var lastDone: Int?
        while true {
            number += 1
            guard try kill(project, at: number, ["apply"], mutant) else { break }
            // Until it is finished nothing else can be begun.
            if number % 8 == 0 {
                let other = try project.undo()
                #expect(other.status == 1, "\(number): \(other)")
            }
            let taken = try finish(project, "--rollback")
            if !taken.isDone, taken.tree != before {
                // It was over, but for the last word to the disk.
                #expect(isSame(taken.tree, after), "at \(number)")
                lastDone = number
                #expect(try project.undo().status == 0)
            }
            let differences = try project.digest().differences(from: before)
            #expect(differences.isEmpty, "rolled back at \(number): \(differences)")
            // Where there is an older undo to be replaced, there are more calls.
            guard try kill(project, at: number, ["apply"], mutant) else { break }
            let resumed = try finish(project, "--resume")
            if isSame(resumed.tree, after) {
                if firstDone == nil { firstDone = number }
                #expect(try project.undo().status == 0, "\(number)")
            } else {
                // It had touched nothing yet, and has to be begun again.
                #expect(firstDone == nil, "resumed at \(number)")
            }
            let undone = try project.digest().differences(from: before)
            #expect(undone.isEmpty, "at \(number): \(undone)")
        }
        #expect(
            number > 30 && (firstDone ?? number) < number - 10, "\(number) calls, done from \(firstDone ?? 0)"
        )
        #expect(lastDone.map { $0 > number - 5 } ?? true, "\(number) calls, over at \(lastDone ?? 0)")
        #expect(isSame(try project.digest(), after))
    }

    @Test(.enabled(if: Box.mutant != nil))
    func `an undo that is killed before any of its calls is finished, or dropped`() throws {
        let mutant = try #require(Box.mutant)
        let (project, before, after) = try project()
        var number = 0
        while true {
            number += 1
            if try project.digest() == before { #expect(try project.apply("--yes").status == 0) }
            guard try kill(project, at: number, ["undo"], mutant) else { break }
            let dropped = try finish(project, "--rollback")
            #expect(isSame(dropped.tree, after) || dropped.tree == before, "dropped at \(number)")
            if dropped.tree == before { #expect(try project.apply("--yes").status == 0) }
            guard try kill(project, at: number, ["undo"], mutant) else { break }
            let resumed = try finish(project, "--resume")
            let differences = resumed.tree.differences(from: before)
            #expect(
                differences.isEmpty || !resumed.isDone && isSame(resumed.tree, after),
                "at \(number): \(differences)")
        }
        #expect(number > 10, "\(number) calls")
        #expect(try project.digest().differences(from: before).isEmpty)
    }

    @Test(.enabled(if: Box.mutant != nil))
    func `an edit of the user's after the crash is kept, whichever way it ends`() throws {
        let mutant = try #require(Box.mutant)
        let (project, _, after) = try project()
        // In the middle of the commit: something was done and something was not.
        var number = 1
        while try kill(project, at: number, ["apply"], mutant) {
            if try Host.text(project.path + "/modified") == "agent\n" { break }
            _ = try finish(project, "--rollback")
            number += 1
        }
        #expect(try project.digest().plain() != after.plain(), "not in the middle")
        try project.host("echo mine > modified")
        // To bring back what was there would lose the edit; to go on does not.
        let refused = try project.apply("--rollback")
        #expect(refused.status != 0 && refused.errors.contains("modified"), "\(refused)")
        #expect(try Host.text(project.path + "/modified") == "mine\n")
        let resumed = try finish(project, "--resume")
        #expect(resumed.isDone)
        #expect(resumed.tree.without("modified").plain() == after.without("modified").plain())
        #expect(try Host.text(project.path + "/modified") == "mine\n")
    }

    // MARK: - A full disk, a closed directory

    /// A script that works in the project as a host with something wrong has it; `box` stands for the binary.
    private func inRig(_ options: [String], _ project: StagedProject, _ script: String) throws -> Outcome {
        let start = """
            box() { "\(Box.binary)" "$@"; }
            tree() { find . -printf '%p %y %m %s %T@ %l\\n' | sort; find . -type f -exec sha256sum {} + | sort; }
            cd "\(project.path)" || exit 90

            """
        let running = try Running(
            [try Tools.rig.get()] + options + ["--", "/bin/sh", "-c", start + script],
            environment: project.box.environment, directory: project.box.scratch.root,
            streams: .pipes(input: nil))
        return try running.wait(within: 60)
    }

    @Test func `a full disk in the middle takes everything back, and later it can be applied`() throws {
        let project = try StagedProject()
        let options = project.box.options.joined(separator: " ")
        let outcome = try inRig(
            ["--tmpfs", "\(project.path)=3m"], project,
            """
            echo old > a; mkdir d; echo old > d/b; echo old > z
            box run --name one \(options) -- /bin/sh -c 'echo agent > a; rm d/b; head -c 1500000 /dev/urandom > big; echo agent > z; mkdir n; echo x > n/x' || exit 91
            head -c 2400000 /dev/zero > filler
            tree > ../before
            box apply --yes; echo "apply $?"
            tree > ../after
            cmp ../before ../after && echo same
            ls -A | grep -c box-apply
            box diff --name-only
            rm filler
            box apply --yes; echo "apply $?"
            cat a z n/x; ls d; stat -c %s big
            box undo --yes; echo "undo $?"
            cat a z d/b; ls
            """)
        #expect(outcome.status == 0, "\(outcome)")
        let wanted = [
            "apply 125", "same", "0", "a", "big", "d/b", "n/x", "z", "apply 0", "agent", "agent", "x",
            "1500000", "undo 0",
            "old", "old", "old", "a", "d", "z",
        ]
        #expect(outcome.lines == wanted, "\(outcome)")
        #expect(outcome.errors.contains("The disk is full"), "\(outcome)")
    }

    @Test func `a read-only place, or one with a mount on it, is refused whole`() throws {
        let project = try StagedProject("mkdir d; echo old > d/f; echo old > a")
        try project.session("echo agent > a; echo agent > d/f; echo agent > d/new")
        let before = try project.digest()
        for options in [
            ["--ro", project.path], ["--ro", project.path + "/d"], ["--tmpfs", project.path + "/d=1m"],
        ] {
            let outcome = try inRig(options, project, "box apply --yes; echo \"apply $?\"")
            #expect(["apply 1", "apply 125"].contains(outcome.lines.last), "\(options): \(outcome)")
            #expect(try project.digest() == before, "\(options)")
        }
        let applied = try project.apply("--yes")
        #expect(applied.status == 0, "\(applied)")
    }

    @Test func `a directory that its owner has closed is opened for the apply, and closed again`() throws {
        let project = try StagedProject("mkdir -p d/e; echo old > d/f; echo old > d/e/g; echo old > d/gone")
        try project.session("echo agent > d/f; echo agent > d/e/new; rm d/gone; rm d/e/g")
        try project.host("chmod 555 d/e d")
        let before = try project.digest()
        let outcome = try project.apply("--yes")
        #expect(outcome.status == 0, "\(outcome)")
        let after = try project.digest()
        #expect(after.entries["d"]?.mode == 0o555 && after.entries["d/e"]?.mode == 0o555)
        #expect(after.entries["d/f"]?.content == Array("agent\n".utf8) && after.entries["d/gone"] == nil)
        #expect(try project.undo().status == 0)
        #expect(try project.digest().differences(from: before).isEmpty)
        try project.host("chmod -R u+w d")
    }
}
