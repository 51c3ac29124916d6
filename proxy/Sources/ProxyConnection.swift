package import BoxAudit
package import BoxTypes
package import NIOCore

/// One connection of a program to the proxy, as a value: inputs are what happened, outputs are what to do.
/// It decides everything and touches nothing.
package struct ProxyConnection: Sendable {
    /// By which listener the connection came.
    package enum Entry: Equatable, Sendable {
        case http
        case socks
        /// Captured on its way to what it took for its target; nil where no name has that address.
        case transparent(HostTarget?)
        /// From the host, to this port inside.
        case published(Port)
    }

    /// What holds for all connections of the session.
    package struct Terms: Equatable, Sendable {
        /// Seconds that a refused request waits for a rule that allows it.
        package var hold = 0
        /// The proxy of the user's network.
        package var upstream: UpstreamProxy?

        package init(hold: Int = 0, upstream: UpstreamProxy? = nil) {
            self.hold = hold
            self.upstream = upstream
        }
    }

    /// What the handler does next; the actions of one input are carried out in order.
    package enum Action: Equatable, Sendable {
        /// Take the rule for one connection, if it is one, and count the request against the limits; say how it went.
        case admit(Host, once: SingleUse? = nil)
        /// The connection stands that the rule was for.
        case spend(SingleUse)
        case resolve(Host)
        /// Connect to one of these addresses, the first that answers.
        case dial([IPAddress], Port)
        /// Connect to a port of the sandbox's own loopback.
        case dialInside(Port)
        case toClient(ByteBuffer)
        case toUpstream(ByteBuffer)
        case log(Event)
        /// Log the end of the request with the bytes and time counted by the handler.
        case logClose(Request, detail: String?)
        /// When all is written, give both connections to the relay, which passes bytes on untouched; these are the
        /// first for the server.
        case relay(Request, early: ByteBuffer)
        /// Close the connection to the origin server and wait for another request.
        case nextRequest
        /// Send what is written, then close both connections.
        case finish
        /// Close both connections now.
        case abort
    }

    /// What the proxy waits for; each phase has its own time limit.
    package enum Phase: Equatable, Sendable {
        case head, held, resolving, dialling, upstreamProxy, serverName, exchange, tunnel, over
    }

    enum State {
        /// The request is known before any byte.
        case entered(Entry)
        case head(HeadReader)
        case socks(SocksReader)
        /// Refused, but a rule may still come.
        case held(Asked, Refusal)
        /// Between the decision and the limits.
        case admitting(Request)
        case resolving(Request)
        case dialling(Request)
        /// Asked the proxy of the user's network for a tunnel.
        case upstreamProxy(Request, HeadReader)
        /// How many of the held bytes the reader has seen.
        case serverName(Request, ClientHelloReader, seen: Int)
        case exchange(Request, Exchange)
        case tunnel(Request)
        case over
    }

    var state: State
    /// Bytes of the client that came before their time.
    var held = ByteBuffer()
    /// Bytes of the server that came before the name check was done.
    var answeredEarly = ByteBuffer()
    var clientEnded = false
    let terms: Terms
    /// The proxy has as many connections as it may: every request on this one is refused.
    let isFull: Bool

    package init(_ entry: Entry = .http, terms: Terms = Terms(), isFull: Bool = false) {
        self.terms = terms
        self.isFull = isFull
        switch entry {
        case .http: state = .head(HeadReader())
        case .socks: state = .socks(SocksReader())
        case .transparent, .published: state = .entered(entry)
        }
    }

    package var phase: Phase {
        switch state {
        case .entered, .head, .socks: .head
        case .held: .held
        case .admitting, .resolving: .resolving
        case .dialling: .dialling
        case .upstreamProxy: .upstreamProxy
        case .serverName: .serverName
        case .exchange: .exchange
        case .tunnel: .tunnel
        case .over: .over
        }
    }

    /// The request on its way, if there is one.
    package var request: Request? {
        switch state {
        case .admitting(let request), .resolving(let request), .dialling(let request),
            .upstreamProxy(let request, _), .serverName(let request, _, _), .exchange(let request, _),
            .tunnel(let request):
            request
        case .entered, .head, .socks, .held, .over: nil
        }
    }

    /// Whether bytes of the client are wanted now; otherwise they stay in the kernel, which slows the client.
    package var wantsClient: Bool {
        switch state {
        case .head, .socks, .serverName: true
        case .exchange(_, let exchange): !exchange.isRequestComplete
        case .entered, .held, .admitting, .resolving, .dialling, .upstreamProxy, .tunnel, .over: false
        }
    }

    /// Whether bytes of the origin server are wanted now. Before the name check they are not: a server that
    /// speaks first is not TLS.
    package var wantsUpstream: Bool {
        switch state {
        case .upstreamProxy, .exchange: true
        case .entered, .head, .socks, .held, .admitting, .resolving, .dialling, .serverName, .tunnel, .over:
            false
        }
    }

    // MARK: Bytes

    /// Bytes from the client.
    package mutating func received(_ bytes: ByteBuffer, rules: DoorRules) -> [Action] {
        var bytes = bytes
        held.writeBuffer(&bytes)
        return proceed(rules)
    }

    /// Goes as far as the held bytes lead.
    mutating func proceed(_ rules: DoorRules) -> [Action] {
        switch state {
        case .head(let reader): return readHead(reader, rules)
        case .socks(let reader): return readSocks(reader, rules)
        case .serverName(let request, let reader, let seen): return checkName(request, reader, seen)
        case .exchange(let request, let exchange): return forwardBody(request, exchange)
        case .over:
            held.clear()
            return []
        case .entered, .held, .admitting, .resolving, .dialling, .upstreamProxy, .tunnel: return []
        }
    }

    mutating func takeHeld() -> ByteBuffer {
        defer { held = ByteBuffer() }
        return held
    }

    /// Bytes from the origin server, or from the proxy in between.
    package mutating func answered(_ bytes: ByteBuffer, rules: DoorRules) -> [Action] {
        switch state {
        case .upstreamProxy(let request, let reader): return readProxyAnswer(request, reader, bytes, rules)
        case .exchange(let request, let exchange): return forwardAnswer(request, exchange, bytes, rules)
        case .tunnel: return [.toClient(bytes)]
        case .entered, .head, .socks, .held, .admitting, .resolving, .dialling, .serverName, .over: return []
        }
    }

    // MARK: Ends

    /// The client will send nothing more. In a tunnel the relay finds that out by itself.
    package mutating func clientClosed() -> [Action] {
        clientEnded = true
        switch state {
        case .head, .socks, .held: return abort(nil)
        case .serverName(let request, _, _):
            return deny(request, .protocol, "the tunnel ended before a TLS hello")
        case .exchange(let request, let exchange):
            guard !exchange.isRequestComplete else { return [] }
            state = .over
            return [.logClose(request, detail: "the client closed within its request"), .abort]
        case .entered, .admitting, .resolving, .dialling, .upstreamProxy, .tunnel, .over: return []
        }
    }

    /// The origin server will send nothing more. In a tunnel the relay finds that out by itself.
    package mutating func upstreamClosed() -> [Action] {
        switch state {
        case .upstreamProxy: return failed(.upstreamProxy("closed the connection without an answer"))
        case .exchange(let request, var exchange):
            guard exchange.upstreamEnded() else {
                return badAnswer(
                    request, exchange, "its answer is broken", detail: "the server closed within its answer")
            }
            state = .over
            return [.logClose(request, detail: nil), .finish]
        case .serverName(let request, _, _):
            return deny(request, .protocol, "the server closed before a TLS hello")
        case .entered, .head, .socks, .held, .admitting, .resolving, .dialling, .tunnel, .over: return []
        }
    }

    /// The connection to the origin server broke: a request that has no answer yet gets one.
    package mutating func upstreamBroke() -> [Action] {
        let detail = "the server's connection broke"
        switch state {
        case .upstreamProxy: return failed(.upstreamProxy("broke the connection"))
        case .exchange(let request, let exchange):
            return badAnswer(request, exchange, "it broke the connection", detail: detail)
        case .entered, .head, .socks, .held, .admitting, .resolving, .dialling, .serverName, .tunnel, .over:
            return abort(detail)
        }
    }

    /// The relay has the tunnel now. Returns what the client sent meanwhile.
    package mutating func handedOver() -> ByteBuffer {
        state = .over
        return takeHeld()
    }

    /// The present phase took too long.
    package mutating func timedOut() -> [Action] {
        switch state {
        case .head(let reader):
            return reader.isEmpty ? abort(nil) : refuse(.http(HTTPRefusal("the header did not come in time")))
        case .held(let asked, let refusal):
            // It was logged when it began to wait.
            state = .over
            return ProxyConnection.answer(asked, refusal) + [.finish]
        case .resolving: return failed(.resolverTimeout)
        case .dialling: return failed(.connectTimeout)
        case .upstreamProxy: return failed(.upstreamProxy("did not answer in time"))
        case .serverName(let request, _, _): return deny(request, .protocol, "no TLS hello in time")
        case .exchange, .tunnel: return abort("idle for too long")
        case .entered, .socks, .admitting: return abort(nil)
        case .over: return [.abort]
        }
    }

    /// A connection broke, or something happened that must not. Everything of this client is closed.
    package mutating func abort(_ detail: String?) -> [Action] {
        defer { state = .over }
        switch state {
        case .entered, .head, .socks, .held, .admitting, .resolving, .over: return [.abort]
        case .dialling(let request), .upstreamProxy(let request, _), .serverName(let request, _, _),
            .exchange(let request, _), .tunnel(let request):
            return [.logClose(request, detail: detail), .abort]
        }
    }
}
