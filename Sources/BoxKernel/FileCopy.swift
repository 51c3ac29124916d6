internal import CLinux
internal import Glibc

/// Copies the content of one open file to another, with its holes.
package enum FileCopy {
    /// How the content came over.
    package enum Method: Sendable { case shared, copied }

    /// What one call moves at most: between two of them, a copy can be stopped.
    private static let step = 8 << 20
    private static let smallFile = 128 << 10
    /// One read. A FUSE client asks for this much at once; see `copy`.
    private static let piece = 128 << 10

    /// Whether an open file or directory is on a FUSE file system; virtiofs is one.
    package static func isOnFUSE(_ file: CInt, retry: inout RetryCount) throws(KernelError) -> Bool {
        try retry.call("fstatfs") { box_is_fuse(file) } == 1
    }

    /// Gives `to`, which is empty, the first `size` bytes of `from`.
    ///
    /// Both share their blocks where the file system can do that (then `to` has all that `from` has, even if that is
    /// more); otherwise the bytes are copied and holes stay holes. Transient errors of shared file systems and short
    /// reads are tried again as `retry` allows, at the same place of the file. A file that has become shorter is
    /// `ENODATA`; that it is unchanged is the caller's to check, see `Node.isUnchanged(since:)`. `ESTALE` is thrown at
    /// once: the file has to be opened again. `isOnFUSE` saves the question to the file system.
    @discardableResult
    package static func copy(
        from: CInt, to: CInt, size: Int, isOnFUSE: Bool? = nil, retry: inout RetryCount
    ) throws(KernelError) -> Method {
        guard size > 0 else { return .copied }
        // Whatever is wrong with sharing, a copy will show if it is wrong with copying as well.
        if box_clone_file(to, from) == 0 { return .shared }
        // Measured, Linux 6.18: when a FUSE server answers a read in the cache's name with fewer bytes than there are,
        // the kernel fills the page with zeros, and with several reads under way (reading ahead does that, and so does
        // copy_file_range) these can reach the reader.
        let isOnFUSE = if let isOnFUSE { isOnFUSE } else { try FileCopy.isOnFUSE(from, retry: &retry) }
        if isOnFUSE { try check("fcntl", box_avoid_cache(from)) }
        let isDense = try retry.node(of: from).allocated >= size
        var at = 0
        while at < size, let data = isDense ? 0..<size : try nextData(from, at, size, &retry) {
            at = data.lowerBound
            // Two calls are cheaper for a small file than the three that this takes.
            if !isOnFUSE, data.count > smallFile { at = try byKernel(data, from, to, &retry) }
            if at < data.upperBound { try byHand(at..<data.upperBound, from, to, &retry) }
            at = data.upperBound
        }
        // The last hole.
        if at < size { try retry.call("ftruncate") { ftruncate(to, size) } }
        return .copied
    }

    /// The next range that is no hole; nil if there is nothing but a hole.
    private static func nextData(
        _ from: CInt, _ at: Int, _ size: Int, _ retry: inout RetryCount
    ) throws(KernelError) -> Range<Int>? {
        do throws(KernelError) {
            let start = try retry.call("lseek") { lseek(from, at, BOX_SEEK_DATA) }
            guard start < size else { return nil }
            let end = try retry.call("lseek") { lseek(from, start, BOX_SEEK_HOLE) }
            return start..<min(max(end, start + 1), size)
        } catch {
            switch error.code {
            case ENXIO: return nil
            // The file system does not tell.
            case EINVAL, EOPNOTSUPP, ENOSYS: return at..<size
            default: throw error
            }
        }
    }

    /// Lets the kernel copy; returns where it ended, which may be at once: then it cannot between these two files.
    private static func byKernel(
        _ range: Range<Int>, _ from: CInt, _ to: CInt, _ retry: inout RetryCount
    ) throws(KernelError) -> Int {
        var at = range.lowerBound
        while at < range.upperBound {
            try retry.checkStop()
            let moved = box_copy_range(from, to, Int64(at), min(step, range.upperBound - at))
            let code = errno
            if moved > 0 {
                at += moved
                retry.succeeded()
            } else if moved == 0 || !RetryCount.isTransient(code) {
                if moved < 0, [ENOSPC, EDQUOT, EFBIG].contains(code) {
                    throw KernelError(call: "copy_file_range", code: code)
                }
                return at
            } else {
                try retry.wait(after: KernelError(call: "copy_file_range", code: code))
            }
        }
        return at
    }

    private static func byHand(
        _ range: Range<Int>, _ from: CInt, _ to: CInt, _ retry: inout RetryCount
    ) throws(KernelError) {
        let room = min(range.count, piece)
        var failure: KernelError?
        unsafe withUnsafeTemporaryAllocation(byteCount: room, alignment: 4096) { buffer in
            do throws(KernelError) {
                var at = range.lowerBound
                while at < range.upperBound {
                    try retry.checkStop()
                    let piece = unsafe UnsafeMutableRawBufferPointer(
                        rebasing: buffer[..<min(room, range.upperBound - at)])
                    let count = try unsafe FileCopy.read(piece, from, at, &retry)
                    try unsafe write(UnsafeRawBufferPointer(rebasing: piece[..<count]), to, at, &retry)
                    at += count
                }
            } catch { failure = error }
        }
        if let failure { throw failure }
    }

    /// Reads at least one byte.
    private static func read(
        _ buffer: UnsafeMutableRawBufferPointer, _ from: CInt, _ at: Int, _ retry: inout RetryCount
    ) throws(KernelError) -> Int {
        while true {
            let count = try retry.call("read") { unsafe pread(from, buffer.baseAddress, buffer.count, at) }
            if count == buffer.count { return count }
            retry.countShortRead()
            if count > 0 { return count }
            // The end of the file, or what a share says when it is in trouble: its client also takes a short read
            // for the end, until it has asked for the size again.
            try retry.call("statx") { box_fetch_attributes(from) }
            guard try retry.node(of: from).size >= at + buffer.count else {
                throw KernelError(call: "read", code: ENODATA)
            }
            try retry.wait(after: KernelError(call: "short read", code: EIO))
        }
    }

    private static func write(
        _ bytes: UnsafeRawBufferPointer, _ to: CInt, _ at: Int, _ retry: inout RetryCount
    ) throws(KernelError) {
        var done = 0
        while done < bytes.count {
            done += try retry.call("write") {
                unsafe pwrite(to, bytes.baseAddress.map { unsafe $0 + done }, bytes.count - done, at + done)
            }
        }
    }
}

extension Node {
    /// Whether nobody has written to the file, or put another in its place, between two looks at it.
    package func isUnchanged(since before: Node) -> Bool {
        kind == before.kind && device == before.device && inode == before.inode && size == before.size
            && modified == before.modified && changed == before.changed
    }
}
