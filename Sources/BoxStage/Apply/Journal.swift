package import BoxKernel
package import BoxTypes
internal import Glibc

/// What a file, link or directory is known by: enough to tell it from any other, and from itself changed.
package struct Witness: Equatable, Sendable {
    package var kind: Node.Kind
    /// 07777.
    package var mode: UInt32
    package var uid: UInt32
    package var gid: UInt32
    package var inode: UInt64
    package var size: Int
    package var modified: Node.Time
    package var changed: Node.Time

    package init(_ node: Node) {
        kind = node.kind
        mode = node.mode
        uid = node.uid
        gid = node.gid
        inode = node.inode
        size = node.size
        modified = node.modified
        changed = node.changed
    }

    /// Whether a node is this very object with this content. Renaming changes `changed`, so it does not count; and a
    /// directory's content is what is below it.
    package func isSame(_ node: Node) -> Bool {
        guard node.kind == kind, node.inode == inode else { return false }
        return kind == .directory || (node.size == size && node.modified == modified && node.mode == mode)
    }

    /// Whether nobody has done anything to it.
    package func isUntouched(_ node: Node) -> Bool {
        guard isSame(node), node.mode == mode, node.uid == uid, node.gid == gid else { return false }
        return kind == .directory || node.changed == changed
    }
}

/// One thing that a transaction does to a path of the host.
package struct JournalRecord: Equatable, Sendable {
    package enum Action: UInt8, Sendable, CaseIterable {
        /// `after` comes where `before` was or nothing.
        case put
        /// `before` goes. A directory goes only if it is empty then.
        case remove
        /// The directory stays; its mode may change, and what is in it.
        case directory
        /// The host stays as it is, by the user's decision; only the stage learns of it.
        case settle
    }

    /// The object's name in the staging place.
    package var number: Int
    package var tree: Int
    package var path: BytePath
    package var action: Action
    package var before: Witness?
    package var after: Witness?
    /// An existing directory: names in it come or go, so its time of change does as well.
    package var isTouched = false
    /// A directory that does not let its owner change it: it is opened for as long as the transaction works in it.
    package var isUnlocked = false
    /// The stage's base has a record for the path afterwards; `base` is what it had before.
    package var isChange = false
    package var base: BaseRecord?
    /// What the agent has, where the whole of it was taken or merged, and its mode with the bits that are not taken.
    package var agent: BaseRecord.Stamp?
    package var agentMode: UInt32?
    /// What the stage's base has afterwards, where that is not what the host has.
    package var settled: BaseRecord?

    package init(number: Int, tree: Int, path: BytePath, action: Action) {
        self.number = number
        self.tree = tree
        self.path = path
        self.action = action
    }
}

