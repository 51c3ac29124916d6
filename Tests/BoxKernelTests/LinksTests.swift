import BoxKernel
import BoxTypes
import CLinux
import Glibc
import Testing

struct LinksTests {
    @Test(.enabled(if: Host.canMakeUserNamespaces), arguments: Launch.available)
    func `loopback in a new network namespace is down before and up after`(launch: Launch) async {
        await #expect(processExitsWith: .success) { [launch] in
            try launch.become()
            let ending = try inChild {
                try enterNetworkNamespace()
                // The control: nothing is reachable, not even oneself.
                guard connectLoopback(1) == ENETUNREACH else { return 1 }
                try RouteSocket().bringUpLoopback()
                guard connectLoopback(1) == ECONNREFUSED else { return 2 }
                let listener = try Listener.open(loopbackPort: 3128)
                guard connectLoopback(3128) == 0 else { return 3 }
                try listener.close()
                // Once more is no error.
                try RouteSocket().bringUpLoopback()
                return 0
            }
            #expect(ending == .exited(0))
        }
    }

    @Test func `a user may not change the links of the host, and the error has both texts`() async {
        await #expect(processExitsWith: .success) {
            try Launch.user.become()
            let error = errorOf { () throws(KernelError) in try RouteSocket().bringUpLoopback() }
            #expect(
                error
                    == KernelError(
                        call: "rtnl_link_change", code: EPERM, subject: "lo (Operation not permitted)"))
        }
    }

    @Test(.enabled(if: Host.canMakeUserNamespaces))
    func `a network namespace without capabilities in it stays down`() async {
        await #expect(processExitsWith: .success) {
            let ending = try inChild {
                try enterNetworkNamespace()
                try Capabilities.dropAll()
                guard errnoOf({ () throws(KernelError) in try RouteSocket().bringUpLoopback() }) == EPERM
                else {
                    return 1
                }
                return connectLoopback(1) == ENETUNREACH ? 0 : 2
            }
            #expect(ending == .exited(0))
        }
    }
}

struct ListenerTests {
    @Test func `a listener is closed on exec, and the port is its alone`() async {
        await #expect(processExitsWith: .success) {
            // In a namespace of its own, so that the port is free.
            let ending = try inChild {
                try enterNetworkNamespace()
                try RouteSocket().bringUpLoopback()
                let listener = try Listener.open(loopbackPort: 8080)
                guard fcntl(listener.number, F_GETFD) == FD_CLOEXEC else { return 1 }
                let again = errorOf { () throws(KernelError) in _ = try Listener.open(loopbackPort: 8080) }
                guard again == KernelError(call: "bind", code: EADDRINUSE, subject: "127.0.0.1:8080") else {
                    return 2
                }
                // Another process of the same user that asks to share the port.
                let thief = Descriptor(owning: socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0))
                var on: CInt = 1
                let size = socklen_t(MemoryLayout<CInt>.size)
                for option in [SO_REUSEADDR, SO_REUSEPORT] {
                    try check("setsockopt", unsafe setsockopt(thief.number, SOL_SOCKET, option, &on, size))
                }
                guard box_bind_loopback(thief.number, 8080) == -1, errno == EADDRINUSE else { return 3 }
                try listener.close()
                return box_bind_loopback(thief.number, 8080) == 0 ? 0 : 4
            }
            #expect(ending == .exited(0))
        }
    }
}

struct DoorSocketsTests {
    @Test(.enabled(if: Host.canMakeUserNamespaces))
    func `a local route brings every address of a network to one socket, which knows the address`() async {
        await #expect(processExitsWith: .success) {
            let ending = try inChild {
                try enterNetworkNamespace()
                let routes = try RouteSocket()
                try routes.bringUpLoopback()
                guard let network = IPNetwork(.v4(0xC612_0000), length: 15), let port = Port(443) else {
                    return 1
                }
                // The control: without the route nothing leads there.
                guard connectTo(0xC612_0304, 443) == ENETUNREACH else { return 2 }
                try routes.addLocalRoute(network)
                // Once more is no error.
                try routes.addLocalRoute(network)
                guard connectTo(0xC612_0304, 443) == ECONNREFUSED else { return 3 }
                guard let socket = try DoorSockets.open(DoorListener(.transparent, .v4(0), port)) else {
                    return 4
                }
                guard connectTo(0xC612_0304, 443) == 0, connectTo(0xC613_FFFF, 443) == 0 else { return 5 }
                guard connectTo(0xC614_0000, 443) == ENETUNREACH else { return 6 }
                guard acceptedAddress(socket) == 0xC612_0304, acceptedAddress(socket) == 0xC613_FFFF else {
                    return 7
                }
                return 0
            }
            #expect(ending == .exited(0))
        }
    }

    @Test(.enabled(if: Host.canMakeUserNamespaces))
    func `a port that is taken is an error, and IPv6 never takes IPv4's`() async {
        await #expect(processExitsWith: .success) {
            let ending = try inChild {
                try enterNetworkNamespace()
                try RouteSocket().bringUpLoopback()
                guard let port = Port(8080) else { return 1 }
                let v6 = try DoorSockets.open(DoorListener(.transparent, .v6(0), port))
                guard connectLoopback(8080) == ECONNREFUSED else { return 2 }
                let v4 = try DoorSockets.open(DoorListener(.transparent, .v4(0), port))
                guard v4 != nil, connectLoopback(8080) == 0 else { return 3 }
                let again = errorOf { () throws(KernelError) in
                    _ = try DoorSockets.open(DoorListener(.http, .v4(0x7F00_0001), port))
                }
                guard again == KernelError(call: "bind", code: EADDRINUSE, subject: "127.0.0.1:8080") else {
                    return 4
                }
                let datagram = try DoorSockets.open(DoorListener(.dnsDatagram, .v4(0x7F00_0001), port))
                guard datagram != nil else { return 5 }
                // A kernel without IPv6 has no such socket, and that is no error.
                if let v6 { guard fcntl(v6.number, F_GETFD) == FD_CLOEXEC else { return 6 } }
                return 0
            }
            #expect(ending == .exited(0))
        }
    }
}

/// The local address of the next connection that waits at a listening socket.
private func acceptedAddress(_ listener: borrowing Descriptor) -> UInt32 {
    let connection = Descriptor(owning: accept(listener.number, nil, nil))
    var address = sockaddr_in()
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let result = unsafe withUnsafeMutablePointer(to: &address) { pointer in
        unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            unsafe getsockname(connection.number, $0, &size)
        }
    }
    return result == 0 ? UInt32(bigEndian: address.sin_addr.s_addr) : 0
}

/// Enters a network namespace of its own, in a user namespace of its own; root as well, to be alike.
private func enterNetworkNamespace() throws {
    let newNetwork: CInt = 0x4000_0000
    try check("unshare", box_unshare(CInt(BOX_CLONE_NEWUSER) | newNetwork))
}

/// The errno of a connection to 127.0.0.1, 0 if there was one.
private func connectLoopback(_ port: UInt16) -> CInt { connectTo(0x7F00_0001, port) }

/// The errno of a connection to an IPv4 address, 0 if there was one.
private func connectTo(_ host: UInt32, _ port: UInt16) -> CInt {
    let socket = Descriptor(owning: Glibc.socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = host.bigEndian
    let result = unsafe withUnsafePointer(to: address) { pointer in
        unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
            unsafe connect(socket.number, address, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
    return result == 0 ? 0 : errno
}
