internal import BoxAudit
internal import BoxKernel
internal import BoxPlan
internal import BoxTypes
internal import CLinux
internal import Glibc

/// The loop that owns a running sandbox: its first process, its streams, its network door and its time.
///
/// One thread, one `poll`. When it ends, however it ends, the sandbox ends: the first process dies with it.
struct Supervisor: ~Copyable {
    let plan: Plan
    var sandbox: Sandbox
    var network: SessionNetwork?
    var control: ControlServer?
    var watch: StageWatch?
    var policy: PolicyWatch?
    /// The project's own policy and the way to protect it, where the session works in the project itself.
    var mounts: MountNamespace?
    let policyFile: AbsolutePath?
    let name: String
    let signals: Descriptor
    var receipt = Receipt()
    var programs: ProgramLog
    /// Whether it stands still, and what it was given beyond its limits.
    var pause = PauseState()
    /// What has happened and is not written down yet.
    var noted: [Event] = []
    var budget = EventBudget(burst: LogMutation.number("BOX_LOG_BURST") ?? EventBudget.burst)
    var further = FurtherPrograms()

    // What has happened so far.
    var isReady = false
    var hasStarted = false
    var outcome: Outcome?
    var reportPace = ReportPace()
    var deadline: Deadline?
    private var isStopped = false
    /// Why the session ends before its command does; nil if it does not.
    var endedBecause: String?
    /// The limit that made it end.
    private var limitHit: LimitHit?
    /// The command has stopped itself where nobody could continue it: whoever attaches does.
    var waitsForViewer = false
    /// Called when the command runs.
    let onStarted: () throws(SessionError) -> Void

    /// When the command is asked to end, and when it is ended.
    enum Deadline {
        case asking(at: Int)
        case killing(at: Int, status: Int32)
    }

    /// How long a command that was asked to end may take, in milliseconds.
    private static let grace = 1500

    init(
        plan: Plan, session: String, seed: consuming SandboxSeed, isDetached: Bool,
        onStarted: @escaping () throws(SessionError) -> Void
    ) throws(SessionError) {
        // Blocked before any child exists, so that none is lost; every child unblocks its own.
        let signals = try Supervisor.takeSignals()
        var network = try Supervisor.startNetwork(plan, session, isDetached)
        sandbox = try Sandbox.launch(plan, seed, isDetached: isDetached)
        network?.attach(sandbox.takeNetwork(), first: sandbox.firstProcess)
        let isDirect = plan.stage == nil && plan.summary.workspace == "direct"
        policyFile = isDirect ? try? plan.project?.appending(ControlFiles.policy) : nil
        mounts = sandbox.takeMounts()
        programs = ProgramLog(secrets: KnownSecrets(plan.environment))
        self.plan = plan
        self.signals = signals
        self.network = network
        self.onStarted = onStarted
        name = session
    }

    /// Takes requests of other processes of box in the session's directory from now on.
    mutating func listen(in directory: String) throws(SessionError) {
        control = try ControlServer(in: directory)
    }

    private static func takeSignals() throws(SessionError) -> Descriptor {
        do throws(KernelError) {
            return try Processes.signalDescriptor(SandboxStreams.signals + SandboxStreams.userSignals)
        } catch { throw SessionError(step: "start", error) }
    }

    private static func startNetwork(
        _ plan: Plan, _ session: String, _ isDetached: Bool
    ) throws(SessionError) -> SessionNetwork? {
        guard let wanted = plan.proxy else { return nil }
        let root = plan.identity.outsideUID != getuid()
        var configuration = ProxyConfiguration(
            session: session, rules: wanted.rules, identity: root ? plan.identity.outsideUID : nil,
            acceptsMissingLandlock: plan.protections.contains {
                $0.protection == .landlock && $0.state == .accepted
            })
        configuration.hold = wanted.hold
        configuration.upstream = wanted.upstream
        return try SessionNetwork(wanted, configuration, isDetached: isDetached)
    }

    /// Tells the first process that the placeholders are there, but for these names.
    borrowing func placeholdersAreMade(without names: Set<AbsolutePath>) throws(SessionError) {
        try sandbox.order(.placeholders(without: names.sorted()))
    }

    /// Ends everything at once, because the session cannot go on; why it cannot is more interesting than what else
    /// may go wrong here.
    consuming func abandon(_ directory: borrowing SessionDirectory) {
        sandbox.restoreTerminal()
        _ = try? recordRest(directory)
        control.take()?.end()
        watch?.end()
        // The first process dies with this one in any case; here it is only waited for.
        if (try? sandbox.kill()) != nil { _ = try? sandbox.end() }
    }

