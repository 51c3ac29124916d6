package import BoxPlan
internal import BoxTypes

/// The capability card: what the command may do, in one short block, before it starts.
package enum Card {
    /// The lines, in colour if `colour`; `title` stands for a command that says little; accepted missing protections are red.
    package static func lines(
        _ plan: Plan, title: String?, session: String, colour: Bool
    ) -> [String] {
        func bold(_ text: String) -> String { colour ? "\u{1B}[1m\(text)\u{1B}[0m" : text }
        func red(_ text: String) -> String { colour ? "\u{1B}[31m\(text)\u{1B}[0m" : text }
        func row(_ name: String, _ text: String) -> String {
            "  " + name + String(repeating: " ", count: 10 - name.count) + text
        }
        let summary = plan.summary
        var lines = [bold("box \(session)")]
        lines.append(
            row("runs", (title ?? plan.command.joined(separator: " ")).escapedForTerminal.shortened(to: 90)))
        lines.append(row("as", "\(plan.identity.name) (uid \(plan.identity.insideUID)), no capabilities"))
        lines.append(row("reads", list(summary.readable)))
        lines.append(
            row(
                "writes",
                list(summary.writable) + (summary.writable.isEmpty ? "" : ", ") + "a private home and /tmp"))
        lines.append(row("reaches", reach(plan)))
        lines.append(row("limits", summary.limits.joined(separator: ", ")))
        if !summary.leftOut.isEmpty {
            let names = summary.leftOut.map(\.escapedForTerminal).joined(separator: " ")
            lines.append(row("left out", "\(names) (mounts below the project)"))
        }
        for state in plan.protections where state.state == .accepted {
            lines.append(red(row("MISSING", "\(state.protection.rawValue): \(state.detail)")))
        }
        return lines
    }

    private static func list(_ paths: [AbsolutePath]) -> String {
        paths.map(\.string).joined(separator: " ").escapedForTerminal
    }

    private static func reach(_ plan: Plan) -> String {
        guard let proxy = plan.proxy else { return "nothing: no network" }
        guard !proxy.allow.isEmpty else { return "nothing yet; to allow a host: --allow HOST" }
        let names = proxy.allow.prefix(8).map(\.description).joined(separator: " ")
        return proxy.allow.count > 8 ? "\(names) and \(proxy.allow.count - 8) more" : names
    }
}

extension String {
    /// The text cut to a number of characters, with a sign that it was.
    fileprivate func shortened(to count: Int) -> String {
        self.count <= count ? self : self.prefix(count - 1) + "…"
    }
}
