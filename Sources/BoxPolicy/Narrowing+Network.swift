import BoxTypes

// How much each key of `[network]` permits.

extension Policy.Network {
    /// All keys but those of rules and of hosts.
    mutating func narrowValues(by layer: PolicyLayer.Network, _ wishes: inout Wishes) {
        let path = ["network"]
        wishes.take(
            layer.mode, &mode, path + ["mode"], isAtMost: { $0 == .none || $1 == .proxy }, text: \.rawValue)
        wishes.limits(layer.limits, &limits, path + ["limits"], isComplete: wishes.isWhole)
        wishes.take(layer.hold, &hold, path + ["hold"], isAtMost: <=, text: { "\($0)s" })
        compareUpstream(with: layer.upstreamProxy, &wishes)
        // Fewer trusted certificates are no widening, so only those that are named count.
        wishes.take(
            layer.certificates.map(Optional.some), &certificates, path + ["ca"], isAtMost: ==,
            text: { $0 ?? "none" })
        let open = Set(publish)
        for (index, port) in layer.publish.enumerated() where !open.contains(port) {
            wishes.note(path + ["publish"], element: index, "publish \(port)")
        }
        wishes.take(
            layer.onProxyFailure, &onProxyFailure, path + ["on_proxy_failure"],
            isAtMost: { $0 == .end || $1 == .continue }, text: \.rawValue)
    }

    /// Whoever runs the proxy sees where everything goes, and going past it is a way out as well.
    private func compareUpstream(with wanted: UpstreamProxy?, _ wishes: inout Wishes) {
        guard wanted != nil || wishes.isWhole, wanted != upstreamProxy else { return }
        let (one, two) = (wanted?.description ?? "none", upstreamProxy?.description ?? "none")
        wishes.note(
            ["network", "upstream_proxy"],
            "network.upstream_proxy \(one) " + (one == two ? "with another login" : "(now \(two))"))
    }

    // MARK: - Rules

    /// Denials are taken; what would be allowed in addition is a widening.
    mutating func narrowRules(by layer: PolicyLayer.Network, _ wishes: inout Wishes) {
        let open = CoveringRules(allow)
        var known = Set(deny)
        for rule in layer.deny where known.insert(rule).inserted { deny.append(rule) }
        allow.removeAll(where: known.contains)
        let denied = CoveringRules(deny)
        func compare(_ rule: HostRule, _ element: Int, _ group: String?) {
            guard !denied.cover(rule), !open.open(rule) else { return }
            let origin = group.map { " (@\($0))" } ?? ""
            wishes.note(["network", "allow"], element: element, "allow \(rule.short)\(origin)")
        }
        for text in layer.allowTexts {
            for rule in text.rules { compare(rule, text.index, text.group) }
        }
        guard layer.allowTexts.isEmpty else { return }
        for (index, rule) in layer.allow.enumerated() { compare(rule, index, nil) }
    }

    /// What the rules of this one let through that those of another do not.
    func compareRules(over lower: Policy.Network, _ wishes: inout Wishes) {
        let denied = CoveringRules(deny)
        let open = CoveringRules(lower.allow)
        for rule in allow where !denied.cover(rule) && !open.open(rule) {
            wishes.note(["network", "allow"], "allow \(rule.short)")
        }
        // Also where nothing allows the host now: a denial is stronger than what comes later.
        for rule in lower.deny where !denied.cover(rule) {
            wishes.note(["network", "deny"], "no longer deny \(rule.short)")
        }
    }

    // MARK: - Hosts

    /// The settings that count for the hosts of a pattern, as far as no more exact pattern names them.
    private func settings(around rule: HostRule) -> HostSettings {
        hosts.first { $0.rule.coversHosts(of: rule) } ?? HostSettings(rule: rule)
    }