    /// Serves until the sandbox is gone and its last output is written.
    mutating func serve(
        _ directory: borrowing SessionDirectory, onReady: () throws(SessionError) -> Void
    ) throws(SessionError) {
        while true {
            try startWhenReady(onReady)
            let found = try wait()
            // Reports first: what the first process said before it ended counts.
            if found.hasReport, try !takeReports(directory) { break }
            if found.hasSignal { try takeSignals() }
            try takeNetworkMessages(found.network, directory)
            try takeRequests(found.requests, directory)
            try watchPolicy(hasNews: found.policyHasNews, directory)
            try watchStage(hasSpoken: found.stageWatchHasSpoken)
            try sandbox.relay(found.streams)
            try recordCounts(directory)
            try checkTime()
            try writeNoted(directory)
        }
        control.take()?.end()
        watch?.end()
        try writeNoted(directory)
        try endNetwork(directory)
        try record(programs.takeRest(), directory)
        try recordRest(directory)
    }

    /// Whether the command has ended, or the session is about to.
    var isEnding: Bool {
        if case .killing? = deadline { return true }
        return endedBecause != nil || outcome != nil
    }

    /// Waits until the sandbox is gone, writes its last output and says how it ended.
    consuming func finish() throws(SessionError) -> Outcome {
        let started = hasStarted
        var result = outcome
        var limit = limitHit
        if let endedBecause {
            result = Outcome(status: ExitStatus.signal(SIGTERM), message: endedBecause)
        } else if case .killing(_, ExitStatus.timeout)? = deadline {
            result = Outcome(
                status: ExitStatus.timeout,
                message: "the command was ended after \(plan.timeout ?? 0) s (--timeout)")
            limit = LimitHit(name: "time", detail: "\(plan.timeout ?? 0) s")
        }
        let receipt = receipt
        let rules = network?.policyRules
        let processLimit = plan.controlGroup?.processes
        let memoryLimit = plan.controlGroup?.memoryBytes
        let end = try sandbox.end()
        end.remains.endInput()
        try Supervisor.drain(end.remains, signals)
        end.remains.restoreTerminal()
        guard started else {
            guard !end.ranOutOfMemory else {
                throw SessionError(
                    step: "set the sandbox up",
                    reason: "the memory limit is too low for anything to run. Set a higher one: --memory SIZE"
                )
            }
            throw SessionError(
                step: "set the sandbox up",
                reason: "its first process ended unexpectedly (\(end.change)). "
                    + "box doctor shows what this host can do")
        }
        let message = Supervisor.killed(memoryLimit: end.ranOutOfMemory ? memoryLimit : nil)
        var final = result ?? Outcome(status: ExitStatus.signal(SIGKILL), message: message)
        if let failure = end.remains.failure, final.message == nil {
            final.message = "output was lost: \(failure)"
        }
        final.receipt = receipt
        final.rules = rules
        if end.ranOutOfMemory, let memoryLimit {
            limit = LimitHit(name: "memory", detail: "\(ByteSize(bytes: Int(clamping: memoryLimit)))")
        }
        final.limit = limit
        if end.refusedProcesses > 0, let processLimit {
            // The sandbox's first process is one of them.
            let detail =
                "\(processLimit - 1) at most, \(RunReport.count(end.refusedProcesses, "start")) refused"
            final.otherLimits.append(LimitHit(name: "processes", detail: detail))
        }
        return final
    }

    /// Why a sandbox ended without a word of its first process; `memoryLimit` if the kernel enforced that.
    private static func killed(memoryLimit: UInt64?) -> String {
        guard let memoryLimit else {
            return "the sandbox was killed from outside, perhaps because the host ran out of memory"
        }
        return
            "the command needed more than its memory limit (\(ByteSize(bytes: Int(clamping: memoryLimit)))) "
            + "and was killed with all that it started. To give it more: --memory SIZE"
    }

    /// Writes on what the sandbox has left, as slowly as the reader takes it; a signal to end gives it up.
    private static func drain(_ remains: Remains, _ signals: borrowing Descriptor) throws(SessionError) {
        while !remains.isDrained {
            let ready: [Ready]
            do throws(KernelError) {
                ready = try poll(
                    [PollEntry(signals.number, .read)] + remains.entries, timeout: remains.timeout)
                if ready.contains(where: { $0.index == 0 }) {
                    let taken = try Processes.takeSignals(signals)
                    if taken.contains(where: { [SIGINT, SIGTERM, SIGHUP, SIGQUIT].contains($0) }) { return }
                }
            } catch { throw SessionError(step: "write the last output", error) }
            try remains.relay(ready)
        }
    }

    /// Whether the command runs.
    var isServing: Bool { hasStarted && outcome == nil }

    // MARK: - Ends

