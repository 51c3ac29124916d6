/// Finds the first of many rules that names a host, by a few look-ups: ten thousand rules cost what ten do.
///
/// Exact names and addresses are looked up as they are, `*.name` by walking up the labels, networks by the lengths
/// that occur.
struct RuleIndex: Sendable {
    /// Where in the list the rules of one pattern stand.
    private struct Places {
        let first: Int
        /// The first of each port.
        var ports: [Port: Int]
    }

    private var names: [String: Places] = [:]
    private var parents: [String: Places] = [:]
    private var addresses: [IPAddress: Places] = [:]
    private var networks: [IPNetwork: Places] = [:]
    private var lengths4: Set<Int> = []
    private var lengths6: Set<Int> = []

    init(_ rules: [HostRule]) {
        for (place, rule) in rules.enumerated() {
            switch rule.pattern {
            case .name(let name): RuleIndex.add(place, rule.port, &names[name.description])
            case .subdomains(of: let parent): RuleIndex.add(place, rule.port, &parents[parent.description])
            case .address(let address): RuleIndex.add(place, rule.port, &addresses[address])
            case .network(let network):
                RuleIndex.add(place, rule.port, &networks[network])
                switch network.base {
                case .v4: lengths4.insert(network.length)
                case .v6: lengths6.insert(network.length)
                }
            }
        }
    }

    private static func add(_ place: Int, _ port: Port, _ places: inout Places?) {
        var changed = places ?? Places(first: place, ports: [:])
        if changed.ports[port] == nil { changed.ports[port] = place }
        places = changed
    }

    /// The place of the first rule for this host and port.
    func first(_ target: HostTarget) -> Int? {
        patterns(of: target.host).compactMap { $0.ports[target.port] }.min()
    }

    /// The place of the first rule for this host, whatever the port.
    func first(_ host: Host) -> Int? { patterns(of: host).map(\.first).min() }

    /// The place of the rule for exactly this address and port.
    func exact(_ address: IPAddress, _ port: Port) -> Int? { addresses[address]?.ports[port] }

    /// The ports of all rules that name this host.
    func ports(of host: Host) -> Set<Port> { Set(patterns(of: host).flatMap(\.ports.keys)) }

    private func patterns(of host: Host) -> [Places] {
        switch host {
        case .name(let name): patterns(of: name)
        case .address(let address): patterns(of: address)
        }
    }

    private func patterns(of name: HostName) -> [Places] {
        var found: [Places] = []
        if let places = names[name.description] { found.append(places) }
        guard !parents.isEmpty else { return found }
        var rest = name.description[...]
        while let dot = rest.utf8.firstIndex(of: UInt8(ascii: ".")) {
            rest = rest[rest.utf8.index(after: dot)...]
            if let places = parents[String(rest)] { found.append(places) }
        }
        return found
    }

    private func patterns(of address: IPAddress) -> [Places] {
        var found: [Places] = []
        if let places = addresses[address] { found.append(places) }
        let lengths =
            switch address {
            case .v4: lengths4
            case .v6: lengths6
            }
        for length in lengths {
            if let network = IPNetwork(around: address, length: length), let places = networks[network] {
                found.append(places)
            }
        }
        return found
    }
}

extension IPNetwork {
    /// The network of this length that holds the address.
    fileprivate init?(around address: IPAddress, length: Int) {
        switch address {
        case .v4(let value):
            let base = length == 0 ? 0 : value & (~0 << UInt32(32 - length))
            self.init(.v4(base), length: length)
        case .v6(let value):
            let base = length == 0 ? 0 : value & (~0 << UInt128(128 - length))
            self.init(.v6(base), length: length)
        }
    }
}
