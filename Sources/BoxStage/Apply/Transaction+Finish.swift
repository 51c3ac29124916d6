internal import BoxKernel
internal import BoxTypes
internal import CLinux
internal import Glibc

/// From one state of the journal to the next.
extension Transaction {
    /// Everything is prepared: it and the journal reach the disk before anything of the host is touched.
    func seal() throws(StageError) {
        do throws(KernelError) {
            for tree in try usedOrNone() { try calls.syncAll(tree.stagingNumber) }
            try journal.seal(.prepared, calls)
            try syncHome()
        } catch { throw StageError("prepare the apply", error) }
    }

    private func usedOrNone() throws(KernelError) -> [TransactionTree] {
        do throws(StageError) { return try usedTrees() } catch {
            throw KernelError(call: error.reason, code: EIO)
        }
    }

    private func syncHome() throws(KernelError) {
        try calls.sync(home.number)
        try calls.sync(home.above.descriptor.number)
    }

    func set(_ state: Journal.State) throws(StageError) {
        do throws(KernelError) { try journal.set(state, calls) } catch {
            throw StageError("write the journal of the apply", error)
        }
    }

    // MARK: - Forward

    /// Does what was prepared. After a failure everything is as it was before, or the error says that it is not.
    func commit() throws(TransactionFailure) {
        do throws(StageError) { try set(.committing) } catch { throw giveUp(.failed(error)) }
        do throws(TransactionFailure) { try run(.forward, recovering: false) } catch {
            throw takeBack(after: error)
        }
        try finishCommit()
    }

    /// The steps are done; makes that last.
    func finishCommit() throws(TransactionFailure) {
        do throws(StageError) {
            try syncTrees()
            try save()
            try recordApplied()
            try keepRootTimes()
            journal.header.finished = Node.Time.now()
            let isOutside = journal.header.places.contains { $0.contains(.inProject) }
            do throws(KernelError) {
                try journal.seal(isOutside ? .clearing : .committed, calls)
            } catch { throw StageError("write the journal of the apply", error) }
        } catch { throw takeBack(after: .failed(error)) }
        do throws(StageError) { try clear() } catch {
            throw .failed(
                StageError(
                    error.step, reason: error.reason,
                    hint: "Everything is applied; box apply --resume tidies up"))
        }
    }

    /// All is done and can be undone: only what is not needed for that is taken away.
    func clear() throws(StageError) {
        if journal.header.state == .clearing {
            try removeStagingInProjects()
            try set(.committed)
        }
        try publish()
    }

    /// Makes the transaction the one that can be undone, in the place of the one before.
    func publish() throws(StageError) {
        let above = home.above.descriptor.number
        do throws(KernelError) {
            guard try home.above.child(Transaction.undoable) != nil else {
                try calls.rename(
                    Transaction.underWay, in: above, to: Transaction.undoable, in: above, .replacing)
                return try calls.sync(above)
            }
            let older = try TransactionHome(try home.above.directory(.root), Transaction.undoable)
            let sequence = try older.flatMap { (home) throws(KernelError) -> UInt64? in
                do throws(StageError) { return try Journal.open(in: home.directory)?.header.sequence } catch {
                    return nil
                }
            }
            // It is the old one, which was not removed before a crash.
            if let sequence, sequence > journal.header.sequence { return try removeUnderWay() }
            try calls.elsewhere("remove the older")
            try removeDirectory(Transaction.undoable)
            try calls.rename(
                Transaction.underWay, in: above, to: Transaction.undoable, in: above, .replacing)
            try calls.sync(above)
        } catch { throw StageError("keep what can be undone", error) }
    }

    private func removeUnderWay() throws(KernelError) { try removeDirectory(Transaction.underWay) }

    /// Removes one of the stage's own directories.
    private func removeDirectory(_ name: [UInt8]) throws(KernelError) {
        try calls.elsewhere("remove")
        do throws(StageError) { try TreeRemoval.remove(name, in: home.above) } catch {
            throw KernelError(call: error.reason, code: EIO)
        }
    }

