internal import CLinux
internal import Glibc

/// Listening sockets.
package enum Listener {
    /// How many connections may wait to be accepted.
    package static let backlog: CInt = 128

    /// Opens a TCP socket that listens on this port of 127.0.0.1 alone; port 0 is a free one.
    package static func open(loopbackPort port: UInt16) throws(KernelError) -> Descriptor {
        let subject = "127.0.0.1:\(port)"
        let type = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        let socket = Descriptor(owning: try check("socket", Glibc.socket(AF_INET, type, 0), subject))
        try check("bind", box_bind_loopback(socket.number, port), subject)
        try check("listen", Glibc.listen(socket.number, backlog), subject)
        return socket
    }
}
