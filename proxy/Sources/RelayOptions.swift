internal import Glibc
internal import NIOCore

/// The socket options of both ends of a connection.
enum RelayOptions {
    /// A side is not read while this much waits to be written on the other.
    static let waterMark = ChannelOptions.Types.WriteBufferWaterMark(low: 64 << 10, high: 256 << 10)

    /// Reads start small, so that idle tunnels are cheap, and grow where data flows.
    static let allocator = AdaptiveRecvByteBufferAllocator(
        minimum: 1 << 10, initial: 4 << 10, maximum: 256 << 10)

    /// No delay for small writes, and the kernel finds dead peers (first probe after 60 s).
    static let flags: [(option: ChannelOptions.Types.SocketOption, value: SocketOptionValue)] = [
        (.tcp(TCP_NODELAY), 1),
        (.init(level: .socket, name: .so_keepalive), 1),
        (.tcp(TCP_KEEPIDLE), 60),
        (.tcp(TCP_KEEPINTVL), 15),
        (.tcp(TCP_KEEPCNT), 4),
    ]
}

extension ChannelOptions.Types.SocketOption {
    /// An option of tcp(7).
    fileprivate static func tcp(_ name: CInt) -> Self {
        Self(level: .tcp, name: NIOBSDSocket.Option(rawValue: name))
    }
}
