internal import CLinux
internal import Glibc

/// A system call of some task that waits for this process's answer (seccomp_unotify(2)).
///
/// The arguments are what the task had in its registers. What they point to is the task's memory, which it can change
/// at any time: nothing that is read there may decide about a permission.
package struct WaitingCall: Sendable {
    /// The kernel's name for this one wait.
    package let id: UInt64
    /// The thread, as this process's `/proc` names it.
    package let task: CInt
    package let number: Int32
    package let arguments: [6 of UInt64]
}

/// The listening end of a system call filter: receives the calls that the filter has marked, and answers them.
package struct SyscallListener: ~Copyable {
    package let descriptor: Descriptor

    /// What becomes of a call.
    package enum Answer: Sendable {
        /// The kernel performs it as if nobody had listened, with the task's own rights.
        case performed
        /// It fails with this errno.
        case failed(CInt)
    }

    /// Installs a compiled filter for the calling thread and listens to it.
    ///
    /// As `SeccompFilter.install`. `EBUSY` where a filter that is installed already has a listener: a thread and its
    /// ancestors can have one only. The calling thread's own marked calls wait as well, so it must not make any.
    package init(installing program: [UInt8]) throws(KernelError) {
        let number = unsafe box_seccomp_listen(program, program.count)
        descriptor = Descriptor(owning: try check("seccomp(SECCOMP_FILTER_FLAG_NEW_LISTENER)", number))
    }

    /// The next call; nil if it was given up meanwhile. Does not block when the descriptor is readable.
    package borrowing func receive() throws(KernelError) -> WaitingCall? {
        var raw = box_notification()
        guard unsafe box_notification_receive(descriptor.number, &raw) == 0 else {
            let code = errno
            if code == ENOENT { return nil }
            throw KernelError(call: "ioctl(SECCOMP_IOCTL_NOTIF_RECV)", code: code)
        }
        let given = raw.arguments
        return WaitingCall(
            id: raw.id, task: raw.task, number: raw.number,
            arguments: [given.0, given.1, given.2, given.3, given.4, given.5])
    }

    /// Answers a call; one that was given up meanwhile needs no answer.
    package borrowing func answer(_ call: WaitingCall, _ answer: Answer) throws(KernelError) {
        let error: CInt =
            switch answer {
            case .performed: 0
            case .failed(let code): code
            }
        guard box_notification_answer(descriptor.number, call.id, error) < 0 else { return }
        let code = errno
        guard code == ENOENT else { throw KernelError(call: "ioctl(SECCOMP_IOCTL_NOTIF_SEND)", code: code) }
    }

    /// Whether a call still waits. Only then is what `/proc` said of its task about this task, and not about another
    /// one that got its number.
    package borrowing func waits(_ call: WaitingCall) -> Bool {
        box_notification_waits(descriptor.number, call.id) == 1
    }
}
