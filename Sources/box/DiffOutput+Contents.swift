import BoxKernel
import BoxStage
import BoxTypes

/// The contents of one changed file, read as far as they are wanted.
struct DiffContents {
    /// One side's content of a regular file.
    enum Content {
        /// There is none: no file, or not one with contents.
        case none
        case bytes([UInt8])
        /// More than is read at once.
        case large(Int)
        /// What the agent started from is not known any more.
        case unknown(Int)

        var size: Int? {
            switch self {
            case .none: nil
            case .bytes(let bytes): bytes.count
            case .large(let size), .unknown(let size): size
            }
        }
    }

    private enum Side { case old, new }

    /// More than this of one file is never held.
    static let longest = 64 << 20
    /// More than this is not hashed: it would take longer than anybody waits.
    private static let longestHashed = 256 << 20

    private let change: Change
    private let walk: ChangeWalk

    init(_ change: Change, _ walk: ChangeWalk) {
        self.change = change
        self.walk = walk
    }

    private var hasOld: Bool { change.old?.kind == .file }
    private var hasNew: Bool { change.new?.kind == .file }
    /// Both sides, or one of them, are regular files whose contents differ.
    var isAboutContents: Bool { (hasOld || hasNew) && change.kind != .modeChanged && change.movedFrom == nil }

    /// What the agent started from.
    func old(limit: Int = longest) throws(StageError) -> Content {
        guard let node = change.old, node.kind == .file else { return .none }
        return try read(.old, limit) ?? .unknown(node.size)
    }

    /// What the agent made of it.
    func new(limit: Int = longest) throws(StageError) -> Content {
        guard hasNew else { return .none }
        return try read(.new, limit) ?? .none
    }

    /// What the host has now; none if that is no regular file.
    func host(limit: Int = longest) throws(StageError) -> Content {
        guard let file = try walk.openHost(change) else { return .none }
        return try content(file, limit)
    }

    private func open(_ side: Side) throws(StageError) -> Descriptor? {
        switch side {
        case .old: try walk.openOld(change)
        case .new: try walk.openNew(change)
        }
    }

    private func read(_ side: Side, _ limit: Int) throws(StageError) -> Content? {
        guard let file = try open(side) else { return nil }
        return try content(file, limit)
    }

    private func content(_ file: borrowing Descriptor, _ limit: Int) throws(StageError) -> Content {
        do throws(KernelError) {
            let size = try Node.of(file.number).size
            guard size <= limit else { return .large(size) }
            // It may grow while it is read.
            var all: [UInt8] = []
            all.reserveCapacity(size + 1)
            while all.count <= limit {
                let piece = try file.read(upTo: min(1 << 20, limit + 1 - all.count))
                if piece.isEmpty { return .bytes(all) }
                all += piece
            }
            return .large(try Node.of(file.number).size)
        } catch { throw failed(error) }
    }

    private func failed(_ error: KernelError) -> StageError {
        StageError("read \(change.path.escaped)", error)
    }

    /// Whether git would call one of the sides binary.
    func isBinary() throws(StageError) -> Bool {
        if hasNew, try isBinary(.new) { return true }
        return hasOld && change.kind != .modeChanged ? try isBinary(.old) : false
    }

    private func isBinary(_ side: Side) throws(StageError) -> Bool {
        guard let file = try open(side) else { return false }
        do throws(KernelError) { return Binary.isBinary(try file.read(upTo: Binary.prefix)) } catch {
            throw failed(error)
        }
    }

    /// The SHA-256 of both sides, as far as there are any.
    func digests() throws(StageError) -> (old: String?, new: String?) {
        (hasOld ? try digest(.old) : nil, hasNew ? try digest(.new) : nil)
    }

    private func digest(_ side: Side) throws(StageError) -> String? {
        guard let file = try open(side) else { return nil }
        do throws(KernelError) {
            guard try Node.of(file.number).size <= DiffContents.longestHashed else { return nil }
            var hash = RunningDigest()
            while true {
                let piece = try file.read(upTo: 1 << 20)
                if piece.isEmpty { return hash.finish() }
                hash.add(piece)
            }
        } catch { throw failed(error) }
    }

    /// What a line of `--stat` says.
    func amount() throws(StageError) -> DiffStat.Amount {
        let sizes = (change.old?.contentSize, change.new?.contentSize)
        // A link's target counts as one line, as in git.
        let links = (change.old?.kind == .link ? 1 : 0, change.new?.kind == .link ? 1 : 0)
        guard isAboutContents else { return .lines(added: links.1, removed: links.0) }
        if try isBinary() { return .bytes(old: sizes.0, new: sizes.1) }
        let (old, new) = (try old(), try new())
        guard let before = old.bytes, let after = new.bytes else { return .bytes(old: sizes.0, new: sizes.1) }
        let diff = LineDiff(old: before, new: after)
        return .lines(added: diff.added + links.1, removed: diff.removed + links.0)
    }
}

extension DiffContents.Content {
    /// The content; empty where there is none; nil where it is not known or too large.
    var bytes: [UInt8]? {
        switch self {
        case .none: []
        case .bytes(let bytes): bytes
        case .large, .unknown: nil
        }
    }
}

extension Node {
    /// The size of what the file or link contains; nil for all others.
    var contentSize: Int? { kind == .file || kind == .link ? size : nil }

    /// The name of a kind in the formats.
    var typeName: String {
        switch kind {
        case .file: "file"
        case .directory: "directory"
        case .link: "symlink"
        case .characterDevice: "character_device"
        case .blockDevice: "block_device"
        case .fifo: "fifo"
        case .socket: "socket"
        }
    }
}
