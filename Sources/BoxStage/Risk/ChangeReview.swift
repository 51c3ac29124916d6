internal import BoxKernel
internal import BoxTypes

/// The risks of a stage's changes: asks the rules about each one, with the contents and the names that they want to see.
///
/// Ask in the order of a walk: then each directory is read once.
package final class ChangeReview {
    private let walk: ChangeWalk
    private let rules: RiskRules
    private let view: MergedView
    private var twins: CaseTwins
    /// Names that were asked for lately: rules ask for the same few again and again.
    private var known: [Question: Bool] = [:]

    private struct Question: Hashable {
        let tree: Int
        let path: BytePath
        let isOnHost: Bool
    }

    package init(_ walk: ChangeWalk) throws(StageError) {
        self.walk = walk
        rules = RiskRules(walk.stage, hooks: try RiskRules.hookDirectories(of: walk.stage))
        let view = MergedView(walk)
        self.view = view
        twins = CaseTwins { (tree, directory) throws(StageError) in try view.names(tree, directory) }
    }

    /// The verdict on one change.
    package func verdict(_ change: Change) throws(StageError) -> Verdict {
        let walk = walk
        let content = RiskContent(
            new: { (limit) throws(StageError) in
                guard change.new?.kind == .file else { return nil }
                return try Self.start(of: try walk.openNew(change), limit)
            },
            old: { (limit) throws(StageError) in
                guard change.old?.kind == .file, let old = try walk.openOld(change) else { return nil }
                return try Self.start(of: old, limit)
            },
            hasName: { [self] (path) throws(StageError) in
                try answer(Question(tree: change.tree, path: path, isOnHost: false))
            },
            hadName: { [self] (path) throws(StageError) in
                try answer(Question(tree: change.tree, path: path, isOnHost: true))
            },
            twin: { [self] (change) throws(StageError) in try twins.twin(of: change) })
        return try rules.verdict(change, content: content)
    }

    private func answer(_ question: Question) throws(StageError) -> Bool {
        if let answer = known[question] { return answer }
        let answer =
            question.isOnHost
            ? try view.hostHas(question.tree, question.path) : try view.has(question.tree, question.path)
        if known.count >= 4096 { known = [:] }
        known[question] = answer
        return answer
    }

    /// The first bytes of a file.
    private static func start(of file: consuming Descriptor, _ limit: Int) throws(StageError) -> [UInt8] {
        do throws(KernelError) {
            var all: [UInt8] = []
            while all.count < limit {
                let piece = try file.read(upTo: min(1 << 16, limit - all.count))
                if piece.isEmpty { break }
                all += piece
            }
            return all
        } catch { throw StageError("read a changed file", error) }
    }
}
