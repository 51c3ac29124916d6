/// A host as a request or a rule names it: by name or by address.
package enum Host: Hashable, Sendable, CustomStringConvertible {
    case name(HostName)
    case address(IPAddress)

    /// Parses a name, a dotted IPv4 address or a bracketed IPv6 address.
    package init(_ text: some StringProtocol) throws(HostRefusal) {
        if text.utf8.first == UInt8(ascii: "[") {
            guard Array(text.utf8).last == UInt8(ascii: "]"), text.utf8.count > 2 else {
                throw HostRefusal("\"\(text.shortened)\" is not a bracketed IPv6 address")
            }
            self = .address(try Host.v6(String(text.dropFirst().dropLast())))
        } else if let address = IPAddress(v4: text) {
            self = .address(address)
        } else {
            self = .name(try HostName(text))
        }
    }

    /// Parses IPv6 without brackets; a spelling that is not canonical is refused with the canonical one.
    static func v6(_ text: String) throws(HostRefusal) -> IPAddress {
        if let address = IPAddress(v6: text) { return address }
        guard text.utf8.count <= 45, let canonical = IPAddress.canonicalSpelling(of: text) else {
            throw HostRefusal("\"\(text.shortened)\" is not an IPv6 address")
        }
        throw HostRefusal("\"\(text)\" is not the canonical spelling of that address: write \(canonical)")
    }

    /// The canonical text without brackets, as logs and the server name of TLS have it.
    package var description: String {
        switch self {
        case .name(let name): name.description
        case .address(let address): address.description
        }
    }
}

/// Where a connection shall go. Parsed once; matching, resolving, dialling and logging all use this value.
package struct HostTarget: Hashable, Sendable, CustomStringConvertible {
    package let host: Host
    package let port: Port

    package init(host: Host, port: Port) {
        self.host = host
        self.port = port
    }

    /// Parses the authority of a request: `host:port`, or `host` where a default port is given. User
    /// information, percent escapes and everything else that is not part of a host is refused.
    package init(authority: some StringProtocol, defaultPort: Port? = nil) throws(HostRefusal) {
        let (host, port) = try HostTarget.split(authority)
        if let port {
            self.port = try Port(port)
        } else if let defaultPort {
            self.port = defaultPort
        } else {
            throw HostRefusal("\"\(authority.shortened)\" has no port")
        }
        self.host = try Host(host)
    }

    /// Separates the port at the one colon outside the brackets.
    package static func split(_ text: some StringProtocol) throws(HostRefusal) -> (
        host: String, port: String?
    ) {
        let bytes = Array(text.utf8)
        let colon = UInt8(ascii: ":")
        var hostEnd = bytes.count
        if bytes.first == UInt8(ascii: "[") {
            guard let close = bytes.firstIndex(of: UInt8(ascii: "]")) else {
                throw HostRefusal("\"\(text.shortened)\" has an opening bracket only")
            }
            hostEnd = close + 1
        } else if let first = bytes.firstIndex(of: colon) {
            hostEnd = first
        }
        let host = String(decoding: bytes[..<hostEnd], as: UTF8.self)
        if hostEnd == bytes.count { return (host, nil) }
        let port = bytes[(hostEnd + 1)...]
        guard bytes[hostEnd] == colon, !port.contains(colon) else {
            throw HostRefusal("\"\(text.shortened)\" is not a host and a port (IPv6 goes in brackets)")
        }
        return (host, String(decoding: port, as: UTF8.self))
    }

    package var description: String {
        switch host {
        case .name(let name): "\(name):\(port)"
        case .address(let address): "\(address.bracketed):\(port)"
        }
    }

    /// The spelling of a rule that opens it, without the port where that is 443.
    package var short: String {
        if port != .https { return description }
        switch host {
        case .name(let name): return name.description
        case .address(let address): return address.bracketed
        }
    }
}
