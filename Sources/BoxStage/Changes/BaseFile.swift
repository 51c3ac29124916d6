internal import BoxKernel
internal import BoxTypes
internal import Glibc

/// A tree's `base`: its `BaseRecord`s in the order of their paths.
///
/// A header, then records, each with its length and a checksum before it, then a trailer with their number. A record has
/// of its path only what differs from the one before, so that deep trees cost no more than wide ones. The file is
/// replaced as a whole, and a reader that finds it cut off, changed or out of order says so.
package enum BaseFile {
    static let header = Array("box base 1\n".utf8)
    /// The length that stands before the trailer.
    static let trailer = UInt32.max
    /// No record is longer: a path, a link's target and some numbers.
    static let longest = 64 << 20

    /// FNV-1a, for damage and not for enemies: the file lies where the agent cannot write.
    static func checksum(_ bytes: some Sequence<UInt8>) -> UInt32 {
        var sum: UInt32 = 2_166_136_261
        for byte in bytes { sum = (sum ^ UInt32(byte)) &* 16_777_619 }
        return sum
    }

    static func little(_ value: UInt32) -> [UInt8] {
        [0, 8, 16, 24].map { UInt8(truncatingIfNeeded: value >> $0) }
    }

    /// Puts records in the place of those with the same paths, or adds them, after an apply; durable when it returns.
    ///
    /// A directory that was recorded with everything below stays so, and directories above the paths are recorded as the
    /// host has them now. Regular files of which the agent's whole content was taken should have their `copy`, which
    /// saves comparing them; with a part of it taken, they must have none. With `hasRemovals` each directory that was
    /// removed has a record among these, so that what else is gone was the host's doing and stays recorded as it was.
    package static func replace(
        _ stage: Stage, _ tree: Int, _ records: [BaseRecord], hasRemovals: Bool = false
    ) throws(StageError) {
        let path = stage.base(tree)
        var reader = try BaseReader(path, isRequired: stage.mode == .copy)
        var writer = try BaseWriter(path)
        let host = records.isEmpty ? nil : OpenDirectory(try stage.openHost(tree))
        for record in records.sorted(by: { $0.path < $1.path }) {
            while let old = try reader.peek(), old.path < record.path {
                let isAbove = record.path.isSame(orBelow: old.path)
                try writer.append(isAbove ? renewed(old, host, hasRemovals) : old)
                reader.skip()
            }
            var record = record
            if let old = try reader.peek(), old.path == record.path {
                record.isWhole = record.isWhole || old.isWhole
                reader.skip()
            }
            try writer.append(record)
        }
        while let old = try reader.next() { try writer.append(old) }
        try writer.finish(durably: true)
    }

    /// The record of a directory that an apply made or removed on the way.
    private static func renewed(
        _ old: BaseRecord, _ host: OpenDirectory?, _ hasRemovals: Bool
    ) throws(StageError) -> BaseRecord {
        let now: Node?
        do throws(KernelError) { now = try host?.tree.nodeDeep(old.path) } catch {
            throw StageError("look at \(old.path.escaped) on the host", error)
        }
        let (was, isOne) = (old.node?.kind == .directory, now?.kind == .directory)
        guard was != isOne, isOne || now == nil && !hasRemovals else { return old }
        var record = old
        record.node = now
        record.isApplied = true
        // What is not recorded below was not there when the agent made it.
        record.isWhole = true
        return record
    }
}

/// Writes a base file beside the present one, which it replaces at the end and not before.
package struct BaseWriter: ~Copyable {
    private let path: String
    private let descriptor: Descriptor
    private var buffer: [UInt8] = BaseFile.header
    private var last: BytePath?
    private var count: UInt64 = 0
    private var isFinished = false

    private var temporary: String { path + ".new" }

    /// Begins; `path` is the file's final place.
    package init(_ path: String) throws(StageError) {
        self.path = path
        do throws(KernelError) {
            descriptor = try Descriptor.open(
                path + ".new", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: 0o600)
        } catch { throw StageError("write what the session began with", error) }
    }

    deinit { if !isFinished { unsafe _ = unlink(temporary) } }

    /// Adds a record; paths must come in their order, each once.
    package mutating func append(_ record: BaseRecord) throws(StageError) {
        precondition(last.map { $0 < record.path } ?? true, "records come in the order of their paths")
        var wire = WireWriter()
        let shared = record.path.sharedPrefix(with: last ?? .root)
        wire.write(shared)
        wire.write(Array(record.path.bytes.dropFirst(shared)))
        wire.write(record)
        buffer += BaseFile.little(UInt32(wire.bytes.count))
        buffer += BaseFile.little(BaseFile.checksum(wire.bytes))
        buffer += wire.bytes
        last = record.path
        count += 1
        if buffer.count >= 1 << 18 { try flush() }
    }

    private mutating func flush() throws(StageError) {
        do throws(KernelError) { try descriptor.write(all: buffer) } catch {
            throw StageError("write what the session began with", error)
        }
        buffer.removeAll(keepingCapacity: true)
    }

    /// Puts the file in its place; `durably` also through a power failure.
    package consuming func finish(durably: Bool = false) throws(StageError) {
        var wire = WireWriter()
        wire.write(count)
        buffer += BaseFile.little(BaseFile.trailer)
        buffer += BaseFile.little(BaseFile.checksum(wire.bytes))
        buffer += wire.bytes
        try flush()
        do throws(KernelError) {
            try Replacement.finish(descriptor, temporary, path, durably: durably)
        } catch { throw StageError("write what the session began with", error) }
        isFinished = true
    }
}

