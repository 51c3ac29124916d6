internal import BoxPlan
package import BoxTypes

extension CIReport {
    /// No list is longer than this in a report; what is left out is counted.
    package static let longestList = 1000

    /// The report as docs/ci.md describes it.
    package var json: JSONOutput {
        .object([
            ("version", .number(1)),
            ("result", .text(result.rawValue)),
            ("command", .texts(command)),
            ("exit_status", .number(Int(exitStatus))),
            ("command_status", commandStatus.map { .number(Int($0)) } ?? .null),
            ("message", .optional(message)),
            ("started", .text(started)),
            ("duration_ms", .number(milliseconds)),
            ("session", .optional(session)),
            ("fail_on_denied", .bool(failsOnDenied)),
            ("policy", .object([("digest", .optional(policyDigest)), ("file", .optional(policyFile))])),
            ("workspace", workspaceJSON),
            ("protections", .list(protections.map(CIReport.json))),
            ("hosts", .list(reached.prefix(CIReport.longestList).map(CIReport.json))),
            ("refusals", .list(refused.prefix(CIReport.longestList).map(CIReport.json))),
            ("limits", .list(limits.prefix(CIReport.longestList).map(CIReport.json))),
            (
                "omitted",
                .object([
                    ("hosts", .number(CIReport.omitted(reached.count))),
                    ("refusals", .number(CIReport.omitted(refused.count))),
                    ("limits", .number(CIReport.omitted(limits.count))),
                ])
            ),
            ("notices", .texts(notices)),
        ])
    }

    private static func omitted(_ count: Int) -> Int { max(0, count - longestList) }

    private var workspaceJSON: JSONOutput {
        .object([
            ("mode", .text(workspace.mode)), ("project", .text(workspace.project)),
            ("changes", workspace.changes.map { .number($0) } ?? .null),
        ])
    }

    private static func json(_ state: Plan.ProtectionState) -> JSONOutput {
        .object([
            ("name", .text(state.protection.rawValue)), ("state", .text(state.state.rawValue)),
            ("detail", .text(state.detail)), ("fix", .text(state.fix)),
        ])
    }

    private static func json(_ host: Reached) -> JSONOutput {
        .object([
            ("host", .text(host.target.host)), ("port", .number(host.target.port)),
            ("connections", .number(host.connections)), ("bytes_up", .number(host.up)),
            ("bytes_down", .number(host.down)),
        ])
    }

    private static func json(_ refusal: Refused) -> JSONOutput {
        .object([
            ("host", .text(refusal.target.host)), ("port", .number(refusal.target.port)),
            ("reason", .text(refusal.reason)), ("count", .number(refusal.count)),
            ("allow", .optional(refusal.rule)), ("advice", .text(refusal.advice)),
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
