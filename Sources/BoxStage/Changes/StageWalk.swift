internal import BoxKernel
internal import BoxTypes
internal import Glibc

/// Goes through a tree's upper layer, its base and, where the agent deleted directories, the host's tree, in the order of
/// paths. It holds one directory's names for each level, and nothing else.
///
/// The tree may change meanwhile: names that vanish are passed over.
struct StageWalk: ~Copyable {
    /// A directory on the way to where the walk is.
    private struct Frame {
        /// What is to be looked at: names of the upper layer, and of the host's directory where it is hidden as a whole.
        var names: [[UInt8]] = []
        var next = 0
        /// The upper layer has a directory here.
        var hasUpper = false
        /// The host has one, and it is asked for names without record.
        var hasHost = false
        /// The agent sees the host's names, unless the upper layer has them.
        var seesHost = false
        /// What is not recorded was not there.
        var isWhole = false
        /// Files of size 0 with an attribute are whiteouts, too.
        var hasAttributeWhiteouts = false
        /// Why the host cannot be asked.
        var unknown: KernelError?
    }

    private let stage: Stage
    private let hidden: HiddenNames
    private let upper: Descent
    private let host: Descent
    private let access: Descent.Access
    private var base: BaseReader
    private var frames: [Frame]
    /// The path of the last frame.
    private var place = BytePath.root

    /// Begins a walk. With `.asIs` a directory that cannot be read is passed over, with `.readable` it is an error.
    init(
        _ stage: Stage, _ tree: Int, upper: OpenDirectory, host: OpenDirectory, _ access: Descent.Access
    ) throws(StageError) {
        var root = Frame()
        root.hasUpper = true
        root.hasHost = stage.mode == .overlay
        root.seesHost = root.hasHost
        root.isWhole = stage.mode == .copy
        do throws(KernelError) {
            if stage.mode == .overlay {
                root.hasAttributeWhiteouts = try Opaqueness.of(upper.tree) == .attributes
            }
            root.names = try upper.tree.names()
        } catch { throw StageError("read the stage of session \(stage.session)", error) }
        base = try BaseReader(stage.base(tree), isRequired: stage.mode == .copy)
        self.stage = stage
        self.access = access
        hidden = HiddenNames(stage.roots[tree].hidden)
        self.upper = Descent(upper, access)
        self.host = Descent(host, .asIs)
        frames = [root]
    }

    /// The next path; nil at the end.
    mutating func next() throws(StageError) -> StageEntry? {
        while let top = frames.indices.last {
            guard let (name, isListed) = try nextName(top) else {
                try pop()
                continue
            }
            if !isListed, frames[top].seesHost, let record = try base.next() {
                return StageEntry(untouched: record)
            }
            if let entry = try look(at: name, top, isListed: isListed) { return entry }
        }
        return nil
    }

    /// The next name of a directory, and whether it was found there; else only a record at or below it is.
    private mutating func nextName(_ top: Int) throws(StageError) -> (name: [UInt8], isListed: Bool)? {
        var listed: [UInt8]?
        if frames[top].next < frames[top].names.count { listed = frames[top].names[frames[top].next] }
        guard let record = try base.peek(), let below = record.path.relative(to: place),
            let first = below.bytes.split(separator: UInt8(ascii: "/"), maxSplits: 1).first
        else {
            guard let listed else { return nil }
            frames[top].next += 1
            return (listed, true)
        }
        if let listed, !first.lexicographicallyPrecedes(listed) {
            frames[top].next += 1
            return (listed, true)
        }
        return (Array(first), false)
    }

    private mutating func pop() throws(StageError) {
        let frame = frames.removeLast()
        guard !frames.isEmpty else { return }
        do throws(KernelError) {
            if frame.hasUpper { try upper.leave() }
            if frame.hasHost { try host.leave() }
        } catch { throw failed(place, error) }
        place = place.parent
    }

    private func failed(_ path: BytePath, _ error: KernelError) -> StageError {
        StageError("read \(path.escaped) in the stage of session \(stage.session)", error)
    }

    private func failedOnHost(_ path: BytePath, _ error: KernelError) -> StageError {
        StageError("read \(path.escaped) on the host", error)
    }

    // MARK: - One name

    /// Looks at one name and goes into it if it is, or was, a directory. nil: there is nothing to say about it.
    private mutating func look(
        at name: [UInt8], _ top: Int, isListed: Bool
    ) throws(StageError) -> StageEntry? {
        var entry = StageEntry(path: place.appending(name))
        let isHidden = hidden.contains(entry.path)
        do throws(KernelError) {
            if isListed, frames[top].hasUpper, try !seeNew(name, frames[top], &entry) { return nil }
        } catch { throw failed(entry.path, error) }
        if let record = try base.peek(), record.path == entry.path {
            entry.record = record
            entry.old = record.node
            entry.oldTarget = record.target
            base.skip()
        } else if !isHidden {
            entry.unknown = frames[top].unknown
            do throws(KernelError) {
                if frames[top].hasHost { try seeOld(name, &entry) }
            } catch { throw failedOnHost(entry.path, error) }
        }
        return try descend(name, frames[top], &entry, isHidden: isHidden) ? entry : nil
    }

