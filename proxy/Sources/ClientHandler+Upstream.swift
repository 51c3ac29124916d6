internal import BoxTypes
internal import Glibc
internal import NIOCore

/// The way to the origin server, and what comes from there.
extension ClientHandler {
    func resolve(_ host: Host) {
        guard let loop = peer?.context.eventLoop else { return }
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

    func dial(_ addresses: [IPAddress], _ port: Port) {
        guard let loop = peer?.context.eventLoop else { return }
        let dialler = Dialler(loop: loop, port: port, prepare: upstreamInitializer(loop))
        // This keeps the handler until the dialling ends, so that no connection is left without an owner.
        dialler.dial(addresses).assumeIsolated().whenComplete { result in
            switch result {
            case .success(let dialled): self.connected(dialled.channel, to: dialled.address)
            case .failure(let error): self.notConnected(error)
            }
        }
    }

    /// A connection to a server inside, over one of the sockets that were made there.
    func dialInside(_ port: Port) {
        guard let loop = peer?.context.eventLoop else { return }
        began = .now()
        meter = Meter()
        let initializer = upstreamInitializer(loop)
        door.inside.connect(to: port, prepare: initializer).assumeIsolated().whenComplete { result in
            switch result {
            case .success(let channel): self.connected(channel, to: nil)
            case .failure(let error): self.notConnected(error)
            }
        }
    }

    private func upstreamInitializer(
        _ loop: any EventLoop
    ) -> @Sendable (any Channel) -> EventLoopFuture<Void> {
        let me = NIOLoopBound(self, eventLoop: loop)
        return { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(UpstreamHandler(client: me.value))
            }
        }
    }

    private func connected(_ channel: any Channel, to address: IPAddress?) {
        // The client may have gone, or the time may be up.
        guard connection.phase == .dialling, peer != nil else { return channel.close(promise: nil) }
        do {
            upstream = try channel.pipeline.syncOperations.handler(type: UpstreamHandler.self)
        } catch {
            // It broke in the same moment.
            channel.close(promise: nil)
            return notConnected(error)
        }
        perform(connection.connected(to: address, rules: door.rules))
    }

    private func notConnected(_ error: any Error) {
        guard connection.phase == .dialling else { return }
        perform(connection.failed(UpstreamFailure(dialling: error)))
    }

    // MARK: Events of the origin server's connection

    func upstreamRead(_ bytes: ByteBuffer, from source: UpstreamHandler) {
        guard source === upstream, !isFinishing else { return }
        lastActivity = .now()
        // What the next proxy says about itself is none of the request's bytes.
        if connection.phase != .upstreamProxy, !count(bytes.readableBytes, .down) { return }
        perform(connection.answered(bytes, rules: door.rules))
        prolongHandover()
    }

    func upstreamReadComplete(_ source: UpstreamHandler) {
        guard source === upstream else { return }
        peer?.flush()
        pull()
    }

    func upstreamEnded(_ source: UpstreamHandler) {
        guard source === upstream, !isFinishing else { return }
        perform(connection.upstreamClosed())
    }

    func upstreamInactive(_ source: UpstreamHandler) {
        guard source === upstream, !isFinishing else { return }
        perform(connection.upstreamClosed())
    }

    func broken(_ detail: String, upstream source: UpstreamHandler) {
        guard source === upstream, !isFinishing else { return }
        perform(connection.abort(detail))
    }
}

extension UpstreamFailure {
    /// What a failed connection says.
    fileprivate init(dialling error: any Error) {
        switch error {
        case let failure as UpstreamFailure: self = failure
        case ChannelError.connectTimeout: self = .connectTimeout
        case let error as IOError: self.init(error.errnoCode)
        default: self = .refused("no connection")
        }
    }

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
