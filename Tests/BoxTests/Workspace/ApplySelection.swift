import Foundation
import Testing

/// AP-27: a part of what a session changed is taken, and exactly that part.
@Suite(.recorded("AP-27")) struct ApplySelection {
    /// What a session made, and what every test here begins with.
    private static let script = """
        set -e
        mkdir -p src/deep src-evil 'a[b]' sub
        for f in src/main src/deep/x src-evil/x 'a[b]/x' ab '*.c' one.c sub/own srcs -dash; do echo agent > "./$f"; done
        echo agent > src/kept; rm gone; ln -s src link
        """

    private func project() throws -> StagedProject {
        let project = try StagedProject(
            "mkdir src away; echo old > src/kept; echo old > gone; echo old > away/file")
        try project.session(ApplySelection.script)
        return project
    }

    /// What is new or different on the host; a deleted file with a minus.
    private func taken(_ project: StagedProject, since before: TreeDigest) throws -> Set<String> {
        let after = try project.digest()
        var names: Set<String> = []
        for (key, entry) in after.entries
        where entry.kind != "d" && before.entries[key]?.content != entry.content {
            names.insert(key)
        }
        return names.union(before.entries.keys.filter { after.entries[$0] == nil }.map { "-" + $0 })
    }

    // MARK: - Paths

    /// Words of the command line, where it is given (from the project), and what is taken then.
    static let selections: [(words: [String], directory: String, taken: Set<String>)] = [
        (["src"], "", ["src/main", "src/deep/x", "src/kept"]),
        (["src/"], "", ["src/main", "src/deep/x", "src/kept"]),
        (["./src//deep/."], "", ["src/deep/x"]),
        (["src/deep/../kept"], "", ["src/kept"]),
        (["src-evil"], "", ["src-evil/x"]),
        (["*.c"], "", ["*.c"]),
        (["a[b]"], "", ["a[b]/x"]),
        (["a[b]/x", "ab"], "", ["a[b]/x", "ab"]),
        (["--", "-dash"], "", ["-dash"]),
        (["gone", "link"], "", ["-gone", "link"]),
        (["."], "src", ["src/main", "src/deep/x", "src/kept"]),
        (["main", "../gone"], "src", ["src/main", "-gone"]),
        (["../sub"], "away", ["sub/own"]),
        (["src/main"], "../alias", ["src/main"]),
        (["../project/src/main"], "", ["src/main"]),
        (["PROJECT/src/main"], "away", ["src/main"]),
        (["ALIAS/src/main"], "away", ["src/main"]),
        (["-C", "PROJECT", "PROJECT/ab"], "/", ["ab"]),
    ]

    @Test func `paths are literal and count by whole components`() throws {
        let project = try project()
        let alias = project.box.scratch.root + "/alias"
        try project.host("ln -s project ../alias")
        let before = try project.digest()
        for selection in ApplySelection.selections {
            let words = selection.words.map {
                $0.replacingOccurrences(of: "PROJECT", with: project.path)
                    .replacingOccurrences(of: "ALIAS", with: alias)
            }
            let directory =
                selection.directory.hasPrefix("/") ? "/" : "\(project.path)/\(selection.directory)"
            let outcome = try project.box.call(
                ["apply", "--yes", "-s", "one"] + words, environment: ["PWD": directory], directory: directory
            )
            #expect(outcome.status == 0, "\(selection): \(outcome)")
            let taken = try taken(project, since: before)
            #expect(taken == selection.taken, "\(selection): \(taken), \(outcome)")
            #expect(try project.undo().status == 0)
            let differences = try project.digest().differences(from: before)
            #expect(differences.isEmpty, "\(selection): \(differences)")
        }
    }

    static let refused = [
        ["../x"], ["/etc"], ["/"], [".."], ["src/../../x"], ["../project-evil"], ["sr"], ["src/mai"], ["one"],
        ["s*"], ["*"], ["?b"], ["SRC"], ["src/main/x"], ["no such file"], [""], ["away"], ["away/file"],
        ["src/main", "../x"], ["src/main", "sr"],
    ]

    @Test func `a path outside, or without a change, is refused and nothing is touched`() throws {
        let project = try project()
        let before = try project.digest()
        for words in ApplySelection.refused {
            let outcome = try project.apply(["--yes"] + words)
            #expect(outcome.status == 1 && !outcome.errors.isEmpty, "\(words): \(outcome)")
            let differences = try project.digest().differences(from: before)
            #expect(differences.isEmpty, "\(words): \(differences)")
        }
    }

    @Test func `a session of a project is found from below it, and not from beside it`() throws {
        let project = try project()
        let below = try project.box.call(
            ["apply", "--yes", "main"], directory: project.path + "/src")
        #expect(below.status == 0, "\(below)")
        let beside = try project.box.call(["apply", "--yes"], directory: project.box.scratch.home)
        #expect(beside.status == 125 && beside.errors.contains("-s ID"), "\(beside)")
        #expect(try project.apply("--yes", session: "nobody").status == 125)
        // What was left out can still be had.
        #expect(try project.apply("--yes").status == 0)
        #expect(try project.review().changes.isEmpty)
        let nothing = try project.apply("--yes")
        #expect(nothing.status == 0 && nothing.errors.contains("no changes"), "\(nothing)")
    }

    // MARK: - Blocked, and to be confirmed

    @Test func `what is blocked comes only if each file is named itself`() throws {
        row("FS-17")
        let project = try StagedProject("echo old > plain")
        try project.session(
            "mkdir -p .vscode deep/.claude; for f in .envrc .vscode/tasks.json .vscode/a deep/.claude/b plain; do echo agent > $f; done"
        )
        let before = try project.digest()
        let all = try project.apply("--yes")
        #expect(all.status == 0 && all.errors.contains(".envrc"), "\(all)")
        #expect(try taken(project, since: before) == ["plain"])
        let directory = try project.apply("--yes", ".vscode", "deep", ".")
        #expect(directory.status == 0, "\(directory)")
        #expect(try taken(project, since: before) == ["plain"])
        let named = try project.apply("--yes", ".vscode/tasks.json", ".envrc", "deep/.claude/b")
        #expect(named.status == 0, "\(named)")
        #expect(
            try taken(project, since: before) == ["plain", ".vscode/tasks.json", ".envrc", "deep/.claude/b"])
        // The stage is still unapplied for the rest.
        #expect(try project.review().list == ["added .vscode/a"])
    }

    private func confirming() throws -> StagedProject {
        let project = try StagedProject("echo old > plain")
        try project.session("echo agent > Makefile; echo agent > plain; ln -s ../../outside link")
        return project
    }

    @Test(arguments: [("y\n", 0), ("yes\n", 0), ("n\n", 1), ("\n", 1), ("\u{4}", 1), ("Yes please\n", 1)])
    func `what needs attention is listed and asked about once`(answer: String, status: Int32) throws {
        let project = try confirming()
        let before = try project.digest()
        let running = try Running(
            [Box.binary, "apply"], environment: project.box.environment, directory: project.path,
            streams: .terminal(rows: 30, columns: 100))
        let listed = try running.expect("[y/N] ")
        #expect(listed.contains("Makefile") && !listed.contains("plain"), "\(listed)")
        try running.send(answer)
        let outcome = try running.wait()
        #expect(outcome.status == status, "\(outcome)")
        let wanted: Set<String> = status == 0 ? ["Makefile", "plain"] : []
        #expect(try taken(project, since: before).subtracting(["link"]) == wanted, "\(outcome)")
    }

    @Test func `without a terminal nothing is asked, and nothing taken, unless --yes or the path says so`()
        throws
    {
        let project = try confirming()
        let before = try project.digest()
        let refused = try project.apply()
        #expect(refused.status == 1 && refused.errors.contains("--yes"), "\(refused)")
        #expect(try project.digest() == before)
        // An answer from a pipe is none.
        let piped = try project.box.call(["apply"], rig: ApplySelection.yes)
        #expect(piped.status == 1, "\(piped)")
        #expect(try project.digest() == before)
        #expect(try project.apply("Makefile", "plain").status == 0)
        #expect(try taken(project, since: before) == ["Makefile", "plain"])
    }

    /// Answers that come from a pipe; box need not read them.
    private static let yes = ["/bin/sh", "-c", "printf 'y\\ny\\n' | \"$@\"", "sh"]

    // MARK: - Hunks

    /// A file of which three places far from each other changed, and one of which two near places did.
    private func hunks() throws -> StagedProject {
        let project = try StagedProject("seq 1 60 > far; seq 1 20 > near; echo old > z")
        try project.session(
            "sed -i 's/^5$/FIVE/; s/^30$/THIRTY/; s/^55$/LAST/' far; sed -i 's/^8$/EIGHT/; s/^12$/TWELVE/' near; echo new > z"
        )
        return project
    }

    private func pick(_ project: StagedProject, _ answers: [String], _ words: [String] = []) throws -> Outcome
    {
        let running = try Running(
            [Box.binary, "apply", "-p", "-s", "one"] + words, environment: project.box.environment,
            directory: project.path, streams: .terminal(rows: 40, columns: 100))
        for answer in answers {
            try running.expect("Apply this hunk [")
            try running.expect("]? ")
            try running.send(answer + "\n")
        }
        return try running.wait()
    }

    private func content(_ project: StagedProject, _ name: String) throws -> String {
        try Host.text("\(project.path)/\(name)")
    }

    private func lines(_ count: Int, _ changed: [Int: String] = [:]) -> String {
        (1...count).map { (changed[$0] ?? "\($0)") + "\n" }.joined()
    }

    /// Answers, and the lines that are taken of `far`, of `near`, and whether `z` is.
    static let answers: [(answers: [String], far: [Int: String], near: [Int: String], z: Bool)] = [
        (["y", "n", "y", "n", "n"], [5: "FIVE", 55: "LAST"], [:], false),
        (["n", "y", "n", "y", "y"], [30: "THIRTY"], [8: "EIGHT", 12: "TWELVE"], true),
        (["n", "n", "n", "s", "y", "n", "n"], [:], [8: "EIGHT"], false),
        (["y", "q"], [5: "FIVE"], [:], false),
        (["n", "a", "d", "y"], [30: "THIRTY", 55: "LAST"], [:], true),
        (["q"], [:], [:], false),
        (["?", "x", "y", "d", "d", "n"], [5: "FIVE"], [:], false),
    ]

    @Test(arguments: answers.indices)
    func `hunks are picked one by one, the rest stays to be had, and undo takes all back`(_ index: Int) throws
    {
        let wanted = ApplySelection.answers[index]
        let project = try hunks()
        let before = try project.digest()
        let outcome = try pick(project, wanted.answers)
        #expect(outcome.status == 0, "\(outcome)")
        #expect(try content(project, "far") == lines(60, wanted.far))
        #expect(try content(project, "near") == lines(20, wanted.near))
        #expect(try content(project, "z") == (wanted.z ? "new\n" : "old\n"))
        guard !wanted.far.isEmpty else {
            #expect(
                try project.digest().without("near").plain(times: true)
                    == before.without("near").plain(times: true))
            return
        }
        #expect(try project.undo().status == 0)
        #expect(try project.digest().differences(from: before).isEmpty)
        #expect(try pick(project, wanted.answers).status == 0)
        // What was not taken is what is left.
        let patch = try project.box.call(["diff", "-s", "one"])
        #expect(!patch.text.contains("+FIVE") == (wanted.far[5] != nil), "\(patch)")
        #expect(!patch.text.contains("+THIRTY") == (wanted.far[30] != nil), "\(patch)")
        #expect(try project.apply("--yes").status == 0)
        #expect(try content(project, "far") == lines(60, [5: "FIVE", 30: "THIRTY", 55: "LAST"]))
        #expect(try content(project, "near") == lines(20, [8: "EIGHT", 12: "TWELVE"]))
    }

    @Test func `picking is refused without a terminal, and of a path only that path is asked about`() throws {
        let project = try hunks()
        let before = try project.digest()
        let refused = try project.box.call(
            ["apply", "-p"], rig: ApplySelection.yes)
        #expect(refused.status == 125 && refused.errors.contains("hunks"), "\(refused)")
        #expect(try project.digest() == before)
        let one = try pick(project, ["y"], ["z"])
        #expect(one.status == 0, "\(one)")
        #expect(try taken(project, since: before) == ["z"])
    }
}
