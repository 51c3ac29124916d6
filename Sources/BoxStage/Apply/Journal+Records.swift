internal import BoxKernel
internal import BoxTypes
internal import Glibc

extension Journal {
    /// Which end the reading begins at. A directory comes before what is below it, seen from the start.
    package enum Order: Sendable { case forward, backward }

    /// Reads the records one by one.
    package func forEach<Failure: Error>(
        _ order: Order, _ failure: (StageError) -> Failure,
        _ body: (JournalRecord) throws(Failure) -> Void
    ) throws(Failure) {
        var window = Window(file: file.number, end: end)
        var at = order == .forward ? Journal.headerSize : end
        while order == .forward ? at < end : at > Journal.headerSize {
            let record: JournalRecord
            do throws(StageError) {
                record = try window.record(&at, order)
            } catch { throw failure(error) }
            try body(record)
        }
    }

    /// A piece of the file in memory.
    private struct Window {
        let file: CInt
        let end: Int
        var start = 0
        var bytes: [UInt8] = []

        mutating func record(_ at: inout Int, _ order: Order) throws(StageError) -> JournalRecord {
            let length: Int
            let payload: [UInt8]
            switch order {
            case .forward:
                length = try number(at, order)
                payload = try slice(at + 4, length, order)
                at += length + 8
            case .backward:
                length = try number(at - 4, order)
                payload = try slice(at - 4 - length, length, order)
                at -= length + 8
            }
            var reader = WireReader(payload)
            do throws(WireError) {
                let record = try JournalRecord(from: &reader)
                try reader.finish()
                return record
            } catch { throw Window.damaged("\(error)") }
        }

        static func damaged(_ what: String) -> StageError {
            StageError("read the journal of the last apply", reason: "it is damaged (\(what))")
        }

        private mutating func number(_ offset: Int, _ order: Order) throws(StageError) -> Int {
            let raw = try slice(offset, 4, order)
            return raw.reversed().reduce(0) { $0 << 8 | Int($1) }
        }

        private mutating func slice(_ offset: Int, _ count: Int, _ order: Order) throws(StageError) -> [UInt8]
        {
            guard offset >= Journal.headerSize, count >= 0, offset + count <= end else {
                throw Window.damaged("a record at \(offset)")
            }
            if offset < start || offset + count > start + bytes.count { try load(offset, count, order) }
            return Array(bytes[(offset - start)..<(offset - start + count)])
        }

        private mutating func load(_ offset: Int, _ count: Int, _ order: Order) throws(StageError) {
            let size = max(1 << 17, count)
            switch order {
            case .forward: start = offset
            case .backward: start = max(Journal.headerSize, offset + count - size)
            }
            let wanted = min(size, end - start)
            var code: CInt = 0
            bytes = unsafe [UInt8](unsafeUninitializedCapacity: wanted) { buffer, filled in
                while filled < wanted {
                    let got = retry {
                        unsafe pread(
                            file, buffer.baseAddress.map { unsafe $0 + filled }, wanted - filled,
                            start + filled)
                    }
                    if got < 0 { code = errno }
                    guard got > 0 else { return }
                    filled += got
                }
            }
            guard code == 0 else {
                throw StageError(
                    "read the journal of the last apply", KernelError(call: "pread", code: code))
            }
            guard bytes.count == wanted else { throw Window.damaged("it is too short") }
        }
    }
}

extension Witness {
    func write(to writer: inout WireWriter) {
        writer.write(kind.rawValue)
        writer.write(UInt64(mode))
        // Two numbers of 32 bits in one.
        writer.write(UInt64(uid) << 32 | UInt64(gid))
        writer.write(inode)
        writer.write(size)
        writer.write(modified)
        writer.write(changed)
    }

    init(from reader: inout WireReader) throws(WireError) {
        guard let kind = Node.Kind(rawValue: try reader.byte()) else { throw reader.malformed("kind") }
        let mode = try reader.uint32()
        let owner = try reader.unsigned()
        let inode = try reader.unsigned()
        let size = try reader.int()
        let modified = try Node.Time(from: &reader)
        let changed = try Node.Time(from: &reader)
        self.init(
            Node(
                kind: kind, mode: mode, uid: UInt32(truncatingIfNeeded: owner >> 32),
                gid: UInt32(truncatingIfNeeded: owner), inode: inode, size: size, modified: modified,
                changed: changed))
    }
}

extension JournalRecord {
    func write(to writer: inout WireWriter) {
        writer.write(number)
        writer.write(tree)
        writer.write(path.bytes)
        writer.write(action.rawValue)
        writer.write(before) { $1.write(to: &$0) }
        writer.write(after) { $1.write(to: &$0) }
        writer.write(isTouched)
        writer.write(isUnlocked)
        writer.write(isChange)
        for record in [base, settled] {
            writer.write(record) { writer, record in
                // Nothing shared with a path before.
                writer.write(0)
                writer.write(record.path.bytes)
                writer.write(record)
            }
        }
        writer.write(agent) { writer, stamp in
            writer.write(stamp.inode)
            writer.write(stamp.size)
            writer.write(stamp.modified)
            writer.write(stamp.changed)
        }
        writer.write(agentMode) { $0.write(UInt64($1)) }
    }

    init(from reader: inout WireReader) throws(WireError) {
        let number = try reader.int()
        let tree = try reader.int()
        guard let path = BytePath(try reader.data()) else { throw reader.malformed("path") }
        guard let action = Action(rawValue: try reader.byte()) else { throw reader.malformed("action") }
        self.init(number: number, tree: tree, path: path, action: action)
        before = try reader.optional(Witness.init(from:))
        after = try reader.optional(Witness.init(from:))
        isTouched = try reader.bool()
        isUnlocked = try reader.bool()
        isChange = try reader.bool()
        base = try reader.optional { (reader: inout WireReader) throws(WireError) in
            try BaseRecord(from: &reader, after: .root)
        }
        settled = try reader.optional { (reader: inout WireReader) throws(WireError) in
            try BaseRecord(from: &reader, after: .root)
        }
        agent = try reader.optional(BaseRecord.Stamp.init(from:))
        agentMode = try reader.optional { (reader: inout WireReader) throws(WireError) in
            try reader.uint32()
        }
    }
}
