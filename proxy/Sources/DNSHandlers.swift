internal import BoxKernel
internal import CLinux
internal import Glibc
package import NIOCore

/// What all DNS sockets of a session share. It lives on the event loop and is used only there.
package final class DNSService {
    /// Open connections; more are closed at once.
    package static let mostStreams = 64
    /// How long a connection may take for one question, and be quiet between two.
    package static let patience = TimeAmount.seconds(10)
    /// The longest question over a stream; one with every option that makes sense is far shorter.
    static let longestQuestion = 4096

    fileprivate let loop: DoorLoop
    fileprivate let answer: (ByteBuffer) -> ByteBuffer?
    fileprivate let patience: TimeAmount
    private var streams: [ObjectIdentifier: DNSStream] = [:]

    /// - Parameter answer: gives the answer to a message, or nil for none; called on the event loop.
    package init(
        _ loop: DoorLoop, patience: TimeAmount = patience, answer: @escaping (ByteBuffer) -> ByteBuffer?
    ) {
        self.loop = loop
        self.patience = patience
        self.answer = answer
    }

    /// Answers on a bound datagram socket, which becomes the service's own.
    package func serve(datagrams socket: CInt) throws { _ = try DNSDatagrams(self, socket) }

    /// Answers on the connections of a listening socket, which becomes the service's own.
    package func serve(streams socket: CInt) throws {
        _ = try Listener(loop, socket) { connection, _ in self.accepted(connection) }
    }

    private func accepted(_ connection: CInt) {
        guard streams.count < DNSService.mostStreams else {
            close(connection)
            return
        }
        let stream = DNSStream(self, connection)
        streams[ObjectIdentifier(stream)] = stream
    }

    fileprivate func closed(_ stream: DNSStream) { streams[ObjectIdentifier(stream)] = nil }
}

/// Answers each datagram to where it came from.
private final class DNSDatagrams: Watcher {
    /// Datagrams that are answered before others have their turn.
    private static let batch = 32

    private let service: DNSService
    private let socket: CInt

    init(_ service: DNSService, _ socket: CInt) throws(KernelError) {
        self.service = service
        self.socket = socket
        // Not edge triggered: what is left of a batch is told again.
        guard service.loop.poller.watch(socket, self, BOX_EPOLLIN) != nil else {
            throw KernelError(call: "epoll_ctl", code: errno)
        }
    }

    deinit { close(socket) }

    func ready(_ events: UInt32) {
        let (poller, socket) = (service.loop.poller, socket)
        for _ in 0..<DNSDatagrams.batch {
            var from = box_endpoint()
            let got = unsafe poller.scratch.withUnsafeMutableBytes {
                unsafe box_receive_from(socket, $0.baseAddress, $0.count, &from)
            }
            // An error is that of an answer which could not be delivered; the call has taken it off the socket.
            guard got >= 0 else { return }
            guard let answer = service.answer(ByteBuffer(bytes: poller.scratch[..<got])) else { continue }
            // What can't be sent is lost, as datagrams may be.
            _ = unsafe answer.withUnsafeReadableBytes {
                unsafe box_send_to(socket, $0.baseAddress, $0.count, &from)
            }
        }
    }

    func turn() {}
}

/// Answers the questions of one connection, each behind its length in two bytes (RFC 7766), one after the other:
/// the next is not read before the answer has left.
private final class DNSStream: PeerOwner {
    private let service: DNSService
    private var peer: Peer?
    private var pending = ByteBuffer()
    private var isAnswering = false
    private var hasEnded = false
    private var timer: Scheduled<Void>?

    init(_ service: DNSService, _ socket: CInt) {
        self.service = service
        peer = Peer(service.loop, self, socket)
        next()
    }

    func received(_ bytes: ByteBuffer, from peer: Peer) {
        pending.writeImmutableBuffer(bytes)
        take()
    }

    func inputEnded(of peer: Peer) {
        hasEnded = true
        if !isAnswering { close() }
    }

    func inputIsEnding(of peer: Peer) {}
    func hasRoom(_ peer: Peer) {}
    func broke(_ peer: Peer) { close() }

    private func close() {
        timer?.cancel()
        timer = nil
        peer?.close()
        peer = nil
        service.closed(self)
    }

    /// Waits for the next question. The clock counts to its answer, so that single bytes gain no time.
    private func next() {
        timer?.cancel()
        timer = service.loop.assumeIsolated().scheduleTask(in: service.patience) { [weak self] in
            self?.close()
        }
        take()
    }

    /// Answers the question that is complete, or reads on.
    private func take() {
        guard !isAnswering else { return }
        guard let length = pending.getInteger(at: pending.readerIndex, as: UInt16.self) else {
            return readOn()
        }
        guard length <= DNSService.longestQuestion else { return close() }
        guard pending.readableBytes >= 2 + Int(length) else { return readOn() }
        pending.moveReaderIndex(forwardBy: 2)
        guard let question = pending.readSlice(length: Int(length)), let answer = service.answer(question)
        else { return close() }
        pending.discardReadBytes()
        send(answer)
    }

    private func readOn() {
        if hasEnded { close() } else { peer?.read() }
    }

    private func send(_ answer: ByteBuffer) {
        isAnswering = true
        var framed = ByteBuffer()
        framed.writeInteger(UInt16(truncatingIfNeeded: answer.readableBytes))
        framed.writeImmutableBuffer(answer)
        peer?.write(framed)
        peer?.whenWritten { [weak self] in
            self?.isAnswering = false
            self?.next()
        }
    }
}
