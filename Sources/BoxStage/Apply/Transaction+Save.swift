internal import BoxKernel
internal import BoxTypes
internal import CLinux
internal import Glibc

/// Where the stage is on another file system than the project, what an undo needs is copied out of the project after
/// the commit, and back for the undo.
extension Transaction {
    /// Keeps what was replaced and removed.
    func save() throws(StageError) {
        for tree in try usedTrees() where tree.place.contains(.inProject) {
            let name = TransactionTree.savedName(tree.index)
            do throws(KernelError) { try calls.elsewhere("remove") } catch {
                throw StageError("keep what can be undone", error)
            }
            try TreeRemoval.remove(name, in: home.directory)
            let saved: Tree
            do throws(KernelError) {
                try calls.makeDirectory(name, in: home.number)
                saved = try home.directory.directory(BytePath.root.appending(name))
            } catch { throw StageError("keep what can be undone", error) }
            let copies = ObjectCopies(calls: calls, place: saved)
            try journal.forEach(.forward, { $0 }) { (record) throws(StageError) in
                guard record.tree == tree.index, record.before != nil, record.action != .directory
                else { return }
                do throws(KernelError) {
                    let old = tree.outgoing(record, .forward)
                    // A directory that stayed.
                    guard try tree.staging.child(old) != nil else { return }
                    try copies.take(old, tree.staging, Transaction.savedName(record))
                } catch { throw Transaction.error(stage, record.tree, record.path, error) }
            }
        }
        do throws(KernelError) { try calls.syncAll(home.number) } catch {
            throw StageError("keep what can be undone", error)
        }
    }

    private static func savedName(_ record: JournalRecord) -> [UInt8] { Array(String(record.number).utf8) }

    /// Makes the staging places in the projects again, with what was kept, and a journal that knows the new objects.
    func restage() throws(StageError) {
        let name = Array("journal.new".utf8)
        var old: [Int: ObjectCopies] = [:]
        do throws(KernelError) {
            try calls.remove(name, in: home.number, isDirectory: false)
            for index in stage.roots.indices where journal.header.places[index].contains(.inProject) {
                old[index] = try makeStaging(index)
            }
            let fresh = try Journal.make(in: home.number, name: name, emptyHeader, calls)
            try copyRecords(to: fresh, old)
            for index in old.keys { try calls.syncAll(try treeOrFailure(index).stagingNumber) }
            try fresh.seal(.undoing, calls)
            try calls.rename(name, in: home.number, to: Journal.fileName, in: home.number, .replacing)
            try calls.sync(home.number)
            journal = fresh
        } catch { throw StageError("prepare the undo", error) }
    }

    private var emptyHeader: Journal.Header {
        var header = journal.header
        header.state = .restaging
        header.count = 0
        return header
    }

    private func treeOrFailure(_ index: Int) throws(KernelError) -> TransactionTree {
        do throws(StageError) { return try tree(index) } catch {
            throw KernelError(call: error.description, code: EIO)
        }
    }

    private func makeStaging(_ index: Int) throws(KernelError) -> ObjectCopies {
        do throws(StageError) {
            let host = try stage.openHost(index)
            do throws(KernelError) {
                let number = host.descriptor.number
                try calls.makeDirectory(TransactionTree.projectName(stage.session), in: number)
                try calls.setModified([UInt8(ascii: ".")], in: number, journal.header.rootTimes[index])
            } catch { throw Transaction.error(stage, index, .root, error) }
        } catch { throw KernelError(call: error.description, code: EIO) }
        let name = BytePath.root.appending(TransactionTree.savedName(index))
        return ObjectCopies(calls: calls, place: try home.directory.directory(name))
    }

    private func copyRecords(to fresh: Journal, _ old: [Int: ObjectCopies]) throws(KernelError) {
        do throws(TransactionFailure) {
            try forEach(.forward) { (record) throws(TransactionFailure) in
                var record = record
                try self.attempt(record) { () throws(KernelError) in
                    if let copies = old[record.tree], record.before != nil, record.action != .directory {
                        let tree = try self.treeOrFailure(record.tree)
                        let name = tree.incoming(record, .backward)
                        if let made = try copies.give(Transaction.savedName(record), tree.staging, name) {
                            // A directory's mode and time are what they were before it was emptied.
                            if made.kind == .directory {
                                record.before?.inode = made.inode
                            } else {
                                record.before = Witness(made)
                            }
                            record.isUnlocked = made.kind == .directory
                            if record.isUnlocked { fresh.header.isUnlocking = true }
                        }
                    }
                    if let stand = self.stand[Location(tree: record.tree, path: record.path)] {
                        record.after = stand
                    }
                    try fresh.append(record, self.calls)
                }
            }
        } catch { throw KernelError(call: error.stageError.description, code: EIO) }
    }
}

/// Whole copies of files, links and empty directories, with what belongs to them.
private final class ObjectCopies {
    private let calls: TransactionCalls
    private let place: Tree

    init(calls: TransactionCalls, place: consuming Tree) {
        self.calls = calls
        self.place = place
    }

    /// The name of the list of an object's extended attributes: the stage's file system may not have them.
    private func attributes(of name: [UInt8]) -> [UInt8] { name + Array(".attributes".utf8) }

