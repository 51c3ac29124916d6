internal import BoxAudit
internal import BoxKernel
package import BoxPlan
package import BoxStage
package import BoxTypes
internal import CLinux
internal import Glibc

/// How a session ended.
package struct Outcome: Equatable, Sendable {
    /// What the shell sees, see `ExitStatus`.
    package var status: Int32
    /// A line for the user, if there is something to say.
    package var message: String?
    package var receipt = Receipt()
    package var milliseconds = 0
    /// What was changed in the staged project; nil where nothing was staged, or the command never ran.
    package var changes: StageSummary?
    /// The limit that ended the command; nil if none did.
    package var limit: LimitHit?
    /// Limits that were reached and are known only now that it has ended.
    package var otherLimits: [LimitHit] = []
    /// What the policy says of the network at the end; nil where there is none.
    package var rules: NetworkRules?
    /// When it began, in RFC 3339.
    package var started = ""

    package init(status: Int32, message: String? = nil) {
        self.status = status
        self.message = message
    }
}

/// A limit of the session that was reached: `time`, `memory`, `disk` or `processes`.
package struct LimitHit: Equatable, Sendable {
    package let name: String
    /// What it was, for people.
    package let detail: String

    package init(name: String, detail: String) {
        self.name = name
        self.detail = detail
    }

    /// What the log says of it.
    var event: Event {
        Event(.limit, [Event.Field("limit", .text(name)), Event.Field("reason", .text(detail))])
    }
}

/// The exit statuses that box itself gives; any other is the command's own.
package enum ExitStatus {
    package static let timeout: Int32 = 124
    /// box refused or failed before the command began.
    package static let refused: Int32 = 125
    package static let notExecutable: Int32 = 126
    package static let notFound: Int32 = 127
    /// A signal ended the command.
    package static func signal(_ number: Int32) -> Int32 { 128 + number }
}

