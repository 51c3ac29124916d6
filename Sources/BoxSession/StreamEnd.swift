package import BoxKernel
internal import CLinux
internal import Glibc

/// One end of a relay: a descriptor that is read or written without ever waiting.
///
/// `O_NONBLOCK` belongs to the open file, which for the standard streams is shared with the user's shell and
/// with every process that it started; switched on there, it would break them after box has gone. So a host
/// end never gets the flag: a pipe or terminal is opened anew through `/proc/self/fd`, which makes an open
/// file of our own; a socket is used with `MSG_DONTWAIT`; a file never makes one wait; and where none of this
/// works, each transfer is preceded by `poll` and small enough for what `poll` promises.
package struct StreamEnd: ~Copyable {
    /// Which way the bytes go.
    package enum Direction: Sendable { case source, sink }

    /// What one transfer came to.
    enum Transfer: Equatable {
        case moved(Int)
        /// Nothing could be moved now.
        case wouldBlock
        /// The end of the file, or nobody reads any more.
        case closed
        case failed(KernelError)
    }

    private enum Access: Equatable {
        /// The open file is ours and does not block.
        case nonBlocking
        /// A regular file or another thing that does not make one wait.
        case file
        case socket
        /// The open file is shared and may block: at most this many bytes a write, and only after `poll`.
        case shared(longestWrite: Int)
    }

    private let descriptor: Descriptor
    private let access: Access
    /// The host's own descriptor; nil for an end that is ours.
    private let hostNumber: CInt?

    /// The number to poll.
    package var number: CInt { descriptor.number }

    /// Takes an end of the sandbox's side: a pipe's end or the master of a pty, which nobody else uses.
    package init(own descriptor: consuming Descriptor) throws(KernelError) {
        try descriptor.setNonBlocking(true)
        self.descriptor = descriptor
        access = .nonBlocking
        hostNumber = nil
    }

    /// Uses a standard stream of the host. It stays open, with its flags as they are.
    package init(host number: CInt, _ direction: Direction) throws(KernelError) {
        hostNumber = number
        var facts = stat()
        try check("fstat", unsafe fstat(number, &facts))
        let kind = facts.st_mode & S_IFMT
        let isTerminal = Terminal.isTerminal(number)
        // To open a pty's master anew is to make another pty (5:2 is /dev/ptmx).
        let isMaster = kind == S_IFCHR && facts.st_rdev == 5 << 8 | 2
        if kind == S_IFIFO || isTerminal && !isMaster, let own = Self.reopened(number, direction) {
            descriptor = own
            access = .nonBlocking
            return
        }
        let copy = box_fcntl_dupfd_cloexec(number, 3)
        descriptor = Descriptor(owning: try check("fcntl(F_DUPFD_CLOEXEC)", copy))
        switch kind {
        case S_IFSOCK: access = .socket
        case S_IFIFO:
            // A pipe that polls as writable takes PIPE_BUF bytes without waiting (pipe(7)).
            access = .shared(longestWrite: 4096)
        case S_IFCHR where isTerminal:
            // A terminal polls as writable when it takes some bytes; this many as a rule.
            access = .shared(longestWrite: 256)
        default: access = .file
        }
    }

    /// The same pipe or terminal as an open file of our own; nil if that is refused (another user's terminal,
    /// a pipe without readers, no `/proc`), and the caller then goes the other way.
    private static func reopened(_ number: CInt, _ direction: Direction) -> Descriptor? {
        let flags = (direction == .source ? O_RDONLY : O_WRONLY) | O_NONBLOCK | O_NOCTTY
        do throws(KernelError) { return try Descriptor.open("/proc/self/fd/\(number)", flags) } catch {
            return nil
        }
    }

    /// Reads into `buffer`, replacing what is in it.
    borrowing func read(into buffer: inout [UInt8]) -> Transfer {
        if case .shared = access, !polls(.read) { return .wouldBlock }
        var code: CInt = 0
        let got = unsafe buffer.withUnsafeMutableBytes { raw in
            let got = retry {
                access == .socket
                    ? unsafe recv(number, raw.baseAddress, raw.count, CInt(MSG_DONTWAIT))
                    : unsafe Glibc.read(number, raw.baseAddress, raw.count)
            }
            if got < 0 { code = errno }
            return got
        }
        if got > 0 { return .moved(got) }
        if got == 0 { return .closed }
        switch code {
        case EAGAIN: return .wouldBlock
        // A master whose slaves are closed, a terminal that hung up, a connection that was cut.
        case EIO, ECONNRESET: return .closed
        default: return .failed(KernelError(call: "read", code: code))
        }
    }

    /// Writes what can be written at once.
    borrowing func write(_ bytes: ArraySlice<UInt8>) -> Transfer {
        var bytes = bytes
        if case .shared(let longest) = access {
            guard polls(.write) else { return .wouldBlock }
            bytes = bytes.prefix(longest)
        }
        var code: CInt = 0
        let sent = unsafe bytes.withUnsafeBytes { raw in
            let sent = retry {
                access == .socket
                    ? unsafe send(
                        number, raw.baseAddress, raw.count,
                        CInt(MSG_DONTWAIT | MSG_NOSIGNAL))
                    : unsafe Glibc.write(number, raw.baseAddress, raw.count)
            }
            if sent < 0 { code = errno }
            return sent
        }
        if sent >= 0 { return .moved(sent) }
        switch code {
        case EAGAIN: return .wouldBlock
        case EPIPE, EIO, ECONNRESET: return .closed
        default: return .failed(KernelError(call: "write", code: code))
        }
    }

    /// Whether the event is there now.
    private func polls(_ event: PollEvents) -> Bool {
        do throws(KernelError) {
            return try !poll([PollEntry(number, event)], timeout: 0).isEmpty
        } catch {
            // The transfer itself will tell.
            return true
        }
    }

    /// Closes a source for good, so that whoever writes there learns that nobody reads any more.
    ///
    /// A standard stream of the host stays open as a number, on `/dev/null`, so that no file opened later
    /// gets it. A terminal stays, since box may still have to ask the user something.
    consuming func closeSource() throws(KernelError) {
        guard let hostNumber, !Terminal.isTerminal(hostNumber) else { return }
        let null = try Descriptor.open("/dev/null", O_RDONLY)
        // The standard streams stay open over exec, as they were.
        try check("dup3", box_dup3(null.number, hostNumber, hostNumber > 2 ? O_CLOEXEC : 0))
    }
}
