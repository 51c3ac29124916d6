package import BoxKernel
internal import Dispatch
internal import Glibc
internal import Synchronization

/// The name of a tunnel in its relay.
package struct TunnelID: Hashable, Sendable {
    let number: UInt64
}

/// Carries the bytes of established tunnels, both ways, until both directions have ended: two descriptors
/// and a few hundred bytes for each tunnel, and one large buffer for all, on the thread of a `DoorLoop`.
///
/// A tunnel is handed over once everything about it is decided. The end of one direction is passed on behind its
/// last byte, while the other direction goes on. A side that does not take its bytes stops the reading of the other
/// side. A tunnel that ends in any other way than by its two ends is reset on both sides: cut data must not look
/// complete.
package final class TunnelRelay: Sendable {
    /// One of the two ends of a tunnel.
    package enum Side: Sendable {
        /// The program's.
        case client
        /// The server's.
        case upstream
    }

    /// Why a tunnel ended.
    package enum Reason: Equatable, Sendable {
        /// Both sides sent their end, and all was delivered.
        case finished
        /// The connection of this side failed with this errno.
        case broken(Side, code: CInt)
        /// No byte moved for as long as a tunnel may be quiet.
        case idle
        /// The limit of that name is used up.
        case limit(String)
        /// By `close` or `stop`.
        case closed
    }

    /// What a tunnel moved, and why it ended.
    package struct End: Equatable, Sendable {
        package let bytesUp: Int
        package let bytesDown: Int
        package let reason: Reason

        package init(bytesUp: Int, bytesDown: Int, reason: Reason) {
            self.bytesUp = bytesUp
            self.bytesDown = bytesDown
            self.reason = reason
        }
    }

    /// A tunnel on its way to the thread.
    struct Newcomer: Sendable {
        let id: TunnelID
        let client: CInt
        let upstream: CInt
        /// Whether they are in the loop's epoll instance already.
        let isKnown: (client: Bool, upstream: Bool)
        let early: [UInt8]
        let accounts: [ByteAccount]
        let counted: (up: Int, down: Int)
        /// Nanoseconds.
        let idle: UInt64
        let onSlowed: (@Sendable () -> Void)?
        let onEnd: @Sendable (End) -> Void
    }

    private let loop: DoorLoop
    private let ownsLoop: Bool
    private let last = Atomic<UInt64>(0)

    /// A relay with a loop of its own.
    package init() throws(KernelError) {
        loop = try DoorLoop()
        ownsLoop = true
    }

    /// The relay of a loop that does other things as well.
    init(on loop: DoorLoop) {
        self.loop = loop
        ownsLoop = false
    }

    deinit { if ownsLoop { loop.stop() } }

    /// Takes over two connected stream sockets, which are the relay's to close from now on.
    ///
    /// - Parameters:
    ///   - client: the program's connection; nothing else reads or writes it any more.
    ///   - upstream: the server's connection; the same holds.
    ///   - early: bytes of the program that were read already; they go first. They count like all others.
    ///   - accounts: where bytes count. What a limit does not allow is dropped and ends the tunnel.
    ///   - counted: what the tunnel moved before; the end's numbers begin there.
    ///   - idle: for how many seconds the tunnel may be quiet, in both directions.
    ///   - onSlowed: called on the loop's thread when a rate makes the tunnel wait for the first time. It must not
    ///     wait.
    ///   - onEnd: called exactly once, on the loop's thread (after `stop` on the caller's), when both descriptors
    ///     are closed. It must not wait, and not call `stop`.
    package func add(
        client: CInt, upstream: CInt, early: [UInt8] = [], accounts: [ByteAccount] = [],
        counted: (up: Int, down: Int) = (0, 0), idle: Double = 600,
        onSlowed: (@Sendable () -> Void)? = nil, onEnd: @escaping @Sendable (End) -> Void
    ) -> TunnelID {
        add(
            client: client, upstream: upstream, isKnown: (false, false), early: early, accounts: accounts,
            counted: counted, idle: idle, onSlowed: onSlowed, onEnd: onEnd)
    }

    /// The same for sockets that may be in the loop's epoll instance already.
    func add(
        client: CInt, upstream: CInt, isKnown: (client: Bool, upstream: Bool), early: [UInt8],
        accounts: [ByteAccount], counted: (up: Int, down: Int), idle: Double,
        onSlowed: (@Sendable () -> Void)?, onEnd: @escaping @Sendable (End) -> Void
    ) -> TunnelID {
        let id = TunnelID(number: last.wrappingAdd(1, ordering: .relaxed).newValue)
        let newcomer = Newcomer(
            id: id, client: client, upstream: upstream, isKnown: isKnown, early: early, accounts: accounts,
            counted: counted, idle: UInt64(max(idle, 0) * 1e9), onSlowed: onSlowed, onEnd: onEnd)
        let loop = loop
        // Never at once: it may be a tunnel's end that leads to another tunnel.
        let isTaken = loop.post { loop.poller.tunnels.add(newcomer, now: loop.poller.now) }
        if !isTaken { newcomer.refuse() }
        return id
    }

    /// Ends a tunnel, with `closed`, unless it has ended already.
    package func close(_ tunnel: TunnelID) {
        let loop = loop
        loop.execute { loop.poller.tunnels.close(tunnel) }
    }

    /// Ends all tunnels and takes no more, and waits until that is done. Not to be called on the loop.
    package func stop() {
        let loop = loop
        let done = DispatchSemaphore(value: 0)
        let isRunning = loop.post {
            loop.poller.tunnels.stop()
            done.signal()
        }
        if isRunning { done.wait() }
        if ownsLoop { loop.stop() }
    }
}

extension TunnelRelay.Newcomer {
    /// Ends a tunnel that came too late.
    func refuse() {
        SocketEnd.reset(client)
        SocketEnd.reset(upstream)
        onEnd(TunnelRelay.End(bytesUp: counted.up, bytesDown: counted.down, reason: .closed))
    }
}

/// How a tunnel's socket is closed.
enum SocketEnd {
    /// Closes; what was written is still delivered.
    static func close(_ socket: CInt) { Glibc.close(socket) }

    /// Why the connection broke; takes the error from the socket.
    static func error(of socket: CInt) -> CInt {
        var code: CInt = 0
        var size = socklen_t(MemoryLayout<CInt>.size)
        let asked = unsafe getsockopt(socket, SOL_SOCKET, SO_ERROR, &code, &size)
        return asked == 0 && code != 0 ? code : ECONNRESET
    }

    /// Closes and tells the other end that the connection broke (tcp(7), SO_LINGER with no time).
    static func reset(_ socket: CInt) {
        var now = linger(l_onoff: 1, l_linger: 0)
        unsafe setsockopt(socket, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<linger>.size))
        Glibc.close(socket)
    }
}
