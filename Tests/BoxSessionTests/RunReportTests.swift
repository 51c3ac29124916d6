import BoxAudit
import BoxStage
import BoxTypes
import Testing

@testable import BoxSession

/// What the receipt says of a run, in its three forms.
struct RunReportTests {
    private static func net(
        _ kind: Event.Kind, _ host: String, _ port: Int = 443, _ more: [Event.Field] = []
    ) -> Event {
        Event(kind, [Event.Field("host", .text(host)), Event.Field("port", .number(port))] + more)
    }

    private static func text(_ name: String, _ value: String) -> Event.Field {
        Event.Field(name, .text(value))
    }

    private static func number(_ name: String, _ value: Int) -> Event.Field {
        Event.Field(name, .number(value))
    }

    private static func exec(_ path: String, _ count: Int? = nil) -> Event {
        Event(.exec, [text("path", path)] + (count.map { [number("count", $0)] } ?? []))
    }

    /// A run with these events, under rules that allow one host.
    private static func report(
        _ events: [Event], _ edit: (inout Outcome) -> Void = { _ in }
    ) throws -> RunReport {
        var outcome = Outcome(status: 3)
        outcome.milliseconds = 192_345
        outcome.started = "2026-02-03T10:22:31.500Z"
        for event in events { outcome.receipt.count(event) }
        edit(&outcome)
        var rules = NetworkRules()
        rules.allow = [try HostRule("open.example"), try HostRule("named.example")]
        rules.deny = [try HostRule("never.example")]
        var report = RunReport(command: ["make", "all"], means: .command, started: "")
        report.session = "quinn"
        report.take(outcome, isStaged: outcome.changes != nil, RemedySearch(rules))
        return report
    }

    private static func deny(_ host: String, _ port: Int = 443, reason: String = "host", detail: String = "")
        -> Event
    {
        net(.netDeny, host, port, [text("reason", reason), text("detail", detail)])
    }

