internal import BoxAudit
internal import BoxTypes
internal import Glibc
internal import NIOCore

/// A program's side: tells the `ProxyConnection` what happened and does what it answers. It decides nothing.
final class ClientHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let door: Door
    private var connection: ProxyConnection
    private var peer: Peer?
    private var upstream: UpstreamHandler?
    /// The handler of the connection that is being made.
    private var candidate: UpstreamHandler?
    private var meter = Meter()
    private var began = NIODeadline.now()
    private var lastActivity = NIODeadline.now()
    private var timer: Scheduled<Void>?
    private var timedPhase: ProxyConnection.Phase?
    private var relay = Relay()
    private var isFinishing = false
    private var discarded = 0

    /// How far the two directions of a tunnel are: the source has ended, and all was delivered.
    private struct Relay {
        var isOpen = false
        var upEnds = false
        var upEnded = false
        var downEnds = false
        var downEnded = false
    }

    init(door: Door) {
        self.door = door
        connection = ProxyConnection()
    }

    // MARK: Events of the client's connection

    func handlerAdded(context: ChannelHandlerContext) {
        peer = Peer(context: context)
        door.opened(self)
        if door.isFull { connection = ProxyConnection(isFull: true) }
        if context.channel.isActive { begin() }
    }

    func channelActive(context: ChannelHandlerContext) { begin() }

    private func begin() {
        if door.isOverrun {
            peer?.close()
            return
        }
        watchPhase()
        pull()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        lastActivity = .now()
        if isFinishing {
            discarded += bytes.readableBytes
            if discarded > 1 << 20 { peer?.close() }
        } else if relay.isOpen, let other = upstream?.peer {
            meter.bytesUp += bytes.readableBytes
            other.write(bytes)
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
        } else if relay.isOpen {
            endUpstream()
        } else {
            perform(connection.clientClosed())
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        perform(connection.abort("the program's connection broke"))
    }

    func channelInactive(context: ChannelHandlerContext) {
        // Where our output has ended before, the program's end comes as this and not as an event of its own.
        if relay.isOpen, relay.downEnded { relay.upEnds = true }
        deliverRest()
        // After `over` this says nothing more.
        perform(connection.abort(relay.upEnds ? nil : "the program closed the connection"))
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        timer = nil
        partFromUpstream()
        peer = nil
        door.closed(self)
    }

    /// The session is over.
    func end() { perform(connection.abort("the session ended")) }

    // MARK: Events of the origin server's connection

    func upstreamRead(_ bytes: ByteBuffer, from source: UpstreamHandler) {
        guard source === upstream, !isFinishing else { return }
        lastActivity = .now()
        meter.bytesDown += bytes.readableBytes
        if relay.isOpen {
            peer?.write(bytes)
        } else {
            perform(connection.answered(bytes, rules: door.rules))
        }
    }

    func upstreamReadComplete(_ source: UpstreamHandler) {
        guard source === upstream else { return }
        peer?.flush()
        pull()
    }

    func upstreamEnded(_ source: UpstreamHandler) {
        guard source === upstream, !isFinishing else { return }
        if relay.isOpen {
            endDownstream()
        } else {
            perform(connection.upstreamClosed())
        }
    }

    func upstreamInactive(_ source: UpstreamHandler) {
        guard source === upstream, !isFinishing else { return }
        if relay.isOpen, relay.downEnds || relay.upEnded {
            // It has said all; what the program has not read yet is still on its way. Where our output to the
            // server has ended before, its end comes as this and not as an event of its own.
            if !relay.downEnds { endDownstream() }
            ended(up: true)
        } else if relay.isOpen {
            perform(connection.abort("the server closed the connection"))
        } else {
            perform(connection.upstreamClosed())
        }
    }

    func broken(_ detail: String, upstream source: UpstreamHandler) {
        guard source === upstream, !isFinishing else { return }
        perform(connection.abort(detail))
    }

    /// Passes the program's end on, behind all that it sent.
    private func endUpstream() {
        relay.upEnds = true
        upstream?.peer?.endOutput { [weak self] in self?.ended(up: true) }
    }

    /// Passes the server's end on, behind all that it sent.
    private func endDownstream() {
        relay.downEnds = true
        peer?.endOutput { [weak self] in self?.ended(up: false) }
    }

    private func ended(up: Bool) {
        if up { relay.upEnded = true } else { relay.downEnded = true }
        if relay.upEnded, relay.downEnded { perform(connection.tunnelEnded()) }
    }

    /// The program has sent all and gone. What the server has not taken yet is delivered without it.
    private func deliverRest() {
        guard relay.isOpen, relay.upEnds, !relay.upEnded, let rest = upstream?.peer else { return }
        upstream?.client = nil
        upstream = nil
        rest.endOutput { rest.close() }
        rest.context.eventLoop.assumeIsolated().scheduleTask(in: .minutes(1)) { rest.close() }
    }

    // MARK: Flow

    /// Reads each side that is wanted, as long as the other side takes the bytes.
    func pull() {
        guard let peer else { return }
        let other = upstream?.peer
        if isFinishing || (connection.wantsClient && other?.isWritable ?? true) { peer.read() }
        if connection.wantsUpstream, peer.isWritable { other?.read() }
    }

    private func perform(_ actions: [ProxyConnection.Action]) {
        for action in actions { perform(action) }
        peer?.flush()
        upstream?.peer?.flush()
        watchPhase()
        pull()
    }

    private func perform(_ action: ProxyConnection.Action) {
        switch action {
        case .resolve(let host): resolve(host)
        case .dial(let addresses, let port): dial(addresses, port)
        case .toClient(let bytes): peer?.write(bytes)
        case .toUpstream(let bytes):
            meter.bytesUp += bytes.readableBytes
            upstream?.peer?.write(bytes)
        case .log(let event): door.log(event)
        case .logClose(let request, let detail):
            meter.milliseconds = Int((NIODeadline.now() - began).nanoseconds / 1_000_000)
            door.log(.closed(request, meter, detail))
        case .relay: relay.isOpen = true
        case .endUpstream: endUpstream()
        case .nextRequest: partFromUpstream()
        case .finish: finish()
        case .abort:
            partFromUpstream()
            peer?.close()
        }
    }

    private func resolve(_ host: Host) {
        guard let loop = peer?.context.eventLoop else { return }
        began = .now()
        meter = Meter()
        door.resolver.lookup(host, on: loop).assumeIsolated().whenComplete { [weak self] result in
            // The client may have gone, or the time may be up.
            guard let self, self.connection.phase == .resolving else { return }
            switch result {
            case .success(let lookup): self.perform(self.connection.resolved(lookup, rules: self.door.rules))
            case .failure(let error):
                self.perform(self.connection.failed(error as? UpstreamFailure ?? .refused("no lookup")))
            }
        }
    }

    private func dial(_ addresses: [IPAddress], _ port: Port) {
        guard let loop = peer?.context.eventLoop else { return }
        let me = NIOLoopBound(self, eventLoop: loop)
        let dialler = Dialler(loop: loop, port: port) { channel in
            channel.eventLoop.makeCompletedFuture {
                let handler = UpstreamHandler(client: me.value)
                me.value.candidate = handler
                try channel.pipeline.syncOperations.addHandler(handler)
            }
        }
        // This keeps the handler until the dialling ends, so that no connection is left without an owner.
        dialler.dial(addresses).assumeIsolated().whenComplete { self.dialled($0) }
    }

    private func dialled(_ result: Result<any Channel, any Error>) {
        switch result {
        case .success(let channel):
            guard connection.phase == .dialling, let handler = candidate, peer != nil else {
                return channel.close(promise: nil)
            }
            upstream = handler
            candidate = nil
            perform(connection.connected(rules: door.rules))
        case .failure(let error):
            guard connection.phase == .dialling else { return }
            perform(connection.failed(UpstreamFailure(dialling: error)))
        }
    }

    private func partFromUpstream() {
        upstream?.client = nil
        upstream?.peer?.close()
        upstream = nil
        relay = Relay()
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

    // MARK: Time

    /// Starts the clock of the phase that the connection is in now.
    private func watchPhase() {
        let phase = isFinishing ? .over : connection.phase
        guard phase != timedPhase, let loop = peer?.context.eventLoop else { return }
        timer?.cancel()
        timedPhase = phase
        lastActivity = .now()
        arm(loop, phase, after: phase.patience)
    }

    private func arm(_ loop: any EventLoop, _ phase: ProxyConnection.Phase, after delay: TimeAmount) {
        timer = loop.assumeIsolated().scheduleTask(in: delay) { [weak self] in self?.timeIsUp(loop, phase) }
    }

    private func timeIsUp(_ loop: any EventLoop, _ phase: ProxyConnection.Phase) {
        timer = nil
        if phase == .over {
            peer?.close()
            return
        }
        let quiet = NIODeadline.now() - lastActivity
        if phase.countsFromLastByte, quiet < phase.patience {
            arm(loop, phase, after: phase.patience - quiet)
            return
        }
        perform(connection.timedOut())
    }
}

extension ProxyConnection.Phase {
    /// How long a phase may take, or may be quiet.
    fileprivate var patience: TimeAmount {
        switch self {
        case .head: .seconds(10)
        case .resolving: .seconds(5)
        // The dialler has its own limit; this one is behind it.
        case .dialling: .seconds(12)
        case .serverName: .seconds(5)
        // After `over` a slow client may still be taking the answer.
        case .exchange, .tunnel, .over: .minutes(10)
        }
    }

    fileprivate var countsFromLastByte: Bool {
        switch self {
        case .exchange, .tunnel: true
        case .head, .resolving, .dialling, .serverName, .over: false
        }
    }
}

extension UpstreamFailure {
    /// What a failed connection says.
    fileprivate init(dialling error: any Error) {
        switch error {
        case let failure as UpstreamFailure: self = failure
        case ChannelError.connectTimeout: self = .connectTimeout
        case let error as IOError: self = .refused(UpstreamFailure.words(error.errnoCode))
        default: self = .refused("no connection")
        }
    }

    private static func words(_ code: CInt) -> String {
        switch code {
        case ECONNREFUSED: "refused"
        case ENETUNREACH, EHOSTUNREACH: "unreachable"
        case ECONNRESET: "reset"
        default: "error \(code)"
        }
    }
}
