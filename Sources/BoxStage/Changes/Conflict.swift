internal import BoxKernel
internal import BoxTypes
internal import CLinux
internal import Glibc

/// What the host did meanwhile at a path that the agent changed.
package struct Conflict: Equatable, Sendable {
    package enum Kind: Sendable, CaseIterable { case modified, deleted, created, typeChanged }

    package var kind: Kind
    /// For people.
    package var reason: String

    package init(_ kind: Kind, _ reason: String) {
        self.kind = kind
        self.reason = reason
    }
}

extension ChangeWalk {
    /// Whether the host has something else at a change's path than the agent started from. None where it has what the
    /// agent has, or again what the agent started from.
    package func conflict(_ change: Change) throws(StageError) -> Conflict? {
        let host: Node?
        do throws(KernelError) { host = try trees[change.tree].host.tree.nodeDeep(change.path) } catch {
            switch error.code {
            case EXDEV: return Conflict(.typeChanged, "another file system is mounted there on the host")
            case EACCES: return Conflict(.modified, "cannot be looked at on the host: \(error)")
            default: throw StageError("look at \(change.path.escaped) on the host", error)
            }
        }
        if isHidden(change.tree, change.path) {
            return host == nil ? nil : Conflict(.created, "hidden from the session, and the host has one")
        }
        let record = try trees[change.tree].base.record(change.path)
        let base = record == nil ? change.old : record?.node
        guard let found = try difference(change, base, record, host) else { return nil }
        return try isSettled(change, base, record, host) ? nil : found
    }

    private func difference(
        _ change: Change, _ base: Node?, _ record: BaseRecord?, _ host: Node?
    ) throws(StageError) -> Conflict? {
        guard let host else {
            if base != nil { return Conflict(.deleted, "deleted on the host since the session began") }
            return try missingParent(change)
        }
        guard let base else { return Conflict(.created, "created on the host since the session began") }
        guard base.kind == host.kind else {
            return Conflict(.typeChanged, "of another type on the host since the session began")
        }
        let changed = Conflict(.modified, "changed on the host since the session began")
        // Seen first when the host had changed it already: what the agent started from is not known.
        guard isOriginal(base, record) else { return changed }
        if base.kind == .directory { return try directoryDifference(change, base, host) }
        if host.isUnchanged(since: base) { return nil }
        // Renamed away and back, as an apply and its undo do, or given another name by a hard link: only ctime tells of
        // that. A content of which a copy is kept is compared all the same.
        var alike = base
        alike.changed = host.changed
        if record?.kept == nil, base.mode == host.mode, host.isUnchanged(since: alike) { return nil }
        return changed
    }

    private func directoryDifference(
        _ change: Change, _ base: Node, _ host: Node
    ) throws(StageError) -> Conflict? {
        if base.mode & 0o777 != host.mode & 0o777 {
            return Conflict(.modified, "its mode was changed on the host since the session began")
        }
        // It was empty, or it would not be a change of its own.
        guard change.kind == .deleted else { return nil }
        do throws(KernelError) {
            let opened = Tree(try trees[change.tree].host.tree.openDeep(change.path, O_RDONLY))
            if try opened.names().isEmpty { return nil }
            return Conflict(.modified, "something was put into it on the host since the session began")
        } catch {
            if error.isVanished { return nil }
            throw StageError("read \(change.path.escaped) on the host", error)
        }
    }

    /// The host removed or replaced the directory that a new file is to come into.
    private func missingParent(_ change: Change) throws(StageError) -> Conflict? {
        let parent = change.path.parent
        let tree = trees[change.tree]
        guard change.new != nil, parent != .root, parent != tree.parents.present else { return nil }
        let missing: BytePath
        let isGone: Bool
        do throws(KernelError) {
            guard let found = try tree.host.tree.firstMissing(parent) else {
                tree.parents.present = parent
                return nil
            }
            missing = found
            isGone = try tree.host.tree.nodeDeep(missing) == nil
        } catch { throw StageError("look at \(parent.escaped) on the host", error) }
        let origin = try tree.parents.origin(missing, tree.base)
        if isGone {
            guard origin == .directory else { return nil }
            return Conflict(.deleted, "\(missing.escaped) was deleted on the host since the session began")
        }
        // If the agent made a directory of what was there, that is a change of its own.
        guard origin != .other else { return nil }
        return Conflict(.typeChanged, "\(missing.escaped) is no directory on the host")
    }