    @Test func `the receipt of a full run is a screen of lines`() throws {
        var summary = StageSummary(session: "quinn")
        summary.add(Array("a".utf8), .normal)
        summary.add(Array("package.json".utf8), Verdict(.confirm, "npm runs its scripts"))
        summary.add(Array(".git/hooks/x".utf8), Verdict(.blocked, "git runs it"))
        summary.add(Array("later".utf8), nil)
        let report = try RunReportTests.report([
            RunReportTests.net(.netAllow, "open.example"), RunReportTests.net(.netAllow, "open.example"),
            RunReportTests.net(
                .netClose, "open.example", 443,
                [RunReportTests.number("bytes_up", 1500), RunReportTests.number("bytes_down", 2_000_000)]),
            RunReportTests.deny("shut.example"), RunReportTests.deny("shut.example", 8080),
            RunReportTests.deny("shut.example", 8080),
            RunReportTests.net(
                .netLimit, "open.example", 443,
                [
                    RunReportTests.text("limit", "connections"), RunReportTests.text("scope", "session"),
                    RunReportTests.number("count", 4),
                ]),
            RunReportTests.exec("/usr/bin/cc"), RunReportTests.exec("/usr/bin/make"),
            RunReportTests.exec("/usr/bin/cc", 200),
        ]) { outcome in
            outcome.changes = summary
            outcome.limit = LimitHit(name: "time", detail: "20 s")
            outcome.otherLimits = [LimitHit(name: "processes", detail: "64 at most, 3 starts refused")]
        }
        #expect(
            report.receipt(name: "make") == [
                "make ended with status 3 after 3m12s",
                "reached  open.example, 2 connections, 1.5 KB up, 2 MB down",
                "refused  shut.example, once (host). To allow it: box allow shut.example",
                "refused  shut.example:8080, 2 times (host). To allow it: box allow shut.example:8080",
                "limit    time, once: 20 s", "limit    processes, once: 64 at most, 3 starts refused",
                "limit    connections, 4 times: open.example was held back by it. To raise it: connections below "
                    + "[network.limits]",
                "ran      202 programs: /usr/bin/cc 201, /usr/bin/make",
                "changed  4 files, 1 blocked, 1 to confirm, 1 not looked at yet",
                "         blocked  .git/hooks/x  (git runs it)",
                "         confirm  package.json  (npm runs its scripts)",
                "next     box pending -s quinn · box log quinn",
            ])
        let files =
            "\"files\":{\"blocked\":1,\"confirm\":1,\"normal\":1,\"not_judged\":1,\"attention\":["
            + "{\"path\":\".git/hooks/x\",\"risk\":\"blocked\",\"reason\":\"git runs it\"},"
        let json = report.json.line
        #expect(json.contains(files))
        #expect(json.contains("\"ended\":\"2026-02-03T10:25:43.845Z\",\"duration_ms\":192345"))
        #expect(json.contains("\"command\":\"box allow shut.example:8080\""))
        #expect(
            json.contains(
                "\"programs\":{\"started\":202,\"paths\":[{\"path\":\"/usr/bin/cc\",\"count\":201},"))
        #expect(
            json.contains("{\"name\":\"time\",\"detail\":\"20 s\",\"host\":null,\"port\":null,\"count\":1}"))
    }

    @Test(arguments: [
        ("open.example", 443, "host", "", nil, "The policy allows it by now"),
        ("shut.example", 443, "host", "", "box allow shut.example", "To allow it: box allow shut.example"),
        (
            "open.example", 80, "port", "", "box allow open.example:80",
            "To allow it: box allow open.example:80"
        ),
        // Only its name was looked up.
        ("shut.example", 0, "host", "", "box allow shut.example", "To allow it: box allow shut.example"),
        ("169.254.169.254", 80, "address", "", nil, "A cloud's metadata service gives out keys"),
        ("never.example", 443, "host", "", nil, "The rule never.example denies it"),
        (
            "named.example", 443, "address", "10.0.0.1: private", nil,
            "Its address is 10.0.0.1, private. In box.toml: [network.hosts.\"named.example\"] private = true"
        ),
        ("x y", 443, "host", "", nil, "No rule can name it"),
        ("", 0, "host", "", nil, "Many different hosts at once"),
    ])
    func `a refusal has the command that allows it, or says why none does`(
        _ host: String, _ port: Int, _ reason: String, _ detail: String, _ command: String?, _ advice: String
    ) throws {
        let report = try RunReportTests.report([
            RunReportTests.deny(host, port, reason: reason, detail: detail)
        ])
        let refused = try #require(report.refused.first)
        #expect(refused.command(.command) == command)
        #expect(refused.advice(.command).hasPrefix(advice), "\(refused.advice(.command))")
    }

    @Test func `in a pipeline it is the option that allows a host`() throws {
        let report = try RunReportTests.report([RunReportTests.deny("shut.example")])
        #expect(report.refused.first?.advice(.option) == "To allow it: --allow shut.example")
    }

    @Test func `a run without anything has a line and where to look`() throws {
        let report = try RunReportTests.report([])
        #expect(
            report.receipt(name: "true") == [
                "true ended with status 3 after 3m12s", "next     box log quinn",
            ])
        #expect(report.json.line.contains("\"programs\":null,\"files\":null"))
    }

    @Test func `a program that another one ran instead of is counted once`() throws {
        let report = try RunReportTests.report([
            RunReportTests.exec("/usr/bin/a"), RunReportTests.exec("/usr/bin/a"),
            Event(
                .exec,
                [
                    RunReportTests.number("pid", 7), RunReportTests.text("path", "/usr/bin/b"),
                    RunReportTests.text("instead_of", "/usr/bin/a"),
                ]), Event(.exec, [Event.Field("hidden", .flag(true))]),
        ])
        #expect(report.starts == 3)
        #expect(report.programs.map(\.path) == ["(hidden)", "/usr/bin/a", "/usr/bin/b"])
    }

    @Test func `a request that waited and was let through is no refusal`() throws {
        let report = try RunReportTests.report([
            RunReportTests.net(
                .netDeny, "slow.example", 443,
                [RunReportTests.text("reason", "host"), RunReportTests.number("held", 60)]),
            RunReportTests.net(.netAllow, "slow.example"),
        ])
        #expect(report.refused.isEmpty && !report.hasDenied)
    }

    @Test func `however much there is, a receipt is a screen, and lists end`() throws {
        var summary = StageSummary(session: "quinn")
        for number in 0..<5000 { summary.add(Array("f\(number)".utf8), Verdict(.confirm, "why")) }
        let events = (0..<5000).flatMap { number in
            [
                RunReportTests.deny("h\(number).example"), RunReportTests.exec("/tmp/\(number)"),
                RunReportTests.net(.netAllow, "r\(number).example"),
                RunReportTests.net(
                    .netLimit, "l\(number).example", 443, [RunReportTests.text("limit", "requests")]),
            ]
        }
        let report = try RunReportTests.report(events) { $0.changes = summary }
        #expect(report.receipt(name: "x").count < 40)
        #expect(report.starts == 5000)
        #expect(report.programs.count <= Receipt.most + 1)
        #expect(report.programs.first == RunReport.Program(path: "other", count: 5000 - Receipt.most))
        #expect(report.refused.count + report.refusedBeyond == 5000)
        #expect(report.reached.reduce(0) { $0 + $1.use.connections } == 5000)
        #expect(report.markdown.utf8.count < 2_000_000)
        #expect(report.json.line.contains("\"refusals\":4000,"))
        #expect(report.json.line.contains("\"files\":4000}"))
        #expect(report.receipt(name: "x").contains("         and 4995 more that need attention: box diff"))
    }

    @Test(arguments: CIReportTests.names)
    func `no name is obeyed, neither by a terminal nor as markup`(_ name: String) throws {
        var summary = StageSummary(session: "quinn")
        summary.add(Array(name.utf8), Verdict(.blocked, name))
        var report = try RunReportTests.report([
            RunReportTests.deny(name), RunReportTests.exec(name), RunReportTests.net(.netAllow, name),
            RunReportTests.net(.netLimit, name, 443, [RunReportTests.text("limit", name)]),
        ]) { outcome in
            outcome.changes = summary
            outcome.limit = LimitHit(name: name, detail: name)
        }
        report.message = name
        report.command = [name]
        for line in report.receipt(name: name) {
            #expect(line == line.escapedForTerminal && !line.contains("\n"), "\(line)")
        }
        for line in report.markdown.split(separator: "\n") where line.hasPrefix("|") {
            let inner = line.replacing("<code>", with: "").replacing("</code>", with: "")
            let plain = inner.replacing(/&#[0-9]+;/.matchingSemantics(.unicodeScalar), with: "")
            #expect(!plain.contains { "<>*_`[]\\!~@#&\r\u{1B}".contains($0) }, "\(line)")
        }
        #expect(throws: Never.self) { try JSONValue(parsing: Array(report.json.pretty.utf8)) }
    }
}
