internal import BoxTypes
internal import Glibc
internal import NIOCore

/// The way to the origin server, and what comes from there.
extension ClientHandler {
    func resolve(_ host: Host) {
        guard let loop = peer?.loop else { return }
        door.resolver.lookup(host, on: loop) { [weak self] result in
            // The client may have gone, or the time may be up.
            guard let self, self.connection.phase == .resolving else { return }
            switch result {
            case .success(let lookup): self.perform(self.connection.resolved(lookup, rules: self.door.rules))
            case .failure(let error): self.perform(self.connection.failed(error))
            }
        }
    }

    /// Dials at the end of the loop's round, when the log has what was decided.
    func dial(_ addresses: [IPAddress], _ port: Port) {
        guard let loop = peer?.loop else { return }
        door.afterLog {
            guard self.connection.phase == .dialling else { return }
            // This keeps the handler until the dialling ends, so that no connection is left without an owner.
            Dialler(loop, port).dial(addresses) { result in
                switch result {
                case .success(let dialled): self.connected(dialled)
                case .failure(let error): self.notConnected(error)
                }
            }
        }
    }

    /// A connection to a server inside, over one of the sockets that were made there.
    func dialInside(_ port: Port) {
        began = .now()
        meter = Meter()
        door.afterLog {
            guard self.connection.phase == .dialling else { return }
            self.door.inside.connect(to: port) { result in
                switch result {
                case .success(let socket):
                    self.connected(Dialler.Dialled(socket: socket, isKnown: false, address: nil))
                case .failure(let error): self.notConnected(error)
                }
            }
        }
    }

    private func connected(_ dialled: Dialler.Dialled) {
        // The client may have gone, or the time may be up.
        guard connection.phase == .dialling, let loop = peer?.loop else {
            Glibc.close(dialled.socket)
            return
        }
        upstream = Peer(loop, self, dialled.socket, isKnown: dialled.isKnown)
        perform(connection.connected(to: dialled.address, rules: door.rules))
    }

    private func notConnected(_ failure: UpstreamFailure) {
        guard connection.phase == .dialling else { return }
        perform(connection.failed(failure))
    }

    // MARK: Events of the origin server's connection

    func upstreamRead(_ bytes: ByteBuffer) {
        guard !isFinishing else { return }
        lastActivity = .now()
        // What the next proxy says about itself is none of the request's bytes.
        if connection.phase != .upstreamProxy, !count(bytes.readableBytes, .down) { return }
        perform(connection.answered(bytes, rules: door.rules))
    }

    func upstreamEnded() {
        guard !isFinishing else { return }
        perform(connection.upstreamClosed())
    }

    func upstreamBroke() {
        guard !isFinishing else { return }
        perform(connection.upstreamBroke())
    }
}

extension UpstreamFailure {
    /// What connect(2) says.
    init(_ code: CInt) {
        switch code {
        case ECONNREFUSED: self = .refused("refused")
        case ENETUNREACH, EHOSTUNREACH: self = .unreachable
        case ECONNRESET: self = .refused("reset")
        case ETIMEDOUT: self = .connectTimeout
        default: self = .refused("error \(code)")
        }
    }
}
