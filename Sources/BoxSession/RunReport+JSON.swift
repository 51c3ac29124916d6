internal import BoxAudit
internal import BoxStage
package import BoxTypes

extension RunReport {
    /// No list is longer than this in a report; what is left out is counted.
    package static let longestList = 1000

    /// What `box run --json` prints.
    package var json: JSONOutput {
        let ended = Timestamp.milliseconds(of: started).map { start in
            let end = start + milliseconds
            return Timestamp.text(seconds: end / 1000, milliseconds: end % 1000)
        }
        return .object(
            [
                ("version", .number(1)), ("session", .optional(session)), ("agent", .optional(agent)),
                ("command", .texts(command)), ("exit_status", status.map { .number(Int($0)) } ?? .null),
                ("message", .optional(message)), ("started", .text(started)), ("ended", .optional(ended)),
                ("duration_ms", .number(milliseconds)), ("workspace", workspaceJSON),
            ] + findings + [("next", .texts(next))])
    }

    /// The members that all reports have.
    var findings: [(String, JSONOutput)] {
        [
            ("hosts", RunReport.list(reached, RunReport.json)), ("refusals", RunReport.list(refused, json)),
            ("limits", RunReport.list(limits, RunReport.json)), ("programs", programsJSON),
            ("files", filesJSON),
            (
                "omitted",
                .object([
                    ("hosts", .number(RunReport.omitted(reached.count))),
                    ("refusals", .number(RunReport.omitted(refused.count) + refusedBeyond)),
                    ("limits", .number(RunReport.omitted(limits.count))),
                    ("programs", .number(RunReport.omitted(programs.count))),
                    (
                        "files",
                        .number(files.map { $0.blockedCount + $0.confirmCount - named($0).count } ?? 0)
                    ),
                ])
            ),
        ]
    }

    private static func omitted(_ count: Int) -> Int { max(0, count - longestList) }

    private static func list<Element>(_ all: [Element], _ json: (Element) -> JSONOutput) -> JSONOutput {
        .list(all.prefix(longestList).map(json))
    }

    var workspaceJSON: JSONOutput {
        .object([
            ("mode", .text(workspace.mode)), ("project", .text(workspace.project)),
            ("changes", workspace.changes.map { .number($0) } ?? .null),
        ])
    }

    /// null where programs are not recorded.
    private var programsJSON: JSONOutput {
        guard starts > 0 else { return .null }
        return .object([
            ("started", .number(starts)),
            (
                "paths",
                RunReport.list(programs) {
                    .object([("path", .text($0.path)), ("count", .number($0.count))])
                }
            ),
        ])
    }

    private func named(_ files: StageSummary) -> ArraySlice<StageSummary.Risky> {
        files.risky.prefix(RunReport.longestList)
    }

    /// null where nothing was staged.
    private var filesJSON: JSONOutput {
        guard let files else { return .null }
        return .object([
            ("blocked", .number(files.blockedCount)), ("confirm", .number(files.confirmCount)),
            ("normal", .number(files.normalCount)), ("not_judged", .number(files.unjudged)),
            (
                "attention",
                .list(
                    named(files).map { file in
                        .object([
                            ("path", .text(String(decoding: file.path, as: UTF8.self))),
                            ("risk", .text(file.risk.name)), ("reason", .text(file.reason)),
                        ])
                    })
            ),
        ])
    }

    private static func json(_ host: Reached) -> JSONOutput {
        .object([
            ("host", .text(host.target.host)), ("port", .number(host.target.port)),
            ("connections", .number(host.use.connections)), ("bytes_up", .number(host.use.up)),
            ("bytes_down", .number(host.use.down)),
        ])
    }

    private func json(_ refusal: Refused) -> JSONOutput {
        .object([
            ("host", .text(refusal.target.host)), ("port", .number(refusal.target.port)),
            ("reason", .text(refusal.reason)), ("count", .number(refusal.count)),
            ("allow", .optional(refusal.rule)), ("command", .optional(refusal.command(means))),
            ("advice", .text(refusal.advice(means))),
        ])
    }

    private static func json(_ limit: Limit) -> JSONOutput {
        .object([
            ("name", .text(limit.name)), ("detail", .text(limit.detail)),
            ("host", .optional(limit.target?.host)),
            ("port", limit.target.map { .number($0.port) } ?? .null), ("count", .number(limit.count)),
        ])
    }
}
