internal import BoxKernel
internal import BoxTypes
internal import Glibc

/// What about this host decides whether and why sandboxes are refused, as read, with nothing decided.
package struct HostSigns: Equatable, Sendable {
    /// The kind of container that box itself runs in.
    package enum Container: String, Equatable, Sendable {
        case docker = "Docker"
        case podman = "Podman"
        case kubernetes = "Kubernetes"
        case lxc = "LXC"
        case other = "a container"
    }

    package var isRoot = false
    /// Whether the environment says that box runs inside box; it decides about words only.
    package var isInsideBox = false
    /// `user.max_user_namespaces`; nil if the kernel has no user namespaces.
    package var mostNamespaces: Int? = 1
    /// `kernel.unprivileged_userns_clone`, of Debian's and of hardened kernels.
    package var unprivilegedClone: Int?
    /// `kernel.apparmor_restrict_unprivileged_userns`, of Ubuntu 23.10 and later.
    package var appArmorRestriction: Int?
    /// The AppArmor label of this process; empty if there is none.
    package var label = ""
    /// `kernel.yama.ptrace_scope`; nil without Yama.
    package var yama: Int?
    package var container: Container?
    /// What is mounted over parts of `/proc`.
    package var coversOnProc: [String] = []
    /// Devices that a sandbox needs and the host's `/dev` lacks.
    package var missingDevices: [String] = []
    /// Box's own executable, for the fixes.
    package var program = "/usr/local/bin/box"

    package init() {}

    /// Whether an AppArmor profile of its own lets box make user namespaces.
    package var hasProfile: Bool { !label.isEmpty && !label.hasPrefix("unconfined") }

    /// Reads them.
    static func gather(isRoot: Bool) -> HostSigns {
        var signs = HostSigns()
        signs.isRoot = isRoot
        signs.isInsideBox = unsafe getenv("BOX") != nil
        signs.mostNamespaces = number("/proc/sys/user/max_user_namespaces")
        signs.unprivilegedClone = number("/proc/sys/kernel/unprivileged_userns_clone")
        signs.appArmorRestriction = number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
        signs.label =
            SmallFile.read("/proc/self/attr/apparmor/current") ?? SmallFile.read("/proc/self/attr/current")
            ?? ""
        signs.label = String(signs.label.prefix { $0 != "\n" && $0 != "\0" })
        signs.program = SmallFile.readLink("/proc/self/exe") ?? signs.program
        return signs
    }

    /// Reads also what only the doctor wants to know.
    static func gatherAll(isRoot: Bool) -> HostSigns {
        var signs = gather(isRoot: isRoot)
        signs.yama = number("/proc/sys/kernel/yama/ptrace_scope")
        signs.container = container(
            hasDockerFile: unsafe access("/.dockerenv", F_OK) == 0,
            hasPodmanFile: unsafe access("/run/.containerenv", F_OK) == 0,
            hasServiceAccount: unsafe access("/var/run/secrets/kubernetes.io", F_OK) == 0,
            groups: SmallFile.read("/proc/self/cgroup") ?? "",
            environment: SmallFile.read("/run/systemd/container") ?? "")
        signs.coversOnProc = covers(SmallFile.read("/proc/self/mountinfo") ?? "")
        signs.missingDevices = ["null", "zero", "full", "random", "urandom", "tty"].filter {
            unsafe access("/dev/" + $0, F_OK) != 0
        }
        return signs
    }

    /// Which container it is, by the files that each leaves and by the names of control groups.
    package static func container(
        hasDockerFile: Bool, hasPodmanFile: Bool, hasServiceAccount: Bool, groups: String, environment: String
    ) -> Container? {
        if hasServiceAccount || groups.contains("kubepods") { return .kubernetes }
        if hasPodmanFile || groups.contains("libpod") { return .podman }
        if hasDockerFile || groups.contains("/docker") { return .docker }
        if groups.contains("/lxc") || environment.hasPrefix("lxc") { return .lxc }
        if groups.contains("containerd") || !environment.isEmpty { return .other }
        return nil
    }

    /// The mounts below `/proc` that would keep the kernel from giving a new one (mount_too_revealing): all but
    /// those on the directories that are made to be mounted on.
    package static func covers(_ mountinfo: String) -> [String] {
        mountinfo.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.count > 5, fields[4].hasPrefix("/proc/"), fields[4] != "/proc/sys/fs/binfmt_misc",
                fields[4] != "/proc/fs/nfsd"
            else { return nil }
            return String(fields[4])
        }
    }

    private static func number(_ path: String) -> Int? {
        SmallFile.read(path).flatMap { Int($0.split(whereSeparator: \.isWhitespace).first ?? "") }
    }
}
