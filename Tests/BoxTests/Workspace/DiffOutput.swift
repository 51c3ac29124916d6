import Foundation
import Testing

/// What `box diff` prints: for programs, for people, and for people whom somebody wants to deceive.
@Suite(.recorded("OT-01")) struct DiffOutput {
    // MARK: - For programs

    @Test func `--exit-code tells whether there are changes, of all and of a path`() throws {
        let project = try StagedProject("echo a > a; mkdir d; echo b > d/b")
        try project.session("echo a > a; touch d/b", as: "idle")
        try project.session("echo agent >> d/b")
        let statuses = try [
            ["-s", "idle"], ["-s", "one"], ["-s", "one", "a"], ["-s", "one", "d"], ["-s", "one", "d/b"],
        ].map { try project.box.call(["diff", "--exit-code"] + $0).status }
        #expect(statuses == [0, 1, 0, 1, 1])
        #expect(try project.box.call(["diff", "-s", "one"]).status == 0)
        #expect(try project.box.call(["diff", "--exit-code", "-s", "one", "nothing/here"]).status == 1)
        #expect(try project.box.call(["diff", "--exit-code", "-s", "nobody"]).status == 125)
        // Without a name: the newest with changes, and after an apply the other has none.
        #expect(try project.box.call(["diff", "--name-only"]).lines == ["d/b"])
        #expect(try project.apply("--yes").status == 0)
        #expect(try project.box.call(["diff", "--exit-code"]).status == 0)
    }

    @Test func `--json is one document with the keys of the format, and no other kinds of values`() throws {
        let project = try StagedProject(
            "echo old > text; echo old > gone; echo old > mode; ln -s text link; echo x > file; mkdir empty")
        try project.session(
            """
            echo agent >> text; rm gone; chmod 600 mode; ln -sfn gone link; rm file; mkdir file; echo x > file/new
            rmdir empty; mkdir made; printf 'a\\0b' > binary; echo agent > Makefile; echo agent > .envrc; mkfifo fifo
            mkdir d; mv text d/text
            """)
        try project.host("echo host >> mode")
        let outcome = try project.box.call(["diff", "--json", "-s", "one"])
        guard let document = try JSONSerialization.jsonObject(with: Data(outcome.out)) as? [String: Any],
            let changes = document["changes"] as? [[String: Any]]
        else { throw HarnessError(description: "no document: \(outcome)") }
        #expect(Set(document.keys) == ["session", "base", "digest", "changes", "conflicts"])
        #expect(document["session"] as? String == "one")
        #expect((document["digest"] as? String)?.wholeMatch(of: /[0-9a-f]{64}/) != nil)
        #expect(
            (document["base"] as? String)?.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/) != nil)
        #expect(document["conflicts"] as? [String] == ["mode"])
        let always: Set<String> = [
            "path", "kind", "type", "risk", "reason", "old_size", "new_size", "binary",
        ]
        let sometimes: Set<String> = ["old_type", "moved_from", "link_target", "mode", "old_mode"]
        for change in changes {
            let keys = Set(change.keys)
            #expect(keys.isSuperset(of: always) && keys.isSubset(of: always.union(sometimes)), "\(change)")
            #expect(["blocked", "confirm", "normal"].contains(change["risk"] as? String), "\(change)")
            #expect(
                (change["reason"] as? String)?.isEmpty == (change["risk"] as? String == "normal"), "\(change)"
            )
        }
        let review = try project.review()
        #expect(
            Set(review.list) == [
                "deleted gone", "mode_changed mode", "modified link", "type_changed file", "added file/new",
                "deleted empty", "added made", "added binary", "added Makefile", "added .envrc", "added fifo",
                "deleted text", "added d/text",
            ])
        // Risky changes first: what is blocked, then what is to be confirmed.
        let risks = review.changes.map(\.risk)
        #expect(risks == risks.sorted { rank($0) < rank($1) } && risks.first == "blocked", "\(risks)")
        #expect(review[".envrc"]?.risk == "blocked" && review["Makefile"]?.risk == "confirm")
        #expect(review["binary"]?.binary == true && review["Makefile"]?.binary == false)
        #expect(review["file"]?.type == "directory" && review["file"]?.old_type == "file")
        #expect(review["link"]?.link_target == "gone" && review["link"]?.type == "symlink")
        #expect(review["gone"]?.old_size == 4 && review["gone"]?.new_size == nil)
        #expect(review["mode"]?.old_mode == "0644" && review["mode"]?.mode == "0600")
    }

    private func rank(_ risk: String) -> Int { ["blocked", "confirm", "normal"].firstIndex(of: risk) ?? 3 }

    /// Names that a shell, a terminal, a parser or a patch could stumble over; as `printf` takes them.
    static let names = [
        #"new\nline"#, #"esc\033[2Jx"#, #"cr\rback"#, #"tab\there"#, "-dash", "'quote'", #""double""#,
        "$(id)", "`id`",
        #"back\\slash"#, #"invalid\377utf"#, #"bidi\342\200\256txt.exe"#, "trailing ", "dot.", "space in it",
        "*", "?",
        "~", "#", "a;b", "a|b", "a&b", #"osc\033]0;x\007y"#, #"c1\302\2332Jx"#, #"zero\342\200\213width"#,
        "ünï", " ",
        #"\177del"#, "diff --git a b", "--- a", "...", "-",
    ]

    private static var naming: String {
        "set -e; "
            + names.map { name in
                "n=\"$(printf -- '\(name.replacingOccurrences(of: "'", with: "'\\''"))x')\"; n=\"${n%x}\"; echo agent > \"./$n\"; "
            }.joined()
    }

    @Test func `hostile names come through -z, --json, a patch and an apply byte for byte`() throws {
        row("AP-19")
        guard has("git") else { return }
        row("AP-19")
        let project = try StagedProject("echo old > plain")
        try project.session(DiffOutput.naming)
        // The witness is made without box.
        let control = project.box.scratch.root + "/control"
        let made = try Host.shell(
            "mkdir '\(control)'; cd '\(control)'; echo old > plain; \(DiffOutput.naming)")
        #expect(made.status == 0, "\(made)")
        let wanted = try TreeDigest(control)
        let keys = Set(wanted.entries.keys).subtracting(["", "plain"])
        #expect(keys.count == DiffOutput.names.count)
        let zeros = try project.box.call(["diff", "--name-only", "-z", "-s", "one"])
        #expect(zeros.out.last == 0)
        #expect(Set(zeros.out.split(separator: 0).map { TreeDigest.key($0) }) == keys)
        let review = try project.review()
        let paths = review.changes.map { change in
            change.path_bytes.map(DiffOutput.bytes) ?? Array(change.path.utf8)
        }
        #expect(Set(paths.map { TreeDigest.key($0) }) == keys)
        // Lines of names are quoted as git quotes them, so that one line is one name.
        let lines = try project.box.call(["diff", "--name-only", "-s", "one"])
        #expect(lines.lines.count == DiffOutput.names.count, "\(lines)")
        #expect(
            lines.lines.contains(#""new\nline""#) && lines.lines.contains(#""esc\033[2Jx""#), "\(lines)")
        let patched = project.box.scratch.root + "/patched"
        try DiffOutput.patch(project, copy: patched, from: "echo old > plain")
        let differences = try TreeDigest(patched).plain().differences(from: wanted.plain())
        #expect(differences.isEmpty, "\(differences)")
        let outcome = try project.apply("--yes")
        #expect(outcome.status == 0, "\(outcome)")
        let applied = try project.digest().plain().without("").differences(from: wanted.plain().without(""))
        #expect(applied == ["\"\": mode 755 -> 700"] || applied.isEmpty, "\(applied)")
    }

    /// The bytes of hexadecimal digits.
    private static func bytes(_ text: String) -> [UInt8] {
        stride(from: 0, to: text.utf8.count, by: 2).compactMap { at in
            UInt8(text.dropFirst(at).prefix(2), radix: 16)
        }
    }

    /// Applies what `box diff` prints with git to another copy of the project.
    private static func patch(_ project: StagedProject, copy: String, from script: String) throws {
        let diff = try project.box.call(["diff", "-s", "one"])
        #expect(diff.status == 0, "\(diff)")
        let made = try Host.shell("set -e; mkdir '\(copy)'; cd '\(copy)'; \(script)")
        #expect(made.status == 0, "\(made)")
        let applied = try Host.run(
            ["/usr/bin/git", "apply", "--whitespace=nowarn", "-"], input: diff.out, directory: copy,
            environment: [
                "GIT_CEILING_DIRECTORIES": project.box.scratch.root, "HOME": project.box.scratch.home,
            ])
        #expect(applied.status == 0, "\(applied)\n\(diff.text)")
    }

    @Test func `the output to a pipe is a patch with which git makes what the agent has`() throws {
        guard has("git") else { return }
        row("OT-02")
        let script = """
            seq 1 300 > text; printf 'no newline' > end; echo old > gone; echo x > run; ln -s text link; printf 'a\\0b' > bin
            mkdir d; for i in 1 2 3; do seq 1 $((i * 10)) > d/$i; done; echo old > becomes; : > empty; printf 'a\\r\\nb\\r\\n' > crlf
            head -c 70000 /dev/urandom > noise
            """
        let project = try StagedProject(script)
        try project.host("cp noise ../noise")
        try project.session(
            """
            set -e; sed -i 's/^7$/seven/; /^150$/d; s/^300$/&\\nmore/' text; printf 'no newline now' > end; rm gone
            chmod 755 run; ln -sfn end link; printf 'a\\0c' > bin; mv d e; rm becomes; ln -s text becomes; : > new-empty
            echo x > empty; printf 'a\\r\\nB\\r\\n' > crlf; head -c 3000 noise > part; rm noise; mkdir -p deep/er; echo x > deep/er/f
            """)
        let copy = project.box.scratch.root + "/copy"
        try DiffOutput.patch(
            project, copy: copy,
            from: script.replacingOccurrences(
                of: "head -c 70000 /dev/urandom > noise", with: "cp ../noise noise"))
        let outcome = try project.apply("--yes")
        #expect(outcome.status == 0, "\(outcome)")
        let differences = try TreeDigest(copy).plain().differences(from: project.digest().plain())
        #expect(differences.filter { !$0.hasPrefix("\"\":") }.isEmpty, "\(differences)")
    }

    @Test func `an apply with --digest takes only what was reviewed`() throws {
        let project = try StagedProject("echo old > a")
        try project.session("echo agent > a")
        let reviewed = try project.review().digest
        #expect(try project.review().digest == reviewed, "it stays the same")
        try project.session("echo more >> a; echo b > b", as: "two")
        let before = try project.digest()
        let wrong = try project.apply("--digest", reviewed, session: "two")
        #expect(wrong.status == 1 && wrong.errors.contains("not those that were reviewed"), "\(wrong)")
        #expect(try project.digest() == before)
        let goesOn = try project.box.call(
            ["run"] + project.box.options + [
                "--continue", "-s", "one", "--", "/bin/sh", "-c", "echo later >> a",
            ])
        #expect(goesOn.status == 0, "\(goesOn)")
        #expect(try project.apply("--digest", reviewed).status == 1)
        #expect(try project.digest() == before)
        let now = try project.review().digest
        #expect(now != reviewed)
        #expect(try project.apply("--digest", now.uppercased()).status == 0)
        #expect(try Host.text(project.path + "/a") == "agent\nlater\n")
    }

    // MARK: - Programs that the project would like to run

    @Test func `nothing that the project names runs: no pager, no helper of git, no hook`() throws {
        row("GT-07")
        guard has("git") else { return }
        row("GT-07")
        let project = try StagedProject(
            """
            git init -q .; git config user.email a@b.invalid; git config user.name a
            printf '#!/bin/sh\\necho ran >> "%s"\\nexec cat\\n' "$PWD/../ran" > evil; chmod 755 evil; cp evil less; cp evil git
            for key in core.fsmonitor core.pager diff.external diff.x.textconv diff.x.command pager.diff core.editor \\
                core.sshCommand filter.x.clean filter.x.smudge; do git config $key "$PWD/evil"; done
            printf '* diff=x filter=x\\n' > .gitattributes; mkdir -p .git/hooks
            for hook in pre-commit post-checkout post-index-change reference-transaction; do cp evil .git/hooks/$hook; done
            seq 1 200 > text
            """)
        let ran = project.box.scratch.root + "/ran"
        let control = try Host.run(
            ["/usr/bin/git", "-c", "safe.directory=*", "status"], directory: project.path,
            environment: ["HOME": project.box.scratch.home])
        #expect(FileManager.default.fileExists(atPath: ran), "no control: \(control)")
        try project.host("rm -f ../ran")
        try project.session("seq 2 201 > text; echo x > new; cp evil new-evil")
        let inProject = "\(project.path):."
        let environments: [[String: String]] = [
            [:], ["PAGER": "./evil"], ["PAGER": project.path + "/evil"],
            ["BOX_PAGER": "evil", "PATH": inProject],
            ["PATH": inProject + ":" + Host.path], ["GIT_PAGER": project.path + "/evil"],
            ["PAGER": "../alias"],
            ["EDITOR": project.path + "/evil", "LESSOPEN": "|\(project.path)/evil %s"],
        ]
        try project.host("ln -s project/evil ../alias")
        for environment in environments {
            let running = try Running(
                [Box.binary, "diff", "-s", "one"],
                environment: project.box.environment.merging(environment) { $1 },
                directory: project.path, streams: .terminal(rows: 10, columns: 80))
            // Where the user's own pager runs, it waits for a key.
            let end = Date().addingTimeInterval(20)
            while !running.hasEnded, Date() < end {
                if !running.hasEnded { try running.send("q") }
            }
            let outcome = try running.wait()
            #expect(outcome.status == 0, "\(environment): \(outcome)")
            #expect(!FileManager.default.fileExists(atPath: ran), "\(environment): \(outcome)")
        }
        for words in [
            ["apply", "--yes"], ["undo", "--yes"], ["apply", "--yes", "text"], ["discard", "--yes"],
        ] {
            let outcome = try project.box.call(words, environment: ["PATH": inProject + ":" + Host.path])
            #expect(outcome.status == 0, "\(words): \(outcome)")
            #expect(!FileManager.default.fileExists(atPath: ran), "\(words): \(outcome)")
        }
    }

    @Test func `a pager of the user's gets all of it`() throws {
        let project = try StagedProject("seq 1 100 > text")
        try project.session("seq 2 101 > text; seq 1 100 > new")
        let pager = project.box.scratch.root + "/pager"
        try project.box.scratch.write("#!/bin/sh\necho PAGED; cat\n", to: pager, mode: 0o755)
        let words = [Box.binary, "diff", "-s", "one"]
        for (variable, wanted) in [("PAGER", true), ("BOX_PAGER", true)] {
            let running = try Running(
                words, environment: project.box.environment.merging([variable: pager]) { $1 },
                directory: project.path, streams: .terminal(rows: 20, columns: 80))
            let outcome = try running.wait()
            #expect(
                outcome.status == 0 && outcome.text.contains("PAGED") == wanted, "\(variable): \(outcome)")
            #expect(outcome.text.contains("101"), "\(outcome)")
        }
        let none = try Running(
            words + ["--no-pager"], environment: project.box.environment.merging(["PAGER": pager]) { $1 },
            directory: project.path, streams: .terminal(rows: 20, columns: 80)
        ).wait()
        #expect(none.status == 0 && !none.text.contains("PAGED"), "\(none)")
        let piped = try project.box.call(["diff", "-s", "one"], environment: ["PAGER": pager])
        #expect(!piped.text.contains("PAGED"), "\(piped)")
    }

    // MARK: - On a terminal

    /// Bytes that a terminal would obey, or that hide or turn text, beside box's own colours.
    private static func dangerous(_ output: [UInt8]) -> [String] {
        let text = String(decoding: output, as: UTF8.self)
            .replacing(/\u{1B}\[[0-9;]*m/, with: "").replacing("\r\n", with: "\n")
        return text.unicodeScalars.filter { scalar in
            switch scalar.value {
            case 9, 10: false
            case 0..<32, 127..<160, 0x200B...0x200F, 0x2028...0x202E, 0x2060...0x2069, 0xFEFF, 0xFFFD: true
            default: false
            }
        }.map { "U+" + String($0.value, radix: 16) }
    }

    private func onTerminal(_ project: StagedProject, _ words: [String], answer: String = "") throws
        -> Outcome
    {
        let running = try Running(
            [Box.binary] + words, environment: project.box.environment.merging(["PAGER": "cat"]) { $1 },
            directory: project.path, streams: .terminal(rows: 40, columns: 120))
        if !answer.isEmpty { try running.send(answer) }
        return try running.wait()
    }

    @Test func `names are shown without a byte that a terminal would obey`() throws {
        let project = try StagedProject("echo old > plain")
        let made =
            DiffOutput.naming
            + "mkdir hooks; for f in \"$(printf 'Makefile\\033[2J')\" Makefile .envrc; do echo x > \"$f\"; done"
        try project.session(made + "; ln -s \"$(printf '../..\\033[31m/\\342\\200\\256x')\" link")
        // The control: the names are dangerous.
        let raw = try project.box.call(["diff", "--name-only", "-z", "-s", "one"])
        #expect(DiffOutput.dangerous(raw.out).count > 10)
        for words in [
            ["diff"], ["diff", "--stat"], ["diff", "--name-only"], ["diff", "--color", "never"],
            ["diff", "no\u{1B}[2Jsuch"], ["apply", "no\u{1B}[2Jsuch"], ["apply", "-s", "no\u{1B}[2Jsuch"],
        ] {
            let outcome = try onTerminal(project, words)
            #expect(
                DiffOutput.dangerous(outcome.out).isEmpty, "\(words): \(DiffOutput.dangerous(outcome.out))")
            #expect(!outcome.out.isEmpty)
        }
        let shown = try onTerminal(project, ["diff", "--name-only"])
        #expect(
            shown.text.contains(#"esc\x1b[2Jx"#) || shown.text.contains(#"esc\e[2Jx"#)
                || shown.text.contains(#"esc\033[2Jx"#), "\(shown)")
        let applied = try onTerminal(project, ["apply"], answer: "y\n")
        #expect(applied.status == 0 && DiffOutput.dangerous(applied.out).isEmpty, "\(applied)")
        try project.host("for f in *; do [ -f \"$f\" ] && echo edited >> \"$f\"; done")
        let undone = try onTerminal(project, ["undo", "--yes"])
        #expect(undone.status == 1 && DiffOutput.dangerous(undone.out).isEmpty, "\(undone)")
    }

    /// Contents that want to move the cursor, set the clipboard or hide what they say; as `printf` takes them.
    static let contents = [
        #"a\033[1A\033[2Kb"#, #"\033]52;c;ZXZpbA==\007"#,
        #"\033]8;;http://x.invalid\033\\text\033]8;;\033\\"#,
        #"\033Pq#0\033\\"#, #"\033_Gx\033\\"#, #"\033]0;unterminated"#, #"\302\2332J \302\235x"#, #"\233[2J"#,
        #"\033c"#,
        #"harmless\rhidden"#, #"over\b\b\b\bwrite"#, #"if (x \342\200\256 }\342\201\246 ok\342\201\251 {"#,
        #"zero\342\200\213width\357\273\277"#, #"\016shift\017"#, #"bad\200\376utf"#,
        #"line\342\200\250separator"#,
    ]

    @Test func `contents are shown without a byte that a terminal would obey, and marked`() throws {
        row("OT-02")
        let project = try StagedProject("echo old > text")
        let writing = DiffOutput.contents.map { "printf '\($0)\\n'" }.joined(separator: "; ")
        try project.session("{ \(writing); } > text; { \(writing); } > new")
        let raw = try onTerminal(project, ["diff", "--raw"])
        #expect(DiffOutput.dangerous(raw.out).count > 20, "no control")
        for words in [["diff"], ["diff", "--color", "always"], ["diff", "--color", "never"]] {
            let outcome = try onTerminal(project, words)
            #expect(outcome.status == 0)
            #expect(
                DiffOutput.dangerous(outcome.out).isEmpty, "\(words): \(DiffOutput.dangerous(outcome.out))")
            for word in ["harmless", "hidden", "over", "write", "ZXZpbA==", "unterminated", "zero", "width"] {
                #expect(outcome.text.contains(word), "\(words): \(word) is hidden")
            }
        }
        // Invisible text is visible.
        row("OT-05")
        let shown = try onTerminal(project, ["diff", "new"])
        for mark in ["202e", "2066", "200b", "feff"] {
            #expect(shown.text.lowercased().contains(mark), "\(mark): \(shown)")
        }
        // Hunks are asked about in the same way.
        let picked = try Running(
            [Box.binary, "apply", "-p", "text"], environment: project.box.environment,
            directory: project.path,
            streams: .terminal(rows: 60, columns: 120))
        let question = try picked.expect("Apply this hunk [")
        #expect(
            DiffOutput.dangerous(Array(question.utf8)).isEmpty,
            "\(DiffOutput.dangerous(Array(question.utf8)))")
        try picked.send("q\n")
        #expect(try picked.wait().status == 0)
    }

    @Test func `a very long line and many lines are summed up on a terminal, with counts and a hash`() throws
    {
        row("AP-26")
        let project = try StagedProject("echo old > long; echo old > blank")
        try project.session(
            """
            { printf 'visible '; head -c 10485760 /dev/zero | tr '\\0' x; printf ' payload\\n'; } > long
            { echo old; yes '' | head -n 50000; echo 'payload at the end'; } > blank
            """)
        let shown = try onTerminal(project, ["diff", "long"])
        let hash = try Host.shell("head -c 10485777 \"$1\" | sha256sum", directory: project.path)
        #expect(shown.out.count < 100_000 && shown.text.contains("10485777"), "\(shown.out.count) \(shown)")
        #expect(shown.text.contains("sha256") && shown.text.contains("--raw"), "\(shown)\(hash)")
        let blank = try onTerminal(project, ["diff", "blank"])
        #expect(blank.text.contains("payload at the end") || blank.text.contains("50002 lines"), "\(blank)")
        // To a pipe all of it goes out.
        let all = try project.box.call(["diff", "-s", "one"])
        #expect(all.out.count > 10_485_760 && all.text.contains(" payload\n"))
        let stat = try project.box.call(["diff", "--stat", "-s", "one"])
        #expect(stat.text.contains("50001"), "\(stat)")
    }
}
