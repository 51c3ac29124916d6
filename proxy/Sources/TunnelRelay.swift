package import BoxKernel
internal import CLinux
internal import Glibc
internal import Synchronization

/// The name of a tunnel in its relay.
package struct TunnelID: Hashable, Sendable {
    let number: UInt64
}

/// Carries the bytes of established tunnels, both ways, until both directions have ended: one thread, two
/// descriptors and a few hundred bytes for each tunnel, and one large buffer for all.
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

    /// What the thread is told.
    enum Command: Sendable {
        case add(Newcomer)
        case close(TunnelID)
        case stop
    }

    /// A tunnel on its way to the thread.
    struct Newcomer: Sendable {
        let id: TunnelID
        let client: CInt
        let upstream: CInt
        let early: [UInt8]
        let accounts: [ByteAccount]
        let counted: (up: Int, down: Int)
        /// Nanoseconds.
        let idle: UInt64
        let onSlowed: (@Sendable () -> Void)?
        let onEnd: @Sendable (End) -> Void
    }

    /// What both threads use: the commands that wait, and the event that says so.
    final class Inbox: Sendable {
        private struct Waiting {
            var commands: [Command] = []
            /// The thread sleeps, or is about to, and has to be woken.
            var isAsleep = false
            var isStopped = false
        }
        private let waiting = Mutex(Waiting())
        /// An eventfd, and the epoll instance that it wakes.
        let wake: CInt
        let events: CInt

        init() throws(KernelError) {
            let wake = Descriptor(owning: try check("eventfd", box_eventfd()))
            let events = Descriptor(owning: try check("epoll_create1", box_epoll_create()))
            try check("epoll_ctl", box_epoll_add(events.number, wake.number, BOX_EPOLLIN, .max))
            self.wake = wake.release()
            self.events = events.release()
        }

        deinit {
            Glibc.close(wake)
            Glibc.close(events)
        }

        /// Leaves a command; false once the thread has stopped.
        func put(_ command: Command) -> Bool {
            let (isOpen, hasToWake) = waiting.withLock { waiting in
                guard !waiting.isStopped else { return (false, false) }
                waiting.commands.append(command)
                defer { waiting.isAsleep = false }
                return (true, waiting.isAsleep)
            }
            // It fails only when the counter is full, and then the thread wakes as well.
            if hasToWake {
                _ = unsafe withUnsafeBytes(of: UInt64(1)) { unsafe write(wake, $0.baseAddress, 8) }
            }
            return isOpen
        }

        /// Takes the commands that wait. If there are none, the thread has to be woken from now on.
        func take() -> [Command] {
            waiting.withLock { waiting in
                waiting.isAsleep = waiting.commands.isEmpty
                defer { waiting.commands.removeAll() }
                return waiting.commands
            }
        }

        /// The thread ends: nothing is taken any more. Returns what came in between.
        func stop() -> [Command] {
            waiting.withLock { waiting in
                waiting.isStopped = true
                defer { waiting.commands.removeAll() }
                return waiting.commands
            }
        }
    }

    private let inbox: Inbox
    private let last = Atomic<UInt64>(0)
    private let thread: Mutex<pthread_t?>

    /// Starts the relay's thread.
    package init() throws(KernelError) {
        let inbox = try Inbox()
        self.inbox = inbox
        let context = unsafe Unmanaged.passRetained(inbox)
        var thread = pthread_t()
        let code = unsafe pthread_create(&thread, nil, runRelay, context.toOpaque())
        guard code == 0 else {
            unsafe context.release()
            throw KernelError(call: "pthread_create", code: code)
        }
        self.thread = Mutex(thread)
    }

    deinit { stop() }

    /// Takes over two connected stream sockets, which are the relay's to close from now on.
    ///
    /// - Parameters:
    ///   - client: the program's connection; nothing else reads or writes it any more.
    ///   - upstream: the server's connection; the same holds.
    ///   - early: bytes of the program that were read already; they go first. They count like all others.
    ///   - accounts: where bytes count. What a limit does not allow is dropped and ends the tunnel.
    ///   - counted: what the tunnel moved before; the end's numbers begin there.
    ///   - idle: for how many seconds the tunnel may be quiet, in both directions.
    ///   - onSlowed: called on the relay's thread when a rate makes the tunnel wait for the first time. It must not
    ///     wait.
    ///   - onEnd: called exactly once, on the relay's thread (after `stop` on the caller's), when both descriptors
    ///     are closed. It must not wait, and not call `stop`.
    package func add(
        client: CInt, upstream: CInt, early: [UInt8] = [], accounts: [ByteAccount] = [],
        counted: (up: Int, down: Int) = (0, 0), idle: Double = 600,
        onSlowed: (@Sendable () -> Void)? = nil, onEnd: @escaping @Sendable (End) -> Void
    ) -> TunnelID {
        let id = TunnelID(number: last.wrappingAdd(1, ordering: .relaxed).newValue)
        let newcomer = Newcomer(
            id: id, client: client, upstream: upstream, early: early, accounts: accounts, counted: counted,
            idle: UInt64(max(idle, 0) * 1e9), onSlowed: onSlowed, onEnd: onEnd)
        if !inbox.put(.add(newcomer)) { newcomer.refuse() }
        return id
    }

    /// Ends a tunnel, with `closed`, unless it has ended already.
    package func close(_ tunnel: TunnelID) { _ = inbox.put(.close(tunnel)) }

    /// Ends all tunnels and the thread, and waits until that is done. Not to be called by an `onEnd`.
    package func stop() {
        thread.withLock { thread in
            guard let running = thread else { return }
            _ = inbox.put(.stop)
            pthread_join(running, nil)
            thread = nil
        }
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

    /// Closes and tells the other end that the connection broke (tcp(7), SO_LINGER with no time).
    static func reset(_ socket: CInt) {
        var now = linger(l_onoff: 1, l_linger: 0)
        unsafe setsockopt(socket, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<linger>.size))
        Glibc.close(socket)
    }
}

/// The relay's thread. The argument is an `Inbox` that it owns.
private func runRelay(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    if let argument = unsafe argument {
        let inbox = unsafe Unmanaged<TunnelRelay.Inbox>.fromOpaque(argument).takeRetainedValue()
        var loop = TunnelRelayLoop(inbox)
        loop.run()
    }
    return nil
}