    // MARK: - Differences that do not matter

    /// Whether the host has what the agent has, or again what the agent started from.
    private func isSettled(
        _ change: Change, _ base: Node?, _ record: BaseRecord?, _ host: Node?
    ) throws(StageError) -> Bool {
        guard let host else { return change.new == nil }
        if let new = change.new, new.kind == host.kind, new.mode & 0o777 == host.mode & 0o777 {
            switch new.kind {
            case .file: if try hostEqualsNew(change) { return true }
            case .link: if try hostTarget(change) == change.newTarget { return true }
            case .directory: return true
            case .characterDevice, .blockDevice, .fifo, .socket: break
            }
        }
        // A git index that the host wrote before it was recorded: git inside reads the host's until it writes its own, so
        // what was recorded is what it went on from. Every `git status` of the user's would be a conflict otherwise.
        guard let base, base.kind == host.kind, base.mode & 0o777 == host.mode & 0o777,
            isOriginal(base, record) || base.kind == .file && isGitIndex(change)
        else { return false }
        switch base.kind {
        case .file: return try hostEqualsKept(change, record)
        case .link: return try hostTarget(change) == (record == nil ? change.oldTarget : record?.target)
        case .directory, .characterDevice, .blockDevice, .fifo, .socket: return false
        }
    }

    private func isGitIndex(_ change: Change) -> Bool {
        Contents.mayBeIndex(change.path)
            && (change.tree > 0 || change.path.components.contains { $0.elementsEqual(".git".utf8) })
    }

    private func hostEqualsNew(_ change: Change) throws(StageError) -> Bool {
        guard let host = try openHost(change) else { return false }
        return try areSame(host, try openNew(change), change)
    }

    private func hostEqualsKept(_ change: Change, _ record: BaseRecord?) throws(StageError) -> Bool {
        guard let host = try openHost(change), let kept = try openKept(change.tree, change.path, record)
        else {
            return false
        }
        return try areSame(host, kept, change)
    }

    private func areSame(
        _ left: borrowing Descriptor, _ right: borrowing Descriptor, _ change: Change
    ) throws(StageError) -> Bool {
        do throws(KernelError) { return try Contents.areSame(left, right, change.path) } catch {
            throw StageError("compare \(change.path.escaped)", error)
        }
    }

    /// Where the host's link points now; nil if it is none.
    private func hostTarget(_ change: Change) throws(StageError) -> [UInt8]? {
        do throws(KernelError) {
            let parent = Tree(
                try trees[change.tree].host.tree.openDeep(
                    change.path.parent, BOX_O_PATH | BOX_O_DIRECTORY))
            return try parent.linkTarget(change.path.name)
        } catch {
            if error.isVanished || error.code == EINVAL { return nil }
            throw StageError("read \(change.path.escaped) on the host", error)
        }
    }
}

/// What the last questions about parent directories found out: neighbours have the same.
final class KnownParents {
    /// What the agent started with at the path of a directory; `other` also where that is not recorded.
    enum Origin { case directory, nothing, other }

    /// A directory that the host has.
    var present: BytePath?
    private var missing: (path: BytePath, origin: Origin)?

    /// What the agent started with at a path.
    func origin(_ path: BytePath, _ base: BaseIndex) throws(StageError) -> Origin {
        if let missing, missing.path == path { return missing.origin }
        let record = try base.record(path)
        let origin: Origin =
            record?.node?.kind == .directory
            ? .directory : record?.node == nil && (record != nil || base.isRequired) ? .nothing : .other
        missing = (path, origin)
        return origin
    }
}

extension Tree {
    /// The outermost directory on the way to a path, or the path itself, that is missing or no directory; nil: all are.
    fileprivate borrowing func firstMissing(_ path: BytePath) throws(KernelError) -> BytePath? {
        if try nodeDeep(path)?.kind == .directory { return nil }
        for ancestor in path.ancestors where try nodeDeep(ancestor)?.kind != .directory { return ancestor }
        return path
    }
}
