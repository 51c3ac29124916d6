internal import BoxKernel
package import BoxTypes
internal import Glibc

/// What the user wants applied.
package struct ApplyRequest: Sendable {
    /// A place in one of the stage's trees.
    package struct Place: Hashable, Sendable {
        package var tree: Int
        package var path: BytePath
        package init(tree: Int, path: BytePath) {
            self.tree = tree
            self.path = path
        }
    }

    /// What becomes of a change that the host made impossible.
    package enum Resolution: Sendable, CaseIterable {
        /// Nothing is applied at all.
        case refuse
        /// Both versions are joined, if they changed different lines.
        case merge
        /// The host's version stays, and the agent's is settled with that.
        case ours
        /// The agent's version comes.
        case theirs
    }

    /// Only what is at or below these; everything if there is none.
    package var places: [Place] = []
    package var resolution = Resolution.refuse
    /// Takes the agent's commits as a branch of this name, and no other file but those that are named.
    package var branch: String?

    package init() {}

    /// Whether a change is wanted by its path; remembers by which of the places.
    func selects(_ change: Change, _ matched: inout Set<Int>) -> Bool {
        if places.isEmpty { return true }
        var selects = false
        for (index, place) in places.enumerated()
        where place.tree == change.tree && change.path.isSame(orBelow: place.path) {
            matched.insert(index)
            selects = true
        }
        return selects
    }

    /// Whether a change is named itself: a directory above it does not count.
    func names(_ change: Change) -> Bool {
        places.contains(Place(tree: change.tree, path: change.path))
    }
}

