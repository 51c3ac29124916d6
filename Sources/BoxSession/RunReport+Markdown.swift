internal import BoxStage
internal import BoxTypes

extension RunReport {
    /// The receipt as a file: tables of GitHub's and GitLab's Markdown. Nothing in a cell is markup.
    package var markdown: String {
        var rows = [
            ["Command", Markdown.code(commandText)], ["Exit status", status.map { String($0) } ?? ""],
            ["Started", Markdown.cell(started)], ["Duration", LogText.duration(milliseconds: milliseconds)],
        ]
        if let message { rows.append(["Reason", Markdown.cell(message)]) }
        if let agent { rows.append(["Agent", Markdown.cell(agent)]) }
        rows.append(["Project", Markdown.code(workspace.project)])
        if !workspace.mode.isEmpty { rows.append(["Workspace", Markdown.cell(workspace.mode)]) }
        var text = "## box run: \(Markdown.cell(session ?? ""))\n\n" + Markdown.table(["Run", ""], rows)
        text += sections(most: RunReport.longestList)
        text += "\n### Next\n\n" + next.map { "- \(Markdown.code($0))\n" }.joined()
        return text
    }

    /// What all reports have, and of each kind at most so many.
    func sections(most: Int) -> String {
        Markdown.section(
            "Refused", ["Host", "Times", "Reason", "To allow it"],
            refused.map { refusal in
                let command = refusal.command(means).map(Markdown.code)
                let isSimple = refusal.remedy?.setting == nil && refusal.remedy?.advice == nil
                return [
                    Markdown.code(RunReport.label(refusal.target)), String(refusal.count),
                    Markdown.cell(refusal.reason),
                    isSimple
                        ? command ?? Markdown.cell(refusal.advice(means))
                        : Markdown.cell(refusal.advice(means)),
                ]
            }, most: most, beyond: refusedBeyond)
            + Markdown.section(
                "Limits reached", ["Limit", "Times", "What happened"],
                limits.map { [Markdown.cell($0.name), String($0.count), Markdown.cell($0.detail)] },
                most: most)
            + Markdown.section(
                "Reached", ["Host", "Connections", "Sent", "Received"],
                reached.map { host in
                    [
                        Markdown.code(RunReport.label(host.target)), String(host.use.connections),
                        ByteSize(bytes: host.use.up).rounded, ByteSize(bytes: host.use.down).rounded,
                    ]
                }, most: most)
            + Markdown.section(
                "Programs", ["Program", "Times"],
                programs.map { [Markdown.code($0.path), String($0.count)] }, most: most) + fileSection(most)
    }

    private func fileSection(_ most: Int) -> String {
        guard let files, files.count > 0 else { return "" }
        let more = files.blockedCount + files.confirmCount - files.risky.count
        return "\n### Files changed\n\n" + Markdown.cell(fileLine(files)) + "\n"
            + Markdown.rows(
                ["File", "Risk", "Why"],
                files.risky.map { file in
                    [
                        Markdown.code(BytePath.escaped(file.path)), file.risk.name,
                        Markdown.cell(file.reason),
                    ]
                }, most: most, beyond: more)
    }
}

/// Pieces of Markdown in which no text is markup.
enum Markdown {
    /// Rows below a title; nothing if there are none. Of more rows than `most`, and of those `beyond`, only the number is
    /// said.
    static func section(
        _ title: String, _ head: [String], _ rows: [[String]], most: Int, beyond: Int = 0
    ) -> String {
        guard !rows.isEmpty else { return "" }
        return "\n### \(title)\n" + Markdown.rows(head, rows, most: most, beyond: beyond)
    }

    static func rows(_ head: [String], _ rows: [[String]], most: Int, beyond: Int = 0) -> String {
        guard !rows.isEmpty else { return "" }
        let more = max(0, rows.count - most) + beyond
        return "\n" + table(head, Array(rows.prefix(most))) + (more > 0 ? "\nand \(more) more\n" : "")
    }

    static func table(_ head: [String], _ rows: [[String]]) -> String {
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
