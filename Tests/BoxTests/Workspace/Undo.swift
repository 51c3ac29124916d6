import Foundation
import Testing

/// `box undo` and `box discard`: what was taken goes back, and what was left goes away.
@Suite(.recorded("AP-21")) struct UndoAndDiscard {
    @Test func `the last apply is taken back once, and without a name it is the project's latest`() throws {
        let project = try StagedProject("echo old > a; echo old > b")
        try project.session("echo one > a", as: "one")
        try project.session("echo two > b", as: "two")
        let before = try project.digest()
        #expect(try project.box.call(["undo", "--yes"]).status == 1, "nothing was applied")
        #expect(try project.apply("--yes", session: "two").status == 0)
        #expect(try project.apply("--yes", session: "one").status == 0)
        let undone = try project.box.call(["undo", "--yes"])
        #expect(undone.status == 0 && undone.errors.contains("session one"), "\(undone)")
        let next = try project.box.call(["undo", "--yes"])
        #expect(next.status == 0 && next.errors.contains("session two"), "\(next)")
        #expect(try project.digest().differences(from: before).isEmpty)
        let none = try project.box.call(["undo", "--yes"])
        #expect(none.status == 1 && none.errors.contains("nothing to undo"), "\(none)")
    }

    @Test(arguments: [("y\n", 0), ("n\n", 1), ("\n", 1)])
    func `on a terminal undo and discard ask, and no is no`(answer: String, status: Int32) throws {
        let project = try StagedProject("echo old > a")
        try project.session("echo agent > a; echo agent > b")
        #expect(try project.apply("a").status == 0)
        let applied = try project.digest()
        for command in ["undo", "discard"] {
            let running = try Running(
                [Box.binary, command], environment: project.box.environment, directory: project.path,
                streams: .terminal(rows: 24, columns: 80))
            try running.expect("[y/N] ")
            try running.send(answer)
            let outcome = try running.wait()
            #expect(outcome.status == status, "\(command): \(outcome)")
        }
        #expect((try project.digest() == applied) == (status == 1))
        #expect(try project.box.call(["diff", "-s", "one", "--exit-code"]).status == (status == 0 ? 125 : 1))
    }

    @Test func `a directory with files of the user's stays, and is named`() throws {
        let project = try StagedProject("mkdir -p old/deep; echo x > old/deep/f; echo x > old/f")
        try project.session("rm -r old; mkdir -p new/deep; echo agent > new/deep/f")
        let before = try project.digest()
        try project.host("echo mine > old/mine")
        let applied = try project.apply("--yes")
        #expect(applied.status == 0 && applied.errors.contains("old: not empty"), "\(applied)")
        #expect(try Host.text(project.path + "/old/mine") == "mine\n")
        try project.host("echo mine > new/mine")
        let undone = try project.undo()
        #expect(undone.status == 0 && undone.errors.contains("new"), "\(undone)")
        let after = try project.digest()
        #expect(after.entries["new/mine"] != nil && after.entries["new/deep"] == nil)
        #expect(after.without("new", "old/mine").plain() == before.plain())
    }

    @Test func `discard removes whatever is in the stage, and only that`() throws {
        let project = try StagedProject("echo old > a; mkdir d; echo old > d/f")
        try project.session(
            """
            echo agent > a; mkdir -p closed/in; echo x > closed/in/x; chmod 000 closed/in closed; chmod 000 d
            n=x; for i in 1 2 3 4 5 6 7; do n=$n$n; done; mkdir -p "$n/$n/$n/$n/$n/$n/$n/$n"; mkfifo pipe; ln -s / root
            printf 'x' > "$(printf 'odd\\nname\\377')"; python3 - <<'end'
            import os
            for i in range(1500):
                os.mkdir("deep"); os.chdir("deep")
            end
            """)
        let before = try project.digest()
        let stage = project.box.scratch.state + "/box/sessions/one/stage"
        #expect(FileManager.default.fileExists(atPath: stage))
        let outcome = try project.box.call(["discard", "--yes", "-s", "one"])
        #expect(outcome.status == 0, "\(outcome)")
        #expect(!FileManager.default.fileExists(atPath: stage))
        #expect(try project.digest() == before)
        let again = try project.box.call(["discard", "--yes", "-s", "one"])
        #expect(again.status == 1, "\(again)")
        let events = try project.box.events().map(\.event)
        #expect(events.contains("discard"), "\(events)")
    }

    @Test func `what is applied, taken back and discarded is logged`() throws {
        let project = try StagedProject("echo old > a")
        try project.session("echo agent > a; echo agent > b")
        #expect(try project.apply("a").status == 0)
        #expect(try project.undo().status == 0)
        #expect(try project.apply("--json", "b").status == 0)
        #expect(try project.box.call(["discard", "--yes"]).status == 0)
        let events = try project.box.events().map(\.event).filter {
            ["apply", "undo", "discard"].contains($0)
        }
        #expect(events == ["apply", "undo", "apply", "discard"])
        #expect(try project.undo().status == 1, "what was discarded cannot be undone")
    }

    @Test func `JSON says what apply and undo did, one document each`() throws {
        let project = try StagedProject("echo old > a; echo old > c")
        try project.session("echo agent > a; echo agent > .envrc; echo agent > Makefile; echo agent > c")
        try project.host("echo host > c")
        func document(_ words: [String], status: Int32) throws -> [String: Any] {
            let outcome = try project.box.call(words)
            #expect(outcome.status == status, "\(words): \(outcome)")
            guard let object = try JSONSerialization.jsonObject(with: Data(outcome.out)) as? [String: Any]
            else {
                throw HarnessError(description: "no document: \(outcome)")
            }
            return object
        }
        let conflict = try document(["apply", "--json"], status: 1)
        #expect(conflict["outcome"] as? String == "conflict" && conflict["applied"] as? Int == 0)
        let unconfirmed = try document(["apply", "--json", "a", "."], status: 1)
        #expect(unconfirmed["outcome"] as? String == "conflict")
        let applied = try document(["apply", "--json", "--theirs", "--yes"], status: 0)
        #expect(applied["outcome"] as? String == "applied" && applied["applied"] as? Int == 3)
        let left = applied["left_out"] as? [[String: Any]]
        #expect(left?.first?["path"] as? String == ".envrc" && left?.first?["risk"] as? String == "blocked")
        let undone = try document(["undo", "--json", "--yes"], status: 0)
        #expect(undone["outcome"] as? String == "undone" && undone["undone"] as? Int == 3)
    }
}
