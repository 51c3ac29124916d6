internal import NIOCore

/// The origin server's side: hands everything to the client's handler.
final class UpstreamHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Cut when the two are parted; then this side only closes.
    var client: ClientHandler?
    private(set) var peer: Peer?

    init(client: ClientHandler) { self.client = client }

    func handlerAdded(context: ChannelHandlerContext) { peer = Peer(context: context) }
    func handlerRemoved(context: ChannelHandlerContext) { peer = nil }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        client?.upstreamRead(unwrapInboundIn(data), from: self)
    }

    func channelReadComplete(context: ChannelHandlerContext) { client?.upstreamReadComplete(self) }

    func channelWritabilityChanged(context: ChannelHandlerContext) { client?.pull() }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .some(.inputClosed) = event as? ChannelEvent { client?.upstreamEnded(self) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        client?.broken("the server's connection broke", upstream: self)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) { client?.upstreamInactive(self) }
}
