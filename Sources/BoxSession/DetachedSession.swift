internal import BoxKernel
internal import BoxPlan
internal import BoxTypes
internal import Glibc

extension SessionStore {
    /// The running session that a name or the beginning of a name means; without one, the newest of a directory's. `verb`
    /// is what is to be done with it.
    package static func running(
        _ id: String?, project: String, verb: String, detached: Bool = false
    ) throws(SessionError) -> StoredSession {
        if let id {
            let session = try named(id)
            let why =
                session.state != .running
                ? DetachedSession.notRunning(session)
                : detached && !session.isDetached ? Supervisor.ownTerminal : nil
            guard let why else { return session }
            throw SessionError(step: "\(verb) \(session.name.escapedForTerminal)", reason: why)
        }
        let path = try HostFacts.Project.canonicalPath(of: project).string
        let found = try all(of: path).first { $0.state == .running && ($0.isDetached || !detached) }
        if let found { return found }
        let kind = detached ? "session of box run --detach" : "session"
        throw SessionError(
            step: "\(verb) a session",
            reason: "no \(kind) runs in this project. box ps shows those that run")
    }
}

/// What is to be said of sessions that others look at.
package enum DetachedSession {
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
