import Foundation
import Testing

/// What a pipeline keeps of a step: JSON, Markdown, JUnit.
@Suite(.recorded("ci")) struct CIReports {
    private static let files = ["--report", "r.json", "--summary", "s.md", "--junit", "j.xml"]

    /// What asks for two hosts that nobody allowed. No name is looked up on the way.
    private static let asking = """
        ask() { exec 3<>/dev/tcp/127.0.0.1/3128; printf 'CONNECT %s HTTP/1.1\\r\\nHost: %s\\r\\n\\r\\n' "$1" "$1" >&3
            head -n 1 <&3; exec 3>&-; }
        ask blocked.example:443; ask blocked.example:443; ask other.example:8443
        """

    @Test func `a plain success`() throws {
        let pipeline = try Pipeline()
        let outcome = try pipeline.run(["/bin/echo", "a b"], CIReports.files)
        #expect(outcome.status == 0 && outcome.text == "a b\n", "\(outcome)")
        let report = try pipeline.report("r.json")
        #expect(report.version == 1 && report.result == "passed" && report.command == ["/bin/echo", "a b"])
        #expect(report.exit_status == 0 && report.command_status == 0 && report.message == nil)
        #expect(report.workspace.mode == "direct" && report.workspace.project.hasSuffix("/project"))
        #expect(report.policy.digest?.count == 64 && report.policy.file == nil && report.duration_ms >= 0)
        #expect(report.protections.contains { $0.name == "seccomp" && $0.state == "enforced" })
        #expect(report.hosts.isEmpty && report.refusals.isEmpty && report.limits.isEmpty)
        let record = "\(pipeline.box.scratch.state)/box/sessions/\(try #require(report.session))/session.json"
        #expect(try Host.text(record).contains("finished"))
        #expect(try JUnit.read(pipeline, "j.xml").cases.map(\.verdict) == ["", "", "", ""])
        let tables = try Markdown.read(pipeline, "s.md")
        #expect(
            tables.first?.first == ["Run", ""] && tables.first?.contains(["Exit status", "0"]) == true,
            "\(tables)")
    }

    @Test func `refused hosts are listed with what would allow them`() throws {
        let pipeline = try Pipeline()
        let script = ["/bin/bash", "-c", CIReports.asking]
        let outcome = try pipeline.run(script, CIReports.files)
        #expect(outcome.status == 0 && outcome.text.contains("403"), "\(outcome)")
        #expect(outcome.errors.contains("To allow it: --allow other.example:8443"), "\(outcome)")
        let refusals = try pipeline.report("r.json").refusals
        #expect(refusals.map(\.host) == ["blocked.example", "other.example"])
        #expect(refusals.map(\.allow) == ["blocked.example", "other.example:8443"])
        #expect(refusals.map(\.count) == [2, 1] && refusals.map(\.reason) == ["host", "host"])
        #expect(try pipeline.report("r.json").result == "passed")
        let network = try JUnit.read(pipeline, "j.xml").cases[1]
        #expect(network.verdict == "" && network.text.contains("blocked.example, 2 times"), "\(network)")
        let tables = try Markdown.read(pipeline, "s.md")
        #expect(
            tables.contains {
                $0.contains { $0.first == "blocked.example" && $0.last == "--allow blocked.example" }
            })
    }

    @Test func `with fail-on-denied a success with refusals is none`() throws {
        let pipeline = try Pipeline()
        let options = CIReports.files + ["--fail-on-denied"]
        let outcome = try pipeline.run(["/bin/bash", "-c", CIReports.asking], options)
        #expect(outcome.status == 1, "\(outcome)")
        let report = try pipeline.report("r.json")
        #expect(report.result == "denied" && report.exit_status == 1 && report.command_status == 0)
        let cases = try JUnit.read(pipeline, "j.xml").cases
        #expect(cases.map(\.verdict) == ["", "failure", "", ""], "\(cases)")
        // The command's own failure stays what it is, and a run without refusals succeeds.
        #expect(try pipeline.run(["/bin/bash", "-c", CIReports.asking + "\nexit 7"], options).status == 7)
        #expect(try pipeline.shell("true", options).status == 0)
        #expect(try pipeline.report("r.json").result == "passed")
    }

    /// Words that mean something to a reader of one of the forms.
    private static let hostile = [
        "]]></failure><injected/>", "&lt;&amp;\"'", "a|b\\|c", "`code`**bold**", "<script>alert(1)</script>",
        "[link](https://evil.example)", "![x](y)", "line\nbreak\r\n| x | y |", "\u{1B}[31mred\u{7}\u{9B}",
        "\u{202E}rtl",
        "\u{FFFE}\u{FFFF}", "::error::x", "##[error]x", "%0A%25", "www.evil.example", "# heading", "--> <!--",
        String(repeating: "long ", count: 2000),
    ]

    @Test(arguments: hostile) func `no name breaks a report`(_ word: String) throws {
        let pipeline = try Pipeline()
        let outcome = try pipeline.run(["/bin/false", word], CIReports.files)
        #expect(outcome.status == 1, "\(outcome)")
        #expect(try pipeline.report("r.json").command == ["/bin/false", word])
        let junit = try JUnit.read(pipeline, "j.xml")
        #expect(
            junit.cases.map(\.verdict) == ["failure", "", "", ""]
                && junit.cases[0].name.contains("/bin/false"))
        let tables = try Markdown.read(pipeline, "s.md")
        let command = try #require(tables.first?.first { $0.first == "Command" })
        #expect(command.count == 2 && command[1].hasPrefix("/bin/false "), "\(command)")
        for text in ["s.md", "j.xml", "r.json"] {
            let bytes = try Data(contentsOf: URL(filePath: "\(pipeline.project)/\(text)"))
            #expect(!bytes.contains(0x1B) && !bytes.contains(7), "\(text)")
        }
        #expect(try Host.text(pipeline.project + "/s.md").utf8.count < 8000)
    }

    @Test func `a run that box refuses has its reports`() throws {
        let pipeline = try Pipeline()
        for (options, why) in [
            (["--allow", "a b"], "--allow"), (["--policy", "none.toml"], "none.toml"),
            (["--read", "/no/such/path"], "/no/such/path"), (["--name", "B A D"], "name"),
        ] {
            let outcome = try pipeline.run(["/bin/echo", "ran"], options + CIReports.files)
            #expect(
                outcome.status == 125 && outcome.out.isEmpty && outcome.errors.contains(why), "\(outcome)")
            let report = try pipeline.report("r.json")
            #expect(report.result == "refused" && report.command_status == nil && report.exit_status == 125)
            #expect(report.message?.contains(why) == true, "\(String(describing: report.message))")
            let one = try JUnit.read(pipeline, "j.xml").cases[0]
            #expect(one.verdict == "error" && one.message.contains(why), "\(one)")
            #expect(try Host.text(pipeline.project + "/s.md").contains("the command never ran"))
        }
    }

    // MARK: - Places

    @Test func `a report that cannot be written stops the run before it begins`() throws {
        let pipeline = try Pipeline()
        let scratch = pipeline.box.scratch
        try scratch.write("mine\n", to: scratch.root + "/mine")
        let made = try Host.shell(
            """
            cd '\(pipeline.project)' && ln -s ../mine link && ln -s nowhere dangling && mkdir real directory &&
            ln -s real alias && mkfifo fifo && ln -s / root
            """)
        #expect(made.status == 0, "\(made)")
        let bad = [
            "none/r.json", "/no/such/r.json", "link", "dangling", "directory", "directory/", "alias/r.json",
            "fifo",
            "root/tmp/r.json", "./alias/../alias/r.json", "\(pipeline.project)/alias/r.json", "",
            "/proc/r.json",
        ]
        for path in bad {
            for option in ["--report", "--summary", "--junit"] {
                let outcome = try pipeline.run(["/usr/bin/touch", "ran"], [option, path])
                #expect(
                    outcome.status == 125 && outcome.errors.contains("cannot write \(option)"),
                    "\(path): \(outcome)")
            }
        }
        #expect(!FileManager.default.fileExists(atPath: pipeline.project + "/ran"))
        #expect(try Host.text(scratch.root + "/mine") == "mine\n")
        // The others say what is wrong with the one.
        let outcome = try pipeline.run(
            ["/usr/bin/touch", "ran"], ["--report", "none/r", "--junit", "j.xml"])
        #expect(outcome.status == 125, "\(outcome)")
        #expect(try JUnit.read(pipeline, "j.xml").cases[0].message.contains("none/r"))
        // And where nothing is wrong with a path, it works: the control.
        for path in ["real/r.json", "./real/../real/r.json", scratch.root + "/outside.json"] {
            #expect(try pipeline.run(["/bin/true"], ["--report", path]).status == 0)
            #expect(try pipeline.report(path).result == "passed")
        }
    }

    @Test func `a directory that cannot be written is named`() throws {
        let pipeline = try Pipeline()
        let place = pipeline.box.scratch.root + "/reports"
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: false)
        let outcome = try pipeline.run(
            ["/bin/echo", "ran"], ["--report", place + "/r.json"],
            rig: [try Tools.rig.get(), "--ro", place, "--"])
        #expect(
            outcome.status == 125 && outcome.out.isEmpty && outcome.errors.contains("--report"), "\(outcome)")
    }

    @Test func `a report replaces what is there, and is never written through it`() throws {
        let pipeline = try Pipeline()
        let scratch = pipeline.box.scratch
        try scratch.write("old\n", to: pipeline.project + "/r.json")
        try scratch.write("mine\n", to: scratch.root + "/mine")
        // A second name of the old file, and while the command runs a link in its place.
        let linked = try Host.shell("ln '\(pipeline.project)/r.json' '\(pipeline.project)/second'")
        #expect(linked.status == 0)
        let outcome = try pipeline.shell(
            "rm r.json s.md; ln -s ../mine r.json; ln -s \(scratch.root)/mine s.md; true", CIReports.files)
        #expect(outcome.status == 0, "\(outcome)")
        #expect(try pipeline.report("r.json").result == "passed")
        #expect(try Host.text(pipeline.project + "/second") == "old\n")
        #expect(try Host.text(scratch.root + "/mine") == "mine\n")
        let left = try FileManager.default.contentsOfDirectory(atPath: pipeline.project)
        #expect(!left.contains { $0.hasPrefix(".box-report") }, "\(left)")
    }

    @Test(arguments: [
        "mv out moved; mkdir out; echo '{\"result\":\"passed\"}' > out/r.json", "rm -rf out",
        "mv out moved; ln -s moved out; rm -f moved/r.json; ln -s /etc/passwd moved/r.json; mv out out2",
    ])
    func `a command that takes the report's place away is found out`(_ script: String) throws {
        let pipeline = try Pipeline()
        let made = try Host.shell("mkdir -m 777 '\(pipeline.project)/out'")
        #expect(made.status == 0)
        if Host.isRoot {
            // Inside, root's files are nobody's to move.
            #expect(try Host.shell("chown -R 4711:4711 '\(pipeline.project)'").status == 0)
        }
        let outcome = try pipeline.shell(script, ["--report", "out/r.json"])
        #expect(outcome.status == 1 && outcome.errors.contains("moved or removed"), "\(outcome)")
        // A failure of the command's own stays the status.
        #expect(
            try Host.shell("cd '\(pipeline.project)' && rm -rf out* moved && mkdir -m 777 out").status == 0)
        if Host.isRoot { #expect(try Host.shell("chown 4711:4711 '\(pipeline.project)/out'").status == 0) }
        #expect(try pipeline.shell(script + "; exit 9", ["--report", "out/r.json"]).status == 9)
    }
}

