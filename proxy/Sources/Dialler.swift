internal import BoxTypes
internal import NIOCore
internal import NIOPosix

/// Connects to one of several vetted addresses: one after the other, since most first tries succeed.
struct Dialler {
    /// For all tries together.
    static let patience = TimeAmount.seconds(10)
    /// For one try while others are left: a silent address must not take all the time.
    static let patienceWithAlternative = TimeAmount.milliseconds(2500)
    private static let mostTries = 4

    let loop: any EventLoop
    let port: Port
    let prepare: @Sendable (any Channel) -> EventLoopFuture<Void>

    /// The first connection that stands, or the failure of the last try.
    func dial(_ addresses: [IPAddress]) -> EventLoopFuture<any Channel> {
        dial(Dialler.order(addresses)[...], deadline: .now() + Dialler.patience)
    }

    private func dial(_ addresses: ArraySlice<IPAddress>, deadline: NIODeadline) -> EventLoopFuture<
        any Channel
    > {
        guard let first = addresses.first else {
            return loop.makeFailedFuture(UpstreamFailure.refused("no address"))
        }
        let rest = addresses.dropFirst()
        let left = deadline - .now()
        let patience = rest.isEmpty ? left : min(left, Dialler.patienceWithAlternative)
        guard patience > .nanoseconds(0) else {
            return loop.makeFailedFuture(UpstreamFailure.connectTimeout)
        }
        let attempt = connect(first, patience)
        if rest.isEmpty { return attempt }
        let dialler = self
        return attempt.flatMapError { _ in dialler.dial(rest, deadline: deadline) }
    }

    private func connect(_ address: IPAddress, _ patience: TimeAmount) -> EventLoopFuture<any Channel> {
        do {
            return ClientBootstrap(group: loop)
                .connectTimeout(patience)
                .proxyOptions()
                .channelInitializer(prepare)
                .connect(to: try SocketAddress(address, port))
        } catch { return loop.makeFailedFuture(error) }
    }

    /// The resolver's order, but the second try is of the other family: if one family is broken here, the
    /// other is tried next.
    static func order(_ addresses: [IPAddress]) -> [IPAddress] {
        guard let first = addresses.first else { return [] }
        let isSame = { (address: IPAddress) in address.isV6 == first.isV6 }
        guard let other = addresses.first(where: { !isSame($0) }) else {
            return Array(addresses.prefix(mostTries))
        }
        return Array(([first, other] + addresses.dropFirst().filter { $0 != other }).prefix(mostTries))
    }
}

extension IPAddress {
    fileprivate var isV6: Bool {
        switch self {
        case .v4: false
        case .v6: true
        }
    }
}

extension SocketAddress {
    /// An address for the kernel, without any lookup.
    fileprivate init(_ address: IPAddress, _ port: Port) throws {
        var packed = ByteBuffer()
        switch address {
        case .v4(let value): packed.writeInteger(value)
        case .v6(let value):
            packed.writeInteger(UInt64(truncatingIfNeeded: value >> 64))
            packed.writeInteger(UInt64(truncatingIfNeeded: value))
        }
        try self.init(packedIPAddress: packed, port: Int(port.number))
    }
}

extension ClientBootstrap {
    /// What both ends of a relay need.
    fileprivate func proxyOptions() -> ClientBootstrap {
        var bootstrap = self
        for option in RelayOptions.flags {
            bootstrap = bootstrap.channelOption(option.option, value: option.value)
        }
        return
            bootstrap
            .channelOption(.autoRead, value: false)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelOption(.maxMessagesPerRead, value: 1)
            .channelOption(.writeBufferWaterMark, value: RelayOptions.waterMark)
            .channelOption(.recvAllocator, value: RelayOptions.allocator)
    }
}
