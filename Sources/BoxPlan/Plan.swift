package import BoxTypes

/// The policy resolved against a host: what `box run` does, as pure data.
package struct Plan: Equatable, Sendable {
    package var command: [String]
    package var environment: [EnvironmentEntry]
    package var workingDirectory: AbsolutePath
    package var identity: Identity
    /// In the order in which they are carried out.
    package private(set) var steps: [Step]
    package var proxy: Proxy?
    /// What bounds the whole sandbox through a control group; nil if there is none.
    package var controlGroup: ControlGroupLimits?
    /// Where that group is made.
    package var controlGroupPlace: ControlGroupPlace?
    /// What the session's log has.
    package var audit = AuditLevel.full
    /// Wall-clock seconds until the command is ended.
    package var timeout: Int?
    /// Whether a session that has used up its time or its disk is paused, and not ended.
    package var pausesWhenExceeded = false
    package var protections: [ProtectionState]
    /// Names below the project that must stay absent: made as empty placeholders on the host while the sandbox
    /// runs, so that there is something to mount over, and removed when it ends.
    package var placeholders: [Placeholder]
    /// The directory that the session belongs to, also where the command does not see it; nil inside.
    package var project: AbsolutePath?
    /// The session's copy-on-write work area; nil if the project is not staged.
    package var stage: Stage?
    /// What the capability card shows besides the protections.
    package var summary: Summary

    /// Directories of the host that appear inside as a view of their own.
    package struct Stage: Equatable, Sendable {
        /// Whether the view is a copy; an overlay otherwise.
        package var copies: Bool
        /// Where it lies; known when the session has a directory.
        package var directory: AbsolutePath
        /// The project, then its git directories elsewhere.
        package var trees: [Tree]
        /// What of the project is copied; nil is all of it.
        package var only: [BytePath]?
        /// What the changes may take, in bytes; nil is unlimited.
        package var limit: Int?
        /// box's policy in the project, which stays read-only inside.
        package var policyFile: AbsolutePath
        /// Whether it is not among what is seen inside; an overlay then keeps the name free of any other.
        package var keepsPolicyFree: Bool

        package struct Tree: Equatable, Sendable {
            package var host: AbsolutePath
            package var identity: Step.Identity
            package var owner: Step.Owner
            package var hidden: [BytePath]
            /// What is written, or the copy; it lies in the stage's directory.
            package var upper: AbsolutePath
        }
    }

    /// A name that is made on the host while the sandbox runs.
    package struct Placeholder: Equatable, Sendable {
        package var path: AbsolutePath
        package var content: ControlFiles.Placeholder
        package init(path: AbsolutePath, content: ControlFiles.Placeholder) {
            self.path = path
            self.content = content
        }
    }

    /// A variable of the environment inside; an array keeps the order.
    package struct EnvironmentEntry: Equatable, Sendable {
        package let name: String
        package let value: String
        /// Taken over from the user's environment by name; never shown.
        package let isSecret: Bool
        package init(_ name: String, _ value: String, isSecret: Bool = false) {
            self.name = name
            self.value = value
            self.isSecret = isSecret
        }
    }

    /// The one id that exists inside, and what it is outside.
    package struct Identity: Equatable, Sendable {
        package var insideUID: UInt32
        package var insideGID: UInt32
        package var outsideUID: UInt32
        package var outsideGID: UInt32
        package var name: String
        package init(
            insideUID: UInt32, insideGID: UInt32, outsideUID: UInt32, outsideGID: UInt32, name: String
        ) {
            self.insideUID = insideUID
            self.insideGID = insideGID
            self.outsideUID = outsideUID
            self.outsideGID = outsideGID
            self.name = name
        }

        /// Whether the kernel sees the same.
        package func hasSameIDs(as other: Identity) -> Bool {
            insideUID == other.insideUID && insideGID == other.insideGID && outsideUID == other.outsideUID
                && outsideGID == other.outsideGID
        }
    }

    /// The network door.
    package struct Proxy: Equatable, Sendable {
        package var port: UInt16
        package var rules: NetworkRules
        /// Seconds that a refused connection waits for another rule; 0 for none.
        package var hold = 0
        package var upstream: UpstreamProxy?
        /// The file of extra certificates, for people.
        package var certificates: String?
        /// By the host's port.
        package var publish: [PublishedPort] = []
        /// Whether the session ends when the proxy dies; its network is closed in any case.
        package var endsSession = false
        package init(port: UInt16, rules: NetworkRules) {
            self.port = port
            self.rules = rules
        }
    }

    /// A protection and whether this host enforces it.
    package struct ProtectionState: Equatable, Sendable {
        package enum State: String, Equatable, Sendable { case enforced, missing, accepted }
        package var protection: Protection
        package var state: State
        /// How it is enforced, or why it is missing.
        package var detail: String
        /// What the user can do about a missing one; empty otherwise.
        package var fix: String
        package init(_ protection: Protection, _ state: State, detail: String, fix: String = "") {
            self.protection = protection
            self.state = state
            self.detail = detail
            self.fix = fix
        }
    }

    /// What people want to know at a glance.
    package struct Summary: Equatable, Sendable {
        package var readable: [AbsolutePath] = []
        package var writable: [AbsolutePath] = []
        package var limits: [String] = []
        package var leftOut: [String] = []
        /// What the policy hides in the project.
        package var hidden: [String] = []
        /// The workspace's mode; empty without a project.
        package var workspace = ""
        package var gitObstacle: String?
        package init() {}
    }

    /// Sorts the steps by rank, and the tree by path with parents first; the order of equals is kept.
    package init(
        command: [String], environment: [EnvironmentEntry], workingDirectory: AbsolutePath,
        identity: Identity, steps: [Step]
    ) {
        self.init(
            command: command, environment: environment, workingDirectory: workingDirectory,
            identity: identity, orderedSteps: Plan.ordered(steps))
    }

    /// Takes steps that are in order already.
    init(
        command: [String], environment: [EnvironmentEntry], workingDirectory: AbsolutePath,
        identity: Identity, orderedSteps: [Step]
    ) {
        self.command = command
        self.environment = environment
        self.workingDirectory = workingDirectory
        self.identity = identity
        steps = orderedSteps
        protections = []
        placeholders = []
        summary = Summary()
    }

    /// The namespaces of every sandbox.
    package static let namespaces = ["user", "mount", "pid", "net", "ipc", "uts", "cgroup"]

    /// Whether the command works in the project itself.
    package var hasProject: Bool { project == nil || project == workingDirectory }

    /// Puts the compiled system call filter into its step.
    package mutating func setFilter(_ program: [UInt8]) {
        steps = steps.map { step in
            if case .seccomp(let profile, _, let listens) = step {
                .seccomp(profile: profile, program: program, listens: listens)
            } else {
                step
            }
        }
    }

    /// Lets the stage lie in another directory.
    package mutating func setStage(_ directory: AbsolutePath) throws(AbsolutePath.Refusal) {
        guard var stage else { return }
        let old = stage.directory
        func moved(_ path: AbsolutePath) throws(AbsolutePath.Refusal) -> AbsolutePath {
            guard let below = path.relative(to: old) else { return path }
            return try directory.appending(below)
        }
        stage.directory = directory
        for index in stage.trees.indices { stage.trees[index].upper = try moved(stage.trees[index].upper) }
        self.stage = stage
        for index in steps.indices {
            switch steps[index] {
            case .overlay(var overlay):
                overlay.stage = try moved(overlay.stage)
                steps[index] = .overlay(overlay)
            case .bind(var bind):
                switch bind.source {
                case .path(let path): bind.source = .path(try moved(path))
                case .prepared(let path, let uid, let gid):
                    bind.source = .prepared(try moved(path), ownerUID: uid, ownerGID: gid)
                case .opened: break
                }
                steps[index] = .bind(bind)
            default: break
            }
        }
    }

    /// Gives a variable of the environment another value.
    package mutating func setVariable(_ name: String, to value: String) {
        environment = environment.map {
            $0.name == name ? EnvironmentEntry(name, value, isSecret: $0.isSecret) : $0
        }
    }

    /// Adds steps and sorts again.
    package mutating func add(_ more: [Step]) { steps = Plan.ordered(steps + more) }

    /// Puts another step in the place of each.
    package mutating func map(_ change: (Step) -> Step) { steps = Plan.ordered(steps.map(change)) }

    /// Leaves out the steps that a predicate names.
    package mutating func remove(where drop: (Step) -> Bool) { steps.removeAll(where: drop) }

    /// Puts steps that are in order already in the place of all.
    mutating func replaceSteps(by ordered: [Step]) { steps = ordered }

    static func ordered(_ steps: [Step]) -> [Step] {
        let byPath: Set = [3, 5]
        // Worked out once for each step: sorting asks for them many times.
        let keys = steps.map { step in
            let rank = step.rank
            return (rank: rank, path: byPath.contains(rank) ? step.target?.string ?? "" : "")
        }
        return steps.indices.sorted { left, right in
            let (a, b) = (keys[left], keys[right])
            if a.rank != b.rank { return a.rank < b.rank }
            return a.path == b.path ? left < right : a.path < b.path
        }.map { steps[$0] }
    }
}
