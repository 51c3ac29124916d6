package import BoxTypes

/// Why a target could not be reached.
package enum UpstreamFailure: Error, Equatable, Sendable {
    case nameNotFound
    case resolverTimeout
    case refused(String)
    case unreachable
    case connectTimeout
    /// The proxy of the user's network did not let it through, or is not there; what it said, for people.
    case upstreamProxy(String)
    /// No connection of the sandbox's own could be had for a published port.
    case noSocket
}

/// What a lookup found: the addresses of the name, and those of this machine at the same moment.
package struct Lookup: Equatable, Sendable {
    package var addresses: [IPAddress]
    package var own: Set<IPAddress>

    package init(addresses: [IPAddress], own: Set<IPAddress>) {
        self.addresses = addresses
        self.own = own
    }
}
