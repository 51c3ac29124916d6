internal import BoxKernel
internal import BoxTypes
internal import CLinux
internal import Glibc

/// Every call by which a transaction changes a file system. They are all here, so that a debug build can stop before
/// any one of them: a test then sees what a crash at that point leaves.
package final class TransactionCalls {
    #if DEBUG
        /// Called before each call with its number, from 1, and its name. Gives the errno that the call fails with, or 0.
        package typealias Fault = (Int, String) -> CInt

        private let fault: Fault?
        private var count = 0

        package init(fault: Fault? = TransactionCalls.environmentFault) { self.fault = fault }

        /// What the environment asks for: `BOX_APPLY_KILL=N` ends this process before the Nth call.
        package static var environmentFault: Fault? {
            guard let text = unsafe getenv("BOX_APPLY_KILL"), let last = unsafe Int(String(cString: text))
            else { return nil }
            return { (number, _) in number == last ? kill(getpid(), SIGKILL) : 0 }
        }

        private func point(_ call: String) throws(KernelError) {
            count += 1
            guard let code = fault?(count, call), code != 0 else { return }
            throw KernelError(call: call, code: code)
        }
    #else
        package init() {}

        @inline(__always) private func point(_ call: String) throws(KernelError) {}
    #endif

    // MARK: - Making

    /// Makes a directory that only the user can use; its mode comes later.
    func makeDirectory(_ name: [UInt8], in directory: CInt) throws(KernelError) {
        try point("mkdirat")
        let result = unsafe withCName(name) { unsafe mkdirat(directory, $0, 0o700) }
        try check("mkdirat", result, BytePath.escaped(name))
    }

    func makeLink(_ name: [UInt8], to target: [UInt8], in directory: CInt) throws(KernelError) {
        try point("symlinkat")
        let result = unsafe withCName(target) { target in
            unsafe withCName(name) { unsafe symlinkat(target, directory, $0) }
        }
        try check("symlinkat", result, BytePath.escaped(name))
    }

    /// Makes a file that is not there yet, only the user's.
    func makeFile(_ name: [UInt8], in directory: CInt) throws(KernelError) -> Descriptor {
        try point("openat")
        let flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
        let result = unsafe withCName(name) { name in
            retry { unsafe openat(directory, name, flags, 0o600) }
        }
        return Descriptor(owning: try check("openat", result, BytePath.escaped(name)))
    }

    func copy(from: CInt, to: CInt, size: Int) throws(KernelError) {
        try point("copy")
        var retries = RetryCount()
        try FileCopy.copy(from: from, to: to, size: size, retry: &retries)
    }

    func write(_ bytes: [UInt8], to file: borrowing Descriptor) throws(KernelError) {
        try point("write")
        try file.write(all: bytes)
    }

    func write(_ bytes: [UInt8], to file: borrowing Descriptor, at offset: Int) throws(KernelError) {
        try point("pwrite")
        var rest = bytes[...]
        while !rest.isEmpty {
            let done = bytes.count - rest.count
            let wrote = unsafe rest.withUnsafeBytes { raw in
                retry { unsafe pwrite(file.number, raw.baseAddress, raw.count, offset + done) }
            }
            rest = rest.dropFirst(try check("pwrite", wrote))
        }
    }

    // MARK: - Attributes

    func setOwner(_ file: CInt, uid: UInt32, gid: UInt32) throws(KernelError) {
        try point("fchown")
        try check("fchown", fchown(file, uid, gid))
    }

    func setOwner(_ name: [UInt8], in directory: CInt, uid: UInt32, gid: UInt32) throws(KernelError) {
        try point("fchownat")
        let result = unsafe withCName(name) { name in
            unsafe fchownat(directory, name, uid, gid, AT_SYMLINK_NOFOLLOW)
        }
        try check("fchownat", result, BytePath.escaped(name))
    }

    func setMode(_ file: CInt, _ mode: UInt32) throws(KernelError) {
        try point("fchmod")
        try check("fchmod", fchmod(file, mode))
    }

    /// Never follows a link.
    func setMode(_ name: [UInt8], in directory: CInt, _ mode: UInt32) throws(KernelError) {
        try point("fchmodat")
        let result = unsafe withCName(name) { unsafe box_chmod_nofollow(directory, $0, mode) }
        try check("fchmodat", result, BytePath.escaped(name))
    }

    /// Sets the time of the last change of content; never follows a link.
    func setModified(_ name: [UInt8], in directory: CInt, _ time: Node.Time) throws(KernelError) {
        try point("utimensat")
        let result = unsafe withCName(name) { name in
            unsafe box_set_times(directory, name, Int64(time.seconds), Int64(time.nanoseconds))
        }
        try check("utimensat", result, BytePath.escaped(name))
    }

    func setAttribute(_ name: [UInt8], _ value: [UInt8], of file: CInt) throws(KernelError) {
        try point("fsetxattr")
        let result = unsafe withCName(name) { unsafe box_set_xattr(file, $0, value, value.count) }
        try check("fsetxattr", result, BytePath.escaped(name))
    }

    // MARK: - Names

    /// How `rename` treats what stands at the new name.
    enum Rename {
        case replacing, exchanging, onlyIfFree

        fileprivate var flags: UInt32 {
            switch self {
            case .replacing: 0
            case .exchanging: BOX_RENAME_EXCHANGE
            case .onlyIfFree: BOX_RENAME_NOREPLACE
            }
        }
    }

    func rename(
        _ name: [UInt8], in directory: CInt, to newName: [UInt8], in newDirectory: CInt, _ kind: Rename
    ) throws(KernelError) {
        switch kind {
        case .exchanging: try point("exchange")
        case .onlyIfFree: try point("rename-noreplace")
        case .replacing: try point("rename")
        }
        let result = unsafe withCName(name) { old in
            unsafe withCName(newName) { new in
                unsafe box_renameat2(directory, old, newDirectory, new, kind.flags)
            }
        }
        try check("renameat2", result, BytePath.escaped(newName))
    }

    /// A second name for a file or a link.
    func link(
        _ name: [UInt8], in directory: CInt, to newName: [UInt8], in newDirectory: CInt
    ) throws(KernelError) {
        try point("linkat")
        let result = unsafe withCName(name) { old in
            unsafe withCName(newName) { unsafe linkat(directory, old, newDirectory, $0, 0) }
        }
        try check("linkat", result, BytePath.escaped(newName))
    }

    /// Removes a file, a link or an empty directory; one that is gone already is no error.
    func remove(_ name: [UInt8], in directory: CInt, isDirectory: Bool) throws(KernelError) {
        try point("unlinkat")
        let result = unsafe withCName(name) { name in
            unsafe unlinkat(directory, name, isDirectory ? AT_REMOVEDIR : 0)
        }
        if result < 0, errno == ENOENT { return }
        try check("unlinkat", result, BytePath.escaped(name))
    }

    // MARK: - Lasting

    /// Writes a file to the disk.
    func sync(_ file: CInt) throws(KernelError) {
        try point("fsync")
        try check("fsync", fsync(file))
    }

    /// Writes a whole file system to the disk.
    func syncAll(_ file: CInt) throws(KernelError) {
        try point("syncfs")
        try check("syncfs", box_syncfs(file))
    }

    /// A change that is made elsewhere, whole or not at all.
    func elsewhere(_ name: String) throws(KernelError) { try point(name) }
}
