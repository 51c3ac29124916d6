internal import BoxTypes
internal import NIOCore
internal import NIOPosix

/// Connects to one of several vetted addresses, the first that answers (RFC 8305): while one is silent the next is
/// tried beside it, and one that fails makes room at once.
struct Dialler {
    /// For all tries together.
    static let patience = TimeAmount.seconds(10)
    /// For how long one try is alone.
    static let stagger = TimeAmount.milliseconds(250)
    private static let mostTries = 6

    let loop: any EventLoop
    let port: Port
    let prepare: @Sendable (any Channel) -> EventLoopFuture<Void>

    /// A connection that stands.
    struct Dialled: Sendable {
        let channel: any Channel
        let address: IPAddress
    }

    /// The first connection that stands, or the failure of the first try.
    func dial(_ addresses: [IPAddress]) -> EventLoopFuture<Dialled> {
        let race = Race(self, Array(Dialler.order(addresses).prefix(Dialler.mostTries)))
        race.next()
        return race.result
    }

    /// The families take turns, the resolver's first choice first: if one family is broken here, the other is
    /// tried next.
    static func order(_ addresses: [IPAddress]) -> [IPAddress] {
        guard let first = addresses.first else { return [] }
        let same = addresses.filter { $0.isV6 == first.isV6 }
        let other = addresses.filter { $0.isV6 != first.isV6 }
        return (0..<max(same.count, other.count)).flatMap { place in
            same.dropFirst(place).prefix(1) + other.dropFirst(place).prefix(1)
        }
    }

    /// The tries of one target, on the event loop.
    private final class Race {
        private let dialler: Dialler
        private let promise: EventLoopPromise<Dialled>
        private let deadline = NIODeadline.now() + Dialler.patience
        private var left: [IPAddress]
        /// Those that do not stand yet.
        private var tries: [ObjectIdentifier: any Channel] = [:]
        private var running = 0
        private var isOver = false
        private var failure: (any Error)?
        private var timer: Scheduled<Void>?

        init(_ dialler: Dialler, _ addresses: [IPAddress]) {
            self.dialler = dialler
            left = addresses
            promise = dialler.loop.makePromise(of: Dialled.self)
        }

        var result: EventLoopFuture<Dialled> { promise.futureResult }

        /// Begins with the next address, if there is one.
        func next() {
            timer?.cancel()
            timer = nil
            guard !isOver else { return }
            guard !left.isEmpty else {
                if running == 0 { end(.failure(failure ?? UpstreamFailure.refused("no address"))) }
                return
            }
            let address = left.removeFirst()
            let patience = deadline - .now()
            guard patience > .nanoseconds(0) else {
                left = []
                failure = failure ?? UpstreamFailure.connectTimeout
                return next()
            }
            running += 1
            connect(address, patience).assumeIsolated().whenComplete { self.ended(address, $0) }
            guard !left.isEmpty, !isOver else { return }
            timer = dialler.loop.assumeIsolated().scheduleTask(in: Dialler.stagger) { self.next() }
        }

        private func connect(_ address: IPAddress, _ patience: TimeAmount) -> EventLoopFuture<any Channel> {
            let me = NIOLoopBound(self, eventLoop: dialler.loop)
            let prepare = dialler.prepare
            do {
                return ClientBootstrap(group: dialler.loop)
                    .connectTimeout(patience)
                    .relayOptions()
                    .channelInitializer { channel in
                        me.value.tries[ObjectIdentifier(channel)] = channel
                        return prepare(channel)
                    }
                    .connect(to: try SocketAddress(address, dialler.port))
            } catch { return dialler.loop.makeFailedFuture(error) }
        }

        private func ended(_ address: IPAddress, _ result: Result<any Channel, any Error>) {
            running -= 1
            switch result {
            case .success(let channel):
                tries[ObjectIdentifier(channel)] = nil
                guard !isOver else { return channel.close(promise: nil) }
                end(.success(Dialled(channel: channel, address: address)))
            case .failure(let error):
                failure = failure ?? error
                next()
            }
        }

        private func end(_ result: Result<Dialled, any Error>) {
            isOver = true
            timer?.cancel()
            for channel in tries.values { channel.close(promise: nil) }
            tries = [:]
            promise.completeWith(result)
        }
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
    func relayOptions() -> ClientBootstrap {
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
