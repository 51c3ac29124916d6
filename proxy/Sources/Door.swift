internal import BoxAudit
internal import BoxTypes
internal import Glibc
internal import NIOCore

/// What all connections of one proxy share. It lives on the event loop and is used only there.
final class Door {
    let terms: ProxyConnection.Terms
    let resolver: Resolver
    let inside: InsideSockets
    private(set) var rules: DoorRules
    let loop: DoorLoop
    private let reports: ReportQueue
    /// More connections than this are refused with 429; more than twice as many are closed unanswered.
    private let mostConnections: Int
    private var accounts: Accounts
    private var responder = DNSResponder()
    private var repeats = RepeatFilter()
    private var isCounting = false
    private var handlers: [ObjectIdentifier: ClientHandler] = [:]
    private var relayed: RelayedTunnels
    /// What was decided in this round, and begins when the log has it.
    private var beginnings: [() -> Void] = []
    private var isWatchingTime = false

    init(
        _ configuration: ProxyConfiguration, loop: DoorLoop, resolver: Resolver, relay: TunnelRelay,
        send: @escaping ReportSender
    ) {
        self.loop = loop
        relayed = RelayedTunnels(relay)
        self.resolver = resolver
        terms = ProxyConnection.Terms(hold: configuration.hold, upstream: configuration.upstream)
        rules = DoorRules(
            Allowlist(configuration.rules), single: SingleUses(configuration.rules.once))
        accounts = Accounts(configuration.rules, now: Door.now)
        let reports = ReportQueue(loop: loop, send: send)
        self.reports = reports
        inside = InsideSockets(loop: loop) { reports.send(.wantsSockets) }
        mostConnections = Door.capacity
        reports.hasRoom = { [weak self] in self?.resumeAll() }
        loop.poller.endOfRound = { [weak self] in self?.endRound() }
    }

    private static var now: UInt64 { NIODeadline.now().uptimeNanoseconds }

