import BoxKernel
import BoxStage
import BoxTypes

/// A session's changes with their risks, in the order in which they are shown: blocked ones, those to be confirmed,
/// then the others, each by tree and path.
struct DiffReview {
    struct Entry {
        var change: Change
        var verdict: Verdict

        /// What happened, as in `git status --short`.
        var letter: String {
            if change.movedFrom != nil { return "R" }
            return switch change.kind {
            case .added: "A"
            case .modified: "M"
            case .deleted: "D"
            case .typeChanged: "T"
            case .modeChanged: "m"
            }
        }
    }

    private struct Place: Hashable {
        let tree: Int
        let path: BytePath
    }

    /// More changes are not held at once: the tree is walked again for those without a risk, and moves are not looked
    /// for.
    private static let mostHeld = 100_000

    let stage: Stage
    let walk: ChangeWalk
    private let paths: StagedPaths
    private(set) var risky: [Entry] = []
    /// nil: there are too many.
    private var normal: [Entry]?
    private(set) var normalCount = 0
    private(set) var conflicts: [(Change, String)] = []
    /// What is to be known about the changes as a whole.
    private(set) var notes: [String] = []
    /// The digest of all changes, whatever paths were asked for.
    private(set) var digest = ""
    /// Which changes the paths that were asked for are about.
    private(set) var matched: Set<Int> = []
    /// The files that moved, as they were.
    private var sources: [Place: Node] = [:]
    private var deleted = 0

    var count: Int { risky.count + normalCount }

    init(_ stage: Stage, _ paths: StagedPaths, isRunning: Bool) throws(StageError) {
        self.stage = stage
        self.paths = paths
        walk = try ChangeWalk(stage, isRunning: isRunning)
        var held: [Change]? = []
        var manifest = ManifestDigest()
        try walk.forEach { (change) throws(StageError) in
            manifest.add(change)
            held?.append(change)
            if let count = held?.count, count > DiffReview.mostHeld { held = nil }
        }
        digest = manifest.finish()
        let review = try ChangeReview(walk)
        if let held {
            normal = []
            for change in selected(try Moves.find(held, in: walk)) { try add(change, review) }
        } else {
            notes.append(
                "more than \(DiffReview.mostHeld) changes: moved files are shown as deleted and added")
            try walk.forEach { (change) throws(StageError) in
                if paths.match(change, &matched) { try add(change, review) }
            }
        }
        // A stable order: the walk's within each risk.
        risky = risky.filter { $0.verdict.risk == .blocked } + risky.filter { $0.verdict.risk != .blocked }
        let sweeping = RiskRules.sweeping(deleted: deleted)
        if sweeping.risk != .normal { notes.insert("\(sweeping.reason) (\(sweeping.risk.name))", at: 0) }
    }

    /// The changes that were asked for. A move is one only if both its ends are among them.
    private mutating func selected(_ changes: [Change]) -> [Change] {
        var chosen = changes.filter { paths.match($0, &matched) }
        var gone: [Place: Node] = [:]
        for change in chosen where change.kind == .deleted {
            gone[Place(tree: change.tree, path: change.path)] = change.old
        }
        for index in chosen.indices {
            guard let from = chosen[index].movedFrom else { continue }
            let place = Place(tree: chosen[index].tree, path: from)
            // One file can only have moved once.
            if let node = gone.removeValue(forKey: place) {
                sources[place] = node
            } else {
                chosen[index].movedFrom = nil
            }
        }
        return chosen
    }

    private mutating func add(_ change: Change, _ review: ChangeReview) throws(StageError) {
        let entry = Entry(change: change, verdict: try review.verdict(change))
        if change.kind == .deleted, !isSourceOfMove(change) { deleted += 1 }
        if let conflict = try walk.conflict(change) { conflicts.append((change, conflict.reason)) }
        if entry.verdict.risk > .normal {
            risky.append(entry)
        } else {
            normalCount += 1
            normal?.append(entry)
        }
    }

    /// Calls with every change, in order.
    func forEach(_ body: (Entry) throws(StageError) -> Void) throws(StageError) {
        for entry in risky { try body(entry) }
        if let normal {
            for entry in normal { try body(entry) }
            return
        }
        let places = Set(risky.map { Place(tree: $0.change.tree, path: $0.change.path) })
        var ignored: Set<Int> = []
        try walk.forEach { (change) throws(StageError) in
            guard paths.match(change, &ignored), !places.contains(Place(tree: change.tree, path: change.path))
            else { return }
            try body(Entry(change: change, verdict: .normal))
        }
    }

    /// The changes without a risk, if they are held.
    var firstNormal: [Entry] { normal ?? [] }

    // MARK: - Names and moves

    /// A change's path as bytes, from the project; those in other trees by their paths on the host.
    func name(_ change: Change) -> [UInt8] { name(change.path, tree: change.tree) }

    func name(_ path: BytePath, tree: Int) -> [UInt8] {
        tree == 0 ? path.bytes : Array(stage.roots[tree].host.string.utf8) + [UInt8(ascii: "/")] + path.bytes
    }

    /// Whether a deleted file is one that is somewhere else now.
    func isSourceOfMove(_ change: Change) -> Bool {
        change.kind == .deleted && sources[Place(tree: change.tree, path: change.path)] != nil
    }

    /// Where a moved file was.
    func source(of change: Change) -> BytePath? { change.kind == .added ? change.movedFrom : nil }

    /// What a moved file was before.
    func sourceNode(of change: Change) -> Node? {
        source(of: change).flatMap { sources[Place(tree: change.tree, path: $0)] }
    }

    /// Directories that moved, of changes without a risk.
    var movedDirectories: MovedDirectories { MovedDirectories(normal ?? [], self) }
}

/// Moved files that are shown as one moved directory: at least two that kept their names below it.
struct MovedDirectories {
    private struct Pair: Hashable {
        let tree: Int
        let old: BytePath
        let new: BytePath

        init?(_ change: Change) {
            guard let from = change.movedFrom, change.kind == .added else { return nil }
            // Both paths without the names that they have in common at their ends.
            var (old, new) = (from, change.path)
            while old.name == new.name, !old.bytes.isEmpty, !new.bytes.isEmpty {
                (old, new) = (old.parent, new.parent)
            }
            guard old != from else { return nil }
            (tree, self.old, self.new) = (change.tree, old, new)
        }
    }

    /// A change that belongs to a moved directory. Only the first one of these has the line.
    struct Member {
        let line: String?
        let count: Int
    }

    private var groups: [Pair: Int] = [:]
    private var told: Set<Pair> = []
    private let review: DiffReview

    fileprivate init(_ entries: [DiffReview.Entry], _ review: DiffReview) {
        self.review = review
        for entry in entries {
            if let pair = Pair(entry.change) { groups[pair, default: 0] += 1 }
        }
        groups = groups.filter { $0.value > 1 }
    }

    /// The directory that an entry moved with; nil: it is shown by itself.
    mutating func take(_ entry: DiffReview.Entry) -> Member? {
        guard entry.verdict.risk == .normal, let pair = Pair(entry.change), let count = groups[pair] else {
            return nil
        }
        guard told.insert(pair).inserted else { return Member(line: nil, count: count) }
        func shown(_ path: BytePath) -> String {
            path.bytes.isEmpty ? "./" : BytePath.escaped(review.name(path, tree: pair.tree)) + "/"
        }
        return Member(line: "moved \(shown(pair.old)) -> \(shown(pair.new)) (\(count) files)", count: count)
    }
}
