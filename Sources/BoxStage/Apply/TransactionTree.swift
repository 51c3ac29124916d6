internal import BoxKernel
internal import BoxTypes
internal import CLinux
internal import Glibc

/// A directory of the host that stays open while a transaction works in it.
final class HeldDirectory {
    let path: BytePath
    let tree: Tree
    var number: CInt { tree.descriptor.number }

    init(_ path: BytePath, _ tree: consuming Tree) {
        self.path = path
        self.tree = tree
    }
}

/// One of the host's trees, with the place where its new objects wait and its old ones are kept.
final class TransactionTree {
    let index: Int
    let host: Tree
    /// The tree's directory itself.
    let root: Node
    let staging: Tree
    let place: Journal.Place
    private var held: HeldDirectory?

    var stagingNumber: CInt { staging.descriptor.number }
    var exchanges: Bool { !place.contains(.cannotExchange) }

    /// The staging place's name where it is in the project.
    static func projectName(_ session: String) -> [UInt8] { Array(".box-apply-\(session)".utf8) }
    /// Its name in the transaction's own directory.
    static func ownName(_ index: Int) -> [UInt8] { Array("objects-\(index)".utf8) }
    /// Where the objects are kept that the staging place in the project had.
    static func savedName(_ index: Int) -> [UInt8] { Array("saved-\(index)".utf8) }

    /// Opens the staging place that is known, or makes one.
    init(
        _ index: Int, _ host: consuming Tree, _ home: TransactionHome, session: String,
        _ known: Journal.Place, looksOnly: Bool, _ calls: TransactionCalls
    ) throws(KernelError) {
        self.index = index
        root = try Node.of(host.descriptor.number)
        var place = known
        let isNew = !known.contains(.isUsed) && !looksOnly
        if isNew {
            place = try TransactionTree.isSameMount(host.descriptor.number, home.number) ? [] : .inProject
        }
        let isOutside = place.contains(.inProject)
        let parent = isOutside ? host.descriptor.number : home.number
        let name = isOutside ? TransactionTree.projectName(session) : TransactionTree.ownName(index)
        if isNew {
            try calls.makeDirectory(name, in: parent)
            if isOutside { try calls.setModified([UInt8(ascii: ".")], in: parent, root.modified) }
        }
        let path = looksOnly ? BytePath.root : BytePath.root.appending(name)
        let staging = isOutside && !looksOnly ? try host.directory(path) : try home.directory.directory(path)
        if isNew {
            if try !TransactionTree.canExchange(staging.descriptor.number, calls) {
                place.insert(.cannotExchange)
            }
            place.insert(.isUsed)
        }
        self.place = place
        self.host = host
        self.staging = staging
    }

    /// Whether names can be moved from one directory to the other.
    private static func isSameMount(_ one: CInt, _ other: CInt) throws(KernelError) -> Bool {
        var (first, second): (UInt64, UInt64) = (0, 0)
        try unsafe check("statx", box_mount_id(one, &first))
        try unsafe check("statx", box_mount_id(other, &second))
        let (nodeOfFirst, nodeOfSecond) = (try Node.of(one), try Node.of(other))
        return first == second && nodeOfFirst.device == nodeOfSecond.device
    }

    /// Tries it: NFS and some others cannot.
    private static func canExchange(_ place: CInt, _ calls: TransactionCalls) throws(KernelError) -> Bool {
        let names = (Array("try-1".utf8), Array("try-2".utf8))
        _ = try calls.makeFile(names.0, in: place)
        _ = try calls.makeFile(names.1, in: place)
        var can = true
        do throws(KernelError) {
            try calls.rename(names.0, in: place, to: names.1, in: place, .exchanging)
        } catch {
            switch error.code {
            case EINVAL, ENOSYS, EOPNOTSUPP: can = false
            default: throw error
            }
        }
        try calls.remove(names.0, in: place, isDirectory: false)
        try calls.remove(names.1, in: place, isDirectory: false)
        return can
    }

    // MARK: - Places

    /// The directory that holds a path; it stays open for its neighbours.
    func parent(of path: BytePath) throws(KernelError) -> HeldDirectory {
        let parent = path.parent
        if let held, held.path == parent { return held }
        let opened = HeldDirectory(parent, Tree(try host.openDeep(parent, BOX_O_PATH | BOX_O_DIRECTORY)))
        held = opened
        return opened
    }

    /// The same; nil if there is no such directory.
    func parentIfAny(of path: BytePath) throws(KernelError) -> HeldDirectory? {
        do throws(KernelError) { return try parent(of: path) } catch {
            switch error.code {
            case ENOENT, ENOTDIR, ELOOP: return nil
            default: throw error
            }
        }
    }

    /// What is at a path; nil if nothing is.
    func node(_ path: BytePath) throws(KernelError) -> Node? {
        if path.bytes.isEmpty { return try Node.of(host.descriptor.number) }
        return try parentIfAny(of: path)?.tree.child(path.name)
    }

    /// An existing directory; nil if there is none.
    func directoryIfAny(_ path: BytePath) throws(KernelError) -> HeldDirectory? {
        guard try node(path)?.kind == .directory else { return nil }
        return HeldDirectory(path, Tree(try host.openDeep(path, BOX_O_PATH | BOX_O_DIRECTORY)))
    }

    /// A directory came or went: what is open may be another now.
    func forget(_ path: BytePath) {
        if let held, held.path.isSame(orBelow: path) { self.held = nil }
    }

    /// Calls with the directory and the name in it by which a path is changed.
    func place(of path: BytePath) throws(KernelError) -> (directory: CInt, name: [UInt8]) {
        if path.bytes.isEmpty { return (host.descriptor.number, [UInt8(ascii: ".")]) }
        return (try parent(of: path).number, Array(path.name))
    }

    // MARK: - Names in the staging place

    /// Where an object waits. Where names cannot be exchanged, the old one has a name of its own.
    func incoming(_ record: JournalRecord, _ direction: Transaction.Direction) -> [UInt8] {
        exchanges || direction == .forward ? name(record) : name(record) + [UInt8(ascii: "~")]
    }

    /// Where the object goes that stood at the path.
    func outgoing(_ record: JournalRecord, _ direction: Transaction.Direction) -> [UInt8] {
        exchanges || direction == .backward ? name(record) : name(record) + [UInt8(ascii: "~")]
    }

    private func name(_ record: JournalRecord) -> [UInt8] { Array(String(record.number).utf8) }
}
