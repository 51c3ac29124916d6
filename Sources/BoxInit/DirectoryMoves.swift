internal import BoxKernel
internal import BoxPlan
internal import BoxTypes
internal import CLinux
internal import Glibc

/// Lets programs rename directories that an overlay without privileges refuses to rename (EXDEV), because they come
/// from its lower layer or merge with it.
///
/// A rename waits until it is answered here. If it is about such a directory, a child of this process first puts one in
/// its place that has the same content and lies in the upper layer alone (`Mover`). In the end the kernel performs the
/// rename, with the rights of the task that asked for it: what that task may do is not decided here. Whatever cannot be
/// read or is not clear is left to the kernel at once.
///
/// Nothing in this process waits for a task: it reads and asks the file system, and all else is a child's.
struct DirectoryMoves: ~Copyable {
    /// A move in progress, and the call that waits for it.
    private struct Running {
        let pid: CInt
        let call: RenameCall
        let move: DirectoryMove
        let attempt: Int
    }

    private var running: [Running] = []
    /// What waits for a move that overlaps, oldest first.
    private var waiting: [RenameCall] = []
    /// The overlays in the sandbox, once they have been asked for: nobody can mount in this process's view.
    private var stages: Stages?
    /// The memory of the task that asked last.
    private var memory: TaskMemory?
    /// No new move is begun.
    private var isClosing = false

    /// How many moves go on at once: each is busy with the same disk.
    private static let most = 8
    /// How often a move is begun anew after its process was killed; anyone inside may do that.
    private static let mostAttempts = 20

    init() {}

    /// Whether no directory is being moved.
    var isIdle: Bool { running.isEmpty }

    /// Takes a call and answers it, now or when its directory can be renamed.
    mutating func take(_ rename: RenameCall, _ listener: borrowing SyscallListener) throws(KernelError) {
        guard mayConcernDirectory(rename) else {
            return try listener.answer(rename.call, .performed)
        }
        try consider(rename, listener)
    }

    /// A child has ended or changed. Whether it was one of these.
    mutating func changed(
        _ pid: CInt, _ change: ChildChange, _ listener: borrowing SyscallListener
    ) throws(KernelError) -> Bool {
        guard let index = running.firstIndex(where: { $0.pid == pid }) else { return false }
        switch change {
        // It was not asked to: let it go on.
        case .stopped: try Processes.kill(pid, SIGCONT)
        case .continued: break
        case .exited: try finish(running.remove(at: index), listener)
        case .killed:
            let last = running.remove(at: index)
            // The content lies in two places: another one goes on where that one was.
            guard last.attempt < DirectoryMoves.mostAttempts, let next = last.move.start() else {
                try finish(last, listener)
                break
            }
            running.append(
                Running(pid: next, call: last.call, move: last.move, attempt: last.attempt + 1))
        }
        return true
    }

    /// Leaves every further rename to the kernel; what is in progress goes on.
    mutating func close(_ listener: borrowing SyscallListener) throws(KernelError) {
        isClosing = true
        for rename in waiting { try listener.answer(rename.call, .performed) }
        waiting = []
    }

    private mutating func finish(_ last: Running, _ listener: borrowing SyscallListener) throws(KernelError) {
        try listener.answer(last.call.call, .performed)
        let others = waiting
        waiting = []
        // Looked at from the start: their directories may be others by now.
        for rename in others where listener.waits(rename.call) { try consider(rename, listener) }
    }

    /// The short way for nearly every rename: what is renamed is no directory.
    private mutating func mayConcernDirectory(_ rename: RenameCall) -> Bool {
        // The kernel knows no others together, and an overlay no others at all.
        guard rename.flags <= RenameFlags.exchange, let text = sourceText(rename),
            let path = TaskPath(text, rename.source, task: rename.call.task), let node = path.node
        else { return false }
        return node.kind == .directory || rename.exchanges
    }

    /// The path that is renamed. Many renames come one after the other from the same task, whose memory stays open. Its
    /// number may become another's, whose path is then read as something else: that costs it the help, and no more.
    private mutating func sourceText(_ rename: RenameCall) -> [UInt8]? {
        let address = rename.source.address
        if memory?.task == rename.call.task, let text = memory?.text(at: address) { return text }
        memory = TaskMemory(rename.call.task)
        return memory?.text(at: address)
    }

    private mutating func consider(
        _ rename: RenameCall, _ listener: borrowing SyscallListener
    ) throws(KernelError) {
        let look: DirectoryMove.Look
        // What fails here the kernel will find as well, and say to the task.
        do throws(KernelError) {
            let stages = if let known = stages { known } else { try Stages() }
            self.stages = stages
            look = try DirectoryMove.look(at: rename, listener, stages)
        } catch { look = .nothing }
        let move: DirectoryMove
        switch look {
        case .move(let needed) where !isClosing: move = needed
        case .move, .nothing: return try listener.answer(rename.call, .performed)
        case .full: return try listener.answer(rename.call, .failed(ENOTEMPTY))
        }
        if running.count >= DirectoryMoves.most || running.contains(where: { $0.move.overlaps(move) }) {
            waiting.append(rename)
            return
        }
        guard move.isNeeded, let pid = move.start() else {
            return try listener.answer(rename.call, .performed)
        }
        running.append(Running(pid: pid, call: rename, move: move, attempt: 1))
    }
}
