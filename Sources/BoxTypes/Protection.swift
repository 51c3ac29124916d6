/// A protection by name, as policies accept it (`accept_missing`, `--accept`) and as `box plan`, `box doctor`
/// and the capability card show it.
package enum Protection: String, Hashable, Sendable, CaseIterable, Comparable {
    /// Own user, mount, pid, net, ipc, uts and cgroup namespace.
    case namespaces
    /// One unprivileged id mapped, capabilities empty, `no_new_privs`.
    case identity
    /// A root-owned project is edited through an id-mapped mount (only when launched as root).
    case idMappedMounts = "id-mapped-mounts"
    /// `/proc` shows only one's own processes (`hidepid=invisible`) and masks what tells about the host.
    case procMasks = "proc-masks"
    /// System call filter.
    case seccomp
    /// Landlock file rules, ABI 1.
    case landlock
    /// Landlock ABI 2: moves between directories are checked.
    case landlockRefer = "landlock-refer"
    /// Landlock ABI 3: truncation is checked.
    case landlockTruncate = "landlock-truncate"
    /// Landlock ABI 5: ioctl on devices is checked.
    case landlockIoctl = "landlock-ioctl"
    /// Landlock ABI 6: abstract sockets and signals stay inside.
    case landlockScope = "landlock-scope"
    /// No nested user namespaces, by the namespace's own limit besides the filter.
    case nestedNamespaces = "nested-namespaces"
    /// Processes bounded by the pid namespace's `pid_max` or a cgroup.
    case processLimit = "process-limit"
    /// Memory bounded by a cgroup.
    case memoryLimit = "memory-limit"
    /// CPU time bounded by a cgroup.
    case cpuLimit = "cpu-limit"
    /// In a direct workspace, files that make the host run code are read-only.
    case controlFiles = "control-files"
    /// The network door: no way out but the proxy.
    case network
    /// Terminal output that would act on the user's terminal is filtered.
    case terminalFilter = "terminal-filter"

    /// Whether there is a sandbox at all without it.
    package var canBeLeftOut: Bool {
        switch self {
        case .namespaces, .identity, .idMappedMounts, .seccomp, .network, .terminalFilter: false
        case .procMasks, .landlock, .landlockRefer, .landlockTruncate, .landlockIoctl, .landlockScope,
            .nestedNamespaces, .processLimit, .memoryLimit, .cpuLimit, .controlFiles:
            true
        }
    }

    package static func < (left: Protection, right: Protection) -> Bool { left.rawValue < right.rawValue }
}
