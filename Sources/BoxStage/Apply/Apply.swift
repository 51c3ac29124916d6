internal import BoxKernel
internal import BoxTypes
internal import Glibc

/// Applies a plan to the host, as one transaction.
package enum Apply {
    package enum Outcome: Equatable, Sendable {
        /// Done; directories that stayed because something else is in them.
        case applied(kept: [Transaction.Location])
        /// Nothing was touched: the host changed while it was looked at.
        case conflicts([HostConflict])
        /// Nothing was touched: somebody asked to stop.
        case stopped
    }

    /// Where a long apply is.
    package struct Progress: Sendable {
        package enum Phase: Sendable { case preparing, applying }
        package var phase: Phase
        package var done: Int
        package var total: Int
        package init(phase: Phase, done: Int, total: Int) {
            self.phase = phase
            self.done = done
            self.total = total
        }
    }

    /// Carries a plan out. `isStopped` is asked while nothing of the host is touched. No transaction may be under way.
    package static func run(
        _ plan: ApplyPlan, _ calls: TransactionCalls = TransactionCalls(),
        isStopped: @escaping () -> Bool = { false }, progress: ((Progress) -> Void)? = nil
    ) throws(StageError) -> Outcome {
        let transaction = try Transaction.begin(plan.walk.stage, calls)
        let taken = plan.taken
        transaction.onProgress = { progress?(Progress(phase: .applying, done: $0, total: $1)) }
        do throws(TransactionFailure) {
            do throws(TransactionFailure) {
                try plan.prepare(transaction, isStopped) {
                    progress?(Progress(phase: .preparing, done: $0, total: taken))
                }
            } catch { throw transaction.giveUp(error) }
            do throws(StageError) {
                try transaction.seal()
                let conflicts = try transaction.verify(.forward)
                guard conflicts.isEmpty else {
                    try transaction.abandon()
                    return .conflicts(conflicts)
                }
            } catch { throw transaction.giveUp(.failed(error)) }
            try transaction.commit()
            // Where only a part was asked for, it is no wonder that a directory stays.
            let places = plan.request.places
            return .applied(
                kept: transaction.keptDirectories.filter { directory in
                    places.isEmpty
                        || places.contains {
                            $0.tree == directory.tree && directory.path.isSame(orBelow: $0.path)
                        }
                })
        } catch {
            switch error {
            case .failed(let error), .obstructed(let error):
                if error == Apply.stopped { return .stopped }
                throw error
            case .conflict(let conflict): return .conflicts([conflict])
            }
        }
    }

    fileprivate static let stopped = StageError("go on", reason: "it was stopped")
}

extension ApplyPlan {
    /// Makes all new objects and the journal.
    fileprivate func prepare(
        _ transaction: Transaction, _ isStopped: @escaping () -> Bool, progress: @escaping (Int) -> Void
    ) throws(TransactionFailure) {
        let walk = walk
        let builder = TransactionBuilder(
            transaction,
            view: { [agent, branch] (tree, path) throws(StageError) in
                if let branch, branch.needs(tree, path) {
                    return Node(kind: .directory, mode: 0o755, modified: .now())
                }
                return try agent.node(tree, path)
            },
            base: { (tree, path) throws(StageError) in try walk.trees[tree].base.record(path) })
        transaction.journal.header.applied = taken
        transaction.journal.header.leftOut = leftOut
        var index = 0
        var done = 0
        var extra = branch?.reference
        var failure: TransactionFailure?
        do throws(StageError) {
            try walk.forEach { (change) throws(StageError) in
                defer { index += 1 }
                guard !isStopped() else {
                    failure = .failed(Apply.stopped)
                    throw Apply.stopped
                }
                do throws(TransactionFailure) {
                    if let reference = extra, reference.tree == change.tree,
                        reference.path < change.path
                            || reference.tree < change.tree
                    {
                        try builder.add(reference)
                        extra = nil
                    }
                    guard let wanted = try wanted(change, index) else { return }
                    try builder.add(wanted)
                } catch {
                    failure = error
                    throw Apply.stopped
                }
                done += 1
                if done % 64 == 0 { progress(done) }
            }
        } catch { throw failure ?? .failed(error) }
        if let extra { try builder.add(extra) }
        guard index == decisions.count else {
            throw .failed(
                StageError("apply the changes", reason: "the stage has changed while it was looked at"))
        }
    }

    /// What the host gets for a change; nil if it is left out.
    private func wanted(_ change: Change, _ index: Int) throws(TransactionFailure) -> WantedChange? {
        switch decision(index) {
        case .leave: return nil
        case .settle: return settledChange(change)
        case .take, .takeOther: break
        }
        let walk = walk
        var wanted = WantedChange(tree: change.tree, path: change.path, content: .nothing)
        if let new = change.new {
            (wanted.mode, wanted.modified) = (new.mode, new.modified)
            switch new.kind {
            case .file:
                wanted.content = .file(size: new.size)
                wanted.agent = BaseRecord.Stamp(new)
                wanted.open = { () throws(StageError) in try walk.openNew(change) }
            case .link: wanted.content = .link(change.newTarget ?? [])
            case .directory: wanted.content = .directory
            case .characterDevice, .blockDevice, .fifo, .socket: return nil
            }
        }
        if let other = others[index] {
            (wanted.otherMode, wanted.mode) = (wanted.mode, other.mode)
            if !other.isWhole { wanted.agent = nil }
            wanted.open = { () throws(StageError) in
                do throws(KernelError) { return try MemoryFile.sealed(other.bytes, name: "merged") } catch {
                    throw StageError("apply \(change.path.escaped)", error)
                }
            }
        }
        let decided = resolved[index]
        wanted.isExpected = { (host) throws(StageError) in
            if let decided { return ApplyPlan.isSame(host, decided) }
            if ApplyPlan.isSame(host, change.old) { return true }
            return try walk.conflict(change) == nil
        }
        return wanted
    }

    private static func isSame(_ host: Node?, _ other: Node?) -> Bool {
        switch (host, other) {
        case (nil, nil): true
        case (let host?, let other?): host.isUnchanged(since: other) && host.mode == other.mode
        case (nil, _?), (_?, nil): false
        }
    }

    /// The user keeps the host's version: what the agent has is no change any more, until it changes again.
    private func settledChange(_ change: Change) -> WantedChange {
        var record = BaseRecord(
            path: change.path, node: change.new, target: change.newTarget, isApplied: true)
        if let new = change.new, new.kind == .file { record.copy = BaseRecord.Stamp(new) }
        return WantedChange(tree: change.tree, path: change.path, content: .settled(record))
    }
}
