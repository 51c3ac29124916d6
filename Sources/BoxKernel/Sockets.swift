internal import CLinux
internal import Glibc

/// Listening sockets.
package enum Listener {
    /// How many connections may wait to be accepted.
    package static let backlog: CInt = 128

    /// Opens TCP sockets that listen on this port of 127.0.0.1 and, if this kernel has IPv6, of ::1 in the present
    /// network namespace.
    ///
    /// Both, so that nothing else can listen where the sandbox looks for the proxy. SO_REUSEPORT stays off: with it,
    /// another process of the same user could bind the port as well and take part of the connections. A port in use
    /// is `EADDRINUSE`.
    package static func openBoth(loopbackPort port: UInt16) throws(KernelError) -> [CInt] {
        var open = [try listen(AF_INET, port).release()]
        do throws(KernelError) { open.append(try listen(AF_INET6, port).release()) } catch {
            // EAFNOSUPPORT: built without IPv6; EADDRNOTAVAIL: switched off, so nobody else can bind it either.
            guard error.code == EAFNOSUPPORT || error.code == EADDRNOTAVAIL else {
                close(open[0])
                throw error
            }
        }
        return open
    }

    /// Opens a TCP socket that listens on this port of 127.0.0.1 alone; port 0 is a free one.
    package static func open(loopbackPort port: UInt16) throws(KernelError) -> Descriptor {
        try listen(AF_INET, port)
    }

    private static func listen(_ family: CInt, _ port: UInt16) throws(KernelError) -> Descriptor {
        let subject = family == AF_INET ? "127.0.0.1:\(port)" : "[::1]:\(port)"
        let type = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        let socket = Descriptor(owning: try check("socket", Glibc.socket(family, type, 0), subject))
        let bind = family == AF_INET ? box_bind_loopback : box_bind_loopback6
        let bound = bind(socket.number, port)
        try check("bind", bound, subject)
        try check("listen", Glibc.listen(socket.number, backlog), subject)
        return socket
    }
}