    /// Ends the session, or pauses it, when what it changes takes too much room.
    private mutating func watchStage(hasSpoken: Bool) throws(SessionError) {
        guard endedBecause == nil, let finding = try watch?.serve(hasSpoken: hasSpoken) else { return }
        if try pause(for: finding) { return }
        endedBecause = "the command was ended: \(finding.text)"
        limitHit = LimitHit(name: "disk", detail: finding.text)
        // At once, while there is room.
        try sandbox.kill()
    }

    /// Ends everything after the time that a command gets which was asked to end.
    mutating func endSoon(status: Int32) throws(SessionError) {
        try letGo(because: "end")
        deadline = .killing(at: Clock.milliseconds() + Supervisor.grace, status: status)
    }

    /// Ends the session because the user wants it: its command is asked, and has so many milliseconds.
    mutating func stop(within milliseconds: Int) throws(SessionError) {
        guard hasStarted else {
            throw SessionError(step: "start", reason: "it was stopped before the command began (box stop)")
        }
        if endedBecause == nil { endedBecause = "the session was stopped (box stop)" }
        guard milliseconds > 0 else {
            try sandbox.kill()
            return
        }
        try sandbox.order(.signal(SIGTERM))
        try letGo(because: "stop")
        // One that is stopped (^Z) could not take it.
        try sandbox.order(.signal(SIGCONT))
        let end = Clock.milliseconds() + milliseconds
        if case .killing(let at, _)? = deadline, at < end { return }
        deadline = .killing(at: end, status: ExitStatus.signal(SIGTERM))
    }

    private mutating func checkTime() throws(SessionError) {
        switch deadline {
        case nil: return
        case .asking(let at)? where at > Clock.milliseconds(),
            .killing(let at, _)? where at > Clock.milliseconds():
            return
        case .asking?:
            if try pauseForTime() { return }
            try sandbox.order(.signal(SIGTERM))
            try letGo(because: "time")
            deadline = .killing(at: Clock.milliseconds() + Supervisor.grace, status: ExitStatus.timeout)
        case .killing(_, let status)?:
            try sandbox.kill()
            if outcome == nil { outcome = Outcome(status: status) }
            deadline = .killing(at: Int.max, status: status)
        }
    }

    // MARK: - Signals

    private mutating func takeSignals() throws(SessionError) {
        let taken: [CInt]
        do throws(KernelError) { taken = try Processes.takeSignals(signals) } catch {
            throw SessionError(step: "take signals", error)
        }
        for signal in taken {
            // Whoever is to end must be able to.
            if hasStarted, [SIGINT, SIGTERM, SIGHUP, SIGQUIT].contains(signal) {
                try letGo(because: "signal")
            }
            switch signal {
            case SIGWINCH: try sandbox.resized()
            case SIGPIPE, SIGTTIN, SIGTTOU: break
            case SIGTSTP where !hasStarted: break
            case _ where !hasStarted:
                throw SessionError(step: "start", reason: "signal \(signal) came before the command began")
            // Nobody's terminal is its own: what hangs up is none of its business.
            case SIGHUP where sandbox.detached != nil: break
            case SIGHUP:
                try sandbox.order(.signal(SIGHUP))
                // The terminal is gone: what ignores that must not run on unseen.
                if sandbox.hasTerminal, deadline == nil {
                    deadline = .killing(
                        at: Clock.milliseconds() + Supervisor.grace, status: ExitStatus.signal(SIGHUP))
                }
            case SIGCONT: try resume()
            default: try sandbox.order(.signal(signal))
            }
        }
    }

    /// The command stopped (^Z): box stops too, so that the user's shell takes over; on return it goes on.
    mutating func suspend(_ signal: Int32) throws(SessionError) {
        if let detached = sandbox.detached {
            // SIGSTOP is somebody's who will also continue it.
            waitsForViewer = signal != SIGSTOP
            if waitsForViewer { detached.tellOfStop() }
            return
        }
        // Without a terminal in the foreground nobody is there who could continue it, and time must run.
        guard sandbox.isInForeground else { return }
        try sandbox.suspendStreams()
        isStopped = true
        Glibc.kill(getpid(), SIGSTOP)
        try resume()
    }

    /// Continues a command that stopped itself while nobody was there, or when those who were went away.
    mutating func wake() throws(SessionError) {
        guard waitsForViewer, !pause.isPaused else { return }
        waitsForViewer = false
        try sandbox.order(.signal(SIGCONT))
    }

    private mutating func resume() throws(SessionError) {
        if isStopped {
            isStopped = false
            try sandbox.resumeStreams()
        }
        // Of a session that is paused nothing goes on alone.
        if !pause.isPaused { try sandbox.order(.signal(SIGCONT)) }
    }
}
