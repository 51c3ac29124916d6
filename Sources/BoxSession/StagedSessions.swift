package import BoxAudit
package import BoxKernel
internal import BoxPlan
package import BoxStage
internal import BoxTypes
internal import CLinux
internal import Glibc

/// A session as commands find it later, with its stage if it has one: to review, apply or discard what it changed.
package struct StagedSession: Sendable {
    package let name: String
    /// `sessions/NAME`.
    package let directory: String
    /// The directory that the session belongs to.
    package let project: String
    /// As `session.json` has it: `running` also where the session was killed.
    package let state: String
    /// In RFC 3339.
    package let started: String
    package let stage: Stage?
    /// It worked in a stage, which is gone because nothing in it had changed.
    package let changedNothing: Bool

    /// The session that a name or the beginning of one means. Without one, of those that belong to a directory or to one
    /// above it: the newest with changes that were not applied, else the newest.
    package static func find(_ id: String?, project: String) throws(SessionError) -> StagedSession {
        let sessions = try StagedSession.sessions()
        if let id { return try named(id, in: sessions) }
        let all = try ofProject(project, in: sessions)
        for session in all {
            if try session.waits() { return session }
        }
        // One without a stage worked in the project itself.
        guard let newest = all.first(where: { $0.stage != nil }) ?? all.first else {
            throw SessionError(
                step: "find a session",
                reason: "there is none of this project. Name one of another project with -s ID")
        }
        return newest
    }

    /// The sessions of a directory, or of one above it, the newest first.
    package static func ofProject(_ directory: String) throws(SessionError) -> [StagedSession] {
        try ofProject(directory, in: try sessions())
    }

    /// The directory of all sessions, which is the user's alone.
    private static func sessions() throws(SessionError) -> String {
        let state = try HostFacts.stateDirectory()
        try StateDirectory.check("sessions", in: state)
        return state.string + "/sessions"
    }

    private static func ofProject(
        _ directory: String, in sessions: String
    ) throws(SessionError) -> [StagedSession] {
        let place: Descriptor
        do throws(KernelError) { place = try Descriptor.open(directory, O_RDONLY | O_DIRECTORY) } catch {
            throw SessionError(step: "use \(directory.escapedForTerminal) as the project", error)
        }
        guard let path = SmallFile.readLink("/proc/self/fd/\(place.number)") else {
            throw SessionError(
                step: "find the project", reason: "its path cannot be found; is /proc mounted?")
        }
        var found: [StagedSession] = []
        for name in DirectoryListing.names(of: sessions) {
            guard let record = SessionRecord(sessions + "/" + name),
                path == record.project || path.hasPrefix(record.project + "/")
            else { continue }
            found.append(try StagedSession(name, sessions + "/" + name, record))
        }
        return found.sorted { ($0.started, $0.name) > ($1.started, $1.name) }
    }

    private static func named(_ id: String, in sessions: String) throws(SessionError) -> StagedSession {
        let step = "find the session \(id.escapedForTerminal)"
        let names = DirectoryListing.names(of: sessions).sorted()
        let near = names.contains(id) ? [id] : id.isEmpty ? [] : names.filter { $0.hasPrefix(id) }
        guard near.count <= 1 else {
            throw SessionError(
                step: step, reason: "several sessions begin so: \(near.joined(separator: " "))")
        }
        guard let name = near.first else { throw SessionError(step: step, reason: "there is none") }
        let directory = sessions + "/" + name
        guard let record = SessionRecord(directory) else {
            throw SessionError(
                step: step, reason: "\(directory.escapedForTerminal)/session.json cannot be read")
        }
        return try StagedSession(name, directory, record)
    }

    private init(_ name: String, _ directory: String, _ record: SessionRecord) throws(SessionError) {
        self.name = name
        self.directory = directory
        project = record.project
        state = record.state
        started = record.started
        changedNothing = record.changes == 0 && ["overlay", "copy"].contains(record.workspace)
        do throws(StageError) {
            stage = try Stage.read(directory + "/stage", session: name)
        } catch { throw SessionError(step: error.step, reason: error.reason, hint: error.hint) }
    }

    // MARK: - What it is now

    /// Whether its supervisor is alive: it holds the session's lock.
    package var isRunning: Bool { SessionLock.isHeld(directory) }

    /// Whether it has changes that were not applied.
    package func waits() throws(SessionError) -> Bool {
        guard let stage else { return false }
        // While an agent is at work nobody else goes through its files.
        if isRunning { return true }
        // A session that ended by itself has left a note; one that was killed, or runs, has not.
        guard
            state == "running"
                || stage.roots.first.map({ root in
                    WaitingStages.sessions(device: root.device, inode: root.inode, state: stateDirectory)
                        .contains(name)
                }) ?? true
        else { return false }
        return try hasChanges(stage)
    }

    private func hasChanges(_ stage: Stage) throws(SessionError) -> Bool {
        let found = StageError("", reason: "")
        do throws(StageError) {
            try ChangeWalk(stage).forEach { (_) throws(StageError) in throw found }
            return false
        } catch {
            if error == found { return true }
            throw SessionError(step: error.step, reason: error.reason, hint: error.hint)
        }
    }

    /// Takes the session's lock, so that nobody else changes its stage; a session that runs is refused.
    package func lock() throws(SessionError) -> Descriptor {
        guard let lock = try SessionLock.take(directory) else {
            throw SessionError(
                step: "change the stage of session \(name)",
                reason: "the session still runs, or another command of "
                    + "box works on it. Wait for its end, or stop it")
        }
        return lock
    }

    /// box's state directory.
    package var stateDirectory: String {
        "/" + directory.split(separator: "/").dropLast(2).joined(separator: "/")
    }

    /// Adds an event to the session's log.
    package func log(_ event: Event) throws(SessionError) {
        do throws(LogError) {
            try EventLog(path: "\(directory)/\(LogParts.name)", session: name).append(event)
        } catch { throw SessionError(step: "write the session's log", reason: error.reason) }
    }

    /// Notes whether it still has changes that wait.
    package func noteWaiting() throws(SessionError) {
        guard let stage else { return }
        var count = 0
        do throws(StageError) {
            try ChangeWalk(stage).forEach { _ in count += 1 }
            try WaitingStages.set(stage, waits: count > 0)
        } catch { throw SessionError(step: error.step, reason: error.reason, hint: error.hint) }
        try StoredSession.note(changes: count, in: directory)
    }
}

