/// A listening socket of the network door, inside the sandbox.
package struct DoorListener: Hashable, Sendable, CustomStringConvertible {
    /// What it is for; `unconnected` and `published` listen nowhere inside.
    package let kind: DoorSocket
    package let address: IPAddress
    package let port: Port

    package init(_ kind: DoorSocket, _ address: IPAddress, _ port: Port) {
        self.kind = kind
        self.address = address
        self.port = port
    }

    /// `[::1]:3128`.
    package var description: String { "\(address.bracketed):\(port)" }

    /// Whether it may be absent, because a kernel without IPv6 has nobody who could connect to it.
    package var isOptional: Bool {
        switch address {
        case .v4: false
        case .v6: true
        }
    }

    package func write(to writer: inout WireWriter) {
        kind.write(to: &writer)
        writer.write(address)
        writer.write(Int(port.number))
    }

    package init(from reader: inout WireReader) throws(WireError) {
        kind = try DoorSocket(from: &reader)
        address = try reader.address()
        port = try reader.port()
    }
}

/// What the network door needs in the sandbox's network namespace, so that programs that know nothing of a proxy reach
/// it: routes that make the kernel deliver to its own sockets, and the sockets.
package struct DoorOpening: Hashable, Sendable {
    /// Local routes to the loopback interface; a single address is a network of its full length.
    package var routes: [IPNetwork] = []
    package var listeners: [DoorListener] = []
    /// How many sockets that are not connected yet, for published ports.
    package var unconnected = 0

    package init() {}

    package var isEmpty: Bool { routes.isEmpty && listeners.isEmpty && unconnected == 0 }

    /// What is here and not in another opening.
    package func subtracting(_ there: DoorOpening) -> DoorOpening {
        var rest = DoorOpening()
        let (knownRoutes, knownListeners) = (Set(there.routes), Set(there.listeners))
        rest.routes = routes.filter { !knownRoutes.contains($0) }
        rest.listeners = listeners.filter { !knownListeners.contains($0) }
        rest.unconnected = unconnected
        return rest
    }

    /// Adds what another opening has.
    package mutating func formUnion(_ more: DoorOpening) {
        let new = more.subtracting(self)
        routes += new.routes
        listeners += new.listeners
    }

    package func write(to writer: inout WireWriter) {
        writer.write(routes) { $0.write($1) }
        writer.write(listeners) { $1.write(to: &$0) }
        writer.write(unconnected)
    }

    package init(from reader: inout WireReader) throws(WireError) {
        routes = try reader.list { (reader: inout WireReader) throws(WireError) in try reader.network() }
        listeners = try reader.list { (reader: inout WireReader) throws(WireError) in
            try DoorListener(from: &reader)
        }
        unconnected = try reader.int()
        guard (0...DoorOpening.mostUnconnected).contains(unconnected) else {
            throw reader.malformed("count of sockets")
        }
    }

    /// More are never asked for at once.
    package static let mostUnconnected = 200
}

extension DoorOpening {
    /// The ports of the explicit proxy and of the DNS responder inside.
    package static let httpPort: UInt16 = 3128
    package static let socksPort: UInt16 = 1080
    package static let dnsPort: UInt16 = 53

    /// Where names get their addresses from: a network that no host on the internet is in (RFC 2544).
    package static let fakeNetwork = IPNetwork(trusted: .v4(0xC612_0000), length: 15)

    /// What every network door has, whatever its rules: HTTP, SOCKS and DNS.
    package static let standing: DoorOpening = {
        var opening = DoorOpening()
        opening.routes = [fakeNetwork]
        let (v4, v6) = (IPAddress.v4(0x7F00_0001), IPAddress.v6(1))
        for (kind, number, addresses) in [
            (DoorSocket.http, httpPort, [v4, v6]), (.socks, socksPort, [v4, v6]),
            (.dnsDatagram, dnsPort, [v4]), (.dnsStream, dnsPort, [v4]),
        ] {
            guard let port = Port(number) else { continue }
            opening.listeners += addresses.map { DoorListener(kind, $0, port) }
        }
        return opening
    }()

    /// At most so many ports may be named by all rules together: each is a socket or two inside.
    package static let mostPorts = 256

