import Foundation
import Testing

/// What a run leaves for its user at the end: on the terminal, in a file, and as data.
@Suite(.recorded("OT-03")) struct SessionReceipt {
    /// Asks for two hosts that nobody allowed, without looking a name up, and changes a few files.
    private static let script = """
        ask() { exec 3<>/dev/tcp/127.0.0.1/3128; printf 'CONNECT %s HTTP/1.1\\r\\nHost: %s\\r\\n\\r\\n' "$1" "$1" >&3
            head -n 1 <&3; exec 3>&-; }
        ask blocked.example:443; ask blocked.example:443; ask other.example:8443
        echo 1 > plain; mkdir -p .vscode; echo '{}' > .vscode/tasks.json; echo '{"scripts":{"test":"x"}}' > package.json
        exit 3
        """
    private static let words = ["--", "/bin/bash", "-c", script]

    private func scene() throws -> SessionScene {
        var scene = try SessionScene(["--workspace", "overlay"])
        scene.box.options.removeAll { $0 == "--quiet" }
        return scene
    }

    private func run(
        _ scene: SessionScene, _ options: [String], _ words: [String] = words, status: Int32 = 3
    ) throws -> Outcome {
        try scene.command(["run"] + scene.box.options + options + words, status: status)
    }

    @Test func `at the end of a run there is a word about everything`() throws {
        let scene = try scene()
        let outcome = try run(scene, ["--name", "work", "--card"])
        let lines = outcome.errors.split(separator: "\n").map(String.init)
        for wanted in [
            "box: bash ended with status 3 after ",
            "box: refused  blocked.example, 2 times (host). To allow it: box allow blocked.example",
            "box: refused  other.example:8443, once (host). To allow it: box allow other.example:8443",
            "box: changed  3 files, 1 blocked, 1 to confirm", "box:          blocked  .vscode/tasks.json  (",
            "box:          confirm  package.json  (", "box: next     box pending -s work · box log work",
            "box: 3 files changed in session work: box diff · box apply · box discard",
        ] {
            #expect(lines.contains { $0.hasPrefix(wanted) }, "\(wanted) in \(outcome.errors)")
        }
        let ran = lines.first { $0.hasPrefix("box: ran      ") }
        #expect(ran?.contains("/bin/bash") == true || ran?.contains("/usr/bin/bash") == true, "\(lines)")
        #expect(outcome.isHarmless)
        // Nobody is told who did not ask.
        #expect(try !run(scene, []).errors.contains("ended with status"))
    }

    @Test func `the file has the same as tables`() throws {
        let scene = try scene()
        let file = scene.box.scratch.root + "/receipt.md"
        _ = try run(scene, ["--name", "work", "--receipt", "../receipt.md"])
        let tables = try Markdown.read(Pipeline(box: scene.box, accepted: []), file)
        let rows = tables.flatMap { $0 }
        #expect(rows.contains(["Exit status", "3"]), "\(rows)")
        #expect(rows.contains(["blocked.example", "2", "host", "box allow blocked.example"]), "\(rows)")
        #expect(rows.contains { $0.first == ".vscode/tasks.json" && $0[1] == "blocked" }, "\(rows)")
        #expect(rows.contains { $0.first == "package.json" && $0[1] == "confirm" }, "\(rows)")
        #expect(rows.contains { $0.first?.hasSuffix("/bin/head") == true && $0[1] == "3" }, "\(rows)")
        #expect(try Host.text(file).contains("- <code>box diff -s work</code>"))
        // Another run replaces it.
        _ = try run(scene, ["--name", "next", "--receipt", file], ["--", "/bin/true"], status: 0)
        #expect(try !Host.text(file).contains("blocked.example"))
    }

    @Test func `as data it is one document, and the command's output goes elsewhere`() throws {
        let scene = try scene()
        let outcome = try run(scene, ["--name", "work", "--json"])
        let document = try JSONDecoder().decode(Document.self, from: Data(outcome.out))
        #expect(document.version == 1 && document.session == "work" && document.exit_status == 3)
        #expect(document.command == ["/bin/bash", "-c", SessionReceipt.script] && document.agent == nil)
        #expect(
            document.refusals.map(\.command) == ["box allow blocked.example", "box allow other.example:8443"])
        #expect(document.refusals.map(\.count) == [2, 1])
        let files = try #require(document.files)
        #expect(
            files.blocked == 1 && files.confirm == 1 && files.normal == 1 && files.not_judged == 0
                && files.attention.map(\.path) == [".vscode/tasks.json", "package.json"], "\(files)")
        #expect(document.workspace.mode == "overlay" && document.workspace.changes == 3)
        let programs = try #require(document.programs)
        #expect(
            programs.started == programs.paths.reduce(0) { $0 + $1.count } && programs.started >= 5,
            "\(programs)")
        #expect(document.next.contains("box apply -s work"))
        #expect(outcome.errors.contains("HTTP/1.1 403"), "\(outcome)")
        // The same as a word that the short way of reading does not know.
        let long = try scene.command(
            ["run", "--workspace=none", "--json", "--name", "long", "--", "/bin/echo", "out"])
        #expect(long.errors.contains("out\n") && long.text.hasPrefix("{\n"), "\(long)")
    }

    @Test func `limits that were reached are in all of it`() throws {
        let scene = try scene()
        let outcome = try run(
            scene, ["--name", "work", "--timeout", "1s", "--json"], ["--", "/bin/sleep", "60"], status: 124)
        let document = try JSONDecoder().decode(Document.self, from: Data(outcome.out))
        #expect(document.limits.map(\.name) == ["time"] && document.limits.first?.detail == "1 s")
        #expect(document.message?.contains("--timeout") == true)
        #expect(try scene.command(["log", "--denied", "work"]).text.contains("  limit  "))
    }

    @Test func `what could not be written stops the run before anything begins`() throws {
        let scene = try scene()
        let scratch = scene.box.scratch
        let made = try Host.shell(
            "cd '\(scene.project)' && ln -s .. away && ln -s ../mine link && mkdir there && mkfifo fifo")
        #expect(made.status == 0)
        for path in ["none/r.md", "away/r.md", "link", "there", "fifo", "there/", "", "/proc/r.md"] {
            let outcome = try run(scene, ["--receipt", path], ["--", "/bin/touch", "ran"], status: 125)
            #expect(outcome.errors.contains("--receipt"), "\(path): \(outcome)")
        }
        #expect(try scene.names.isEmpty && !scene.exists(scratch.root + "/mine"))
    }

    @Test func `a place that programs inside may write leads nowhere else`() throws {
        let scene = try scene()
        let shared = scene.box.scratch.root + "/shared"
        try FileManager.default.createDirectory(atPath: shared + "/out", withIntermediateDirectories: true)
        if Host.isRoot {
            // Inside, root's files are nobody's to move.
            #expect(try Host.shell("chown -R 4711:4711 '\(scene.project)' '\(shared)'").status == 0)
        }
        let options = ["--write", shared, "--receipt", shared + "/out/r.md"]
        let outcome = try run(
            scene, options,
            ["--", "/bin/sh", "-c", "cd '\(shared)' && mv out gone && ln -s / out"], status: 1)
        #expect(outcome.errors.contains("moved or removed"), "\(outcome)")
        // The link that is there now is not followed by the next run.
        #expect(try run(scene, options, ["--", "/bin/true"], status: 125).errors.contains("symbolic link"))
        #expect(!scene.exists("/r.md"))
    }

    @Test func `of a run that did not begin there is no receipt`() throws {
        let scene = try scene()
        let outcome = try run(
            scene, ["--receipt", "r.md", "--json", "--memory", "1"], ["--", "/bin/true"], status: 125)
        #expect(outcome.out.isEmpty && !scene.exists(scene.project + "/r.md"), "\(outcome)")
    }

    @Test func `names are harmless wherever they appear`() throws {
        let scene = try scene()
        let script = """
            n=$(printf 'a\\033[2Jb\\342\\200\\256c|`<b>'); echo x > "$n.desktop"; cp /bin/true "./$n"; "./$n"
            """
        let outcome = try run(
            scene, ["--card", "--receipt", "../r.md"], ["--", "/bin/bash", "-c", script], status: 0)
        #expect(outcome.isHarmless && outcome.errors.contains("\\x1b[2J"), "\(outcome)")
        let rows = try Markdown.read(
            Pipeline(box: scene.box, accepted: []), scene.box.scratch.root + "/r.md"
        ).flatMap { $0 }
        #expect(rows.contains { $0.first?.hasSuffix("c|`<b>") == true }, "\(rows)")
        let json = try run(scene, ["--json"], ["--", "/bin/bash", "-c", script], status: 0)
        #expect(throws: Never.self) {
            try JSONDecoder().decode(Document.self, from: Data(json.out))
        }
    }

    /// The document of `box run --json`.
    private struct Document: Decodable {
        struct Refusal: Decodable { var host: String, port: Int, count: Int, command: String? }
        struct Limit: Decodable { var name: String, detail: String, count: Int }
        struct Program: Decodable { var path: String, count: Int }
        struct Programs: Decodable { var started: Int, paths: [Program] }
        struct File: Decodable { var path: String, risk: String, reason: String }
        struct Files: Decodable {
            var blocked: Int, confirm: Int, normal: Int, not_judged: Int, attention: [File]
        }
        struct Workspace: Decodable { var mode: String, project: String, changes: Int? }
        var version: Int
        var session: String
        var agent: String?
        var command: [String]
        var exit_status: Int
        var message: String?
        var workspace: Workspace
        var refusals: [Refusal]
        var limits: [Limit]
        var programs: Programs?
        var files: Files?
        var next: [String]
    }
}