    /// A table of its own puts a host out of reach of the wider pattern that counted for it, with all its
    /// limits. So a new table begins with those, and what it leaves open is a widening.
    mutating func narrowHosts(by tables: [PolicyLayer.Host], _ wishes: inout Wishes) {
        guard !tables.isEmpty else { return }
        let before = self
        var places: [HostRule.Pattern: Int] = [:]
        for (index, host) in hosts.enumerated() { places[host.rule.pattern] = index }
        for table in tables {
            if let at = places[table.rule.pattern] {
                wishes.host(table, &hosts[at], isComplete: false)
                continue
            }
            var host = before.settings(around: table.rule)
            host.rule = table.rule
            wishes.host(table, &host, isComplete: true)
            places[table.rule.pattern] = hosts.count
            hosts.append(host)
        }
        hosts.sort(by: HostSettings.isMoreExact)
    }

    /// The same of two policies: between the patterns of both nothing changes.
    func compareHosts(over lower: Policy.Network, _ wishes: inout Wishes) {
        var seen: Set<HostRule.Pattern> = []
        for rule in (hosts + lower.hosts).map(\.rule) where seen.insert(rule.pattern).inserted {
            let mine = settings(around: rule)
            var table = PolicyLayer.Host(rule: rule)
            table.limits = mine.limits
            table.raw = mine.raw
            table.isPrivate = mine.isPrivate
            var theirs = lower.settings(around: rule)
            wishes.host(table, &theirs, isComplete: true)
        }
    }
}

extension Wishes {
    /// A table `[network.hosts."NAME"]`; with `isComplete` what it does not say is as if there were no table.
    fileprivate mutating func host(
        _ table: PolicyLayer.Host, _ present: inout HostSettings, isComplete: Bool
    ) {
        let path = ["network", "hosts", table.rule.short]
        limits(table.limits, &present.limits, path, isComplete: isComplete)
        let unsaid: Bool? = isComplete ? false : nil
        take(table.raw ?? unsaid, &present.raw, path + ["raw"], isAtMost: { !$0 || $1 }, text: { "\($0)" })
        take(
            table.isPrivate ?? unsaid, &present.isPrivate, path + ["private"],
            isAtMost: { !$0 || $1 }, text: { "\($0)" })
    }

    /// The limits of a session or of a host.
    fileprivate mutating func limits(
        _ wanted: NetworkLimits, _ present: inout NetworkLimits, _ path: [String], isComplete: Bool
    ) {
        func key(_ key: NetworkLimits.Key) -> [String] { path + [key.rawValue] }
        limit(
            wanted.requestsPerMinute, &present.requestsPerMinute, key(.requestsPerMinute),
            isComplete: isComplete, isAtMost: <=)
        limit(
            wanted.connections, &present.connections, key(.connections), isComplete: isComplete, isAtMost: <=)
        limit(wanted.upload, &present.upload, key(.upload), isComplete: isComplete, isAtMost: <=)
        limit(wanted.download, &present.download, key(.download), isComplete: isComplete, isAtMost: <=)
        limit(
            wanted.bytesPerSecond, &present.bytesPerSecond, key(.bytesPerSecond), isComplete: isComplete,
            isAtMost: <=)
        // Slowed down, a tunnel goes on; closed, it does not. Nil is slow. The key counts by itself, also
        // where no rate is set that could be exceeded: a higher layer may set one.
        guard wanted.excess != nil || isComplete else { return }
        take(
            Optional(wanted.excess), &present.excess, key(.excess),
            isAtMost: { $0 == .close || $1 != .close }, text: { ($0 ?? .slow).rawValue })
    }
}

/// A list of rules, asked what it covers. Lists may be long, but few rules of them cover others.
private struct CoveringRules {
    private let all: Set<HostRule>
    private let wide: [HostRule]

    init(_ rules: [HostRule]) {
        all = Set(rules)
        wide = rules.filter { rule in
            switch rule.pattern {
            case .subdomains, .network: true
            case .name, .address: false
            }
        }
    }

    /// Whether one of the rules is about all targets of this one.
    func cover(_ rule: HostRule) -> Bool { all.contains(rule) || wide.contains { $0.covers(rule) } }

    /// Whether one of the rules, as an allowance, lets all of this one through. A network does not stand for
    /// an address in it: a rule that names exactly the address reaches it also if it is the host's own
    /// (`AddressClass.opening`).
    func open(_ rule: HostRule) -> Bool {
        switch rule.pattern {
        case .address: all.contains(rule)
        case .name, .subdomains, .network: cover(rule)
        }
    }
}
