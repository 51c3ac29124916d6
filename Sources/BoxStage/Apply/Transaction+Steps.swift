internal import BoxKernel
internal import BoxTypes
internal import CLinux
internal import Glibc

/// The steps between the prepared and the finished host, in either direction.
extension Transaction {
    /// Does all steps. Where some may have been done already it is `recovering`, and looks before each.
    func run(_ direction: Direction, recovering: Bool) throws(TransactionFailure) {
        var done = 0
        let total = journal.header.count
        try unlock(direction)
        let each = { (record: JournalRecord) throws(TransactionFailure) in
            try self.step(record, direction, recovering)
            done += 1
            if done % 256 == 0 { self.onProgress?(done, total) }
        }
        let removes = { (record: JournalRecord) throws(TransactionFailure) in
            if record.action == .remove { try each(record) }
        }
        let puts = { (record: JournalRecord) throws(TransactionFailure) in
            if record.action == .put { try each(record) }
        }
        // What goes, goes from the inside; what comes, comes from the outside.
        switch direction {
        case .forward:
            try forEach(.backward, removes)
            try forEach(.forward, puts)
        case .backward:
            try forEach(.backward, puts)
            try forEach(.forward, removes)
        }
        try settle(direction)
        onProgress?(total, total)
    }

    /// What stands at a path of which a step may have been done.
    enum Situation: Equatable { case done, ready, foreign, vacated }

    /// Looks what there is to do at a path. Where the object that a step takes away is in the staging place already, the
    /// step was done, whatever stands there now; where the one that it brings is not there any more, as well.
    func situation(
        _ record: JournalRecord, _ direction: Direction, _ tree: TransactionTree
    ) throws(TransactionFailure) -> Situation {
        let (from, to) = ends(record, direction)
        let (target, waiting, gone) = try attempt(record) { () throws(KernelError) in
            (
                try tree.node(record.path), try tree.staging.child(tree.incoming(record, direction)),
                try tree.staging.child(tree.outgoing(record, direction))
            )
        }
        func isSame(_ witness: Witness?, _ node: Node?) -> Bool {
            guard let witness, let node else { return false }
            return witness.isSame(node)
        }
        if isSame(from, target) { return to == nil || isSame(to, waiting) ? .ready : .foreign }
        // Nothing was there; or what was is taken away, by the first half of a step or by somebody.
        if target == nil, isSame(to, waiting) { return from == nil ? .ready : .vacated }
        let isDone = from == nil ? !isSame(to, waiting) : isSame(from, gone)
        if isDone || isSame(to, target) { return .done }
        guard let target else { return to == nil ? .done : .foreign }
        // A directory that was made anew serves as well.
        return record.action == .remove && to?.kind == .directory && target.kind == .directory
            ? .done : .foreign
    }

    func ends(_ record: JournalRecord, _ direction: Direction) -> (from: Witness?, to: Witness?) {
        switch direction {
        case .forward: (record.before, record.after)
        case .backward: (record.after, record.before)
        }
    }

    func attempt<Result>(
        _ record: JournalRecord, _ body: () throws(KernelError) -> Result
    ) throws(TransactionFailure) -> Result {
        do throws(KernelError) { return try body() } catch { throw failure(record, error) }
    }

    /// Brings one path from what it is to what it shall be.
    private func step(
        _ record: JournalRecord, _ direction: Direction, _ recovering: Bool
    ) throws(TransactionFailure) {
        let tree = try treeOf(record)
        let (from, to) = ends(record, direction)
        if recovering {
            switch try situation(record, direction, tree) {
            case .done: return
            case .foreign: throw conflict(record, "changed since the apply was interrupted")
            case .ready: break
            case .vacated:
                try place(record, direction, tree)
                return
            }
        }
        switch (from, to) {
        case (nil, nil): return
        case (nil, _?): try place(record, direction, tree)
        case (let from?, nil): try take(record, direction, tree, from)
        case (let from?, let to?): try replace(record, direction, tree, from, to)
        }
    }

    // MARK: - One path

    /// Puts the waiting object where nothing is.
    private func place(
        _ record: JournalRecord, _ direction: Direction, _ tree: TransactionTree
    ) throws(TransactionFailure) {
        let waiting = tree.incoming(record, direction)
        let name = Array(record.path.name)
        do throws(KernelError) {
            let parent = try tree.parent(of: record.path)
            if tree.exchanges {
                try calls.rename(waiting, in: tree.stagingNumber, to: name, in: parent.number, .onlyIfFree)
            } else {
                try placePlainly(waiting, tree, name, parent)
            }
        } catch {
            guard error.code != EEXIST else { throw conflict(record, "created on the host meanwhile") }
            throw failure(record, error)
        }
        tree.forget(record.path)
    }

    /// For file systems whose `rename` always replaces: a second name is only given where there is none.
    private func placePlainly(
        _ waiting: [UInt8], _ tree: TransactionTree, _ name: [UInt8], _ parent: HeldDirectory
    ) throws(KernelError) {
        let isDirectory = try tree.staging.child(waiting)?.kind == .directory
        if !isDirectory {
            do throws(KernelError) {
                try calls.link(waiting, in: tree.stagingNumber, to: name, in: parent.number)
                return try calls.remove(waiting, in: tree.stagingNumber, isDirectory: false)
            } catch { guard Transaction.meansNoLinks(error) else { throw error } }
        }
        guard try parent.tree.child(name) == nil else { throw KernelError(call: "rename", code: EEXIST) }
        try calls.rename(waiting, in: tree.stagingNumber, to: name, in: parent.number, .replacing)
    }