    private func isWhiteout(
        _ node: Node, _ name: [UInt8], _ frame: Frame, in directory: borrowing Tree
    ) throws(KernelError) -> Bool {
        // In a copy it is a device that the agent made.
        if stage.mode == .overlay, node.isWhiteout { return true }
        guard frame.hasAttributeWhiteouts, node.kind == .file, node.size == 0 else { return false }
        return try Opaqueness.isWhiteout(name, in: directory)
    }

    /// Fills in what the upper layer has. False: the name is gone, and the agent sees what the host has.
    private func seeNew(
        _ name: [UInt8], _ frame: Frame, _ entry: inout StageEntry
    ) throws(KernelError) -> Bool {
        let directory = upper.current
        do throws(KernelError) {
            guard let node = try directory.tree.child(name) else { return !frame.seesHost }
            if try isWhiteout(node, name, frame, in: directory.tree) { return true }
            if node.kind == .link { entry.newTarget = try directory.tree.linkTarget(name) }
            entry.new = node
            return true
        } catch {
            // The directory is ours to list but not to enter, and it stays as it is while the agent is at work.
            let isClosed = error.code == EACCES && access == .asIs
            guard isClosed || error.isVanished || error.code == EINVAL else { throw error }
            return false
        }
    }

    private func seeOld(_ name: [UInt8], _ entry: inout StageEntry) throws(KernelError) {
        do throws(KernelError) {
            guard let node = try host.current.tree.child(name), !node.isWhiteout else { return }
            if node.kind == .link { entry.oldTarget = try host.current.tree.linkTarget(name) }
            entry.old = node
        } catch {
            if error.code == EACCES {
                entry.unknown = error
                return
            }
            guard error.isVanished || error.code == EINVAL else { throw error }
        }
    }

    // MARK: - Directories

    /// Goes into the directories that a name is or was. False: the entry is nothing to speak of.
    private mutating func descend(
        _ name: [UInt8], _ parent: Frame, _ entry: inout StageEntry, isHidden: Bool
    ) throws(StageError) -> Bool {
        var frame = Frame()
        var isOpaque = false
        do throws(KernelError) {
            if entry.new?.kind == .directory { isOpaque = try enterUpper(name, &frame, &entry) }
        } catch {
            guard error.isVanished || error.code == EACCES && access == .asIs else {
                throw failed(entry.path, error)
            }
            // What is below cannot be seen now, so its records stay as they are.
            guard let record = entry.record else { return !error.isVanished }
            entry = StageEntry(untouched: record)
            return true
        }
        frame.seesHost = parent.seesHost && frame.hasUpper && !isOpaque && !isHidden
        let wasNone = entry.record != nil && entry.record?.node?.kind != .directory
        frame.isWhole =
            !frame.seesHost
            && (parent.isWhole || entry.record?.isWhole ?? false || wasNone || isHidden)
        frame.unknown = entry.unknown
        if parent.hasHost, !isHidden, entry.old?.kind == .directory, frame.seesHost || !frame.isWhole {
            let isMount = try !enterHost(name, &frame, entry.path)
            // The agent never saw what is mounted there.
            if isMount, entry.new == nil, entry.record == nil { return false }
            entry.listsTree = frame.hasHost && !frame.seesHost
        }
        let hasRecords = try base.peek()?.path.isSame(orBelow: entry.path) ?? false
        if frame.hasUpper || frame.hasHost || hasRecords {
            if !frame.hasUpper, frame.unknown != nil { entry.unknown = frame.unknown }
            frames.append(frame)
            place = entry.path
        }
        return true
    }

    /// Goes into a directory of the upper layer, and says whether it hides the host's.
    private func enterUpper(
        _ name: [UInt8], _ frame: inout Frame, _ entry: inout StageEntry
    ) throws(KernelError) -> Bool {
        try upper.enter(name)
        let directory = upper.current
        do throws(KernelError) {
            let marker = stage.mode == .overlay ? try Opaqueness.of(directory.tree) : .opaque
            frame.hasAttributeWhiteouts = marker == .attributes
            frame.names = try directory.tree.names()
            if entry.old == nil { entry.isEmpty = try isEmpty(frame, directory.tree) }
            frame.hasUpper = true
            return marker == .opaque
        } catch {
            try upper.leave()
            throw error
        }
    }

    /// Whether a directory of the upper layer has nothing but whiteouts.
    private func isEmpty(_ frame: Frame, _ directory: borrowing Tree) throws(KernelError) -> Bool {
        for name in frame.names {
            do throws(KernelError) {
                guard let node = try directory.child(name) else { continue }
                guard try isWhiteout(node, name, frame, in: directory) else { return false }
            } catch {
                guard error.code == EACCES, access == .asIs else { throw error }
                return false
            }
        }
        return true
    }

    /// Goes into the host's directory of a path. False: something is mounted there.
    private func enterHost(
        _ name: [UInt8], _ frame: inout Frame, _ path: BytePath
    ) throws(StageError) -> Bool {
        do throws(KernelError) {
            try host.enter(name)
            frame.hasHost = true
            guard !frame.seesHost else { return true }
            let all = Set(frame.names).union(try host.current.tree.names())
            frame.names = all.sorted { $0.lexicographicallyPrecedes($1) }
        } catch {
            if error.code == EXDEV { return false }
            guard !error.isVanished else { return true }
            guard error.code == EACCES else { throw failedOnHost(path, error) }
            frame.unknown = error
        }
        return true
    }
}