/// A transaction's journal: a header that says how far it is, and what it does, in the order of paths.
///
/// The records are written once, before anything of the host is touched; whether a step was done is seen at the host.
/// So the header's state, one byte, is all that changes later.
package final class Journal {
    package enum State: UInt8, Sendable, CaseIterable {
        /// New objects are being made; the host is untouched.
        case preparing
        /// All is made; the host is untouched.
        case prepared
        case committing
        /// All is done; the staging place in the project is being taken away.
        case clearing
        case committed
        case rollingBack
        /// A committed transaction: its inverse is being made ready; the host is untouched.
        case restaging
        case undoing
        /// All is as it was before.
        case undone
    }

    /// What may differ from one tree's file system to another's.
    package struct Place: OptionSet, Sendable {
        package let rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }
        /// The staging place is in the project: the stage is on another file system.
        package static let inProject = Place(rawValue: 1)
        /// Two names cannot be exchanged in one step.
        package static let cannotExchange = Place(rawValue: 2)
        package static let isUsed = Place(rawValue: 4)
    }

    package struct Header: Equatable, Sendable {
        package var state = State.preparing
        package var isUnlocking = false
        /// Counts the transactions of a stage.
        package var sequence: UInt64 = 1
        package var count = 0
        /// When it was committed.
        package var finished = Node.Time(seconds: 0, nanoseconds: 0)
        /// How many files, links and directories of the review were taken.
        package var applied = 0
        package var leftOut = 0
        package var places: [Place] = []
        /// The time of change that a tree's own directory has without a staging place in it.
        package var rootTimes: [Node.Time] = []

        /// What lies under the name of what can be undone is committed; an undo that ended before its first step has
        /// touched nothing.
        var isUndoable: Bool { state == .committed || state == .undoing || state == .restaging }
    }

    static let fileName = Array("journal".utf8)
    static let stateOffset = 16
    static let headerSize = 512
    private static let magic = Array("box-jrnl".utf8)
    private static let version: UInt64 = 1

    let file: Descriptor
    package internal(set) var header: Header
    /// Where the records end.
    var end: Int
    private var waiting: [UInt8] = []

    private init(_ file: consuming Descriptor, _ header: Header, end: Int) {
        self.file = file
        self.header = header
        self.end = end
    }

    /// Begins a journal in a directory.
    static func make(
        in directory: CInt, name: [UInt8] = fileName, _ header: Header, _ calls: TransactionCalls
    ) throws(KernelError) -> Journal {
        let journal = Journal(try calls.makeFile(name, in: directory), header, end: headerSize)
        try calls.write(journal.headerBytes, to: journal.file, at: 0)
        return journal
    }

    /// Adds a record; it reaches the file by and by.
    func append(_ record: JournalRecord, _ calls: TransactionCalls) throws(KernelError) {
        var writer = WireWriter()
        record.write(to: &writer)
        // The length stands at both ends, so that the file can be read from either.
        let length = Journal.bytes(UInt32(writer.bytes.count))
        waiting += length
        waiting += writer.bytes
        waiting += length
        header.count += 1
        if waiting.count > 1 << 18 { try flush(calls) }
    }

    private func flush(_ calls: TransactionCalls) throws(KernelError) {
        guard !waiting.isEmpty else { return }
        try calls.write(waiting, to: file, at: end)
        end += waiting.count
        waiting.removeAll(keepingCapacity: true)
    }

    /// Writes everything to the disk with a new state.
    func seal(_ state: State, _ calls: TransactionCalls) throws(KernelError) {
        try flush(calls)
        header.state = state
        // The header counts only with its state, and both lie in one sector.
        try calls.sync(file.number)
        try calls.write(headerBytes, to: file, at: 0)
        try calls.sync(file.number)
    }

    /// Goes into another state, on the disk when this returns.
    func set(_ state: State, _ calls: TransactionCalls) throws(KernelError) {
        try calls.write([state.rawValue], to: file, at: Journal.stateOffset)
        try calls.sync(file.number)
        header.state = state
    }

    static func bytes(_ value: UInt32) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * UInt32($0))) }
    }

    private var headerBytes: [UInt8] {
        var writer = WireWriter()
        writer.write(Journal.version)
        writer.write(header.state.rawValue)
        writer.write(header.isUnlocking)
        writer.write(header.sequence)
        writer.write(header.count)
        writer.write(end)
        writer.write(header.finished.seconds)
        writer.write(header.finished.nanoseconds)
        writer.write(header.applied)
        writer.write(header.leftOut)
        writer.write(header.places.map(\.rawValue))
        writer.write(header.rootTimes) { $0.write($1) }
        let bytes = Journal.magic + writer.bytes
        return bytes + [UInt8](repeating: 0, count: Journal.headerSize - bytes.count)
    }

    /// Opens the journal of a directory; nil if there is none.
    static func open(in directory: borrowing Tree) throws(StageError) -> Journal? {
        let step = "read the journal of the last apply"
        do throws(KernelError) {
            guard try directory.child(fileName) != nil else { return nil }
            let file = try directory.open(BytePath.root.appending(fileName), O_RDWR)
            let head = try file.read(upTo: headerSize)
            // It ended before it had a beginning.
            guard !head.isEmpty else { return nil }
            let (header, end) = try read(head)
            return Journal(file, header, end: end)
        } catch { throw StageError(step, error) }
    }

    private static func read(_ bytes: [UInt8]) throws(KernelError) -> (Header, end: Int) {
        do throws(WireError) { return try parse(bytes) } catch {
            throw KernelError(call: "its beginning is damaged (\(error))", code: EBADMSG)
        }
    }

    private static func parse(_ bytes: [UInt8]) throws(WireError) -> (Header, end: Int) {
        var reader = WireReader(Array(bytes.dropFirst(magic.count)))
        guard bytes.starts(with: magic) else { throw reader.malformed("start") }
        guard try reader.unsigned() == version else { throw reader.malformed("version") }
        var header = Header()
        guard let state = State(rawValue: try reader.byte()) else { throw reader.malformed("state") }
        header.state = state
        header.isUnlocking = try reader.bool()
        header.sequence = try reader.unsigned()
        header.count = try reader.int()
        let end = try reader.int()
        header.finished.seconds = try reader.int()
        header.finished.nanoseconds = try reader.int()
        header.applied = try reader.int()
        header.leftOut = try reader.int()
        header.places = try reader.data().map { Place(rawValue: $0) }
        header.rootTimes = try reader.list { (reader: inout WireReader) throws(WireError) in
            try Node.Time(from: &reader)
        }
        guard header.rootTimes.count == header.places.count else { throw reader.malformed("trees") }
        return (header, end)
    }
}
