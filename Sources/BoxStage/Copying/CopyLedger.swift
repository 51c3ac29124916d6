import BoxKernel
import BoxTypes
internal import Glibc

/// What was copied at one place of the walk.
struct CopiedEntry: Sendable, BitwiseCopyable {
    enum State: UInt8, Sendable, BitwiseCopyable {
        /// It was left out or had vanished.
        case absent
        case copied
    }
    var state: State
    /// The original.
    var node: Node
    /// The copy, of a regular file.
    var stamp: BaseRecord.Stamp
}

/// One entry of the walk: its number in the ledger, and where its path lies in the names.
struct CopyPlace: Sendable {
    var slot: Int
    var offset: Int
}

/// What was copied, by the number that the walk gave each entry: a file, because there may be millions, written by
/// all workers. It has no name and goes with its descriptor.
struct CopyLedger: ~Copyable {
    private let file: Descriptor
    private static let size = MemoryLayout<CopiedEntry>.stride

    init(beside target: String) throws(KernelError) { file = try unnamedFile("\(target).ledger") }

    /// Stores entries whose numbers follow each other.
    borrowing func write(_ entries: [CopiedEntry], from slot: Int) throws(KernelError) {
        var done = 0
        let count = entries.count * CopyLedger.size
        while done < count {
            let wrote = unsafe entries.withUnsafeBytes { raw in
                retry {
                    unsafe pwrite(
                        file.number, raw.baseAddress.map { unsafe $0 + done }, count - done,
                        slot * CopyLedger.size + done)
                }
            }
            done += try check("pwrite", wrote)
        }
    }

    /// At most `count` entries from a number on; what was never stored is absent.
    borrowing func read(_ count: Int, from slot: Int) throws(KernelError) -> [CopiedEntry] {
        let empty = CopiedEntry(
            state: .absent, node: Node(kind: .file), stamp: BaseRecord.Stamp(Node(kind: .file)))
        var entries = [CopiedEntry](repeating: empty, count: count)
        var done = 0
        while done < count * CopyLedger.size {
            // These bytes are such values: `write` put them there, and a hole is zeros, which is `absent`.
            let got = unsafe entries.withUnsafeMutableBytes { raw in
                retry {
                    unsafe pread(
                        file.number, raw.baseAddress.map { unsafe $0 + done }, raw.count - done,
                        slot * CopyLedger.size + done)
                }
            }
            guard try check("pread", got) > 0 else { break }
            done += got
        }
        return entries
    }
}

/// The paths of a walk in its order, in a file without a name.
final class CopyNames {
    private let file: Descriptor
    private var buffer: [UInt8] = []
    private var written = 0
    private static let room = 64 << 10
    private let target: String

    init(beside target: String) throws(StageError) {
        self.target = target
        do throws(KernelError) { file = try unnamedFile("\(target).names") } catch {
            throw StageError("make the copy's directory", error)
        }
    }

    /// Where the next path will lie.
    var end: Int { written + buffer.count }

    /// How many bytes a path takes.
    static func size(_ length: Int) -> Int { length + 2 }

    /// Adds a path, which is no longer than the kernel takes, so that its length fits in two bytes.
    func add(_ path: BytePath) throws(KernelError) {
        guard path.bytes.count < 4096 else { throw KernelError(call: "openat2", code: ENAMETOOLONG) }
        buffer.append(UInt8(path.bytes.count & 0xFF))
        buffer.append(UInt8(path.bytes.count >> 8))
        buffer += path.bytes
        if buffer.count >= CopyNames.room { try flush() }
    }

    func flush() throws(KernelError) {
        try file.write(all: buffer)
        written += buffer.count
        buffer.removeAll(keepingCapacity: true)
    }

    /// One path, after `flush`.
    func path(at offset: Int) throws(KernelError) -> BytePath {
        let head = try bytes(at: offset, 2)
        let length = Int(head[0]) | Int(head[1]) << 8
        return try path(try bytes(at: offset + 2, length)[...])
    }

    private func path(_ bytes: ArraySlice<UInt8>) throws(KernelError) -> BytePath {
        guard let path = BytePath(Array(bytes)) else { throw KernelError(call: "pread", code: EIO) }
        return path
    }

    private func bytes(at offset: Int, _ count: Int) throws(KernelError) -> [UInt8] {
        var all = [UInt8](repeating: 0, count: count)
        let got = retry { unsafe pread(file.number, &all, count, offset) }
        guard try check("pread", got) == count else { throw KernelError(call: "pread", code: EIO) }
        return all
    }

    /// All paths in their order, after `flush`.
    func forEach(_ body: (BytePath) throws(StageError) -> Void) throws(StageError) {
        var rest: ArraySlice<UInt8> = []
        var offset = 0
        while offset < written || !rest.isEmpty {
            do throws(KernelError) {
                if offset < written {
                    let more = min(CopyNames.room, written - offset)
                    rest = (Array(rest) + (try bytes(at: offset, more)))[...]
                    offset += more
                }
            } catch { throw StageError("read the copy's names", error) }
            while let path = try next(&rest) { try body(path) }
        }
    }

    private func next(_ rest: inout ArraySlice<UInt8>) throws(StageError) -> BytePath? {
        guard rest.count >= 2 else { return nil }
        let length = Int(rest[rest.startIndex]) | Int(rest[rest.startIndex + 1]) << 8
        guard rest.count >= 2 + length else { return nil }
        let bytes = rest.dropFirst(2).prefix(length)
        rest = rest.dropFirst(2 + length)
        do throws(KernelError) { return try path(bytes) } catch {
            throw StageError("read the copy's names", error)
        }
    }
}

/// A file that only its descriptor leads to. The name is free, because the directory is box's own.
private func unnamedFile(_ path: String) throws(KernelError) -> Descriptor {
    let file = try Descriptor.open(path, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: 0o600)
    try check("unlink", unsafe unlink(path), path)
    return file
}
