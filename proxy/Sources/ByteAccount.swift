package import BoxTypes
internal import Synchronization

/// The bytes of one scope, the session or a host, shared by all its tunnels. It may be used on any thread.
///
/// Bytes are counted from the beginning, with or without limits, so that a limit that is set later counts what
/// has moved before.
package final class ByteAccount: Sendable {
    /// Seen from inside: `up` leaves.
    package enum Direction: Sendable, CaseIterable { case up, down }

    /// What a tunnel does after it has moved bytes.
    package enum Verdict: Equatable, Sendable {
        case go
        /// Read no more in this direction for so long.
        case wait(nanoseconds: UInt64)
        /// The tunnel ends, for the limit of that name: `bytes_per_second`, or `upload` or `download`, which end
        /// every tunnel of the scope.
        case exhausted(limit: String)
    }

    fileprivate struct Limits {
        var limits: NetworkLimits
        /// Made by the first bytes after a change: they know what time it is.
        var up: TokenBucket?
        var down: TokenBucket?
    }

    private let up = Atomic<Int>(0)
    private let down = Atomic<Int>(0)
    private let hasLimits: Atomic<Bool>
    private let hasRate: Atomic<Bool>
    private let limits: Mutex<Limits>

    package init(_ limits: NetworkLimits) {
        hasLimits = Atomic(limits.boundsBytes)
        hasRate = Atomic(limits.bytesPerSecond != nil)
        self.limits = Mutex(Limits(limits: limits))
    }

    /// Whether any limit on bytes is set.
    package var isLimited: Bool { hasLimits.load(ordering: .relaxed) }

    /// Whether the bytes a second are limited, so that large reads would make long pauses.
    package var isPaced: Bool { hasRate.load(ordering: .relaxed) }

    /// How many bytes have moved, in both directions.
    package var total: (up: Int, down: Int) {
        (up.load(ordering: .relaxed), down.load(ordering: .relaxed))
    }

    /// Counts bytes that were read, and says how it goes on. Called before they are passed on, and before the next
    /// are read: what exceeds a limit does not leave. Without limits this is one addition and no lock.
    ///
    /// - Parameter now: nanoseconds of a monotonic clock, the same for all callers.
    package func take(_ count: Int, _ direction: Direction, now: UInt64) -> Verdict {
        switch direction {
        case .up: up.wrappingAdd(count, ordering: .relaxed)
        case .down: down.wrappingAdd(count, ordering: .relaxed)
        }
        guard isLimited else { return .go }
        let total = total
        return limits.withLock { $0.verdict(count, direction, total, now) }
    }

    /// The limit that is reached, so that nothing new may begin; nil if none is.
    package var exhausted: String? {
        guard isLimited else { return nil }
        let total = total
        return limits.withLock { $0.limits.reached(total) }
    }

    /// Sets other limits; what has moved stays counted. An unchanged rate goes on as it was.
    package func update(_ limits: NetworkLimits) {
        self.limits.withLock { mine in
            if mine.limits.bytesPerSecond != limits.bytesPerSecond || mine.limits.excess != limits.excess {
                mine.up = nil
                mine.down = nil
            }
            mine.limits = limits
            hasLimits.store(limits.boundsBytes, ordering: .relaxed)
            hasRate.store(limits.bytesPerSecond != nil, ordering: .relaxed)
        }
    }
}

extension ByteAccount.Limits {
    fileprivate mutating func verdict(
        _ count: Int, _ direction: ByteAccount.Direction, _ total: (up: Int, down: Int), _ now: UInt64
    ) -> ByteAccount.Verdict {
        // The last byte that may move is no reason to end.
        if let limit = limits.upload, total.up > limit.bytes { return .exhausted(limit: "upload") }
        if let limit = limits.download, total.down > limit.bytes { return .exhausted(limit: "download") }
        guard let rate = limits.bytesPerSecond else { return .go }
        let excess = limits.excess ?? .slow
        // A slowed tunnel is slowed from the first quarter of a second on, so that its rate is the limit also
        // over short times. One that would be closed may be uneven within a second.
        let perSecond = Double(rate.bytes)
        let fresh = TokenBucket(
            perSecond: perSecond, burst: excess == .close ? perSecond : perSecond / 4, now: now)
        let wait: UInt64?
        switch direction {
        case .up: wait = (up ?? fresh).charged(count, now, keeping: &up)
        case .down: wait = (down ?? fresh).charged(count, now, keeping: &down)
        }
        guard let wait else { return .go }
        switch excess {
        case .slow: return .wait(nanoseconds: wait)
        case .close: return .exhausted(limit: "bytes_per_second")
        }
    }
}

extension TokenBucket {
    /// Charges a copy and keeps it.
    fileprivate func charged(_ count: Int, _ now: UInt64, keeping kept: inout TokenBucket?) -> UInt64? {
        var bucket = self
        defer { kept = bucket }
        return bucket.charge(Double(count), now: now)
    }
}

extension NetworkLimits {
    /// Whether any of the limits is on bytes.
    fileprivate var boundsBytes: Bool { upload != nil || download != nil || bytesPerSecond != nil }

    /// The limit on all bytes that has been used up.
    fileprivate func reached(_ total: (up: Int, down: Int)) -> String? {
        if let upload, total.up >= upload.bytes { return "upload" }
        if let download, total.down >= download.bytes { return "download" }
        return nil
    }
}
