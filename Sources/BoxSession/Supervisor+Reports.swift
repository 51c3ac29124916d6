internal import BoxAudit
internal import BoxKernel
internal import BoxPlan
internal import BoxTypes
internal import CLinux
internal import Glibc

/// How often the reports of the first process are read. Where many come one after the other, as from a build, they are
/// read together every few milliseconds: to be woken for each costs more than all that is done with it.
struct ReportPace {
    private var last = 0
    private var streak = 0
    private var next: Int?

    /// So many that come so soon one after the other, in milliseconds, are a stream.
    private static let most = 16
    private static let near = 3
    /// How long reports of a stream wait, in milliseconds. The socket holds some hundreds.
    private static let pause = 4

    /// Reports were read just now; whether there were any.
    mutating func took(_ any: Bool, now: Int) {
        streak = any && now - last <= ReportPace.near + ReportPace.pause ? streak + 1 : 0
        last = now
        next = streak >= ReportPace.most ? now + ReportPace.pause : nil
    }

    /// How long reports may wait, in milliseconds; nil if they are to be read as they come.
    func wait(now: Int) -> Int? { next.flatMap { $0 > now ? $0 - now : nil } }

    /// Whether several may be there.
    var isStream: Bool { next != nil }
}

// What the sandbox's first process tells.
extension Supervisor {
    mutating func startWhenReady(
        _ onReady: () throws(SessionError) -> Void
    ) throws(SessionError) {
        guard isReady, network?.isReady ?? true, !hasStarted else { return }
        try onReady()
        try sandbox.startStreams()
        try sandbox.order(.start)
        hasStarted = true
        startTime()
    }

    /// Lets the time run from now on.
    mutating func startTime() {
        if let timeout = plan.timeout { deadline = .asking(at: Clock.milliseconds() + timeout * 1000) }
    }

    /// So many reports are taken before others get their turn.
    private static let mostReports = 64

    /// Takes what is there of reports; false when there will be no more.
    mutating func takeReports(_ directory: borrowing SessionDirectory) throws(SessionError) -> Bool {
        var events: [Event] = []
        let isOpen: Bool
        do throws(SessionError) { isOpen = try readReports(&events) } catch {
            // What was told before counts.
            try record(events, directory)
            throw error
        }
        reportPace.took(!events.isEmpty, now: Clock.milliseconds())
        try record(events, directory)
        return isOpen
    }

    private mutating func readReports(_ events: inout [Event]) throws(SessionError) -> Bool {
        var left = reportPace.isStream ? Supervisor.mostReports : 1
        while left > 0 {
            left -= 1
            switch try sandbox.next() {
            case .report(let report, let descriptors):
                if let event = try take(report, descriptors) { events.append(event) }
            case .nothing: return true
            case .end: return false
            }
        }
        return true
    }

    /// Takes a report; the event that it tells of, if it does.
    private mutating func take(_ report: InitReport, _ descriptors: [CInt]) throws(SessionError) -> Event? {
        switch report {
        case .terminal: try sandbox.take(master: descriptors)
        case .sockets(let sockets):
            guard sockets.count == descriptors.count else {
                for number in descriptors { close(number) }
                throw SessionError(step: "take the sandbox's network", reason: "sockets are missing")
            }
            try network?.give(sockets, descriptors)
        case .unopened: break
        case .ready: isReady = true
        case .failed(let step, let object, let code):
            throw SetupAdvice.error(step: step, object: object, code: code, plan: plan)
        case .notExecuted(let code): outcome = notExecuted(code)
        case .started: try onStarted()
        // By the pause of the session it is not the user who stopped it.
        case .stopped(let signal): if !pause.mayReportStops { try suspend(signal) }
        case .signalled(let signal): takeEcho(of: signal)
        case .continued: waitsForViewer = false
        case .exited(let code): outcome = Outcome(status: code)
        case .killed(let signal): outcome = Outcome(status: ExitStatus.signal(signal))
        case .program(let report): return programs.take(report)
        case .executed(let program, let code): executed(program, code: code, descriptors)
        case .executionEnded(let program, let end): executionEnded(program, end)
        }
        return nil
    }

    private borrowing func notExecuted(_ code: Int32) -> Outcome {
        let name = plan.command.first ?? ""
        let shown = name.escapedForTerminal
        switch code {
        case ENOENT, ENOTDIR:
            return Outcome(status: ExitStatus.notFound, message: CommandAdvice.notFound(name, plan: plan))
        case EACCES, EPERM, ENOEXEC, EISDIR:
            return Outcome(status: ExitStatus.notExecutable, message: "\(shown) is not executable")
        default:
            return Outcome(
                status: ExitStatus.notExecutable, message: "\(shown) cannot be executed: \(errorText(code))")
        }
    }
}
