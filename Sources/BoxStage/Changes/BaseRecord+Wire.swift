internal import BoxKernel
internal import BoxTypes

extension WireWriter {
    /// Writes a record without its path.
    mutating func write(_ record: BaseRecord) {
        write(UInt8((record.isApplied ? 1 : 0) | (record.isWhole ? 2 : 0)))
        write(record.node) { $0.write($1) }
        write(record.target) { $0.write($1) }
        write(record.kept) { $0.write($1) }
        write(record.copy) { wire, stamp in
            wire.write(stamp.inode)
            wire.write(stamp.size)
            wire.write(stamp.modified)
            wire.write(stamp.changed)
        }
    }

    /// Writes all that a look at a file said.
    mutating func write(_ node: Node) {
        write(node.kind.rawValue)
        for value in [node.mode, node.uid, node.gid] { write(UInt64(value)) }
        for value in [node.device, node.inode, node.links, node.special] { write(value) }
        write(node.size)
        write(node.allocated)
        write(node.modified)
        write(node.changed)
    }

    /// Writes a point in time.
    mutating func write(_ time: Node.Time) {
        write(time.seconds)
        write(time.nanoseconds)
    }
}

extension BaseRecord {
    /// Reads a record; `previous` is the path of the one before it.
    init(from wire: inout WireReader, after previous: BytePath) throws(WireError) {
        let shared = try wire.int()
        guard let path = previous.with(prefix: shared, then: try wire.data()) else {
            throw wire.malformed("path")
        }
        let flags = try wire.byte()
        guard flags & ~3 == 0 else { throw wire.malformed("flags") }
        self.init(
            path: path, node: try wire.optional(Node.init(from:)),
            target: try wire.optional { wire throws(WireError) in try wire.data() },
            kept: try wire.optional { wire throws(WireError) in try wire.unsigned() },
            isApplied: flags & 1 != 0, copy: try wire.optional(Stamp.init(from:)), isWhole: flags & 2 != 0)
    }
}

extension BaseRecord.Stamp {
    init(from wire: inout WireReader) throws(WireError) {
        self.init(
            inode: try wire.unsigned(), size: try wire.int(), modified: try Node.Time(from: &wire),
            changed: try Node.Time(from: &wire))
    }
}

extension Node {
    init(from wire: inout WireReader) throws(WireError) {
        guard let kind = Kind(rawValue: try wire.byte()) else { throw wire.malformed("kind") }
        self.init(kind: kind)
        mode = try wire.uint32()
        uid = try wire.uint32()
        gid = try wire.uint32()
        device = try wire.unsigned()
        inode = try wire.unsigned()
        links = try wire.unsigned()
        special = try wire.unsigned()
        size = try wire.int()
        allocated = try wire.int()
        modified = try Time(from: &wire)
        changed = try Time(from: &wire)
    }
}

extension Node.Time {
    init(from wire: inout WireReader) throws(WireError) {
        self.init(seconds: try wire.int(), nanoseconds: try wire.int())
    }
}
