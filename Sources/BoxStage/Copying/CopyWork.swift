import BoxKernel
import BoxTypes
internal import Glibc
internal import Synchronization

/// What the walk and the workers of one copy share.
final class CopyWork: Sendable {
    let source: Tree
    let target: Tree
    let ledger: CopyLedger
    let linked = Mutex(LinkedFiles())
    private let totals = Mutex(CopyReport())
    private let stopFlag = Atomic<Bool>(false)
    /// The original is on a FUSE file system.
    let isOnFUSE: Bool

    init(source: consuming Tree, target: consuming Tree, ledger: consuming CopyLedger) throws(KernelError) {
        var retry = RetryCount()
        isOnFUSE = try FileCopy.isOnFUSE(source.descriptor.number, retry: &retry)
        self.source = source
        self.target = target
        self.ledger = ledger
    }

    var report: CopyReport { totals.withLock { $0 } }
    var isStopped: Bool { stopFlag.load(ordering: .relaxed) }
    func stop() { stopFlag.store(true, ordering: .relaxed) }
    func count(_ change: (inout CopyReport) -> Void) { totals.withLock { change(&$0) } }

    /// A new count of retries, for one file.
    func retries() -> RetryCount { RetryCount { self.isStopped } }

    static let interrupted = StageError("copy the project", reason: "it was interrupted")

    /// The error for people.
    static func failure(_ path: BytePath, _ error: KernelError) -> StageError {
        let step = "copy \(path.bytes.isEmpty ? "the project" : path.escaped)"
        switch error.code {
        case ECANCELED: return interrupted
        case ENODATA:
            return StageError(
                step, reason: "changed while it was copied",
                hint: "Stop what writes to it, or keep it out of the copy ([workspace] hide)")
        case EACCES, EPERM:
            return StageError(
                step, error,
                hint: "Make it readable, or keep it out of the copy ([workspace] hide, or --only)")
        case ENOSPC, EDQUOT:
            return StageError(step, error, hint: "Make room, or copy a part of the project with --only")
        case _ where RetryCount.isTransient(error.code):
            return StageError(
                step, error, hint: "It failed for ten seconds; the file system may be overloaded")
        default: return StageError(step, error)
        }
    }
}

/// Files with several names, by where they lie, so that each is copied once.
struct LinkedFiles: Sendable {
    private struct Identity: Hashable {
        let device: UInt64
        let inode: UInt64
    }

    /// A further name of a file that another entry copies.
    struct Further: Sendable {
        var owner: CopyPlace
        var name: CopyPlace
    }

    private var owners: [Identity: CopyPlace] = [:]
    private(set) var further: [Further] = []

    /// Whether the entry at `place` is to copy this file; otherwise it has become a further name.
    mutating func takes(_ node: Node, _ place: CopyPlace) -> Bool {
        let identity = Identity(device: node.device, inode: node.inode)
        guard let owner = owners[identity] else {
            owners[identity] = place
            return true
        }
        if owner.slot == place.slot { return true }
        further.append(Further(owner: owner, name: place))
        return false
    }
}

// MARK: - Directories

extension CopyWork {
    /// Makes the copy of a directory, with the owner's full access until the end; nil: there is none any more, or
    /// another file system is mounted there.
    func makeDirectory(
        _ path: BytePath
    ) throws(KernelError) -> MadeDirectory? {
        var retry = retries()
        defer { count { $0.progress.retries += retry.count } }
        do throws(KernelError) {
            // Before the copy is made: there may be nothing to copy.
            _ = try retry.attempt { _ throws(KernelError) in try source.directory(path) }
        } catch {
            switch error.code {
            case EXDEV: count { $0.otherMounts += 1 }
            case ENOENT where !path.bytes.isEmpty: count { $0.vanished += 1 }
            // Another thing stands there now.
            case ENOTDIR, ELOOP: throw KernelError(call: "openat2", code: ENODATA)
            default: throw error
            }
            return nil
        }
        try makeTarget(path)
        return try retry.attempt { retry throws(KernelError) in
            let from = try source.directory(path)
            let to = try target.directory(path)
            let node = try Node.of(from.descriptor.number)
            let keptAll = try FileCopy.copyUserAttributes(
                from: from.descriptor.number, to: to.descriptor.number, retry: &retry)
            let listing = try source.listing(path)
            count {
                if !path.bytes.isEmpty { $0.directories += 1 }
                if !keptAll { $0.lostAttributes += 1 }
            }
            let entry = CopiedEntry(state: .copied, node: node, stamp: BaseRecord.Stamp(node))
            return MadeDirectory(
                directory: CopyDirectory(path: path, source: from, target: to), entry: entry, listing: listing
            )
        }
    }

    private func makeTarget(_ path: BytePath) throws(KernelError) {
        if path.bytes.isEmpty { return }
        let made = unsafe path.withCString { unsafe mkdirat(target.descriptor.number, $0, 0o700) }
        try check("mkdirat", made)
    }

    /// Opens a directory again that was made before.
    func reopen(_ path: BytePath) throws(KernelError) -> CopyDirectory {
        var retry = retries()
        let from = try retry.attempt { _ throws(KernelError) in try source.directory(path) }
        count { $0.progress.retries += retry.count }
        return CopyDirectory(path: path, source: from, target: try target.directory(path))
    }
}

/// A directory whose copy was made.
struct MadeDirectory {
    let directory: CopyDirectory
    let entry: CopiedEntry
    let listing: Listing
}
