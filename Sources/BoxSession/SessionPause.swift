internal import BoxKernel
internal import Glibc

/// Lets a session stand still, or go on, from outside.
package enum SessionPause {
    /// Asks the session's supervisor; nil if it has just ended. When a pause is answered, nothing inside runs any more.
    package static func ask(
        _ session: StoredSession, _ request: ControlRequest
    ) throws(SessionError) -> ControlReply? {
        if let pid = session.supervisor, isStopped(pid) {
            return .refused("it was stopped in its terminal (^Z), where fg lets it go on")
        }
        let reply = try RunningSession(session).ask(request)
        if request == .pause, case .done? = reply { try waitForStop(of: session) }
        return reply
    }

    /// How long a process may take that has much to do in the kernel, in milliseconds.
    private static let patience = 2000

    /// Waits until all that was told to stop has come to do that: on a busy machine it takes a moment.
    private static func waitForStop(of session: StoredSession) throws(SessionError) {
        let status = try RunningSession.statuses(of: [session], within: patience)[session.name]
        guard let status, status.isPaused, !status.isFrozen else { return }
        let end = Clock.milliseconds() + patience
        while !InsideProcesses.areStopped(of: status.firstProcess), Clock.milliseconds() < end {
            do throws(KernelError) { _ = try poll([], timeout: 3) } catch {
                throw SessionError(step: "wait", error)
            }
        }
    }

    /// Whether a process is stopped by a signal: then it answers nobody.
    private static func isStopped(_ pid: Int32) -> Bool {
        guard let text = SmallFile.read("/proc/\(pid)/stat"), let end = text.lastIndex(of: ")") else {
            return false
        }
        return text[text.index(after: end)...].split(separator: " ").first == "T"
    }
}
