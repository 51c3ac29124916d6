package import BoxPolicy
package import BoxTypes

/// Resolves a policy against a host. Pure: the same arguments give the same plan.
package struct Planner {
    /// What to run, beside the policy.
    package struct Request: Equatable, Sendable {
        package var command: [String]
        /// The session's name, for `BOX_SESSION`.
        package var session: String
        /// Variables of the command line, `NAME=VALUE`; they win over the policy's.
        package var environment: [String: String] = [:]
        /// The values of `environment.from`, by name; empty where they are not asked for.
        package var secrets: [String: String] = [:]
        /// box's own executable, made visible for `box doctor --prove`.
        package var prover: AbsolutePath?
        /// Whether the command gets a pseudo-terminal.
        package var terminal = false

        package init(command: [String], session: String) {
            self.command = command
            self.session = session
        }
    }

    let policy: Policy
    let facts: HostFacts
    let request: Request
    /// nil where the project is not staged.
    let stage: Plan.Stage?

    private init(policy: Policy, facts: HostFacts, request: Request) throws(PlanError) {
        stage = try Planner.makeStage(policy, facts, request)
        self.policy = policy
        self.facts = facts
        self.request = request
    }

    /// The port of the network door inside.
    package static let proxyPort = DoorOpening.httpPort

    /// The plan for a command, or why there is none.
    package static func plan(
        policy: Policy, facts: HostFacts, request: Request
    ) throws(PlanError) -> Plan {
        try Planner(policy: policy, facts: facts, request: request).plan()
    }

    private func plan() throws(PlanError) -> Plan {
        try checkProject()
        let protections = Diagnosis.protections(policy: policy, facts: facts)
        let missing = protections.filter { $0.state == .missing }
        guard missing.isEmpty else { throw .missing(missing) }

        let identity = try makeIdentity()
        let grants = try makeGrants()
        let files = makeFiles(identity: identity, grants: grants)
        var steps =
            files + makeSettings() + (try makeNetwork()) + makeLimits() + [
                .dropCapabilities, .noNewPrivileges,
            ]
        if facts.isRoot { steps.append(.becomeUser(uid: identity.insideUID, gid: identity.insideGID)) }
        if let landlock = makeLandlock(grants: grants) { steps.append(landlock) }
        var listens: ListenedCalls = policy.workspace.mode == .overlay ? .renames : []
        if policy.audit.level == .full { listens.insert(.executions) }
        steps.append(.seccomp(profile: policy.syscalls.profile, program: [], listens: listens))

        var plan = Plan(
            command: request.command, environment: try makeEnvironment(identity: identity, grants: grants),
            workingDirectory: workingDirectory, identity: identity, steps: steps)
        plan.protections = protections
        plan.placeholders = placeholders
        plan.stage = stage
        plan.proxy = try makeProxy()
        plan.project = facts.project.path
        plan.controlGroup = makeControlGroup()
        plan.controlGroupPlace = facts.controlGroups.place
        plan.audit = policy.audit.level
        plan.timeout = policy.limits.time.map { Int($0.components.seconds) }
        plan.pausesWhenExceeded = policy.limits.onExceeded == .pause
        plan.summary = makeSummary(grants: grants)
        return plan
    }

    /// Where the command starts: the project, or its stand-in.
    var workingDirectory: AbsolutePath {
        switch policy.workspace.mode {
        case .overlay, .direct, .copy: facts.project.path
        case .none: Planner.scratch
        }
    }

    /// The empty working directory of `--workspace none`.
    static let scratch = AbsolutePath(literal: "/tmp")

    private func checkProject() throws(PlanError) {
        let path = facts.project.path
        if policy.workspace.mode == .none { return }
        guard path != .root else {
            throw .project(path, "it is the whole system. Start box in a project's directory")
        }
        guard path != facts.user.home else {
            throw .project(path, "it is your home directory. Start box in a project's directory below it")
        }
        guard !facts.user.home.isSame(orBelow: path) else {
            throw .project(path, "your home directory lies below it. Start box in a project's directory")
        }
        for system in Planner.systemPlaces where path.isSame(orBelow: system) {
            throw .project(path, "\(system) belongs to the system and is made anew inside")
        }
        for place in Planner.privatePlaces where path == place {
            throw .project(path, "\(place) is private inside. Start box in a directory below it")
        }
        try checkPart()
        try checkOwner()
        guard !path.isSame(orBelow: facts.stateDirectory), !facts.stateDirectory.isSame(orBelow: path) else {
            throw .project(path, "box keeps its own state there (\(facts.stateDirectory))")
        }
    }

    /// Made anew inside, so nothing of the host's can be mounted there.
    static let systemPlaces: [AbsolutePath] = [
        AbsolutePath(literal: "/proc"), AbsolutePath(literal: "/sys"), AbsolutePath(literal: "/dev"),
    ]

    /// Private inside, but directories below them may be granted.
    static let privatePlaces: [AbsolutePath] = [
        AbsolutePath(literal: "/tmp"), AbsolutePath(literal: "/var/tmp"), AbsolutePath(literal: "/run"),
        AbsolutePath(literal: "/etc"), AbsolutePath(literal: "/var"), AbsolutePath(literal: "/home"),
        AbsolutePath(literal: "/usr"), AbsolutePath(literal: "/opt"),
    ]

    private func makeIdentity() throws(PlanError) -> Plan.Identity {
        let user = facts.user
        guard
            let identity = Planner.identity(
                user: (user.uid, user.gid, user.name), unprivileged: facts.unprivilegedID,
                owner: (facts.project.node.uid, facts.project.node.gid))
        else {
            throw .identity(
                "box was started as root, and this user namespace has no unprivileged id to give to the "
                    + "sandbox. Start box as an ordinary user")
        }
        return identity
    }

    /// The one id of a sandbox: the user's own, and for root the unprivileged one; nil if there is none. Never 0 outside:
    /// the kernel's own checks of `/proc/sys` know only that. `owner` is whose the project is.
    package static func identity(
        user: (uid: UInt32, gid: UInt32, name: String), unprivileged: UInt32?,
        owner: (uid: UInt32, gid: UInt32)
    ) -> Plan.Identity? {
        guard user.uid == 0 else {
            return Plan.Identity(
                insideUID: user.uid, insideGID: user.gid, outsideUID: user.uid, outsideGID: user.gid,
                name: user.name)
        }
        guard let unprivileged else { return nil }
        // The project's owner, so that ownership looks as on the host; root's own projects get an ordinary id.
        return Plan.Identity(
            insideUID: owner.uid == 0 ? 1000 : owner.uid, insideGID: owner.gid == 0 ? 1000 : owner.gid,
            outsideUID: unprivileged, outsideGID: unprivileged, name: "box")
    }

    private func makeSummary(grants: [Grant]) -> Plan.Summary {
        var summary = Plan.Summary()
        // What is at two places counts once.
        let granted = grants.filter { $0.path == $0.source }
        summary.readable = [AbsolutePath(literal: "/usr")] + granted.filter { !$0.writable }.map(\.path)
        summary.writable = granted.filter(\.writable).map(\.path)
        if policy.workspace.mode != .none {
            summary.writable.insert(facts.project.path, at: 0)
            summary.leftOut = facts.project.mounts
            summary.hidden = facts.project.hidden.map(\.escaped)
            summary.workspace = policy.workspace.mode.rawValue
            summary.gitObstacle = facts.project.gitObstacle
        }
        summary.limits = limitTexts
        return summary
    }
}
