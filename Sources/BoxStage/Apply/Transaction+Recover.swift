internal import BoxKernel
internal import BoxTypes
internal import Glibc

/// How a transaction that was interrupted ended after all.
package enum Recovered: Equatable, Sendable {
    /// Everything that was to be applied is.
    case applied
    /// Everything is as it was before the apply.
    case takenBack
    /// It had touched nothing, and what it was to do is not known: it has to be begun again.
    case notBegun
    /// An undo was not begun, or was taken back itself: what was applied stays so.
    case undoDropped
}

/// What can be done after a crash, from the journal alone.
extension Transaction {
    /// Finishes what is under way: by going on, or by bringing everything back. nil: nothing is.
    package static func finish(
        _ stage: Stage, resuming: Bool, _ calls: TransactionCalls = TransactionCalls(),
        progress: ((Int, Int) -> Void)? = nil
    ) throws(StageError) -> Recovered? {
        guard let found = try find(stage, calls) else { return nil }
        found.onProgress = progress
        return resuming ? try found.resume() : try found.takeBack()
    }

    /// Goes on where it was interrupted.
    func resume() throws(StageError) -> Recovered {
        switch journal.header.state {
        case .preparing:
            // What was to be applied is not known yet.
            try abandon()
            return .notBegun
        case .prepared:
            let conflicts = try verify(.forward)
            if let first = conflicts.first { throw TransactionFailure.conflict(first).stageError }
            try forward()
            return .applied
        case .committing:
            try checkFree(.forward)
            try forward()
            return .applied
        case .clearing, .committed:
            try clear()
            return .applied
        case .rollingBack:
            try backward()
            return .takenBack
        case .restaging:
            try removeStagingInProjects()
            try restage()
            try backward()
            return .takenBack
        case .undoing:
            try backward()
            return .takenBack
        case .undone:
            try abandon()
            return .takenBack
        }
    }

    /// Brings everything back to what it was before.
    func takeBack() throws(StageError) -> Recovered {
        switch journal.header.state {
        case .preparing, .prepared, .undone:
            try abandon()
            return .takenBack
        case .clearing, .committed:
            try clear()
            guard case .undone = try Undo.run(stage, calls, progress: onProgress) else { return .applied }
            return .takenBack
        case .committing:
            try checkFree(.backward)
            try set(.rollingBack)
            try backward()
            return .takenBack
        case .rollingBack:
            try backward()
            return .takenBack
        case .restaging:
            try dropUndo()
            return .undoDropped
        case .undoing:
            try checkFree(.forward)
            try set(.committing)
            try forward()
            return .undoDropped
        }
    }

    /// The inverse is not ready, and the host untouched: what was applied stays.
    func dropUndo() throws(StageError) {
        try removeStagingInProjects()
        try set(.committed)
        try publish()
    }

    private func forward() throws(StageError) {
        do throws(TransactionFailure) {
            if journal.header.state == .prepared {
                try commit()
            } else {
                try run(.forward, recovering: true)
                try finishCommit()
            }
        } catch { throw error.stageError }
    }

    private func backward() throws(StageError) {
        try checkFree(.backward)
        try rollBack()
    }

    /// Nothing is touched if somebody has changed one of the paths since: his work would be lost.
    private func checkFree(_ direction: Direction) throws(StageError) {
        do throws(TransactionFailure) {
            try forEach(.forward) { (record) throws(TransactionFailure) in
                guard record.action != .directory else { return }
                let situation = try self.situation(record, direction, self.treeOf(record))
                if situation == .foreign {
                    throw self.conflict(record, "changed since the apply was interrupted")
                }
            }
        } catch { throw error.stageError }
    }
}
