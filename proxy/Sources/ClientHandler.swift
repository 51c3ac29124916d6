internal import BoxAudit
internal import BoxTypes
internal import NIOCore

/// A program's side: tells the `ProxyConnection` what happened and does what it answers. It decides nothing.
final class ClientHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// What kind of listener took the connection.
    enum Source: Sendable {
        case http, socks, transparent
        case published(Port)
    }

    let door: Door
    private let source: Source
    var connection = ProxyConnection()
    var peer: Peer?
    var upstream: UpstreamHandler?
    var meter = Meter()
    var began = NIODeadline.now()
    var lastActivity = NIODeadline.now()
    var timer: Scheduled<Void>?
    var timedPhase: ProxyConnection.Phase?
    /// What goes to the relay, while the last bytes of this side are written.
    var handover: Handing?
    var pauses = Pauses()
    /// Counts the request against the limits until it is over.
    var ticket: Accounts.Ticket?
    /// The program's end of its connection, by which it can be found.
    private(set) var client = ""
    private var hasBegun = false
    private(set) var isFinishing = false
    private var discarded = 0

    init(door: Door, source: Source) {
        self.door = door
        self.source = source
    }

    // MARK: Events of the client's connection

    func handlerAdded(context: ChannelHandlerContext) {
        peer = Peer(context: context)
        door.opened(self)
        client = context.channel.remoteAddress.flatMap(door.text) ?? ""
        connection = ProxyConnection(entry(context.channel), terms: door.terms, isFull: door.isFull)
        if context.channel.isActive { begin() }
    }

    func channelActive(context: ChannelHandlerContext) { begin() }

    private func entry(_ channel: any Channel) -> ProxyConnection.Entry {
        switch source {
        case .http: .http
        case .socks: .socks
        case .transparent: .transparent(channel.localAddress.flatMap(door.target))
        case .published(let port): .published(port)
        }
    }

    private func begin() {
        if door.isOverrun {
            peer?.close()
            return
        }
        // What can't be logged must not happen; the door calls `resume` when it can.
        guard !hasBegun, !door.isBehind else { return }
        hasBegun = true
        perform(connection.start(rules: door.rules))
    }

    /// The log has room again.
    func resume() {
        if hasBegun { pull() } else { begin() }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        lastActivity = .now()
        if isFinishing {
            discarded += bytes.readableBytes
            if discarded > 1 << 20 { peer?.close() }
        } else {
            perform(connection.received(bytes, rules: door.rules))
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        upstream?.peer?.flush()
        pull()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) { pull() }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .some(.inputClosed) = event as? ChannelEvent else { return }
        if isFinishing {
            // The client has seen our end and closed its own: nothing is left to wait for.
            peer?.close()
        } else {
            perform(connection.clientClosed())
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        perform(connection.abort("the program's connection broke"))
    }

    func channelInactive(context: ChannelHandlerContext) {
        // After `over` this says nothing more.
        perform(connection.abort("the program closed the connection"))
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        timer = nil
        pauses.cancel()
        partFromUpstream()
        peer = nil
        door.closed(self)
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
        peer?.flush()
        upstream?.peer?.flush()
        watchPhase()
        pull()
    }

    private func perform(_ action: ProxyConnection.Action) {
        switch action {
        case .admit(let host): admit(host)
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
        case .abort:
            partFromUpstream()
            peer?.close()
        }
    }

    private func admit(_ host: Host) {
        began = .now()
        meter = Meter()
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

    /// The request is over, or will never be answered.
    func partFromUpstream() {
        upstream?.client = nil
        upstream?.peer?.close()
        upstream = nil
        handover = nil
        if let ticket { door.release(ticket) }
        ticket = nil
    }

    /// Ends the output, then takes and drops what still comes for a short while: closing with unread bytes would
    /// reset the connection and could take the answer from the client.
    private func finish() {
        partFromUpstream()
        guard !isFinishing, let peer else { return }
        isFinishing = true
        let loop = peer.context.eventLoop
        peer.endOutput { [weak self] in
            guard let self, self.peer != nil else { return }
            self.timer?.cancel()
            self.arm(loop, .over, after: .seconds(2))
        }
    }
}
