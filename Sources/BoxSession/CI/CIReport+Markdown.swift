internal import BoxPlan
internal import BoxTypes

extension CIReport {
    /// No table has more rows than this: a job's page shows at most a mebibyte of all its summaries.
    private static let mostRows = 50

    /// The report for a job's page: tables of GitHub's and GitLab's Markdown. Nothing in a cell is markup.
    package var markdown: String {
        let rows =
            [
                ["Command", CIReport.code(commandText)], ["Exit status", statusText],
                ["Duration", Receipt.time(milliseconds)],
            ] + (message.map { [["Reason", CIReport.cell($0)]] } ?? [])
            + (workspace.mode.isEmpty ? [] : [["Workspace", workspaceText]])
            + (policyDigest.map { [["Policy", CIReport.code(String($0.prefix(16)))]] } ?? [])
        var text = "## box ci: \(result.rawValue)\n\n" + CIReport.table(["Run", ""], rows)
        text += section(
            "Refused", ["Host", "Times", "Reason", "To allow it"],
            refused.map { refusal in
                [
                    CIReport.code(CIReport.label(refusal.target)), String(refusal.count),
                    CIReport.cell(refusal.reason),
                    refusal.rule.map { CIReport.code("--allow \($0)") } ?? CIReport.cell(refusal.advice),
                ]
            })
        text += section(
            "Limits reached", ["Limit", "Times", "What happened"],
            limits.map { [CIReport.cell($0.name), String($0.count), CIReport.cell($0.detail)] })
        text += section(
            "Reached", ["Host", "Connections", "Sent", "Received"],
            reached.map { host in
                [
                    CIReport.code(CIReport.label(host.target)), String(host.connections),
                    "\(ByteSize(bytes: host.up))", "\(ByteSize(bytes: host.down))",
                ]
            })
        text += section(
            "Missing protections", ["Protection", "State", "Why"],
            protections.filter { $0.state != .enforced }.map { state in
                [
                    CIReport.cell(state.protection.rawValue), state.state.rawValue,
                    CIReport.cell(state.detail),
                ]
            })
        if !notices.isEmpty {
            text += "\n" + notices.map { "- \(CIReport.cell($0))\n" }.joined()
        }
        return text
    }

    private var statusText: String {
        guard let commandStatus else { return "\(exitStatus), the command never ran" }
        return commandStatus == exitStatus
            ? String(exitStatus) : "\(exitStatus), the command's own was \(commandStatus)"
    }

    private var workspaceText: String {
        CIReport.cell(workspace.mode)
            + (workspace.changes.map { ", \(CIReport.count($0, "file")) changed" } ?? "")
    }

    private func section(_ title: String, _ head: [String], _ rows: [[String]]) -> String {
        guard !rows.isEmpty else { return "" }
        let more = rows.count - CIReport.mostRows
        return "\n### \(title)\n\n" + CIReport.table(head, Array(rows.prefix(CIReport.mostRows)))
            + (more > 0 ? "\nand \(more) more\n" : "")
    }

    private static func table(_ head: [String], _ rows: [[String]]) -> String {
        ([head, head.map { _ in "---" }] + rows).map { "| " + $0.joined(separator: " | ") + " |\n" }.joined()
    }

    /// Text that is only text: everything that could be markup is a character reference, which is never parsed again.
    static func cell(_ text: String) -> String {
        var out = ""
        for scalar in text.cut(to: 300).escapedForTerminal.unicodeScalars {
            switch scalar {
            // A name that begins so becomes a link by itself.
            case "." where out.utf8.suffix(3).elementsEqual("www".utf8): out += "&#46;"
            case "a"..."z", "A"..."Z", "0"..."9", " ", "-", ".", ",", "/", "=", "+", "(", ")", "%", ";", "?":
                out.unicodeScalars.append(scalar)
            case _ where scalar.isASCII: out += "&#\(scalar.value);"
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out
    }

    /// The same, set as code.
    static func code(_ text: String) -> String { "<code>\(cell(text))</code>" }
}

extension String {
    /// The text cut to a number of characters, with a sign that it was.
    func cut(to count: Int) -> String {
        self.count <= count ? self : self.prefix(count - 1) + "…"
    }
}
