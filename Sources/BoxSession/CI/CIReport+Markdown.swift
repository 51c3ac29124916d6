internal import BoxPlan
internal import BoxTypes

extension CIReport {
    /// No table has more rows than this: a job's page shows at most a mebibyte of all its summaries.
    private static let mostRows = 50

    /// The report for a job's page: tables of GitHub's and GitLab's Markdown. Nothing in a cell is markup.
    package var markdown: String {
        let rows =
            [
                ["Command", Markdown.code(run.commandText)], ["Exit status", statusText],
                ["Duration", LogText.duration(milliseconds: run.milliseconds)],
            ] + (run.message.map { [["Reason", Markdown.cell($0)]] } ?? [])
            + (run.workspace.mode.isEmpty ? [] : [["Workspace", workspaceText]])
            + (policyDigest.map { [["Policy", Markdown.code(String($0.prefix(16)))]] } ?? [])
        var text = "## box ci: \(result.rawValue)\n\n" + Markdown.table(["Run", ""], rows)
        text += run.sections(most: CIReport.mostRows)
        text += Markdown.section(
            "Missing protections", ["Protection", "State", "Why"],
            protections.filter { $0.state != .enforced }.map { state in
                [
                    Markdown.cell(state.protection.rawValue), state.state.rawValue,
                    Markdown.cell(state.detail),
                ]
            }, most: CIReport.mostRows)
        if !notices.isEmpty {
            text += "\n" + notices.map { "- \(Markdown.cell($0))\n" }.joined()
        }
        return text
    }

    private var statusText: String {
        guard let commandStatus else { return "\(exitStatus), the command never ran" }
        return commandStatus == exitStatus
            ? String(exitStatus) : "\(exitStatus), the command's own was \(commandStatus)"
    }

    private var workspaceText: String {
        Markdown.cell(run.workspace.mode)
            + (run.workspace.changes.map { ", \(RunReport.count($0, "file")) changed" } ?? "")
    }
}
