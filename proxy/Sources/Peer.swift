internal import CLinux
internal import Glibc
internal import NIOCore

/// Who hears what happens to a `Peer`. Nothing of this is called from within a call of the peer's own.
protocol PeerOwner: AnyObject {
    /// Bytes that were asked for with `read`.
    func received(_ bytes: ByteBuffer, from peer: Peer)
    /// The other side sends nothing more.
    func inputEnded(of peer: Peer)
    /// The other side sends nothing more than what waits to be read, which nobody has asked for.
    func inputIsEnding(of peer: Peer)
    /// Writing may go on.
    func hasRoom(_ peer: Peer)
    /// The connection broke.
    func broke(_ peer: Peer)
}

/// A connection on the loop: reads what is asked for, writes with backpressure, and ends its output in order.
final class Peer: Watcher {
    /// From `high` on `isWritable` is false, until less than `low` waits.
    private static let low = 64 << 10
    private static let high = 256 << 10

    let loop: DoorLoop
    private let poller: Poller
    private weak var owner: (any PeerOwner)?
    /// -1 when it was closed or given away.
    private var socket: CInt
    private var watch: Watch?
    private var isKnown: Bool
    private typealias Watch = Poller.Watch

    private var pending = CircularBuffer<ByteBuffer>()
    private var pendingBytes = 0
    private var isBackedUp = false
    /// Called when everything has left.
    private var afterWriting: (() -> Void)?

    // What is ready is remembered, because the kernel tells it only once (epoll(7), edge triggered).
    private var isReadable = true
    private var takesBytes = true
    private var isEnding = false
    private var hasEnded = false
    private var wantsRead = false
    private var isBroken = false
    private var isDue = false

    /// - Parameters:
    ///   - socket: a connected, non-blocking socket, which becomes the peer's own.
    ///   - isKnown: it is in the loop's epoll instance already.
    init(_ loop: DoorLoop, _ owner: any PeerOwner, _ socket: CInt, isKnown: Bool = false) {
        self.loop = loop
        poller = loop.poller
        self.owner = owner
        self.socket = socket
        self.isKnown = isKnown
        poller.cameToday(self)
    }

    deinit { if socket >= 0 { Glibc.close(socket) } }

    /// Has the kernel tell what happens. Until the end of its first round that is not needed.
    func register() {
        guard socket >= 0, watch == nil else { return }
        // Room for writing is asked for only where there was none: at first there always is, which needs no event.
        let room = takesBytes ? 0 : BOX_EPOLLOUT
        watch = poller.watch(
            socket, self, BOX_EPOLLIN | BOX_EPOLLRDHUP | BOX_EPOLLET | room, isKnown: isKnown)
        isKnown = true
        if watch == nil { fail() }
    }

    /// There is no room for writing now, and perhaps again and again.
    private func waitForRoom() {
        takesBytes = false
        guard let old = watch else { return }
        poller.forget(old)
        watch = nil
        register()
    }

    // MARK: Reading

    /// Asks for the next bytes; they come in a later call.
    func read() {
        guard !wantsRead, !hasEnded, socket >= 0 else { return }
        wantsRead = true
        if isReadable { makeDue() }
    }

    func ready(_ events: UInt32) {
        if events & BOX_EPOLLERR != 0 {
            // What came before the error is still to be read; reading meets the error behind it.
            guard !hasEnded else { return fail() }
            isReadable = true
            isEnding = true
            return makeDue()
        }
        if events & BOX_EPOLLOUT != 0, !takesBytes {
            takesBytes = true
            makeDue()
        }
        guard events & (BOX_EPOLLIN | BOX_EPOLLRDHUP | BOX_EPOLLHUP) != 0 else { return }
        isReadable = true
        if events & (BOX_EPOLLRDHUP | BOX_EPOLLHUP) != 0 { isEnding = true }
        if wantsRead || isEnding { makeDue() }
    }

    func turn() {
        isDue = false
        guard socket >= 0 else { return }
        if isBroken {
            owner?.broke(self)
            return
        }
        if takesBytes, !pending.isEmpty { flush() }
        if isBackedUp, pendingBytes < Peer.low {
            isBackedUp = false
            owner?.hasRoom(self)
        }
        guard isReadable, !hasEnded, socket >= 0 else { return }
        if wantsRead {
            receive()
        } else if isEnding {
            look()
        }
    }

