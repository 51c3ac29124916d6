package import BoxPlan
internal import BoxTypes

/// The capability card: what the command may do, in one short block, before it starts.
package enum Card {
    /// The lines, in colour if `colour`; `title` stands for a command that says little, `allowing` is how a host is
    /// allowed; accepted missing protections are red.
    package static func lines(
        _ plan: Plan, title: String?, session: String, colour: Bool, allowing: String = "box allow HOST"
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
        lines.append(row("reaches", reach(plan, allowing)))
        if let proxy = plan.proxy { lines += network(proxy, row) }
        lines.append(row("limits", summary.limits.joined(separator: ", ")))
        if !summary.workspace.isEmpty, let how = workspace(plan) { lines.append(row("project", how)) }
        if !summary.hidden.isEmpty {
            lines.append(row("hidden", list(names: summary.hidden)))
        }
        if let obstacle = summary.gitObstacle {
            lines.append(row("git", obstacle.escapedForTerminal))
        }
        if !summary.leftOut.isEmpty {
            let names = summary.leftOut.map(\.escapedForTerminal).joined(separator: " ")
            lines.append(row("left out", "\(names) (mounts below the project)"))
        }
        for state in plan.protections where state.state == .accepted {
            lines.append(red(row("MISSING", "\(state.protection.rawValue): \(state.detail)")))
        }
        return lines
    }

    /// What becomes of changes to the project.
    private static func workspace(_ plan: Plan) -> String? {
        guard let stage = plan.stage else {
            return plan.hasProject ? "direct: changes reach it at once" : nil
        }
        return stage.copies
            ? "a copy: it stays as it is until box apply" : "staged: it stays as it is until box apply"
    }

    /// Names that were escaped already.
    private static func list(names: [String]) -> String {
        names.count > 12
            ? names.prefix(12).joined(separator: " ") + " and \(names.count - 12) more"
            : names.joined(separator: " ")
    }

    private static func list(_ paths: [AbsolutePath]) -> String {
        paths.map(\.string).joined(separator: " ").escapedForTerminal
    }

    private static func reach(_ plan: Plan, _ allowing: String) -> String {
        guard let proxy = plan.proxy else { return "nothing: no network" }
        guard !proxy.rules.allow.isEmpty else { return "nothing yet; to allow a host: \(allowing)" }
        let denied = proxy.rules.deny.isEmpty ? "" : ", but not " + list(proxy.rules.deny)
        return list(proxy.rules.allow) + denied
    }

    private static func list(_ rules: [HostRule]) -> String {
        let names = rules.prefix(8).map(\.short).joined(separator: " ")
        return rules.count > 8 ? "\(names) and \(rules.count - 8) more" : names
    }

    /// What bounds the network, and what is open in the other direction.
    private static func network(_ proxy: Plan.Proxy, _ row: (String, String) -> String) -> [String] {
        var lines: [String] = []
        let limits = proxy.rules.limits.text
        if !limits.isEmpty { lines.append(row("at most", limits)) }
        for host in proxy.rules.hosts.prefix(8) { lines.append(row("", "\(host.rule.short): \(host.text)")) }
        if let upstream = proxy.upstream { lines.append(row("through", upstream.description)) }
        if let file = proxy.certificates { lines.append(row("trusts", file.escapedForTerminal)) }
        if !proxy.publish.isEmpty {
            let ports = proxy.publish.map {
                "127.0.0.1:\($0.host)" + ($0.host == $0.inside ? "" : " to \($0.inside)")
            }
            lines.append(row("published", ports.joined(separator: " ")))
        }
        if proxy.hold > 0 { lines.append(row("waits", "\(proxy.hold) s for box allow before a refusal")) }
        return lines
    }
}

extension String {
    /// The text cut to a number of characters, with a sign that it was.
    fileprivate func shortened(to count: Int) -> String {
        self.count <= count ? self : self.prefix(count - 1) + "…"
    }
}
