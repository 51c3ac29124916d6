internal import BoxPlan
internal import BoxTypes
internal import Glibc

/// Why this host refuses user namespaces, and what the user can do about it.
enum NamespaceObstacle {
    static func find(isRoot: Bool) -> HostFacts.Obstacle? {
        if number("/proc/sys/user/max_user_namespaces") == 0 {
            return HostFacts.Obstacle(
                reason: "user namespaces are switched off (user.max_user_namespaces = 0)",
                fix: "Ask the administrator for: sysctl -w user.max_user_namespaces=10000.")
        }
        guard !isRoot else { return nil }
        // Debian's and some hardened kernels' own switch.
        if number("/proc/sys/kernel/unprivileged_userns_clone") == 0 {
            return HostFacts.Obstacle(
                reason: "ordinary users may not make user namespaces (kernel.unprivileged_userns_clone = 0)",
                fix: "Ask the administrator for: sysctl -w kernel.unprivileged_userns_clone=1.")
        }
        // Ubuntu 23.10 and later: allowed only to programs with an AppArmor profile that says so.
        if number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == 1, !hasProfile {
            return HostFacts.Obstacle(
                reason: "AppArmor lets only programs with a profile make user namespaces "
                    + "(kernel.apparmor_restrict_unprivileged_userns = 1)",
                fix: appArmorFix)
        }
        return nil
    }

    /// Two lines that name this one program; the restriction stays for all others.
    private static var appArmorFix: String {
        let program = SmallFile.readLink("/proc/self/exe") ?? "/usr/local/bin/box"
        return "Give box a profile:\n"
            + "       echo 'abi <abi/4.0>, include <tunables/global> profile box \(program) "
            + "flags=(unconfined) { userns, }' | sudo tee /etc/apparmor.d/box\n"
            + "       sudo apparmor_parser -r /etc/apparmor.d/box\n    "
    }

    private static var hasProfile: Bool {
        let label = SmallFile.read("/proc/self/attr/apparmor/current") ?? SmallFile.read("/proc/self/attr/current")
        return label.map { !$0.hasPrefix("unconfined") || $0.hasPrefix("box") } ?? false
    }

    private static func number(_ path: String) -> Int? {
        SmallFile.read(path).flatMap { Int($0.split(whereSeparator: \.isWhitespace).first ?? "") }
    }
}
