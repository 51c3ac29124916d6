internal import BoxKernel
internal import Glibc

/// The socket options of both ends of a connection. Connections have those of the listener that took them (tcp(7)).
enum RelayOptions {
    private struct Option {
        let level: CInt
        let name: CInt
        let value: CInt
    }

    /// Small writes are not delayed.
    private static let noDelay = Option(level: CInt(IPPROTO_TCP), name: TCP_NODELAY, value: 1)
    /// The kernel finds dead peers; first probe after 60 s.
    private static let probes = [
        Option(level: SOL_SOCKET, name: SO_KEEPALIVE, value: 1),
        Option(level: CInt(IPPROTO_TCP), name: TCP_KEEPIDLE, value: 60),
        Option(level: CInt(IPPROTO_TCP), name: TCP_KEEPINTVL, value: 15),
        Option(level: CInt(IPPROTO_TCP), name: TCP_KEEPCNT, value: 4),
    ]

    /// Sets the options of a socket.
    ///
    /// - Parameter isLocal: the other end is on this machine, whose kernel tells when it is gone.
    static func set(_ socket: CInt, isLocal: Bool = false) throws(KernelError) {
        try set(noDelay, socket)
        guard !isLocal else { return }
        for option in probes { try set(option, socket) }
    }

    private static func set(_ option: Option, _ socket: CInt) throws(KernelError) {
        var value = option.value
        let size = socklen_t(MemoryLayout<CInt>.size)
        try unsafe check("setsockopt", setsockopt(socket, option.level, option.name, &value, size))
    }
}
