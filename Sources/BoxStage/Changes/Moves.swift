internal import BoxKernel
internal import BoxTypes

/// Finds files that were deleted at one path and added at another.
///
/// A move keeps size and time, so only files that agree in both are compared, byte by byte: what is called moved is the
/// same. Among several it takes the one whose neighbours went the same way, then one of the same name.
package enum Moves {
    /// So many deleted files are looked at, so many added ones, and so many bytes.
    static let mostCandidates = 200_000
    static let mostBytes = 8 << 30
    /// So many files that look alike are compared with one.
    static let mostTries = 16

    /// The same changes, with `movedFrom` where an added one is a deleted one of the same tree.
    package static func find(_ changes: [Change], in walk: ChangeWalk) throws(StageError) -> [Change] {
        var search = MoveSearch(changes, walk)
        guard search.hasSources else { return changes }
        var candidates = 0
        for index in changes.indices where changes[index].kind == .added && candidates < mostCandidates {
            if try search.match(index) { candidates += 1 }
        }
        search.matchEmptyDirectories()
        return search.changes
    }
}

/// What two names of one file have in common.
private struct Likeness: Hashable {
    let tree: Int
    let kind: Node.Kind
    let size: Int
    let modified: Node.Time
    let target: [UInt8]?
    /// nil: of any name.
    var name: [UInt8]?

    /// nil: what is neither file nor link does not move.
    init?(_ change: Change) {
        guard let node = change.new ?? change.old, node.kind == .file || node.kind == .link else {
            return nil
        }
        tree = change.tree
        kind = node.kind
        size = node.size
        modified = node.modified
        target = change.new == nil ? change.oldTarget : change.newTarget
        name = Array(change.path.name)
    }

    var ofAnyName: Likeness {
        var other = self
        other.name = nil
        return other
    }
}

private struct MoveSearch {
    private struct Place: Hashable {
        let tree: Int
        let path: BytePath
    }

    private(set) var changes: [Change]
    private let walk: ChangeWalk
    private var bytesLeft = Moves.mostBytes
    /// Deleted files and empty directories by path, as indices of `changes`.
    private var deleted: [Place: Int] = [:]
    /// The same files by what they are like; those that are taken are removed when they are met.
    private var alike: [Likeness: [Int]] = [:]
    private var taken = Set<Int>()
    /// Where the files of a new directory came from.
    private var ways: [Place: BytePath] = [:]

    var hasSources: Bool { !deleted.isEmpty }

    init(_ changes: [Change], _ walk: ChangeWalk) {
        self.changes = changes
        self.walk = walk
        var candidates = 0
        // Backwards, because the first is taken from the end of each list.
        for (index, change) in changes.enumerated().reversed()
        where change.kind == .deleted && candidates < Moves.mostCandidates {
            deleted[Place(tree: change.tree, path: change.path)] = index
            candidates += 1
            guard let like = Likeness(change) else { continue }
            alike[like, default: []].append(index)
            alike[like.ofAnyName, default: []].append(index)
        }
    }

    /// Looks for what an added file was. False: nothing is like it.
    mutating func match(_ added: Int) throws(StageError) -> Bool {
        let change = changes[added]
        guard let like = Likeness(change), alike[like.ofAnyName] != nil else { return false }
        var tried = Set<Int>()
        if let from = ways[Place(tree: change.tree, path: change.path.parent)],
            let source = deleted[Place(tree: change.tree, path: from.appending(change.path.name))],
            Likeness(changes[source]) == like, !taken.contains(source)
        {
            if try take(source, added) { return true }
            tried.insert(source)
        }
        for key in [like, like.ofAnyName] {
            for source in candidates(key) where tried.insert(source).inserted {
                if try take(source, added) { return true }
            }
        }
        return true
    }

    /// The next free files that are alike.
    private mutating func candidates(_ key: Likeness) -> [Int] {
        var found: [Int] = []
        while found.count < Moves.mostTries, let next = alike[key]?.popLast() {
            if !taken.contains(next) { found.append(next) }
        }
        alike[key]?.append(contentsOf: found.reversed())
        return found
    }

    private mutating func take(_ source: Int, _ added: Int) throws(StageError) -> Bool {
        guard try isSame(source, added) else { return false }
        taken.insert(source)
        let (from, to) = (changes[source].path, changes[added].path)
        changes[added].movedFrom = from
        if from.name.elementsEqual(to.name) {
            ways[Place(tree: changes[added].tree, path: to.parent)] = from.parent
        }
        return true
    }

    private mutating func isSame(_ source: Int, _ added: Int) throws(StageError) -> Bool {
        let (old, new) = (changes[source], changes[added])
        // A link's target is a part of its likeness, and there is nothing else.
        guard let node = old.old, node.kind == .file else { return true }
        if node.size == 0 { return true }
        guard bytesLeft >= node.allocated, let before = try walk.openOld(old) else { return false }
        bytesLeft -= node.allocated
        let after = try walk.openNew(new)
        do throws(KernelError) { return try Contents.areEqual(before, after) } catch {
            throw StageError("compare \(old.path.escaped) and \(new.path.escaped)", error)
        }
    }

    /// An empty directory has nothing to compare: it moved if the files beside it did.
    mutating func matchEmptyDirectories() {
        for (index, change) in changes.enumerated()
        where change.kind == .added && change.new?.kind == .directory {
            guard let from = ways[Place(tree: change.tree, path: change.path.parent)] else { continue }
            let path = from.appending(change.path.name)
            guard let source = deleted[Place(tree: change.tree, path: path)],
                changes[source].old?.kind == .directory, taken.insert(source).inserted
            else { continue }
            changes[index].movedFrom = path
        }
    }
}
