/// A port inside that the host may connect to: `3000`, or `3000:8080` for the host's port 3000 and 8080 inside.
package struct PublishedPort: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// On the host's 127.0.0.1 and ::1.
    package let host: Port
    package let inside: Port

    /// Parses `PORT` or `HOSTPORT:PORT`.
    package init(_ text: String) throws(HostRefusal) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count) else {
            throw HostRefusal(
                "\"\(text.shortened)\" is not a port, or two as in 3000:8080 (the host's first)")
        }
        host = try Port(parts[0])
        inside = parts.count == 2 ? try Port(parts[1]) : host
    }

    package var description: String { host == inside ? "\(host)" : "\(host):\(inside)" }

    package static func < (left: PublishedPort, right: PublishedPort) -> Bool {
        (left.host, left.inside) < (right.host, right.inside)
    }
}
