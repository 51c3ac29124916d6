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
///
/// What it costs to decide does not grow with the number of rules.
package struct Allowlist: Sendable {
    package let allow: [HostRule]
    package let deny: [HostRule]
    private let hosts: [HostSettings]
    private let allowed: RuleIndex
    private let denied: RuleIndex
    private let special: RuleIndex

    package init(allow: [HostRule], deny: [HostRule]) {
        self.init(NetworkRules(allow: allow, deny: deny))
    }

    /// The decisions of a session's rules; its limits are not decided about here.
    package init(_ rules: NetworkRules) {
        allow = rules.allow
        deny = rules.deny
        hosts = rules.hosts
        allowed = RuleIndex(allow)
        denied = RuleIndex(deny)
        special = RuleIndex(hosts.map(\.rule))
    }

    /// What is special about a host; of several patterns that match the first counts. Nil if nothing is.
    package func settings(of host: Host) -> HostSettings? { special.first(host).map { hosts[$0] } }

    /// Decides about a target before anything is resolved.
    package func decide(_ target: HostTarget) -> Decision {
        if let rule = denied.first(target).map({ deny[$0] }) {
            return .refuse(.host, "rule \(rule.short) denies it", rule: rule)
        }
        if let rule = allowed.first(target).map({ allow[$0] }) {
            guard case .address(let address) = target.host else { return .allow(rule) }
            let vetted = vet(address, port: target.port)
            return vetted.allowed ? .allow(rule) : vetted
        }
        if let near = allowed.first(target.host).map({ allow[$0] }) {
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

    /// Decides about a target by the list and one more rule beside it.
    package func decide(_ target: HostTarget, with rule: HostRule) -> Decision {
        let decision = decide(target)
        guard !decision.allowed, decision.rule == nil, rule.matches(target) else { return decision }
        guard case .address(let address) = target.host else { return .allow(rule) }
        let vetted = vet(address, port: target.port, with: rule)
        return vetted.allowed ? .allow(rule) : vetted
    }

    /// Whether some port of the host is open.
    package func opens(_ host: Host) -> Bool {
        allowed.ports(of: host).contains { decide(HostTarget(host: host, port: $0)).allowed }
    }

    /// Decides about one address that a name resolved to, or that a request named.
    ///
    /// A global address needs no rule of its own here. Any other is dialled only by a rule that names it, and
    /// some by none (`AddressClass.opening`).
    ///
    /// - Parameters:
    ///   - isPrivate: the name that resolved to it may have addresses of private networks.
    ///   - rule: one more rule beside the list.
    package func vet(
        _ address: IPAddress, port: Port, isPrivate: Bool = false, with rule: HostRule? = nil
    ) -> Decision {
        let target = HostTarget(host: .address(address), port: port)
        if let rule = denied.first(target).map({ deny[$0] }) {
            return .refuse(.address, "rule \(rule.short) denies the address", rule: rule)
        }
        let kind = AddressClass(of: address)
        if isPrivate, kind.isOfPrivateNetworks { return .open("an address of a private network") }
        let opening: HostRule?
        switch kind.opening {
        case .open: return .open("a public address")
        case .never: opening = nil
        case .exact:
            let isExact = rule?.pattern == .address(address) && rule?.port == port
            opening = allowed.exact(address, port).map { allow[$0] } ?? (isExact ? rule : nil)
        case .network:
            let matches = rule?.matches(target) ?? false
            opening = allowed.first(target).map { allow[$0] } ?? (matches ? rule : nil)
        }
        guard let opening else {
            return .refuse(.address, "its address is not public (\(kind.rawValue))")
        }
        return .allow(opening)
    }

    /// Whether a rule names exactly this address, which opens also one of the host's own; one of the list, or one
    /// more beside it.
    package func names(_ address: IPAddress, port: Port, with rule: HostRule? = nil) -> Bool {
        if allowed.exact(address, port) != nil { return true }
        return rule?.pattern == .address(address) && rule?.port == port
    }
}

extension Decision {
    /// Allowed without a rule that names the address.
    fileprivate static func open(_ why: String) -> Decision {
        Decision(allowed: true, rule: nil, reason: nil, explanation: why)
    }
}

extension AddressClass {
    /// Whether `private = true` opens the class: RFC 1918, RFC 4193 and RFC 6598, and never what is on the host
    /// itself, on its link, or a cloud's metadata.
    fileprivate var isOfPrivateNetworks: Bool {
        switch self {
        case .private, .shared, .uniqueLocal: true
        case .global, .unspecified, .thisNetwork, .loopback, .linkLocal, .metadata, .protocolAssignments,
            .documentation, .benchmarking, .relay, .multicast, .broadcast, .reserved, .mapped, .compatible,
            .translated, .nat64, .sixToFour, .teredo, .discard, .orchid, .segmentRouting, .siteLocal:
            false
        }
    }
}