    private static func meansNoLinks(_ error: KernelError) -> Bool {
        [EPERM, EOPNOTSUPP, ENOSYS, EMLINK, EINVAL].contains(error.code)
    }

    /// Takes away what is there, and keeps it. A directory stays if something is in it.
    private func take(
        _ record: JournalRecord, _ direction: Direction, _ tree: TransactionTree, _ expected: Witness
    ) throws(TransactionFailure) {
        let name = Array(record.path.name)
        let kept = tree.outgoing(record, direction)
        let isDirectory = expected.kind == .directory
        let parent = try attempt(record) { () throws(KernelError) in try tree.parent(of: record.path) }
        let isKept = try attempt(record) { () throws(KernelError) -> Bool in
            if isDirectory, try !Transaction.isEmpty(name, in: parent.tree) { return true }
            if !tree.exchanges, !isDirectory {
                // A second name of the same file, which was about to be removed before a crash: a rename from one
                // to the other would do nothing.
                try calls.remove(kept, in: tree.stagingNumber, isDirectory: false)
            }
            try calls.rename(
                name, in: parent.number, to: kept, in: tree.stagingNumber,
                tree.exchanges ? .onlyIfFree : .replacing)
            return false
        }
        guard !isKept else { return keep(record) }
        tree.forget(record.path)
        let came = try attempt(record) { () throws(KernelError) in try tree.staging.child(kept) }
        let isRight = came.map { expected.isSame($0) } ?? false
        let isEmpty = try attempt(record) { () throws(KernelError) in
            guard isDirectory, isRight else { return true }
            return try Transaction.isEmpty(kept, in: tree.staging)
        }
        guard !isRight || !isEmpty else { return }
        try attempt(record) { () throws(KernelError) in
            try calls.rename(
                kept, in: tree.stagingNumber, to: name, in: parent.number,
                tree.exchanges ? .onlyIfFree : .replacing)
        }
        guard isRight else { throw changed(record) }
        keep(record)
    }

    private func keep(_ record: JournalRecord) {
        keptDirectories.append(Location(tree: record.tree, path: record.path))
    }

    private func changed(_ record: JournalRecord) -> TransactionFailure {
        conflict(record, "changed on the host meanwhile")
    }

    private static func isEmpty(_ name: [UInt8], in directory: borrowing Tree) throws(KernelError) -> Bool {
        try directory.directory(BytePath.root.appending(name)).names().isEmpty
    }

    /// Lets the waiting object and the one at the path change places.
    private func replace(
        _ record: JournalRecord, _ direction: Direction, _ tree: TransactionTree, _ from: Witness,
        _ to: Witness
    ) throws(TransactionFailure) {
        guard tree.exchanges else { return try replacePlainly(record, direction, tree, from, to) }
        let name = Array(record.path.name)
        let waiting = tree.incoming(record, direction)
        let parent = try attempt(record) { () throws(KernelError) in try tree.parent(of: record.path) }
        let exchange = { () throws(KernelError) in
            try self.calls.rename(
                waiting, in: tree.stagingNumber, to: name, in: parent.number, .exchanging)
        }
        do throws(KernelError) { try exchange() } catch {
            // It has gone.
            guard error.code != ENOENT else { throw changed(record) }
            throw failure(record, error)
        }
        tree.forget(record.path)
        let isRight = try attempt(record) { () throws(KernelError) in
            guard let came = try tree.staging.child(waiting), from.isSame(came) else { return false }
            guard from.kind == .directory else { return true }
            return try Transaction.isEmpty(waiting, in: tree.staging)
        }
        guard !isRight else { return }
        try attempt(record, exchange)
        throw from.kind == .directory
            ? conflict(record, "holds files that the agent did not see") : changed(record)
    }

    /// The same where names cannot be exchanged: the old object gets a second name, and then the new one its place.
    /// A directory has to be moved away first.
    private func replacePlainly(
        _ record: JournalRecord, _ direction: Direction, _ tree: TransactionTree, _ from: Witness,
        _ to: Witness
    ) throws(TransactionFailure) {
        let name = Array(record.path.name)
        let kept = tree.outgoing(record, direction)
        let parent = try attempt(record) { () throws(KernelError) in try tree.parent(of: record.path) }
        let isDirectory = from.kind == .directory || to.kind == .directory
        try attempt(record) { () throws(KernelError) in
            if !isDirectory {
                do throws(KernelError) {
                    return try calls.link(name, in: parent.number, to: kept, in: tree.stagingNumber)
                } catch {
                    // The name was given before a crash.
                    if error.code == EEXIST { return }
                    guard Transaction.meansNoLinks(error) else { throw error }
                }
            }
            try calls.rename(name, in: parent.number, to: kept, in: tree.stagingNumber, .replacing)
        }
        tree.forget(record.path)
        let isRight = try attempt(record) { () throws(KernelError) in
            guard let came = try tree.staging.child(kept), from.isSame(came) else { return false }
            guard from.kind == .directory else { return true }
            return try Transaction.isEmpty(kept, in: tree.staging)
        }
        guard isRight else {
            try attempt(record) { () throws(KernelError) in
                try calls.rename(kept, in: tree.stagingNumber, to: name, in: parent.number, .replacing)
                // Two names of one file stay as they are.
                try calls.remove(kept, in: tree.stagingNumber, isDirectory: false)
            }
            throw changed(record)
        }
        try attempt(record) { () throws(KernelError) in
            try calls.rename(
                tree.incoming(record, direction), in: tree.stagingNumber, to: name, in: parent.number,
                .replacing)
        }
    }
}
