package import BoxKernel
internal import BoxTypes
internal import CLinux
internal import Glibc

/// The contents of changed files: the agent's, the base's and the host's.
extension ChangeWalk {
    /// The agent's content of a regular file, for reading. A file of ours that we may not read keeps its mode.
    package func openNew(_ change: Change) throws(StageError) -> Descriptor {
        try openNew(change.tree, change.path)
    }

    /// What the agent started from: the host's file if it is unchanged, else the content that was kept. nil: not known any
    /// more, or it was no regular file.
    package func openOld(_ change: Change) throws(StageError) -> Descriptor? {
        let record = try trees[change.tree].base.record(change.path)
        return try openBase(change.tree, change.path, record, record?.node ?? change.old)
    }

    /// What the host has now; nil if that is no regular file, or hidden from the agent.
    package func openHost(_ change: Change) throws(StageError) -> Descriptor? {
        guard try hostNode(change)?.kind == .file, !isHidden(change.tree, change.path) else { return nil }
        return try openHostFile(change.tree, change.path)
    }

    /// What the host has at the path now, without following a link; nil if nothing.
    package func hostNode(_ change: Change) throws(StageError) -> Node? {
        do throws(KernelError) { return try trees[change.tree].host.tree.nodeDeep(change.path) } catch {
            throw StageError("look at \(change.path.escaped) on the host", error)
        }
    }

    /// Whether a path is hidden from the agent, itself or as a part of what is.
    func isHidden(_ tree: Int, _ path: BytePath) -> Bool {
        trees[tree].hidden.cover(path)
    }

    // MARK: - Opening

    func openNew(_ tree: Int, _ path: BytePath) throws(StageError) -> Descriptor {
        do throws(KernelError) {
            let upper = trees[tree].upper
            let opened: Descriptor
            do throws(KernelError) { opened = try upper.tree.openDeep(path, O_RDONLY) } catch {
                guard error.code == EACCES, access == .readable else { throw error }
                opened = try openClosed(upper, path)
            }
            guard try Node.of(opened.number).kind == .file else {
                throw KernelError(call: "open", code: ESTALE, subject: path.escaped)
            }
            return opened
        } catch { throw StageError("read \(path.escaped) in the stage of session \(stage.session)", error) }
    }

    /// Opens a file whose mode, or a directory's above it, keeps its owner out, and leaves the modes as they were.
    private func openClosed(_ upper: OpenDirectory, _ path: BytePath) throws(KernelError) -> Descriptor {
        let descent = Descent(upper, .readable)
        for name in path.components.dropLast() { try descent.enter(Array(name)) }
        let name = BytePath.root.appending(path.name)
        let directory = descent.current
        let place = try directory.tree.open(name, BOX_O_PATH)
        let node = try Node.of(place.number)
        guard node.uid == geteuid(), node.kind == .file, node.mode & 0o400 == 0 else {
            return try directory.tree.open(name, O_RDONLY)
        }
        let way = "/proc/self/fd/\(place.number)"
        try check("chmod", unsafe chmod(way, node.mode | 0o400), path.escaped)
        let opened: Descriptor
        do throws(KernelError) { opened = try Descriptor.open(way, O_RDONLY | O_NONBLOCK) } catch {
            try check("chmod", unsafe chmod(way, node.mode), path.escaped)
            throw error
        }
        try check("chmod", unsafe chmod(way, node.mode), path.escaped)
        return opened
    }

    private func openHostFile(_ tree: Int, _ path: BytePath) throws(StageError) -> Descriptor? {
        do throws(KernelError) {
            let opened = try trees[tree].host.tree.openDeep(path, O_RDONLY)
            guard try Node.of(opened.number).kind == .file else { return nil }
            return opened
        } catch {
            if error.isVanished { return nil }
            throw StageError("read \(path.escaped) on the host", error)
        }
    }

    func openBase(
        _ tree: Int, _ path: BytePath, _ record: BaseRecord?, _ node: Node?
    ) throws(StageError) -> Descriptor? {
        guard let node, node.kind == .file, !isHidden(tree, path) else { return nil }
        if isOriginal(node, record), let host = try openHostFile(tree, path) {
            let now: Node
            do throws(KernelError) { now = try Node.of(host.number) } catch {
                throw StageError("read \(path.escaped) on the host", error)
            }
            if now.isUnchanged(since: node) { return host }
        }
        return try openKept(tree, path, record)
    }

    /// The content that was kept; nil if none was.
    func openKept(
        _ tree: Int, _ path: BytePath, _ record: BaseRecord?
    ) throws(StageError) -> Descriptor? {
        guard let kept = record?.kept else { return nil }
        do throws(KernelError) {
            return try Descriptor.open("\(stage.kept(tree))/\(kept)", O_RDONLY | O_NOFOLLOW)
        } catch { throw StageError("read what \(path.escaped) was", error) }
    }

