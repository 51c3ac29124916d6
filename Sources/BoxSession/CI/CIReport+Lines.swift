internal import BoxTypes

extension CIReport {
    /// Something that the job's page shall show.
    package struct Finding: Equatable, Sendable {
        package let level: CILog.Level
        package let title: String
        package let message: String
        /// Whether `lines` does not say it.
        package var isAlone = false
    }

    /// A runner shows ten of each kind of a step; the rest is in the lines and the reports.
    private static let mostFindings = 8

    /// No kind of line stands in the log more often.
    private static let mostLines = 20

    /// How it ended, in one line.
    package var headline: String {
        guard let commandStatus else { return "the command never ran" }
        let status = "the command ended with status \(commandStatus) after \(Receipt.time(milliseconds))"
        switch result {
        case .passed, .failed, .refused: return status
        case .denied: return "\(status), but something was refused (--fail-on-denied)"
        }
    }

    /// What else is to be said, line by line; escaped.
    package var lines: [String] {
        var lines: [String] = []
        if let message { lines += message.split(separator: "\n").map { "reason   " + $0 } }
        func add<Element>(_ all: [Element], _ text: (Element) -> String) {
            lines += all.prefix(CIReport.mostLines).map(text)
            if all.count > CIReport.mostLines {
                lines.append("         and \(all.count - CIReport.mostLines) more")
            }
        }
        add(reached) { host in
            "reached  \(CIReport.shown(host.target)), \(CIReport.count(host.connections, "connection")), "
                + "\(ByteSize(bytes: host.up)) up, \(ByteSize(bytes: host.down)) down"
        }
        add(refused) { "refused  \(CIReport.line($0))" }
        add(limits) {
            "limit    \($0.name.escapedForTerminal), \(CIReport.times($0.count)): \($0.detail.escapedForTerminal)"
        }
        if let changes = workspace.changes, changes > 0 {
            lines.append(
                "changed  \(CIReport.count(changes, "file")) of the staged project, session \(session ?? "")")
        }
        return lines
    }

    private static func line(_ refusal: Refused) -> String {
        "\(shown(refusal.target)), \(times(refusal.count)) (\(refusal.reason.escapedForTerminal)). \(refusal.advice)"
    }

    private static func shown(_ target: Receipt.Target) -> String { label(target).escapedForTerminal }

    /// What is worth a mark on the job's page, the worst first.
    package var findings: [Finding] {
        var findings: [Finding] = []
        if result == .refused, let message {
            findings.append(Finding(level: .error, title: "box refused", message: message, isAlone: true))
        } else if let message, commandStatus != 0 {
            findings.append(Finding(level: .error, title: "box", message: message))
        }
        let level: CILog.Level = failsOnDenied ? .error : .warning
        let network = limits.filter { $0.target != nil }
        for refusal in refused.prefix(CIReport.mostFindings) {
            let message = "refused \(CIReport.line(refusal))"
            findings.append(Finding(level: level, title: "box refused a host", message: message))
        }
        if refused.count > CIReport.mostFindings {
            let message = "\(refused.count - CIReport.mostFindings) more hosts were refused; the log has them"
            findings.append(Finding(level: level, title: "box refused hosts", message: message))
        }
        if let first = network.first {
            let more = network.count > 1 ? ", and \(network.count - 1) more limits were reached" : ""
            let message = "\(first.detail.escapedForTerminal) (\(first.name.escapedForTerminal))\(more)"
            findings.append(Finding(level: level, title: "box limited the network", message: message))
        }
        return findings
    }
}
