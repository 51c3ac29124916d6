internal import BoxAudit
internal import BoxKernel
internal import BoxPlan
package import BoxStage
internal import BoxTypes
internal import Glibc

/// All sessions of this user, as their directories tell.
package enum SessionStore {
    /// The directory of all sessions, which is the user's alone.
    private static func place() throws(SessionError) -> String {
        let state = try HostFacts.stateDirectory()
        try StateDirectory.check("sessions", in: state)
        return state.string + "/sessions"
    }

    /// All of them, the newest first and the damaged ones last; with a directory, those that belong to it or to one above
    /// it.
    package static func all(of project: String? = nil) throws(SessionError) -> [StoredSession] {
        let sessions = try place()
        let locks = LockTable()
        var found = DirectoryListing.names(of: sessions).map {
            StoredSession($0, in: sessions, locks: locks)
        }
        if let project {
            found = found.filter { session in
                !session.project.isEmpty
                    && (project == session.project || project.hasPrefix(session.project + "/"))
            }
        }
        return found.sorted { ($0.started, $1.name) > ($1.started, $0.name) }
    }

    /// Those that run and can be asked, the newest first: what has ended, of which there may be many, is not even read.
    package static func running(of project: String? = nil) throws(SessionError) -> [StoredSession] {
        let sessions = try place()
        let locks = LockTable()
        let found = DirectoryListing.names(of: sessions).compactMap { name -> StoredSession? in
            // One that was killed leaves it behind.
            guard unsafe access("\(sessions)/\(name)/\(ControlServer.name)", F_OK) == 0 else { return nil }
            let session = StoredSession(name, in: sessions, locks: locks)
            let isOfProject = project.map { $0 == session.project || $0.hasPrefix(session.project + "/") }
            return session.state == .running && isOfProject ?? true ? session : nil
        }
        return found.sorted { ($0.started, $1.name) > ($1.started, $0.name) }
    }

    /// The one session that a name or the beginning of a name means, of any project.
    package static func named(_ id: String) throws(SessionError) -> StoredSession {
        let step = "find the session \(id.escapedForTerminal)"
        let sessions = try place()
        let names = DirectoryListing.names(of: sessions).sorted()
        let near = names.contains(id) ? [id] : id.isEmpty ? [] : names.filter { $0.hasPrefix(id) }
        guard near.count <= 1 else {
            let shown = near.prefix(12).map(\.escapedForTerminal).joined(separator: " ")
            throw SessionError(
                step: step, reason: "several sessions begin so: \(shown)" + (near.count > 12 ? " …" : ""))
        }
        guard let name = near.first else {
            throw SessionError(step: step, reason: "there is none. All there are: box ps -a")
        }
        return StoredSession(name, in: sessions, locks: LockTable())
    }

    /// The newest session of a directory, or of one above it.
    package static func newest(of project: String) throws(SessionError) -> StoredSession {
        guard let newest = try all(of: project).first else {
            throw SessionError(
                step: "find a session",
                reason: "there is none of this project. Name one of another project: box ps -a shows them")
        }
        return newest
    }

    /// The sessions that have, or may have, changes that were not taken. Only a hint.
    package static func waiting() throws(SessionError) -> Set<String> {
        let place = try HostFacts.stateDirectory().string + "/waiting"
        return Set(DirectoryListing.names(of: place).flatMap { DirectoryListing.names(of: "\(place)/\($0)") })
    }
}

extension StoredSession {
    /// Its stage; nil if it has none.
    package func stage() throws(SessionError) -> Stage? {
        do throws(StageError) { return try Stage.read(directory + "/stage", session: name) } catch {
            throw SessionError(step: error.step, reason: error.reason, hint: error.hint)
        }
    }

    /// How many changes there are at present; nil if that takes longer than so many milliseconds.
    package func countChanges(within milliseconds: Int) throws(SessionError) -> Int? {
        let (count, isAll) = try countSomeChanges(within: milliseconds)
        return isAll ? count : nil
    }

    /// How many changes there are at present, as far as they are found within so many milliseconds; and whether these are
    /// all.
    package func countSomeChanges(within milliseconds: Int) throws(SessionError) -> (Int, isAll: Bool) {
        guard let stage = try stage() else { return (0, true) }
        let end = Clock.milliseconds() + milliseconds
        let late = StageError("", reason: "")
        var count = 0
        do throws(StageError) {
            try ChangeWalk(stage, isRunning: state == .running).forEach { (_) throws(StageError) in
                count += 1
                if count.isMultiple(of: 16), Clock.milliseconds() > end { throw late }
            }
            return (count, true)
        } catch {
            if error == late { return (count, false) }
            throw SessionError(step: error.step, reason: error.reason, hint: error.hint)
        }
    }

