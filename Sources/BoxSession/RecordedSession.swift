internal import BoxAudit
internal import BoxPlan
internal import BoxTypes
internal import Glibc

/// A session as its record tells, whether it runs or has ended.
package struct RecordedSession: Equatable, Sendable {
    package let name: String
    /// The directory that it belongs to.
    package let project: String
    /// In RFC 3339.
    package let started: String
    /// `sessions/NAME`.
    package let directory: String

    /// The log of what happened in it.
    package var log: String { "\(directory)/\(LogParts.name)" }

    private init?(_ name: String, in sessions: String) {
        directory = sessions + "/" + name
        guard let text = SmallFile.read(directory + "/session.json"),
            let record = try? JSONValue(parsing: Array(text.utf8)), case .object(let members) = record.content
        else { return nil }
        func member(_ key: String) -> String? {
            guard case .string(let text)? = members.first(where: { $0.key == key })?.value.content else {
                return nil
            }
            return text
        }
        guard let project = member("project"), let started = member("started") else { return nil }
        self.name = name
        self.project = project
        self.started = started
    }

    /// The sessions of a directory, or of one above it, the newest first; and the names of those whose record cannot be
    /// read, whosever they are.
    package static func ofProject(
        _ path: String
    ) throws(SessionError) -> (sessions: [RecordedSession], damaged: [String]) {
        let sessions = try place()
        var found: [RecordedSession] = []
        var damaged: [String] = []
        for name in DirectoryListing.names(of: sessions).sorted() where SessionDirectory.isValid(name: name) {
            if let session = RecordedSession(name, in: sessions) {
                if path == session.project || path.hasPrefix(session.project + "/") { found.append(session) }
            } else if unsafe access("\(sessions)/\(name)/session.json", F_OK) == 0 {
                // One without a record is just being made, or never began.
                damaged.append(name)
            }
        }
        return (found.sorted { ($0.started, $0.name) > ($1.started, $1.name) }, damaged)
    }

    /// The one session that a name or the beginning of a name means, of any project.
    package static func named(_ id: String) throws(SessionError) -> RecordedSession {
        let step = "find the session \(id.escapedForTerminal)"
        let sessions = try place()
        let names = DirectoryListing.names(of: sessions).filter(SessionDirectory.isValid).sorted()
        let near = names.contains(id) ? [id] : id.isEmpty ? [] : names.filter { $0.hasPrefix(id) }
        guard near.count <= 1 else {
            throw SessionError(
                step: step, reason: "several sessions begin so: \(near.joined(separator: " "))")
        }
        guard let name = near.first else { throw SessionError(step: step, reason: "there is none") }
        guard let session = RecordedSession(name, in: sessions) else {
            throw SessionError(
                step: step,
                reason: "its record \(sessions.escapedForTerminal)/\(name)/session.json cannot be read")
        }
        return session
    }

    /// The directory of all sessions, which is the user's alone.
    private static func place() throws(SessionError) -> String {
        let state = try HostFacts.stateDirectory()
        try StateDirectory.check("sessions", in: state)
        return state.string + "/sessions"
    }
}