/// The last step of replacing a file as a whole.
enum Replacement {
    /// Renames a written file to its place; `durably`: file and name are on the disk when this returns.
    static func finish(
        _ descriptor: borrowing Descriptor, _ temporary: String, _ path: String, durably: Bool
    ) throws(KernelError) {
        if durably { try check("fsync", fsync(descriptor.number), temporary) }
        try check("rename", unsafe rename(temporary, path), path)
        guard durably else { return }
        let directory = try Descriptor.open(
            String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]), O_RDONLY | O_NOFOLLOW)
        try check("fsync", fsync(directory.number), path)
    }
}

/// An open file that a value may or may not have.
private final class OpenFile {
    let descriptor: Descriptor
    init(_ descriptor: consuming Descriptor) { self.descriptor = descriptor }
}

/// Reads a base file from its beginning, or from a place that it had before.
package struct BaseReader: ~Copyable {
    private let path: String
    /// nil: there is no file, so there are no records.
    private let file: OpenFile?
    private var buffer: [UInt8] = []
    private var at = 0
    /// The offset in the file of the buffer's first byte.
    private var offset = 0
    private var previous = BytePath.root
    private var waiting: BaseRecord?
    private var count: UInt64 = 0
    private var isAtEnd = false

    /// Where a reader is: the next record's offset and what its path is relative to.
    struct Position {
        var offset: Int
        var previous: BytePath
        var count: UInt64
    }

    /// Opens a base file; one that is not there has no records, unless it is required.
    package init(_ path: String, isRequired: Bool) throws(StageError) {
        self.path = path
        file = try BaseReader.open(path, isRequired: isRequired)
        isAtEnd = file == nil
    }

    private static func open(_ path: String, isRequired: Bool) throws(StageError) -> OpenFile? {
        do throws(KernelError) { return OpenFile(try Descriptor.open(path, O_RDONLY | O_NOFOLLOW)) } catch {
            if error.code == ENOENT, !isRequired { return nil }
            throw StageError("read what the session began with", error)
        }
    }

    private func damaged(_ what: String) -> StageError {
        StageError(
            "read what the session began with", reason: "\(path.escapedForTerminal) is damaged: \(what)",
            hint: "What the agent wrote lies beside it in upper; box discard removes the stage")
    }

    /// The next record, which stays the next.
    package mutating func peek() throws(StageError) -> BaseRecord? {
        if waiting == nil { waiting = try read() }
        return waiting
    }

    /// Drops the record that `peek` gave.
    package mutating func skip() { waiting = nil }

    /// The next record; nil at the end.
    package mutating func next() throws(StageError) -> BaseRecord? {
        defer { waiting = nil }
        return try peek()
    }

    /// Where the record after the last one that was read begins.
    var position: Position { Position(offset: offset + at, previous: previous, count: count) }

    /// Goes on from a position of this very file.
    mutating func move(to position: Position) throws(StageError) {
        guard let file else { return }
        do throws(KernelError) {
            try check("lseek", lseek(file.descriptor.number, position.offset, SEEK_SET), path)
        } catch { throw StageError("read what the session began with", error) }
        (buffer, at, offset) = ([], 0, position.offset)
        (previous, count) = (position.previous, position.count)
        waiting = nil
        isAtEnd = false
    }

    private mutating func read() throws(StageError) -> BaseRecord? {
        guard !isAtEnd else { return nil }
        if offset + at == 0, try take(BaseFile.header.count) != BaseFile.header { throw damaged("no header") }
        let length = try number()
        let sum = try number()
        if length == BaseFile.trailer {
            let rest = try take(8)
            var wire = WireWriter()
            wire.write(count)
            guard BaseFile.checksum(rest) == sum, rest == wire.bytes else {
                throw damaged("wrong number of records")
            }
            isAtEnd = true
            return nil
        }
        guard length <= BaseFile.longest else { throw damaged("record \(count) has no length") }
        let payload = try take(Int(length))
        guard BaseFile.checksum(payload) == sum else { throw damaged("record \(count) has another checksum") }
        var wire = WireReader(payload)
        do throws(WireError) {
            let record = try BaseRecord(from: &wire, after: previous)
            try wire.finish()
            guard count == 0 || previous < record.path else { throw wire.malformed("order") }
            count += 1
            previous = record.path
            return record
        } catch { throw damaged("record \(count): \(error)") }
    }

    private mutating func number() throws(StageError) -> UInt32 {
        try take(4).reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }

    /// The next bytes, exactly so many.
    private mutating func take(_ wanted: Int) throws(StageError) -> [UInt8] {
        while buffer.count - at < wanted {
            buffer.removeFirst(at)
            offset += at
            at = 0
            let piece = try more()
            guard !piece.isEmpty else { throw damaged("it ends early") }
            buffer += piece
        }
        defer { at += wanted }
        return Array(buffer[at..<at + wanted])
    }

    private func more() throws(StageError) -> [UInt8] {
        do throws(KernelError) { return try file?.descriptor.read(upTo: 1 << 18) ?? [] } catch {
            throw StageError("read what the session began with", error)
        }
    }
}
