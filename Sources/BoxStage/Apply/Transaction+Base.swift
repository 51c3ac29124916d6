internal import BoxKernel
internal import BoxTypes
internal import CLinux
internal import Glibc

/// What the stage knows of the host's paths, after a transaction and after its way back.
extension Transaction {
    /// What was applied is no change any more.
    func recordApplied() throws(StageError) {
        try replaceRecords { (record, node, target) throws(StageError) in
            if let settled = record.settled { return settled }
            // A directory that should have gone, but has something in it, is as it was.
            guard record.action != .remove || node == nil else { return nil }
            // Somebody moves a directory on the way: where nothing could be looked at, the record says nothing new.
            guard Transaction.isLike(node, record.after) else { return nil }
            var now = BaseRecord(path: record.path, node: node, target: target, isApplied: true)
            now.copy = record.agent
            // The bits that are not taken are no difference either.
            if let mode = record.agentMode { now.node?.mode = mode }
            return now
        }
    }

    /// The changes are changes again. A path that moved there and back has another time of change of its inode, which
    /// must not look like a change of the host's; one that was a conflict before is one again.
    func recordTakenBack() throws(StageError) {
        try replaceRecords { (record, node, target) throws(StageError) in
            if record.action == .settle, let old = record.base { return old }
            // The same: another look than at what came back must not become what the agent started from. What a copy has no
            // record of was not there.
            let base = record.base ?? (stage.mode == .copy ? BaseRecord(path: record.path) : nil)
            guard Transaction.isLike(node, record.before) else { return base }
            guard var old = base else {
                return BaseRecord(path: record.path, node: node, target: target, isApplied: true)
            }
            let was = old.node
            let wasSame =
                switch (was, record.before) {
                case (nil, nil): true
                case (let was?, let before?): before.isUntouched(was)
                case (nil, _?), (_?, nil): false
                }
            guard wasSame else { return old }
            old.node = node
            // A mode of the agent's that an earlier apply has settled.
            if let was, let node, was.mode & 0o777 == node.mode & 0o777 { old.node?.mode = was.mode }
            old.isApplied = true
            return old
        }
    }

    /// Whether a look found what a transaction left; a copy that came back has another inode.
    private static func isLike(_ node: Node?, _ witness: Witness?) -> Bool {
        guard let node, let witness else { return node == nil && witness == nil }
        guard node.kind == witness.kind else { return false }
        return node.kind == .directory || node.size == witness.size && node.modified == witness.modified
    }

    private func replaceRecords(
        _ make: (JournalRecord, Node?, [UInt8]?) throws(StageError) -> BaseRecord?
    ) throws(StageError) {
        for index in stage.roots.indices {
            var records: [BaseRecord] = []
            try journal.forEach(.forward, { $0 }) { (record) throws(StageError) in
                guard record.tree == index, record.isChange else { return }
                let node: Node?
                var target: [UInt8]?
                let tree = record.action == .settle ? nil : try self.tree(index)
                do throws(KernelError) {
                    node = try tree?.node(record.path)
                    if let tree, node?.kind == .link {
                        target = try tree.parent(of: record.path).tree.linkTarget(record.path.name)
                    }
                } catch { throw Transaction.error(stage, index, record.path, error) }
                if let new = try make(record, node, target) { records.append(new) }
            }
            guard !records.isEmpty else { continue }
            do throws(KernelError) { try calls.elsewhere("base") } catch {
                throw StageError("write what the session began with", error)
            }
            try BaseFile.replace(stage, index, records, hasRemovals: true)
            do throws(KernelError) { try calls.elsewhere("base is written") } catch {
                throw StageError("write what the session began with", error)
            }
        }
    }
}
