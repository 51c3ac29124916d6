package import BoxKernel
internal import CLinux
package import Dispatch
internal import Glibc
package import NIOCore
internal import Synchronization

/// The event loop of everything that the door does with sockets: one thread, one epoll instance.
///
/// It is an event loop of NIO's, so that futures, timers and `NIOLoopBound` work as everywhere; its sockets are our
/// own (`Peer`, `Listener`, `TunnelRelay`). A NIO channel for each end of a tunnel costs several times what the
/// kernel needs for it, and a tunnel is two short exchanges and then the relay's.
package final class DoorLoop: EventLoop {
    private struct Inbox {
        var tasks: [@Sendable () -> Void] = []
        /// The thread sleeps, or is about to, and has to be woken.
        var isAsleep = false
        var isStopped = false
    }

    private let inbox = Mutex(Inbox())
    /// An eventfd, and the epoll instance that it wakes.
    private let wake: CInt
    let epoll: CInt
    private let thread = Mutex<pthread_t?>(nil)
    private let runningThread = Atomic<UInt>(0)
    private let bound = Mutex<NIOLoopBound<Poller>?>(nil)

    /// Starts the thread.
    package init() throws(KernelError) {
        let wake = Descriptor(owning: try check("eventfd", box_eventfd()))
        let epoll = Descriptor(owning: try check("epoll_create1", box_epoll_create()))
        try check("epoll_ctl", box_epoll_add(epoll.number, wake.number, BOX_EPOLLIN, Poller.wakeData))
        self.wake = wake.release()
        self.epoll = epoll.release()
        let context = unsafe Unmanaged.passRetained(self)
        var started = pthread_t()
        let code = unsafe pthread_create(&started, nil, runDoorLoop, context.toOpaque())
        guard code == 0 else {
            unsafe context.release()
            throw KernelError(call: "pthread_create", code: code)
        }
        thread.withLock { $0 = started }
    }

    deinit {
        Glibc.close(wake)
        Glibc.close(epoll)
    }

    /// Ends the thread, and waits until that is done. What was left in the loop before is still done.
    package func stop() {
        let running = thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        guard let running else { return }
        execute { self.poller.stop() }
        pthread_join(running, nil)
    }

    // MARK: The thread

    fileprivate func run() {
        runningThread.store(UInt(pthread_self()), ordering: .relaxed)
        let poller = Poller(self)
        bound.withLock { $0 = NIOLoopBound(poller, eventLoop: self) }
        poller.run()
        // Whoever waits for one of these waits for ever otherwise.
        for task in lastTasks() { task() }
        poller.tunnels.stop()
        poller.dropTimers()
        poller.runTasks()
        // It knows the loop, and the loop knows it.
        bound.withLock { $0 = nil }
        runningThread.store(0, ordering: .relaxed)
    }

    /// What only the loop's thread uses.
    var poller: Poller {
        guard let bound = bound.withLock({ $0 }) else { preconditionFailure("the loop has ended") }
        return bound.value
    }

    /// Takes the tasks that wait. If there are none, the thread has to be woken from now on.
    func takeTasks() -> [@Sendable () -> Void] {
        inbox.withLock { inbox in
            inbox.isAsleep = inbox.tasks.isEmpty
            guard !inbox.isAsleep else { return [] }
            defer { inbox.tasks.removeAll(keepingCapacity: true) }
            return inbox.tasks
        }
    }

    /// The thread ends: nothing is taken any more. Returns what came in between.
    private func lastTasks() -> [@Sendable () -> Void] {
        inbox.withLock { inbox in
            inbox.isStopped = true
            defer { inbox.tasks.removeAll() }
            return inbox.tasks
        }
    }

    /// Somebody has left tasks: the thread has seen that.
    func awake() {
        var count: UInt64 = 0
        _ = unsafe withUnsafeMutableBytes(of: &count) { unsafe read(wake, $0.baseAddress, 8) }
    }

    // MARK: EventLoop

    package var inEventLoop: Bool { runningThread.load(ordering: .relaxed) == UInt(pthread_self()) }

    package func execute(_ task: @escaping @Sendable () -> Void) { _ = post(task) }

    /// Leaves a task for the thread; false once that has ended.
    func post(_ task: @escaping @Sendable () -> Void) -> Bool {
        if inEventLoop, let poller = bound.withLock({ $0 })?.value {
            poller.later(task)
            return true
        }
        let (isOpen, hasToWake) = inbox.withLock { inbox in
            guard !inbox.isStopped else { return (false, false) }
            inbox.tasks.append(task)
            defer { inbox.isAsleep = false }
            return (true, inbox.isAsleep)
        }
        // It fails only when the counter is full, and then the thread wakes as well.
        if hasToWake {
            _ = unsafe withUnsafeBytes(of: UInt64(1)) { unsafe write(wake, $0.baseAddress, 8) }
        }
        return isOpen
    }

    package func scheduleTask<Value>(
        deadline: NIODeadline, _ task: @escaping @Sendable () throws -> Value
    ) -> Scheduled<Value> {
        let promise = makePromise(of: Value.self)
        let timer = LoopTimer { isDue in
            guard isDue else { return promise.fail(EventLoopError.shutdown) }
            do { promise.assumeIsolated().succeed(try task()) } catch { promise.fail(error) }
        }
        let time = deadline.uptimeNanoseconds
        if inEventLoop { poller.at(time, timer) } else { execute { self.poller.at(time, timer) } }
        return Scheduled(promise: promise) { timer.cancel() }
    }

    package func scheduleTask<Value>(
        in delay: TimeAmount, _ task: @escaping @Sendable () throws -> Value
    ) -> Scheduled<Value> { scheduleTask(deadline: .now() + delay, task) }

    package func shutdownGracefully(
        queue: DispatchQueue, _ callback: @escaping @Sendable ((any Error)?) -> Void
    ) {
        queue.async {
            self.stop()
            callback(nil)
        }
    }
}

/// What is done at a time, unless it is cancelled before.
final class LoopTimer: Sendable {
    /// The truth value says whether the time has come, or will never come.
    typealias Work = @Sendable (_ isDue: Bool) -> Void

    private let work: Mutex<Work?>

    init(_ work: @escaping Work) { self.work = Mutex(work) }

    /// Does it, once.
    func end(isDue: Bool) { take()?(isDue) }

    /// Forgets it, and all that it holds.
    func cancel() { _ = take() }

    private func take() -> Work? {
        work.withLock { work in
            defer { work = nil }
            return work
        }
    }
}

/// The loop's thread. The argument is a `DoorLoop` that it owns.
private func runDoorLoop(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    if let argument = unsafe argument {
        let loop = unsafe Unmanaged<DoorLoop>.fromOpaque(argument).takeRetainedValue()
        loop.run()
    }
    return nil
}
