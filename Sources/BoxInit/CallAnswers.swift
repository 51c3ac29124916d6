internal import BoxKernel
internal import BoxPlan
internal import Glibc

/// Answers the system calls of what runs in the sandbox that its filter marks.
struct CallAnswers: ~Copyable {
    private let listener: SyscallListener
    private var moves = DirectoryMoves()
    /// Where the starts of programs are marked.
    private var programs: ProgramWatch?

    /// Whether the start of a program waits for this process: it must not wait for that itself.
    let watchesPrograms: Bool
    /// What to wait for: a call, or the end of a program.
    var entries: [PollEntry] {
        let call = PollEntry(listener.descriptor.number, .read)
        switch programs {
        case .some(let programs): return [call] + programs.entries
        case .none: return [call]
        }
    }

    init(_ listener: consuming SyscallListener, to calls: ListenedCalls) throws(KernelError) {
        watchesPrograms = calls.contains(.executions)
        programs = watchesPrograms ? try ProgramWatch.begin() : nil
        self.listener = listener
    }

    /// When `serve` is to be called though nothing is ready, in milliseconds from now; nil if it need not be.
    mutating func timeout() -> Int? { programs?.timeout ?? nil }

    /// Whether nothing is in progress that would be left half done.
    var isIdle: Bool { moves.isIdle }

    /// This process starts a program, whose call it will have to answer.
    mutating func begin(_ pid: CInt, _ start: CommandStart, running: PollEntry) {
        programs?.begin(pid, start, running: running)
    }

    /// That program runs, or could not be executed.
    mutating func begun(_ pid: CInt) { programs?.begun(pid) }

    /// Takes what is ready.
    mutating func serve(_ ready: [Ready], _ control: borrowing Channel) throws(KernelError) {
        // The programs that were let go the last time.
        try programs?.goOn(ready, control)
        let call = listener.descriptor.number
        if ready.contains(where: { $0.descriptor == call }) { try takeNext(control) }
    }

    /// Takes the next call. It is answered now, or when what it waits for is done.
    private mutating func takeNext(_ control: borrowing Channel) throws(KernelError) {
        guard let call = try listener.receive() else { return }
        if let rename = RenameCall(call) { return try moves.take(rename, listener) }
        guard watchesPrograms, let execution = ExecutionCall(call) else {
            // As the kernel answers where a filter marks a call and nobody listens (seccomp(2)).
            return try listener.answer(call, .failed(ENOSYS))
        }
        try programs?.take(execution, listener, control)
    }

    /// A child has ended or changed. Whether it was one that moves a directory.
    mutating func changed(
        _ pid: CInt, _ change: ChildChange, _ control: borrowing Channel
    ) throws(KernelError) -> Bool {
        if try moves.changed(pid, change, listener) { return true }
        try programs?.reaped(pid, change, control)
        return false
    }

    /// Reports what is known at the end, and begins nothing more; what is in progress goes on.
    mutating func close(_ control: borrowing Channel) throws(KernelError) {
        try programs?.takeEnded(control)
        try moves.close(listener)
    }
}
