internal import BoxKernel
internal import BoxPlan
internal import BoxTypes
internal import Glibc

/// Finds sessions to attach to, and says how one ended that was attached to.
package enum DetachedSession {
    /// The detached session that a name or the beginning of a name means; without one, the newest of this directory's.
    package static func find(_ id: String?) throws(SessionError) -> StoredSession {
        if let id {
            let session = try SessionStore.named(id)
            guard session.state == .running else { throw refusal(session, notRunning(session)) }
            guard session.isDetached else { throw refusal(session, Supervisor.ownTerminal) }
            return session
        }
        let project = try HostFacts.Project.canonicalPath(of: ".").string
        let all = try SessionStore.all(of: project)
        if let newest = all.first(where: { $0.state == .running && $0.isDetached }) { return newest }
        throw SessionError(
            step: "attach",
            reason: "no session of box run --detach runs in this project. box ps shows those that run")
    }

    private static func refusal(_ session: StoredSession, _ reason: String) -> SessionError {
        SessionError(step: "attach to \(session.name.escapedForTerminal)", reason: reason)
    }

    /// Why a session that does not run cannot be shown, and what can be done instead.
    package static func notRunning(_ session: StoredSession) -> String {
        let name = session.name.escapedForTerminal
        let status = session.exitStatus.map { " with status \($0)" } ?? ""
        let state = session.state == .finished ? "it has ended\(status)" : "it is \(session.state.rawValue)"
        let goOn = session.isStaged ? ". To go on in its stage: box run --continue -s \(name)" : ""
        return "\(state). What happened: box log \(name)\(goOn)"
    }

    /// A session as its record says now that it was seen to end. The lock goes with the supervisor, but children that it
    /// had just started may hold it for a moment longer.
    package static func settled(_ name: String) throws(SessionError) -> StoredSession {
        let end = Clock.milliseconds() + patience
        while true {
            let session = try SessionStore.named(name)
            guard session.state == .running, Clock.milliseconds() < end else { return session }
            do throws(KernelError) { _ = try poll([], timeout: 5) } catch {
                throw SessionError(step: "see how \(name) ended", error)
            }
        }
    }

    private static let patience = 2000
}
