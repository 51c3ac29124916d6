internal import BoxPolicy
package import BoxTypes

/// What a user can do about a request that was refused: a rule, a setting of the host, or only words.
package struct Remedy: Equatable, Sendable {
    /// The rule that opens it; `box allow` takes it.
    package var rule: HostRule?
    /// Whether the port of the rule is a guess, because only the name was looked up.
    package var guessesPort = false
    /// What the host's own table in the policy has to say besides.
    package var setting: Setting?
    /// What to know or to do, for people; it has no text of the sandbox's that is not escaped.
    package var advice: String?

    /// A line below `[network.hosts."NAME"]`.
    package struct Setting: Equatable, Sendable {
        package let host: Host
        package let line: String
        /// Whether it takes a protection away, and is not simply what was asked for.
        package let isRisky: Bool

        /// The table's first line.
        package var table: String {
            let name =
                switch host {
                case .name(let name): name.description
                case .address(let address): address.bracketed
                }
            return "[network.hosts.\"\(name)\"]"
        }
    }

    init(rule: HostRule? = nil, guessesPort: Bool = false, setting: Setting? = nil, advice: String? = nil) {
        self.rule = rule
        self.guessesPort = guessesPort
        self.setting = setting
        self.advice = advice
    }

    /// The command that opens it, quoted for a shell; nil where none does.
    package var command: String? { rule.map { "box allow \($0.short.quotedForShell)" } }
}

extension String {
    /// The text as one word of a shell.
    package var quotedForShell: String {
        let plain = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:/@%+=,".utf8)
        if !isEmpty, utf8.allSatisfy(plain.contains) { return self }
        return "'" + replacing("'", with: "'\\''") + "'"
    }
}

