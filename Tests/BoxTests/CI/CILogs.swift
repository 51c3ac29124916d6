import Foundation
import Testing

/// What box writes into a pipeline's log, and what the runner makes of a hostile command's output.
@Suite(.recorded("ci")) struct CILogs {
    private static let github = ["GITHUB_ACTIONS": "true"]

    /// Everything in the order in which it was written.
    private func joined(
        _ pipeline: Pipeline, _ script: String, _ options: [String] = [],
        _ variables: [String: String] = github
    ) throws -> Outcome {
        try pipeline.shell(
            script, options, environment: variables, rig: ["/bin/sh", "-c", "exec \"$@\" 2>&1", "sh"])
    }

    private static let injections = [
        "echo '::error::injected'", "echo '::error::injected' >&2", "echo '  ::add-mask::injected'",
        "echo 'x ##[error]injected'", "echo '##[set-env name=PATH]injected' >&2",
        "printf '::error::injected'",
        "echo '::stop-commands::mine'; echo '::mine::'; echo '::error::injected'",
        "printf 'a\\r::error::injected\\n::group::injected'; echo '::endgroup::injected'",
        "(while :; do echo '::error::injected'; echo '::error::injected' >&2; done) & sleep 0.2",
    ]

    @Test(arguments: injections) func `no line of the command is obeyed`(_ script: String) throws {
        row("OT-02")
        let pipeline = try Pipeline()
        let outcome = try joined(pipeline, script)
        #expect(outcome.status == 0 && outcome.text.contains("injected"), "\(outcome)")
        let runner = FakeRunner(reading: outcome.text)
        #expect(!runner.obeyed.contains { $0.contains("injected") }, "\(runner.obeyed)")
        // After it, the runner obeys the next step's lines again.
        #expect(runner.token == nil && runner.obeyed.last == "::endgroup::", "\(runner.obeyed)")
        // The control: without the fence it would have obeyed.
        let plain = try joined(pipeline, script, ["--log-format", "plain"])
        #expect(FakeRunner(reading: plain.text).obeyed.contains { $0.contains("injected") }, "\(plain)")
    }

    @Test func `both streams become one, so that none passes the fence`() throws {
        let pipeline = try Pipeline()
        let outcome = try pipeline.shell(
            "echo '::error::injected'; echo '::error::injected' >&2", environment: CILogs.github)
        #expect(outcome.status == 0 && outcome.err.isEmpty, "\(outcome)")
        #expect(!FakeRunner(reading: outcome.text).obeyed.contains { $0.contains("injected") }, "\(outcome)")
        // What goes to a file is the command's alone.
        let file = try pipeline.shell(
            "echo data; echo '::error::injected' >&2", environment: CILogs.github,
            rig: ["/bin/sh", "-c", "exec \"$@\" > data", "sh"])
        #expect(file.status == 0 && file.out.isEmpty, "\(file)")
        #expect(try Host.text(pipeline.project + "/data") == "data\n")
        #expect(!FakeRunner(reading: file.errors).obeyed.contains { $0.contains("injected") }, "\(file)")
    }

    @Test func `the token is another one each time and unknown inside`() throws {
        let pipeline = try Pipeline()
        var tokens: Set<String> = []
        for _ in 0..<3 {
            let outcome = try joined(
                pipeline, "cat /proc/*/cmdline /proc/*/environ 2>/dev/null | tr '\\0' '\\n'")
            let line = try #require(outcome.lines.first { $0.hasPrefix("::stop-commands::") })
            let token = String(line.dropFirst(17))
            #expect(token.count >= 60 && token.allSatisfy(\.isHexDigit), "\(token)")
            #expect(outcome.lines.count { $0.contains(token) } == 2, "\(outcome)")
            tokens.insert(token)
        }
        #expect(tokens.count == 3)
    }

    @Test func `refusals and limits are annotations`() throws {
        let pipeline = try Pipeline()
        let script = """
            exec 3<>/dev/tcp/127.0.0.1/3128; printf 'CONNECT %s HTTP/1.1\\r\\n\\r\\n' blocked.example:443 >&3; cat <&3
            """
        func annotations(_ options: [String]) throws -> [String] {
            let outcome = try pipeline.run(
                ["/bin/bash", "-c", script], options, environment: CILogs.github)
            return FakeRunner(reading: outcome.text).obeyed.filter { !$0.contains("group::") }
        }
        let text =
            "title=box refused a host::refused blocked.example, once (host). To allow it: --allow blocked.example"
        #expect(try annotations([]) == ["::warning \(text)"])
        #expect(try annotations(["--fail-on-denied"]) == ["::error \(text)"])
        let late = try joined(pipeline, "sleep 100", ["--timeout", "1s"])
        #expect(
            FakeRunner(reading: late.text).obeyed.contains {
                $0.hasPrefix("::error title=box::") && $0.contains("--timeout")
            }, "\(late)")
    }

    @Test func `a refusal is one annotation, whatever is in it`() throws {
        let pipeline = try Pipeline()
        let outcome = try joined(pipeline, "true", ["--read", "/no/such\n::error::injected,a:b%0A"])
        #expect(outcome.status == 125, "\(outcome)")
        let runner = FakeRunner(reading: outcome.text)
        #expect(
            runner.obeyed.count == 1 && runner.obeyed[0].hasPrefix("::error title=box refused::"), "\(runner)"
        )
        #expect(runner.obeyed[0].contains("%250A"), "\(runner)")
    }

    // MARK: - The job's page

    @Test func `the job's page gets the summary, behind what is there`() throws {
        let pipeline = try Pipeline()
        let page = pipeline.box.scratch.root + "/page.md"
        let variables = CILogs.github.merging(["GITHUB_STEP_SUMMARY": page]) { $1 }
        try pipeline.box.scratch.write("before\n", to: page)
        #expect(try pipeline.run(["/bin/echo", "a|b"], environment: variables).status == 0)
        #expect(try pipeline.shell("exit 3", environment: variables).status == 3)
        #expect(try pipeline.run(["/bin/true"], ["--allow", "a b"], environment: variables).status == 125)
        let text = try Host.text(page)
        #expect(text.hasPrefix("before\n\n## box ci: passed\n"), "\(text)")
        for word in ["passed", "failed", "refused"] {
            #expect(text.contains("## box ci: \(word)\n"), "\(text)")
        }
        // Wherever the output goes.
        let file = try pipeline.run(
            ["/bin/true"], environment: variables, rig: ["/bin/sh", "-c", "exec \"$@\" >out 2>&1", "sh"])
        #expect(file.status == 0 && file.out.isEmpty, "\(file)")
        #expect(try Host.text(page).ranges(of: "## box ci: passed\n").count == 2)
        #expect(try !Host.text(pipeline.project + "/out").contains("::"))
    }

    @Test func `a page that cannot be written is a warning`() throws {
        let pipeline = try Pipeline()
        let scratch = pipeline.box.scratch
        try scratch.write("mine\n", to: scratch.root + "/mine")
        try scratch.write(String(repeating: "x", count: 1 << 20), to: scratch.root + "/full")
        let made = try Host.shell("cd '\(scratch.root)' && ln -s mine link && mkfifo fifo")
        #expect(made.status == 0)
        for name in ["link", "fifo", "full", "none/page", "state"] {
            let variables = CILogs.github.merging(["GITHUB_STEP_SUMMARY": "\(scratch.root)/\(name)"]) { $1 }
            let outcome = try pipeline.run(["/bin/true"], environment: variables)
            #expect(outcome.status == 0, "\(name): \(outcome)")
            let warnings = FakeRunner(reading: outcome.text).obeyed.filter { $0.hasPrefix("::warning") }
            #expect(warnings.count == 1 && warnings[0].contains("GITHUB_STEP_SUMMARY"), "\(name): \(outcome)")
        }
        #expect(try Host.text(scratch.root + "/mine") == "mine\n")
    }

    // MARK: - Others

    @Test func `GitLab gets sections that begin and end`() throws {
        let pipeline = try Pipeline()
        let outcome = try joined(pipeline, "printf unfinished", [], ["GITLAB_CI": "true"])
        #expect(outcome.status == 0 && !outcome.text.contains("::"), "\(outcome)")
        for name in ["box_sandbox", "box_report"] {
            let starts = outcome.text.ranges(of: "\u{1B}[0Ksection_start:").count
            #expect(starts == 2 && outcome.text.contains(":\(name)\r\u{1B}[0Kbox: "), "\(outcome)")
            #expect(outcome.text.contains(":\(name)\r\u{1B}[0K\n"), "\(outcome)")
        }
        for line in outcome.text.split(separator: "\n") where line.contains("section_") {
            #expect(line.hasPrefix("\u{1B}[0Ksection_"), "\(line)")
        }
    }

    @Test func `elsewhere it is plain lines on standard error`() throws {
        let pipeline = try Pipeline()
        let outcome = try pipeline.shell("echo out; echo err >&2")
        #expect(outcome.text == "out\n", "\(outcome)")
        for line in outcome.errors.split(separator: "\n") where line != "err" {
            #expect(line.hasPrefix("box: ") && !line.contains("\u{1B}") && !line.contains("::"), "\(line)")
        }
        let quiet = try pipeline.shell("echo out", ["--quiet"])
        #expect(quiet.text == "out\n" && quiet.err.isEmpty, "\(quiet)")
        // The variables may be overruled.
        let forced = try pipeline.shell("true", ["--log-format", "plain"], environment: CILogs.github)
        #expect(forced.out.isEmpty && !forced.errors.contains("::"), "\(forced)")
        #expect(try pipeline.shell("true", ["--log-format", "nosuch"]).status == 125)
    }
}