    /// Whether a look at the host's file was at what the agent started from.
    func isOriginal(_ node: Node, _ record: BaseRecord?) -> Bool {
        stage.mode == .copy || record?.isApplied ?? false || node.changed <= stage.started
    }

    // MARK: - Comparing

    /// Whether a file still has the content that the agent started from; no, where that is not known any more.
    func hasSameContent(
        _ entry: StageEntry, _ old: Node, _ new: Node, _ tree: Int
    ) throws(StageError) -> Bool {
        if let copy = entry.record?.copy, copy == BaseRecord.Stamp(new), trees[tree].hasHonestTimes {
            return true
        }
        guard old.size == new.size || Contents.mayBeIndex(entry.path) else { return false }
        if old.size == 0, new.size == 0 { return true }
        guard let base = baseIfReadable(entry, old, tree) else { return false }
        let file: Descriptor
        do throws(StageError) { file = try openNew(tree, entry.path) } catch {
            // While the agent is at work, it may be gone or closed by now.
            guard access == .asIs else { throw error }
            return false
        }
        do throws(KernelError) { return try Contents.areSame(base, file, entry.path) } catch {
            throw StageError("compare \(entry.path.escaped)", error)
        }
    }

    /// nil also where the host's file cannot be read: then it is not known to be the same.
    private func baseIfReadable(_ entry: StageEntry, _ old: Node, _ tree: Int) -> Descriptor? {
        do throws(StageError) { return try openBase(tree, entry.path, entry.record, old) } catch {
            return nil
        }
    }
}

/// Compares files without reading their holes.
package enum Contents {
    private static let step = 1 << 17

    /// Whether two regular files have the same bytes.
    package static func areEqual(
        _ left: borrowing Descriptor, _ right: borrowing Descriptor
    ) throws(KernelError) -> Bool {
        let size = try Node.of(left.number).size
        guard try Node.of(right.number).size == size else { return false }
        var at = 0
        while at < size {
            let (a, b) = (try extent(left, at, size), try extent(right, at, size))
            let start = min(a.lowerBound, b.lowerBound)
            guard start < size else { return true }
            // Both have a hole before `start`. Up to the end of the nearer piece of data they are read.
            at = min(a.lowerBound == start ? a.upperBound : size, b.lowerBound == start ? b.upperBound : size)
            guard try areEqual(left, right, start..<at) else { return false }
        }
        return true
    }

    /// Whether a path is one where git keeps its index.
    static func mayBeIndex(_ path: BytePath) -> Bool { path.name.elementsEqual("index".utf8) }

    /// Whether two files at a path mean the same: they have the same bytes, or they are git indexes with the same entries.
    /// Every `git status` writes an index anew where owners and inode numbers are others, as they are inside.
    static func areSame(
        _ left: borrowing Descriptor, _ right: borrowing Descriptor, _ path: BytePath
    ) throws(KernelError) -> Bool {
        if try areEqual(left, right) { return true }
        guard mayBeIndex(path) else { return false }
        do throws(KernelError) {
            let limit = Kept.longestGit
            return GitIndex.hasSameEntries(try left.contents(limit: limit), try right.contents(limit: limit))
                ?? false
        } catch {
            if error.code == EFBIG { return false }
            throw error
        }
    }

    /// The next piece of data at or after an offset; empty at the end of the file if there is none.
    private static func extent(
        _ file: borrowing Descriptor, _ offset: Int, _ size: Int
    ) throws(KernelError) -> Range<Int> {
        let start = lseek(file.number, offset, BOX_SEEK_DATA)
        if start < 0 {
            // ENXIO: only a hole is left. EINVAL: a file system that does not know holes, so all of it is data.
            if errno == ENXIO { return size..<size }
            guard errno == EINVAL else { throw KernelError(call: "lseek", code: errno) }
            return offset..<size
        }
        let end = lseek(file.number, start, BOX_SEEK_HOLE)
        try check("lseek", end)
        return min(start, size)..<min(max(end, start + 1), size)
    }

    private static func areEqual(
        _ left: borrowing Descriptor, _ right: borrowing Descriptor, _ range: Range<Int>
    ) throws(KernelError) -> Bool {
        var at = range.lowerBound
        while at < range.upperBound {
            let wanted = min(step, range.upperBound - at)
            let (a, b) = (try left.read(at: at, upTo: wanted), try right.read(at: at, upTo: wanted))
            let count = min(a.count, b.count)
            // Shorter than its size: somebody cuts it off just now.
            guard count > 0, a.prefix(count) == b.prefix(count) else { return false }
            at += count
        }
        return true
    }
}

extension Descriptor {
    /// The whole content from the beginning, wherever the file's position is; more than `limit` bytes is `EFBIG`.
    fileprivate borrowing func contents(limit: Int) throws(KernelError) -> [UInt8] {
        var all: [UInt8] = []
        while true {
            let piece = try read(at: all.count, upTo: 1 << 20)
            if piece.isEmpty { return all }
            all += piece
            guard all.count <= limit else { throw KernelError(call: "read", code: EFBIG) }
        }
    }
}