    /// A tunnel takes two descriptors, and one more for a moment; the rest is for listeners, lookups and threads.
    private static var capacity: Int {
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 64 }
        return max(16, (Int(clamping: limit.rlim_cur) - 256) / 3)
    }

    // MARK: Connections

    private var connections: Int { handlers.count + relayed.count }
    var isFull: Bool { connections > mostConnections }
    var isOverrun: Bool { connections > 2 * mostConnections }
    /// Whether the log is so far behind that nothing new may be decided.
    var isBehind: Bool { reports.isFull }

    func opened(_ handler: ClientHandler) {
        handlers[ObjectIdentifier(handler)] = handler
        watchTime()
    }

    func closed(_ handler: ClientHandler) { handlers[ObjectIdentifier(handler)] = nil }

    /// A program, or somebody on the host, has connected.
    func accepted(_ socket: CInt, _ source: ClientHandler.Source, from remote: Endpoint?) {
        ClientHandler(self, source, socket, from: remote).begin()
    }

    /// Looks ten times a second whether anything takes too long.
    private func watchTime() {
        guard !isWatchingTime else { return }
        isWatchingTime = true
        loop.assumeIsolated().scheduleTask(in: .milliseconds(100)) { [weak self] in
            guard let self else { return }
            let now = NIODeadline.now()
            for handler in Array(self.handlers.values) { handler.checkTime(now) }
            self.isWatchingTime = false
            if !self.handlers.isEmpty { self.watchTime() }
        }
    }

    /// Says how many bytes have moved.
    func reportTraffic() {
        let (up, down) = accounts.sessionBytes.total
        reports.send(.traffic(up: up, down: down))
    }

    /// Ends everything. The tunnels of the relay end when it stops.
    func endAll() {
        for handler in Array(handlers.values) { handler.end() }
        _ = relayed.end("the session ended") { _ in true }
    }

    /// Waits until the supervisor knows everything.
    func finishLog() {
        for event in repeats.rest() { reports.add(.event(event)) }
        reports.drain()
    }

    private func resumeAll() {
        for handler in Array(handlers.values) { handler.resume() }
    }

    // MARK: Rules and limits

    /// Puts other rules in force, ends what they no longer allow, and reports that.
    func apply(_ list: Allowlist, _ network: NetworkRules, number: UInt64) {
        rules.list = list
        rules.single.update(network.once)
        accounts.update(network, now: Door.now)
        let rules = rules
        // Whoever has waited longest is the first to get what is for one alone.
        let waiting = held
        let others = handlers.values.filter { $0.connection.phase != .held }
        let closed =
            (others + waiting).count { $0.rulesChanged() }
            + relayed.end("the rule was removed") { !rules.stillAllow($0.request) }
        reports.send(.applied(number, closed: closed))
    }

    // MARK: Rules for one connection

    /// Takes a rule for a connection; false where another one was faster.
    func take(_ use: SingleUse) -> Bool { rules.single.take(use) }

    /// The connection stands: from now on the rule is no one's.
    func spend(_ use: SingleUse) {
        rules.single.spend(use)
        reports.send(.used(use.number))
    }

    /// The connection did not come to be: the rule is for the next one, perhaps one that waits.
    func giveBack(_ use: SingleUse) {
        rules.single.giveBack(use)
        guard !held.isEmpty else { return }
        afterLog { [weak self] in
            for handler in self?.held ?? [] { _ = handler.rulesChanged() }
        }
    }

    /// The connections that wait for a rule, the longest first.
    private var held: [ClientHandler] {
        handlers.values.filter { $0.connection.phase == .held }.sorted { $0.lastActivity < $1.lastActivity }
    }

    func admit(_ host: Host) -> Accounts.Admission { accounts.admit(host, now: Door.now) }
    func release(_ ticket: Accounts.Ticket) { accounts.release(ticket) }

    /// A limit on bytes was passed: a limit on all of them ends every connection of its scope, a limit on their
    /// rate only the one that passed it.
    func exhausted(_ account: ByteAccount, _ limit: String, by handler: ClientHandler) {
        guard limit != "bytes_per_second" else { return handler.limitReached(limit) }
        endScope(of: account, limit)
    }

    private func endScope(of account: ByteAccount, _ limit: String) {
        for handler in Array(handlers.values)
        where handler.ticket?.bytes.contains(where: { $0 === account }) ?? false {
            handler.limitReached(limit)
        }
        _ = relayed.end("the limit \(limit) was reached") { $0.counts(in: account) }
    }

    // MARK: The relay

    /// Gives an established tunnel to the relay, which owns the sockets from here on.
    func relay(
        _ tunnel: RelayedTunnel, _ client: (socket: CInt, isKnown: Bool),
        _ upstream: (socket: CInt, isKnown: Bool), early: [UInt8]
    ) {
        let me = NIOLoopBound(self, eventLoop: loop)
        // The relay is on this loop.
        relayed.add(
            tunnel, client, upstream, early: early, onSlowed: { number in me.value.relaySlowed(number) },
            onEnd: { number, end in me.value.relayEnded(number, end) })
    }

    private func relaySlowed(_ number: UInt64) {
        guard let tunnel = relayed.tunnel(number), let ticket = tunnel.ticket else { return }
        let place = ticket.bytes.firstIndex(where: \.isPaced) ?? 0
        log(
            tunnel,
            .limited(tunnel.request.asked, .bytes, limit: "bytes_per_second", scope: Door.scope(place)))
    }

    private func relayEnded(_ number: UInt64, _ end: TunnelRelay.End) {
        guard let tunnel = relayed.remove(number) else { return }
        if let ticket = tunnel.ticket { accounts.release(ticket) }
        if case .limit(let limit) = end.reason, let bytes = tunnel.ticket?.bytes {
            // The relay does not say whose account it was.
            let place = bytes.firstIndex { $0.exhausted == limit } ?? bytes.firstIndex(where: \.isPaced) ?? 0
            log(tunnel, .limited(tunnel.request.asked, .bytes, limit: limit, scope: Door.scope(place)))
            if limit != "bytes_per_second" { endScope(of: bytes[place], limit) }
        }
        let meter = Meter(
            bytesUp: end.bytesUp, bytesDown: end.bytesDown, milliseconds: tunnel.began.millisecondsAgo)
        // Goes with others, if there are any soon: nothing waits for it.
        add(tunnel, .closed(tunnel.request, meter, end.detail(tunnel.ending)))
    }

    /// Whose account it is, by its place in a ticket.
    static func scope(_ place: Int) -> String { place == 0 ? "session" : "host" }

    private func log(_ tunnel: RelayedTunnel, _ event: Event) {
        add(tunnel, event)
        reports.flush()
    }

    private func add(_ tunnel: RelayedTunnel, _ event: Event) {
        add(tunnel.client.isEmpty ? event : event.adding("client", .text(tunnel.client)))
    }

    // MARK: Names

    /// The answer to a question of the sandbox; nil for none.
    func answer(_ question: ByteBuffer) -> ByteBuffer? {
        guard !isBehind else { return nil }
        let judged = DoorRules(rules.list, single: rules.single)
        // A connection can only be held if its name has an address.
        let answersAll = terms.hold > 0
        let (reply, denied) = responder.answer(
            question, rules: { answersAll || judged.opens(.name($0)) }, names: &rules.names)
        if let denied { log(.denied(denied.description, nil, .dns, .host, "no rule names it")) }
        return reply
    }

    /// What a captured connection meant by the address that it reached; nil where that stands for no name.
    func target(_ local: Endpoint) -> HostTarget? {
        let address = local.address
        guard let port = Port(local.port) else { return nil }
        if address == .v4(0x7F00_0001) || address == .v6(1) {
            return HostTarget(host: .name(.localhost), port: port)
        }
        guard FakeNames.isFake(address) else { return HostTarget(host: .address(address), port: port) }
        return rules.names.name(at: address).map { HostTarget(host: .name($0), port: port) }
    }

    // MARK: The log

    /// Logs an event at once; what was allowed is logged before it begins, with `afterLog`.
    func log(_ event: Event) {
        add(event)
        if event.kind != .netAllow { reports.flush() }
    }

    private func add(_ event: Event) {
        guard let event = repeats.pass(event, now: Door.now) else { return count() }
        reports.add(.event(event))
        if !repeats.isEmpty { count() }
    }

    /// Does something at the end of the loop's round, when everything that was decided before is in the log: events
    /// of one round are one message.
    func afterLog(_ begin: @escaping () -> Void) { beginnings.append(begin) }

    private func endRound() {
        while !beginnings.isEmpty {
            reports.flush()
            // What can't be logged must not happen. The queue tries again, and this round's end comes again.
            guard reports.isEmpty else { return }
            let round = beginnings
            beginnings.removeAll(keepingCapacity: true)
            for begin in round { begin() }
        }
        reports.flushSoon()
    }

    /// Looks once a second which counts are due.
    private func count() {
        guard !isCounting else { return }
        isCounting = true
        loop.assumeIsolated().scheduleTask(in: .seconds(1)) { [weak self] in
            guard let self else { return }
            self.isCounting = false
            for event in self.repeats.due(now: Door.now) { self.reports.add(.event(event)) }
            self.reports.flush()
            if !self.repeats.isEmpty { self.count() }
        }
    }
}
