internal import BoxAudit
package import BoxTypes
internal import NIOCore

#if DEBUG
    internal import BoxKernel
#endif

/// Why a request goes no further, for the program and for the log.
struct Refusal {
    let reason: RefusalReason
    let explanation: String
    let resolution: String
    var status = 403
    var retryAfter: Int?
}

/// What the limits say about a request.
package enum AdmissionVerdict: Equatable, Sendable {
    case granted
    /// The limit's key in the policy, whether it is the session's or the host's, and in how many seconds another
    /// try may be welcome.
    case refused(limit: String, scope: String, retryAfter: Int, reason: RefusalReason)
}

extension ProxyConnection {
    /// The connection stands. Where its target is known by then, it is judged at once.
    package mutating func start(rules: DoorRules) -> [Action] {
        guard case .entered(let entry) = state else { return [] }
        switch entry {
        case .http, .socks: return abort("entered twice")
        case .transparent(nil):
            state = .over
            return [
                .log(.denied("", nil, .transparent, .host, "no name has the address that was dialled")),
                .finish,
            ]
        case .transparent(let target?): return decide(Asked(target, .transparent), rules)
        case .published(let port):
            let asked = Asked(HostTarget(host: .name(.localhost), port: port), .publish)
            guard !isFull else { return refuse(asked, ProxyConnection.full) }
            let request = Request(asked, .published(port))
            state = .dialling(request)
            return [.log(.allowed(request)), .dialInside(port)]
        }
    }

    static let full = Refusal(
        reason: .rate, explanation: "the session has as many connections as it may",
        resolution: "wait until another one ends", status: 429, retryAfter: 1)

    /// Asks the rules about a request.
    mutating func decide(_ asked: Asked, _ rules: DoorRules) -> [Action] {
        let target = rules.meant(asked.target)
        let asked = Asked(target, asked.via, head: asked.head)
        guard !isFull else { return refuse(asked, ProxyConnection.full) }
        #if DEBUG
            // A debug build may leave this check out, for the tests.
            var judged = rules
            if Mutation.drops("proxy-check") {
                let own = (try? HostRule(target.description)).map { [$0] } ?? []
                judged.list = Allowlist(allow: own, deny: [])
            }
        #else
            let judged = rules
        #endif
        let (decision, once) = judged.decide(target)
        guard decision.allowed, let rule = decision.rule else {
            let refusal = Refusal(
                reason: decision.reason ?? .host, explanation: decision.explanation,
                resolution: ProxyConnection.resolution(target, decision))
            // A rule that is added can open what no rule names, and nothing that one denies.
            let opens = decision.rule == nil && (refusal.reason == .host || refusal.reason == .port)
            guard terms.hold > 0, opens else { return refuse(asked, refusal) }
            state = .held(asked, refusal)
            return [.log(.denied(asked, refusal.reason, refusal.explanation, held: terms.hold))]
        }
        state = .admitting(Request(asked, once.map(Grant.once) ?? .rule(rule)))
        return [.admit(target.host, once: once)]
    }

    private static func resolution(_ target: HostTarget, _ decision: Decision) -> String {
        if let rule = decision.rule { return "remove the rule \(rule.short) from the denied hosts" }
        if case .address(let address) = target.host, AddressClass(of: address).opening == .never {
            return "connect by the host's name; no rule opens such an address"
        }
        return "box allow \(target.short)"
    }

    /// The limits have spoken.
    package mutating func admitted(_ verdict: AdmissionVerdict) -> [Action] {
        guard case .admitting(let request) = state else { return abort("admitted twice") }
        switch verdict {
        case .granted:
            state = .resolving(request)
            if request.leavesMachine, let upstream = terms.upstream {
                return [.resolve(upstream.target.host)]
            }
            return [.resolve(request.target.host)]
        case .refused(let limit, let scope, let retryAfter, let reason):
            state = .over
            let isRate = reason == .rate
            let raise = "raise \(limit) of the \(scope) in the policy"
            let refusal = Refusal(
                reason: reason, explanation: "the \(scope)'s limit \(limit) is reached",
                resolution: isRate ? "wait \(retryAfter) s, or \(raise)" : raise, status: isRate ? 429 : 403,
                retryAfter: isRate ? retryAfter : nil)
            let event = Event.limited(request.asked, reason, limit: limit, scope: scope)
            return [.log(event)] + ProxyConnection.answer(request.asked, refusal) + [.finish]
        }
    }

    /// The rule for one connection is another one's by now: the rules are asked again.
    package mutating func lostRule(_ rules: DoorRules) -> [Action] {
        guard case .admitting(let request) = state else { return abort("admitted twice") }
        return decide(request.asked, rules)
    }

    /// Other rules are in force. What they no longer allow ends here; what waited for them goes on.
    package mutating func rulesChanged(_ rules: DoorRules) -> [Action] {
        switch state {
        case .held(let asked, _):
            return rules.decide(asked.target).decision.allowed ? decide(asked, rules) : []
        case .resolving(let request) where !rules.stillAllow(request):
            return refuse(request.asked, ProxyConnection.removed(request.target))
        case .dialling(let request), .upstreamProxy(let request, _), .serverName(let request, _, _),
            .exchange(let request, _), .tunnel(let request):
            guard !rules.stillAllow(request) else { return [] }
            state = .over
            return [.logClose(request, detail: "the rule was removed"), .abort]
        case .entered, .head, .socks, .admitting, .resolving, .over: return []
        }
    }

    private static func removed(_ target: HostTarget) -> Refusal {
        Refusal(
            reason: .host, explanation: "the rule was removed", resolution: "box allow \(target.short)")
    }

    // MARK: Refusals

    mutating func refuse(_ refusal: RequestRefusal) -> [Action] {
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

    mutating func refuse(_ asked: Asked, _ refusal: Refusal, detail: String? = nil) -> [Action] {
        state = .over
        let event = Action.log(.denied(asked, refusal.reason, detail ?? refusal.explanation))
        return [event] + ProxyConnection.answer(asked, refusal) + [.finish]
    }

    /// What the program is told. A captured connection speaks a protocol of its own: nothing can be said in it.
    static func answer(_ asked: Asked, _ refusal: Refusal) -> [Action] {
        switch asked.via {
        case .connect, .http:
            let reply = Reply.blocked(
                asked.target.host.description, port: asked.target.port, reason: refusal.reason,
                explanation: refusal.explanation, resolution: refusal.resolution, status: refusal.status,
                retryAfter: refusal.retryAfter)
            return [.toClient(reply.serialized(withBody: asked.takesBody))]
        case .socks: return [.toClient(SocksReader.reply(.notAllowed))]
        case .transparent, .dns, .publish: return []
        }
    }
}
