package import BoxPolicy
internal import BoxTypes

/// What this host can enforce, and why not where it cannot. Used alike by the planner and by `box doctor`.
package enum Diagnosis {
    /// The state of every protection under a policy; a missing one that the policy names is `accepted`.
    package static func protections(policy: Policy, facts: HostFacts) -> [Plan.ProtectionState] {
        Protection.allCases.compactMap { protection in
            guard let finding = finding(protection, policy: policy, facts: facts) else { return nil }
            switch finding {
            case .enforced(let how): return Plan.ProtectionState(protection, .enforced, detail: how)
            case .missing(let why, let fix):
                let accepted = policy.protections.acceptMissing.contains(protection)
                return Plan.ProtectionState(
                    protection, accepted ? .accepted : .missing, detail: why, fix: fix)
            }
        }
    }

    private enum Finding {
        case enforced(String)
        case missing(String, fix: String)
    }

    /// Nil where the protection does not apply.
    private static func finding(_ protection: Protection, policy: Policy, facts: HostFacts) -> Finding? {
        switch protection {
        case .namespaces:
            guard let obstacle = facts.namespaceObstacle else { return .enforced("7 namespaces of its own") }
            return .missing(obstacle.reason, fix: obstacle.fix)
        case .identity: return .enforced("one unprivileged id, no capabilities, no new privileges")
        case .idMappedMounts: return idMappedMounts(facts)
        case .procMasks:
            return policy.syscalls.profile == Planner.nestedProfile
                ? .missing(
                    "masks on /proc would make the kernel refuse the /proc of a sandbox inside",
                    fix: withoutNested)
                : .enforced("only own processes, \(Planner.maskedInProc.count) names masked")
        case .seccomp:
            return facts.hasSeccomp
                ? .enforced("profile \(policy.syscalls.profile)")
                : .missing(
                    "this kernel has no seccomp filters", fix: "Use a kernel with CONFIG_SECCOMP_FILTER.")
        case .landlock, .landlockRefer, .landlockTruncate, .landlockIoctl, .landlockScope:
            return landlock(protection, policy: policy, facts: facts)
        case .nestedNamespaces:
            return policy.syscalls.profile == Planner.nestedProfile
                ? .missing("the nested profile lets programs make sandboxes inside", fix: withoutNested)
                : .enforced("user.max_user_namespaces = 0 inside")
        case .processLimit: return processLimit(policy, facts)
        case .memoryLimit:
            return group(facts, .memory, wanted: policy.limits.memory != nil)
        case .cpuLimit: return group(facts, .cpu, wanted: policy.limits.milliCPUs != nil)
        case .controlFiles: return controlFiles(policy, facts)
        case .network:
            return .enforced(
                policy.network.mode == .none ? "no way out at all" : "no way out but the allowlisting proxy")
        case .terminalFilter: return .enforced("a terminal of its own, output filtered")
        }
    }

    private static func idMappedMounts(_ facts: HostFacts) -> Finding? {
        guard facts.isRoot else { return nil }
        guard facts.kernel >= HostFacts.Kernel(5, 12) else {
            return .missing(
                "id-mapped mounts came with Linux 5.12", fix: "Start box as the project's owner.")
        }
        return .enforced("files keep their owner on the host")
    }

    private static func landlock(_ protection: Protection, policy: Policy, facts: HostFacts) -> Finding? {
        let (need, what, since): (Int, String, String) =
            switch protection {
            case .landlockRefer: (2, "moves between directories are checked", "5.19")
            case .landlockTruncate: (3, "truncation is checked", "6.2")
            case .landlockIoctl: (5, "ioctl on devices is checked", "6.10")
            case .landlockScope: (6, "signals and abstract sockets stay inside", "6.12")
            default: (1, "file access is checked a second time", "5.13")
            }
        if policy.syscalls.profile == Planner.nestedProfile, protection != .landlockScope {
            guard protection == .landlock else { return nil }
            return .missing("file rules would forbid every mount of a sandbox inside", fix: withoutNested)
        }
        let abi = facts.landlock.number
        if abi >= need { return .enforced("\(what) (ABI \(abi))") }
        if protection != .landlock, abi == 0 { return nil }
        let fix = "Use Linux \(since) or newer."
        switch facts.landlock {
        case .abi: return .missing("the kernel has Landlock ABI \(abi), ABI \(need) is needed", fix: fix)
        case .notBuilt: return .missing("this kernel was built without Landlock", fix: fix)
        case .disabled:
            return .missing(
                "Landlock is switched off at boot", fix: "Add landlock to the kernel's lsm= parameter.")
        case .refused(let code):
            return .missing(
                "the Landlock calls are refused (errno \(code))",
                fix:
                    "A container's system call filter forbids them: start it with one that allows landlock_*."
            )
        }
    }

    private static func processLimit(_ policy: Policy, _ facts: HostFacts) -> Finding {
        guard let processes = policy.limits.processes else {
            return .missing("the policy sets no limit", fix: "Set [limits] processes.")
        }
        let also = facts.kernel >= HostFacts.Kernel(6, 14) ? " and pid_max of the pid namespace" : ""
        return .enforced("\(processes), by RLIMIT_NPROC\(also)")
    }

    private static func group(
        _ facts: HostFacts, _ controller: ControlGroupController, wanted: Bool
    ) -> Finding? {
        guard wanted else { return nil }
        guard let reason = facts.controlGroups.missing[controller] else { return .enforced("control group") }
        return withFix(reason)
    }

    private static let withoutNested =
        "Use the default system call profile where nothing makes sandboxes inside."

    /// The reasons of control groups end with what to do: after the last colon, or in brackets.
    private static func withFix(_ reason: String) -> Finding {
        let verbs = ["boot", "start", "add", "run", "move", "ask"]
        for (mark, end) in [(" (", ")"), (": ", ""), ("; ", "")] {
            guard let place = reason.indices.last(where: { reason[$0...].hasPrefix(mark) }),
                reason.hasSuffix(end)
            else { continue }
            let advice = reason[place...].dropFirst(mark.count).dropLast(end.count)
            guard verbs.contains(where: { advice.hasPrefix($0 + " ") }) else { continue }
            let fix = advice.prefix(1).uppercased() + advice.dropFirst() + "."
            return .missing(String(reason[..<place]), fix: fix)
        }
        return .missing(
            reason, fix: "Ask the administrator for a cgroup v2 with this controller, delegated to you.")
    }

    private static func controlFiles(_ policy: Policy, _ facts: HostFacts) -> Finding? {
        guard policy.workspace.mode == .direct else { return nil }
        let links = facts.project.controls.filter { _, kind in
            if case .link = kind { true } else { kind == .other }
        }.keys.sorted()
        guard let first = links.first else { return .enforced("read-only, also where they do not exist yet") }
        return .missing(
            "\(first) in the project is a link, which cannot be made read-only",
            fix: "Replace it by the file that it leads to.")
    }
}