/// What `session.json` says.
struct SessionRecord {
    let project: String
    let state: String
    let started: String
    let workspace: String
    let changes: Int?

    /// nil: there is no record that could be read, for example because the session is just being made.
    init?(_ directory: String) {
        guard let text = SmallFile.read(directory + "/session.json"),
            let record = try? JSONValue(parsing: Array(text.utf8)),
            let project = SessionRecord.text("project", record)
        else { return nil }
        self.project = project
        state = SessionRecord.text("state", record) ?? ""
        started = SessionRecord.text("started", record) ?? ""
        workspace = SessionRecord.text("workspace", record) ?? ""
        changes = SessionRecord.number("changes", record)
    }

    private static func number(_ key: String, _ record: JSONValue) -> Int? {
        guard case .object(let members) = record.content,
            case .number(let number)? = members.first(where: { $0.key == key })?.value.content
        else { return nil }
        return Int(number.text)
    }

    private static func text(_ key: String, _ record: JSONValue) -> String? {
        guard case .object(let members) = record.content,
            case .string(let text)? = members.first(where: { $0.key == key })?.value.content
        else { return nil }
        return text
    }
}

/// The locks by which applies to one directory wait for each other: `locks/DEVICE-INODE`. Each says which session's
/// apply is under way, in case it is interrupted.
package struct ProjectLocks: ~Copyable {
    private let files: [LockFile]

    private final class LockFile {
        let descriptor: Descriptor
        init(_ descriptor: consuming Descriptor) { self.descriptor = descriptor }
    }

    /// Locks all directories that a stage changes. `onWait` is called once if another apply is at work.
    package init(_ session: StagedSession, _ stage: Stage, onWait: () -> Void) throws(SessionError) {
        let step = "lock the project"
        let directory = session.stateDirectory + "/locks"
        var all: [LockFile] = []
        var hasWaited = false
        do throws(KernelError) {
            if unsafe mkdir(directory, 0o700) < 0, errno != EEXIST {
                throw KernelError(call: "mkdir", code: errno, subject: directory)
            }
            // In one order for all, so that two sessions never wait for each other.
            for name in Set(stage.roots.map { "\($0.device)-\($0.inode)" }).sorted() {
                let file = try Descriptor.open(
                    "\(directory)/\(name)", O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600)
                if retry({ box_flock(file.number, LOCK_EX | LOCK_NB) }) < 0 {
                    if !hasWaited { onWait() }
                    hasWaited = true
                    try check("flock", retry { box_flock(file.number, LOCK_EX) }, name)
                }
                all.append(LockFile(file))
            }
        } catch { throw SessionError(step: step, error) }
        files = all
    }

    /// Another session whose apply to the same directory was interrupted; nil if there is none.
    package func interrupted(besides session: StagedSession) throws(SessionError) -> String? {
        for file in files {
            let name: String
            do throws(KernelError) {
                name = String(decoding: try file.descriptor.read(at: 0, upTo: 256), as: UTF8.self)
            } catch { throw SessionError(step: "read the project's lock", error) }
            guard !name.isEmpty, name != session.name else { continue }
            let directory = session.stateDirectory + "/sessions/" + name + "/stage"
            do throws(StageError) {
                guard let other = try Stage.read(directory, session: name) else { continue }
                if let state = try Transaction.state(of: other), state != .preparing { return name }
            } catch { throw SessionError(step: error.step, reason: error.reason, hint: error.hint) }
        }
        return nil
    }

    /// Writes down whose apply begins, or with nil that it has ended.
    package func note(_ session: StagedSession?) throws(SessionError) {
        let bytes = Array((session?.name ?? "").utf8)
        for file in files {
            do throws(KernelError) {
                try check("ftruncate", ftruncate(file.descriptor.number, 0))
                try check("lseek", lseek(file.descriptor.number, 0, SEEK_SET))
                try file.descriptor.write(all: bytes)
            } catch { throw SessionError(step: "write the project's lock", error) }
        }
    }
}
