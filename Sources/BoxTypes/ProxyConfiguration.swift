/// What the supervisor tells `box-proxy` before it serves anything.
package struct ProxyConfiguration: Equatable, Sendable {
    package var session: String
    package var allow: [HostRule]
    package var deny: [HostRule]
    /// The unprivileged id that the proxy changes to when it was started by root; nil otherwise.
    package var identity: UInt32?
    /// Serve although the kernel has no Landlock, because the policy accepts that by name.
    package var acceptsMissingLandlock: Bool

    package init(
        session: String, allow: [HostRule], deny: [HostRule], identity: UInt32?,
        acceptsMissingLandlock: Bool = false
    ) {
        self.session = session
        self.allow = allow
        self.deny = deny
        self.identity = identity
        self.acceptsMissingLandlock = acceptsMissingLandlock
    }

    /// Writes the payload of a `configuration` message; rules go as their canonical text.
    package func write(to writer: inout WireWriter) {
        writer.write(session)
        writer.write(allow) { $0.write($1.description) }
        writer.write(deny) { $0.write($1.description) }
        writer.write(identity) { $0.write(UInt64($1)) }
        writer.write(acceptsMissingLandlock)
    }

    /// Reads the payload of a `configuration` message; rules are parsed again.
    package init(from reader: inout WireReader) throws(WireError) {
        let rules = { (reader: inout WireReader) throws(WireError) -> HostRule in
            let text = try reader.string()
            do throws(HostRefusal) { return try HostRule(text) } catch { throw reader.malformed("rule") }
        }
        session = try reader.string()
        allow = try reader.list(rules)
        deny = try reader.list(rules)
        identity = try reader.optional { (reader: inout WireReader) throws(WireError) -> UInt32 in
            guard let id = UInt32(exactly: try reader.unsigned()) else { throw reader.malformed("identity") }
            return id
        }
        acceptsMissingLandlock = try reader.bool()
    }
}

/// The messages on the control socket between the supervisor and `box-proxy`: a `SOCK_SEQPACKET` pair, one
/// message a packet, the first byte is the tag, the rest the payload in the wire encoding.
///
/// Order: the supervisor sends `configuration` (a `ProxyConfiguration`) and then, at any time, `listener`s with
/// listening sockets attached (`SCM_RIGHTS`) and no payload. The proxy confines itself as soon as it has its
/// configuration, answers `ready` (no payload) when it serves the first listener, then sends `event`s (a
/// `BoxAudit.Event`). Either end that sees the other's end of file stops: the proxy exits, the supervisor closes
/// the network.
package enum ProxyMessage: UInt8, Sendable {
    case configuration = 1
    case listener = 2
    case ready = 3
    case event = 4
    /// The proxy could not start; a text follows.
    case failed = 5
}
