internal import CLinux
internal import Glibc

/// How a child process ended or changed.
package enum ChildChange: Equatable, Sendable {
    case exited(CInt)
    case killed(signal: CInt)
    case stopped(signal: CInt)
    case continued

    /// What a status of wait(2) says.
    init(waitStatus status: CInt) {
        if box_wifexited(status) != 0 {
            self = .exited(box_wexitstatus(status))
        } else if box_wifsignaled(status) != 0 {
            self = .killed(signal: box_wtermsig(status))
        } else if box_wifstopped(status) != 0 {
            self = .stopped(signal: box_wstopsig(status))
        } else {
            self = .continued
        }
    }
}

/// Calls about processes.
package enum Processes {
    /// The next child that ended, stopped or went on; nil if none did, or none is left.
    package static func nextChange() throws(KernelError) -> (pid: CInt, change: ChildChange)? {
        var status: CInt = 0
        let pid = retry { unsafe waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED) }
        if pid == 0 { return nil }
        guard pid > 0 else {
            if errno == ECHILD { return nil }
            throw KernelError(call: "waitpid", code: errno)
        }
        return (pid, ChildChange(waitStatus: status))
    }

    /// A copy of this process, which must have one thread: 0 in the copy, its number in the original.
    package static func copy() throws(KernelError) -> CInt { try check("fork", fork()) }

    /// Waits until a child has ended.
    package static func wait(for child: CInt) throws(KernelError) -> ChildChange {
        var status: CInt = 0
        try check("waitpid", retry { unsafe waitpid(child, &status, 0) })
        return box_wifexited(status) != 0
            ? .exited(box_wexitstatus(status)) : .killed(signal: box_wtermsig(status))
    }

    /// How many threads this process has, by `/proc`.
    package static func threadCount() throws(KernelError) -> Int {
        guard let directory = unsafe opendir("/proc/self/task") else {
            throw KernelError(call: "opendir", code: errno, subject: "/proc/self/task")
        }
        defer { unsafe closedir(directory) }
        var count = 0
        while unsafe readdir(directory) != nil { count += 1 }
        return count - 2
    }

    /// A new session without a controlling terminal.
    package static func newSession() throws(KernelError) { try check("setsid", setsid()) }

    /// Sends a signal; a process that is gone already is no error.
    package static func kill(_ target: CInt, _ signal: CInt) throws(KernelError) {
        guard Glibc.kill(target, signal) < 0 else { return }
        let code = errno
        guard code == ESRCH else { throw KernelError(call: "kill", code: code) }
    }

    /// Takes on one unprivileged id for good.
    package static func become(uid: UInt32, gid: UInt32) throws(KernelError) {
        try check("setresgid", box_setresgid(gid), String(gid))
        try check("setresuid", box_setresuid(uid), String(uid))
    }

    /// Blocks signals for this thread and gives a descriptor that reads them.
    package static func signalDescriptor(_ signals: [CInt]) throws(KernelError) -> Descriptor {
        var mask = sigset_t()
        unsafe sigemptyset(&mask)
        for signal in signals { unsafe sigaddset(&mask, signal) }
        try check("sigprocmask", unsafe sigprocmask(SIG_BLOCK, &mask, nil))
        return Descriptor(owning: try check("signalfd", unsafe box_signalfd(&mask)))
    }

    /// The signals waiting in a signal descriptor, oldest first.
    package static func takeSignals(_ descriptor: borrowing Descriptor) throws(KernelError) -> [CInt] {
        var signals: [CInt] = []
        while true {
            let signal = try check("read", box_signalfd_next(descriptor.number), "signalfd")
            if signal == 0 { return signals }
            signals.append(signal)
        }
    }
}

/// Calls `body` with a null-terminated array of C strings, as `execve` takes them.
package func withCStrings<Result>(
    _ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result
) -> Result {
    var pointers: [UnsafeMutablePointer<CChar>?] = unsafe strings.map { unsafe strdup($0) }
    unsafe pointers.append(nil)
    defer { unsafe pointers.forEach { unsafe free($0) } }
    return unsafe pointers.withUnsafeBufferPointer { buffer in
        // The array holds at least the terminator, so it has a base address.
        unsafe body(buffer.baseAddress.unsafelyUnwrapped)
    }
}
