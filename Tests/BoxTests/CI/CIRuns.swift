import Foundation
import Testing

/// How a step of a pipeline runs: environment, streams, signals, exit statuses.
@Suite(.recorded("ci")) struct CIRuns {
    @Test func `an empty environment is enough, and the record is in the user's own place`() throws {
        let pipeline = try Pipeline()
        let running = try Running(
            pipeline.words(["/bin/sh", "-c", "echo hi; echo $CI $HOME"], ["--report", "report.json"]),
            environment: [:], directory: pipeline.project, streams: .pipes(input: nil))
        let outcome = try running.wait()
        #expect(outcome.status == 0 && outcome.lines.first == "hi", "\(outcome)")
        #expect(outcome.lines.last?.hasPrefix("true /") == true, "\(outcome)")
        let session = try #require(try pipeline.report().session)
        let home = try #require(outcome.lines.last?.dropFirst(5))
        // Where the user has a home; otherwise it went with the run.
        let record = "\(home)/.local/state/box/sessions/\(session)"
        if try Host.shell("test -w '\(home)'").status == 0 {
            #expect(FileManager.default.fileExists(atPath: record + "/session.json"))
            try FileManager.default.removeItem(atPath: record)
        }
    }

    @Test(arguments: [["HOME": "/nonexistent"], ["HOME": "/"], ["HOME": "relative"]])
    func `without a home there is a fresh one, and it goes with the run`(_ variables: [String: String]) throws
    {
        let pipeline = try Pipeline()
        let temporary = try pipeline.temporary()
        let outcome = try pipeline.shell(
            "echo \"$HOME\"; touch ~/x && ls -A ~",
            environment: variables.merging(["TMPDIR": temporary]) { $1 })
        #expect(outcome.status == 0 && outcome.lines.count >= 2, "\(outcome)")
        #expect(outcome.lines.first?.hasPrefix(temporary + "/box-ci-") == true, "\(outcome)")
        #expect(outcome.lines.contains("x") && outcome.errors.contains("a fresh one is used"), "\(outcome)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: temporary).isEmpty)
    }

    @Test func `a state directory that cannot be written is replaced by one that goes with the run`() throws {
        let pipeline = try Pipeline()
        let temporary = try pipeline.temporary()
        let outcome = try pipeline.run(
            ["/bin/echo", "hi"], ["--report", "report.json"],
            environment: ["XDG_STATE_HOME": "/proc/nowhere", "TMPDIR": temporary])
        #expect(outcome.status == 0 && outcome.text == "hi\n", "\(outcome)")
        #expect(
            outcome.errors.contains("/proc/nowhere") && outcome.errors.contains("goes with the run"),
            "\(outcome)")
        #expect(try pipeline.report().notices.contains { $0.contains("/proc/nowhere") })
        #expect(try FileManager.default.contentsOfDirectory(atPath: temporary).isEmpty)
    }

    @Test func `staged changes are not lost with a fresh state directory`() throws {
        let pipeline = try Pipeline()
        let temporary = try pipeline.temporary()
        let outcome = try pipeline.shell(
            "echo > new", ["--workspace", "copy"],
            environment: ["XDG_STATE_HOME": "/proc/nowhere", "TMPDIR": temporary])
        #expect(outcome.status == 0, "\(outcome)")
        #expect(!FileManager.default.fileExists(atPath: pipeline.project + "/new"))
        let place = try #require(FileManager.default.contentsOfDirectory(atPath: temporary).first)
        #expect(outcome.errors.contains("XDG_STATE_HOME=\(temporary)/\(place) box diff"), "\(outcome)")
        let diff = try pipeline.box.call(
            ["diff", "--name-only"], environment: ["XDG_STATE_HOME": "\(temporary)/\(place)"])
        #expect(diff.lines == ["new"], "\(diff)")
    }

    @Test(arguments: [
        ("true", 0), ("exit 42", 42), ("exit 255", 255), ("kill -9 $$", 137), ("kill -TERM $$", 143),
        ("exit 125", 125), ("exit 1", 1),
    ])
    func `the status is the command's own`(_ script: String, _ status: Int) throws {
        let pipeline = try Pipeline()
        let outcome = try pipeline.shell(script, ["--report", "report.json", "--quiet"])
        #expect(outcome.status == Int32(status) && outcome.err.isEmpty, "\(outcome)")
        let report = try pipeline.report()
        #expect(report.exit_status == status && report.command_status == status)
        #expect(report.result == (status == 0 ? "passed" : "failed"))
    }

    @Test func `what cannot be run, and what takes too long, have statuses of their own`() throws {
        let pipeline = try Pipeline()
        try pipeline.box.scratch.write("#!/bin/sh\n", to: pipeline.project + "/plain", mode: 0o644)
        #expect(try pipeline.run(["nosuchcommand"]).status == 127)
        #expect(try pipeline.run(["./plain"]).status == 126)
        #expect(try pipeline.run([]).status == 127)
        let late = try pipeline.run(["/bin/sleep", "100"], ["--timeout", "1s", "--report", "report.json"])
        #expect(late.status == 124 && late.errors.contains("--timeout"), "\(late)")
        #expect(try pipeline.report().limits.map(\.name) == ["time"])
    }

    @Test func `the command stands behind two dashes`() throws {
        let pipeline = try Pipeline()
        let box = pipeline.box
        for words in [
            ["ci", "true"], ["ci"], ["ci", "--nosuch", "--", "true"], ["ci", "--accept", "x", "--", "true"],
        ] {
            let outcome = try box.call(words)
            #expect(
                outcome.status == 125 && outcome.out.isEmpty && outcome.errors.hasPrefix("box: "),
                "\(words): \(outcome)")
        }
    }

    @Test func `there is no terminal, even if there is one`() throws {
        let pipeline = try Pipeline()
        let running = try Running(
            pipeline.words(
                ["/bin/sh", "-c", "tty; test -t 0 || test -t 1 || test -t 2 || echo none; cat; echo end"], []),
            environment: pipeline.environment(["TERM": "xterm"]), directory: pipeline.project,
            streams: .terminal(rows: 24, columns: 80))
        // Nothing is typed, so that whatever reads would wait.
        let outcome = try running.wait(within: 20)
        #expect(outcome.status == 0 && !outcome.timedOut, "\(outcome)")
        for text in ["not a tty", "none", "end"] { #expect(outcome.text.contains(text), "\(outcome)") }
    }

    @Test func `standard input reaches the command`() throws {
        let pipeline = try Pipeline()
        let outcome = try pipeline.run(["/bin/cat"], input: Array("over\n".utf8))
        #expect(outcome.text == "over\n", "\(outcome)")
    }

    @Test func `two streams into one keep their order, and two stay two`() throws {
        let pipeline = try Pipeline()
        let script = "i=0; while [ $i -lt 300 ]; do echo o$i; echo e$i >&2; i=$((i+1)); done"
        let joined = try pipeline.shell(
            script, ["--quiet"], rig: ["/bin/sh", "-c", "exec \"$@\" 2>&1", "sh"])
        let wanted = (0..<300).flatMap { ["o\($0)", "e\($0)"] }
        #expect(joined.lines == wanted && joined.err.isEmpty)
        let apart = try pipeline.shell(script, ["--quiet"])
        #expect(apart.lines == (0..<300).map { "o\($0)" })
        #expect(apart.errors.split(separator: "\n").map(String.init) == (0..<300).map { "e\($0)" })
        // A file that both go to is not overwritten by either.
        let file = try pipeline.shell(
            script, ["--quiet"], rig: ["/bin/sh", "-c", "exec \"$@\" > both 2>&1", "sh"])
        #expect(file.status == 0 && file.out.isEmpty && file.err.isEmpty, "\(file)")
        let text = try Host.text(pipeline.project + "/both")
        #expect(text.split(separator: "\n").map(String.init) == wanted)
    }

    @Test(arguments: [(SIGTERM, "TERM"), (SIGHUP, "HUP"), (SIGINT, "INT"), (SIGUSR1, "USR1")])
    func `a signal reaches the command, and there is a report`(_ signal: Int32, _ name: String) throws {
        let pipeline = try Pipeline()
        let running = try pipeline.start(
            ["/bin/bash", "-c", "trap 'echo got; exit 17' \(name); sleep 1000 & echo ready; wait"],
            ["--report", "report.json"])
        try running.expect("ready")
        running.signal(signal)
        let outcome = try running.wait()
        #expect(outcome.status == 17 && outcome.text.hasSuffix("got\n"), "\(outcome)")
        #expect(try pipeline.report().command_status == 17)
    }

    @Test func `a cancelled job says so in its report`() throws {
        let pipeline = try Pipeline()
        let running = try pipeline.start(
            ["/bin/sh", "-c", "echo ready; exec sleep 1000"], ["--report", "report.json"])
        try running.expect("ready")
        running.signal(SIGTERM)
        #expect(try running.wait().status == 143)
        let report = try pipeline.report()
        #expect(report.result == "failed" && report.exit_status == 143)
    }

    @Test func `the project itself is the workspace, and another one is there to be chosen`() throws {
        let pipeline = try Pipeline()
        #expect(try pipeline.shell("echo built > artifact").status == 0)
        #expect(try Host.text(pipeline.project + "/artifact") == "built\n")
        let outcome = try pipeline.shell(
            "echo staged > artifact",
            ["--workspace", "copy", "--on-exit", "discard", "--report", "report.json"])
        #expect(outcome.status == 0, "\(outcome)")
        #expect(try Host.text(pipeline.project + "/artifact") == "built\n")
        let report = try pipeline.report()
        #expect(report.workspace.mode == "copy" && report.workspace.changes == 1)
    }

    @Test func `nothing of the environment gets in but what is named`() throws {
        let pipeline = try Pipeline()
        let secrets = ["DEPLOY_TOKEN": "secret-1", "GITHUB_ENV": "/tmp/x", "LATER": "secret-2"]
        let outcome = try pipeline.shell("env", environment: secrets)
        #expect(outcome.status == 0 && !outcome.text.contains("secret"), "\(outcome)")
        #expect(!outcome.text.contains("GITHUB_ENV") && outcome.lines.contains("CI=true"), "\(outcome)")
        let named = try pipeline.shell(
            "env", ["--env", "LATER", "--env", "CI=woodpecker"], environment: secrets)
        #expect(named.lines.contains("LATER=secret-2") && named.lines.contains("CI=woodpecker"), "\(named)")
        #expect(!named.text.contains("secret-1"))
    }

    @Test func `the project's file only tightens until the pipeline names it`() throws {
        let pipeline = try Pipeline()
        let file = pipeline.project + "/box.toml"
        try pipeline.box.scratch.write(
            "[network]\nallow = [\"widened.example\"]\n[limits]\nprocesses = 77\n", to: file)
        let options = ["--report", "report.json"]
        let untrusted = try pipeline.shell("true", options)
        #expect(
            untrusted.errors.contains("77 processes") && untrusted.errors.contains("reaches   nothing"),
            "\(untrusted)")
        #expect(
            untrusted.errors.contains("widened.example") && untrusted.errors.contains("--policy box.toml"),
            "\(untrusted)")
        #expect(try pipeline.report().notices.contains { $0.contains("widened.example") })
        let named = try pipeline.shell("true", ["--policy", "box.toml"] + options)
        #expect(
            named.errors.contains("77 processes") && named.errors.contains("reaches   widened.example"),
            "\(named)")
        #expect(try pipeline.report().notices.isEmpty && pipeline.report().policy.file == "box.toml")
        try pipeline.box.scratch.write("[network]\nmode = \"none\"\n", to: file)
        let closed = try pipeline.shell("true")
        #expect(
            closed.errors.contains("no network") && !closed.errors.contains("wants to widen"), "\(closed)")
    }

    @Test func `a policy file of whoever owns the project will do, one that others may write will not`()
        throws
    {
        let pipeline = try Pipeline()
        let file = pipeline.project + "/ci.toml"
        try pipeline.box.scratch.write("[network]\nallow = [\"named.example\"]\n", to: file, mode: 0o664)
        if Host.isRoot {
            let owned = try Host.shell("chown -R 4711:4711 '\(pipeline.project)'")
            #expect(owned.status == 0)
        }
        let outcome = try pipeline.shell("touch made; id -u", ["--policy", "ci.toml"])
        #expect(outcome.status == 0 && outcome.errors.contains("reaches   named.example"), "\(outcome)")
        if Host.isRoot { #expect(outcome.answer == "4711", "\(outcome)") }
        #expect(try Host.shell("chmod o+w '\(file)'").status == 0)
        let refused = try pipeline.shell("echo ran", ["--policy", "ci.toml"])
        #expect(
            refused.status == 125 && refused.out.isEmpty && refused.errors.contains("chmod"), "\(refused)")
    }

    @Test func `a pipeline that is cancelled as a whole ends as its command does`() throws {
        let pipeline = try Pipeline()
        let command = ["/bin/sh", "-c", "trap 'echo got; exit 9' TERM; echo up; sleep 60 & wait"]
        // As timeout(1) and runners do it: the process first, and then all of its group.
        let script = """
            trap '' TERM; mkfifo out; "$@" > out & exec 3< out; read -r line <&3; echo "$line"
            kill -TERM $!; kill -TERM 0; cat <&3; wait $!
            """
        let outcome = try Running(
            ["/usr/bin/setsid", "--wait", "/bin/sh", "-c", script, "sh"] + pipeline.words(command, ["-q"]),
            environment: pipeline.environment(["PATH": Host.path]), directory: pipeline.project,
            streams: .pipes(input: nil)
        ).wait(within: 30)
        #expect(outcome.status == 9 && outcome.text == "up\ngot\n", "\(outcome)")
        #expect(!outcome.errors.contains("proxy"), "\(outcome)")
    }
}
