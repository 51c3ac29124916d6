import BoxSession
import BoxStage
import BoxTypes

/// What `box apply`, `box undo` and `box discard` say: messages to standard error, JSON to standard output.
struct ApplyReport {
    /// Longer lists end with how many more there are.
    private static let longestList = 100

    private let session: StagedSession
    private let stage: Stage
    private let isQuiet: Bool
    private let json: Bool

    init(_ session: StagedSession, _ stage: Stage, isQuiet: Bool, json: Bool) {
        self.session = session
        self.stage = stage
        self.isQuiet = isQuiet
        self.json = json
    }

    // MARK: - Names

    /// A path for people: from the project, or on the host where it is in another tree.
    private func name(_ tree: Int, _ path: BytePath) -> String {
        let below = path.bytes.isEmpty ? "." : path.escaped
        return tree == 0 ? below : "\(stage.roots[tree].host.string.escapedForTerminal)/\(below)"
    }

    private func text(_ tree: Int, _ path: BytePath) -> JSONOutput {
        guard let text = path.text else { return .text(name(tree, path)) }
        return .text(tree == 0 ? text : "\(stage.roots[tree].host.string)/\(text)")
    }

    private func list(_ entries: [(String, String)]) {
        for (name, reason) in entries.prefix(ApplyReport.longestList) { Output.raw("  \(name): \(reason)\n") }
        if entries.count > ApplyReport.longestList {
            Output.raw("  … and \(entries.count - ApplyReport.longestList) more\n")
        }
    }

    private func lines(_ entries: [ApplyPlan.Entry]) -> [(String, String)] {
        entries.map { (name($0.change.tree, $0.change.path), $0.reason) }
    }

    private func objects(_ entries: [ApplyPlan.Entry], risk: String? = nil) -> JSONOutput {
        .list(
            entries.map { entry in
                var fields: [(String, JSONOutput)] = [("path", text(entry.change.tree, entry.change.path))]
                if let risk { fields.append(("risk", .text(risk))) }
                return .object(fields + [("reason", .text(entry.reason))])
            })
    }

    private func print(_ outcome: String, _ fields: [(String, JSONOutput)]) {
        guard json else { return }
        let document = JSONOutput.object(
            [("session", .text(session.name)), ("outcome", .text(outcome))] + fields)
        Output.data(document.pretty + "\n")
    }

    private func counts(_ plan: ApplyPlan, applied: Int) -> [(String, JSONOutput)] {
        var leftOut = plan.blocked
        leftOut.append(contentsOf: plan.impossible)
        return [
            ("digest", .text(plan.digest)), ("applied", .number(applied)),
            ("left_out", objects(leftOut, risk: "blocked")),
            ("confirm", objects(plan.confirmations, risk: "confirm")),
            ("conflicts", objects(plan.conflicts + plan.movedRepositories)),
        ]
    }

    // MARK: - Apply

    /// The host changed what is to be applied.
    func conflicts(_ plan: ApplyPlan) {
        print("conflict", counts(plan, applied: 0))
        Output.error("nothing was touched: the host has changed these, too")
        list(lines(plan.conflicts) + lines(plan.movedRepositories))
        if !plan.conflicts.isEmpty {
            Output.raw(
                "Join both versions with --merge, take the agent's with --theirs PATH, or keep the host's with --ours "
                    + "PATH.\n")
        }
        if !plan.movedRepositories.isEmpty {
            Output.raw(
                "Take the agent's commits as a branch of their own: box apply --as-branch NAME. --theirs would replace "
                    + "the host's.\n")
        }
    }

    /// The host changed while box looked.
    func conflicts(_ conflicts: [HostConflict]) {
        let entries = conflicts.map { (name($0.tree, $0.path), $0.reason) }
        print(
            "conflict",
            [
                ("applied", .number(0)),
                (
                    "conflicts",
                    .list(
                        conflicts.map {
                            .object([("path", text($0.tree, $0.path)), ("reason", .text($0.reason))])
                        })
                ),
            ])
        Output.error("nothing was touched")
        list(entries)
    }

