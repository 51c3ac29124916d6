internal import BoxTypes
internal import NIOCore

/// How an established tunnel goes to the relay.
extension ClientHandler {
    /// Waits until everything is written, and then gives both connections away. Neither is read meanwhile.
    func handOver(_ request: Request, _ early: ByteBuffer) {
        peer?.whenWritten { [weak self] in
            self?.upstream?.whenWritten { self?.giveAway(request, early) }
        }
    }

    private func giveAway(_ request: Request, _ early: ByteBuffer) {
        // One of the two may have broken meanwhile, or the rules may have changed.
        guard connection.phase == .tunnel, let peer, let upstream else { return }
        var early = early
        early.writeImmutableBuffer(connection.handedOver())
        let tunnel = RelayedTunnel(
            request: request, ticket: ticket, client: client, began: began, counted: meter)
        ticket = nil
        self.upstream = nil
        let (program, server) = (peer.giveAway(), upstream.giveAway())
        door.relay(tunnel, program, server, early: Array(early.readableBytesView))
        gone()
    }
}
