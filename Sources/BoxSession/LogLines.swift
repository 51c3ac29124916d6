internal import BoxKernel
internal import Glibc

/// The lines of a session's log, one after the other. A log can be long: no more than a piece of it is in memory.
enum LogLines {
    /// Longer lines are passed over: none of those that are looked for is so long.
    static let longest = 1 << 16
    private static let piece = 1 << 18

    /// Gives each complete line, without its end, to `body`. A last line without an end is still being written.
    ///
    /// Only a regular file is read: nothing else is a log, and reading it could wait for ever.
    static func forEach(in path: String, _ body: (ArraySlice<UInt8>) -> Void) throws(KernelError) {
        let file = try Descriptor.open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
        guard try FileStatus.of(file.number).kind == .file else {
            throw KernelError(call: "read", code: EINVAL, subject: path)
        }
        var rest: [UInt8] = []
        var isTooLong = false
        while true {
            let bytes = try file.read(upTo: piece)
            if bytes.isEmpty { return }
            var start = bytes.startIndex
            while let end = lineEnd(in: bytes, from: start) {
                if rest.isEmpty, !isTooLong {
                    if end - start <= longest { body(bytes[start..<end]) }
                } else {
                    if !isTooLong, rest.count + end - start <= longest {
                        body((rest + bytes[start..<end])[...])
                    }
                    rest.removeAll(keepingCapacity: true)
                    isTooLong = false
                }
                start = end + 1
            }
            if !isTooLong { rest += bytes[start...] }
            if rest.count > longest {
                rest.removeAll(keepingCapacity: true)
                isTooLong = true
            }
        }
    }

    /// Where the line ends that begins at `start`; nil if it does not end in these bytes.
    private static func lineEnd(in bytes: [UInt8], from start: Int) -> Int? {
        unsafe bytes.withUnsafeBytes { raw in
            guard let base = raw.baseAddress,
                let end = unsafe memchr(base + start, CInt(UInt8(ascii: "\n")), raw.count - start)
            else { return nil }
            return unsafe base.distance(to: UnsafeRawPointer(end))
        }
    }
}
