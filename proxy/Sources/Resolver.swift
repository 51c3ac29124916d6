internal import BoxKernel
internal import BoxTypes
internal import Glibc
internal import NIOCore
internal import NIOPosix
internal import Synchronization

/// Asks the host's own name resolution, away from the event loop. Each request asks once and uses that answer.
final class Resolver: Sendable {
    /// For how long the addresses of this machine are used again. A machine gets an address rarely, and programs in
    /// the sandbox can't give it one; so within a second after that, the address is what it was before: another
    /// machine's.
    private static let ownAge = TimeAmount.seconds(1)

    private struct Own {
        let addresses: Set<IPAddress>
        let time: NIODeadline
    }

    private let threads: NIOThreadPool
    private let own = Mutex<Own?>(nil)

    init() {
        // A dead name server holds a thread for seconds; others must still find theirs.
        threads = NIOThreadPool(numberOfThreads: 8)
        threads.start()
    }

    /// Ends the threads.
    func stop() throws { try threads.syncShutdownGracefully() }

    /// Calls `done` on the loop, perhaps at once, with the addresses of a host and of this machine. Addresses are
    /// not looked up; neither is localhost, which is not compared with this machine's addresses: it is one.
    func lookup(
        _ host: Host, on loop: any EventLoop, _ done: @escaping (Result<Lookup, UpstreamFailure>) -> Void
    ) {
        switch host {
        case .name(.localhost): return done(.success(Lookup(addresses: [], own: [])))
        case .address(let address):
            guard let own = recentOwn() else { break }
            return done(.success(Lookup(addresses: [address], own: own)))
        case .name: break
        }
        threads.runIfActive(eventLoop: loop) { try self.find(host) }.assumeIsolated().whenComplete { result in
            done(result.mapError { $0 as? UpstreamFailure ?? .refused("no lookup") })
        }
    }

    /// The same, on a thread that may wait.
    private func find(_ host: Host) throws -> Lookup {
        let addresses =
            switch host {
            case .address(let address): [address]
            case .name(let name): try Resolver.addresses(of: name)
            }
        return Lookup(addresses: addresses, own: try currentOwn())
    }

    private func recentOwn() -> Set<IPAddress>? {
        guard let last = own.withLock({ $0 }), NIODeadline.now() - last.time < Resolver.ownAge else {
            return nil
        }
        return last.addresses
    }

    private func currentOwn() throws(KernelError) -> Set<IPAddress> {
        if let recent = recentOwn() { return recent }
        // Before the question, so that the answer is never taken for younger than it is.
        let time = NIODeadline.now()
        let addresses = try Resolver.ownAddresses()
        own.withLock { $0 = Own(addresses: addresses, time: time) }
        return addresses
    }

    /// The host's resolver should give up before we do; glibc would wait 5 seconds for each server, twice.
    static func limitWaiting() throws(KernelError) {
        try unsafe check("setenv", setenv("RES_OPTIONS", "timeout:2 attempts:2", 0))
    }

    private static func addresses(of name: HostName) throws -> [IPAddress] {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        // The dot at the end makes the name absolute: the host's search domains must not add to it.
        let code = unsafe getaddrinfo(name.description + ".", nil, &hints, &list)
        defer { if let list = unsafe list { unsafe freeaddrinfo(list) } }
        guard code == 0 else {
            throw code == EAI_AGAIN ? UpstreamFailure.resolverTimeout : UpstreamFailure.nameNotFound
        }
        var found: [IPAddress] = []
        var next = unsafe list
        while let entry = unsafe next, found.count < Vetting.mostAddresses {
            if let address = unsafe IPAddress(entry.pointee.ai_addr) { found.append(address) }
            unsafe next = entry.pointee.ai_next
        }
        return found
    }

    /// The addresses of this machine's interfaces, at this moment.
    static func ownAddresses() throws(KernelError) -> Set<IPAddress> {
        var list: UnsafeMutablePointer<ifaddrs>?
        try unsafe check("getifaddrs", getifaddrs(&list))
        defer { if let list = unsafe list { unsafe freeifaddrs(list) } }
        var own: Set<IPAddress> = []
        var next = unsafe list
        while let entry = unsafe next {
            if let address = unsafe IPAddress(entry.pointee.ifa_addr) { own.insert(address) }
            unsafe next = entry.pointee.ifa_next
        }
        return own
    }
}

extension IPAddress {
    /// The address in a socket address; nil for other families and for no address.
    fileprivate init?(_ pointer: UnsafeMutablePointer<sockaddr>?) {
        guard let pointer = unsafe pointer else { return nil }
        // The kernel and the C library give at least the size that the family says. By offset (ip(7), ipv6(7)):
        // 4 behind family and port, 8 behind family, port and flow.
        let raw = UnsafeRawPointer(pointer)
        switch unsafe CInt(pointer.pointee.sa_family) {
        case AF_INET:
            self = .v4(UInt32(bigEndian: unsafe raw.loadUnaligned(fromByteOffset: 4, as: UInt32.self)))
        case AF_INET6:
            let high = UInt64(bigEndian: unsafe raw.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            let low = UInt64(bigEndian: unsafe raw.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
            self = .v6(UInt128(high) << 64 | UInt128(low))
        default: return nil
        }
    }
}
