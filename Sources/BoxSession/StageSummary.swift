package import BoxStage
internal import BoxTypes

/// What a session has changed, for people: how much, and what of it needs attention.
package struct StageSummary: Equatable, Sendable {
    /// A change that is not simply applied.
    package struct Risky: Equatable, Sendable {
        /// From the project; of other trees the path on the host. Bytes of the sandbox's choice.
        package let path: [UInt8]
        package let risk: Risk
        package let reason: String
    }

    package let session: String
    /// Files and links, one by one.
    package private(set) var count = 0
    /// The first changes that need attention, the blocked ones first.
    package var risky: [Risky] { blocked + confirm }
    private var blocked: [Risky] = []
    private var confirm: [Risky] = []
    package private(set) var blockedCount = 0
    package private(set) var confirmCount = 0
    /// Changes that were counted, but not looked at, because there are so many: `box diff` looks at all.
    package private(set) var unjudged = 0

    /// The changes that need none.
    package var normalCount: Int { count - blockedCount - confirmCount - unjudged }

    /// So many of each risk are named.
    static let mostNamed = 1000
    /// So many changes are looked at whatever it takes; others for so many milliseconds.
    private static let patience = (changes: 200, milliseconds: 50)

    init(session: String) { self.session = session }

    /// All changes of a stage whose session has ended.
    static func of(_ stage: Stage) throws(StageError) -> StageSummary {
        var summary = StageSummary(session: stage.session)
        let walk = try ChangeWalk(stage)
        var review: ChangeReview?
        var end = Int.max
        try walk.forEach { (change) throws(StageError) in
            if review == nil {
                review = try ChangeReview(walk)
                end = Clock.milliseconds() + patience.milliseconds
            }
            let isOver = summary.count >= patience.changes && Clock.milliseconds() > end
            // One that cannot be looked at is told of as such; `box diff` says why.
            let verdict = isOver ? nil : try? review?.verdict(change)
            summary.add(StageSummary.name(change.path, tree: change.tree, of: stage), verdict)
        }
        return summary
    }

    /// A path as `box diff` shows it.
    private static func name(_ path: BytePath, tree: Int, of stage: Stage) -> [UInt8] {
        tree == 0 ? path.bytes : Array(stage.roots[tree].host.string.utf8) + [UInt8(ascii: "/")] + path.bytes
    }

    /// Counts a change; nil: its risk is not known.
    mutating func add(_ path: [UInt8], _ verdict: Verdict?) {
        count += 1
        guard let verdict else {
            unjudged += 1
            return
        }
        let risky = Risky(path: path, risk: verdict.risk, reason: verdict.reason)
        switch verdict.risk {
        case .normal: return
        case .confirm:
            confirmCount += 1
            if confirm.count < StageSummary.mostNamed { confirm.append(risky) }
        case .blocked:
            blockedCount += 1
            if blocked.count < StageSummary.mostNamed { blocked.append(risky) }
        }
    }
}
