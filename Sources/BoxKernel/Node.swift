internal import Glibc

/// What one look at a file says about it.
package struct Node: Equatable, Sendable, BitwiseCopyable {
    package enum Kind: UInt8, Sendable, CaseIterable, BitwiseCopyable {
        case file, directory, link, characterDevice, blockDevice, fifo, socket
    }

    /// A point in time as the file system has it.
    package struct Time: Hashable, Sendable, Comparable, BitwiseCopyable {
        package var seconds: Int
        package var nanoseconds: Int
        package init(seconds: Int, nanoseconds: Int) {
            self.seconds = seconds
            self.nanoseconds = nanoseconds
        }
        init(_ raw: timespec) { self.init(seconds: raw.tv_sec, nanoseconds: raw.tv_nsec) }

        /// The present time of the clock that file systems take theirs from.
        package static func now() -> Time {
            var raw = timespec()
            unsafe clock_gettime(CLOCK_REALTIME, &raw)
            return Time(raw)
        }

        package static func < (left: Time, right: Time) -> Bool {
            (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
        }
    }

    package var kind: Kind
    /// The permission bits with setuid, setgid and sticky: 07777.
    package var mode: UInt32
    package var uid: UInt32
    package var gid: UInt32
    package var device: UInt64
    package var inode: UInt64
    package var links: UInt64
    package var size: Int
    /// What is allocated, in bytes.
    package var allocated: Int
    /// The number of a device file.
    package var special: UInt64
    package var modified: Time
    package var changed: Time

    package init(
        kind: Kind, mode: UInt32 = 0o644, uid: UInt32 = 0, gid: UInt32 = 0, device: UInt64 = 0,
        inode: UInt64 = 0, links: UInt64 = 1, size: Int = 0, allocated: Int = 0, special: UInt64 = 0,
        modified: Time = Time(seconds: 0, nanoseconds: 0), changed: Time = Time(seconds: 0, nanoseconds: 0)
    ) {
        self.kind = kind
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.device = device
        self.inode = inode
        self.links = links
        self.size = size
        self.allocated = allocated
        self.special = special
        self.modified = modified
        self.changed = changed
    }

    init(_ raw: stat) {
        let kind: Kind =
            switch raw.st_mode & S_IFMT {
            case S_IFREG: .file
            case S_IFDIR: .directory
            case S_IFLNK: .link
            case S_IFCHR: .characterDevice
            case S_IFBLK: .blockDevice
            case S_IFIFO: .fifo
            default: .socket
            }
        self.init(
            kind: kind, mode: raw.st_mode & 0o7777, uid: raw.st_uid, gid: raw.st_gid,
            device: UInt64(raw.st_dev), inode: UInt64(raw.st_ino), links: UInt64(raw.st_nlink),
            size: Int(raw.st_size), allocated: Int(raw.st_blocks) * 512, special: UInt64(raw.st_rdev),
            modified: Time(raw.st_mtim), changed: Time(raw.st_ctim))
    }

    /// A character device 0:0: how an overlay's upper layer says that a name is deleted.
    package var isWhiteout: Bool { kind == .characterDevice && special == 0 }

    /// What an open file or place is.
    package static func of(_ descriptor: CInt) throws(KernelError) -> Node {
        var raw = stat()
        try check("fstat", unsafe fstat(descriptor, &raw))
        return Node(raw)
    }
}
