package import BoxTypes

/// What connections are judged by at one moment: the session's rules, what is left of those for one connection, and
/// the names behind fake addresses.
package struct DoorRules: Sendable {
    package var list: Allowlist
    package var names: FakeNames
    package var single: SingleUses

    package init(
        _ list: Allowlist, names: FakeNames = FakeNames(), single: SingleUses = SingleUses()
    ) {
        self.list = list
        self.names = names
        self.single = single
    }

    /// Decides about a target, and says which rule for one connection it would take where no other allows it.
    package func decide(_ target: HostTarget) -> (decision: Decision, once: SingleUse?) {
        let decision = list.decide(target)
        // Nothing opens what a rule denies.
        guard !decision.allowed, decision.rule == nil,
            let once = single.free(where: { list.decide(target, with: $0.rule).allowed })
        else { return (decision, nil) }
        return (list.decide(target, with: once.rule), once)
    }

    /// Whether some port of the host is open.
    func opens(_ host: Host) -> Bool {
        list.opens(host)
            || single.contains { use in
                use.rule.matches(host)
                    && list.decide(HostTarget(host: host, port: use.rule.port), with: use.rule).allowed
            }
    }

    /// The target with the name that a fake address stands for: a program that resolves by itself and then asks
    /// the proxy for the address means the name.
    func meant(_ target: HostTarget) -> HostTarget {
        guard case .address(let address) = target.host, let name = names.name(at: address) else {
            return target
        }
        return HostTarget(host: .name(name), port: target.port)
    }

    /// Whether a request that was allowed would be allowed again, with the address that it goes to.
    func stillAllow(_ request: Request) -> Bool {
        switch request.grant {
        case .published: return true
        case .rule: return allows(request, with: nil)
        case .once(let use): return single.has(use) && allows(request, with: use.rule)
        // Its rule is over, and was for this connection: only a denial ends it.
        case .used(let rule): return allows(request, with: rule)
        }
    }

    private func allows(_ request: Request, with rule: HostRule?) -> Bool {
        let target = request.target
        let decision = rule.map { list.decide(target, with: $0) } ?? list.decide(target)
        guard decision.allowed else { return false }
        guard let address = request.address, target.host != .name(.localhost) else { return true }
        let isPrivate = list.settings(of: target.host)?.isPrivate ?? false
        return list.vet(address, port: target.port, isPrivate: isPrivate, with: rule).allowed
    }

    /// Whether tunnels to port 443 of the host need no TLS hello with its name.
    func isRaw(_ host: Host) -> Bool { list.settings(of: host)?.raw ?? false }
}
