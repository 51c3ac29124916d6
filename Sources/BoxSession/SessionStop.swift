internal import BoxKernel
internal import BoxTypes
internal import CLinux
internal import Glibc

/// Ends a session from outside.
package enum SessionStop {
    package enum Outcome: Equatable, Sendable {
        case stopped
        /// Its supervisor did not end in time and was killed: the session counts as interrupted.
        case killed
        case notRunning
    }

    /// How much longer than its command a supervisor may take to end, in milliseconds.
    private static let slack = 10_000
    /// How long the kernel may take to end a process that was killed.
    private static let lastSlack = 20_000
    /// A supervisor that does not answer in that time gets a signal instead.
    private static let patience = 3000

    /// Asks a session's command to end, ends it after so many milliseconds, and waits until the session is gone.
    package static func run(_ session: StoredSession, within milliseconds: Int) throws(SessionError)
        -> Outcome
    {
        let step = "stop session \(session.name.escapedForTerminal)"
        guard session.state == .running, let process = try process(of: session, step) else {
            return .notRunning
        }
        do throws(KernelError) {
            let hasAnswered = try ask(session, process, milliseconds)
            if !hasAnswered { try signal(process, SIGTERM) }
            if try hasEnded(process, within: milliseconds + slack) { return try settle(session, .stopped) }
            try signal(process, SIGKILL)
            guard try hasEnded(process, within: lastSlack) else {
                throw KernelError(call: "wait", code: ETIMEDOUT, subject: "its supervisor")
            }
            return try settle(session, .killed)
        } catch { throw SessionError(step: step, error) }
    }

    /// The supervisor's process, and no other that has got its number since: after it is opened it is still the one that
    /// holds the lock, or that answers. nil: it has just ended.
    private static func process(of session: StoredSession, _ step: String) throws(SessionError) -> Descriptor?
    {
        // Where the kernel does not say who holds locks, the supervisor itself is asked.
        let holders = LockTable().holders(session.directory)
        let known =
            holders.isEmpty
            ? try answering(session) : holders.first { $0 == session.supervisor } ?? holders[0]
        guard let pid = known ?? session.supervisor else {
            guard SessionLock.isHeld(session.directory) else { return nil }
            throw SessionError(step: step, reason: "its supervisor cannot be found")
        }
        let number = box_pidfd_open(pid)
        guard number >= 0 else {
            if errno == ESRCH { return nil }
            throw SessionError(step: step, KernelError(call: "pidfd_open", code: errno))
        }
        let process = Descriptor(owning: number)
        if LockTable().holders(session.directory).contains(pid) { return process }
        if try answering(session) == pid { return process }
        guard SessionLock.isHeld(session.directory) else { return nil }
        throw SessionError(
            step: step, reason: "process \(pid) is not its supervisor, although its record says so")
    }

    private static func answering(_ session: StoredSession) throws(SessionError) -> Int32? {
        try RunningSession.statuses(of: [session], within: patience)[session.name]?.supervisor
    }

    private static func ask(
        _ session: StoredSession, _ process: borrowing Descriptor, _ milliseconds: Int
    ) throws(KernelError) -> Bool {
        // One that is stopped (^Z) takes nothing.
        try signal(process, SIGCONT)
        let grace = min(milliseconds, ControlRequest.longestGrace)
        let reply: ControlReply?
        do throws(SessionError) {
            reply = try RunningSession(session).ask(.stop(within: grace), patience: patience)
        } catch { return false }
        if case .done? = reply { return true }
        return false
    }

    private static func signal(_ process: borrowing Descriptor, _ signal: CInt) throws(KernelError) {
        if box_pidfd_send_signal(process.number, signal) == 0 || errno == ESRCH { return }
        throw KernelError(call: "pidfd_send_signal", code: errno)
    }

    private static func hasEnded(
        _ process: borrowing Descriptor, within milliseconds: Int
    ) throws(KernelError) -> Bool {
        let end = Clock.milliseconds() + milliseconds
        while true {
            if try !poll([PollEntry(process.number, .read)], timeout: end - Clock.milliseconds()).isEmpty {
                return true
            }
            if Clock.milliseconds() >= end { return false }
        }
    }

    /// The lock goes with the process, but children that it had just started may hold it for a moment longer.
    private static func settle(_ session: StoredSession, _ outcome: Outcome) throws(KernelError) -> Outcome {
        let end = Clock.milliseconds() + slack
        while SessionLock.isHeld(session.directory), Clock.milliseconds() < end {
            _ = try poll([], timeout: 5)
        }
        return outcome
    }
}
