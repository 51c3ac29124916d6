internal import BoxKernel
internal import BoxPlan
internal import CLinux
internal import Glibc

/// Reports which programs start inside, and how they end.
///
/// A program is reported before the kernel is allowed to start it. What is reported is what the process had in its
/// memory then; another thread of it could change that at the last moment, so a look at what really runs follows.
struct ProgramWatch: ~Copyable {
    private var processes: WatchedProcesses
    /// So many processes are watched; some descriptors are left for everything else.
    private let most: Int
    private var watched = 0
    private var looks: [Look] = []
    /// The programs that this process starts just now, each with the place that it tried last.
    private var own: [CInt: Own] = [:]

    /// Whether it can be asked later how a process ended.
    private let keepsEnds: Bool
    /// When ends are looked for next, in the time of the monotonic clock; nil: they are told at once.
    private var endsDue: Int?
    private var lastStart = 0

    /// While programs start one after the other their ends are told at most so much later, in milliseconds: to be woken for
    /// each costs a build more than all the rest of this.
    private static let pause = 10

    private struct Own {
        let start: CommandStart
        /// Ready when it runs: from then on it is like any other.
        let running: PollEntry
        var last = 0
    }

    /// A program that was let go, and is looked at once it runs.
    private struct Look {
        let pid: CInt
        /// The file that was asked for; open until the look is over, or process 1.
        let file: CInt
        let path: String
        /// What ran until then.
        let before: FileIdentity?
        /// When it is looked at, and when it is believed that it never became another program.
        var deadline: Int
        let last: Int
    }

    /// How long a program may take to be there, in milliseconds: as a rule, and on a machine that is busy; and so many are
    /// waited for at once.
    private static let patience = 20
    private static let longest = 2000
    private static let mostLooks = 64

    static func begin() throws(KernelError) -> ProgramWatch {
        // Now, while nothing runs that could go unwatched: a kernel that cannot do it is no surprise later.
        try WatchedProcesses.probe()
        return ProgramWatch(try WatchedProcesses(), most: try most())
    }

    private init(_ processes: consuming WatchedProcesses, most: Int) {
        self.most = most
        keepsEnds = WatchedProcesses.keepsEnds
        self.processes = processes
    }

    /// Readable when a program has ended; none while that is looked for now and then.
    var entries: [PollEntry] { endsDue == nil ? [processes.entry] : [] }

