package import NIOCore
internal import NIOPosix

/// What all DNS sockets of a session share. It lives on the event loop and is used only there.
package final class DNSService {
    /// Open connections; more are closed at once.
    package static let mostStreams = 64
    /// How long a connection may take for one question, and be quiet between two.
    package static let patience = TimeAmount.seconds(10)
    /// The longest question over a stream; one with every option that makes sense is far shorter.
    static let longestQuestion = 4096

    fileprivate let answer: (ByteBuffer) -> ByteBuffer?
    fileprivate let patience: TimeAmount
    private var streams = 0

    /// - Parameter answer: gives the answer to a message, or nil for none; called on the event loop.
    package init(patience: TimeAmount = patience, answer: @escaping (ByteBuffer) -> ByteBuffer?) {
        self.patience = patience
        self.answer = answer
    }

    /// Whether one connection more is welcome; then it counts until `streamClosed`.
    fileprivate func streamOpened() -> Bool {
        guard streams < DNSService.mostStreams else { return false }
        streams += 1
        return true
    }

    fileprivate func streamClosed() { streams -= 1 }

    /// Answers on a bound datagram socket, which becomes the channel's own. The channel ends only when it is
    /// closed or the socket broke.
    package static func serve(
        datagrams socket: CInt, _ service: NIOLoopBound<DNSService>
    ) -> EventLoopFuture<any Channel> {
        DatagramBootstrap(group: service.eventLoop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(DNSDatagramHandler(service.value))
                }
            }
            .withBoundSocket(socket)
    }

    /// Answers on the connections of a listening socket, which becomes the channel's own.
    package static func serve(
        streams socket: CInt, _ service: NIOLoopBound<DNSService>
    ) -> EventLoopFuture<any Channel> {
        ServerBootstrap(group: service.eventLoop)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(DNSStreamHandler(service.value))
                }
            }
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 1024))
            .withBoundSocket(socket)
    }
}

/// Answers each datagram to where it came from.
final class DNSDatagramHandler: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>
    typealias OutboundOut = AddressedEnvelope<ByteBuffer>

    private let service: DNSService

    init(_ service: DNSService) { self.service = service }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let question = unwrapInboundIn(data)
        guard let answer = service.answer(question.data) else { return }
        let envelope = AddressedEnvelope(remoteAddress: question.remoteAddress, data: answer)
        context.write(wrapOutboundOut(envelope), promise: nil)
    }

    func channelReadComplete(context: ChannelHandlerContext) { context.flush() }

    /// A datagram that could not be read or sent is lost, as datagrams may be; NIO itself closes the channel when
    /// the socket is broken.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {}
}

/// Answers the questions of one connection, each behind its length in two bytes (RFC 7766), one after the other:
/// the next is not read before the answer has left.
final class DNSStreamHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let service: DNSService
    private var pending = ByteBuffer()
    private var isAnswering = false
    private var counts = false
    private var timer: Scheduled<Void>?

    init(_ service: DNSService) { self.service = service }

    func channelActive(context: ChannelHandlerContext) {
        guard service.streamOpened() else {
            context.close(promise: nil)
            return
        }
        counts = true
        next(context)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        pending.writeBuffer(&bytes)
        take(context)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        timer = nil
        if counts { service.streamClosed() }
        counts = false
    }

    /// Waits for the next question. The clock counts to its answer, so that single bytes gain no time.
    private func next(_ context: ChannelHandlerContext) {
        timer?.cancel()
        let loop = context.eventLoop.assumeIsolated()
        timer = loop.scheduleTask(in: service.patience) { context.close(promise: nil) }
        take(context)
    }

    /// Answers the question that is complete, or reads on.
    private func take(_ context: ChannelHandlerContext) {
        guard !isAnswering else { return }
        guard let length = pending.getInteger(at: pending.readerIndex, as: UInt16.self) else {
            context.read()
            return
        }
        guard length <= DNSService.longestQuestion else {
            context.close(promise: nil)
            return
        }
        guard pending.readableBytes >= 2 + Int(length) else {
            context.read()
            return
        }
        pending.moveReaderIndex(forwardBy: 2)
        guard let question = pending.readSlice(length: Int(length)), let answer = service.answer(question)
        else {
            context.close(promise: nil)
            return
        }
        pending.discardReadBytes()
        send(answer, context)
    }

    private func send(_ answer: ByteBuffer, _ context: ChannelHandlerContext) {
        isAnswering = true
        var framed = ByteBuffer()
        framed.writeInteger(UInt16(truncatingIfNeeded: answer.readableBytes))
        framed.writeImmutableBuffer(answer)
        let sent = context.eventLoop.makePromise(of: Void.self)
        sent.futureResult.assumeIsolated().whenSuccess {
            self.isAnswering = false
            self.next(context)
        }
        context.writeAndFlush(wrapOutboundOut(framed), promise: sent)
    }
}
