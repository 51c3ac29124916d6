/// One line of an allow or deny list, parsed once: a name, `*.name`, an address or a network, and a port.
///
/// `example.com` is that name only; `*.example.com` is what lies below it and not the name itself. Addresses
/// and networks match addresses only, names match names only. The port is 443 unless it is written.
package struct HostRule: Hashable, Sendable, CustomStringConvertible {
    /// What a rule says about the host.
    package enum Pattern: Hashable, Sendable {
        case name(HostName)
        case subdomains(of: HostName)
        case address(IPAddress)
        case network(IPNetwork)
    }

    package let pattern: Pattern
    package let port: Port

    /// The same host with a port.
    package init(_ pattern: Pattern, port: Port) {
        self.pattern = pattern
        self.port = port
    }

    /// Parses `HOST[:PORT]`, with HOST a name, `*.name`, an IPv4 address, an IPv6 address in brackets, or a
    /// network such as `10.0.0.0/8` or `[fd00::/8]`. Refuses everything else and says what to write.
    package init(_ text: String) throws(HostRefusal) {
        guard !text.contains("://") else {
            throw HostRefusal("\"\(text.shortened)\" is a URL: write only its host, and the port if not 443")
        }
        if text.utf8.contains(UInt8(ascii: "/")) {
            (pattern, port) = try HostRule.network(text)
            return
        }
        guard text.utf8.count(where: { $0 == UInt8(ascii: ":") }) < 2 || text.hasPrefix("[") else {
            throw HostRefusal(
                "\"\(text.shortened)\": an IPv6 address is written in brackets, [2001:db8::1]:443")
        }
        let (host, portText) = try HostTarget.split(text)
        port = try portText.map { (text: String) throws(HostRefusal) in try Port(text) } ?? .https
        if host.hasPrefix("*") {
            pattern = .subdomains(of: try HostRule.parent(of: host))
            return
        }
        switch try Host(host) {
        case .name(let name): pattern = .name(name)
        case .address(let address): pattern = .address(address)
        }
    }

    private static func parent(of host: String) throws(HostRefusal) -> HostName {
        guard host.hasPrefix("*."), !host.dropFirst().contains("*") else {
            throw HostRefusal("\"\(host.shortened)\": a star stands only at the front, as in *.example.com")
        }
        let parent = try HostName(host.dropFirst(2))
        guard parent != .localhost else {
            throw HostRefusal("\"\(host.shortened)\" needs at least two labels after the star")
        }
        return parent
    }

    /// `BASE/LENGTH[:PORT]`, or with brackets around both for IPv6.
    private static func network(_ text: String) throws(HostRefusal) -> (Pattern, Port) {
        let refusal = HostRefusal(
            "\"\(text.shortened)\" is not a network such as 10.0.0.0/8 or [fd00::/8]:5432")
        var inner = text
        var portText: String?
        if text.hasPrefix("[") {
            let (host, port) = try HostTarget.split(text)
            guard host.hasSuffix("]") else { throw refusal }
            inner = String(host.dropFirst().dropLast())
            portText = port
        } else if let slash = text.lastIndex(of: "/"), let colon = text[slash...].firstIndex(of: ":") {
            inner = String(text[..<colon])
            portText = String(text[text.index(after: colon)...])
        }
        let parts = inner.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, (1...3).contains(parts[1].utf8.count), parts[1].utf8.allSatisfy(\.isDigit),
            parts[1] == "0" || !parts[1].hasPrefix("0"), let length = Int(parts[1])
        else { throw refusal }
        let v4 = IPAddress(v4: parts[0])
        guard v4 == nil || !text.hasPrefix("[") else { throw refusal }
        let base: IPAddress = if let v4 { v4 } else { try Host.v6(String(parts[0])) }
        guard let network = IPNetwork(base, length: length) else {
            throw HostRefusal("\"\(inner)\" has address bits behind the network's length")
        }
        // Wider than any block that is one party's: it would hold public and private space alike.
        guard length >= (v4 != nil ? 8 : 7) else { throw HostRefusal("\"\(inner)\" is too wide a network") }
        return (
            .network(network),
            try portText.map { (text: String) throws(HostRefusal) in try Port(text) } ?? .https
        )
    }

    /// The canonical spelling, always with the port: `*.example.com:443`, `[fd00::/8]:5432`.
    package var description: String { "\(patternText):\(port)" }

    /// The spelling that people type: without the port where it is 443.
    package var short: String { port == .https ? patternText : description }

    private var patternText: String {
        switch pattern {
        case .name(let name): name.description
        case .subdomains(of: let parent): "*.\(parent)"
        case .address(let address): address.bracketed
        case .network(let network):
            switch network.base {
            case .v4: network.description
            case .v6: "[\(network)]"
            }
        }
    }

    /// Whether the rule is about this host, whatever the port.
    package func matches(_ host: Host) -> Bool {
        switch (pattern, host) {
        case (.name(let mine), .name(let name)): mine == name
        case (.subdomains(of: let parent), .name(let name)): name.isSubdomain(of: parent)
        case (.address(let mine), .address(let address)): mine == address
        case (.network(let network), .address(let address)): network.contains(address)
        case (.name, .address), (.subdomains, .address), (.address, .name), (.network, .name): false
        }
    }

    /// Whether the rule is about this host and port.
    package func matches(_ target: HostTarget) -> Bool { port == target.port && matches(target.host) }
}
