import BoxKernel
import BoxTypes
internal import Glibc
internal import Synchronization

/// One look at an entry and one try to copy it.
private enum CopyOutcome {
    case copied(CopiedEntry)
    /// It is not there (any more), or it is a place where something is mounted.
    case absent
    /// Somebody wrote to it meanwhile.
    case changed
}

/// What one try works on.
private struct CopyTask {
    let directory: CopyDirectory
    let name: ArraySlice<UInt8>
    let place: CopyPlace

    var path: BytePath { directory.path.appending(name) }
}

extension CopyWork {
    private static let tries = 3

    /// Copies the files and links of a batch and notes them.
    func copy(_ batch: CopyBatch) throws(StageError) {
        var done: [CopiedEntry] = []
        done.reserveCapacity(batch.entries.count)
        var offset = batch.first.offset
        for (index, entry) in batch.entries.enumerated() {
            if isStopped { return }
            let name = batch.listing.name(entry)
            let task = CopyTask(
                directory: batch.directory, name: name,
                place: CopyPlace(slot: batch.first.slot + index, offset: offset))
            let depth = batch.directory.path.bytes.count
            offset += CopyNames.size((depth == 0 ? 0 : depth + 1) + name.count)
            done.append(try copy(task, isLink: entry.kind == .link))
        }
        do throws(KernelError) { try ledger.write(done, from: batch.first.slot) } catch {
            throw StageError("note what was copied", error)
        }
    }

    private func copy(_ task: CopyTask, isLink: Bool) throws(StageError) -> CopiedEntry {
        var retry = retries()
        defer { count { $0.progress.retries += retry.count } }
        do throws(KernelError) {
            for _ in 0..<CopyWork.tries {
                switch try attempt(task, isLink, &retry) {
                case .copied(let entry): return entry
                case .absent: return try leaveOut(task)
                case .changed: continue
                }
            }
        } catch { throw CopyWork.failure(task.path, error) }
        throw CopyWork.failure(task.path, KernelError(call: "read", code: ENODATA))
    }

    /// One try; a file that has to be opened again is, as long as `retry` allows.
    private func attempt(
        _ task: CopyTask, _ isLink: Bool, _ retry: inout RetryCount
    ) throws(KernelError) -> CopyOutcome {
        do throws(KernelError) {
            return try retry.attempt { retry throws(KernelError) in
                try isLink ? copyLink(task, &retry) : copyFile(task, &retry)
            }
        } catch {
            guard error.code == ENODATA else { throw error }
            return .changed
        }
    }

    /// What an entry without a copy looks like.
    private func leaveOut(_ task: CopyTask) throws(KernelError) -> CopiedEntry {
        // From a try before.
        let result = unsafe withCName(task.name) {
            unsafe unlinkat(task.directory.target.descriptor.number, $0, 0)
        }
        if result < 0, errno != ENOENT { throw KernelError(call: "unlinkat", code: errno) }
        return CopiedEntry(
            state: .absent, node: Node(kind: .file), stamp: BaseRecord.Stamp(Node(kind: .file)))
    }
}

extension CopyWork {
    /// Opens an entry of the original; nil: it is not there, or it is another mount.
    private func open(
        _ task: CopyTask, _ flags: CInt, _ retry: inout RetryCount
    ) throws(KernelError) -> Descriptor? {
        guard let name = BytePath(Array(task.name)) else { return nil }
        do throws(KernelError) {
            return try retry.attempt { _ throws(KernelError) in
                do throws(KernelError) { return try task.directory.source.open(name, flags) } catch {
                    // The directory's own descriptor may be what is stale; and who says that a file is gone may
                    // mean that the directory was replaced.
                    guard error.code == ESTALE || error.code == ENOENT else { throw error }
                    return try source.open(task.path, flags)
                }
            }
        } catch {
            switch error.code {
            case ENOENT, ENOTDIR: count { $0.vanished += 1 }
            case EXDEV: count { $0.otherMounts += 1 }
            default: throw error
            }
            return nil
        }
    }

    /// Whether another name of the same file is the one that copies it.
    private func isFurtherName(_ node: Node, _ task: CopyTask) -> Bool {
        node.links > 1 && !linked.withLock { $0.takes(node, task.place) }
    }

