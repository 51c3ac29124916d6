internal import Glibc

/// One direction of a tunnel: reads the source, writes the destination.
///
/// What is ready is remembered, because the kernel tells it only once (epoll(7), edge triggered).
struct TunnelRelayFlow {
    /// How far one turn came.
    enum Turn {
        /// There is nothing to do before the next event.
        case waits
        /// The turn is over; there may be more to do.
        case goesOn
        /// Nothing is read before this time, by a limit.
        case paused(until: UInt64)
        /// The end was passed on: nothing will ever be left to do.
        case done
        /// A limit forbids the bytes that were read; they are dropped.
        case exhausted(limit: String, scope: ByteAccount)
        case readFailed(CInt)
        case writeFailed(CInt)
    }

    /// What one turn works with.
    struct Ends {
        let source: CInt
        let destination: CInt
        let direction: ByteAccount.Direction
        let accounts: [ByteAccount]
    }

    /// A pause is looked at again after a second: the limit that made it may have changed.
    private static let longestPause: UInt64 = 1_000_000_000

    private(set) var bytes: Int
    private var parked: TunnelRelayBuffers.Parked?
    private var isReadable = false
    private var isWritable = true
    /// The source's end is near: reading goes on until it is there.
    private var isEnding = false
    private var hasEnded = false
    private(set) var isDone = false
    /// Nothing is read before this time; 0 is none.
    private(set) var pausedUntil: UInt64 = 0

    init(counted: Int) { bytes = counted }

    /// The source has something: bytes, its end, or an error.
    mutating func becameReadable(isEnding: Bool) {
        isReadable = true
        if isEnding { self.isEnding = true }
    }

    /// The destination takes bytes again, or has failed.
    mutating func becameWritable() { isWritable = true }

    /// Whether it waits until the destination takes bytes again.
    var isStuck: Bool { !isWritable }

    /// Bytes that go before all others. Returns the limit that forbids them.
    mutating func begin(
        with early: [UInt8], _ ends: Ends, _ buffers: inout TunnelRelayBuffers, _ now: UInt64
    ) -> Turn? {
        guard !early.isEmpty else { return nil }
        if let refusal = count(early.count, ends, now) { return refusal }
        parked = buffers.park(early)
        return nil
    }

    /// Moves at most one buffer, so that no tunnel keeps the others waiting for long.
    mutating func turn(_ ends: Ends, _ buffers: inout TunnelRelayBuffers, _ now: UInt64) -> Turn {
        if let turn = sendParked(ends.destination, &buffers) { return turn }
        if hasEnded { return passOn(ends.destination) }
        guard isReadable, isWritable, !isDone else { return isDone ? .done : .waits }
        if let turn = endPause(ends, now) { return turn }
        let size = readSize(ends, buffers)
        let got = unsafe receive(ends.source, buffers.current.baseAddress, size)
        if got < 0 {
            isReadable = false
            return failed(Turn.readFailed) ?? .waits
        }
        guard got > 0 else {
            hasEnded = true
            return passOn(ends.destination)
        }
        // Less than was asked for is all that was there (epoll(7)); what comes now makes a new event.
        if got < size, !isEnding { isReadable = false }
        if let refusal = count(got, ends, now) { return refusal }
        let sent = unsafe send(ends.destination, buffers.current.baseAddress, got)
        if sent < 0, let failure = failed(Turn.writeFailed) { return failure }
        if sent < got {
            parked = buffers.park(max(sent, 0)..<got)
            isWritable = false
            return .waits
        }
        return pausedUntil > now ? .paused(until: pausedUntil) : isReadable ? .goesOn : .waits
    }

    /// Gives memory back. For the end.
    mutating func end(_ buffers: inout TunnelRelayBuffers) {
        if let parked { buffers.giveBack(parked) }
        parked = nil
    }

    /// Tries to get rid of what waits; nil when nothing does any more.
    private mutating func sendParked(_ destination: CInt, _ buffers: inout TunnelRelayBuffers) -> Turn? {
        guard var rest = parked else { return nil }
        guard isWritable else { return .waits }
        let bytes = unsafe rest.bytes
        let sent = unsafe send(destination, bytes.baseAddress, bytes.count)
        if sent < 0, let failure = failed(Turn.writeFailed) { return failure }
        rest.drop(max(sent, 0))
        guard rest.isEmpty else {
            parked = rest
            isWritable = false
            return .waits
        }
        buffers.giveBack(rest)
        parked = nil
        return nil
    }

    /// Nil when a pause is over, or there was none. The account has the last word: its limits may have changed.
    private mutating func endPause(_ ends: Ends, _ now: UInt64) -> Turn? {
        guard pausedUntil > 0 else { return nil }
        guard pausedUntil <= now else { return .paused(until: pausedUntil) }
        pausedUntil = 0
        if let refusal = count(0, ends, now) { return refusal }
        return pausedUntil > now ? .paused(until: pausedUntil) : nil
    }

    private mutating func passOn(_ destination: CInt) -> Turn {
        guard !isDone else { return .done }
        isDone = true
        // A destination that is gone says so where it is read.
        shutdown(destination, CInt(SHUT_WR))
        return .done
    }

    /// Counts bytes that were read; a limit that forbids them is the turn's result, one that slows pauses the flow.
    private mutating func count(_ count: Int, _ ends: Ends, _ now: UInt64) -> Turn? {
        for account in ends.accounts {
            switch account.take(count, ends.direction, now: now) {
            case .go: break
            case .wait(let nanoseconds):
                pausedUntil = max(pausedUntil, now + min(nanoseconds, TunnelRelayFlow.longestPause))
            case .exhausted(let limit): return .exhausted(limit: limit, scope: account)
            }
        }
        bytes += count
        return nil
    }

    /// Where a rate is limited, large reads would make long pauses.
    private func readSize(_ ends: Ends, _ buffers: borrowing TunnelRelayBuffers) -> Int {
        for account in ends.accounts where account.isPaced { return TunnelRelayBuffers.smallSize }
        return buffers.readSize
    }

    /// The call just made failed; nil if it only has to wait.
    private func failed(_ turn: (CInt) -> Turn) -> Turn? {
        let code = errno
        return code == EAGAIN ? nil : turn(code)
    }

    private func receive(_ socket: CInt, _ memory: UnsafeMutableRawPointer?, _ size: Int) -> Int {
        while true {
            let got = unsafe recv(socket, memory, size, CInt(MSG_DONTWAIT))
            if got >= 0 || errno != EINTR { return got }
        }
    }

    private func send(_ socket: CInt, _ memory: UnsafeRawPointer?, _ size: Int) -> Int {
        let flags = CInt(MSG_DONTWAIT) | CInt(MSG_NOSIGNAL)
        while true {
            let sent = unsafe Glibc.send(socket, memory, size, flags)
            if sent >= 0 || errno != EINTR { return sent }
        }
    }
}
