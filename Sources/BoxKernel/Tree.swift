package import BoxTypes
internal import CLinux
internal import Glibc

/// A directory by its descriptor, and what is below it. Names are bytes. Nothing here follows a link, leaves the
/// directory or crosses into another mount, whoever changes the tree meanwhile: a path that would is `ELOOP` or `EXDEV`.
package struct Tree: ~Copyable {
    package let descriptor: Descriptor

    package init(_ descriptor: consuming Descriptor) { self.descriptor = descriptor }

    /// Opens the directory at a path of the host; a link at its end is refused.
    package static func open(_ path: String) throws(KernelError) -> Tree {
        Tree(try Descriptor.open(path, O_RDONLY | O_NOFOLLOW | BOX_O_DIRECTORY))
    }

    /// Opens what is at a path below. `flags` are those of `open(2)`; `O_NOFOLLOW` is added, and `O_NONBLOCK`, so that
    /// a FIFO does not hang.
    package borrowing func open(
        _ path: BytePath, _ flags: CInt, mode: UInt32 = 0
    ) throws(KernelError) -> Descriptor {
        // A place takes no other flags.
        let more = flags & BOX_O_PATH == 0 ? O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC : O_NOFOLLOW | O_CLOEXEC
        let bits = UInt64(UInt32(bitPattern: flags | more))
        let resolve =
            BOX_RESOLVE_BENEATH | BOX_RESOLVE_NO_SYMLINKS | BOX_RESOLVE_NO_MAGICLINKS | BOX_RESOLVE_NO_XDEV
        let number = unsafe path.withCString { text in
            retry { unsafe box_openat2(descriptor.number, text, bits, UInt64(mode), resolve) }
        }
        return Descriptor(owning: try check("openat2", number, path.escaped))
    }

    /// Opens a directory below.
    package borrowing func directory(_ path: BytePath) throws(KernelError) -> Tree {
        Tree(try open(path, O_RDONLY | BOX_O_DIRECTORY))
    }

    /// What a path below is, without following a link; nil if there is nothing.
    package borrowing func node(_ path: BytePath) throws(KernelError) -> Node? {
        do throws(KernelError) {
            let place = try open(path, BOX_O_PATH)
            return try Node.of(place.number)
        } catch {
            switch error.code {
            // A link or a file stands where a directory would have to be.
            case ENOENT, ENOTDIR, ELOOP: return nil
            default: throw error
            }
        }
    }

    // MARK: - One name in this very directory

    /// What a name in this directory is; nil if there is none.
    package borrowing func child(_ name: some Collection<UInt8>) throws(KernelError) -> Node? {
        var raw = stat()
        let result = unsafe withCName(name) { text in
            unsafe fstatat(descriptor.number, text, &raw, AT_SYMLINK_NOFOLLOW)
        }
        if result < 0, errno == ENOENT { return nil }
        try check("fstatat", result, BytePath.escaped(name))
        return Node(raw)
    }

    /// Where a link in this directory points to, as bytes.
    package borrowing func linkTarget(_ name: some Collection<UInt8>) throws(KernelError) -> [UInt8] {
        var text = [CChar](repeating: 0, count: 4096)
        let length = unsafe withCName(name) { name in
            unsafe readlinkat(descriptor.number, name, &text, text.count)
        }
        try check("readlinkat", length, BytePath.escaped(name))
        return text.prefix(length).map { UInt8(bitPattern: $0) }
    }

    /// The names in this directory, sorted by their bytes, without `.` and `..`.
    package borrowing func names() throws(KernelError) -> [[UInt8]] {
        // A descriptor of its own: the position in the directory belongs to the open file.
        let copy = try open(.root, O_RDONLY | BOX_O_DIRECTORY).release()
        guard let stream = unsafe fdopendir(copy) else {
            let code = errno
            Glibc.close(copy)
            throw KernelError(call: "fdopendir", code: code)
        }
        defer { unsafe closedir(stream) }
        var all: [[UInt8]] = []
        while true {
            errno = 0
            guard let entry = unsafe readdir(stream) else {
                guard errno == 0 else { throw KernelError(call: "readdir", code: errno) }
                break
            }
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { field in
                unsafe field.withMemoryRebound(to: UInt8.self, capacity: 256) { text in
                    unsafe Array(UnsafeBufferPointer(start: text, count: strnlen(field, 256)))
                }
            }
            if BytePath.isName(name) { all.append(name) }
        }
        return all.sorted { $0.lexicographicallyPrecedes($1) }
    }
}

/// Calls with a name as the NUL-terminated text that the kernel takes; the name has no NUL.
package func withCName<Result>(
    _ name: some Collection<UInt8>, _ body: (UnsafePointer<CChar>) -> Result
) -> Result {
    var bytes = name.map { CChar(bitPattern: $0) }
    bytes.append(0)
    return unsafe body(bytes)
}

extension BytePath {
    /// Calls with the path as text for the kernel; the root is `.`.
    package func withCString<Result>(_ body: (UnsafePointer<CChar>) -> Result) -> Result {
        unsafe withCName(bytes.isEmpty ? [UInt8(ascii: ".")] : bytes, body)
    }
}
