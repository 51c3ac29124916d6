internal import BoxAudit
internal import BoxTypes
internal import NIOCore

/// The name check, and the tunnel behind it.
extension ProxyConnection {
    mutating func openTunnel(_ request: Request) -> [Action] {
        state = .tunnel(request)
        let early = takeHeld()
        let answer = answeredEarly
        answeredEarly = ByteBuffer()
        return (answer.readableBytes > 0 ? [.toClient(answer)] : []) + [.relay(request, early: early)]
    }

    mutating func checkName(_ request: Request, _ current: ClientHelloReader, _ seen: Int) -> [Action] {
        var reader = current
        // The bytes stay held until the whole hello is read: nothing leaves before it is judged.
        let finding = reader.read(held.readableBytesView.dropFirst(seen))
        switch (finding, request.target.host) {
        case (.more, _):
            state = .serverName(request, reader, seen: held.readableBytes)
            return clientEnded ? deny(request, .protocol, "the tunnel ended before a TLS hello") : []
        case (.notTLS, _): return deny(request, .protocol, "not TLS in a tunnel to port 443")
        case (.encrypted, _):
            return deny(
                request, .name, "ech: the TLS hello has an encrypted part, which may name another host")
        case (.hello(nil), .name): return deny(request, .name, "sni_missing: the TLS hello names no server")
        case (.hello(let name?), .name(let host)):
            guard name == host.description else { return deny(request, .name, "sni_mismatch: \(name)") }
            return openTunnel(request)
        // A client that asks for an address has no name to say (RFC 6066, 3).
        case (.hello(nil), .address): return openTunnel(request)
        case (.hello(let name?), .address): return deny(request, .name, "sni_mismatch: \(name)")
        }
    }

    mutating func deny(_ request: Request, _ reason: RefusalReason, _ detail: String) -> [Action] {
        state = .over
        return [.log(.denied(request.asked, reason, detail)), .logClose(request, detail: detail), .abort]
    }
}

/// SOCKS5.
extension ProxyConnection {
    mutating func readSocks(_ current: SocksReader, _ rules: DoorRules) -> [Action] {
        var reader = current
        var actions: [Action] = []
        while true {
            switch reader.read(&held) {
            case .more:
                state = .socks(reader)
                return actions
            case .reply(let answer): actions.append(.toClient(answer))
            case .connect(let target): return actions + decide(Asked(target, .socks), rules)
            case .refused(let answer, let why):
                state = .over
                let event: Event =
                    if let unusable = reader.unusable {
                        .denied(unusable.host, unusable.port, .socks, .host, unusable.why)
                    } else { .denied("", nil, .socks, .protocol, why) }
                actions.append(.log(event))
                if answer.readableBytes > 0 { actions.append(.toClient(answer)) }
                return actions + [.finish]
            }
        }
    }
}