/// Says of refused requests what is still refused by a policy, and what would open it.
package struct RemedySearch: Sendable {
    private let list: Allowlist
    /// Where a denial is written.
    private let place: @Sendable (HostRule) -> String?

    /// - Parameter place: where a rule of the denied ones is written: `box.toml:7`.
    package init(_ rules: NetworkRules, place: @escaping @Sendable (HostRule) -> String? = { _ in nil }) {
        list = Allowlist(rules)
        self.place = place
    }

    /// What to do about a request; nil if the policy allows it by now.
    package func remedy(for request: RefusedRequest) -> Remedy? {
        switch request.reason {
        case .host, .port: rule(request)
        case .address: address(request)
        case .name, .protocol: content(request)
        case .rate, .bytes: limit(request)
        }
    }

    // MARK: - Rules

    private func rule(_ request: RefusedRequest) -> Remedy? {
        guard !request.host.isEmpty else {
            let detail = request.detail.escapedForTerminal
            return Remedy(advice: detail.isEmpty ? "many different hosts at once" : detail)
        }
        guard let host = request.parsedHost else {
            return Remedy(advice: "no rule can name it: a rule needs the full name of a host")
        }
        if request.port == 0, list.opens(host) { return nil }
        guard let port = request.port == 0 ? .https : request.target?.port else {
            return Remedy(advice: "there is no such port")
        }
        var remedy = missing(HostTarget(host: host, port: port))
        remedy?.guessesPort = request.port == 0
        return remedy
    }

    /// What opens a target that the list does not allow; nil if it does.
    private func missing(_ target: HostTarget) -> Remedy? {
        let decision = list.decide(target)
        guard !decision.allowed else { return nil }
        if let denied = decision.rule { return denial(denied) }
        let pattern: HostRule.Pattern =
            switch target.host {
            case .name(let name): .name(name)
            case .address(let address): .address(address)
            }
        return opening(HostRule(pattern, port: target.port))
    }

    /// The rule, if `box allow` takes it and it does what it is for.
    private func opening(_ rule: HostRule) -> Remedy {
        if case .address(let address) = rule.pattern {
            let kind = AddressClass(of: address)
            // An address that box itself gave to a name: a rule for it would open nothing.
            if kind == .benchmarking {
                return Remedy(advice: "an address that stands for a name inside: allow the name")
            }
            if kind == .metadata {
                return Remedy(advice: "a cloud's metadata service gives out keys: only --allow opens it")
            }
            if kind.opening == .never {
                return Remedy(advice: "no rule opens such an address (\(kind.rawValue))")
            }
        }
        // What `box allow` does not take is no command.
        if let refusal = rule.liveRefusal { return Remedy(advice: refusal) }
        return Remedy(rule: rule)
    }

    private func denial(_ rule: HostRule) -> Remedy {
        let written = place(rule).map { " (\($0.escapedForTerminal))" } ?? ""
        return Remedy(advice: "the rule \(rule.short) denies it\(written), and no other is stronger")
    }

    // MARK: - Addresses

    /// A name that is allowed, with an address that is not; or an address that was asked for as such.
    private func address(_ request: RefusedRequest) -> Remedy? {
        guard let target = request.target else { return rule(request) }
        guard case .name = target.host else { return missing(target) }
        let parts = request.detail.split(separator: ": ", maxSplits: 1)
        guard parts.count == 2, let address = IPAddress(v4: parts[0]) ?? IPAddress(v6: parts[0]) else {
            // Its name has no address: nothing is to be allowed about that.
            return missing(target)
        }
        let isOwn = parts[1].contains("this machine")
        guard var remedy = opening(address, of: target, isOwn: isOwn) else { return missing(target) }
        // The name itself may be closed again.
        if remedy.rule == nil, let name = missing(target)?.rule { remedy.rule = name }
        return remedy
    }

    private func opening(_ address: IPAddress, of target: HostTarget, isOwn: Bool) -> Remedy? {
        let isPrivate = list.settings(of: target.host)?.isPrivate ?? false
        let now = list.vet(address, port: target.port, isPrivate: isPrivate)
        if now.allowed, !isOwn || list.names(address, port: target.port) { return nil }
        if let denied = now.rule, !now.allowed { return denial(denied) }
        let kind = AddressClass(of: address)
        let what = "its address is \(address), \(isOwn ? "one of this machine" : kind.rawValue)"
        if !isOwn, list.vet(address, port: target.port, isPrivate: true).allowed {
            let setting = Remedy.Setting(host: target.host, line: "private = true", isRisky: false)
            return Remedy(setting: setting, advice: what)
        }
        var remedy = opening(HostRule(.address(address), port: target.port))
        if remedy.rule != nil { remedy.advice = what }
        return remedy
    }

    // MARK: - What was said

    /// Bytes that are not what the port is for.
    private func content(_ request: RefusedRequest) -> Remedy? {
        let detail = request.detail.escapedForTerminal
        guard let target = request.target, target.port == .https,
            request.reason == .name || detail.contains("TLS")
        else {
            return Remedy(
                advice: detail.isEmpty ? "it was no proper request" : "it was no proper request: \(detail)")
        }
        // Without a rule it is not reached at all.
        let missing = missing(target)
        if list.settings(of: target.host)?.raw ?? false { return missing }
        if let missing, missing.rule == nil { return missing }
        let setting = Remedy.Setting(host: target.host, line: "raw = true", isRisky: true)
        return Remedy(rule: missing?.rule, setting: setting, advice: detail)
    }

    // MARK: - Limits

    private func limit(_ request: RefusedRequest) -> Remedy {
        guard NetworkLimits.Key(rawValue: request.limit) != nil else {
            return Remedy(advice: "there were too many connections at once")
        }
        let reached = "the \(request.scope == "host" ? "host" : "session")'s limit was reached. Raise"
        if request.scope == "host", let host = request.parsedHost {
            let table = Remedy.Setting(host: host, line: "", isRisky: false).table
            return Remedy(advice: "\(reached) \(request.limit) below \(table)")
        }
        return Remedy(advice: "\(reached) \(request.limit) below [network.limits]")
    }
}
