internal import BoxAudit
internal import BoxTypes
internal import NIOCore

/// Requests to the proxy, and plain HTTP through it.
extension ProxyConnection {
    mutating func readHead(_ current: HeadReader, _ rules: DoorRules) -> [Action] {
        var reader = current
        let message: MessageHead
        do throws(HTTPRefusal) {
            let head = try reader.read(&held)
            state = .head(reader)
            guard let head else { return [] }
            message = head
        } catch { return refuse(.http(error)) }
        do throws(RequestRefusal) {
            let head = try RequestHead(message)
            let isPlain = head.method != .connect
            return decide(Asked(head.target, isPlain ? .http : .connect, head: isPlain ? head : nil), rules)
        } catch { return refuse(error) }
    }

    mutating func beginExchange(_ request: Request, _ rules: DoorRules) -> [Action] {
        guard let head = request.asked.head else { return abort("no request to forward") }
        state = .exchange(request, Exchange(head))
        let upstream = request.leavesMachine ? terms.upstream : nil
        let actions = [.toUpstream(head.serialized(to: request.target, through: upstream))] + proceed(rules)
        // A body that the program's end has cut can't be completed any more.
        return clientEnded ? actions + clientClosed() : actions
    }

    mutating func forwardBody(_ request: Request, _ current: Exchange) -> [Action] {
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
                .log(.denied(request.asked, .protocol, error.explanation)), close,
                .toClient(Reply.malformed(error).serialized()), .finish,
            ]
        }
    }

    mutating func forwardAnswer(
        _ request: Request, _ current: Exchange, _ bytes: ByteBuffer, _ rules: DoorRules
    ) -> [Action] {
        var exchange = current
        do throws(HTTPRefusal) {
            let out = try exchange.fromUpstream(bytes)
            if exchange.wantsProxyCredentials, request.leavesMachine, let upstream = terms.upstream {
                // What that proxy asks for is none of the program's business.
                let what = UpstreamFailure.answer(407)
                return badAnswer(request, current, "the upstream proxy \(upstream.target) \(what)")
            }
            state = .exchange(request, exchange)
            let actions = out.map(Action.toClient)
            return exchange.isResponseComplete ? actions + endExchange(request, exchange, rules) : actions
        } catch { return badAnswer(request, exchange, "its answer is broken", detail: error.explanation) }
    }

    private mutating func endExchange(
        _ request: Request, _ exchange: Exchange, _ rules: DoorRules
    ) -> [Action] {
        let close = Action.logClose(request, detail: nil)
        guard exchange.keepsAlive, !clientEnded else {
            state = .over
            return [close, .finish]
        }
        state = .head(HeadReader())
        // The next request may have come already; it is judged like the first.
        return [close, .nextRequest] + proceed(rules)
    }

    mutating func badAnswer(
        _ request: Request, _ exchange: Exchange, _ why: String, detail: String? = nil
    ) -> [Action] {
        state = .over
        let close = Action.logClose(request, detail: detail ?? why)
        guard !exchange.hasAnswered else { return [close, .abort] }
        let reply = Reply.upstreamFailed(request.target, why, status: 502)
        return [close, .toClient(reply.serialized(withBody: request.asked.takesBody)), .finish]
    }
}