/// What an apply would do: every change decided on, nothing touched.
package final class ApplyPlan {
    /// A change with what there is to say about it.
    package struct Entry: Sendable {
        package var change: Change
        package var reason: String
    }

    /// What happens to one change.
    enum Decision: UInt8 { case leave, take, takeOther, settle }

    /// Content that is neither the agent's nor the host's: merged, or some of the hunks.
    struct OtherContent {
        var bytes: [UInt8]
        var mode: UInt32
        /// Nothing of the agent's version is left.
        var isWhole: Bool
    }

    package let walk: ChangeWalk
    package let request: ApplyRequest
    let agent: AgentFiles
    /// By the order of the walk.
    private(set) var decisions: [Decision] = []
    private(set) var others: [Int: OtherContent] = [:]
    /// What the host had where the user decided about a conflict.
    private(set) var resolved: [Int: Node?] = [:]
    /// The branch that is made.
    private(set) var branch: AgentBranch?

    /// What is applied only if the user agrees, with the reasons.
    package private(set) var confirmations: [Entry] = []
    /// What is left out and why; those that could be named.
    package private(set) var blocked: [Entry] = []
    /// What is never applied.
    package private(set) var impossible: [Entry] = []
    package private(set) var conflicts: [Entry] = []
    /// Where host and agent both moved a git repository: its git directory.
    package private(set) var movedRepositories: [Entry] = []
    /// The places that no change is about.
    package private(set) var unmatched: [ApplyRequest.Place] = []
    package private(set) var digest = ""
    package private(set) var total = 0
    package private(set) var deleted = 0
    /// Conflicts that the user decided for the host.
    package private(set) var settled = 0
    package private(set) var merged = 0

    /// How many changes are applied.
    package var taken: Int { decisions.count { $0 == .take || $0 == .takeOther } }
    package var leftOut: Int { total - taken - settled }

    /// Looks at every change of the stage.
    package init(_ stage: Stage, _ request: ApplyRequest) throws(StageError) {
        walk = try ChangeWalk(stage)
        agent = AgentFiles(walk)
        self.request = request
        if let name = request.branch { branch = try AgentBranch(name, agent) }
        let review = try ChangeReview(walk)
        var manifest = ManifestDigest()
        var matched: Set<Int> = []
        var repositories: Set<ApplyRequest.Place> = []
        try walk.forEach { (change) throws(StageError) in
            manifest.add(change)
            total += 1
            let decision = try decide(change, review, &matched, &repositories)
            decisions.append(decision)
            if decision == .take, change.kind == .deleted { deleted += 1 }
        }
        digest = manifest.finish()
        unmatched = request.places.indices.filter { !matched.contains($0) }.map { request.places[$0] }
    }

    private func decide(
        _ change: Change, _ review: ChangeReview, _ matched: inout Set<Int>,
        _ repositories: inout Set<ApplyRequest.Place>
    ) throws(StageError) -> Decision {
        let isSelected = request.selects(change, &matched)
        if let branch {
            // The objects are the same wherever they come from.
            if branch.hasObject(change) { return try walk.hostNode(change) == nil ? .take : .leave }
            guard isSelected, !request.places.isEmpty, !branch.isInRepository(change) else { return .leave }
        }
        guard isSelected else { return .leave }
        let verdict: Verdict
        if let own = ApplyPlan.isOwnName(change) {
            verdict = own
        } else {
            verdict = try review.verdict(change)
        }
        if verdict.isUnappliable {
            impossible.append(Entry(change: change, reason: verdict.reason))
            return .leave
        }
        let isNamed = request.names(change)
        if verdict.risk == .blocked, !isNamed {
            blocked.append(Entry(change: change, reason: verdict.reason))
            return .leave
        }
        if let conflict = try walk.conflict(change) {
            let decision = try resolve(change, conflict, &repositories)
            guard decision == .take || decision == .takeOther else { return decision }
            return note(change, verdict, isNamed, decision)
        }
        return note(change, verdict, isNamed, .take)
    }

    func decision(_ index: Int) -> Decision { decisions[index] }

    /// Leaves a change out after all.
    func drop(_ index: Int, _ change: Change) {
        decisions[index] = .leave
        if change.kind == .deleted { deleted -= 1 }
        confirmations.removeAll { $0.change.tree == change.tree && $0.change.path == change.path }
    }

    /// Takes another content than the agent's.
    func take(_ index: Int, _ content: OtherContent) {
        decisions[index] = .takeOther
        others[index] = content
    }

    private func note(
        _ change: Change, _ verdict: Verdict, _ isNamed: Bool, _ decision: Decision
    ) -> Decision {
        if verdict.risk == .confirm, !isNamed {
            confirmations.append(Entry(change: change, reason: verdict.reason))
        }
        return decision
    }

    /// The names of staging places.
    private static func isOwnName(_ change: Change) -> Verdict? {
        guard change.path.components.first?.starts(with: ".box-apply-".utf8) ?? false else { return nil }
        return Verdict(.blocked, "the name is one of box's own", isUnappliable: true)
    }

    // MARK: - Conflicts

    private func resolve(
        _ change: Change, _ conflict: Conflict, _ repositories: inout Set<ApplyRequest.Place>
    ) throws(StageError) -> Decision {
        var reason = conflict.reason
        switch request.resolution {
        case .refuse: break
        case .theirs:
            resolved[decisions.count] = .some(try walk.hostNode(change))
            return .take
        case .ours:
            settled += 1
            return .settle
        case .merge:
            switch try merge(change) {
            case .merged(let content):
                others[decisions.count] = content
                merged += 1
                return .takeOther
            case .impossible(let why): reason += ", and \(why)"
            }
        }
        if let repository = GitDirectory.containing(change) {
            if repositories.insert(repository).inserted {
                movedRepositories.append(
                    Entry(
                        change: Change(tree: repository.tree, path: repository.path, kind: .modified),
                        reason: "you and the agent both moved the repository"))
            }
        } else {
            conflicts.append(Entry(change: change, reason: reason))
        }
        return .leave
    }

    private enum MergeOutcome {
        case merged(OtherContent)
        case impossible(String)
    }

    /// Longer texts are not merged.
    private static let longestMerge = 64 << 20

    private func merge(_ change: Change) throws(StageError) -> MergeOutcome {
        guard let new = change.new, new.kind == .file, let host = try walk.hostNode(change),
            host.kind == .file
        else { return .impossible("only two versions of a file can be merged") }
        guard let base = try walk.openOld(change), let ours = try walk.openHost(change) else {
            return .impossible("what the agent started from is not known any more")
        }
        let theirs = try walk.openNew(change)
        do throws(KernelError) {
            let limit = ApplyPlan.longestMerge
            let merged = Merge.merge(
                base: try base.readAll(limit: limit), ours: try ours.readAll(limit: limit),
                theirs: try theirs.readAll(limit: limit))
            guard merged.conflicts == 0 else {
                return .impossible(
                    merged.conflicts == 1
                        ? "one place was changed on both sides"
                        : "\(merged.conflicts) places were changed on both sides")
            }
            resolved[decisions.count] = .some(try Node.of(ours.number))
            // A mode that the agent did not change stays the host's.
            let mode = change.old?.mode == new.mode ? host.mode : new.mode
            return .merged(OtherContent(bytes: merged.content, mode: mode, isWhole: true))
        } catch {
            guard error.code == EFBIG else { throw StageError("merge \(change.path.escaped)", error) }
            return .impossible("it is too long to be merged")
        }
    }
}
