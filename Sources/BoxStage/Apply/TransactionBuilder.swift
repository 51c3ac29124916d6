package import BoxKernel
package import BoxTypes
internal import CLinux
internal import Glibc

/// Makes the new objects of a transaction and its journal, change by change in the order of trees and paths.
package final class TransactionBuilder {
    let transaction: Transaction
    /// What the agent sees at a path; asked for directories on the way to a change.
    private let view: (Int, BytePath) throws(StageError) -> Node?
    /// The stage's record of a path; asked in the order of paths.
    private let base: (Int, BytePath) throws(StageError) -> BaseRecord?
    private let isRoot = geteuid() == 0
    private var number = 0
    private var levels: [Level] = []
    private var treeIndex = -1

    /// A directory on the way to the present change.
    private struct Level {
        enum Standing { case stays, isMade, goes }
        var path: BytePath
        var standing: Standing
        /// What is on the host; nil if nothing is.
        var host: Node?
        var isTouched = false
        /// Its mode was changed by a record of its own.
        var mode: UInt32?
    }

    package init(
        _ transaction: Transaction,
        view: @escaping (Int, BytePath) throws(StageError) -> Node?,
        base: @escaping (Int, BytePath) throws(StageError) -> BaseRecord?
    ) {
        self.transaction = transaction
        self.view = view
        self.base = base
    }

    /// Prepares one change.
    package func add(_ change: WantedChange) throws(TransactionFailure) {
        do throws(StageError) {
            if case .settled(let record) = change.content { return try settle(change, record) }
            let tree = try transaction.tree(change.tree)
            try descend(to: change, tree)
            try prepare(change, tree)
        } catch {
            if let moved { throw .conflict(moved) }
            throw .failed(error)
        }
    }

    /// Set when an error is in truth a host that is not as expected.
    private var moved: HostConflict?

    private func attempt<Result>(
        _ tree: Int, _ path: BytePath, _ body: () throws(KernelError) -> Result
    ) throws(StageError) -> Result {
        do throws(KernelError) { return try body() } catch {
            throw Transaction.error(transaction.stage, tree, path, error)
        }
    }

    // MARK: - On the way

    private func descend(to change: WantedChange, _ tree: TransactionTree) throws(StageError) {
        if treeIndex != change.tree {
            treeIndex = change.tree
            levels = [Level(path: .root, standing: .stays, host: tree.root)]
        }
        while levels.count > 1, let last = levels.last,
            !change.path.isSame(orBelow: last.path) || change.path == last.path
        { levels.removeLast() }
        let known = levels[levels.count - 1].path
        for ancestor in change.path.ancestors where ancestor != known && ancestor.isSame(orBelow: known) {
            try enter(ancestor, change, tree)
        }
    }

    /// Goes through a directory that is not itself a change; it is made or removed with what is in it.
    private func enter(
        _ path: BytePath, _ change: WantedChange, _ tree: TransactionTree
    ) throws(StageError) {
        let host = try hostNode(path, tree)
        if change.content == .nothing {
            let inView = try view(change.tree, path)
            guard let host, host.kind == .directory, inView?.kind != .directory else {
                levels.append(Level(path: path, standing: host == nil ? .goes : .stays, host: host))
                return
            }
            try touch(tree)
            try append(.remove, path, tree, isChange: true) { $0.before = Witness(host) }
            levels.append(Level(path: path, standing: .goes, host: host))
            return
        }
        if let host, host.kind == .directory {
            levels.append(Level(path: path, standing: .stays, host: host))
            return
        }
        guard host == nil else {
            throw StageError(
                "apply \(change.path.escaped)",
                reason: "\(path.escaped) is a directory for the agent and none on the host",
                hint: "Name \(path.escaped) as well, or box apply --theirs \(path.escaped)")
        }
        guard let made = try view(change.tree, path), made.kind == .directory else {
            throw StageError(
                "apply \(change.path.escaped)", reason: "\(path.escaped) is not in the stage any more")
        }
        try prepare(
            WantedChange(
                tree: change.tree, path: path, content: .directory, mode: made.mode, modified: made.modified),
            tree)
    }

    private func hostNode(_ path: BytePath, _ tree: TransactionTree) throws(StageError) -> Node? {
        guard levels.last?.standing != .isMade else { return nil }
        return try attempt(treeIndex, path) { () throws(KernelError) in try tree.node(path) }
    }

    /// Names in the present directory come or go.
    private func touch(_ tree: TransactionTree) throws(StageError) {
        let last = levels.count - 1
        guard levels[last].standing == .stays, !levels[last].isTouched, let host = levels[last].host
        else { return }
        levels[last].isTouched = true
        let mode = levels[last].mode
        try append(.directory, levels[last].path, tree, isChange: false) { record in
            record.before = Witness(host)
            record.after = Witness(host)
            record.after?.mode = mode ?? host.mode
            record.isTouched = true
            record.isUnlocked = mode == nil && self.isClosed(host)
        }
    }

    private func isClosed(_ node: Node) -> Bool {
        !isRoot && node.kind == .directory && node.mode & Transaction.open != Transaction.open
    }

    private func append(
        _ action: JournalRecord.Action, _ path: BytePath, _ tree: TransactionTree, isChange: Bool,
        _ fill: (inout JournalRecord) throws(StageError) -> Void
    ) throws(StageError) {
        try append(action, path, tree.index, isChange: isChange, fill)
    }

    /// Nothing of the host is touched or even looked at.
    private func settle(_ change: WantedChange, _ settled: BaseRecord) throws(StageError) {
        try append(.settle, change.path, change.tree, isChange: true) { $0.settled = settled }
    }

    private func append(
        _ action: JournalRecord.Action, _ path: BytePath, _ tree: Int, isChange: Bool,
        _ fill: (inout JournalRecord) throws(StageError) -> Void
    ) throws(StageError) {
        number += 1
        var record = JournalRecord(number: number, tree: tree, path: path, action: action)
        // The root has no record in the base.
        if isChange, !path.bytes.isEmpty {
            record.isChange = true
            record.base = try base(tree, path)
        }
        try fill(&record)
        if let before = record.before, before.kind == .directory, action != .directory {
            record.isUnlocked = !isRoot && before.mode & Transaction.open != Transaction.open
        }
        let isOpened = record.isUnlocked || record.after?.kind == .directory
        if isOpened, !isRoot { transaction.journal.header.isUnlocking = true }
        try attempt(tree, path) { () throws(KernelError) in
            try transaction.journal.append(record, transaction.calls)
        }
    }

    // MARK: - The change itself

    private func prepare(_ change: WantedChange, _ tree: TransactionTree) throws(StageError) {
        let host = change.path.bytes.isEmpty ? tree.root : try hostNode(change.path, tree)
        guard try change.isExpected(host) else {
            let reason = "changed on the host meanwhile"
            moved = HostConflict(tree: change.tree, path: change.path, reason: reason)
            throw StageError("apply \(change.path.escaped)", reason: reason)
        }
        if change.content == .directory, let host, host.kind == .directory {
            return try changeMode(change, host, tree)
        }
        if change.content == .nothing {
            if host != nil { try touch(tree) }
            try append(.remove, change.path, tree, isChange: true) { $0.before = host.map { Witness($0) } }
        } else {
            try touch(tree)
            let name = Array(String(number + 1).utf8)
            let made = try attempt(change.tree, change.path) { () throws(KernelError) -> Witness? in
                try make(change, name, tree, host)
            }
            let after: Witness
            if let made { after = made } else { after = try makeFile(change, name, tree, host) }
            try append(.put, change.path, tree, isChange: change.isChange) { record in
                record.before = host.map { Witness($0) }
                record.after = after
                record.agent = change.agent
                record.agentMode = change.agentMode
            }
        }
        if change.content == .directory {
            levels.append(Level(path: change.path, standing: .isMade))
        } else if host?.kind == .directory {
            levels.append(Level(path: change.path, standing: .goes, host: host))
        }
    }

    private func changeMode(
        _ change: WantedChange, _ host: Node, _ tree: TransactionTree
    ) throws(StageError) {
        // The host's own setgid and sticky bits stay.
        let mode = host.mode & ~0o777 | change.mode & 0o777
        try append(.directory, change.path, tree, isChange: true) { record in
            record.before = Witness(host)
            record.after = Witness(host)
            record.after?.mode = mode
            record.agentMode = change.agentMode
            // For the way back as well.
            record.isUnlocked =
                self.isClosed(host) || (!self.isRoot && mode & Transaction.open != Transaction.open)
        }
        if change.path.bytes.isEmpty {
            levels[0].mode = mode
        } else {
            levels.append(Level(path: change.path, standing: .stays, host: host, mode: mode))
        }
    }

    /// Makes a directory or a link; nil for a file.
    private func make(
        _ change: WantedChange, _ name: [UInt8], _ tree: TransactionTree, _ host: Node?
    ) throws(KernelError) -> Witness? {
        let calls = transaction.calls
        switch change.content {
        case .nothing, .file, .settled: return nil
        case .directory:
            try calls.makeDirectory(name, in: tree.stagingNumber)
            try own(name, tree, host)
            guard let node = try tree.staging.child(name) else { return nil }
            var after = Witness(node)
            // Both are set when everything is in it.
            after.mode = change.mode & 0o777
            after.modified = change.modified
            return after
        case .link(let target):
            try calls.makeLink(name, to: target, in: tree.stagingNumber)
            try own(name, tree, host)
            try calls.setModified(name, in: tree.stagingNumber, change.modified)
            return try tree.staging.child(name).map { Witness($0) }
        }
    }

    private func makeFile(
        _ change: WantedChange, _ name: [UInt8], _ tree: TransactionTree, _ host: Node?
    ) throws(StageError) -> Witness {
        let source = try change.open()
        let calls = transaction.calls
        return try attempt(change.tree, change.path) { () throws(KernelError) in
            let file = try calls.makeFile(name, in: tree.stagingNumber)
            let size = try Node.of(source.number).size
            try calls.copy(from: source.number, to: file.number, size: size)
            let node = try Node.of(file.number)
            if let owner = owner(node, host, tree) {
                try own { () throws(KernelError) in
                    try calls.setOwner(file.number, uid: owner.uid, gid: owner.gid)
                }
            }
            try calls.setMode(file.number, change.mode & 0o777)
            try calls.setModified(name, in: tree.stagingNumber, change.modified)
            return Witness(try Node.of(file.number))
        }
    }

    // MARK: - Owners

    private func own(_ name: [UInt8], _ tree: TransactionTree, _ host: Node?) throws(KernelError) {
        guard let node = try tree.staging.child(name), let owner = owner(node, host, tree) else { return }
        try own { () throws(KernelError) in
            try self.transaction.calls.setOwner(
                name, in: tree.stagingNumber, uid: owner.uid, gid: owner.gid)
        }
    }

    /// An ordinary user may not give files to a group that he is not in; then it stays his own, as with any file that he
    /// writes anew.
    private func own(_ body: () throws(KernelError) -> Void) throws(KernelError) {
        do throws(KernelError) { try body() } catch {
            guard error.code == EPERM, !isRoot else { throw error }
        }
    }

    /// Who shall own a new object, if not who does: as root the owner of what it replaces or else of the project; the
    /// group of what it replaces, or of a directory that gives its group to what is in it.
    private func owner(
        _ node: Node, _ host: Node?, _ tree: TransactionTree
    ) -> (uid: UInt32, gid: UInt32)? {
        let around = levels.last?.host
        let isShared = (around?.mode ?? 0) & 0o2000 != 0
        let uid = isRoot ? host?.uid ?? tree.root.uid : node.uid
        let gid = host?.gid ?? (isShared ? around?.gid : nil) ?? (isRoot ? tree.root.gid : node.gid)
        return uid == node.uid && gid == node.gid ? nil : (uid, gid)
    }
}
