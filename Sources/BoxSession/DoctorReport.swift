package import BoxPlan
package import BoxTypes

/// What `box doctor` found: which protections this host can enforce, and what came of really trying.
package struct DoctorReport: Equatable, Sendable {
    /// What came of one probe.
    package struct ProbeResult: Equatable, Sendable {
        package enum Verdict: Equatable, Sendable {
            case passed
            case failed
            /// It says nothing here, for this reason.
            case skipped(String)
        }
        package var row: ProbeRow
        /// What was seen inside.
        package var observed: String
        /// What the same attempt did without a sandbox.
        package var control: String
        package var verdict: Verdict

        package init(row: ProbeRow, observed: String, control: String, verdict: Verdict) {
            self.row = row
            self.observed = observed
            self.control = control
            self.verdict = verdict
        }
    }

    package var protections: [Plan.ProtectionState]
    package var probes: [ProbeResult]
    /// Why nothing could be tried although it was asked for.
    package var failure: String?
    /// Particulars of the host that are no fault.
    package var notes: [String]

    package init(
        protections: [Plan.ProtectionState], probes: [ProbeResult] = [], failure: String? = nil,
        notes: [String] = []
    ) {
        self.protections = protections
        self.probes = probes
        self.failure = failure
        self.notes = notes
    }

    /// Whether nothing is missing that the policy does not accept, and nothing forbidden worked.
    package var ok: Bool {
        failure == nil && !protections.contains { $0.state == .missing }
            && !probes.contains { $0.verdict == .failed }
    }

    /// Joins what was seen inside and without a sandbox. Every row of the table gets a result.
    package static func join(
        inside: [Probe: ProbeAnswer], controls: [Probe: ProbeAnswer], protections: [Plan.ProtectionState]
    ) -> [ProbeResult] {
        ProbeTable.rows.map { row in
            let verdict = verdict(row, inside[row.probe], controls[row.probe], protections)
            return ProbeResult(
                row: row, observed: inside[row.probe]?.observed ?? "no answer",
                control: controls[row.probe]?.observed ?? "no answer", verdict: verdict)
        }
    }

    private static func verdict(
        _ row: ProbeRow, _ inside: ProbeAnswer?, _ control: ProbeAnswer?,
        _ protections: [Plan.ProtectionState]
    ) -> ProbeResult.Verdict {
        let name = row.protection.rawValue
        guard let protection = protections.first(where: { $0.protection == row.protection }) else {
            return .skipped("\(name) does not apply here")
        }
        guard protection.state == .enforced else { return .skipped("\(name) is missing") }
        // What worked inside is a failure, whatever the control says.
        guard let inside, !inside.isBroken, inside.observed != "succeeded" else { return .failed }
        guard let control else { return .skipped("no control: it gave no answer") }
        guard !control.isBroken else { return .skipped("no control: \(control.observed)") }
        let isProof =
            switch row.control.demand {
            case .succeeds: control.observed == "succeeded"
            case .differs: !row.expected.contains(control.observed)
            }
        guard isProof else { return .skipped("no control: \(control.observed) without box, too") }
        return row.expected.contains(inside.observed) ? .passed : .failed
    }

    /// Passed, failed, skipped.
    package var counts: (passed: Int, failed: Int, skipped: Int) {
        var counts = (passed: 0, failed: 0, skipped: 0)
        for probe in probes {
            switch probe.verdict {
            case .passed: counts.passed += 1
            case .failed: counts.failed += 1
            case .skipped: counts.skipped += 1
            }
        }
        return counts
    }

    /// The document of `box doctor --json`.
    package var json: JSONOutput {
        .object([
            ("ok", .bool(ok)), ("protections", .list(protections.map(DoctorReport.json))),
            ("probes", .list(probes.map(DoctorReport.json))), ("failure", .optional(failure)),
            ("notes", .texts(notes)),
        ])
    }

    private static func json(_ state: Plan.ProtectionState) -> JSONOutput {
        .object([
            ("name", .text(state.protection.rawValue)),
            ("state", .text(state.state == .enforced ? "enforced" : "missing")),
            ("detail", .text(state.detail)),
            ("fix", .text(state.fix)), ("accepted", .bool(state.state == .accepted)),
        ])
    }

    private static func json(_ probe: ProbeResult) -> JSONOutput {
        var skipped: JSONOutput = .null
        if case .skipped(let reason) = probe.verdict { skipped = .text(reason) }
        return .object([
            ("id", .text(probe.row.id)), ("attempt", .text(probe.row.attempt)),
            ("expected", .text(probe.row.expected.joined(separator: " or "))),
            ("observed", .text(probe.observed)),
            ("passed", .bool(probe.verdict == .passed)), ("control", .text(probe.control)),
            ("skipped", skipped),
        ])
    }
}
