internal import BoxStage
internal import BoxTypes

extension RunReport {
    /// No name is longer on a line.
    private static let widest = 72

    /// What is to be said, line by line, and of each kind at most so many; escaped.
    package func lines(most: Int) -> [String] {
        var lines: [String] = []
        func add<Element>(_ all: [Element], beyond: Int = 0, _ text: (Element) -> String) {
            lines += all.prefix(most).map(text)
            let more = max(0, all.count - most) + beyond
            if more > 0 { lines.append("         and \(more) more") }
        }
        add(reached) { host in
            "reached  \(RunReport.shown(host.target)), \(RunReport.count(host.use.connections, "connection")), "
                + "\(ByteSize(bytes: host.use.up).rounded) up, \(ByteSize(bytes: host.use.down).rounded) down"
        }
        add(refused, beyond: refusedBeyond) { "refused  \(line($0))" }
        add(limits) {
            "limit    \($0.name.escapedForTerminal), \(RunReport.times($0.count)): \($0.detail.escapedForTerminal)"
        }
        if starts > 0 { lines.append("ran      \(programLine)") }
        if let files, files.count > 0 {
            lines.append("changed  \(fileLine(files))")
            let named = files.risky.prefix(most)
            lines += named.map { file in
                let path = BytePath.escaped(file.path).cut(to: RunReport.widest)
                return "         \(file.risk.name)  \(path)  (\(file.reason.escapedForTerminal))"
            }
            let more = files.blockedCount + files.confirmCount - named.count
            if more > 0 { lines.append("         and \(more) more that need attention: box diff") }
        }
        return lines
    }

    func line(_ refusal: Refused) -> String {
        "\(RunReport.shown(refusal.target)), \(RunReport.times(refusal.count)) "
            + "(\(refusal.reason.escapedForTerminal)). \(refusal.advice(means))"
    }

    static func shown(_ target: Receipt.Target) -> String { label(target).escapedForTerminal }

    /// `214 programs: /usr/bin/node 120, /usr/bin/git 40 and 12 others`.
    private var programLine: String {
        let most = 4
        var names = programs.prefix(most).map { program in
            program.path.escapedForTerminal.cut(to: RunReport.widest)
                + (program.count > 1 ? " \(program.count)" : "")
        }
        let others = programs.count - names.count
        if others > 0 { names[names.count - 1] += " and \(RunReport.count(others, "other"))" }
        return "\(RunReport.count(starts, "program")): \(names.joined(separator: ", "))"
    }

    /// `12 files, 1 blocked, 2 to confirm`.
    func fileLine(_ files: StageSummary) -> String {
        var parts = [RunReport.count(files.count, "file")]
        if files.blockedCount > 0 { parts.append("\(files.blockedCount) blocked") }
        if files.confirmCount > 0 { parts.append("\(files.confirmCount) to confirm") }
        if files.unjudged > 0 { parts.append("\(files.unjudged) not looked at yet") }
        return parts.joined(separator: ", ")
    }

    /// The receipt at the end of a run: about a screen at most; escaped. `name` is what people call the command.
    package func receipt(name: String) -> [String] {
        let time = LogText.duration(milliseconds: milliseconds)
        var lines = ["\(name.escapedForTerminal) ended with status \(status ?? 0) after \(time)"]
        lines += self.lines(most: 5)
        // What can be done with the changes is said where it is asked for.
        let more = next.filter { !$0.hasPrefix("box diff") && !$0.hasPrefix("box apply") }
        if !more.isEmpty { lines.append("next     \(more.joined(separator: " · "))") }
        return lines
    }
}
