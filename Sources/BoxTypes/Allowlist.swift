/// Why something was refused; the raw values are the format's.
package enum RefusalReason: String, Hashable, Sendable, CaseIterable {
    /// No rule names the host, or a rule denies it.
    case host
    /// A rule names the host, but not this port.
    case port
    /// The address is not one that may be dialled.
    case address
    /// The TLS server name is not the host that was asked for.
    case name
    case rate
    case bytes
    /// The bytes are not what the port is for.
    case `protocol`
}

/// The answer to one question of the network door, with the rule that gave it.
package struct Decision: Hashable, Sendable {
    package let allowed: Bool
    /// The rule that allowed or denied; nil where no rule spoke.
    package let rule: HostRule?
    /// Set exactly when not allowed.
    package let reason: RefusalReason?
    /// For people: `no rule names it`.
    package let explanation: String

    static func allow(_ rule: HostRule) -> Decision {
        Decision(allowed: true, rule: rule, reason: nil, explanation: "rule \(rule.short)")
    }

    static func refuse(_ reason: RefusalReason, _ explanation: String, rule: HostRule? = nil) -> Decision {
        Decision(allowed: false, rule: rule, reason: reason, explanation: explanation)
    }
}

/// The rules of the network door. Deny beats allow, and nothing is allowed without a rule.
package struct Allowlist: Hashable, Sendable {
    package let allow: [HostRule]
    package let deny: [HostRule]

    package init(allow: [HostRule], deny: [HostRule]) {
        self.allow = allow
        self.deny = deny
    }

    /// Decides about a target before anything is resolved.
    package func decide(_ target: HostTarget) -> Decision {
        if let rule = deny.first(where: { $0.matches(target) }) {
            return .refuse(.host, "rule \(rule.short) denies it", rule: rule)
        }
        if let rule = allow.first(where: { $0.matches(target) }) {
            guard case .address(let address) = target.host else { return .allow(rule) }
            let vetted = vet(address, port: target.port)
            return vetted.allowed ? .allow(rule) : vetted
        }
        if let near = allow.first(where: { $0.matches(target.host) }) {
            return .refuse(.port, "the rule for it is for port \(near.port)")
        }
        if case .address(let address) = target.host {
            let kind = AddressClass(of: address)
            guard kind == .global else {
                return .refuse(.address, "\(kind.rawValue) addresses are refused unless a rule names them")
            }
        }
        return .refuse(.host, "no rule names it")
    }

    /// Decides about one address that a name resolved to, or that a request named.
    ///
    /// A global address needs no rule of its own here. Any other is dialled only by a rule that names it, and
    /// some by none (`AddressClass.opening`).
    package func vet(_ address: IPAddress, port: Port) -> Decision {
        let target = HostTarget(host: .address(address), port: port)
        if let rule = deny.first(where: { $0.matches(target) }) {
            return .refuse(.address, "rule \(rule.short) denies the address", rule: rule)
        }
        let kind = AddressClass(of: address)
        let explanation = "its address is not public (\(kind.rawValue))"
        let rule: HostRule?
        switch kind.opening {
        case .open: return Decision(allowed: true, rule: nil, reason: nil, explanation: "a public address")
        case .never: rule = nil
        case .exact: rule = allow.first { $0.pattern == .address(address) && $0.port == port }
        case .network: rule = allow.first { $0.matches(target) }
        }
        guard let rule else { return .refuse(.address, explanation) }
        return .allow(rule)
    }

    /// Whether a rule names exactly this address, which opens also one of the host's own.
    package func names(_ address: IPAddress, port: Port) -> Bool {
        allow.contains { $0.pattern == .address(address) && $0.port == port }
    }
}
