internal import BoxKernel
internal import BoxTypes
internal import Glibc

/// Looks at the host without touching it.
extension Transaction {
    /// At most so many conflicts are listed; there is nothing to learn from more.
    private static let longestList = 1000

    /// What of the host is not as the journal expects it before the first step in a direction. Forward, nobody may have
    /// done anything to it; backward, it has to be what was put there, with this content and mode.
    func verify(_ direction: Direction) throws(StageError) -> [HostConflict] {
        var found: [HostConflict] = []
        var covered = CoveredDirectories()
        let body = { (record: JournalRecord) throws(StageError) in
            try self.check(record, direction, &found)
            try self.cover(record, direction, &covered, &found)
        }
        do throws(StageError) {
            try journal.forEach(.forward, { $0 }) { (record) throws(StageError) in
                try body(record)
                guard found.count < Transaction.longestList else { throw Transaction.enough }
            }
        } catch { guard error == Transaction.enough else { throw error } }
        found += covered.leave(nil)
        return found
    }

    private static let enough = StageError("", reason: "")

    private func check(
        _ record: JournalRecord, _ direction: Direction, _ found: inout [HostConflict]
    ) throws(StageError) {
        guard record.action != .settle else { return }
        let from = direction == .forward ? record.before : record.after
        let tree = try tree(record.tree)
        let node: Node?
        do throws(KernelError) { node = try tree.node(record.path) } catch {
            throw Transaction.error(stage, record.tree, record.path, error)
        }
        let isRight: Bool
        switch (from, node) {
        case (nil, nil): isRight = true
        case (nil, let node?):
            // Taken back, a directory may be there again or still.
            isRight =
                direction == .backward && record.before?.kind == .directory && node.kind == .directory
        case (_?, nil): isRight = false
        case (let from?, let node?):
            isRight =
                direction == .forward
                ? from.isUntouched(node)
                : from.isSame(node) && (record.action != .directory || node.mode == from.mode)
            if isRight, direction == .backward, record.isTouched,
                node.modified > journal.header.finished
            {
                changedDirectories.insert(Location(tree: record.tree, path: record.path))
            }
        }
        guard !isRight, try !standsFor(record, direction, node) else { return }
        let since = direction == .forward ? "meanwhile" : "since the apply"
        let what = from == nil ? "created" : node == nil ? "deleted" : "changed"
        found.append(
            HostConflict(
                tree: record.tree, path: record.path, reason: "\(what) on the host \(since)"))
    }

    /// Git writes an index anew whose entries are the same, when somebody only asks for the status.
    private func standsFor(
        _ record: JournalRecord, _ direction: Direction, _ node: Node?
    ) throws(StageError) -> Bool {
        guard direction == .backward, let node, node.kind == .file, let agent = record.agent,
            record.path.name.elementsEqual("index".utf8), node.mode == record.after?.mode
        else { return false }
        let tree = try tree(record.tree)
        let upper = try stage.openUpper(record.tree)
        do throws(KernelError) {
            let limit = 64 << 20
            let applied = try upper.openDeep(record.path, O_RDONLY)
            guard BaseRecord.Stamp(try Node.of(applied.number)) == agent else { return false }
            let now = try tree.host.openDeep(record.path, O_RDONLY)
            let same = GitIndex.hasSameEntries(
                try now.readAll(limit: limit), try applied.readAll(limit: limit))
            guard same ?? false else { return false }
            stand[Location(tree: record.tree, path: record.path)] = Witness(try Node.of(now.number))
            return true
        } catch {
            guard error.isVanished || error.code == EFBIG || error.code == EACCES else {
                throw Transaction.error(stage, record.tree, record.path, error)
            }
            return false
        }
    }

    /// A directory that a file or link replaces must have nothing in it but what goes as well.
    private func cover(
        _ record: JournalRecord, _ direction: Direction, _ covered: inout CoveredDirectories,
        _ found: inout [HostConflict]
    ) throws(StageError) {
        let (from, to) = ends(record, direction)
        found += covered.leave(Location(tree: record.tree, path: record.path))
        if from != nil { covered.see(record.path) }
        guard record.action == .put, from?.kind == .directory, to != nil else { return }
        let tree = try tree(record.tree)
        do throws(KernelError) {
            guard let names = try tree.directoryIfAny(record.path)?.tree.names() else { return }
            covered.enter(Location(tree: record.tree, path: record.path), names)
        } catch { throw Transaction.error(stage, record.tree, record.path, error) }
    }
}

/// The directories that shall become files, and what is in them that no record has named yet.
private struct CoveredDirectories {
    private var open: [(place: Transaction.Location, names: Set<[UInt8]>)] = []

    mutating func enter(_ place: Transaction.Location, _ names: [[UInt8]]) {
        open.append((place, Set(names)))
    }

    mutating func see(_ path: BytePath) {
        guard let last = open.indices.last, open[last].place.path == path.parent else { return }
        open[last].names.remove(Array(path.name))
    }

    /// Closes those that a path is not below; what is left in them is a conflict.
    mutating func leave(_ next: Transaction.Location?) -> [HostConflict] {
        var found: [HostConflict] = []
        while let last = open.last {
            if let next, next.tree == last.place.tree, next.path.isSame(orBelow: last.place.path) { break }
            open.removeLast()
            guard let name = last.names.min(by: { $0.lexicographicallyPrecedes($1) }) else { continue }
            found.append(
                HostConflict(
                    tree: last.place.tree, path: last.place.path,
                    reason: "holds \(BytePath.escaped(name)), which the change does not cover"))
        }
        return found
    }
}
