internal import BoxKernel
internal import BoxTypes
internal import NIOCore

/// A tunnel on its way to the relay.
struct Handing {
    let request: Request
    /// The program's first bytes for the server.
    let early: ByteBuffer
    /// How often the writing has begun again, because something more had to be written.
    var round = 0
}

/// How an established tunnel goes to the relay.
extension ClientHandler {
    /// Waits until everything is written, and then gives both connections away.
    func handOver(_ request: Request, _ early: ByteBuffer) {
        handover = Handing(request: request, early: early)
        whenWritten()
    }

    /// Bytes of the server came although none were asked for: they have to be written as well.
    func prolongHandover() {
        guard handover != nil else { return }
        handover?.round += 1
        whenWritten()
    }

    private func whenWritten() {
        guard let peer, let server = upstream?.peer, let round = handover?.round else { return }
        let written = [peer, server].map { side in
            let promise = side.context.eventLoop.makePromise(of: Void.self)
            side.context.writeAndFlush(NIOAny(ByteBuffer()), promise: promise)
            return promise.futureResult
        }
        EventLoopFuture.andAllSucceed(written, on: peer.context.eventLoop).assumeIsolated().whenSuccess {
            [weak self] in self?.giveAway(round)
        }
    }

    private func giveAway(_ round: Int) {
        // One of the two may have broken meanwhile, or the rules may have changed.
        guard let handover, handover.round == round, connection.phase == .tunnel, let peer,
            let server = upstream?.peer
        else { return }
        // From here on this handler is deaf: both channels become inactive.
        var early = handover.early
        early.writeImmutableBuffer(connection.handedOver())
        upstream?.client = nil
        upstream = nil
        let tunnel = RelayedTunnel(
            request: handover.request, ticket: ticket, client: client, began: began, counted: meter)
        ticket = nil
        self.handover = nil
        do throws(Handover.Failure) {
            let program = Descriptor(owning: try Handover.take(peer.context.channel))
            let origin = Descriptor(owning: try Handover.take(server.context.channel))
            door.relay(tunnel, program.release(), origin.release(), early: Array(early.readableBytesView))
        } catch {
            peer.close()
            server.close()
            door.notRelayed(tunnel)
        }
    }
}
