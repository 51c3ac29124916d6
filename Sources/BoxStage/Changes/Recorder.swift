internal import BoxKernel
internal import BoxTypes
internal import CLinux
internal import Glibc

/// What a stage takes on the disk.
package struct Usage: Equatable, Sendable {
    /// What is allocated below `upper`, hard-linked files once.
    package var bytes = 0
    package var inodes = 0
    /// Names that the agent wrote or deleted, a deleted directory as one. Not exact: some may be as before.
    package var changes = 0
    /// Directories that cannot be looked into while the agent is at work, because it closed them; what is below them is
    /// not counted.
    package var closed = 0

    package init(bytes: Int = 0, inodes: Int = 0, changes: Int = 0, closed: Int = 0) {
        self.bytes = bytes
        self.inodes = inodes
        self.changes = changes
        self.closed = closed
    }
}

/// Notes what the host has at each path that the agent changed, when the change is first seen, so that it is known later
/// what the agent started from and whether the host changed since.
///
/// It may run while the agent works: it changes nothing in the upper layer, and what moves under it is seen the next time.
/// One process at a time.
package struct Recorder {
    private let stage: Stage
    private var trees: [RecordedTree]

    package init(_ stage: Stage) throws(StageError) {
        self.stage = stage
        var all: [RecordedTree] = []
        for tree in stage.roots.indices { all.append(try RecordedTree(stage, tree)) }
        trees = all
    }

    /// Looks at what is new, and says how much all of it is.
    package mutating func update() throws(StageError) -> Usage {
        var usage = Usage()
        var seen = Set<HardLink>()
        for tree in trees.indices {
            let names = try trees[tree].measure(stage, &usage, &seen)
            // A copy's base is complete from the beginning.
            guard stage.mode == .overlay, names == nil || names != trees[tree].recorded else { continue }
            let isWhole = try trees[tree].record(stage, tree)
            trees[tree].recorded = isWhole ? names : nil
        }
        return usage
    }
}

/// An inode that has several names.
private struct HardLink: Hashable {
    let device: UInt64
    let inode: UInt64
}

/// One tree of a stage as the recorder knows it.
private struct RecordedTree {
    let upper: OpenDirectory
    let host: OpenDirectory
    var kept: Kept
    /// The names of the upper layer, hashed, when it was last recorded in whole.
    var recorded: Int?

    init(_ stage: Stage, _ tree: Int) throws(StageError) {
        upper = OpenDirectory(try stage.openUpper(tree))
        host = OpenDirectory(try stage.openHost(tree))
        kept = Kept(stage.kept(tree))
    }

    // MARK: - Measuring

    /// Adds up what the upper layer takes, and gives a hash of its names; nil if it changed meanwhile or has directories
    /// that are closed.
    func measure(
        _ stage: Stage, _ usage: inout Usage, _ seen: inout Set<HardLink>
    ) throws(StageError) -> Int? {
        let descent = Descent(upper, .asIs)
        var hasher = Hasher()
        var isWhole = true
        var names: [[[UInt8]]] = []
        do throws(KernelError) {
            names.append(try upper.tree.names().reversed())
            while let last = names.indices.last {
                guard let name = names[last].popLast() else {
                    names.removeLast()
                    hasher.combine(0)
                    try descent.leave()
                    continue
                }
                guard let node = try look(name, descent, &usage, &isWhole) else { continue }
                count(node, &usage, &seen)
                hasher.combine(name)
                hasher.combine(node.kind)
                hasher.combine(node.isWhiteout)
                guard node.kind == .directory else { continue }
                guard let below = try enter(name, descent, &usage, &isWhole) else { continue }
                hasher.combine(try Opaqueness.of(descent.current.tree))
                names.append(below.reversed())
            }
        } catch {
            guard error.isVanished else {
                throw StageError("measure the stage of session \(stage.session)", error)
            }
            return nil
        }
        return isWhole ? hasher.finalize() : nil
    }

    private func count(_ node: Node, _ usage: inout Usage, _ seen: inout Set<HardLink>) {
        if node.kind != .directory { usage.changes += 1 }
        let isFirst =
            node.kind == .directory || node.links < 2
            || seen.insert(HardLink(device: node.device, inode: node.inode)).inserted
        guard isFirst else { return }
        usage.bytes += node.allocated
        usage.inodes += 1
    }

    private func look(
        _ name: [UInt8], _ descent: Descent, _ usage: inout Usage, _ isWhole: inout Bool
    ) throws(KernelError) -> Node? {
        do throws(KernelError) {
            let node = try descent.current.tree.child(name)
            if node == nil { isWhole = false }
            return node
        } catch {
            guard error.code == EACCES else { throw error }
            isWhole = false
            return nil
        }
    }

    /// The names in a directory that the walk went into; nil if it could not.
    private func enter(
        _ name: [UInt8], _ descent: Descent, _ usage: inout Usage, _ isWhole: inout Bool
    ) throws(KernelError) -> [[UInt8]]? {
        do throws(KernelError) { try descent.enter(name) } catch {
            guard error.isVanished || error.code == EACCES else { throw error }
            if error.code == EACCES { usage.closed += 1 }
            isWhole = false
            return nil
        }
        do throws(KernelError) { return try descent.current.tree.names() } catch {
            guard error.code == EACCES else { throw error }
            usage.closed += 1
            isWhole = false
            try descent.leave()
            return nil
        }
    }

