package import BoxTypes

/// Why a target could not be reached.
package enum UpstreamFailure: Error, Equatable, Sendable {
    case nameNotFound
    case resolverTimeout
    case refused(String)
    case connectTimeout
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
