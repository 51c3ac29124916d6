internal import BoxKernel
internal import BoxPlan
internal import CLinux
internal import Glibc

/// Starts the command and further programs, waits for them, reaps everything that is left to process 1, passes signals
/// on, and answers the system calls that it is asked about.
struct Reaper: ~Copyable {
    private let control: Channel
    private let children: Descriptor
    private let launcher: CommandLauncher
    private var answers: CallAnswers?
    private let watchesPrograms: Bool
    private var command: CInt = 0
    private var executions = Executions()

    /// How long the end of the session waits for directories that are just being moved, in milliseconds.
    private static let longestEnd = 60_000

    init(
        control: borrowing Channel, children: consuming Descriptor, launcher: CommandLauncher,
        answers: consuming CallAnswers?
    ) throws(KernelError) {
        self.control = Channel(try control.descriptor.duplicate())
        self.children = children
        self.launcher = launcher
        switch consume answers {
        case .some(let answers):
            watchesPrograms = answers.watchesPrograms
            self.answers = consume answers
        case .none:
            watchesPrograms = false
            self.answers = nil
        }
    }

    /// Starts the command; reports and exits if it could not be executed.
    mutating func start(_ streams: [CInt], takesTerminal: Bool) throws(KernelError) {
        let start = launcher.command(streams, takesTerminal: takesTerminal)
        #if DEBUG
            // Nothing that is open here outlives an exec; without the layer the command would get this.
            if Mutation.drops("descriptors") {
                try check("fcntl(F_SETFD)", box_fcntl_setfd(control.descriptor.number, 0))
            }
        #endif
        guard watchesPrograms else {
            switch start.run() {
            case .success(let pid): command = pid
            case .failure(let error): try giveUp(error.code)
            }
            return
        }
        let begun = try start.begin()
        command = begun.pid
        answers?.begin(command, start, running: begun.entry)
        while true {
            let ready = try poll([begun.entry] + (answers?.entries ?? []), timeout: answers?.timeout() ?? nil)
            try answers?.serve(ready, control)
            guard ready.contains(where: { $0.index == 0 }) else { continue }
            let code = try begun.outcome()
            answers?.begun(command)
            guard code == 0 else { try giveUp(code) }
            return
        }
    }

    private borrowing func giveUp(_ code: CInt) throws(KernelError) -> Never {
        try control.send(InitReport.notExecuted(code: code).wire)
        _exit(0)
    }

    /// Returns when the command has ended and that is reported, or when the supervisor is gone.
    mutating func run() throws(KernelError) {
        try control.send(InitReport.started(pid: command).wire)
        var end: InitReport?
        var limit: Int?
        while true {
            if let report = end,
                answers?.isIdle ?? true || limit.map({ MonotonicClock.milliseconds() > $0 }) ?? false
            {
                return try control.send(report.wire)
            }
            let own = [PollEntry(children.number, .read), PollEntry(control.descriptor.number, .read)]
            let ready = try poll(
                own + (answers?.entries ?? []) + executions.entries, timeout: timeout(limit))
            try answers?.serve(ready, control)
            for pid in try executions.serve(ready, control) { answers?.begun(pid) }
            if ready.contains(where: { $0.index == 0 }) {
                _ = try Processes.takeSignals(children)
                if let report = try reap(), end == nil {
                    // What is half moved would lie in the work area in two places.
                    (end, limit) = (report, MonotonicClock.milliseconds() + Reaper.longestEnd)
                    try answers?.close(control)
                }
            }
            if ready.contains(where: { $0.index == 1 }) {
                // The supervisor is gone: nothing may go on without it.
                guard let message = try control.receive() else { return }
                try obey(try InitOrder(checking: message.bytes), message.descriptors)
            }
        }
    }

    private mutating func timeout(_ limit: Int?) -> Int? {
        let end = limit.map { max(0, $0 - MonotonicClock.milliseconds()) }
        return [end, answers?.timeout() ?? nil].compactMap { $0 }.min()
    }

    /// Reaps; how the command ended, if it did.
    private mutating func reap() throws(KernelError) -> InitReport? {
        var end: InitReport?
        while let (pid, change) = try Processes.nextChange() {
            if try answers?.changed(pid, change, control) ?? false { continue }
            try executions.changed(pid, change, control)
            answers?.begun(pid)
            guard pid == command else { continue }
            switch change {
            case .exited(let code): end = .exited(code: code)
            case .killed(let signal): end = .killed(signal: signal)
            case .stopped(let signal): try control.send(InitReport.stopped(signal: signal).wire)
            case .continued: try control.send(InitReport.continued.wire)
            }
        }
        return end
    }

    private mutating func obey(_ order: InitOrder, _ descriptors: [CInt]) throws(KernelError) {
        switch order {
        case .groundwork, .launch, .start, .placeholders: return
        case .signal(let number): try Reaper.signal(command, number)
        case .signalAll(let number):
            // All at once: what is just being forked gets it, too (kill(2); Linux 4.19).
            try Processes.kill(-1, number)
            try control.send(InitReport.signalled(signal: number).wire)
        case .execute(let execution):
            if let (pid, start, running) = try executions.begin(execution, descriptors, launcher, control) {
                answers?.begin(pid, start, running: running)
            }
        case .signalExecuted(let id, let number):
            if let pid = executions.process(of: id) { try Reaper.signal(pid, number) }
        }
    }

    /// What a terminal sends goes to the group, what kill(1) sends to the process: as without a sandbox.
    private static func signal(_ pid: CInt, _ number: CInt) throws(KernelError) {
        let toGroup = [SIGINT, SIGQUIT, SIGHUP, SIGTSTP, SIGCONT].contains(number)
        try Processes.kill(toGroup ? -pid : pid, number)
    }
}