    /// What needs the user's consent.
    func confirmations(_ plan: ApplyPlan, sweeping: String?) {
        Output.error("these need your attention")
        if let sweeping { Output.raw("  \(sweeping)\n") }
        list(lines(plan.confirmations))
    }

    /// The user did not agree.
    func unconfirmed(_ plan: ApplyPlan) { print("unconfirmed", counts(plan, applied: 0)) }

    /// There is nothing that could be applied.
    func nothing(_ plan: ApplyPlan) {
        print("applied", counts(plan, applied: 0))
        leftOut(plan)
        if !isQuiet { Output.error(plan.total == 0 ? "there are no changes to apply" : summary(plan)) }
    }

    /// It is done.
    func applied(_ plan: ApplyPlan, _ kept: [Transaction.Location], branch: String?) {
        print("applied", counts(plan, applied: plan.taken))
        leftOut(plan)
        directories(kept)
        guard !isQuiet else { return }
        if let branch { Output.error("made the branch \(branch.escapedForTerminal) at the agent's HEAD") }
        Output.error("\(summary(plan)). box undo takes it back")
    }

    private func summary(_ plan: ApplyPlan) -> String {
        var text = "\(ApplyReport.count(plan.taken, "file")) applied"
        if plan.merged > 0 { text += " (\(plan.merged) merged)" }
        if plan.settled > 0 { text += ", \(plan.settled) kept as on the host" }
        if plan.leftOut > 0 { text += ", \(plan.leftOut) left out" }
        return text
    }

    private static func count(_ number: Int, _ what: String) -> String {
        number == 1 ? "1 \(what)" : "\(number) \(what)s"
    }

    private func leftOut(_ plan: ApplyPlan) {
        guard !isQuiet else { return }
        if !plan.blocked.isEmpty {
            Output.error(
                "left out, because programs on the host obey or run them; to take one, name it as a PATH")
            list(lines(plan.blocked))
        }
        if !plan.impossible.isEmpty {
            Output.error("left out, because it cannot be applied")
            list(lines(plan.impossible))
        }
    }

    private func directories(_ kept: [Transaction.Location]) {
        guard !isQuiet, !kept.isEmpty else { return }
        Output.error("directories that stay because other files are in them")
        list(kept.map { (name($0.tree, $0.path), "not empty") })
    }

    // MARK: - After an interruption, undo, discard

    func recovered(_ recovered: Recovered) {
        switch recovered {
        case .applied:
            print("applied", [])
            if !isQuiet { Output.error("the apply is finished. box undo takes it back") }
        case .takenBack:
            print("undone", [])
            if !isQuiet { Output.error("everything is as it was before the apply") }
        case .notBegun:
            print("not_begun", [])
            Output.error(
                "the apply had touched nothing yet when it was interrupted. Begin it again: box apply")
        case .undoDropped:
            print("applied", [])
            if !isQuiet { Output.error("the undo is taken back: what was applied stays") }
        }
    }

    func undone(_ count: Int, _ kept: [Transaction.Location]) {
        print("undone", [("undone", .number(count))])
        directories(kept)
        if !isQuiet {
            Output.error(
                "\(ApplyReport.count(count, "file")) of session \(session.name.escapedForTerminal) as before. box apply "
                    + "applies again")
        }
    }

    func edited(_ conflicts: [HostConflict]) {
        print(
            "conflict",
            [
                (
                    "conflicts",
                    .list(
                        conflicts.map {
                            .object([("path", text($0.tree, $0.path)), ("reason", .text($0.reason))])
                        })
                )
            ])
        Output.error("nothing was touched: you have worked on these since the apply")
        list(conflicts.map { (name($0.tree, $0.path), $0.reason) })
    }

    func discarded() {
        print("discarded", [])
        if !isQuiet {
            Output.error("the changes of session \(session.name.escapedForTerminal) are discarded")
        }
    }
}
