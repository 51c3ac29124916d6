internal import CLinux
internal import Glibc

/// Threads that do jobs of one kind, for work on many files.
///
/// Only where threads are allowed: after the sandbox's first process was made. All of them have ended when `run`
/// returns. They block every signal, so signals stay the caller's.
package final class Workers<Job: Sendable, Failure: Error>: Crew {
    /// Does one job; what it returns are further jobs, done before those that wait.
    package typealias Body = @Sendable (Job) throws(Failure) -> [Job]

    private let body: Body
    private let room: Int
    // Below: only with `monitor` locked.
    private var waiting: ArraySlice<Job> = []
    private var more: [Job] = []
    private var running = 0
    private var hasEnded = false
    private var failure: Failure?

    private init(room: Int, body: @escaping Body) {
        self.room = room
        self.body = body
    }

    /// Runs `feed`, which adds jobs, and does these on `threads` threads; returns when all are done. `add` waits for
    /// room; it answers false when everything has ended, so that nobody will do the job.
    ///
    /// The first error, of a job or of `feed`, ends everything and is thrown: jobs that wait are dropped, those that
    /// run come to their end. `goOn` is asked on the caller's thread while it waits, ten times a second or more; if it
    /// says no, everything ends in the same way, without an error. With no threads, or where none can be made, the
    /// caller does each job as it is added. `room` bounds how many added jobs wait.
    package static func run(
        threads: Int = Crew.standardCount, room: Int = 128, goOn: @escaping () -> Bool = { true },
        _ body: @escaping Body, feed: (_ add: (Job) -> Bool) throws(Failure) -> Void
    ) throws(Failure) {
        let workers = Workers(room: room, body: body)
        workers.start(threads)
        do throws(Failure) { try feed { job in workers.add(job, goOn) } } catch { workers.end(with: error) }
        workers.finish(goOn)
        if let failure = workers.failure { throw failure }
    }

    private func add(_ job: Job, _ goOn: () -> Bool) -> Bool {
        guard hasThreads else { return doAtOnce(job, goOn) }
        monitor.lock()
        defer { monitor.unlock() }
        while waiting.count >= room, !hasEnded {
            monitor.wait(milliseconds: Crew.patience)
            monitor.unlock()
            let isWanted = goOn()
            monitor.lock()
            if !isWanted { endLocked(with: nil) }
        }
        guard !hasEnded else { return false }
        waiting.append(job)
        monitor.wakeAll()
        return true
    }

    private func doAtOnce(_ job: Job, _ goOn: () -> Bool) -> Bool {
        var jobs = [job]
        while !hasEnded, let next = jobs.popLast() {
            guard goOn() else {
                end(with: nil)
                break
            }
            do throws(Failure) { jobs += try body(next).reversed() } catch { end(with: error) }
        }
        return !hasEnded
    }

    private func end(with error: Failure?) {
        monitor.lock()
        endLocked(with: error)
        monitor.unlock()
    }

    private func endLocked(with error: Failure?) {
        if failure == nil { failure = error }
        hasEnded = true
        waiting = []
        more = []
        monitor.wakeAll()
    }

    /// Waits until nothing is left to do, and ends the threads.
    private func finish(_ goOn: () -> Bool) {
        monitor.lock()
        while !hasEnded, !waiting.isEmpty || !more.isEmpty || running > 0 {
            monitor.wait(milliseconds: Crew.patience)
            monitor.unlock()
            let isWanted = goOn()
            monitor.lock()
            if !isWanted { endLocked(with: nil) }
        }
        hasEnded = true
        monitor.wakeAll()
        monitor.unlock()
        join()
    }

    /// What each thread does.
    override fileprivate func work() {
        monitor.lock()
        while !hasEnded {
            guard let job = more.popLast() ?? waiting.popFirst() else {
                monitor.wait()
                continue
            }
            running += 1
            monitor.unlock()
            let result = Result { () throws(Failure) in try body(job) }
            monitor.lock()
            running -= 1
            switch result {
            case .success(let further): if !hasEnded { more += further.reversed() }
            case .failure(let error): endLocked(with: error)
            }
            monitor.wakeAll()
        }
        monitor.unlock()
    }
}

/// The threads of a `Workers`, whatever their jobs are: what a C entry function can know of them.
package class Crew {
    /// How many threads are good for work on files: they wait for the disk or the network half of the time.
    package static let standardCount = min(16, max(1, sysconf(CInt(_SC_NPROCESSORS_ONLN))) * 2)

    fileprivate static let patience = 100
    fileprivate let monitor = Monitor()
    private var threads: [pthread_t] = []

    fileprivate init() {}

    fileprivate var hasThreads: Bool { !threads.isEmpty }

    fileprivate func work() {}

    /// Starts as many threads as wanted or possible.
    fileprivate func start(_ count: Int) {
        var all = sigset_t()
        var before = sigset_t()
        unsafe sigfillset(&all)
        unsafe pthread_sigmask(SIG_SETMASK, &all, &before)
        for _ in 0..<count {
            let context = unsafe Unmanaged.passRetained(self)
            var started = pthread_t()
            guard unsafe pthread_create(&started, nil, runCrew, context.toOpaque()) == 0 else {
                unsafe context.release()
                break
            }
            threads.append(started)
        }
        unsafe pthread_sigmask(SIG_SETMASK, &before, nil)
    }

    fileprivate func join() {
        for thread in threads { pthread_join(thread, nil) }
        threads = []
    }
}

private func runCrew(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    if let context = unsafe context {
        let crew = unsafe Unmanaged<Crew>.fromOpaque(context).takeRetainedValue()
        crew.work()
    }
    return nil
}

/// A lock with a condition that threads wait for. Its pointers are its own for as long as it lives.
@safe private final class Monitor {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    init() {
        unsafe pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        unsafe pthread_condattr_init(&attributes)
        // So that a change of the clock does not lengthen a wait.
        unsafe pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        unsafe pthread_cond_init(condition, &attributes)
        unsafe pthread_condattr_destroy(&attributes)
    }

    deinit {
        unsafe pthread_cond_destroy(condition)
        unsafe pthread_mutex_destroy(mutex)
        unsafe condition.deallocate()
        unsafe mutex.deallocate()
    }

    func lock() { unsafe pthread_mutex_lock(mutex) }
    func unlock() { unsafe pthread_mutex_unlock(mutex) }
    func wakeAll() { unsafe pthread_cond_broadcast(condition) }

    /// Lets others have the lock until something was woken.
    func wait() { unsafe pthread_cond_wait(condition, mutex) }

    /// The same, for some time at most.
    func wait(milliseconds: Int) {
        var until = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &until)
        until.tv_nsec += milliseconds * 1_000_000
        until.tv_sec += until.tv_nsec / 1_000_000_000
        until.tv_nsec %= 1_000_000_000
        unsafe pthread_cond_timedwait(condition, mutex, &until)
    }
}
