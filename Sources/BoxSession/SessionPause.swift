internal import BoxKernel
internal import Glibc

/// Lets a session stand still, or go on, from outside.
package enum SessionPause {
    /// Asks the session's supervisor; nil if it has just ended. When a pause is answered, nothing inside runs any more; a
    /// note says so if something is still at work in the kernel.
    package static func ask(
        _ session: StoredSession, _ request: ControlRequest
    ) throws(SessionError) -> ControlReply? {
        if let pid = session.supervisor, isStopped(pid) {
            return .refused("it was stopped in its terminal (^Z), where fg lets it go on")
        }
        let reply = try RunningSession(session).ask(request)
        guard request == .pause, case .done(var outcome)? = reply else { return reply }
        let busy = try waitForStop(of: session)
        if busy > 0 {
            let who = busy == 1 ? "1 process" : "\(busy) processes"
            outcome.notes.append("\(who) will stop when the kernel has done what was asked of it")
        }
        return .done(outcome)
    }

    /// How long a process may take that has much to do in the kernel, in milliseconds.
    private static let patience = 2000

    /// Waits until all that was told to stop has come to do that: on a busy machine it takes a moment. How many have not.
    private static func waitForStop(of session: StoredSession) throws(SessionError) -> Int {
        let status = try RunningSession.statuses(of: [session], within: patience)[session.name]
        guard let status, status.isPaused, !status.isFrozen else { return 0 }
        let end = Clock.milliseconds() + patience
        while true {
            let busy = InsideProcesses.notStopped(of: status.firstProcess)
            if busy == 0 || Clock.milliseconds() >= end { return busy }
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
