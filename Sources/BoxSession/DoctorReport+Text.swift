internal import BoxPlan
internal import BoxTypes

extension DoctorReport {
    /// The report for people, in colour if `colour`; everything in it is escaped for a terminal.
    package func text(colour: Bool) -> String {
        let ink = Ink(isOn: colour)
        var lines = [ink.bold("protections")]
        for state in protections { lines += DoctorReport.lines(state, ink) }
        if !notes.isEmpty {
            lines += ["", ink.bold("this host")]
            lines += notes.flatMap { DoctorReport.wrapped("  ", $0) }
        }
        if let failure {
            lines += ["", ink.red("nothing could be tried: ") + failure.escapedForTerminal]
        } else if !probes.isEmpty {
            lines += [""] + proof(ink)
        }
        lines += ["", summary(ink)]
        return lines.map { $0 + "\n" }.joined()
    }

    private static func lines(_ state: Plan.ProtectionState, _ ink: Ink) -> [String] {
        let name = state.protection.rawValue.padded(to: 20)
        let detail = state.detail.escapedForTerminal
        switch state.state {
        case .enforced: return ["  \(ink.green("enforced")) \(name)\(detail)"]
        case .accepted:
            return ["  \(ink.yellow("missing "))" + " \(name)\(detail) (the policy accepts it)"] + fix(state)
        case .missing: return ["  \(ink.red("MISSING "))" + " \(name)\(detail)"] + fix(state)
        }
    }

    private static func fix(_ state: Plan.ProtectionState) -> [String] {
        guard !state.fix.isEmpty else { return [] }
        // Only these line breaks are box's own; each line can be copied as it is.
        return state.fix.split(separator: "\n").map { "             fix: " + String($0).escapedForTerminal }
    }

    private static func wrapped(_ indent: String, _ text: String) -> [String] {
        [indent + text.escapedForTerminal]
    }

    /// A table: what was tried, what had to be seen, what was seen.
    private func proof(_ ink: Ink) -> [String] {
        let attempts = probes.map { $0.row.attempt.escapedForTerminal }
        let expected = probes.map {
            $0.row.expected.joined(separator: " or ").escapedForTerminal.shortened(to: 32)
        }
        let seen = probes.map { $0.observed.escapedForTerminal.shortened(to: 60) }
        let width = min(48, attempts.map(\.count).max() ?? 0) + 2
        let second = (expected.map(\.count).max() ?? 0) + 2
        let head =
            "  " + "id".padded(to: 7) + "attempted inside".padded(to: width) + "expected".padded(to: second)
        var lines = [ink.bold(head + "observed")]
        for (index, probe) in probes.enumerated() {
            let row =
                probe.row.id.padded(to: 7) + attempts[index].shortened(to: width - 2).padded(to: width)
                + expected[index].padded(to: second)
            switch probe.verdict {
            case .passed: lines.append("\(ink.green("✓")) \(row)\(seen[index])")
            case .failed:
                let control = probe.control.escapedForTerminal.shortened(to: 60)
                lines.append(ink.red("✗ \(row)\(seen[index])") + " (without box: \(control))")
            case .skipped(let reason):
                lines.append(
                    "\(ink.yellow("–")) \(row)skipped: \(reason.escapedForTerminal.shortened(to: 80))")
            }
        }
        return lines
    }

    private func summary(_ ink: Ink) -> String {
        let missing = protections.filter { $0.state == .missing }.count
        let accepted = protections.filter { $0.state == .accepted }.count
        var parts = ["\(protections.count - missing - accepted) protections enforced"]
        if accepted > 0 { parts.append("\(accepted) missing and accepted") }
        if missing > 0 { parts.append("\(missing) missing") }
        if !probes.isEmpty {
            let counts = counts
            parts.append("\(counts.passed) attempts refused, \(counts.failed) not, \(counts.skipped) skipped")
        }
        let text = parts.joined(separator: "; ")
        return ok ? ink.green(text) : ink.red(text)
    }
}

/// Colours, or none.
private struct Ink {
    let isOn: Bool
    func bold(_ text: String) -> String { paint("1", text) }
    func red(_ text: String) -> String { paint("31", text) }
    func green(_ text: String) -> String { paint("32", text) }
    func yellow(_ text: String) -> String { paint("33", text) }
    private func paint(_ code: String, _ text: String) -> String {
        isOn ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }
}

extension String {
    fileprivate func padded(to width: Int) -> String {
        self + String(repeating: " ", count: max(1, width - count))
    }

    fileprivate func shortened(to count: Int) -> String {
        self.count <= count ? self : self.prefix(max(0, count - 1)) + "…"
    }
}
