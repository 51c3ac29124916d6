package import BoxAudit
package import BoxTypes
package import NIOCore

#if DEBUG
    internal import BoxKernel
#endif

/// One connection of a program to the proxy, as a value: inputs are what happened, outputs are what to do.
/// It decides everything and touches nothing.
package struct ProxyConnection: Sendable {
    /// What the handler does next; the actions of one input are carried out in order.
    package enum Action: Equatable, Sendable {
        case resolve(Host)
        /// Connect to one of these addresses, the first that answers.
        case dial([IPAddress], Port)
        case toClient(ByteBuffer)
        case toUpstream(ByteBuffer)
        case log(Event)
        /// Log the end of the request with the bytes and time counted by the handler.
        case logClose(Request, detail: String?)
        /// From here on bytes pass untouched, both ways.
        case relay
        /// The program will send nothing more into the tunnel.
        case endUpstream
        /// Close the connection to the origin server and wait for another request.
        case nextRequest
        /// Send what is written, then close both connections.
        case finish
        /// Close both connections now.
        case abort
    }

    /// What the proxy waits for; each phase has its own time limit.
    package enum Phase: Equatable, Sendable {
        case head, resolving, dialling, serverName, exchange, tunnel, over
    }

    private enum State {
        case head(HeadReader)
        case resolving(Request)
        case dialling(Request)
        /// How many of the held bytes the reader has seen.
        case serverName(Request, ClientHelloReader, seen: Int)
        case exchange(Request, Exchange)
        case tunnel(Request)
        case over
    }

    private var state = State.head(HeadReader())
    /// Bytes of the client that came before their time.
    private var held = ByteBuffer()
    private var clientEnded = false
    /// The session has as many connections as it may: every request on this one is refused.
    private let isFull: Bool

    package init(isFull: Bool = false) { self.isFull = isFull }

    package var phase: Phase {
        switch state {
        case .head: .head
        case .resolving: .resolving
        case .dialling: .dialling
        case .serverName: .serverName
        case .exchange: .exchange
        case .tunnel: .tunnel
        case .over: .over
        }
    }

    /// Whether part of a request head has come.
    package var hasPartialHead: Bool { if case .head(let reader) = state { !reader.isEmpty } else { false } }

    /// Whether bytes of the client are wanted now; otherwise they stay in the kernel, which slows the client.
    package var wantsClient: Bool {
        switch state {
        case .head, .serverName, .tunnel: true
        case .exchange(_, let exchange): !exchange.isRequestComplete
        case .resolving, .dialling, .over: false
        }
    }

    /// Whether bytes of the origin server are wanted now. Before the name check they are not: a server that
    /// speaks first is not TLS.
    package var wantsUpstream: Bool {
        switch state {
        case .exchange, .tunnel: true
        case .head, .resolving, .dialling, .serverName, .over: false
        }
    }

    /// Bytes from the client.
    package mutating func received(_ bytes: ByteBuffer, rules: Allowlist) -> [Action] {
        var bytes = bytes
        held.writeBuffer(&bytes)
        return proceed(rules)
    }

    /// Goes as far as the held bytes lead.
    private mutating func proceed(_ rules: Allowlist) -> [Action] {
        switch state {
        case .head(var reader):
            do throws(HTTPRefusal) {
                let head = try reader.read(&held)
                state = .head(reader)
                guard let head else { return [] }
                return decide(head, rules)
            } catch { return refuse(.http(error)) }
        case .serverName(let request, let reader, let seen): return checkName(request, reader, seen)
        case .exchange(let request, let exchange): return forwardBody(request, exchange)
        case .tunnel:
            let bytes = takeHeld()
            return bytes.readableBytes > 0 ? [.toUpstream(bytes)] : []
        case .over:
            held.clear()
            return []
        case .resolving, .dialling: return []
        }
    }

    private mutating func takeHeld() -> ByteBuffer {
        defer { held = ByteBuffer() }
        return held
    }

    // MARK: The decision

    private mutating func decide(_ message: MessageHead, _ rules: Allowlist) -> [Action] {
        let head: RequestHead
        do throws(RequestRefusal) { head = try RequestHead(message) } catch { return refuse(error) }
        let target = head.target
        #if DEBUG
            // A debug build may leave this check out, for the tests.
            let own = (try? HostRule(target.description)).map { [$0] } ?? []
            let rules = Mutation.drops("proxy-check") ? Allowlist(allow: own, deny: []) : rules
        #endif
        let decision = rules.decide(target)
        guard !isFull else {
            let why = "the session has as many connections as it may"
            return refuse(head, .rate, why, resolution: "wait until another one ends", status: 429)
        }
        guard decision.allowed, let rule = decision.rule else {
            let resolution = ProxyConnection.resolution(target, decision)
            return refuse(head, decision.reason ?? .host, decision.explanation, resolution: resolution)
        }
        state = .resolving(Request(head: head, rule: rule))
        return [.resolve(target.host)]
    }

    private static func resolution(_ target: HostTarget, _ decision: Decision) -> String {
        if let rule = decision.rule { return "remove the rule \(rule.short) from the denied hosts" }
        if case .address(let address) = target.host, AddressClass(of: address).opening == .never {
            return "connect by the host's name; no rule opens such an address"
        }
        return "box allow \(target.short)"
    }

    private mutating func refuse(_ refusal: RequestRefusal) -> [Action] {
        state = .over
        switch refusal {
        case .http(let refusal):
            return [
                .log(.denied("", nil, .http, .protocol, refusal.explanation)),
                .toClient(Reply.malformed(refusal).serialized()), .finish,
            ]
        case .host(let host, let port, let via, let method, let why):
            let reply = Reply.blocked(
                host, port: port, reason: .host, explanation: why,
                resolution: "ask for the host by its full name")
            return [
                .log(.denied(host, port, via, .host, why)),
                .toClient(reply.serialized(withBody: method != .head)), .finish,
            ]
        }
    }

    private mutating func refuse(
        _ head: RequestHead, _ reason: RefusalReason, _ why: String, detail: String? = nil,
        resolution: String,
        status: Int = 403
    ) -> [Action] {
        state = .over
        let host = head.target.host.description
        let reply = Reply.blocked(
            host, port: head.target.port, reason: reason, explanation: why, resolution: resolution,
            status: status)
        return [
            .log(.denied(host, head.target.port, head.via, reason, detail ?? why)),
            .toClient(reply.serialized(withBody: head.method != .head)), .finish,
        ]
    }

    // MARK: The way to the origin server

    /// The lookup is done. Each address is judged; only those that pass are ever dialled.
    package mutating func resolved(_ lookup: Lookup, rules: Allowlist) -> [Action] {
        guard case .resolving(let request) = state else { return abort("resolved twice") }
        let vetting = Vetting(request.target, lookup, rules)
        guard !vetting.allowed.isEmpty else {
            return refuse(
                request.head, .address, vetting.explanation, detail: vetting.detail,
                resolution: "the session's log has the address, and box allow ADDRESS opens it")
        }
        state = .dialling(request)
        return [.log(.allowed(request)), .dial(vetting.allowed, request.target.port)]
    }

    /// The lookup or the connection failed.
    package mutating func failed(_ failure: UpstreamFailure) -> [Action] {
        let request: Request
        var actions: [Action] = []
        switch state {
        case .resolving(let waiting):
            request = waiting
            actions = [.log(.allowed(request))]
        case .dialling(let waiting): request = waiting
        case .head, .serverName, .exchange, .tunnel, .over: return abort("failed twice")
        }
        state = .over
        let (explanation, status) =
            switch failure {
            case .nameNotFound: ("its name has no address", 502)
            case .resolverTimeout: ("its name was not resolved in time", 504)
            case .refused(let why): ("the connection failed (\(why))", 502)
            case .connectTimeout: ("it did not answer in time", 504)
            }
        let reply = Reply.upstreamFailed(request.target, explanation, status: status)
        return actions + [
            .logClose(request, detail: explanation),
            .toClient(reply.serialized(withBody: request.head.method != .head)), .finish,
        ]
    }

    /// The connection to the origin server stands.
    package mutating func connected(rules: Allowlist) -> [Action] {
        guard case .dialling(let request) = state else { return abort("connected twice") }
        guard request.via == .connect else {
            state = .exchange(request, Exchange(request.head))
            let actions = [.toUpstream(request.head.serialized)] + proceed(rules)
            // A body that the program's end has cut can't be completed any more.
            return clientEnded ? actions + clientClosed() : actions
        }
        if request.target.port == .https {
            state = .serverName(request, ClientHelloReader(), seen: 0)
            return [.toClient(Reply.established)] + proceed(rules)
        }
        return [.toClient(Reply.established)] + openTunnel(request)
    }

    private mutating func openTunnel(_ request: Request) -> [Action] {
        state = .tunnel(request)
        let early = takeHeld()
        return [.relay] + (early.readableBytes > 0 ? [.toUpstream(early)] : [])
            + (clientEnded ? [.endUpstream] : [])
    }

    // MARK: The name check

    private mutating func checkName(_ request: Request, _ current: ClientHelloReader, _ seen: Int) -> [Action]
    {
        var reader = current
        // The bytes stay held until the whole hello is read: nothing leaves before it is judged.
        let finding = reader.read(held.readableBytesView.dropFirst(seen))
        switch (finding, request.target.host) {
        case (.more, _):
            state = .serverName(request, reader, seen: held.readableBytes)
            return clientEnded ? deny(request, .protocol, "the tunnel ended before a TLS hello") : []
        case (.notTLS, _): return deny(request, .protocol, "not TLS in a tunnel to port 443")
        case (.hello(nil), .name): return deny(request, .name, "sni_missing: the TLS hello names no server")
        case (.hello(let name?), .name(let host)):
            guard name == host.description else { return deny(request, .name, "sni_mismatch: \(name)") }
            return openTunnel(request)
        // A client that asks for an address has no name to say (RFC 6066, 3).
        case (.hello(nil), .address): return openTunnel(request)
        case (.hello(let name?), .address): return deny(request, .name, "sni_mismatch: \(name)")
        }
    }

    private mutating func deny(_ request: Request, _ reason: RefusalReason, _ detail: String) -> [Action] {
        state = .over
        return [.log(.denied(request, reason, detail)), .logClose(request, detail: detail), .abort]
    }

    // MARK: Plain HTTP

    private mutating func forwardBody(_ request: Request, _ current: Exchange) -> [Action] {
        var exchange = current
        guard !exchange.isRequestComplete, held.readableBytes > 0 else { return [] }
        do throws(HTTPRefusal) {
            let body = try exchange.fromClient(&held)
            state = .exchange(request, exchange)
            return body.readableBytes > 0 ? [.toUpstream(body)] : []
        } catch {
            state = .over
            let close = Action.logClose(request, detail: error.explanation)
            guard !exchange.hasAnswered else { return [close, .abort] }
            return [
                .log(.denied(request, .protocol, error.explanation)), close,
                .toClient(Reply.malformed(error).serialized()), .finish,
            ]
        }
    }

    /// Bytes from the origin server.
    package mutating func answered(_ bytes: ByteBuffer, rules: Allowlist) -> [Action] {
        switch state {
        case .tunnel: return [.toClient(bytes)]
        case .exchange(let request, var exchange):
            do throws(HTTPRefusal) {
                let out = try exchange.fromUpstream(bytes).map(Action.toClient)
                state = .exchange(request, exchange)
                return exchange.isResponseComplete ? out + endExchange(request, exchange, rules) : out
            } catch { return badAnswer(request, exchange, error.explanation) }
        case .head, .resolving, .dialling, .serverName, .over: return []
        }
    }

    private mutating func endExchange(_ request: Request, _ exchange: Exchange, _ rules: Allowlist)
        -> [Action]
    {
        let close = Action.logClose(request, detail: nil)
        guard exchange.keepsAlive, !clientEnded else {
            state = .over
            return [close, .finish]
        }
        state = .head(HeadReader())
        // The next request may have come already; it is judged like the first.
        return [close, .nextRequest] + proceed(rules)
    }

    private mutating func badAnswer(_ request: Request, _ exchange: Exchange, _ why: String) -> [Action] {
        state = .over
        let close = Action.logClose(request, detail: why)
        guard !exchange.hasAnswered else { return [close, .abort] }
        let reply = Reply.upstreamFailed(request.target, "its answer is broken", status: 502)
        return [close, .toClient(reply.serialized(withBody: request.head.method != .head)), .finish]
    }

    // MARK: Ends

    /// The client will send nothing more. In a tunnel the handler passes that on by itself.
    package mutating func clientClosed() -> [Action] {
        clientEnded = true
        switch state {
        case .head: return abort(nil)
        case .serverName(let request, _, _):
            return deny(request, .protocol, "the tunnel ended before a TLS hello")
        case .exchange(let request, let exchange):
            guard !exchange.isRequestComplete else { return [] }
            state = .over
            return [.logClose(request, detail: "the client closed within its request"), .abort]
        case .resolving, .dialling, .tunnel, .over: return []
        }
    }

    /// The origin server will send nothing more. In a tunnel the handler passes that on by itself.
    package mutating func upstreamClosed() -> [Action] {
        switch state {
        case .exchange(let request, var exchange):
            guard exchange.upstreamEnded() else {
                return badAnswer(request, exchange, "the server closed within its answer")
            }
            state = .over
            return [.logClose(request, detail: nil), .finish]
        case .serverName(let request, _, _):
            return deny(request, .protocol, "the server closed before a TLS hello")
        case .head, .resolving, .dialling, .tunnel, .over: return []
        }
    }

    /// Both directions of a tunnel are done.
    package mutating func tunnelEnded() -> [Action] {
        guard case .tunnel(let request) = state else { return [] }
        state = .over
        // Everything was delivered before each end was passed on.
        return [.logClose(request, detail: nil), .abort]
    }

    /// The present phase took too long.
    package mutating func timedOut() -> [Action] {
        switch state {
        case .head(let reader):
            return reader.isEmpty ? abort(nil) : refuse(.http(HTTPRefusal("the header did not come in time")))
        case .resolving: return failed(.resolverTimeout)
        case .dialling: return failed(.connectTimeout)
        case .serverName(let request, _, _): return deny(request, .protocol, "no TLS hello in time")
        case .exchange, .tunnel: return abort("idle for too long")
        case .over: return [.abort]
        }
    }

    /// A connection broke, or something happened that must not. Everything of this client is closed.
    package mutating func abort(_ detail: String?) -> [Action] {
        defer { state = .over }
        switch state {
        case .resolving, .head, .over: return [.abort]
        case .dialling(let request), .serverName(let request, _, _), .exchange(let request, _),
            .tunnel(let request):
            return [.logClose(request, detail: detail), .abort]
        }
    }
}
