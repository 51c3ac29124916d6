/// A rate: tokens come in steadily up to a burst, and what is done takes them out. Times are nanoseconds of one
/// monotonic clock.
package struct TokenBucket: Sendable {
    /// What waits for more than this waits for ever; it keeps the numbers small.
    private static let longestWait: Double = 3600e9

    private let perSecond: Double
    private let burst: Double
    private var tokens: Double
    private var updated: UInt64

    /// A full bucket.
    package init(perSecond: Double, burst: Double, now: UInt64) {
        self.perSecond = max(perSecond, 0)
        self.burst = max(burst, 0)
        tokens = self.burst
        updated = now
    }

    /// Takes tokens if they are there; otherwise takes none and returns the nanoseconds to wait. More than the
    /// burst is let through when the bucket is full, and paid back before the next.
    package mutating func take(_ count: Double, now: UInt64) -> UInt64? {
        if let wait = wait(for: count, now: now) { return wait }
        tokens -= count
        return nil
    }

    /// How long `take` would have to wait, without taking; nil if it would not.
    package mutating func wait(for count: Double, now: UInt64) -> UInt64? {
        refill(now)
        let wanted = perSecond > 0 ? min(count, burst) : count
        return tokens >= wanted ? nil : time(for: wanted - tokens)
    }

    /// Takes tokens for what has already happened, also where there are none, and returns the nanoseconds until
    /// the debt is paid; nil if there is none.
    package mutating func charge(_ count: Double, now: UInt64) -> UInt64? {
        refill(now)
        tokens -= count
        return tokens >= 0 ? nil : time(for: -tokens)
    }

    private mutating func refill(_ now: UInt64) {
        guard now > updated else { return }
        tokens = min(burst, tokens + Double(now - updated) / 1e9 * perSecond)
        updated = now
    }

    private func time(for missing: Double) -> UInt64 {
        guard perSecond > 0 else { return UInt64(TokenBucket.longestWait) }
        return UInt64(min((missing / perSecond * 1e9).rounded(.up), TokenBucket.longestWait))
    }
}