/// A session whose resources are had but whose command does not run yet.
package struct PreparedSession: ~Copyable {
    private var plan: Plan
    private let directory: SessionDirectory
    private var seed: SandboxSeed?
    /// The stage of the session that goes on.
    private let earlier: Stage?
    private let onReady: () -> Void
    private var policy: PolicyWatch?
    private let policyDigest: String
    /// The agent's name, and what the session's name was made from.
    private let agent: String?
    private let stem: String
    private let started = Clock.milliseconds()
    /// The session has a terminal that anybody may attach to, and not the caller's.
    package var isDetached = false
    /// Is called when the command runs; the caller of a detached session can go then.
    package var onStarted: () throws(SessionError) -> Void = {}
    /// Is told how far a copy of the project is; false stops it.
    package var progress: (CopyProgress) -> Bool = { _ in true }

    /// Makes the session's directory. `onReady` is called when everything is in place, just before the command
    /// starts: the card is printed there.
    package init(
        plan: Plan, directory: consuming SessionDirectory, seed: consuming SandboxSeed,
        continuing earlier: Stage? = nil, policy: consuming PolicyWatch? = nil, policyDigest: String = "",
        agent: String? = nil, stem: String = "", onReady: @escaping () -> Void
    ) {
        self.seed = .some(consume seed)
        self.earlier = earlier
        self.plan = plan
        self.directory = directory
        self.onReady = onReady
        self.policy = policy
        self.policyDigest = policyDigest
        self.agent = agent
        self.stem = stem
    }

    private mutating func placeStage() throws(SessionError) {
        do throws(AbsolutePath.Refusal) { try plan.setStage(AbsolutePath(directory.path + "/stage")) } catch {
            throw SessionError(step: "stage the project", reason: "\(error)")
        }
    }

    /// Starts the sandbox and the command, and serves until the command has ended.
    package consuming func run() throws(SessionError) -> Outcome {
        // Until then the stage has the place of a session that is not this one.
        try placeStage()
        let startTime = Timestamp.now()
        var placeholders: Placeholders?
        var stage: Stage?
        var hasRun = false
        do throws(SessionError) {
            guard let seed = seed.take() else {
                throw SessionError(step: "start the sandbox", reason: "it was started already")
            }
            if let wanted = plan.stage {
                stage = try SessionStage.prepare(
                    wanted, session: directory.name, continuing: earlier, progress: progress)
            }
            var supervisor = try Supervisor(
                plan: plan, session: directory.name, seed: seed, isDetached: isDetached, onStarted: onStarted)
            do throws(SessionError) {
                // All this while the sandbox's first process starts and makes its mounts.
                try recordStart(startTime)
                if let stage { supervisor.watch = try StageWatch(stage, limit: plan.stage?.limit) }
                try supervisor.listen(in: directory.path)
                supervisor.policy = policy.take()
                if !plan.placeholders.isEmpty {
                    var made = try Placeholders.make(
                        plan.placeholders, in: plan.workingDirectory, stock: directory.stock)
                    try supervisor.placeholdersAreMade(without: made.unneeded)
                    // The command does not start before this is done.
                    let keeping = Result { () throws(SessionError) in try made.keep() }
                    placeholders = consume made
                    try keeping.get()
                }
                let onReady = onReady
                let staged = stage
                try supervisor.serve(directory) { () throws(SessionError) in
                    if let staged { try HideLayer.removePlaceholder(of: staged) }
                    hasRun = true
                    onReady()
                }
            } catch {
                supervisor.abandon(directory)
                throw error
            }
            var outcome = try supervisor.finish()
            // The sandbox is gone, so nothing is mounted over them any more.
            placeholders?.release()
            outcome.milliseconds = Clock.milliseconds() - started
            outcome.started = startTime
            if let stage { SessionStage.conclude(stage, &outcome) }
            try finish(outcome, startTime)
            placeholders?.wait()
            return outcome
        } catch {
            placeholders?.release()
            placeholders?.wait()
            guard hasRun, let stage else {
                // Nothing ran, so there is nothing in it.
                if earlier == nil { try SessionStage.remove(plan.stage) }
                try finish(Outcome(status: ExitStatus.refused, message: error.description), startTime)
                throw error
            }
            // What was made until then is there, whatever went wrong, a full disk above all.
            let late = SessionError(
                step: error.step, reason: error.reason,
                hint: "What was changed is kept: box diff -s \(directory.name)")
            do throws(StageError) { try WaitingStages.set(stage, waits: true) } catch { throw late }
            do throws(SessionError) {
                try finish(Outcome(status: ExitStatus.refused, message: late.description), startTime)
            } catch { throw late }
            throw late
        }
    }

    private borrowing func recordStart(_ time: String) throws(SessionError) {
        try directory.record(fields(state: "running", started: time))
        try directory.append(
            Event(
                .sessionStart,
                [
                    Event.Field("command", .list(plan.command)),
                    Event.Field("project", .text(plan.workingDirectory.string)),
                    Event.Field("plan", .text(PlanDigest.of(plan))),
                    Event.Field("policy", .text(policyDigest)),
                    Event.Field(
                        "accepted_missing",
                        .list(plan.protections.filter { $0.state == .accepted }.map(\.protection.rawValue))),
                ]))
    }

    private borrowing func finish(_ outcome: Outcome, _ startTime: String) throws(SessionError) {
        for limit in [outcome.limit].compactMap({ $0 }) + outcome.otherLimits {
            try directory.append(limit.event)
        }
        try directory.append(
            Event(
                .sessionEnd,
                [
                    Event.Field("exit_status", .number(Int(outcome.status))),
                    Event.Field("ms", .number(outcome.milliseconds)),
                    Event.Field("message", .text(outcome.message ?? "")),
                ]))
        let state = outcome.status == ExitStatus.refused ? "failed" : "finished"
        try directory.record(
            fields(state: state, started: startTime) + [
                ("ended", .text(Timestamp.now())), ("exit_status", .number(Int(outcome.status))),
                ("changes", .number(outcome.changes?.count ?? 0)),
                ("refusals", .number(outcome.receipt.refusals)), ("message", .optional(outcome.message)),
                // What was written until now cannot be cut off unseen.
                ("chain", .text(directory.log.digest)),
            ])
    }

    private borrowing func fields(state: String, started: String) -> [(String, JSONOutput)] {
        [
            ("agent", .optional(agent)),
            ("stem", .text(stem)),
            ("command", .texts(plan.command)),
            ("project", .text((plan.project ?? plan.workingDirectory).string)),
            ("workspace", .text(plan.summary.workspace.isEmpty ? "none" : plan.summary.workspace)),
            ("state", .text(state)),
            ("detached", .bool(isDetached)),
            ("started", .text(started)),
            ("supervisor", .number(Int(getpid()))),
        ]
    }
}

/// Time that only goes forward.
package enum Clock {
    /// Milliseconds since some fixed point.
    package static func milliseconds() -> Int {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
    }
}
