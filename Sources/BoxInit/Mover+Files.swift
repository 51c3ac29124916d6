internal import BoxKernel
internal import BoxPlan
internal import BoxTypes
internal import CLinux
internal import Glibc

/// The renames of this process's children, about which the listener is not asked.
struct UnaskedRename {
    private let number: Int

    init() {
        guard case .number(let number)? = SyscallTable.entry("renameat2", on: .native) else {
            preconditionFailure("every processor has renameat2")
        }
        self.number = Int(number)
    }

    /// The errno, 0 if it went.
    func callAsFunction(
        _ name: some Collection<UInt8>, _ directory: CInt, to newName: some Collection<UInt8>,
        _ newDirectory: CInt, _ flags: UInt64 = 0
    ) -> CInt {
        unsafe withCName(name) { old in
            unsafe withCName(newName) { new in
                let result = box_syscall(
                    number, Int(directory), Int(bitPattern: old), Int(newDirectory), Int(bitPattern: new),
                    Int(flags), Int(bitPattern: UInt(ListenedCalls.exemption)))
                return result < 0 ? errno : 0
            }
        }
    }
}

/// A clock that nobody sets.
enum MonotonicClock {
    /// What it shows, in milliseconds.
    static func milliseconds() -> Int {
        var now = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &now)
        return now.tv_sec * 1000 + now.tv_nsec / 1_000_000
    }
}

extension Mover {
    /// A directory and what it was before it was opened.
    struct Opened: ~Copyable {
        let tree: Tree
        let node: Node
    }

    /// Opens a directory so that its children can be moved; its owner gets the rights for that.
    static func open(
        _ name: [UInt8], in tree: borrowing Tree
    ) throws(KernelError) -> Opened {
        let place = try tree.open(BytePath.root.appending(name), BOX_O_PATH | BOX_O_DIRECTORY)
        let node = try Node.of(place.number)
        if node.mode & 0o700 != 0o700 { try setMode(node.mode | 0o700, of: place) }
        return Opened(tree: try Tree(place).directory(.root), node: node)
    }

    /// Makes an empty directory; one that is there already is as good.
    static func make(_ name: some Collection<UInt8>, in directory: CInt) throws(KernelError) {
        let result = unsafe withCName(name) { unsafe mkdirat(directory, $0, 0o700) }
        if result < 0, errno == EEXIST { return }
        try check("mkdir", result, BytePath.escaped(name))
    }

    /// Removes an empty directory; the errno, 0 if it went.
    @discardableResult
    static func remove(_ name: some Collection<UInt8>, in directory: CInt) -> CInt {
        unsafe withCName(name) { unsafe unlinkat(directory, $0, AT_REMOVEDIR) } < 0 ? errno : 0
    }

    /// Changes the mode of what is open only as a place.
    static func setMode(_ mode: UInt32, of place: borrowing Descriptor) throws(KernelError) {
        try check("chmod", unsafe chmod("/proc/self/fd/\(place.number)", mode))
    }

    /// Gives an open file or directory the attributes that the user gave the other one, and no others. The owner is the
    /// sandbox's only one.
    static func copyAttributes(of from: CInt, to: CInt) throws(KernelError) {
        let wanted = try attributeNames(from)
        for name in try attributeNames(to) where !wanted.contains(name) {
            try check("fremovexattr", unsafe withCName(name) { unsafe fremovexattr(to, $0) })
        }
        for name in wanted {
            let length = try check("fgetxattr", unsafe withCName(name) { unsafe fgetxattr(from, $0, nil, 0) })
            var value = [UInt8](repeating: 0, count: length)
            let got = unsafe withCName(name) { unsafe fgetxattr(from, $0, &value, length) }
            try check("fgetxattr", got)
            try check("fsetxattr", unsafe withCName(name) { unsafe fsetxattr(to, $0, value, got, 0) })
        }
    }

    /// Gives an open directory the mode and time that it, or the one that it replaces, had in the beginning. Its owner
    /// may always do that.
    static func restore(_ node: Node, on tree: borrowing Tree) {
        fchmod(tree.descriptor.number, node.mode)
        do throws(KernelError) { try setTime(node.modified, of: tree.descriptor.number) } catch { return }
    }

    /// Sets the time of the last change of an open file.
    static func setTime(_ time: Node.Time, of file: CInt) throws(KernelError) {
        let omit = (1 << 30) - 2  // UTIME_OMIT, which Swift does not see
        let times = [
            timespec(tv_sec: 0, tv_nsec: omit), timespec(tv_sec: time.seconds, tv_nsec: time.nanoseconds),
        ]
        try check("futimens", unsafe futimens(file, times))
    }

    /// The names of the attributes that are the user's: his own ones and access lists.
    private static func attributeNames(_ directory: CInt) throws(KernelError) -> [[UInt8]] {
        let length = flistxattr(directory, nil, 0)
        if length == 0 || length < 0 && errno == EOPNOTSUPP { return [] }
        var list = [CChar](repeating: 0, count: try check("flistxattr", length))
        let got = try check("flistxattr", unsafe flistxattr(directory, &list, length))
        return list.prefix(got).map { UInt8(bitPattern: $0) }.split(separator: 0).map(Array.init).filter {
            $0.starts(with: "user.".utf8) || $0.starts(with: "system.posix_acl_".utf8)
        }
    }
}