    /// What these rules need so that programs without a proxy are caught: `standing`, a listener for each port, and a
    /// route for each address and network that is named.
    ///
    /// The ports of `standing` are never caught: there, the door's own listeners are.
    package init(for rules: [HostRule]) {
        self = DoorOpening.standing
        let standing = Set(listeners.map(\.port))
        // By port: whether the whole of each family is listened on.
        var ports: [Port: (v4: Bool, v6: Bool, loopback: Bool)] = [:]
        var routed = Set(routes)
        for rule in rules where !standing.contains(rule.port) {
            var wanted = ports[rule.port] ?? (false, false, false)
            switch rule.pattern {
            case .name(.localhost): wanted.loopback = true
            case .name, .subdomains: wanted.v4 = true
            case .address(.v4(0x7F00_0001)), .address(.v6(1)): wanted.loopback = true
            case .address(let address):
                guard AddressClass(of: address).opening != .never else { continue }
                DoorOpening.want(address, &wanted)
                addRoute(IPNetwork(only: address), &routed)
            case .network(let network):
                guard AddressClass(of: network.base).opening != .never else { continue }
                DoorOpening.want(network.base, &wanted)
                addRoute(network, &routed)
            }
            ports[rule.port] = wanted
        }
        for (port, wanted) in ports.sorted(by: { $0.key < $1.key }) {
            addListeners(port, wanted)
        }
    }

    private static func want(_ address: IPAddress, _ wanted: inout (v4: Bool, v6: Bool, loopback: Bool)) {
        switch address {
        case .v4: wanted.v4 = true
        case .v6: wanted.v6 = true
        }
    }

    private mutating func addListeners(_ port: Port, _ wanted: (v4: Bool, v6: Bool, loopback: Bool)) {
        func add(_ address: IPAddress) { listeners.append(DoorListener(.transparent, address, port)) }
        if wanted.v4 { add(.v4(0)) } else if wanted.loopback { add(.v4(0x7F00_0001)) }
        if wanted.v6 { add(.v6(0)) } else if wanted.loopback { add(.v6(1)) }
    }

    /// All of 127.0.0.0/8 and ::1 is local in any case.
    private mutating func addRoute(_ network: IPNetwork, _ routed: inout Set<IPNetwork>) {
        guard AddressClass(of: network.base) != .loopback, routed.insert(network).inserted else { return }
        routes.append(network)
    }

    /// The ports that listeners for programs without a proxy have.
    package var capturedPorts: Set<Port> {
        Set(listeners.filter { $0.kind == .transparent }.map(\.port))
    }
}

extension IPNetwork {
    /// The network of one address.
    package init(only address: IPAddress) {
        let length =
            switch address {
            case .v4: 32
            case .v6: 128
            }
        self.init(trusted: address, length: length)
    }
}

extension WireWriter {
    /// Writes an address: its family and its number.
    package mutating func write(_ address: IPAddress) {
        switch address {
        case .v4(let value):
            write(UInt8(4))
            write(UInt64(value))
        case .v6(let value):
            write(UInt8(6))
            write(UInt64(truncatingIfNeeded: value >> 64))
            write(UInt64(truncatingIfNeeded: value))
        }
    }

    /// Writes a network: its base and its length.
    package mutating func write(_ network: IPNetwork) {
        write(network.base)
        write(network.length)
    }
}

extension WireReader {
    /// Reads an address.
    package mutating func address() throws(WireError) -> IPAddress {
        switch try byte() {
        case 4:
            guard let value = UInt32(exactly: try unsigned()) else { throw malformed("address") }
            return .v4(value)
        case 6:
            let high = try unsigned()
            return .v6(UInt128(high) << 64 | UInt128(try unsigned()))
        default: throw malformed("address")
        }
    }

    /// Reads a network; bits behind its length are malformed.
    package mutating func network() throws(WireError) -> IPNetwork {
        let base = try address()
        guard let network = IPNetwork(base, length: try int()) else { throw malformed("network") }
        return network
    }

    /// Reads a port.
    package mutating func port() throws(WireError) -> Port {
        guard let number = UInt16(exactly: try int()), let port = Port(number) else {
            throw malformed("port")
        }
        return port
    }
}
