import BoxKernel
import BoxTypes
internal import Glibc

/// A directory of the original and its copy, open as long as somebody works in it.
final class CopyDirectory: Sendable {
    let path: BytePath
    let source: Tree
    let target: Tree

    init(path: BytePath, source: consuming Tree, target: consuming Tree) {
        self.path = path
        self.source = source
        self.target = target
    }
}

/// Files and links of one directory that a worker copies; their numbers follow each other.
struct CopyBatch: Sendable {
    static let most = 32
    let directory: CopyDirectory
    let listing: Listing
    var entries: [Listing.Entry] = []
    let first: CopyPlace
}

/// Goes through the original in the order of the paths, on one thread: makes directories, gives every entry a number,
/// and hands files and links out in batches.
final class CopyWalk {
    private struct Frame {
        let path: BytePath
        let listing: Listing
        var next = 0
        /// Everything below is copied, not only what is on the way to a part.
        let isWhole: Bool
        var directory: CopyDirectory?
    }

    let names: CopyNames
    /// Those that were made, outermost first.
    private(set) var directories: [CopyPlace] = []
    /// The project itself, as it was at the beginning.
    private(set) var root: Node?
    private let work: CopyWork
    private let selection: CopySelection
    private var unmet: Set<BytePath>
    private var frames: [Frame] = []
    private var batch: CopyBatch?
    private var slot = 0
    /// Deeper than this, a directory that is being gone through is not kept open, so that depth does not use up the
    /// descriptors of the process.
    private static let openDepth = 64

    init(work: CopyWork, selection: CopySelection, names: CopyNames) {
        self.work = work
        self.selection = selection
        self.names = names
        unmet = selection.only
    }

    /// Goes through everything; ends early if `add` does not want more.
    func run(_ add: (CopyBatch) -> Bool) throws(StageError) {
        try enter(.root, isWhole: selection.only.isEmpty)
        while let frame = frames.last {
            guard frame.next < frame.listing.entries.count else {
                guard flush(add) else { return }
                frames.removeLast()
                continue
            }
            frames[frames.count - 1].next += 1
            let entry = frame.listing.entries[frame.next]
            let path = frame.path.appending(frame.listing.name(entry))
            let reach = selection.reach(path, isWhole: frame.isWhole)
            if reach == .none { continue }
            unmet.remove(path)
            guard try visit(entry, path, reach, add) else { return }
        }
    }

    /// What has to be so after the walk.
    func finish() throws(StageError) {
        if let missing = unmet.min() {
            throw StageError("copy \(missing.escaped)", reason: "the project has no such file or directory")
        }
        do throws(KernelError) { try names.flush() } catch {
            throw StageError("write the copy's names", error)
        }
    }
}

extension CopyWalk {
    private func visit(
        _ entry: Listing.Entry, _ path: BytePath, _ reach: CopySelection.Reach, _ add: (CopyBatch) -> Bool
    ) throws(StageError) -> Bool {
        switch entry.kind {
        case .directory:
            guard flush(add) else { return false }
            try enter(path, isWhole: reach == .whole)
        case .file, .link:
            // Part of the way to a part, and no directory: the part cannot be there.
            guard reach == .whole else { return true }
            do throws(KernelError) { try append(entry, path) } catch { throw CopyWork.failure(path, error) }
            if let batch, batch.entries.count >= CopyBatch.most { return flush(add) }
        case .characterDevice, .blockDevice, .fifo, .socket:
            work.count { $0.specialFiles += 1 }
        }
        return true
    }

    private func append(_ entry: Listing.Entry, _ path: BytePath) throws(KernelError) {
        if batch == nil {
            let at = frames.count - 1
            let directory: CopyDirectory
            if let open = frames[at].directory {
                directory = open
            } else {
                directory = try work.reopen(frames[at].path)
                frames[at].directory = directory
            }
            batch = CopyBatch(
                directory: directory, listing: frames[at].listing,
                first: CopyPlace(slot: slot, offset: names.end))
        }
        try names.add(path)
        slot += 1
        batch?.entries.append(entry)
    }

    private func flush(_ add: (CopyBatch) -> Bool) -> Bool {
        guard let full = batch else { return true }
        batch = nil
        return add(full)
    }

    /// Makes the copy of a directory and goes on in it, unless it is none any more.
    private func enter(_ path: BytePath, isWhole: Bool) throws(StageError) {
        do throws(KernelError) { try enterDirectory(path, isWhole) } catch {
            throw CopyWork.failure(path, error)
        }
    }

    private func enterDirectory(_ path: BytePath, _ isWhole: Bool) throws(KernelError) {
        guard let made = try work.makeDirectory(path) else { return }
        if path.bytes.isEmpty {
            root = made.entry.node
        } else {
            directories.append(CopyPlace(slot: slot, offset: names.end))
            try names.add(path)
            try work.ledger.write([made.entry], from: slot)
            slot += 1
        }
        if frames.count > CopyWalk.openDepth { frames[frames.count - 1].directory = nil }
        frames.append(
            Frame(path: path, listing: made.listing, isWhole: isWhole, directory: made.directory))
    }
}