    private func receive() {
        let socket = socket
        let got = unsafe poller.scratch.withUnsafeMutableBytes {
            unsafe recv(socket, $0.baseAddress, $0.count, CInt(MSG_DONTWAIT))
        }
        guard got > 0 else {
            guard got < 0 else { return endInput() }
            guard errno == EAGAIN || errno == EINTR else { return fail() }
            if errno == EINTR { makeDue() } else { isReadable = false }
            return
        }
        wantsRead = false
        // Less than was asked for is all that was there (epoll(7)); what comes now makes a new event.
        if got < Poller.readSize, !isEnding { isReadable = false }
        let bytes = ByteBuffer(bytes: poller.scratch[..<got])
        owner?.received(bytes, from: self)
    }

    /// The other side has sent its end, and nobody wants to read: is there anything before it?
    private func look() {
        var byte: UInt8 = 0
        let got = unsafe recv(socket, &byte, 1, CInt(MSG_DONTWAIT) | CInt(MSG_PEEK))
        if got == 0 {
            endInput()
        } else if got > 0 {
            owner?.inputIsEnding(of: self)
        } else if errno != EAGAIN, errno != EINTR {
            fail()
        }
    }

    private func endInput() {
        hasEnded = true
        wantsRead = false
        owner?.inputEnded(of: self)
    }

    // MARK: Writing

    /// Whether the other side keeps up.
    var isWritable: Bool { !isBackedUp }

    /// Leaves bytes for the next `flush`.
    func write(_ bytes: ByteBuffer) {
        guard bytes.readableBytes > 0 else { return }
        pending.append(bytes)
        pendingBytes += bytes.readableBytes
        if pendingBytes >= Peer.high { isBackedUp = true }
    }

    /// Sends what it can; the rest goes when the kernel takes it.
    func flush() {
        while takesBytes, !isBroken, socket >= 0, var first = pending.first {
            let socket = socket
            let sent = unsafe first.withUnsafeReadableBytes {
                unsafe send(socket, $0.baseAddress, $0.count, CInt(MSG_DONTWAIT) | CInt(MSG_NOSIGNAL))
            }
            guard sent >= 0 else {
                if errno == EINTR { continue }
                if errno == EAGAIN { waitForRoom() } else { fail() }
                break
            }
            pendingBytes -= sent
            first.moveReaderIndex(forwardBy: sent)
            if first.readableBytes == 0 { pending.removeFirst() } else { pending[pending.startIndex] = first }
        }
        if isBackedUp, pendingBytes < Peer.low { makeDue() }
        guard pending.isEmpty, let after = afterWriting else { return }
        afterWriting = nil
        after()
    }

    /// Calls `done` when everything written has left, perhaps at once.
    func whenWritten(_ done: @escaping () -> Void) {
        afterWriting = done
        flush()
    }

    /// When everything written has left, calls `done` and ends the output.
    func endOutput(_ done: @escaping () -> Void) {
        whenWritten { [weak self] in
            guard let self, self.socket >= 0 else { return }
            done()
            shutdown(self.socket, CInt(SHUT_WR))
        }
    }

    // MARK: The end

    /// Closes at once; what was not sent is lost.
    func close() {
        guard socket >= 0 else { return }
        let number = letGo()
        Glibc.close(number)
    }

    /// Gives the socket away. What was not read is still in the kernel.
    ///
    /// - Returns: the socket, and whether it is in the loop's epoll instance.
    func giveAway() -> (socket: CInt, isKnown: Bool) {
        let isKnown = isKnown
        return (letGo(), isKnown)
    }

    private func letGo() -> CInt {
        if let watch { poller.forget(watch) }
        watch = nil
        afterWriting = nil
        pending.removeAll()
        owner = nil
        defer { socket = -1 }
        return socket
    }

    private func fail() {
        isBroken = true
        makeDue()
    }

    private func makeDue() {
        guard !isDue else { return }
        isDue = true
        poller.makeDue(self)
    }
}
