/// Git's index (gitformat-index(5)), as far as it says which files are tracked with which content.
///
/// It also caches times and inode numbers of the work tree, which `git status` brings up to date without anything
/// having changed; two indexes that differ only there are the same.
package enum GitIndex {
    /// Whether two indexes have the same entries: mode, object, flags and path, in order. Versions 2 to 4, of
    /// repositories with SHA-1 or SHA-256. nil: one of them cannot be read, or is split over two files.
    package static func hasSameEntries(_ left: [UInt8], _ right: [UInt8]) -> Bool? {
        // The file does not say how long object names are; the wrong length does not come out even.
        for size in [20, 32] {
            guard GitIndexEntries(left, objectSize: size).isWhole,
                GitIndexEntries(right, objectSize: size).isWhole
            else { continue }
            var (a, b) = (GitIndexEntries(left, objectSize: size), GitIndexEntries(right, objectSize: size))
            guard a.count == b.count else { return false }
            while let entry = a.next() {
                guard entry == b.next() else { return false }
            }
            return true
        }
        return nil
    }
}

/// One entry without what it caches of the work tree.
struct GitIndexEntry: Equatable {
    let mode: UInt32
    let object: ArraySlice<UInt8>
    /// Assume-valid and the stage of a merge.
    let flags: UInt16
    /// Skip-worktree and intent-to-add.
    let extendedFlags: UInt16
    let path: [UInt8]

    static func == (left: GitIndexEntry, right: GitIndexEntry) -> Bool {
        left.mode == right.mode && left.flags == right.flags && left.extendedFlags == right.extendedFlags
            && left.object.elementsEqual(right.object) && left.path == right.path
    }
}

/// Reads the entries of an index one by one. Every offset is checked: the bytes may come from anyone.
struct GitIndexEntries {
    /// How many entries the file says it has.
    let count: Int
    private let bytes: [UInt8]
    private let objectSize: Int
    private let version: UInt32
    private var at = 12
    private var done = 0
    private var path: [UInt8] = []

    /// A file that is no index has no entries and is not whole.
    init(_ bytes: [UInt8], objectSize: Int) {
        self.bytes = bytes
        self.objectSize = objectSize
        let isIndex = bytes.count >= 12 + objectSize && bytes.starts(with: "DIRC".utf8)
        version = isIndex ? GitIndexEntries.number(bytes, at: 4) : 0
        count = isIndex ? Int(GitIndexEntries.number(bytes, at: 8)) : 0
    }

    /// Whether all entries can be read, and after them the extensions up to the checksum.
    var isWhole: Bool {
        guard (2...4).contains(version) else { return false }
        var copy = self
        while copy.done < count {
            guard copy.next() != nil else { return false }
        }
        return copy.hasKnownExtensions
    }

    /// The next entry; nil at the end, and where the bytes are not an entry.
    mutating func next() -> GitIndexEntry? {
        let start = at
        let end = bytes.count - objectSize
        // 40 bytes of what is cached, with the mode among them, then the object and the flags.
        guard done < count, end - start >= 40 + objectSize + 2 else { return nil }
        let mode = GitIndexEntries.number(bytes, at: start + 24)
        at = start + 40 + objectSize
        let object = bytes[(start + 40)..<at]
        let flags = take16()
        var extended: UInt16 = 0
        if flags & 0x4000 != 0 {
            guard version >= 3, end - at >= 2 else { return nil }
            extended = take16()
        }
        guard takePath(end), takePadding(start, end) else { return nil }
        // The length is a check more that this is an entry; it stops at 4095.
        guard min(path.count, 0xFFF) == Int(flags & 0xFFF), !path.isEmpty else { return nil }
        done += 1
        return GitIndexEntry(
            mode: mode, object: object, flags: flags & 0xB000, extendedFlags: extended, path: path)
    }

    private mutating func takePath(_ end: Int) -> Bool {
        if version == 4 {
            // How much of the last path's end is another, and that other end.
            guard let dropped = takeVariable(end), dropped <= path.count else { return false }
            path.removeLast(dropped)
        } else {
            path = []
        }
        guard at < end, let zero = bytes[at..<end].firstIndex(of: 0) else { return false }
        path += bytes[at..<zero]
        at = zero + 1
        return true
    }

    /// Versions 2 and 3 fill each entry up to a multiple of eight with one to eight NULs; one is taken already.
    private mutating func takePadding(_ start: Int, _ end: Int) -> Bool {
        guard version < 4 else { return true }
        let rest = (8 - (at - start) % 8) % 8
        guard end - at >= rest, bytes[at..<at + rest].allSatisfy({ $0 == 0 }) else { return false }
        at += rest
        return true
    }

    /// A number in groups of seven bits, the highest first; each further group adds one, so that none has two forms.
    private mutating func takeVariable(_ end: Int) -> Int? {
        var value = 0
        for index in 0..<5 {
            guard at < end else { return nil }
            let byte = bytes[at]
            at += 1
            value = (index == 0 ? 0 : (value + 1) << 7) + Int(byte & 0x7F)
            if byte & 0x80 == 0 { return value }
        }
        return nil
    }

    private mutating func take16() -> UInt16 {
        at += 2
        return UInt16(bytes[at - 2]) << 8 | UInt16(bytes[at - 1])
    }

    private static func number(_ bytes: [UInt8], at offset: Int) -> UInt32 {
        bytes[offset..<offset + 4].reduce(0) { $0 << 8 | UInt32($1) }
    }

    /// Whether what follows the entries are extensions that change nothing about them. One that begins with a small
    /// letter does: `link` is an index in two files. `sdir` only says that entries may be directories.
    private var hasKnownExtensions: Bool {
        let end = bytes.count - objectSize
        var at = at
        while at < end {
            guard end - at >= 8 else { return false }
            let name = bytes[at..<at + 4]
            let size = Int(GitIndexEntries.number(bytes, at: at + 4))
            let isOptional = name.first.map { (0x41...0x5A).contains($0) } ?? false
            guard isOptional || name.elementsEqual("sdir".utf8), end - at - 8 >= size else { return false }
            at += 8 + size
        }
        return at == end
    }
}
