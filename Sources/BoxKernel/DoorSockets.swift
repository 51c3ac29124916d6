package import BoxTypes
internal import Glibc

/// The sockets of the network door, made in the present network namespace, which they belong to for good.
package enum DoorSockets {
    /// A socket that listens as it is told; nil where it may be absent and this kernel has no IPv6.
    ///
    /// SO_REUSEPORT stays off: with it, another process of the same user could bind the port as well and take part of
    /// the connections. A port in use is `EADDRINUSE`.
    package static func open(_ listener: DoorListener) throws(KernelError) -> Descriptor? {
        do throws(KernelError) { return try bind(listener) } catch {
            // EAFNOSUPPORT: built without IPv6; EADDRNOTAVAIL: switched off, so nobody else can bind it either.
            guard listener.isOptional, error.code == EAFNOSUPPORT || error.code == EADDRNOTAVAIL else {
                throw error
            }
            return nil
        }
    }

    /// A TCP socket that will be connected from outside, to a port inside: by IPv6 where there is such, since a server may
    /// listen on ::1 alone; 127.0.0.1 can be reached by it as well.
    package static func unconnected() throws(KernelError) -> Descriptor {
        try socket(usesIPv6 ? AF_INET6 : AF_INET, isStream: true, "unconnected")
    }

    private static let usesIPv6 = hasIPv6()

    /// Whether IPv6 can be used here at all.
    package static func hasIPv6() -> Bool {
        guard let socket = try? socket(AF_INET6, isStream: true, "IPv6") else { return false }
        return (try? bind(socket, .v6(1), 0, "[::1]")) != nil
    }

    private static func bind(_ listener: DoorListener) throws(KernelError) -> Descriptor {
        let isStream = listener.kind != .dnsDatagram
        let family =
            switch listener.address {
            case .v4: AF_INET
            case .v6: AF_INET6
            }
        let socket = try socket(family, isStream: isStream, listener.description)
        if isStream {
            // Connections of an earlier session that have ended do not hold the port; a listening socket does.
            var on: CInt = 1
            try unsafe check(
                "setsockopt",
                setsockopt(socket.number, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<CInt>.size)))
        }
        try bind(socket, listener.address, listener.port.number, listener.description)
        if isStream { try check("listen", listen(socket.number, Listener.backlog), listener.description) }
        return socket
    }

    private static func socket(
        _ family: CInt, isStream: Bool, _ subject: String
    ) throws(KernelError) -> Descriptor {
        let type = CInt((isStream ? SOCK_STREAM : SOCK_DGRAM).rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        return Descriptor(owning: try check("socket", Glibc.socket(family, type, 0), subject))
    }

    private static func bind(
        _ socket: borrowing Descriptor, _ address: IPAddress, _ port: UInt16, _ subject: String
    ) throws(KernelError) {
        switch address {
        case .v4(let value):
            var place = sockaddr_in()
            place.sin_family = sa_family_t(AF_INET)
            place.sin_port = port.bigEndian
            place.sin_addr.s_addr = value.bigEndian
            try bind(socket.number, &place, subject)
        case .v6(let value):
            // Only IPv6: IPv4 has a socket of its own.
            var only: CInt = 1
            try unsafe check(
                "setsockopt",
                setsockopt(
                    socket.number, CInt(IPPROTO_IPV6), IPV6_V6ONLY, &only, socklen_t(MemoryLayout<CInt>.size))
            )
            var place = sockaddr_in6()
            place.sin6_family = sa_family_t(AF_INET6)
            place.sin6_port = port.bigEndian
            unsafe withUnsafeMutableBytes(of: &place.sin6_addr) { raw in
                unsafe raw.storeBytes(of: value.bigEndian, as: UInt128.self)
            }
            try bind(socket.number, &place, subject)
        }
    }

    private static func bind<Place>(
        _ socket: CInt, _ place: inout Place, _ subject: String
    ) throws(KernelError) {
        let size = socklen_t(MemoryLayout<Place>.size)
        // A sockaddr_in or sockaddr_in6, both of which begin like sockaddr.
        let result = unsafe withUnsafePointer(to: &place) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe Glibc.bind(socket, $0, size)
            }
        }
        try check("bind", result, subject)
    }
}
