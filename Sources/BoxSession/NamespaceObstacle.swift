internal import BoxKernel
package import BoxPlan
internal import BoxTypes
internal import Glibc

/// Why this host refuses sandboxes, and what the user can do about it.
package enum NamespaceObstacle {
    /// What the host's settings alone tell; cheap, for every start.
    static func find(isRoot: Bool) -> HostFacts.Obstacle? { bySettings(HostSigns.gather(isRoot: isRoot)) }

    /// What settings tell before anything is tried; nil if they do not stand in the way.
    package static func bySettings(_ signs: HostSigns) -> HostFacts.Obstacle? {
        guard let most = signs.mostNamespaces else {
            return HostFacts.Obstacle(
                reason: "this kernel was built without user namespaces",
                fix: "Use a kernel with CONFIG_USER_NS.")
        }
        if most == 0, signs.isInsideBox {
            return HostFacts.Obstacle(
                reason: "this is the inside of a sandbox already, and its profile lets nothing make another",
                fix: "Run the command without box here. For sandboxes inside, start the outer one with\n"
                    + "box run --syscalls nested (docs/syscalls.md says what that gives up).")
        }
        if most == 0 {
            return HostFacts.Obstacle(
                reason: "user namespaces are switched off (user.max_user_namespaces = 0)",
                fix: "sudo sysctl -w user.max_user_namespaces=10000" + keep("user.max_user_namespaces=10000"))
        }
        guard !signs.isRoot else { return nil }
        if signs.unprivilegedClone == 0 {
            return HostFacts.Obstacle(
                reason: "ordinary users may not make user namespaces (kernel.unprivileged_userns_clone = 0)",
                fix: "sudo sysctl -w kernel.unprivileged_userns_clone=1"
                    + keep("kernel.unprivileged_userns_clone=1"))
        }
        if signs.appArmorRestriction == 1, !signs.hasProfile { return appArmor(signs) }
        return nil
    }

    /// What it means that a rehearsal of the set-up was refused.
    package static func explain(_ step: RehearsalStep, code: Int32, _ signs: HostSigns) -> HostFacts.Obstacle
    {
        // A setting that forbids it is the likeliest cause, whatever the call says.
        if let known = bySettings(signs) { return known }
        switch step {
        case .clone: return clone(code, signs)
        case .map:
            return HostFacts.Obstacle(
                reason: "the ids of a new user namespace cannot be mapped: \(errorText(code))",
                fix: signs.isRoot
                    ? "Start box as an ordinary user, or give the container CAP_SETUID and CAP_SETGID."
                    : "A security module or a container forbids it: " + outside(signs))
        case .identity:
            return HostFacts.Obstacle(
                reason: "root cannot become the sandbox's unprivileged id: \(errorText(code))",
                fix: "Start box as an ordinary user.")
        case .mount, .network, .privileges: return withoutCapabilities(step, code, signs)
        case .proc: return proc(code, signs)
        case .terminals:
            return HostFacts.Obstacle(
                reason: "the kernel gives no pseudo-terminals of its own: \(errorText(code))",
                fix: "Use a kernel with CONFIG_UNIX98_PTYS.")
        case .queues:
            return HostFacts.Obstacle(
                reason: "the kernel gives no message queues of its own: \(errorText(code))",
                fix: "Use a kernel with CONFIG_POSIX_MQUEUE.")
        }
    }

    private static func clone(_ code: Int32, _ signs: HostSigns) -> HostFacts.Obstacle {
        switch code {
        case ENOSPC, EUSERS:
            return HostFacts.Obstacle(
                reason: "there are too many namespaces already, or too deeply nested ones",
                fix: "End other sandboxes, or: sudo sysctl -w user.max_user_namespaces=10000")
        case EINVAL where signs.mostNamespaces == nil:
            return HostFacts.Obstacle(
                reason: "this kernel was built without user namespaces",
                fix: "Use a kernel with CONFIG_USER_NS.")
        case EINVAL:
            return HostFacts.Obstacle(
                reason: "the kernel lacks one of the namespaces user, mount, pid, net, ipc, uts, cgroup",
                fix: "Use a kernel with CONFIG_NAMESPACES and all below it.")
        case EPERM where signs.container != nil, ENOSYS where signs.container != nil:
            return HostFacts.Obstacle(
                reason:
                    "\(name(signs)) refuses new namespaces by its system call filter (\(errorText(code)))",
                fix: containerFix(signs))
        case ENOSYS:
            return HostFacts.Obstacle(reason: "the kernel has no clone3", fix: "Use Linux 5.13 or newer.")
        default:
            return HostFacts.Obstacle(
                reason: "new namespaces are refused: \(errorText(code))",
                fix: "A security module forbids it, or box runs in a chroot. Look into the kernel's log.")
        }
    }

    /// The namespaces are there, but without the rights in them: that is how AppArmor and SELinux do it.
    private static func withoutCapabilities(
        _ step: RehearsalStep, _ code: Int32, _ signs: HostSigns
    ) -> HostFacts.Obstacle {
        let reason =
            "a new user namespace has no rights of its own (step \(step.rawValue): \(errorText(code)))"
        if signs.appArmorRestriction == 1 {
            var obstacle = appArmor(signs)
            obstacle.reason = reason + "; AppArmor restricts them to programs with a profile that says userns"
            return obstacle
        }
        return HostFacts.Obstacle(reason: reason, fix: "A security module forbids it: " + outside(signs))
    }

    private static func proc(_ code: Int32, _ signs: HostSigns) -> HostFacts.Obstacle {
        guard code == EPERM, let first = signs.coversOnProc.first else {
            return HostFacts.Obstacle(
                reason: "the kernel refuses a /proc of its own: \(errorText(code))", fix: outside(signs))
        }
        return HostFacts.Obstacle(
            reason: "the kernel refuses a new /proc, since the present one is partly covered "
                + "(for example \(first))", fix: outside(signs))
    }

    // MARK: - Fixes

    /// Two lines that name this one program; the restriction stays for all others.
    private static func appArmor(_ signs: HostSigns) -> HostFacts.Obstacle {
        let reason =
            "AppArmor lets only programs with a profile make user namespaces "
            + "(kernel.apparmor_restrict_unprivileged_userns = 1)"
        // What a shell or a profile reads as something else than itself.
        let isPlain = signs.program.unicodeScalars.allSatisfy {
            ("a"..."z").contains($0) || ("A"..."Z").contains($0) || ("0"..."9").contains($0)
                || "/._+- ".unicodeScalars.contains($0)
        }
        guard isPlain, signs.program.hasPrefix("/"), !signs.program.hasSuffix(" (deleted)") else {
            return HostFacts.Obstacle(
                reason: reason, fix: "Install box as /usr/local/bin/box and run box doctor from there.")
        }
        let profile =
            "abi <abi/4.0>,\\ninclude <tunables/global>\\nprofile box \"\(signs.program)\" flags=(unconfined) {\\n"
            + "  userns,\\n}\\n"
        return HostFacts.Obstacle(
            reason: reason,
            fix:
                "printf '\(profile)' | sudo tee /etc/apparmor.d/box\nsudo apparmor_parser -r /etc/apparmor.d/box"
        )
    }

    private static func name(_ signs: HostSigns) -> String {
        switch signs.container {
        case nil: "this host"
        case .other: "the container that box runs in"
        case .docker, .podman, .kubernetes, .lxc: "\(signs.container?.rawValue ?? "")"
        }
    }

    private static func outside(_ signs: HostSigns) -> String {
        signs.container == nil
            ? "look into the kernel's log, and ask the administrator." : containerFix(signs)
    }

    /// How to start the container so that it lets box make sandboxes; the container itself stays what it is.
    private static func containerFix(_ signs: HostSigns) -> String {
        switch signs.container {
        case .docker:
            "docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined "
                + "--security-opt systempaths=unconfined …\nor run box on the host and the tools inside it."
        case .podman: "podman run --security-opt seccomp=unconfined --security-opt unmask=ALL …"
        case .kubernetes:
            "In the pod's securityContext: seccompProfile: {type: Unconfined}, procMount: Unmasked "
                + "(with hostUsers: false)."
        case .lxc: "lxc config set NAME security.nesting true"
        case .other, nil: "Start the container without system call filter and without masks on /proc."
        }
    }

    private static func keep(_ setting: String) -> String {
        "\necho \(setting) | sudo tee /etc/sysctl.d/60-box.conf"
    }
}