    /// Notes how many changes are left, in its record. A record that is damaged stays as it is.
    static func note(changes: Int, in directory: String) throws(SessionError) {
        guard let record = (try? SessionRecordFile.read(directory)) ?? nil,
            let output = record.output("changes", changes)
        else { return }
        do throws(KernelError) { try SessionRecordFile.write(output, in: directory) } catch {
            throw SessionError(step: "write the session's record", error)
        }
    }

    /// Whether somebody holds its lock: it runs, or another command works on it.
    package var isHeld: Bool { SessionLock.isHeld(directory) }

    // MARK: - Removing

    /// Whether it ended before a time, in milliseconds since 1970. Of one that did not come to write that down, the last
    /// sign of life counts.
    package func hasEnded(before time: Int) -> Bool {
        switch state {
        case .running: return false
        case .finished, .failed, .interrupted, .damaged:
            if let ended = ended.flatMap(Timestamp.milliseconds(of:)) { return ended < time }
            let files = isDirectory ? ["/session.json", "/\(LogParts.name)"] : []
            let known = files.compactMap { try? FileStatus.of(directory + $0, following: false).modified }
            // The directory itself changes whenever somebody looks whether it is locked.
            let last = known.max() ?? (try? FileStatus.of(directory, following: false).modified) ?? 0
            return last * 1000 < time
        }
    }

    /// Whether its record is as it was when it was found; the caller holds its lock by now.
    package func isUnchanged() throws(SessionError) -> Bool {
        let now = StoredSession(name, in: place, locks: LockTable())
        return (now.started, now.ended, now.supervisor) == (started, ended, supervisor)
            && (now.damage == nil) == (damage == nil)
    }

    /// What goes with a session for good.
    package struct Loss: Equatable, Sendable {
        /// It has changes that were not applied.
        package var changes = false
        /// When the apply was made that could be taken back, in milliseconds since 1970.
        package var undo: Int?
        /// An apply or undo was interrupted: the project is between before and after.
        package var isUnderWay = false
        /// Why nobody can tell.
        package var unknown: String?

        package var isNothing: Bool { !changes && undo == nil && !isUnderWay && unknown == nil }
    }

    /// A link in its place is followed by nothing here.
    private var isDirectory: Bool {
        (try? FileStatus.of(directory, following: false))?.kind == .directory
    }

    /// What would be lost with it. The caller holds its lock.
    package func loss() -> Loss {
        var loss = Loss()
        guard isDirectory else { return loss }
        do throws(StageError) {
            guard let stage = try Stage.read(directory + "/stage", session: name) else {
                // Without its record it is no stage any more, and nobody can apply what may be left.
                return loss
            }
            if let state = try Transaction.state(of: stage), state != .preparing { loss.isUnderWay = true }
            loss.undo = try Undo.last(stage).map {
                $0.finished.seconds * 1000 + $0.finished.nanoseconds / 1_000_000
            }
            let found = StageError("", reason: "")
            do throws(StageError) {
                try ChangeWalk(stage).forEach { (_) throws(StageError) in throw found }
            } catch {
                guard error == found else { throw error }
                loss.changes = true
            }
        } catch { loss.unknown = "\(error)" }
        return loss
    }

    /// Takes its lock; nil if it runs or another command works on it. What is no directory needs none, and gets none.
    package func lock() throws(SessionError) -> SessionHold? {
        guard isDirectory else { return SessionHold(nil) }
        // One that was closed to us, who own it, is opened again.
        if unsafe access(directory, R_OK | W_OK | X_OK) < 0 { _ = unsafe chmod(directory, 0o700) }
        guard let lock = try SessionLock.take(directory) else { return nil }
        return SessionHold(lock)
    }

    /// Removes it with all that it has, whatever is in there.
    package func remove(_ hold: borrowing SessionHold) throws(SessionError) {
        do throws(StageError) {
            // The stage's record goes first, so that half a stage is never taken for a whole one; and what only it
            // can tell is told before.
            if isDirectory, let stage = (try? Stage.read(directory + "/stage", session: name)) ?? nil {
                try WaitingStages.set(stage, waits: false)
                try stage.remove()
            }
            let parent: Tree
            do throws(KernelError) { parent = try Tree.open(place) } catch {
                throw StageError("remove session \(name.escapedForTerminal)", error)
            }
            try TreeRemoval.remove(Array(name.utf8), in: parent)
        } catch { throw SessionError(step: error.step, reason: error.reason, hint: error.hint) }
    }
}

/// A session that is held: nobody else works on it meanwhile.
package struct SessionHold: ~Copyable {
    private let lock: Descriptor?
    fileprivate init(_ lock: consuming Descriptor?) { self.lock = lock }
}
