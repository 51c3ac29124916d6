internal import BoxAudit
package import BoxTypes
internal import NIOCore

/// The way to the origin server.
extension ProxyConnection {
    /// The lookup is done. Each address is judged; only those that pass are ever dialled.
    package mutating func resolved(_ lookup: Lookup, rules: DoorRules) -> [Action] {
        guard case .resolving(let request) = state else { return abort("resolved twice") }
        if request.leavesMachine, let upstream = terms.upstream { return dial(upstream, lookup, request) }
        let vetting = Vetting(request.target, lookup, rules.list, with: request.grant.single)
        guard !vetting.allowed.isEmpty else {
            let refusal = Refusal(
                reason: .address, explanation: vetting.explanation,
                resolution: "the session's log has the address, and box allow ADDRESS opens it")
            return refuse(request.asked, refusal, detail: vetting.detail)
        }
        state = .dialling(request)
        return [.log(.allowed(request)), .dial(vetting.allowed, request.target.port)]
    }

    /// The user named the proxy of their network, wherever it is; names behind it are not resolved here.
    private mutating func dial(_ upstream: UpstreamProxy, _ lookup: Lookup, _ request: Request) -> [Action] {
        let isHere = upstream.target.host == .name(.localhost)
        let addresses: [IPAddress] = isHere ? [.v4(0x7F00_0001), .v6(1)] : lookup.addresses
        guard !addresses.isEmpty else { return failed(.upstreamProxy("has no address")) }
        state = .dialling(request)
        return [.log(.allowed(request)), .dial(addresses, upstream.target.port)]
    }

    /// The connection stands, to this address.
    package mutating func connected(to address: IPAddress?, rules: DoorRules) -> [Action] {
        guard case .dialling(var request) = state else { return abort("connected twice") }
        guard request.leavesMachine, let upstream = terms.upstream else {
            request.address = address
            // While it was dialled the rules may have changed.
            guard rules.stillAllow(request) else {
                state = .over
                return [.logClose(request, detail: "the rule was removed"), .abort]
            }
            return opened(request, rules)
        }
        guard request.via != .http else { return opened(request, rules) }
        state = .upstreamProxy(request, HeadReader())
        var head = ByteBuffer()
        head.writeString("CONNECT \(request.target) HTTP/1.1\r\nHost: \(request.target)\r\n")
        head.write(proxyAuthorization: upstream)
        head.writeString("\r\n")
        return [.toUpstream(head)]
    }

    /// The head of the next proxy's answer to CONNECT.
    mutating func readProxyAnswer(
        _ request: Request, _ current: HeadReader, _ bytes: ByteBuffer, _ rules: DoorRules
    ) -> [Action] {
        var reader = current
        var rest = bytes
        do throws(HTTPRefusal) {
            guard let head = try reader.read(&rest) else {
                state = .upstreamProxy(request, reader)
                return []
            }
            let status = try ResponseHead.status(head.startLine)
            guard (200...299).contains(status) else {
                return failed(.upstreamProxy(UpstreamFailure.answer(status)))
            }
        } catch { return failed(.upstreamProxy("gave a broken answer")) }
        answeredEarly = rest
        return opened(request, rules)
    }

    /// The way to the origin server is free. A rule for one connection is used up by that.
    private mutating func opened(_ waiting: Request, _ rules: DoorRules) -> [Action] {
        guard case .once(let use) = waiting.grant else { return begin(waiting, rules) }
        var request = waiting
        request.grant = .used(use.rule)
        return [.spend(use)] + begin(request, rules)
    }

    private mutating func begin(_ request: Request, _ rules: DoorRules) -> [Action] {
        let reply: [Action]
        switch request.via {
        case .http: return beginExchange(request, rules)
        case .connect: reply = [.toClient(Reply.established)]
        case .socks: reply = [.toClient(SocksReader.reply(.succeeded))]
        case .transparent, .publish: reply = []
        case .dns: return abort("a question was dialled")
        }
        guard request.target.port == .https, request.via != .publish, !rules.isRaw(request.target.host) else {
            return reply + openTunnel(request)
        }
        state = .serverName(request, ClientHelloReader(), seen: 0)
        return reply + proceed(rules)
    }

    /// The lookup or the connection failed.
    package mutating func failed(_ failure: UpstreamFailure) -> [Action] {
        let request: Request
        var actions: [Action] = []
        switch state {
        case .resolving(let waiting):
            request = waiting
            actions = [.log(.allowed(request))]
        case .dialling(let waiting), .upstreamProxy(let waiting, _): request = waiting
        case .entered, .head, .socks, .held, .admitting, .serverName, .exchange, .tunnel, .over:
            return abort("failed twice")
        }
        state = .over
        var failure = failure
        if request.leavesMachine, terms.upstream != nil { failure = failure.ofUpstreamProxy }
        let proxy = terms.upstream?.target.description ?? ""
        let explanation = failure.explanation(proxy)
        actions.append(.logClose(request, detail: explanation))
        switch request.via {
        case .connect, .http:
            let reply = Reply.upstreamFailed(request.target, explanation, status: failure.status)
            actions.append(.toClient(reply.serialized(withBody: request.asked.takesBody)))
        case .socks: actions.append(.toClient(SocksReader.reply(failure.code)))
        case .transparent, .dns, .publish: break
        }
        return actions + [.finish]
    }
}

extension UpstreamFailure {
    /// The same failure, where it was the next proxy that was dialled.
    fileprivate var ofUpstreamProxy: UpstreamFailure {
        switch self {
        case .nameNotFound: .upstreamProxy("has no address")
        case .resolverTimeout: .upstreamProxy("was not resolved")
        case .refused(let why): .upstreamProxy("can't be reached (\(why))")
        case .unreachable: .upstreamProxy("can't be reached (unreachable)")
        case .connectTimeout: .upstreamProxy("did not answer in time")
        case .upstreamProxy, .noSocket: self
        }
    }

    /// What an answer of the next proxy means.
    static func answer(_ status: Int) -> String {
        status == 407 ? "wants a name and a password (407)" : "answered \(status)"
    }

    /// For people; the proxy of the user's network is named where it is to blame.
    fileprivate func explanation(_ proxy: String) -> String {
        switch self {
        case .nameNotFound: "its name has no address"
        case .resolverTimeout: "its name was not resolved"
        case .refused(let why): "the connection failed (\(why))"
        case .unreachable: "the connection failed (unreachable)"
        case .connectTimeout: "it did not answer in time"
        case .upstreamProxy(let what): "the upstream proxy \(proxy) \(what)"
        case .noSocket: "the sandbox made no connection in time"
        }
    }

    fileprivate var status: Int {
        switch self {
        case .nameNotFound, .refused, .unreachable, .upstreamProxy: 502
        case .resolverTimeout, .connectTimeout, .noSocket: 504
        }
    }

    fileprivate var code: SocksReader.Code {
        switch self {
        case .nameNotFound, .resolverTimeout, .unreachable: .hostUnreachable
        case .refused: .refused
        case .connectTimeout: .ttlExpired
        case .upstreamProxy, .noSocket: .failure
        }
    }
}
