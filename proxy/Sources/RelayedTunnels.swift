internal import BoxAudit
internal import BoxKernel
internal import BoxTypes
internal import NIOCore

/// What the log and the limits need of a tunnel that the relay carries.
struct RelayedTunnel {
    let request: Request
    let ticket: Accounts.Ticket?
    /// The program's end of its connection.
    let client: String
    let began: NIODeadline
    /// What it moved before.
    let counted: Meter
    /// Why we end it; nil while it shall live.
    var ending: String?

    /// Whether its bytes count in this account.
    func counts(in account: ByteAccount) -> Bool { ticket?.bytes.contains { $0 === account } ?? false }
}

/// The tunnels that the relay carries, as the event loop knows them.
struct RelayedTunnels {
    /// Seconds without a byte.
    private static let patience: Double = 600

    let relay: TunnelRelay
    private var tunnels: [UInt64: (tunnel: RelayedTunnel, id: TunnelID)] = [:]
    private var last: UInt64 = 0

    init(_ relay: TunnelRelay) { self.relay = relay }

    var count: Int { tunnels.count }

    /// Gives a tunnel with its two sockets to the relay.
    ///
    /// - Parameters:
    ///   - onSlowed: called on the loop when a rate slows the tunnel, with the number that it has here.
    ///   - onEnd: the same, when the tunnel has ended.
    mutating func add(
        _ tunnel: RelayedTunnel, _ client: (socket: CInt, isKnown: Bool),
        _ upstream: (socket: CInt, isKnown: Bool), early: [UInt8],
        onSlowed: @escaping @Sendable (UInt64) -> Void,
        onEnd: @escaping @Sendable (UInt64, TunnelRelay.End) -> Void
    ) {
        last += 1
        let number = last
        let id = relay.add(
            client: client.socket, upstream: upstream.socket, isKnown: (client.isKnown, upstream.isKnown),
            early: early, accounts: tunnel.ticket?.bytes ?? [],
            counted: (tunnel.counted.bytesUp, tunnel.counted.bytesDown), idle: RelayedTunnels.patience,
            onSlowed: { onSlowed(number) }, onEnd: { onEnd(number, $0) })
        tunnels[number] = (tunnel, id)
    }

    /// The tunnel of that number.
    func tunnel(_ number: UInt64) -> RelayedTunnel? { tunnels[number]?.tunnel }

    /// The relay is done with it.
    mutating func remove(_ number: UInt64) -> RelayedTunnel? { tunnels.removeValue(forKey: number)?.tunnel }

    /// Ends the tunnels that are like this, and returns how many these are. Their ends come from the relay.
    mutating func end(_ why: String, where isLikeThis: (RelayedTunnel) -> Bool) -> Int {
        var count = 0
        for (number, entry) in tunnels where entry.tunnel.ending == nil && isLikeThis(entry.tunnel) {
            tunnels[number]?.tunnel.ending = why
            relay.close(entry.id)
            count += 1
        }
        return count
    }
}

extension TunnelRelay.End {
    /// Why it did not end as it should, for the log; nil if it did.
    func detail(_ ending: String?) -> String? {
        switch reason {
        case .finished: nil
        case .broken(.client, _): "the program's connection broke"
        case .broken(.upstream, _): "the server's connection broke"
        case .idle: "idle for too long"
        case .limit(let limit): "the limit \(limit) was reached"
        case .closed: ending ?? "the relay stopped"
        }
    }
}

extension NIODeadline {
    /// For how long this is past.
    var millisecondsAgo: Int { Int((NIODeadline.now() - self).nanoseconds / 1_000_000) }
}
