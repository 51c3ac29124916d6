internal import BoxKernel
internal import BoxTypes
internal import CLinux
internal import Crypto
internal import Glibc

/// What an agent changed in a stage.
///
/// It reads the upper layer, the base and those files of the host that the agent changed or deleted, never the project as
/// a whole; memory is bounded by the depth of the trees and the size of a directory.
package struct ChangeWalk {
    package let stage: Stage
    let trees: [StagedTree]
    let access: Descent.Access

    /// Opens the stage's trees; an error if the project's directory is not the one that the session began with.
    ///
    /// What is read of the base is remembered: after `BaseFile.replace` another walk is needed. Directories of the upper
    /// layer that their owner cannot read are opened to us while the walk is in them; with `isRunning` they are passed
    /// over instead, because they are not to change under the agent.
    package init(_ stage: Stage, isRunning: Bool = false) throws(StageError) {
        self.stage = stage
        access = isRunning ? .asIs : .readable
        var all: [StagedTree] = []
        for tree in stage.roots.indices { all.append(try StagedTree(stage, tree)) }
        trees = all
    }

    /// Calls `body` with each change, tree by tree, in the order of paths.
    package func forEach(_ body: (Change) throws(StageError) -> Void) throws(StageError) {
        for tree in trees.indices {
            var walk = try StageWalk(
                stage, tree, upper: trees[tree].upper, host: trees[tree].host, access)
            // A deleted directory, until it is known whether anything was in it.
            var held: Change?
            while let entry = try walk.next() {
                if let directory = held {
                    let isBelow = entry.path.isSame(orBelow: directory.path)
                    if !isBelow { try body(directory) }
                    if !isBelow || entry.old != nil { held = nil }
                }
                guard let change = try change(entry, tree) else { continue }
                if change.kind == .deleted, change.old?.kind == .directory {
                    // One with hidden names in it stays on the host: the agent never saw them.
                    held = trees[tree].hidden.haveSome(below: change.path) ? nil : change
                } else {
                    try body(change)
                }
            }
            if let held { try body(held) }
        }
    }

    private func change(_ entry: StageEntry, _ tree: Int) throws(StageError) -> Change? {
        if let unknown = entry.unknown {
            throw StageError(
                "compare \(entry.path.escaped) with the host", unknown,
                hint: "The host's directory cannot be read any more")
        }
        guard !entry.isUntouched, let kind = try kind(entry, tree) else { return nil }
        return Change(
            tree: tree, path: entry.path, kind: kind, old: entry.old, new: entry.new,
            oldTarget: entry.oldTarget, newTarget: entry.newTarget)
    }

    private func kind(_ entry: StageEntry, _ tree: Int) throws(StageError) -> Change.Kind? {
        guard let old = entry.old else {
            guard let new = entry.new else { return nil }
            return new.kind != .directory || entry.isEmpty ? .added : nil
        }
        guard let new = entry.new else { return .deleted }
        guard old.kind == new.kind else { return .typeChanged }
        let isSame: Bool
        switch new.kind {
        case .file: isSame = try hasSameContent(entry, old, new, tree)
        case .link: return entry.oldTarget == entry.newTarget ? nil : .modified
        case .characterDevice, .blockDevice: isSame = old.special == new.special
        case .directory, .fifo, .socket: isSame = true
        }
        guard isSame else { return .modified }
        return old.mode == new.mode || hasStrippedMode(entry, old, new) ? nil : .modeChanged
    }

    /// Whether modes differ only in setuid, setgid and sticky, because these did not come over.
    private func hasStrippedMode(_ entry: StageEntry, _ old: Node, _ new: Node) -> Bool {
        // A copy need not have had what only some may give.
        if stage.mode == .copy, new.mode == old.mode & 0o777 { return true }
        // An apply left them out, and the agent has not touched the file since.
        guard let record = entry.record, record.isApplied, new.mode & 0o777 == old.mode else { return false }
        return new.kind == .directory || record.copy == BaseRecord.Stamp(new)
    }

    /// The digest of all changes as they are now: SHA-256 in hexadecimal.
    package func digest() throws(StageError) -> String {
        var digest = ManifestDigest()
        try forEach { (change) throws(StageError) in digest.add(change) }
        return digest.finish()
    }
}

/// One tree of a stage with its directories open.
struct StagedTree {
    let upper: OpenDirectory
    let host: OpenDirectory
    let base: BaseIndex
    let hidden: HiddenNames
    let parents = KnownParents()
    /// The upper layer's times tell of every change.
    let hasHonestTimes: Bool

    init(_ stage: Stage, _ tree: Int) throws(StageError) {
        upper = OpenDirectory(try stage.openUpper(tree))
        host = OpenDirectory(try stage.openHost(tree))
        hidden = HiddenNames(stage.roots[tree].hidden)
        base = BaseIndex(stage.base(tree), isRequired: stage.mode == .copy)
        hasHonestTimes = box_is_in_memory(upper.tree.descriptor.number) == 0
    }
}

/// The digest of a list of changes, so that what is applied is what was shown.
package struct ManifestDigest {
    private var hash = SHA256()

    package init() {}

    /// Adds the next change.
    package mutating func add(_ change: Change) {
        var wire = WireWriter()
        wire.write(change.tree)
        wire.write(change.path.bytes)
        wire.write(change.kind.rawValue)
        wire.write(change.new) { wire, node in
            wire.write(node.kind.rawValue)
            wire.write(UInt64(node.mode))
            // A directory's size and times tell of what is in it.
            guard node.kind != .directory else { return }
            wire.write(node.size)
            wire.write(node.modified)
            wire.write(node.inode)
            wire.write(node.special)
        }
        wire.write(change.newTarget) { $0.write($1) }
        hash.update(data: wire.bytes)
    }

    /// The digest in hexadecimal.
    package func finish() -> String {
        hash.finalize().map { byte in
            let hex = String(byte, radix: 16)
            return hex.utf8.count < 2 ? "0" + hex : hex
        }.joined()
    }
}
