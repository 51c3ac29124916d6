extension HostRule {
    /// Whether every target of another rule is also one of this.
    package func covers(_ other: HostRule) -> Bool { port == other.port && coversHosts(of: other) }

    /// Whether a rule that allows makes another one that allows needless. One that names exactly an address also reaches
    /// what a network does not open: the host's own addresses, loopback, a cloud's metadata (`AddressClass.opening`).
    package func opensAll(of other: HostRule) -> Bool {
        if case .address = other.pattern { return self == other }
        return covers(other)
    }

    /// Whether every host of another rule is also one of this, whatever the ports.
    package func coversHosts(of other: HostRule) -> Bool {
        if pattern == other.pattern { return true }
        switch (pattern, other.pattern) {
        case (_, .name(let name)): return matches(.name(name))
        case (_, .address(let address)): return matches(.address(address))
        case (.subdomains(let mine), .subdomains(let parent)): return parent.isSubdomain(of: mine)
        case (.network(let mine), .network(let network)):
            return mine.length <= network.length && mine.contains(network.base)
        case (_, .subdomains), (_, .network): return false
        }
    }
}
