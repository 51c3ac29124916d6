package import BoxTypes
internal import Glibc

/// The names in one directory in the order of their bytes, with what they are, in one piece of memory: a directory
/// may have a million of them.
package struct Listing: Sendable {
    /// One name.
    package struct Entry: Sendable {
        fileprivate let start: UInt32
        fileprivate let length: UInt8
        /// What the directory says of it; it may be something else by now.
        package let kind: Node.Kind
    }

    private var bytes: [UInt8] = []
    /// Sorted by name.
    package private(set) var entries: [Entry] = []

    /// The bytes of an entry's name.
    package func name(_ entry: Entry) -> ArraySlice<UInt8> {
        bytes[Int(entry.start)..<Int(entry.start) + Int(entry.length)]
    }

    /// Adds a name that an open directory told; where it did not tell what it is, that is looked up.
    fileprivate mutating func add(
        _ name: UnsafeBufferPointer<UInt8>, _ said: Node.Kind?, _ directory: CInt
    ) -> KernelError? {
        guard unsafe name.isName else { return nil }
        // 4 GiB of names in one directory.
        guard let start = UInt32(exactly: bytes.count), let length = UInt8(exactly: name.count) else {
            return KernelError(call: "readdir", code: EOVERFLOW)
        }
        guard let kind = said else {
            var raw = stat()
            let result = unsafe withCName(name) { unsafe fstatat(directory, $0, &raw, AT_SYMLINK_NOFOLLOW) }
            // It has vanished.
            if result < 0, errno == ENOENT { return nil }
            guard result == 0 else { return KernelError(call: "fstatat", code: errno) }
            entries.append(Entry(start: start, length: length, kind: Node(raw).kind))
            unsafe bytes += name
            return nil
        }
        entries.append(Entry(start: start, length: length, kind: kind))
        unsafe bytes += name
        return nil
    }

    fileprivate mutating func sort() {
        let sorted = unsafe bytes.withUnsafeBytes { raw in
            entries.sorted { left, right in
                guard let base = raw.baseAddress else { return false }
                let shared = Int(min(left.length, right.length))
                // Both lie within the bytes: `add` put them there.
                let order = unsafe memcmp(base + Int(left.start), base + Int(right.start), shared)
                return order != 0 ? order < 0 : left.length < right.length
            }
        }
        entries = sorted
    }
}

extension Tree {
    /// What is in a directory below, without `.` and `..`. A name that vanishes meanwhile may be missing.
    package borrowing func listing(_ path: BytePath = .root) throws(KernelError) -> Listing {
        // Opened for this: the position in the directory belongs to the open file.
        let number = try open(path, O_RDONLY | O_DIRECTORY).release()
        guard let stream = unsafe fdopendir(number) else {
            let code = errno
            Glibc.close(number)
            throw KernelError(call: "fdopendir", code: code)
        }
        defer { unsafe closedir(stream) }
        var all = Listing()
        while true {
            errno = 0
            guard let entry = unsafe readdir(stream) else {
                guard errno == 0 else { throw KernelError(call: "readdir", code: errno) }
                break
            }
            let said = unsafe Node.Kind(entry: entry.pointee.d_type)
            let failure = unsafe withUnsafePointer(to: &entry.pointee.d_name) { field in
                unsafe field.withMemoryRebound(to: UInt8.self, capacity: 256) { text in
                    unsafe all.add(UnsafeBufferPointer(start: text, count: strnlen(field, 256)), said, number)
                }
            }
            if let failure { throw failure }
        }
        all.sort()
        return all
    }
}

extension Node.Kind {
    /// What a directory's entry says; nil where the file system does not.
    fileprivate init?(entry type: UInt8) {
        switch Int(type) {
        case DT_REG: self = .file
        case DT_DIR: self = .directory
        case DT_LNK: self = .link
        case DT_CHR: self = .characterDevice
        case DT_BLK: self = .blockDevice
        case DT_FIFO: self = .fifo
        case DT_SOCK: self = .socket
        default: return nil
        }
    }
}

extension UnsafeBufferPointer<UInt8> {
    /// Whether this can be a name; a broken file system may say what cannot.
    fileprivate var isName: Bool {
        guard let start = baseAddress, count > 0, unsafe memchr(start, 0x2F, count) == nil else {
            return false
        }
        return unsafe !(self[0] == 0x2E && (count == 1 || (count == 2 && self[1] == 0x2E)))
    }
}