    private static func most() throws(KernelError) -> Int {
        var limit = rlimit()
        try check("getrlimit", unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit))
        return max(0, Int(clamping: limit.rlim_cur) - mostLooks - 128)
    }

    /// When `goOn` is due, in milliseconds from now; nil if it is not.
    var timeout: Int? {
        [looks.map(\.deadline).min(), endsDue].compactMap { $0 }.min().map {
            max(0, $0 - MonotonicClock.milliseconds())
        }
    }

    /// Looks at what was let go, and reports what has ended, if it is time.
    mutating func goOn(_ ready: [Ready], _ control: borrowing Channel) throws(KernelError) {
        try lookAgain(control)
        let hasEnded = ready.contains { $0.descriptor == processes.entry.descriptor }
        guard hasEnded || endsDue.map({ $0 <= MonotonicClock.milliseconds() }) ?? false else { return }
        endsDue = nil
        try takeEnded(control)
    }

    /// A program starts: the ends before it are reported first. Where one starts soon after the other, further ends can
    /// wait a little.
    private mutating func paceEnds(_ control: borrowing Channel) throws(KernelError) {
        try takeEnded(control)
        let now = MonotonicClock.milliseconds()
        let isStream = keepsEnds && now - lastStart <= ProgramWatch.pause
        if isStream, endsDue == nil { endsDue = now + ProgramWatch.pause }
        lastStart = now
    }

    /// Reports what a call starts, and answers it.
    mutating func take(
        _ execution: ExecutionCall, _ listener: borrowing SyscallListener, _ control: borrowing Channel
    ) throws(KernelError) {
        let call = execution.call
        try paceEnds(control)
        if execution.isQuestion { return try listener.answer(call, .performed) }
        let program: ExecutionCall.Program
        // Asked now: a call that comes after the start may be taken before the start's end was noticed.
        if var own = own[call.task], try poll([own.running], timeout: 0).isEmpty {
            program = execution.program(of: own.start, last: &own.last)
            self.own[call.task] = own
        } else {
            own[call.task] = nil
            program = execution.program()
        }
        switch program {
        case .refused(let code): return try listener.answer(call, .failed(code))
        case .hidden: try startHidden(call, listener, control)
        case .file(let file, let arguments, let omitted):
            try start(call, file, arguments, omitted, listener, control)
        }
    }

    /// This process starts a program: its memory is a copy of this one's until it runs, and closed to everybody.
    mutating func begin(_ pid: CInt, _ start: CommandStart, running: PollEntry) {
        own[pid] = Own(start: start, running: running)
    }

    /// It runs, or could not be executed.
    mutating func begun(_ pid: CInt) { own[pid] = nil }

    private mutating func start(
        _ call: WaitingCall, _ file: CInt, _ arguments: [[UInt8]], _ omitted: Int,
        _ listener: borrowing SyscallListener, _ control: borrowing Channel
    ) throws(KernelError) {
        let (pid, parent) = try identify(call.task)
        let path = ProcessFacts.link("/proc/self/fd/\(file)")
        let directory =
            own[call.task].map { $0.start.directory ?? ProcessFacts.link("/proc/self/cwd") ?? "" }
            ?? ProcessFacts.link("/proc/\(call.task)/cwd")
        // Else it was about another task that got the number.
        guard listener.waits(call) else {
            close(file)
            return
        }
        let start = ProgramStart(
            pid: pid, parent: parent, path: path,
            arguments: arguments.map { String(decoding: $0, as: UTF8.self) }, omitted: omitted,
            directory: directory)
        do throws(KernelError) {
            try endLook(pid, control)
            try control.send(InitReport.program(.started(start)).wire)
            look(pid, file, path ?? "")
        } catch {
            close(file)
            throw error
        }
        try listener.answer(call, .performed)
    }

    /// A process that is closed to others (prctl(2), `PR_SET_DUMPABLE`) starts a program: that one is open again, so it is
    /// looked at as soon as it is there.
    private mutating func startHidden(
        _ call: WaitingCall, _ listener: borrowing SyscallListener, _ control: borrowing Channel
    ) throws(KernelError) {
        let (pid, parent) = try identify(call.task)
        let before = ProcessFacts.link("/proc/\(pid)/exe")
        try listener.answer(call, .performed)
        let path = before == nil ? ProgramWatch.appeared(pid) : nil
        let start = ProgramStart(
            pid: pid, parent: parent, path: path,
            arguments: path == nil ? [] : ProgramWatch.words(pid), omitted: 0,
            directory: ProcessFacts.link("/proc/\(pid)/cwd"))
        try control.send(InitReport.program(.started(start)).wire)
    }

    /// The arguments of a program that is just being loaded: there a little after its file is.
    private static func words(_ pid: CInt) -> [String] {
        for _ in 0..<100 {
            let words = ProcessFacts.words(pid)
            if !words.isEmpty { return words }
            sched_yield()
        }
        return []
    }

    /// What a process runs that could not be looked at before; nil if it still cannot, or is gone.
    private static func appeared(_ pid: CInt) -> String? {
        let end = MonotonicClock.milliseconds() + 5
        repeat {
            if let path = ProcessFacts.link("/proc/\(pid)/exe") { return path }
            sched_yield()
        } while MonotonicClock.milliseconds() < end
        return nil
    }

    /// The process of a thread and its parent. It is watched from here on.
    private mutating func identify(_ task: CInt) throws(KernelError) -> (pid: CInt, parent: CInt?) {
        if watched < most {
            if case .process(let parent) = try watch(task) {
                return (task, parent ?? ProcessFacts.parent(of: task))
            }
        }
        // Another thread than the first one becomes the first one by this call.
        let pid = ProcessFacts.process(of: task) ?? task
        if pid != task, watched < most, case .process(let parent) = try watch(pid) {
            return (pid, parent ?? ProcessFacts.parent(of: pid))
        }
        return (pid, ProcessFacts.parent(of: pid))
    }

    private mutating func watch(_ pid: CInt) throws(KernelError) -> WatchedProcesses.Found {
        let found = try processes.watch(pid)
        watched = processes.count
        return found
    }

    /// Reports the programs that have ended.
    mutating func takeEnded(_ control: borrowing Channel) throws(KernelError) {
        for (pid, end) in try processes.takeEnded() {
            forgetLook(pid)
            try control.send(InitReport.program(.ended(pid: pid, ProgramEnd(end))).wire)
        }
        watched = processes.count
    }

    /// A child of this process was waited for: its end is known before the watch tells it.
    mutating func reaped(_ pid: CInt, _ change: ChildChange, _ control: borrowing Channel) throws(KernelError)
    {
        switch change {
        case .stopped, .continued: return
        case .exited, .killed: break
        }
        // Those that ended before come before, where that was not told yet.
        if endsDue != nil { try takeEnded(control) }
        guard processes.forget(pid) else { return }
        watched = processes.count
        forgetLook(pid)
        try control.send(InitReport.program(.ended(pid: pid, ProgramEnd(change))).wire)
    }

    // MARK: - What really runs

    private mutating func look(_ pid: CInt, _ file: CInt, _ path: String) {
        if looks.count >= ProgramWatch.mostLooks { close(looks.removeFirst().file) }
        let now = MonotonicClock.milliseconds()
        let before = FileIdentity("/proc/\(pid)/exe")
        looks.append(
            Look(
                pid: pid, file: file, path: path, before: before, deadline: now + ProgramWatch.patience,
                last: now + ProgramWatch.longest))
    }

    private mutating func forgetLook(_ pid: CInt) {
        guard let at = looks.firstIndex(where: { $0.pid == pid }) else { return }
        close(looks.remove(at: at).file)
    }

    /// A process executes again: what it runs until now is seen for certain.
    private mutating func endLook(_ pid: CInt, _ control: borrowing Channel) throws(KernelError) {
        guard let at = looks.firstIndex(where: { $0.pid == pid }) else { return }
        let look = looks.remove(at: at)
        defer { close(look.file) }
        guard !ProgramWatch.runs(look), let path = ProgramWatch.other(look) else { return }
        try control.send(InitReport.program(.runs(pid: pid, path: path)).wire)
    }

    /// Looks whether the programs run that were asked for, and reports those that do not.
    private mutating func lookAgain(_ control: borrowing Channel) throws(KernelError) {
        guard !looks.isEmpty else { return }
        let now = MonotonicClock.milliseconds()
        var left: [Look] = []
        var others: [(CInt, String)] = []
        for look in looks {
            if ProgramWatch.runs(look) {
                close(look.file)
            } else if look.deadline > now {
                left.append(look)
            } else if look.last > now, look.before != nil,
                FileIdentity("/proc/\(look.pid)/exe") == look.before
            {
                // Not there yet: what ran until then is there still.
                var again = look
                again.deadline = now + 5 * ProgramWatch.patience
                left.append(again)
            } else {
                if let path = ProgramWatch.other(look) { others.append((look.pid, path)) }
                close(look.file)
            }
        }
        looks = left
        for (pid, path) in others { try control.send(InitReport.program(.runs(pid: pid, path: path)).wire) }
    }

    private static func runs(_ look: Look) -> Bool {
        guard let wanted = FileIdentity(open: look.file) else { return false }
        return wanted == FileIdentity("/proc/\(look.pid)/exe")
    }

    /// The file that runs in place of the one that was asked for; nil if that is a script, whose interpreter runs, or is
    /// no program at all, so that the old one goes on, or the process is gone.
    private static func other(_ look: Look) -> String? {
        if let file = try? Descriptor.open("/proc/self/fd/\(look.file)", O_RDONLY | O_NONBLOCK),
            let head = try? file.read(upTo: 4)
        {
            if head.starts(with: "#!".utf8) { return nil }
            let isProgram = head.starts(with: [0x7F] + Array("ELF".utf8))
            if !isProgram, FileIdentity("/proc/\(look.pid)/exe") == look.before { return nil }
        }
        return ProcessFacts.link("/proc/\(look.pid)/exe").flatMap { $0 == look.path ? nil : $0 }
    }
}

/// Which file a path leads to.
private struct FileIdentity: Equatable {
    private let device: dev_t
    private let inode: ino_t

    init?(_ path: String) {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return nil }
        (device, inode) = (status.st_dev, status.st_ino)
    }

    init?(open file: CInt) {
        var status = stat()
        guard unsafe fstat(file, &status) == 0 else { return nil }
        (device, inode) = (status.st_dev, status.st_ino)
    }
}

extension ProgramEnd {
    fileprivate init(_ change: ChildChange?) {
        switch change {
        case .exited(let code)?: self = .exited(code: code)
        case .killed(let signal)?: self = .killed(signal: signal)
        case .stopped?, .continued?, nil: self = .unknown
        }
    }
}
