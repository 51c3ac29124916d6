internal import CLinux
internal import Glibc

extension FileCopy {
    private static let userPrefix = Array("user.".utf8)
    private static let overlayPrefix = Array("user.overlay.".utf8)

    /// Copies the extended attributes of the user's own space. Returns false where the file system of `to` has none,
    /// so that some are lost. An overlay's own are left out: they are not content.
    package static func copyUserAttributes(
        from: CInt, to: CInt, retry: inout RetryCount
    ) throws(KernelError) -> Bool {
        for name in try attributeNames(from, &retry)
        where name.starts(with: userPrefix) && !name.starts(with: overlayPrefix) {
            let value: [UInt8]
            do throws(KernelError) { value = try attribute(name, of: from, &retry) } catch {
                // It was taken away meanwhile; the file's ctime tells.
                guard error.code == ENODATA else { throw error }
                continue
            }
            let result = unsafe withCName(name) { unsafe box_set_xattr(to, $0, value, value.count) }
            if result < 0, errno == EOPNOTSUPP { return false }
            try check("fsetxattr", result)
        }
        return true
    }

    private static func attributeNames(
        _ file: CInt, _ retry: inout RetryCount
    ) throws(KernelError) -> [ArraySlice<UInt8>] {
        do throws(KernelError) {
            return try unsafe sized(&retry, "flistxattr") { unsafe box_list_xattrs(file, $0, $1) }.split(
                separator: 0)
        } catch {
            // This file system has none.
            guard error.code == EOPNOTSUPP || error.code == ENOSYS else { throw error }
            return []
        }
    }

    private static func attribute(
        _ name: ArraySlice<UInt8>, of file: CInt, _ retry: inout RetryCount
    ) throws(KernelError) -> [UInt8] {
        try unsafe sized(&retry, "fgetxattr") { buffer, room in
            unsafe withCName(name) { unsafe box_get_xattr(file, $0, buffer, room) }
        }
    }

    /// Fills a buffer whose size the call itself has to tell.
    private static func sized(
        _ retry: inout RetryCount, _ name: String, _ call: (UnsafeMutablePointer<CChar>?, Int) -> Int
    ) throws(KernelError) -> [UInt8] {
        while true {
            let size = try retry.call(name) { call(nil, 0) }
            if size == 0 { return [] }
            var bytes = [CChar](repeating: 0, count: size)
            do throws(KernelError) {
                let filled = try retry.call(name) { unsafe call(&bytes, size) }
                return bytes.prefix(filled).map { UInt8(bitPattern: $0) }
            } catch {
                // It has grown meanwhile.
                guard error.code == ERANGE else { throw error }
            }
        }
    }

    /// Gives a copied file or directory the mode and time of modification of its original, and as root its owner.
    package static func setOwnerModeTime(_ copy: CInt, like node: Node) throws(KernelError) {
        // Before the mode: a change of the owner takes setuid bits away.
        if geteuid() == 0 { try check("fchown", fchown(copy, node.uid, node.gid)) }
        try check("fchmod", fchmod(copy, node.mode))
        let times = node.copiedTimes
        try unsafe check("futimens", futimens(copy, times))
    }

    /// The same for a link, which has no mode of its own.
    package static func setOwnerTime(
        link name: some Collection<UInt8>, in directory: CInt, like node: Node
    ) throws(KernelError) {
        if geteuid() == 0 {
            let result = unsafe withCName(name) {
                unsafe fchownat(directory, $0, node.uid, node.gid, AT_SYMLINK_NOFOLLOW)
            }
            try check("fchownat", result)
        }
        let times = node.copiedTimes
        let result = unsafe withCName(name) { unsafe utimensat(directory, $0, times, AT_SYMLINK_NOFOLLOW) }
        try check("utimensat", result)
    }
}

extension Node {
    /// The time of access stays as it is: `UTIME_OMIT`, a macro that Swift does not import.
    fileprivate var copiedTimes: [timespec] {
        [
            timespec(tv_sec: 0, tv_nsec: (1 << 30) - 2),
            timespec(tv_sec: modified.seconds, tv_nsec: modified.nanoseconds),
        ]
    }
}

extension FileCopy {
    /// Flags of `open(2)` for a place: for what cannot be read, such as a link itself.
    package static let placeOnly = BOX_O_PATH

    /// Where an open link points to.
    package static func linkTarget(
        of place: CInt, retry: inout RetryCount
    ) throws(KernelError) -> [UInt8] {
        // The longest that Linux takes, and one more to see that it is whole.
        var text = [CChar](repeating: 0, count: 4097)
        let length = try retry.call("readlinkat") { unsafe readlinkat(place, "", &text, text.count) }
        return text.prefix(length).map { UInt8(bitPattern: $0) }
    }

    /// Makes a shared file system say anew what an open file is, for the next look at it.
    package static func fetchAttributes(_ file: CInt, _ retry: inout RetryCount) throws(KernelError) {
        try retry.call("statx") { box_fetch_attributes(file) }
    }

    /// Waits for the end of a write that is under way: it holds the file's lock, which this call needs as well (ext4,
    /// btrfs, tmpfs; XFS has it at each read).
    package static func waitForWriter(_ file: CInt) { _ = lseek(file, 0, BOX_SEEK_DATA) }
}
