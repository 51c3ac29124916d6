internal import BoxTypes
internal import CLinux
internal import Glibc

/// An end of a TCP or UDP socket.
struct Endpoint: Hashable, Sendable, CustomStringConvertible {
    let address: IPAddress
    let port: UInt16

    init(_ address: IPAddress, _ port: Port) {
        self.address = address
        self.port = port.number
    }

    /// Nil for other families.
    init?(_ raw: box_endpoint) {
        switch CInt(raw.family) {
        case AF_INET: address = .v4(UInt32(truncatingIfNeeded: raw.low))
        case AF_INET6: address = .v6(UInt128(raw.high) << 64 | UInt128(raw.low))
        default: return nil
        }
        port = raw.port
    }

    /// The local end of a socket; nil if it has no address.
    init?(localOf socket: CInt) {
        var raw = box_endpoint()
        guard unsafe box_local_endpoint(socket, &raw) == 0 else { return nil }
        self.init(raw)
    }

    var raw: box_endpoint {
        switch address {
        case .v4(let value): box_endpoint(high: 0, low: UInt64(value), port: port, family: UInt16(AF_INET))
        case .v6(let value):
            box_endpoint(
                high: UInt64(truncatingIfNeeded: value >> 64), low: UInt64(truncatingIfNeeded: value),
                port: port, family: UInt16(AF_INET6))
        }
    }

    /// Where a socket of this family reaches a port of the loopback. Some servers listen on ::1 alone.
    static func loopback(for socket: CInt, _ port: Port) -> [Endpoint] {
        var domain: CInt = 0
        var size = socklen_t(MemoryLayout<CInt>.size)
        let soDomain: CInt = 39  // socket(7), not in the importer's headers
        guard unsafe getsockopt(socket, SOL_SOCKET, soDomain, &domain, &size) == 0 else { return [] }
        guard domain == AF_INET6 else { return [Endpoint(.v4(0x7F00_0001), port)] }
        return [Endpoint(.v6(1), port), Endpoint(.v6(0xFFFF_7F00_0001), port)]
    }

    /// Begins to connect, or asks how it went; 0 or errno.
    func connect(_ socket: CInt) -> CInt {
        var raw = raw
        while unsafe box_connect(socket, &raw) < 0 {
            if errno != EINTR { return errno }
        }
        return 0
    }

    var description: String { "\(address.bracketed):\(port)" }

    /// Whether it is on this machine: connections there need no probes, and stand or fail at once.
    var isLoopback: Bool {
        switch address {
        case .v4(let value): value >> 24 == 127
        case .v6(let value): value == 1 || value >> 24 == 0xFFFF_7F
        }
    }
}
