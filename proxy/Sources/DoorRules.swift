package import BoxTypes

/// What connections are judged by at one moment: the session's rules, and the names behind fake addresses.
package struct DoorRules: Sendable {
    package var list: Allowlist
    package var names: FakeNames

    package init(_ list: Allowlist, names: FakeNames = FakeNames()) {
        self.list = list
        self.names = names
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
        case .rule:
            let target = request.target
            guard list.decide(target).allowed else { return false }
            guard let address = request.address, target.host != .name(.localhost) else { return true }
            let isPrivate = list.settings(of: target.host)?.isPrivate ?? false
            return list.vet(address, port: target.port, isPrivate: isPrivate).allowed
        }
    }

    /// Whether tunnels to port 443 of the host need no TLS hello with its name.
    func isRaw(_ host: Host) -> Bool { list.settings(of: host)?.raw ?? false }
}