    private func copyFile(_ task: CopyTask, _ retry: inout RetryCount) throws(KernelError) -> CopyOutcome {
        let opened: Descriptor?
        do throws(KernelError) { opened = try open(task, O_RDONLY, &retry) } catch {
            // It has become a link, or a socket.
            guard error.code == ELOOP || error.code == ENXIO else { throw error }
            return .changed
        }
        guard let from = opened else { return .absent }
        guard let before = try settledNode(from.number, &retry), before.kind == .file else { return .changed }
        if isFurtherName(before, task) {
            return .copied(CopiedEntry(state: .copied, node: before, stamp: BaseRecord.Stamp(before)))
        }
        let to = try create(task)
        let method = try FileCopy.copy(
            from: from.number, to: to.number, size: before.size, isOnFUSE: isOnFUSE, retry: &retry)
        let keptAll = try FileCopy.copyUserAttributes(from: from.number, to: to.number, retry: &retry)
        try FileCopy.setOwnerModeTime(to.number, like: before)
        try FileCopy.fetchAttributes(from.number, &retry)
        let after = try retry.node(of: from.number)
        let copy = try Node.of(to.number)
        guard after.isUnchanged(since: before), copy.size == before.size else { return .changed }
        try to.close()
        count {
            $0.progress.files += 1
            $0.progress.bytes += before.size
            if method == .shared { $0.sharing += 1 }
            if !keptAll { $0.lostAttributes += 1 }
        }
        return .copied(CopiedEntry(state: .copied, node: before, stamp: BaseRecord.Stamp(copy)))
    }

    /// The file to write to; what a try before left is emptied.
    private func create(_ task: CopyTask) throws(KernelError) -> Descriptor {
        let number = unsafe withCName(task.name) { name in
            BoxKernel.retry {
                unsafe openat(
                    task.directory.target.descriptor.number, name,
                    O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0o600)
            }
        }
        return Descriptor(owning: try check("openat", number))
    }

    /// What a file is, at a moment when no write to it is under way that its times do not tell any more; nil if there
    /// is no such moment.
    ///
    /// A write gives a file its times when it begins, by a clock that ticks. So a file that was changed lately is
    /// looked at again when the tick is over and the write has ended.
    private func settledNode(_ file: CInt, _ retry: inout RetryCount) throws(KernelError) -> Node? {
        var node = try retry.node(of: file)
        for _ in 0..<CopyWork.tries {
            let now = Node.Time.now()
            let seconds = now.seconds - node.changed.seconds
            let age = seconds * 1000 + (now.nanoseconds - node.changed.nanoseconds) / 1_000_000
            // No single call writes for ten minutes.
            guard age < 600_000 else { return node }
            // The clock of file systems ticks each 10 ms at most. Another machine's clock may be ahead.
            if age < 10 { usleep(UInt32(10 - max(0, age)) * 1000) }
            FileCopy.waitForWriter(file)
            let again = try retry.node(of: file)
            if again.isUnchanged(since: node) { return again }
            node = again
        }
        return nil
    }

    private func copyLink(_ task: CopyTask, _ retry: inout RetryCount) throws(KernelError) -> CopyOutcome {
        guard let place = try open(task, FileCopy.placeOnly, &retry) else { return .absent }
        let node = try retry.node(of: place.number)
        guard node.kind == .link else { return .changed }
        if isFurtherName(node, task) {
            return .copied(CopiedEntry(state: .copied, node: node, stamp: BaseRecord.Stamp(node)))
        }
        let text = try FileCopy.linkTarget(of: place.number, retry: &retry)
        let directory = task.directory.target.descriptor.number
        let result = unsafe withCName(text) { target in
            unsafe withCName(task.name) { unsafe symlinkat(target, directory, $0) }
        }
        try check("symlinkat", result)
        try FileCopy.setOwnerTime(link: task.name, in: directory, like: node)
        count { $0.links += 1 }
        return .copied(CopiedEntry(state: .copied, node: node, stamp: BaseRecord.Stamp(node)))
    }
}
