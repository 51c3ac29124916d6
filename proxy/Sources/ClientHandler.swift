internal import BoxAudit
internal import BoxTypes
internal import NIOCore

/// A program's connection: tells the `ProxyConnection` what happened and does what it answers. It decides nothing.
final class ClientHandler: PeerOwner {
    /// What kind of listener took the connection.
    enum Source: Sendable {
        case http, socks, transparent
        case published(Port)
    }

    let door: Door
    var connection: ProxyConnection
    /// The program's side; nil when it is closed or given away.
    private(set) var peer: Peer?
    /// The origin server's side.
    var upstream: Peer?
    var meter = Meter()
    var began = NIODeadline.now()
    var lastActivity = NIODeadline.now()
    var deadline = NIODeadline.distantFuture
    var timedPhase: ProxyConnection.Phase?
    var pauses = Pauses()
    /// Counts the request against the limits until it is over.
    var ticket: Accounts.Ticket?
    /// The rule for one connection that this one has, until it stands.
    private var taken: SingleUse?
    /// The program's end of its connection, by which it can be found.
    let client: String
    private var hasBegun = false
    private(set) var isFinishing = false
    private var discarded = 0

    /// - Parameters:
    ///   - socket: becomes the handler's own.
    ///   - remote: who connected.
    init(_ door: Door, _ source: Source, _ socket: CInt, from remote: Endpoint?) {
        self.door = door
        client = remote?.description ?? ""
        let entry: ProxyConnection.Entry =
            switch source {
            case .http: .http
            case .socks: .socks
            case .transparent: .transparent(Endpoint(localOf: socket).flatMap(door.target))
            case .published(let port): .published(port)
            }
        connection = ProxyConnection(entry, terms: door.terms, isFull: door.isFull)
        peer = Peer(door.loop, self, socket)
        door.opened(self)
    }

    /// Begins, unless the log is behind: what can't be logged must not happen. The door calls `resume` when it can.
    func begin() {
        if door.isOverrun { return close() }
        guard !hasBegun, !door.isBehind else { return }
        hasBegun = true
        perform(connection.start(rules: door.rules))
    }

    /// The log has room again.
    func resume() {
        if hasBegun { pull() } else { begin() }
    }

    // MARK: Events of both connections

    func received(_ bytes: ByteBuffer, from peer: Peer) {
        guard peer === self.peer else { return upstreamRead(bytes) }
        lastActivity = .now()
        guard isFinishing else { return perform(connection.received(bytes, rules: door.rules)) }
        discarded += bytes.readableBytes
        if discarded > 1 << 20 { close() } else { pull() }
    }

    func inputEnded(of peer: Peer) {
        guard peer === self.peer else { return upstreamEnded() }
        // If it is finishing, the client has seen our end and closed its own: nothing is left to wait for.
        if isFinishing { close() } else { perform(connection.clientClosed()) }
    }

    func inputIsEnding(of peer: Peer) {
        // Whoever waits for a rule and goes away shall not be let in afterwards.
        if peer === self.peer, connection.phase == .held { perform(connection.clientClosed()) }
    }

    func hasRoom(_ peer: Peer) { pull() }

    func broke(_ peer: Peer) {
        guard peer === self.peer else { return upstreamBroke() }
        perform(connection.abort("the program's connection broke"))
        close()
    }

    // MARK: What the door says

    /// The session is over.
    func end() { perform(connection.abort("the session ended")) }

    /// Other rules are in force. Returns whether they ended something that had begun.
    func rulesChanged() -> Bool {
        let wasOpen = upstream != nil
        let actions = connection.rulesChanged(door.rules)
        perform(actions)
        return wasOpen && actions.contains(.abort)
    }

    /// A limit on all bytes of a scope is used up: its connections end.
    func limitReached(_ limit: String) { perform(connection.abort("the limit \(limit) was reached")) }

    /// Logs what is about this connection, with the program's end of it.
    func log(_ event: Event) { door.log(client.isEmpty ? event : event.adding("client", .text(client))) }

    // MARK: Actions

    func perform(_ actions: [ProxyConnection.Action]) {
        for action in actions { perform(action) }
        guard let peer else { return }
        peer.flush()
        upstream?.flush()
        watchPhase()
        pull()
    }

    private func perform(_ action: ProxyConnection.Action) {
        switch action {
        case .admit(let host, let once): admit(host, once)
        case .spend(let use):
            taken = nil
            door.spend(use)
        case .resolve(let host): resolve(host)
        case .dial(let addresses, let port): dial(addresses, port)
        case .dialInside(let port): dialInside(port)
        case .toClient(let bytes): peer?.write(bytes)
        case .toUpstream(let bytes): sendUp(bytes)
        case .log(let event): log(event)
        case .logClose(let request, let detail):
            meter.milliseconds = began.millisecondsAgo
            log(.closed(request, meter, detail))
        case .relay(let request, let early): handOver(request, early)
        case .nextRequest: partFromUpstream()
        case .finish: finish()
        case .abort: close()
        }
    }

    private func admit(_ host: Host, _ once: SingleUse?) {
        began = .now()
        meter = Meter()
        if let once {
            guard door.take(once) else {
                return perform(connection.lostRule(door.rules))
            }
            taken = once
        }
        switch door.admit(host) {
        case .granted(let granted):
            ticket = granted
            perform(connection.admitted(.granted))
        case .refused(let limit, let scope, let retryAfter, let reason):
            perform(
                connection.admitted(
                    .refused(limit: limit, scope: scope, retryAfter: retryAfter, reason: reason)))
        }
    }

    // MARK: The end

    /// The request is over, or will never be answered.
    func partFromUpstream() {
        upstream?.close()
        upstream = nil
        if let ticket { door.release(ticket) }
        ticket = nil
        if let taken { door.giveBack(taken) }
        taken = nil
    }

    /// Ends the output, then takes and drops what still comes for a short while: closing with unread bytes would
    /// reset the connection and could take the answer from the client.
    private func finish() {
        partFromUpstream()
        guard !isFinishing, let peer else { return }
        isFinishing = true
        watchPhase()
        peer.endOutput { [weak self] in self?.deadline = .now() + .seconds(2) }
    }

    /// Closes both connections.
    func close() {
        partFromUpstream()
        peer?.close()
        gone()
    }

    /// The program's connection is closed or given away.
    func gone() {
        pauses.cancel()
        peer = nil
        door.closed(self)
    }
}
