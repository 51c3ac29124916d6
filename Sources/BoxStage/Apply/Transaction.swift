internal import BoxKernel
package import BoxTypes
internal import CLinux
internal import Glibc

/// A path of the host that is not what it was expected to be.
package struct HostConflict: Equatable, Sendable {
    package var tree: Int
    package var path: BytePath
    /// For people: `changed on the host while it was applied`.
    package var reason: String

    package init(tree: Int, path: BytePath, reason: String) {
        self.tree = tree
        self.path = path
        self.reason = reason
    }
}

/// Why a transaction did not go on.
package enum TransactionFailure: Error, Equatable {
    case failed(StageError)
    /// Something stands in the way to a directory, perhaps only for a moment.
    case obstructed(StageError)
    case conflict(HostConflict)
}

/// Changes of the host that all happen or none, now or after a crash.
///
/// *Prepare*: every new object is made complete in a staging place on the project's own file system, and the journal
/// says what will go where. *Verify*: the host is what the journal expects. *Commit*: each object changes places with
/// the one it replaces, by one call that is atomic; so the old one, the very inode, lies in the staging place. *Finish*:
/// all is written to the disk. The way back is the same walk in the other direction.
///
/// A step that was done is known by the inodes at both places, so the walk can be repeated from its beginning after a
/// crash at any point. Nothing here follows a link, leaves the project or runs a program.
package final class Transaction {
    /// The names below the stage's directory: what is under way, and what can be undone.
    static let underWay = Array("apply".utf8)
    static let undoable = Array("undo".utf8)

    enum Direction { case forward, backward }

    let stage: Stage
    let calls: TransactionCalls
    /// The stage's directory, and the transaction's own in it.
    let home: TransactionHome
    var journal: Journal
    private var trees: [TransactionTree?]
    /// The trees are opened without their staging places.
    var looksOnly = false
    /// Called now and then with what is done and what there is to do.
    package var onProgress: ((Int, Int) -> Void)?
    /// What stands at paths instead of what was put there, and means the same.
    var stand: [Location: Witness] = [:]
    /// Directories that the user has changed since the commit: their times stay.
    var changedDirectories: Set<Location> = []
    /// Directories that stayed because something else is in them.
    package internal(set) var keptDirectories: [Location] = []

    package struct Location: Hashable, Sendable {
        package var tree: Int
        package var path: BytePath
    }

    init(_ stage: Stage, _ home: TransactionHome, _ journal: Journal, _ calls: TransactionCalls) {
        self.stage = stage
        self.home = home
        self.journal = journal
        self.calls = calls
        trees = stage.roots.map { _ in nil }
    }

    /// Whether a transaction was begun and not finished, and how far it is; nil if there is none.
    package static func state(of stage: Stage) throws(StageError) -> Journal.State? {
        guard let found = try find(stage, TransactionCalls()) else { return nil }
        return found.journal.header.state
    }

    /// The transaction that is under way.
    static func find(_ stage: Stage, _ calls: TransactionCalls) throws(StageError) -> Transaction? {
        guard let home = try TransactionHome.open(stage, underWay) else { return nil }
        guard let journal = try Journal.open(in: home.directory) else {
            // It ended before its journal had a beginning.
            do throws(KernelError) {
                try calls.remove(Journal.fileName, in: home.number, isDirectory: false)
                var header = Journal.Header()
                header.places = stage.roots.map { _ in [] }
                header.rootTimes = stage.roots.map { _ in Node.Time(seconds: 0, nanoseconds: 0) }
                let empty = try Journal.make(in: home.number, header, calls)
                return Transaction(stage, home, empty, calls)
            } catch { throw StageError("read the journal of the last apply", error) }
        }
        return Transaction(stage, home, journal, calls)
    }

    /// Begins one; there must be none under way.
    static func begin(_ stage: Stage, _ calls: TransactionCalls) throws(StageError) -> Transaction {
        var header = Journal.Header()
        if let last = try TransactionHome.open(stage, undoable),
            let old = try Journal.open(in: last.directory)
        {
            header.sequence = old.header.sequence + 1
        }
        header.places = stage.roots.map { _ in [] }
        for index in stage.roots.indices { header.rootTimes.append(try stage.rootTime(index)) }
        do throws(KernelError) {
            let above = try Tree.open(stage.directory)
            try calls.makeDirectory(underWay, in: above.descriptor.number)
        } catch { throw StageError("begin the apply", error) }
        do throws(StageError) {
            guard let home = try TransactionHome.open(stage, underWay) else {
                throw StageError("begin the apply", reason: "its directory is gone")
            }
            do throws(KernelError) {
                return Transaction(stage, home, try Journal.make(in: home.number, header, calls), calls)
            } catch { throw StageError("begin the apply", error) }
        } catch {
            try removeBeginning(stage, calls, after: error)
            throw error
        }
    }

    private static func removeBeginning(
        _ stage: Stage, _ calls: TransactionCalls, after first: StageError
    ) throws(StageError) {
        do throws(KernelError) {
            try calls.elsewhere("remove")
            let above = try Tree.open(stage.directory)
            do throws(StageError) { try TreeRemoval.remove(underWay, in: above) } catch {
                throw KernelError(call: error.reason, code: EIO)
            }
        } catch {
            throw StageError(
                first.step, reason: "\(first.reason); and what was begun could not be removed (\(error))")
        }
    }

    // MARK: - The trees

    /// One of the host's trees with its staging place.
    func tree(_ index: Int) throws(StageError) -> TransactionTree {
        guard stage.roots.indices.contains(index) else {
            throw StageError("go on with the apply", reason: "its journal belongs to another stage")
        }
        if let known = trees[index] { return known }
        let host = try stage.openHost(index)
        do throws(KernelError) {
            let made = try TransactionTree(
                index, host, home, session: stage.session, journal.header.places[index],
                looksOnly: looksOnly, calls)
            if !looksOnly { journal.header.places[index] = made.place }
            trees[index] = made
            return made
        } catch {
            throw StageError("use \(stage.roots[index].host.string.escapedForTerminal)", error)
        }
    }

    /// Those that the transaction works in.
    func usedTrees() throws(StageError) -> [TransactionTree] {
        var all: [TransactionTree] = []
        for index in stage.roots.indices where journal.header.places[index].contains(.isUsed) {
            all.append(try tree(index))
        }
        return all
    }

    /// Forgets what is open, because staging places have come or gone.
    func closeTrees() { trees = stage.roots.map { _ in nil } }

    // MARK: - Errors

    /// An error about a path.
    func failure(_ record: JournalRecord, _ error: KernelError) -> TransactionFailure {
        let described = Transaction.error(stage, record.tree, record.path, error)
        switch error.code {
        case ENOENT, ENOTDIR, ELOOP, EXDEV: return .obstructed(described)
        default: return .failed(described)
        }
    }

    static func error(_ stage: Stage, _ tree: Int, _ path: BytePath, _ error: KernelError) -> StageError {
        let name = path.bytes.isEmpty ? "." : path.escaped
        let below = tree == 0 ? name : "\(stage.roots[tree].host.string.escapedForTerminal)/\(name)"
        let hint =
            switch error.code {
            case ENOSPC, EDQUOT: "The disk is full"
            case EACCES, EPERM: "You may not change it"
            case EROFS: "It is on a file system that cannot be written"
            case ELOOP, EXDEV: "A link or another file system stands in its way"
            default: ""
            }
        return StageError("apply \(below)", KernelError(call: error.call, code: error.code), hint: hint)
    }

    func conflict(_ record: JournalRecord, _ reason: String) -> TransactionFailure {
        .conflict(HostConflict(tree: record.tree, path: record.path, reason: reason))
    }

    func forEach(
        _ order: Journal.Order, _ body: (JournalRecord) throws(TransactionFailure) -> Void
    ) throws(TransactionFailure) {
        try journal.forEach(order, { TransactionFailure.failed($0) }, body)
    }

    func treeOf(_ record: JournalRecord) throws(TransactionFailure) -> TransactionTree {
        do throws(StageError) { return try tree(record.tree) } catch { throw .failed(error) }
    }
}

extension Stage {
    /// When names in a tree's own directory last changed.
    func rootTime(_ tree: Int) throws(StageError) -> Node.Time {
        let host = try openHost(tree)
        do throws(KernelError) { return try Node.of(host.descriptor.number).modified } catch {
            throw StageError("look at \(roots[tree].host.string.escapedForTerminal)", error)
        }
    }
}

/// The stage's directory and a transaction's own in it.
final class TransactionHome {
    let above: Tree
    let directory: Tree
    var number: CInt { directory.descriptor.number }

    /// Opens a transaction's directory; nil if there is none.
    init?(_ above: consuming Tree, _ name: [UInt8]) throws(KernelError) {
        guard let path = BytePath(name), try above.child(name) != nil else { return nil }
        directory = try above.directory(path)
        self.above = above
    }

    static func open(_ stage: Stage, _ name: [UInt8]) throws(StageError) -> TransactionHome? {
        do throws(KernelError) {
            return try TransactionHome(try Tree.open(stage.directory), name)
        } catch { throw StageError("open the stage of session \(stage.session)", error) }
    }
}
