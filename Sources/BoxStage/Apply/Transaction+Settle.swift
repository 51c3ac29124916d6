internal import BoxKernel
internal import BoxTypes
internal import Glibc

/// Modes and times of directories, before and after the steps.
extension Transaction {
    /// The owner's permissions that work in a directory needs.
    static let open: UInt32 = 0o700

    /// Opens directories to the owner that are closed to him, for as long as the steps take.
    func unlock(_ direction: Direction) throws(TransactionFailure) {
        guard journal.header.isUnlocking else { return }
        try forEach(.forward) { (record) throws(TransactionFailure) in
            let isMade = record.action == .put && record.after?.kind == .directory
            guard record.isUnlocked || (isMade && direction == .backward) else { return }
            let tree = try self.treeOf(record)
            try self.attempt(record) { () throws(KernelError) in
                // A directory that the transaction makes or has removed is not there yet.
                guard let node = try tree.node(record.path), node.kind == .directory,
                    node.mode & Transaction.open != Transaction.open,
                    [record.before?.inode, record.after?.inode].contains(node.inode)
                else { return }
                let (directory, name) = try tree.place(of: record.path)
                try self.calls.setMode(name, in: directory, node.mode | Transaction.open)
            }
        }
    }

    /// Gives directories the modes and times that they shall have, from the inside.
    func settle(_ direction: Direction) throws(TransactionFailure) {
        try forEach(.backward) { (record) throws(TransactionFailure) in
            let (from, to) = self.ends(record, direction)
            // One that should have gone may have stayed.
            guard let goal = to ?? (record.action == .directory ? nil : from), goal.kind == .directory
            else { return }
            let hasNewTime =
                switch record.action {
                case .directory: record.isTouched && direction == .backward && !self.isChanged(record)
                case .put, .remove: to != nil
                case .settle: false
                }
            let hasNewMode =
                switch record.action {
                case .directory: record.isUnlocked || from?.mode != goal.mode
                case .put: true
                case .remove: record.isUnlocked
                case .settle: false
                }
            guard hasNewTime || hasNewMode else { return }
            let tree = try self.treeOf(record)
            try self.attempt(record) { () throws(KernelError) in
                guard let node = try tree.node(record.path), goal.isSame(node) else { return }
                let (directory, name) = try tree.place(of: record.path)
                if hasNewTime, node.modified != goal.modified {
                    try self.calls.setModified(name, in: directory, goal.modified)
                }
                if hasNewMode, node.mode != goal.mode {
                    try self.calls.setMode(name, in: directory, goal.mode)
                }
            }
        }
    }

    private func isChanged(_ record: JournalRecord) -> Bool {
        changedDirectories.contains(Location(tree: record.tree, path: record.path))
    }
}