    private func syncTrees() throws(StageError) {
        for tree in try usedTrees() {
            do throws(KernelError) { try calls.syncAll(tree.host.descriptor.number) } catch {
                throw StageError("write the changes to the disk", error)
            }
        }
    }

    /// Removes the staging places that lie in projects, as if there had never been one.
    func removeStagingInProjects() throws(StageError) {
        let name = TransactionTree.projectName(stage.session)
        for index in stage.roots.indices where journal.header.places[index].contains(.inProject) {
            let host = try stage.openHost(index)
            do throws(KernelError) {
                try calls.elsewhere("remove the staging place")
                do throws(StageError) { try TreeRemoval.remove(name, in: host) } catch {
                    throw KernelError(call: error.reason, code: EIO)
                }
                let time = journal.header.rootTimes[index]
                // The mark of a journal that had no beginning.
                guard time.seconds > 0, try Node.of(host.descriptor.number).modified != time else { continue }
                try calls.setModified([UInt8(ascii: ".")], in: host.descriptor.number, time)
            } catch { throw StageError("remove \(BytePath.escaped(name))", error) }
        }
        closeTrees()
    }

    /// The trees' own directories shall have the times that they have now, when the staging places are gone.
    func keepRootTimes() throws(StageError) {
        for index in stage.roots.indices { journal.header.rootTimes[index] = try stage.rootTime(index) }
    }

    // MARK: - Backward

    /// Takes everything back after a failure, and gives the failure to be thrown.
    private func takeBack(after failure: TransactionFailure) -> TransactionFailure {
        do throws(StageError) {
            try set(.rollingBack)
            try rollBack()
            return failure
        } catch {
            let first: String
            switch failure {
            case .failed(let error), .obstructed(let error): first = error.description
            case .conflict(let conflict): first = "\(conflict.path.escaped) was \(conflict.reason)"
            }
            return .failed(
                StageError(
                    "take back what was applied", reason: "\(error.reason) (after: \(first))",
                    hint: "Some files are changed. To finish: box apply --rollback"))
        }
    }

    /// Nothing of the host was touched yet: forgets all.
    func giveUp(_ failure: TransactionFailure) -> TransactionFailure {
        do throws(StageError) {
            try abandon()
            return failure
        } catch { return .failed(error) }
    }

    /// Brings the host back to what it was, from the state `rollingBack` or `undoing`.
    func rollBack() throws(StageError) {
        try runBack(recovering: true)
        try finishBack()
    }

    /// A neighbour may stand in the way for a moment: a directory that somebody moves about is there again soon.
    func runBack(recovering: Bool) throws(StageError) {
        for attempt in 1... {
            do throws(TransactionFailure) {
                return try run(.backward, recovering: recovering || attempt > 1)
            } catch {
                closeTrees()
                guard attempt < 100, error.mayPass else { throw error.stageError }
                usleep(UInt32(min(attempt, 10)) * 1000)
            }
        }
    }

    /// The steps are taken back; makes that last.
    func finishBack() throws(StageError) {
        try syncTrees()
        try recordTakenBack()
        try keepRootTimes()
        do throws(KernelError) { try journal.seal(.undone, calls) } catch {
            throw StageError("write the journal of the apply", error)
        }
        try abandon()
    }

    /// Removes the transaction with all that it had prepared or kept.
    func abandon() throws(StageError) {
        // Before there are records it is not written which trees have a staging place.
        if journal.header.state == .preparing {
            for index in stage.roots.indices { journal.header.places[index].insert(.inProject) }
        }
        try removeStagingInProjects()
        do throws(KernelError) { try removeUnderWay() } catch { throw StageError("finish the apply", error) }
    }
}

extension TransactionFailure {
    /// Whether it is about the way to a directory, which may be free again soon.
    fileprivate var mayPass: Bool {
        switch self {
        case .obstructed: true
        case .failed, .conflict: false
        }
    }

    /// The failure as an error for people.
    var stageError: StageError {
        switch self {
        case .failed(let error), .obstructed(let error): error
        case .conflict(let conflict):
            StageError(
                "go on with \(conflict.path.escaped)", reason: "it was \(conflict.reason)",
                hint: "Move it away and try again")
        }
    }
}
