internal import BoxTypes
internal import Glibc

/// An address of the loopback that a socket can reach.
enum LoopbackTarget {
    case v4(Port)
    /// Also 127.0.0.1, written as IPv6.
    case v6(Port, mapped: Bool)

    /// What a socket of this family can connect to. Some servers listen on ::1 alone.
    static func all(for number: CInt, _ port: Port) -> [LoopbackTarget] {
        var domain: CInt = 0
        var size = socklen_t(MemoryLayout<CInt>.size)
        let soDomain: CInt = 39  // socket(7), not in the importer's headers
        guard unsafe getsockopt(number, SOL_SOCKET, soDomain, &domain, &size) == 0 else { return [] }
        return domain == AF_INET6 ? [.v6(port, mapped: false), .v6(port, mapped: true)] : [.v4(port)]
    }

    /// Begins to connect, or asks how it went; 0 or errno.
    func connect(_ number: CInt) -> CInt {
        let address = bytes
        let result = unsafe address.withUnsafeBytes { raw in
            // Sound: the bytes are a socket address, and `connect` copies them at any alignment.
            unsafe Glibc.connect(
                number, raw.baseAddress?.assumingMemoryBound(to: sockaddr.self), socklen_t(raw.count))
        }
        return result == 0 ? 0 : errno
    }

    /// The socket address, by offset (ip(7), ipv6(7)): family, port in network order; then the address of IPv4 and 8
    /// bytes of nothing; or the flow, the address and the scope of IPv6.
    private var bytes: [UInt8] {
        let loopback4: [UInt8] = [127, 0, 0, 1]
        switch self {
        case .v4(let port): return LoopbackTarget.start(AF_INET, port) + loopback4 + LoopbackTarget.zeros(8)
        case .v6(let port, let isMapped):
            let tail = isMapped ? [0, 0, 0xFF, 0xFF] + loopback4 : [0, 0, 0, 0, 0, 0, 0, 1]
            return LoopbackTarget.start(AF_INET6, port) + LoopbackTarget.zeros(4 + 8) + tail
                + LoopbackTarget.zeros(4)
        }
    }

    private static func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }

    private static func start(_ family: CInt, _ port: Port) -> [UInt8] {
        let native = unsafe withUnsafeBytes(of: UInt16(family)) { unsafe Array($0) }
        return native + [UInt8(port.number >> 8), UInt8(port.number & 0xFF)]
    }
}