/// Tables of a Markdown file as a reader of GitHub's dialect would split them, with the text of each cell.
enum Markdown {
    /// Each table's rows; every row of one has as many cells as its head.
    static func read(_ pipeline: Pipeline, _ path: String) throws -> [[[String]]] {
        let script = """
            import html, json, re, sys
            text = open(sys.argv[1], encoding='utf-8').read()
            assert '\\x1b' not in text and '\\r' not in text
            tables, table = [], None
            for line in text.split('\\n'):
                if not line.startswith('|'):
                    assert (line == '' or line.startswith(('## box ', '### ', '- ', 'and '))
                            or re.fullmatch('[0-9]+ files?(, [0-9]+ [a-z ]+)*', line)), line
                    table = None
                    continue
                assert line.startswith('| ') and line.endswith(' |'), line
                cells = [c.strip() for c in re.split(r'(?<!\\\\)[|]', line)[1:-1]]
                if table is None:
                    table = []
                    tables.append(table)
                table.append(cells)
            for table in tables:
                assert len(table) >= 2 and all(c == '---' for c in table[1]), table
                assert all(len(row) == len(table[0]) for row in table), table
                del table[1]
                for row in table:
                    for i, cell in enumerate(row):
                        inner = re.fullmatch('<code>(.*)</code>', cell)
                        cell = inner[1] if inner else cell
                        # Nothing in a cell but text and character references.
                        assert not re.search('[<>*_`\\\\[\\\\]!~@#|]', re.sub('&#[0-9]+;', '', cell)), cell
                        row[i] = html.unescape(cell)
            print(json.dumps(tables))
            """
        guard let text = try pipeline.python(script, [path]) else {
            throw HarnessError(description: "python3 is not installed")
        }
        return try JSONDecoder().decode([[[String]]].self, from: Data(text.utf8))
    }
}
