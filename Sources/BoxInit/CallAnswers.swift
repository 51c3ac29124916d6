internal import BoxKernel
internal import Glibc

/// Answers the system calls of what runs in the sandbox that its filter marks.
struct CallAnswers: ~Copyable {
    private let listener: SyscallListener
    private var moves = DirectoryMoves()

    init(_ listener: consuming SyscallListener) { self.listener = listener }

    /// Readable when a call waits.
    var entry: PollEntry { PollEntry(listener.descriptor.number, .read) }

    /// Whether nothing is in progress that would be left half done.
    var isIdle: Bool { moves.isIdle }

    /// Takes the next call. It is answered now, or when what it waits for is done.
    mutating func takeNext() throws(KernelError) {
        guard let call = try listener.receive() else { return }
        guard let rename = RenameCall(call) else {
            // As the kernel answers where a filter marks a call and nobody listens (seccomp(2)).
            return try listener.answer(call, .failed(ENOSYS))
        }
        try moves.take(rename, listener)
    }

    /// A child has ended or changed. Whether it was one of these.
    mutating func changed(_ pid: CInt, _ change: ChildChange) throws(KernelError) -> Bool {
        try moves.changed(pid, change, listener)
    }

    /// Begins nothing more; what is in progress goes on.
    mutating func close() throws(KernelError) { try moves.close(listener) }
}
