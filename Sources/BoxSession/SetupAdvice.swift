internal import BoxKernel
internal import BoxPlan
internal import BoxTypes
internal import Glibc

/// What a failed step of the set-up usually means, and what to do.
enum SetupAdvice {
    static func error(step: String, object: String, code: Int32, plan: Plan) -> SessionError {
        let what = object.trimmed.escapedForTerminal
        let reason = "\(what): \(errorText(code))"
        return SessionError(
            step: "set the sandbox up (step \(step))",
            reason: reason + advice(step, object, code).map { ". \($0)" }.joinedOrEmpty)
    }

    private static func advice(_ step: String, _ object: String, _ code: Int32) -> String? {
        switch (step, code) {
        case ("processes", EPERM):
            "The kernel refuses a new /proc where the host's own is partly covered, as in a Docker container. "
                + "Start the container with --security-opt systempaths=unconfined"
        case ("make-mounts-private", EPERM), ("mount-root", EPERM), ("mount-root", EACCES):
            "Mounting is refused in the new user namespace, usually by AppArmor. box doctor says what to do"
        case ("overlay", EINVAL), ("overlay", EOPNOTSUPP), ("overlay", EPERM), ("overlay", ENODEV),
            ("overlay", EXDEV):
            "No overlay can be made with the file system of the project, or of box's state directory (another overlay, "
                + "NFS and many shares cannot hold its upper layer). Set XDG_STATE_HOME to a directory on a local file "
                + "system, or choose --workspace copy, or --workspace direct, which changes the project at once"
        case ("overlay", ESTALE): "The project was replaced while box started. Try again"
        case ("terminal", ENOENT): "/dev/pts/ptmx is missing inside: the kernel has no devpts instances"
        case ("bind", ENOENT): "It disappeared from the host. Try again"
        case ("bind", ESTALE): "The directory was replaced while box started. Try again"
        case ("bind", EACCES): "A directory on the way to it is closed to you"
        case ("device", _): "The host's /dev is not an ordinary one"
        case ("limit", EPERM): "The limit is above what you may have yourself, see ulimit -H -a"
        case ("seccomp", EINVAL): "The kernel does not take the filter; is CONFIG_SECCOMP_FILTER on?"
        default: nil
        }
    }
}

/// What to say when a command cannot be found inside.
enum CommandAdvice {
    static func notFound(_ name: String, plan: Plan) -> String {
        let shown = name.escapedForTerminal
        guard !name.contains("/") else { return "\(shown): not found inside" }
        let path = UserEnvironment.parse(ProcessEnvironment.entries())["PATH"] ?? ""
        for directory in path.split(separator: ":") {
            let candidate = "\(directory)/\(name)"
            guard unsafe access(candidate, X_OK) == 0 else { continue }
            return
                "\(shown): not found inside. On the host it is \(candidate.escapedForTerminal), which is not "
                + "visible inside. To let it in: --read \(directory.description.escapedForTerminal) "
                + "(and whatever it needs)"
        }
        return "\(shown): not found"
    }
}

extension String {
    fileprivate var trimmed: String {
        let start = drop { $0 == " " }
        return String(start.reversed().drop { $0 == " " }.reversed())
    }
}

extension Optional where Wrapped == String {
    fileprivate var joinedOrEmpty: String { self ?? "" }
}
