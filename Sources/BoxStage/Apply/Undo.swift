package import BoxKernel
internal import BoxTypes
internal import Glibc

/// Takes the last apply of a stage back.
package enum Undo {
    package enum Outcome: Equatable, Sendable {
        /// So many files, links and directories are as they were.
        case undone(Int, kept: [Transaction.Location])
        /// There is nothing that could be taken back.
        case nothing
        /// The user has worked on these since; nothing was touched.
        case edited([HostConflict])
    }

    /// When the apply was made that could be taken back, and how much it applied; nil if there is none.
    package static func last(_ stage: Stage) throws(StageError) -> (applied: Int, finished: Node.Time)? {
        guard let home = try TransactionHome.open(stage, Transaction.undoable),
            let journal = try Journal.open(in: home.directory), journal.header.isUndoable
        else { return nil }
        return (journal.header.applied, journal.header.finished)
    }

    /// Puts back exactly what was there: the same files where the stage lies on the project's file system, else whole
    /// copies. No transaction may be under way.
    package static func run(
        _ stage: Stage, _ calls: TransactionCalls = TransactionCalls(),
        progress: ((Int, Int) -> Void)? = nil
    ) throws(StageError) -> Outcome {
        guard let home = try TransactionHome.open(stage, Transaction.undoable),
            let journal = try Journal.open(in: home.directory), journal.header.isUndoable
        else { return .nothing }
        let transaction = Transaction(stage, home, journal, calls)
        transaction.onProgress = progress
        let applied = journal.header.applied
        let edited = try transaction.verifyUndo()
        guard edited.isEmpty else { return .edited(edited) }
        try transaction.begin()
        try transaction.runBack(recovering: false)
        try transaction.finishBack()
        return .undone(applied, kept: transaction.keptDirectories)
    }
}

extension Transaction {
    /// Whether everything is still as the apply made it. Only the host is looked at: the staging places in projects are
    /// gone.
    fileprivate func verifyUndo() throws(StageError) -> [HostConflict] {
        looksOnly = true
        defer {
            looksOnly = false
            closeTrees()
        }
        return try verify(.backward)
    }

    /// From here on the undo is under way. The state comes before the name, so that under the name of what is under way
    /// a committed transaction is always an apply.
    fileprivate func begin() throws(StageError) {
        let isOutside = journal.header.places.contains { $0.contains(.inProject) } || !stand.isEmpty
        let above = home.above.descriptor.number
        try keepRootTimes()
        do throws(KernelError) {
            try journal.seal(isOutside ? .restaging : .undoing, calls)
            try calls.rename(
                Transaction.undoable, in: above, to: Transaction.underWay, in: above, .replacing)
            try calls.sync(above)
        } catch { throw StageError("begin the undo", error) }
        guard isOutside else { return }
        do throws(StageError) { try restage() } catch {
            try dropUndo()
            throw error
        }
    }
}
