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
        let status =
            "the command ended with status \(commandStatus) after \(LogText.duration(milliseconds: run.milliseconds))"
        switch result {
        case .passed, .failed, .refused: return status
        case .denied: return "\(status), but something was refused (--fail-on-denied)"
        }
    }

    /// What else is to be said, line by line; escaped.
    package var lines: [String] {
        let reason = run.message.map { $0.split(separator: "\n").map { "reason   " + $0 } } ?? []
        return reason + run.lines(most: CIReport.mostLines)
    }

    /// What is worth a mark on the job's page, the worst first.
    package var findings: [Finding] {
        var findings: [Finding] = []
        if result == .refused, let message = run.message {
            findings.append(Finding(level: .error, title: "box refused", message: message, isAlone: true))
        } else if let message = run.message, commandStatus != 0 {
            findings.append(Finding(level: .error, title: "box", message: message))
        }
        let level: CILog.Level = failsOnDenied ? .error : .warning
        let network = run.limits.filter { $0.target != nil }
        for refusal in run.refused.prefix(CIReport.mostFindings) {
            let message = "refused \(run.line(refusal))"
            findings.append(Finding(level: level, title: "box refused a host", message: message))
        }
        let more = max(0, run.refused.count - CIReport.mostFindings) + run.refusedBeyond
        if more > 0 {
            let message = "\(more) more hosts were refused; the log has them"
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
