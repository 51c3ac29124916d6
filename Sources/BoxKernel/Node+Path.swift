internal import CLinux
internal import Glibc

extension Node {
    /// What lies at a path, a link at its end not followed; nil if nothing does, or if it cannot be looked at.
    package static func at(_ path: some Collection<UInt8>) -> Node? {
        var raw = stat()
        let result = unsafe withCName(path) { text in
            unsafe fstatat(AT_FDCWD, text, &raw, AT_SYMLINK_NOFOLLOW)
        }
        return result == 0 ? Node(raw) : nil
    }
}

extension Node.Time {
    /// When an open file or place was made; nil where its file system does not keep that. For a file of an overlay it is
    /// about the layer that the file lies in now, so it changes when the file is copied up.
    package static func birth(of descriptor: CInt) throws(KernelError) -> Node.Time? {
        var (seconds, nanoseconds): (Int64, Int64) = (0, 0)
        let isKnown = try check("statx", unsafe box_birth(descriptor, &seconds, &nanoseconds)) == 1
        return isKnown ? Node.Time(seconds: Int(seconds), nanoseconds: Int(nanoseconds)) : nil
    }
}
