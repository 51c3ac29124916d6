internal import BoxKernel
internal import BoxPlan
internal import BoxStage
package import BoxTypes
internal import Glibc

/// Home and state of a run in a pipeline: the user's own where there are any, otherwise fresh ones that go with the run.
///
/// A container job may have no HOME, a user without an entry in the list of users, or a file system that cannot be written.
package struct CIPlaces {
    /// What is different from an ordinary run, for people.
    package private(set) var notices: [String] = []
    /// The directory that was made for this run.
    private var temporary: AbsolutePath?
    private let project: AbsolutePath

    /// Looks for places and sets `HOME` and `XDG_STATE_HOME` where they have to be others. Before anything else asks for
    /// them.
    package init(project: AbsolutePath) throws(SessionError) {
        self.project = project
        try placeHome()
        try placeState()
    }

    private mutating func placeHome() throws(SessionError) {
        let environment = UserEnvironment.parse(ProcessEnvironment.entries())
        let wanted = environment["HOME"] ?? ""
        if wanted.hasPrefix("/"), wanted != "/", CIPlaces.isDirectory(wanted) { return }
        if wanted.isEmpty, let home = CIPlaces.listedHome {
            set("HOME", home)
            return
        }
        let path = try makeTemporary().appendingChecked("home")
        guard unsafe mkdir(path.string, 0o700) == 0 else {
            throw SessionError(
                step: "make a home", KernelError(call: "mkdir", code: errno, subject: path.string))
        }
        let why =
            wanted.isEmpty
            ? "HOME is not set and the user has no home directory"
            : "HOME is \(wanted.escapedForTerminal), which is no directory for a home"
        notices.append("\(why): a fresh one is used, which goes with the run")
        set("HOME", path.string)
    }

    private mutating func placeState() throws(SessionError) {
        let state = try HostFacts.stateDirectory()
        do throws(SessionError) {
            _ = try StateDirectory.make("sessions", in: state)
            guard unsafe access(state.string + "/sessions", W_OK | X_OK) == 0 else {
                throw SessionError(
                    step: "write to \(state)/sessions", KernelError(call: "access", code: errno))
            }
        } catch {
            let path = try makeTemporary()
            notices.append(
                "\(error.description). The session's record is in a fresh place, which goes with the run")
            set("XDG_STATE_HOME", path.string)
        }
    }

    /// The home that the list of users has, if it is there and the user's own.
    private static var listedHome: String? {
        guard let entry = unsafe getpwuid(getuid()), let text = unsafe entry.pointee.pw_dir else {
            return nil
        }
        let home = unsafe String(cString: text)
        guard home.hasPrefix("/"), home != "/", isDirectory(home),
            let status = try? FileStatus.of(home, following: true), status.uid == geteuid()
        else { return nil }
        return home
    }

    private static func isDirectory(_ path: String) -> Bool {
        // A home that cannot be looked at is none.
        (try? FileStatus.of(path, following: true))?.kind == .directory
    }

    private func set(_ name: String, _ value: String) { unsafe setenv(name, value, 1) }

    /// The run's own directory: where the runner wants such things, never in the project.
    private mutating func makeTemporary() throws(SessionError) -> AbsolutePath {
        if let temporary { return temporary }
        let environment = UserEnvironment.parse(ProcessEnvironment.entries())
        var reason = "no directory for it"
        for place in [environment["RUNNER_TEMP"], environment["TMPDIR"], "/tmp", "/var/tmp"].compactMap(
            \.self)
        {
            guard let real = RealPath.of(place), let place = try? AbsolutePath(real),
                !place.isSame(orBelow: project)
            else { continue }
            var template = Array("\(place)/box-ci-XXXXXX".utf8CString)
            guard let made = unsafe mkdtemp(&template) else {
                reason = "\(KernelError(call: "mkdtemp", code: errno, subject: place.string))"
                continue
            }
            let path = unsafe String(cString: made)
            do throws(AbsolutePath.Refusal) {
                let made = try AbsolutePath(path)
                temporary = made
                return made
            } catch { reason = "\(error)" }
        }
        throw SessionError(
            step: "make a place for the run", reason: reason,
            hint: "Set HOME or TMPDIR to a directory that you may write to")
    }

    /// Removes what was made, unless there is something in it that somebody may still want.
    package mutating func end(keeping: Bool) throws(SessionError) {
        guard let temporary else { return }
        guard !keeping else {
            notices.append("What was changed is kept in \(temporary): XDG_STATE_HOME=\(temporary) box diff")
            return
        }
        do throws(StageError) { try TreeRemoval.remove(temporary) } catch {
            throw SessionError(step: "remove the run's own directory", reason: "\(error)")
        }
        self.temporary = nil
    }
}

extension AbsolutePath {
    fileprivate func appendingChecked(_ name: String) throws(SessionError) -> AbsolutePath {
        do throws(AbsolutePath.Refusal) { return try appending(name) } catch {
            throw SessionError(step: "make a place for the run", reason: "\(error)")
        }
    }
}
