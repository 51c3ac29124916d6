internal import CLinux
internal import Glibc

/// Something with a descriptor on the loop.
protocol Watcher: AnyObject {
    /// What the kernel says: bits of epoll(7).
    func ready(_ events: UInt32)
    /// A turn that it asked for.
    func turn()
}

/// What only the thread of a `DoorLoop` uses: who waits for which descriptor, timers, and the tunnels.
///
/// A round: the events, what was left to do, a turn for everybody who wants one; then whoever asked for the end of
/// the round (the log is sent before anything is dialled); then it sleeps.
final class Poller {
    /// The number of a watched descriptor: its place, and how often that was used before.
    struct Watch {
        fileprivate let place: Int
        fileprivate let generation: UInt32
    }

    private struct Place {
        var watcher: (any Watcher)?
        var generation: UInt32 = 0
    }

    private struct Timer {
        let time: UInt64
        let number: UInt64
        let timer: LoopTimer
        func isBefore(_ other: Timer) -> Bool { (time, number) < (other.time, other.number) }
    }

    static let wakeData = UInt64.max
    /// Set in the numbers of watchers; the others are tunnels'.
    private static let watcherBit = UInt64(1) << 63
    /// One read of any socket takes no more.
    static let readSize = 64 << 10

    private unowned let loop: DoorLoop
    var tunnels: TunnelTable
    /// Where reads go first; used only within one call.
    var scratch = [UInt8](repeating: 0, count: readSize)
    /// Called at the end of each round in which something happened.
    var endOfRound: () -> Void = {}
    /// Nanoseconds of CLOCK_MONOTONIC, at the beginning of the round.
    private(set) var now = Poller.clock()
    private var places: [Place] = []
    private var free: [Int] = []
    private var tasks: [@Sendable () -> Void] = []
    private var due: [any Watcher] = []
    private var fresh: [Peer] = []
    /// A heap: the earliest is first.
    private var timers: [Timer] = []
    private var timerCount: UInt64 = 0
    private var isStopping = false

    init(_ loop: DoorLoop) {
        self.loop = loop
        tunnels = TunnelTable(loop.epoll)
    }

    private static func clock() -> UInt64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    // MARK: Rounds

    /// Runs until `stop`.
    func run() {
        var ready = [box_ready](repeating: box_ready(), count: 256)
        while !isStopping {
            // Asked before anything is done, so that whoever comes later wakes it.
            let posted = loop.takeTasks()
            for task in posted { task() }
            runTimers()
            tunnels.round(now: now)
            giveTurns()
            finishRound()
            let count = wait(for: &ready, posted.isEmpty ? timeout : 0)
            now = Poller.clock()
            for event in ready.prefix(count) { handle(event) }
        }
    }

    /// The present round is the last.
    func stop() { isStopping = true }

    /// Does something in this round, but not within what is going on now.
    func later(_ task: @escaping @Sendable () -> Void) { tasks.append(task) }

    /// Wants a turn in this round or the next.
    func makeDue(_ watcher: any Watcher) { due.append(watcher) }

    private func giveTurns() {
        guard !due.isEmpty else { return }
        let round = due
        due.removeAll(keepingCapacity: true)
        for watcher in round { watcher.turn() }
    }

    private func finishRound() {
        repeat {
            runTasks()
            endOfRound()
        } while !tasks.isEmpty
        // A connection that came and went within a round is never registered.
        guard !fresh.isEmpty else { return }
        let round = fresh
        fresh.removeAll(keepingCapacity: true)
        for peer in round { peer.register() }
    }

    /// Does what was left for later.
    func runTasks() {
        while !tasks.isEmpty {
            let round = tasks
            tasks.removeAll(keepingCapacity: true)
            for task in round { task() }
        }
    }

    /// Milliseconds until something has to be done without an event; -1 is never.
    private var timeout: CInt {
        guard tasks.isEmpty, due.isEmpty else { return 0 }
        var next = tunnels.nextTime(now: now)
        if let first = timers.first { next = min(next, first.time) }
        guard next != .max else { return -1 }
        guard next > now else { return 0 }
        // Rounded up: waking before the time would only mean to wait again.
        return CInt(clamping: (next - now + 999_999) / 1_000_000)
    }

