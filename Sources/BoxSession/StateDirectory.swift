internal import BoxKernel
internal import BoxPlan
internal import BoxTypes
internal import Glibc

/// Where box keeps its own state: `~/.local/state/box`, the user's alone, never visible inside.
package enum StateDirectory {
    /// The directory's path by the XDG rules; a relative `XDG_STATE_HOME` is ignored, as they say.
    static func place(environment: [String: String], home: AbsolutePath) throws(SessionError) -> AbsolutePath
    {
        do throws(AbsolutePath.Refusal) {
            if let text = environment["XDG_STATE_HOME"], text.hasPrefix("/") {
                return try AbsolutePath(text).appending("box")
            }
            return try home.appending(".local/state/box")
        } catch { throw SessionError(step: "find the state directory", reason: "\(error)") }
    }

    /// Makes a directory below the state directory, and what leads to it. Each must be the user's own, a real
    /// directory and closed to others: someone else's could be swapped while box uses it.
    static func make(_ name: String, in state: AbsolutePath) throws(SessionError) -> String {
        var path = state.string
        if unsafe access(path, F_OK) != 0 {
            for parent in state.ancestors where unsafe mkdir(parent.string, 0o700) != 0 && errno != EEXIST {
                // Reported below, with the directory that is wanted.
                break
            }
        }
        try makeOne(path)
        for part in name.split(separator: "/") {
            path += "/" + part
            try makeOne(path)
        }
        return path
    }

    /// Refuses a directory below the state directory, or one that leads to it, that somebody else could have filled: what
    /// is in it is obeyed. One that is not there is none of these.
    static func check(_ name: String, in state: AbsolutePath) throws(SessionError) {
        var path = state.string
        try checkOne(path)
        for part in name.split(separator: "/") {
            path += "/" + part
            try checkOne(path)
        }
    }

    private static func checkOne(_ path: String) throws(SessionError) {
        let step = "use the state directory \(path.escapedForTerminal)"
        let status: FileStatus
        do throws(KernelError) { status = try FileStatus.of(path, following: false) } catch {
            if error.code == ENOENT { return }
            throw SessionError(step: step, error)
        }
        guard status.kind == .directory else {
            throw SessionError(step: step, reason: "it is a link or a file. Remove it")
        }
        guard status.uid == geteuid() else {
            throw SessionError(step: step, reason: "it belongs to another user (uid \(status.uid))")
        }
        guard status.mode & 0o022 == 0 else {
            throw SessionError(
                step: step, reason: "others may write to it. Look at what is in it, then chmod 700")
        }
    }

    private static func makeOne(_ path: String) throws(SessionError) {
        let step = "make the state directory \(path)"
        if unsafe mkdir(path, 0o700) != 0, errno != EEXIST {
            throw SessionError(
                step: step, KernelError(call: "mkdir", code: errno),
                hint: "Set XDG_STATE_HOME to a directory that you may write to")
        }
        let status: FileStatus
        do throws(KernelError) { status = try FileStatus.of(path, following: false) } catch {
            throw SessionError(step: step, error)
        }
        guard status.kind == .directory else {
            throw SessionError(step: step, reason: "it is a link or a file. Remove it")
        }
        guard status.uid == geteuid() else {
            throw SessionError(
                step: step, reason: "it belongs to another user (uid \(status.uid)). Remove it")
        }
        guard status.mode & 0o077 == 0 else {
            guard unsafe chmod(path, 0o700) == 0 else {
                throw SessionError(step: step, KernelError(call: "chmod", code: errno))
            }
            return
        }
    }
}
