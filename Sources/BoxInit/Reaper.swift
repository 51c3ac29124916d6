internal import BoxKernel
internal import BoxPlan
internal import CLinux
internal import Glibc

/// Waits for the command, reaps everything that is left to process 1, passes signals on, and answers the system calls
/// that it is asked about.
struct Reaper: ~Copyable {
    private let control: Channel
    private let children: Descriptor
    private let command: CInt
    private var answers: CallAnswers?
    /// What is waited for: children, the supervisor, system calls.
    private let entries: [PollEntry]

    /// How long the end of the session waits for directories that are just being moved, in milliseconds.
    private static let longestEnd = 60_000

    init(
        control: borrowing Channel, children: consuming Descriptor, command: CInt,
        answers: consuming CallAnswers?
    ) throws(KernelError) {
        self.control = Channel(try control.descriptor.duplicate())
        var entries = [PollEntry(children.number, .read), PollEntry(self.control.descriptor.number, .read)]
        self.children = children
        self.command = command
        switch consume answers {
        case .some(let answers):
            entries.append(answers.entry)
            self.answers = consume answers
        case .none: self.answers = nil
        }
        self.entries = entries
    }

    /// Returns when the command has ended and that is reported, or when the supervisor is gone.
    mutating func run() throws(KernelError) {
        var end: InitReport?
        var limit: Int?
        while true {
            if let report = end,
                answers?.isIdle ?? true || limit.map({ MonotonicClock.milliseconds() > $0 }) ?? false
            {
                return try control.send(report.wire)
            }
            let ready = try poll(entries, timeout: limit.map { max(0, $0 - MonotonicClock.milliseconds()) })
            for item in ready {
                switch item.index {
                case 0:
                    _ = try Processes.takeSignals(children)
                    guard let report = try reap(), end == nil else { continue }
                    // What is half moved would lie in the work area in two places.
                    (end, limit) = (report, MonotonicClock.milliseconds() + Reaper.longestEnd)
                    try answers?.close()
                case 1:
                    // The supervisor is gone: nothing may go on without it.
                    guard let message = try control.receive() else { return }
                    try obey(try InitOrder(checking: message.bytes))
                default:
                    try answers?.takeNext()
                }
            }
        }
    }

    /// Reaps; how the command ended, if it did.
    private mutating func reap() throws(KernelError) -> InitReport? {
        var end: InitReport?
        while let (pid, change) = try Processes.nextChange() {
            if try answers?.changed(pid, change) ?? false { continue }
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

    private borrowing func obey(_ order: InitOrder) throws(KernelError) {
        switch order {
        case .groundwork, .launch, .start, .placeholders: return
        case .signal(let number):
            // What a terminal sends goes to the group, what kill(1) sends to the process: as without a sandbox.
            let toGroup = [SIGINT, SIGQUIT, SIGHUP, SIGTSTP, SIGCONT].contains(number)
            try Processes.kill(toGroup ? -command : command, number)
        case .signalAll(let number): try Processes.kill(-1, number)
        }
    }
}