    /// Copies an object into the place.
    func take(_ name: [UInt8], _ from: borrowing Tree, _ newName: [UInt8]) throws(KernelError) {
        guard let node = try from.child(name) else { return }
        try copy(name, from, newName, place, node, [])
        guard node.kind != .link else { return }
        let source = try open(name, from, node)
        let list = try ExtendedAttributes.read(source.number)
        guard !list.isEmpty else { return }
        var writer = WireWriter()
        writer.write(list) { writer, attribute in
            writer.write(attribute.name)
            writer.write(attribute.value)
        }
        let file = try calls.makeFile(attributes(of: newName), in: place.descriptor.number)
        try calls.write(writer.bytes, to: file)
    }

    /// Copies an object out of the place again; nil if it is not there.
    func give(
        _ name: [UInt8], _ to: borrowing Tree, _ newName: [UInt8]
    ) throws(KernelError) -> Node? {
        guard let node = try place.child(name) else { return nil }
        let hasList = try place.child(attributes(of: name)) != nil
        try copy(name, place, newName, to, node, hasList ? try kept(name) : [])
        return try to.child(newName)
    }

    private func kept(_ name: [UInt8]) throws(KernelError) -> [ExtendedAttributes] {
        let file = try place.open(BytePath.root.appending(attributes(of: name)), O_RDONLY)
        var reader = WireReader(try file.readAll(limit: 64 << 20))
        do throws(WireError) {
            return try reader.list { (reader: inout WireReader) throws(WireError) in
                let name = try reader.data()
                return ExtendedAttributes(name: name, value: try reader.data())
            }
        } catch { throw KernelError(call: "read attributes", code: EIO) }
    }

    private func open(
        _ name: [UInt8], _ from: borrowing Tree, _ node: Node
    ) throws(KernelError) -> Descriptor {
        let path = BytePath.root.appending(name)
        do throws(KernelError) { return try from.open(path, O_RDONLY) } catch {
            guard error.code == EACCES else { throw error }
            // Its mode keeps its owner out, too.
            let number = from.descriptor.number
            try calls.setMode(name, in: number, node.mode | 0o400)
            let file = try from.open(path, O_RDONLY)
            try calls.setMode(name, in: number, node.mode)
            return file
        }
    }

    private func copy(
        _ name: [UInt8], _ from: borrowing Tree, _ newName: [UInt8], _ to: borrowing Tree, _ node: Node,
        _ attributes: [ExtendedAttributes]
    ) throws(KernelError) {
        let directory = to.descriptor.number
        switch node.kind {
        case .link:
            try calls.makeLink(newName, to: try from.linkTarget(name), in: directory)
        case .directory:
            try calls.makeDirectory(newName, in: directory)
        case .file:
            let file = try calls.makeFile(newName, in: directory)
            let source = try open(name, from, node)
            try calls.copy(from: source.number, to: file.number, size: node.size)
        case .characterDevice, .blockDevice, .fifo, .socket:
            // What stood on the host and was removed.
            throw KernelError(call: "copy", code: EOPNOTSUPP)
        }
        // Before the mode, which may forbid to change anything; and an owner that changes takes set-id bits away.
        if !attributes.isEmpty {
            let made = try to.open(BytePath.root.appending(newName), O_RDONLY)
            for attribute in attributes {
                try calls.setAttribute(attribute.name, attribute.value, of: made.number)
            }
        }
        if geteuid() == 0 {
            try calls.setOwner(newName, in: directory, uid: node.uid, gid: node.gid)
        }
        if node.kind != .link { try calls.setMode(newName, in: directory, node.mode) }
        try calls.setModified(newName, in: directory, node.modified)
    }
}

/// One extended attribute that a file of the user's own can have.
private struct ExtendedAttributes {
    var name: [UInt8]
    var value: [UInt8]

    /// All of an open file that its owner can give it again.
    static func read(_ file: CInt) throws(KernelError) -> [ExtendedAttributes] {
        let prefixes =
            ["user.", "system.posix_acl_"] + (geteuid() == 0 ? ["trusted.", "security.capability"] : [])
        let names: [UInt8]
        do throws(KernelError) {
            names = try unsafe sized { unsafe box_list_xattrs(file, $0, $1) }
        } catch {
            guard error.code == EOPNOTSUPP else { throw error }
            return []
        }
        var all: [ExtendedAttributes] = []
        for name in names.split(separator: 0) where prefixes.contains(where: { name.starts(with: $0.utf8) }) {
            let value = try unsafe sized { buffer, size in
                unsafe withCName(name) { unsafe box_get_xattr(file, $0, buffer, size) }
            }
            all.append(ExtendedAttributes(name: Array(name), value: value))
        }
        return all
    }

    private static func sized(
        _ call: (UnsafeMutablePointer<CChar>?, Int) -> Int
    ) throws(KernelError) -> [UInt8] {
        let size = try check("getxattr", call(nil, 0))
        var bytes = [CChar](repeating: 0, count: size)
        let got = try unsafe check("getxattr", call(&bytes, size))
        return bytes.prefix(got).map { UInt8(bitPattern: $0) }
    }
}