    private func wait(for ready: inout [box_ready], _ timeout: CInt) -> Int {
        let count = unsafe ready.withUnsafeMutableBufferPointer { list in
            unsafe box_epoll_wait(loop.epoll, list.baseAddress, CInt(list.count), timeout)
        }
        guard count >= 0 else {
            // Nothing else can happen to an epoll instance of our own.
            precondition(errno == EINTR, "epoll_wait")
            return 0
        }
        return Int(count)
    }

    private func handle(_ event: box_ready) {
        if event.data == Poller.wakeData { return loop.awake() }
        guard event.data & Poller.watcherBit != 0 else { return tunnels.handle(event) }
        let place = Int(UInt32(truncatingIfNeeded: event.data))
        let generation = UInt32(truncatingIfNeeded: (event.data & ~Poller.watcherBit) >> 32)
        // The event may be about somebody who went within this round.
        guard places[place].generation == generation else { return }
        places[place].watcher?.ready(event.events)
    }

    // MARK: Descriptors

    /// Registers a connection that did not come as far as it could by the end of this round.
    func cameToday(_ peer: Peer) { fresh.append(peer) }

    /// Watches a descriptor; nil where the kernel can't, with errno.
    ///
    /// - Parameters:
    ///   - events: bits of epoll(7).
    ///   - isKnown: it was registered by somebody who is done with it.
    func watch(_ descriptor: CInt, _ watcher: any Watcher, _ events: UInt32, isKnown: Bool = false) -> Watch?
    {
        let place: Int
        if let used = free.popLast() {
            place = used
        } else {
            place = places.count
            places.append(Place())
        }
        let generation = (places[place].generation &+ 1) & 0x7FFF_FFFF
        places[place] = Place(watcher: watcher, generation: generation)
        let data = Poller.watcherBit | UInt64(generation) << 32 | UInt64(place)
        let result =
            isKnown
            ? box_epoll_change(loop.epoll, descriptor, events, data)
            : box_epoll_add(loop.epoll, descriptor, events, data)
        let watch = Watch(place: place, generation: generation)
        guard result < 0 else { return watch }
        let code = errno
        forget(watch)
        errno = code
        return nil
    }

    /// Nothing more is said about it. The kernel goes on until the descriptor is closed, or registered anew.
    func forget(_ watch: Watch) {
        guard places[watch.place].generation == watch.generation, places[watch.place].watcher != nil else {
            return
        }
        places[watch.place].watcher = nil
        places[watch.place].generation = (watch.generation &+ 1) & 0x7FFF_FFFF
        free.append(watch.place)
    }

    // MARK: Timers

    /// Does something at a time of CLOCK_MONOTONIC in nanoseconds.
    func at(_ time: UInt64, _ timer: LoopTimer) {
        timerCount += 1
        timers.append(Timer(time: time, number: timerCount, timer: timer))
        var place = timers.count - 1
        while place > 0, timers[place].isBefore(timers[(place - 1) / 2]) {
            timers.swapAt(place, (place - 1) / 2)
            place = (place - 1) / 2
        }
    }

    private func runTimers() {
        while let first = timers.first, first.time <= now {
            removeFirstTimer()
            first.timer.end(isDue: true)
        }
    }

    /// The loop ends: no time comes any more.
    func dropTimers() {
        let rest = timers
        timers = []
        for entry in rest { entry.timer.end(isDue: false) }
    }

    private func removeFirstTimer() {
        timers.swapAt(0, timers.count - 1)
        timers.removeLast()
        var place = 0
        while true {
            var least = place
            for child in [2 * place + 1, 2 * place + 2]
            where child < timers.count && timers[child].isBefore(timers[least]) { least = child }
            guard least != place else { return }
            timers.swapAt(place, least)
            place = least
        }
    }
}