    // MARK: - Recording

    /// Adds the records that are missing. False: something moved meanwhile, or cannot be looked at now.
    mutating func record(_ stage: Stage, _ tree: Int) throws(StageError) -> Bool {
        var walk = try StageWalk(stage, tree, upper: upper, host: host, .asIs)
        var writer = try BaseWriter(stage.base(tree))
        var isWhole = true
        var isNew = false
        while let entry = try walk.next() {
            if var record = entry.record {
                if entry.listsTree, !record.isWhole {
                    record.isWhole = true
                    isNew = true
                }
                try writer.append(record)
                continue
            }
            if entry.unknown != nil {
                isWhole = false
                continue
            }
            isNew = true
            var record = BaseRecord(
                path: entry.path, node: entry.old, target: entry.oldTarget,
                isWhole: entry.listsTree)
            try kept.keep(&record, stage, tree, host, isModified: entry.new?.kind == .file)
            try writer.append(record)
        }
        if isNew { try writer.finish() }
        return isWhole
    }
}

/// The contents that are kept of files that the agent changed, so that they can be merged when the host changed them too.
struct Kept {
    private static let longest = 1 << 20
    /// Indexes and references of git repositories: whether they changed decides about a whole repository.
    static let longestGit = 64 << 20
    private static let mostBytes = 256 << 20

    private let directory: String
    /// nil: not looked yet.
    private var next: UInt64?
    private var bytes = 0

    init(_ directory: String) { self.directory = directory }

    /// Keeps the content that a new record is about, if it is to be kept and is what the agent started from.
    mutating func keep(
        _ record: inout BaseRecord, _ stage: Stage, _ tree: Int, _ host: OpenDirectory, isModified: Bool
    ) throws(StageError) {
        guard let node = record.node, node.kind == .file else { return }
        let isGit = Kept.isGitState(record.path, tree)
        // git inside reads the host's index, as it is then, until it writes its own.
        guard node.changed <= stage.started || isGit && Contents.mayBeIndex(record.path) else { return }
        guard isGit ? node.size <= Kept.longestGit : isModified && node.size <= Kept.longest else { return }
        do throws(KernelError) {
            let number = try prepare()
            guard isGit || bytes + node.size <= Kept.mostBytes else { return }
            guard try copy(record.path, node, host, to: "\(directory)/\(number)") else { return }
            record.kept = number
            next = number + 1
            if !isGit { bytes += node.size }
        } catch { throw StageError("keep what \(record.path.escaped) was", error) }
    }

    /// The next free number; makes the directory, and counts what is in it.
    private mutating func prepare() throws(KernelError) -> UInt64 {
        if let next { return next }
        let result = unsafe mkdir(directory, 0o700)
        if result < 0, errno != EEXIST { throw KernelError(call: "mkdir", code: errno, subject: directory) }
        let opened = try Tree.open(directory)
        var highest: UInt64 = 0
        for name in try opened.names() {
            guard let number = UInt64(String(decoding: name, as: UTF8.self)),
                let node = try opened.child(name)
            else { continue }
            highest = max(highest, number)
            if node.size <= Kept.longest { bytes += node.size }
        }
        next = highest + 1
        return highest + 1
    }

    /// Copies a file of the host. False: it cannot be read, or somebody changed it meanwhile.
    private func copy(
        _ path: BytePath, _ node: Node, _ host: OpenDirectory, to target: String
    ) throws(KernelError) -> Bool {
        let file: Descriptor
        do throws(KernelError) { file = try host.tree.openDeep(path, O_RDONLY) } catch {
            guard error.isVanished || error.code == EACCES || error.code == EXDEV else { throw error }
            return false
        }
        guard try Node.of(file.number).isUnchanged(since: node) else { return false }
        let copy = try Descriptor.open(target, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: 0o600)
        var retry = RetryCount()
        var isWhole = false
        do throws(KernelError) {
            try FileCopy.copy(from: file.number, to: copy.number, size: node.size, retry: &retry)
            let (after, copied) = (try Node.of(file.number), try Node.of(copy.number))
            isWhole = after.isUnchanged(since: node) && copied.size == node.size
        } catch {
            // Shorter than it was.
            guard error.code == ENODATA else { throw error }
        }
        if !isWhole { try check("unlink", unsafe unlink(target), target) }
        return isWhole
    }

    /// Whether a path is an index, a HEAD or a reference of a git repository.
    static func isGitState(_ path: BytePath, _ tree: Int) -> Bool {
        let parts = path.components
        let start: Int
        if tree > 0 {
            start = 0
        } else if let git = parts.firstIndex(where: { $0.elementsEqual(".git".utf8) }) {
            start = git + 1
        } else {
            return false
        }
        let inside = parts[start...]
        guard let name = inside.last else { return false }
        let names = ["index", "HEAD", "ORIG_HEAD", "packed-refs"]
        return names.contains { name.elementsEqual($0.utf8) }
            || inside.dropLast().contains { $0.elementsEqual("refs".utf8) }
    }
}
