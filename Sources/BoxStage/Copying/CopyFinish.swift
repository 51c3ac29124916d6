import BoxKernel
import BoxTypes
internal import CLinux
internal import Glibc
internal import Synchronization

/// What is left when all workers are done: further names of files, modes and times of directories, and the records.
struct CopyFinish {
    private let work: CopyWork
    private let names: CopyNames
    private let directories: [CopyPlace]
    private let root: Node?
    private static let step = 512

    init(_ work: CopyWork, _ walk: CopyWalk) {
        self.work = work
        names = walk.names
        directories = walk.directories
        root = walk.root
    }

    func run(_ record: (BaseRecord) throws(StageError) -> Void) throws(StageError) {
        try makeFurtherNames()
        try finishDirectories()
        var newest = Node.Time(seconds: 0, nanoseconds: 0)
        try forEach { made throws(StageError) in
            if let changed = made.copy?.changed { newest = max(newest, changed) }
            try record(made)
        }
        waitForTick(after: newest)
    }

    // MARK: - Further names

    private func makeFurtherNames() throws(StageError) {
        let further = work.linked.withLock { $0.further }.sorted { $0.owner.slot < $1.owner.slot }
        var rest = further[...]
        while let first = rest.first {
            let group = rest.prefix { $0.owner.slot == first.owner.slot }
            rest = rest.dropFirst(group.count)
            try makeNames(of: first.owner, group)
        }
    }

    private func makeNames(
        of owner: CopyPlace, _ group: ArraySlice<LinkedFiles.Further>
    ) throws(StageError) {
        var path = BytePath.root
        do throws(KernelError) {
            path = try names.path(at: owner.offset)
            let from = path
            var original = try work.ledger.read(1, from: owner.slot)[0]
            for further in group {
                path = try names.path(at: further.name.offset)
                let seen = try work.ledger.read(1, from: further.name.slot)[0].node
                guard original.state == .copied, seen.isSameContent(as: original.node) else {
                    throw KernelError(call: "linkat", code: ENODATA)
                }
                try link(from, path)
            }
            guard let copy = try work.target.node(from) else {
                throw KernelError(call: "linkat", code: ENOENT)
            }
            original.stamp = BaseRecord.Stamp(copy)
            try work.ledger.write([original], from: owner.slot)
            for further in group {
                var entry = try work.ledger.read(1, from: further.name.slot)[0]
                entry.stamp = original.stamp
                try work.ledger.write([entry], from: further.name.slot)
            }
            work.count { $0.hardLinks += group.count }
        } catch { throw CopyWork.failure(path, error) }
    }

    private func link(_ from: BytePath, _ to: BytePath) throws(KernelError) {
        let root = work.target.descriptor.number
        let result = unsafe from.withCString { from in
            unsafe to.withCString { to in unsafe linkat(root, from, root, to, 0) }
        }
        try check("linkat", result)
    }

    // MARK: - Directories

    /// Innermost first: a directory's own mode may shut what is below.
    private func finishDirectories() throws(StageError) {
        for place in directories.reversed() {
            var path = BytePath.root
            do throws(KernelError) {
                path = try names.path(at: place.offset)
                try finish(path, try work.ledger.read(1, from: place.slot)[0].node)
            } catch { throw CopyWork.failure(path, error) }
        }
        guard let root else { return }
        do throws(KernelError) { try finish(.root, root) } catch { throw CopyWork.failure(.root, error) }
    }

    private func finish(_ path: BytePath, _ node: Node) throws(KernelError) {
        let copy = try work.target.open(path, O_RDONLY | O_DIRECTORY)
        try FileCopy.setOwnerModeTime(copy.number, like: node)
        var retry = work.retries()
        let now = try retry.attempt { _ throws(KernelError) in try work.source.node(path) }
        let isChanged = now.map { !$0.isUnchanged(since: node) } ?? true
        work.count {
            $0.progress.retries += retry.count
            if isChanged { $0.changedDirectories += 1 }
        }
    }

    // MARK: - Records

    private func forEach(_ body: (BaseRecord) throws(StageError) -> Void) throws(StageError) {
        var entries: ArraySlice<CopiedEntry> = []
        var slot = 0
        try names.forEach { path throws(StageError) in
            do throws(KernelError) {
                if entries.isEmpty {
                    entries = try work.ledger.read(CopyFinish.step, from: slot)[...]
                    slot += CopyFinish.step
                }
            } catch { throw StageError("read what was copied", error) }
            guard let entry = entries.popFirst(), entry.state == .copied else { return }
            try body(try record(path, entry))
        }
    }

    private func record(_ path: BytePath, _ entry: CopiedEntry) throws(StageError) -> BaseRecord {
        switch entry.node.kind {
        case .link:
            do throws(KernelError) {
                var retry = RetryCount()
                let place = try work.target.open(path, FileCopy.placeOnly)
                let target = try FileCopy.linkTarget(of: place.number, retry: &retry)
                return BaseRecord(path: path, node: entry.node, target: target)
            } catch { throw CopyWork.failure(path, error) }
        case .file: return BaseRecord(path: path, node: entry.node, copy: entry.stamp)
        case .directory, .characterDevice, .blockDevice, .fifo, .socket:
            return BaseRecord(path: path, node: entry.node)
        }
    }

    /// Waits until the file system's clock has left the moment of the last stamp: a change from then on has another
    /// time. If its clock is not this machine's, a moment is all that can be waited.
    private func waitForTick(after newest: Node.Time) {
        for _ in 0..<20 {
            var coarse = timespec()
            unsafe clock_gettime(CLOCK_REALTIME_COARSE, &coarse)
            let now = Node.Time(seconds: coarse.tv_sec, nanoseconds: coarse.tv_nsec)
            if newest < now { return }
            usleep(1000)
        }
    }
}

extension Node {
    /// The same file with the same content: its further names change the time of its inode.
    fileprivate func isSameContent(as other: Node) -> Bool {
        kind == other.kind && device == other.device && inode == other.inode && size == other.size
            && modified == other.modified
    }
}
