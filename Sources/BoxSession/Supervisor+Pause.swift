internal import BoxAudit
internal import BoxKernel
internal import BoxPlan
internal import BoxTypes
internal import Glibc

/// Whether a session stands still, and why.
struct PauseState {
    /// How its processes are held.
    enum Mechanism: String {
        /// By the control group of the session, the first process too. Nothing inside can tell.
        case freezer
        /// By SIGSTOP, which parents and tracers inside can see.
        case signals
    }

    /// nil: they run.
    fileprivate(set) var mechanism: Mechanism?
    /// Who wanted it, or what was used up: `user`, `time`, `disk`.
    fileprivate(set) var reasons: [String] = []
    /// Signals to everything that the first process has not confirmed yet.
    fileprivate var unconfirmed = 0
    /// Who is to be told when everything stands still.
    fileprivate var waiting: [Int] = []

    var isPaused: Bool { mechanism != nil }

    /// Whether the command may be reported as stopped because of this.
    var mayReportStops: Bool { mechanism == .signals || unconfirmed > 0 }
}

// A session that is paused: by box pause, or because it has used up what it may use.
extension Supervisor {
    // MARK: - Requests

    mutating func pause(for client: Int, _ log: inout NetworkLog) throws(SessionError) {
        guard hasStarted else { return log.answers.append((client, .refused("it has not begun yet"))) }
        guard !isEnding else { return log.answers.append((client, .refused("it is about to end"))) }
        guard !pause.isPaused else {
            let why = pause.reasons.contains("user") ? "" : " (\(pause.reasons.joined(separator: ", ")))"
            return log.answers.append(
                (client, .done(ControlOutcome(notes: ["it was paused already\(why)"]))))
        }
        try hold(for: "user")
        tell("session \(name) is paused. \(advice(giving: ""))")
        if pause.unconfirmed > 0 {
            pause.waiting.append(client)
        } else {
            log.answers.append((client, .done(ControlOutcome())))
        }
    }

    mutating func resume(for client: Int, _ log: inout NetworkLog) throws(SessionError) {
        guard pause.isPaused else {
            return log.answers.append((client, .done(ControlOutcome(notes: ["it was not paused"]))))
        }
        let reasons = pause.reasons
        do throws(SessionError) { try release() } catch {
            return log.answers.append((client, .refused(error.description)))
        }
        var fields = [Event.Field("reason", .text("user"))]
        var notes: [String] = []
        if reasons.contains("time"), let timeout = plan.timeout {
            startTime()
            fields.append(Event.Field("more_seconds", .number(timeout)))
            notes.append("it has \(timeout) s more")
        }
        if reasons.contains("disk"), let bytes = watch?.grant() ?? nil {
            fields.append(Event.Field("more_bytes", .number(bytes)))
            notes.append("its changes may take \(ByteSize(bytes: bytes).rounded) more")
        }
        noted.append(Event(.sessionResume, fields))
        tell("session \(name) goes on" + notes.map { ": \($0)" }.joined())
        sandbox.detached?.repaint()
        // What draws on the whole screen draws it again.
        if sandbox.hasTerminal { try sandbox.order(.signal(SIGWINCH)) }
        log.answers.append((client, .done(ControlOutcome(notes: notes))))
    }

    /// Tells whoever looks at the session.
    private mutating func tell(_ text: String) {
        for client in further.waiting { control?.notify(client, .message(text)) }
        if let detached = sandbox.detached { detached.tell(text) } else { sandbox.notice(text) }
    }

    /// For a terminal that is attached now, where nothing will move.
    borrowing func tellOfPause() {
        if pause.isPaused { sandbox.detached?.tell("session \(name) is paused. \(advice(giving: ""))") }
    }

    private borrowing func advice(giving more: String) -> String {
        "To let it go on\(more): box resume \(name). To end it: box stop \(name)"
    }

    // MARK: - Budgets

    /// Pauses a session whose time is up, if its policy wants that.
    mutating func pauseForTime() throws(SessionError) -> Bool {
        guard plan.pausesWhenExceeded, let timeout = plan.timeout else { return false }
        deadline = nil
        note(LimitHit(name: "time", detail: "\(timeout) s"))
        try hold(for: "time")
        tell(
            "session \(name) is paused: its time is up (\(timeout) s). \(advice(giving: " for as long again"))"
        )
        return true
    }

    /// Pauses a session that has used up its disk, if its policy wants that. One that nobody can watch is not let go on
    /// by anybody.
    mutating func pause(for finding: StageWatch.Finding) throws(SessionError) -> Bool {
        guard plan.pausesWhenExceeded, finding.kind != .unknown, !isEnding else { return false }
        note(LimitHit(name: "disk", detail: finding.reason))
        try hold(for: "disk")
        let more = finding.kind == .exceeded ? " with as much again" : ""
        tell("session \(name) is paused: \(finding.reason). \(advice(giving: more))")
        return true
    }

    /// A limit was hit that does not end the session; one that does is told of at its end.
    private mutating func note(_ hit: LimitHit) { noted.append(hit.event) }

    // MARK: - Standing still

    /// Lets everything inside stand still.
    private mutating func hold(for reason: String) throws(SessionError) {
        if !pause.isPaused {
            if try sandbox.freeze(true) {
                pause.mechanism = .freezer
            } else {
                pause.mechanism = .signals
                pause.unconfirmed += 1
                try sandbox.order(.signalAll(SIGSTOP))
            }
        }
        guard !pause.reasons.contains(reason) else { return }
        pause.reasons.append(reason)
        noted.append(
            Event(
                .sessionPause,
                [
                    Event.Field("reason", .text(reason)),
                    Event.Field("by", .text(pause.mechanism?.rawValue ?? "")),
                ]))
    }

    /// Lets everything inside go on.
    private mutating func release() throws(SessionError) {
        switch pause.mechanism {
        case nil: return
        case .freezer: _ = try sandbox.freeze(false)
        case .signals:
            pause.unconfirmed += 1
            try sandbox.order(.signalAll(SIGCONT))
        }
        pause.mechanism = nil
        pause.reasons = []
    }

    /// Lets everything go on because the session is to end, and its command must be able to hear that.
    mutating func letGo(because reason: String) throws(SessionError) {
        guard pause.isPaused else { return }
        do throws(SessionError) { try release() } catch { return try sandbox.kill() }
        noted.append(Event(.sessionResume, [Event.Field("reason", .text(reason))]))
    }

    /// The first process has sent a signal to everything.
    mutating func takeEcho(of signal: Int32) {
        pause.unconfirmed = max(0, pause.unconfirmed - 1)
        guard signal == SIGSTOP else { return }
        for client in pause.waiting { control?.answer(client, .done(ControlOutcome())) }
        pause.waiting = []
    }

    // MARK: - The log

    /// Writes down what has happened.
    mutating func writeNoted(_ directory: borrowing SessionDirectory) throws(SessionError) {
        guard !noted.isEmpty else { return }
        var log = NetworkLog()
        log.events = noted
        noted = []
        try write(log, directory)
    }
}
