internal import BoxAudit
internal import BoxTypes
internal import NIOCore

/// Which directions are not read for a while, because a limit slows them.
struct Pauses {
    fileprivate var up: Scheduled<Void>?
    fileprivate var down: Scheduled<Void>?
    fileprivate var wasLogged = false

    func cancel() {
        up?.cancel()
        down?.cancel()
    }
}

/// How bytes move: who is read when, what is counted, and for how long it may be quiet.
extension ClientHandler {
    /// Reads each side that is wanted, as long as the other side takes the bytes.
    func pull() {
        guard let peer else { return }
        let mayAsk = connection.phase != .head || !door.isBehind
        if isFinishing
            || (connection.wantsClient && mayAsk && pauses.up == nil && upstream?.isWritable ?? true)
        {
            peer.read()
        }
        if connection.wantsUpstream, pauses.down == nil, peer.isWritable { upstream?.read() }
    }

    /// Sends bytes to the origin server, unless a limit says that they stay here.
    func sendUp(_ bytes: ByteBuffer) {
        // What the next proxy is asked is none of the request's bytes.
        guard connection.phase == .upstreamProxy || count(bytes.readableBytes, .up) else { return }
        upstream?.write(bytes)
    }

    // MARK: Limits

    /// Counts bytes that were read, and says whether they may be passed on.
    func count(_ bytes: Int, _ direction: ByteAccount.Direction) -> Bool {
        switch direction {
        case .up: meter.bytesUp += bytes
        case .down: meter.bytesDown += bytes
        }
        guard let ticket else { return true }
        let now = NIODeadline.now().uptimeNanoseconds
        var wait: UInt64 = 0
        for (place, account) in ticket.bytes.enumerated() {
            switch account.take(bytes, direction, now: now) {
            case .go: break
            case .wait(let nanoseconds):
                wait = max(wait, nanoseconds)
                logSlowed(Door.scope(place))
            case .exhausted(let limit):
                logLimit(limit, Door.scope(place))
                door.exhausted(account, limit, by: self)
                return false
            }
        }
        if wait > 0 { pause(direction, wait) }
        return true
    }

    /// Once for each connection: a slowed one goes on being slowed.
    private func logSlowed(_ scope: String) {
        guard !pauses.wasLogged else { return }
        pauses.wasLogged = true
        logLimit("bytes_per_second", scope)
    }

    private func logLimit(_ limit: String, _ scope: String) {
        guard let request = connection.request else { return }
        log(.limited(request.asked, .bytes, limit: limit, scope: scope))
    }

    private func pause(_ direction: ByteAccount.Direction, _ nanoseconds: UInt64) {
        guard let loop = peer?.loop else { return }
        let delay = TimeAmount.nanoseconds(Int64(clamping: nanoseconds))
        switch direction {
        case .up:
            pauses.up?.cancel()
            pauses.up = loop.assumeIsolated().scheduleTask(in: delay) { [weak self] in
                self?.pauses.up = nil
                self?.pull()
            }
        case .down:
            pauses.down?.cancel()
            pauses.down = loop.assumeIsolated().scheduleTask(in: delay) { [weak self] in
                self?.pauses.down = nil
                self?.pull()
            }
        }
    }

    // MARK: Time

    /// Starts the clock of the phase that the connection is in now.
    func watchPhase() {
        let phase = isFinishing ? .over : connection.phase
        guard phase != timedPhase else { return }
        timedPhase = phase
        lastActivity = .now()
        deadline = lastActivity + patience(phase)
    }

    /// Looks whether the present phase has taken too long. The door asks now and then: times are not exact, but no
    /// connection needs a timer of its own.
    func checkTime(_ now: NIODeadline) {
        guard now >= deadline, let phase = timedPhase else { return }
        if phase == .over { return close() }
        if phase.countsFromLastByte {
            deadline = lastActivity + patience(phase)
            guard now >= deadline else { return }
        }
        deadline = .distantFuture
        perform(connection.timedOut())
    }

    /// How long a phase may take, or may be quiet.
    private func patience(_ phase: ProxyConnection.Phase) -> TimeAmount {
        switch phase {
        case .head: .seconds(10)
        case .held: .seconds(Int64(door.terms.hold))
        case .resolving: .seconds(5)
        // The dialler has its own limit; this one is behind it.
        case .dialling: .seconds(12)
        case .upstreamProxy: .seconds(15)
        case .serverName: .seconds(5)
        // After `over` a slow client may still be taking the answer.
        case .exchange, .tunnel, .over: .minutes(10)
        }
    }
}

extension ProxyConnection.Phase {
    fileprivate var countsFromLastByte: Bool {
        switch self {
        case .exchange, .tunnel: true
        case .head, .held, .resolving, .dialling, .upstreamProxy, .serverName, .over: false
        }
    }
}
