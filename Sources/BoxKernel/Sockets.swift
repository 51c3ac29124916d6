internal import CLinux
internal import Glibc

/// Listening sockets.
package enum Listener {
    /// How many connections may wait to be accepted.
    package static let backlog: CInt = 128

    /// Opens a TCP socket that listens on 127.0.0.1 and this port of the present network namespace.
    ///
    /// SO_REUSEPORT stays off: with it, another process of the same user could bind the port as well and take
    /// part of the connections. A port in use is `EADDRINUSE`.
    package static func open(loopbackPort port: UInt16) throws(KernelError) -> Descriptor {
        let type = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        let socket = Descriptor(owning: try check("socket", Glibc.socket(AF_INET, type, 0)))
        try check("bind", box_bind_loopback(socket.number, port), "127.0.0.1:\(port)")
        try check("listen", listen(socket.number, backlog), "127.0.0.1:\(port)")
        return socket
    }
}
