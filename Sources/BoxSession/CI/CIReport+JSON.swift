internal import BoxPlan
package import BoxTypes

extension CIReport {
    /// The report as docs/ci.md describes it.
    package var json: JSONOutput {
        let head: [(String, JSONOutput)] = [
            ("version", .number(1)), ("result", .text(result.rawValue)), ("command", .texts(run.command)),
            ("exit_status", .number(Int(exitStatus))),
            ("command_status", commandStatus.map { .number(Int($0)) } ?? .null),
            ("message", .optional(run.message)), ("started", .text(run.started)),
            ("duration_ms", .number(run.milliseconds)), ("session", .optional(run.session)),
            ("fail_on_denied", .bool(failsOnDenied)),
            ("policy", .object([("digest", .optional(policyDigest)), ("file", .optional(policyFile))])),
            ("workspace", run.workspaceJSON), ("protections", .list(protections.map(CIReport.json))),
        ]
        return .object(head + run.findings + [("notices", .texts(notices))])
    }

    private static func json(_ state: Plan.ProtectionState) -> JSONOutput {
        .object([
            ("name", .text(state.protection.rawValue)), ("state", .text(state.state.rawValue)),
            ("detail", .text(state.detail)), ("fix", .text(state.fix)),
        ])
    }
}
