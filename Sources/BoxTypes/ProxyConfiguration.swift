/// What the supervisor tells `box-proxy` before it serves anything.
package struct ProxyConfiguration: Equatable, Sendable {
    package var session: String
    package var rules: NetworkRules
    /// The unprivileged id that the proxy changes to when it was started by root; nil otherwise.
    package var identity: UInt32?
    /// Serve although the kernel has no Landlock, because the policy accepts that by name.
    package var acceptsMissingLandlock: Bool
    /// Seconds that a refused connection waits for a rule that allows it; 0 for none.
    package var hold = 0
    /// The proxy of the user's network through which everything but localhost is reached.
    package var upstream: UpstreamProxy?

    package init(
        session: String, rules: NetworkRules, identity: UInt32?, acceptsMissingLandlock: Bool = false
    ) {
        self.session = session
        self.rules = rules
        self.identity = identity
        self.acceptsMissingLandlock = acceptsMissingLandlock
    }

    /// Writes the payload of a `configuration` message.
    package func write(to writer: inout WireWriter) {
        writer.write(session)
        rules.write(to: &writer)
        writer.write(identity) { $0.write(UInt64($1)) }
        writer.write(acceptsMissingLandlock)
        writer.write(hold)
        writer.write(upstream) { $1.write(to: &$0) }
    }

    /// Reads the payload of a `configuration` message.
    package init(from reader: inout WireReader) throws(WireError) {
        session = try reader.string()
        rules = try NetworkRules(from: &reader)
        identity = try reader.optional { (reader: inout WireReader) throws(WireError) -> UInt32 in
            guard let id = UInt32(exactly: try reader.unsigned()) else { throw reader.malformed("identity") }
            return id
        }
        acceptsMissingLandlock = try reader.bool()
        hold = try reader.int()
        upstream = try reader.optional { (reader: inout WireReader) throws(WireError) in
            try UpstreamProxy(from: &reader)
        }
    }
}

/// The HTTP proxy of a company's network.
package struct UpstreamProxy: Hashable, Sendable {
    package var target: HostTarget
    /// The value of `Proxy-Authorization` (RFC 7617); nil if none is wanted. Never shown.
    package var authorization: String?

    package init(target: HostTarget, authorization: String? = nil) {
        self.target = target
        self.authorization = authorization
    }

    fileprivate func write(to writer: inout WireWriter) {
        writer.write(target.description)
        writer.write(authorization) { $0.write($1) }
    }

    fileprivate init(from reader: inout WireReader) throws(WireError) {
        let text = try reader.string()
        do throws(HostRefusal) { target = try HostTarget(authority: text) } catch {
            throw reader.malformed("upstream proxy")
        }
        authorization = try reader.optional { (reader: inout WireReader) throws(WireError) in
            try reader.string()
        }
    }
}

/// What a socket that is handed to the proxy is for.
package enum DoorSocket: Hashable, Sendable {
    /// Listens inside for HTTP: `CONNECT` and absolute-form requests.
    case http
    /// Listens inside for SOCKS5.
    case socks
    /// Listens inside for whatever a program sends to the address that it got for a name; the local address of a
    /// connection says which host is meant.
    case transparent
    /// The DNS responder's datagram socket inside.
    case dnsDatagram
    /// The DNS responder's listening socket inside.
    case dnsStream
    /// Listens on the host's loopback for what goes to this port inside (`--publish`).
    case published(Port)
    /// Not connected yet, made inside: each carries one published connection.
    case unconnected

    /// The word for it in plans and messages.
    package var name: String {
        switch self {
        case .http: "http"
        case .socks: "socks"
        case .transparent: "transparent"
        case .dnsDatagram: "dns-datagram"
        case .dnsStream: "dns-stream"
        case .published: "published"
        case .unconnected: "unconnected"
        }
    }

    package func write(to writer: inout WireWriter) {
        switch self {
        case .http: writer.write(UInt8(0))
        case .socks: writer.write(UInt8(1))
        case .transparent: writer.write(UInt8(2))
        case .dnsDatagram: writer.write(UInt8(3))
        case .dnsStream: writer.write(UInt8(4))
        case .published(let port):
            writer.write(UInt8(5))
            writer.write(Int(port.number))
        case .unconnected: writer.write(UInt8(6))
        }
    }

    package init(from reader: inout WireReader) throws(WireError) {
        switch try reader.byte() {
        case 0: self = .http
        case 1: self = .socks
        case 2: self = .transparent
        case 3: self = .dnsDatagram
        case 4: self = .dnsStream
        case 5:
            guard let number = UInt16(exactly: try reader.int()), let port = Port(number) else {
                throw reader.malformed("port")
            }
            self = .published(port)
        case 6: self = .unconnected
        default: throw reader.malformed("socket")
        }
    }
}

/// The messages on the control socket between the supervisor and `box-proxy`: a `SOCK_SEQPACKET` pair, one
/// message a packet, the first byte is the tag, the rest the payload in the wire encoding.
///
/// Order: the supervisor sends `configuration` and then, at any time, `sockets` and `rules`. The proxy confines
/// itself as soon as it has its configuration, answers `ready` (no payload) when it serves the first sockets, then
/// sends `event`s. Either end that sees the other's end of file stops: the proxy exits, the supervisor closes the
/// network.
package enum ProxyMessage: UInt8, Sendable {
    /// A `ProxyConfiguration`, which may be longer than a packet: it is in the sealed memory file that comes along.
    case configuration = 1
    /// Sockets (`SCM_RIGHTS`), and in the payload the list of what each is for (`DoorSocket`), in the same order.
    case sockets = 2
    case ready = 3
    /// One or more `BoxAudit.Event`s, to the end of the message.
    case event = 4
    /// The proxy could not start; a text follows.
    case failed = 5
    /// Other rules from now on (`NetworkRules`), in a sealed memory file like the configuration, and in the payload
    /// a number (8 bytes) that the answer repeats. Tunnels that they no longer allow are closed.
    case rules = 6
    /// The rules of that number are in force: the number, then how many tunnels were closed.
    case applied = 7
    /// The proxy needs more `unconnected` sockets; no payload.
    case wantsSockets = 8
    /// The rule for one connection (`SingleUse`) of that number let it through, and is over.
    case used = 9
    /// To the proxy, without payload: how much has moved? From it: the bytes that went up and came down, those of
    /// open tunnels too.
    case traffic = 10
}
