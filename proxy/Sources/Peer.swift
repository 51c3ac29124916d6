internal import NIOCore

/// One side of a relay: writes with backpressure, and the orderly end of its output.
struct Peer {
    let context: ChannelHandlerContext

    var isWritable: Bool { context.channel.isWritable }

    func write(_ bytes: ByteBuffer) { context.write(NIOAny(bytes), promise: nil) }
    func flush() { context.flush() }
    func read() { context.read() }
    func close() { context.close(promise: nil) }

    /// Calls `done` when everything written has left, and then ends the output.
    ///
    /// NIO closes both ways at once, and drops what is pending, when the input has ended already; so the end
    /// waits for an empty write behind all others.
    func endOutput(_ done: @escaping () -> Void) {
        let written = context.eventLoop.makePromise(of: Void.self)
        context.writeAndFlush(NIOAny(ByteBuffer()), promise: written)
        let context = context
        written.futureResult.assumeIsolated().whenComplete { _ in
            done()
            context.close(mode: .output, promise: nil)
        }
    }
}
