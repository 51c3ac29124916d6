import BoxPlan
import BoxPolicy
import BoxTypes
import Testing

/// What is said of invented hosts.
struct DiagnosisTests {
    /// A host that can do everything, started by an ordinary user.
    static let good: HostFacts = {
        let user = HostFacts.User(
            uid: 1000, gid: 1000, name: "ada", home: AbsolutePath(literal: "/home/ada"), shell: "/bin/bash")
        let node = HostFacts.Node(kind: .directory, uid: 1000, gid: 1000, device: 1, inode: 2)
        let project = HostFacts.Project(path: AbsolutePath(literal: "/home/ada/work"), node: node)
        var facts = HostFacts(
            user: user, project: project, stateDirectory: AbsolutePath(literal: "/home/ada/.local/state/box"))
        facts.kernel = HostFacts.Kernel(6, 18)
        facts.landlock = .abi(7)
        facts.memory = 16 << 30
        facts.unprivilegedID = nil
        facts.controlGroups = ControlGroupSupport(
            place: ControlGroupPlace(
                parent: AbsolutePath(literal: "/sys/fs/cgroup/user"), prefix: "box-", preparations: []),
            missing: [:])
        return facts
    }()

    static let policy: Policy = {
        var policy = Policy()
        policy.limits.memory = try? MemoryLimit("75%")
        policy.limits.processes = 4096
        policy.limits.milliCPUs = 1500
        return policy
    }()

    /// A host, and what must be said of one protection.
    struct Row: Sendable, CustomTestStringConvertible {
        var host: String
        var protection: Protection
        var state: Plan.ProtectionState.State?
        var detail: String
        var fix: String
        var change: @Sendable (inout HostFacts, inout Policy) -> Void
        var testDescription: String { "\(host): \(protection.rawValue)" }

        init(
            _ host: String, _ protection: Protection, _ state: Plan.ProtectionState.State?,
            _ detail: String = "",
            fix: String = "", _ change: @escaping @Sendable (inout HostFacts, inout Policy) -> Void
        ) {
            (self.host, self.protection, self.state) = (host, protection, state)
            (self.detail, self.fix, self.change) = (detail, fix, change)
        }
    }

    static let landlock: [Row] = [
        Row(
            "no Landlock", .landlock, .missing, "this kernel was built without Landlock",
            fix: "Use Linux 5.13 or newer."
        ) {
            facts, _ in facts.landlock = .notBuilt
        },
        Row("no Landlock", .landlockTruncate, nil) { facts, _ in facts.landlock = .notBuilt },
        Row(
            "Landlock off at boot", .landlock, .missing, "Landlock is switched off at boot",
            fix: "Add landlock to the kernel's lsm= parameter."
        ) { facts, _ in facts.landlock = .disabled },
        Row(
            "Landlock refused", .landlock, .missing, "the Landlock calls are refused (errno 1)",
            fix: "A container's system call filter forbids them: start it with one that allows landlock_*."
        ) { facts, _ in facts.landlock = .refused(1) },
        Row("Linux 6.1", .landlock, .enforced, "file access is checked a second time (ABI 2)") { facts, _ in
            facts.landlock = .abi(2)
        },
        Row("Linux 6.1", .landlockRefer, .enforced, "moves between directories are checked (ABI 2)") {
            facts, _ in
            facts.landlock = .abi(2)
        },
        Row(
            "Linux 6.1", .landlockTruncate, .missing, "the kernel has Landlock ABI 2, ABI 3 is needed",
            fix: "Use Linux 6.2 or newer."
        ) { facts, _ in facts.landlock = .abi(2) },
        Row(
            "Linux 6.1, accepted", .landlockScope, .accepted,
            "the kernel has Landlock ABI 2, ABI 6 is needed",
            fix: "Use Linux 6.12 or newer."
        ) { facts, policy in
            facts.landlock = .abi(2)
            policy.protections.acceptMissing = [.landlockScope]
        },
    ]

    static let hosts: [Row] = [
        Row("Ubuntu 24.04", .namespaces, .missing, "AppArmor says no", fix: "two lines") { facts, _ in
            facts.namespaceObstacle = HostFacts.Obstacle(reason: "AppArmor says no", fix: "two lines")
        },
        Row("ordinary user", .idMappedMounts, nil) { _, _ in },
        Row("root", .idMappedMounts, .enforced, "files keep their owner on the host") { facts, _ in
            facts.user.uid = 0
            facts.unprivilegedID = 65534
        },
        Row(
            "root on Linux 5.11", .idMappedMounts, .missing, "id-mapped mounts came with Linux 5.12",
            fix: "Start box as the project's owner."
        ) { facts, _ in
            facts.user.uid = 0
            facts.kernel = HostFacts.Kernel(5, 11)
        },
        Row("Linux 6.13", .processLimit, .enforced, "4096, by RLIMIT_NPROC") { facts, _ in
            facts.kernel = HostFacts.Kernel(6, 13)
        },
        Row("Linux 6.14", .processLimit, .enforced, "4096, by RLIMIT_NPROC and pid_max of the pid namespace")
        {
            facts, _ in facts.kernel = HostFacts.Kernel(6, 14)
        },
        Row("no limit", .processLimit, .missing, "the policy sets no limit", fix: "Set [limits] processes.") {
            _, policy in policy.limits.processes = nil
        },
        Row(
            "no seccomp", .seccomp, .missing, "this kernel has no seccomp filters",
            fix: "Use a kernel with CONFIG_SECCOMP_FILTER."
        ) { facts, _ in facts.hasSeccomp = false },
        Row("no network", .network, .enforced, "no way out at all") { _, policy in policy.network.mode = .none
        },
        Row("a proxy", .network, .enforced, "no way out but the allowlisting proxy") { _, _ in },
    ]

    static let projects: [Row] = [
        Row(
            "a link as control file", .controlFiles, .missing,
            ".git/config in the project is a link, which cannot be made read-only",
            fix: "Replace it by the file that it leads to."
        ) { facts, _ in facts.project.controls = [".git": .directory, ".git/config": .link("/elsewhere")] },
        Row("ordinary control files", .controlFiles, .enforced, "read-only, also where they do not exist yet")
        {
            facts, _ in facts.project.controls = [".git": .directory, ".git/config": .file]
        },
        Row("no workspace", .controlFiles, nil) { facts, policy in
            facts.project.controls = [".git/config": .link("/elsewhere")]
            policy.workspace.mode = .none
        },
    ]

    static let nested: [Row] = {
        let fix = "Use the default system call profile where nothing makes sandboxes inside."
        func row(
            _ protection: Protection, _ state: Plan.ProtectionState.State?, _ detail: String, _ fix: String
        ) -> Row {
            Row("nested profile", protection, state, detail, fix: fix) { _, policy in
                policy.syscalls.profile = Planner.nestedProfile
            }
        }
        return [
            row(
                .procMasks, .missing,
                "masks on /proc would make the kernel refuse the /proc of a sandbox inside", fix),
            row(.nestedNamespaces, .missing, "the nested profile lets programs make sandboxes inside", fix),
            row(.landlock, .missing, "file rules would forbid every mount of a sandbox inside", fix),
            row(.landlockTruncate, nil, "", ""),
            row(.landlockScope, .enforced, "signals and abstract sockets stay inside (ABI 7)", ""),
            row(.seccomp, .enforced, "profile nested", ""),
        ]
    }()

    @Test(arguments: landlock + hosts + projects + nested)
    func `each protection has its state, its reason and its fix`(_ row: Row) throws {
        var (facts, policy) = (Self.good, Self.policy)
        row.change(&facts, &policy)
        let found = Diagnosis.protections(policy: policy, facts: facts).first {
            $0.protection == row.protection
        }
        guard let state = row.state else {
            #expect(found == nil)
            return
        }
        let said = try #require(found)
        #expect(said.state == state)
        #expect(said.detail == row.detail)
        #expect(said.fix == row.fix)
    }

    @Test func `a good host enforces everything`() {
        let states = Diagnosis.protections(policy: Self.policy, facts: Self.good)
        #expect(states.allSatisfy { $0.state == .enforced && $0.fix.isEmpty && !$0.detail.isEmpty })
        // All but the one that only root needs.
        #expect(Set(states.map(\.protection)) == Set(Protection.allCases).subtracting([.idMappedMounts]))
    }

    @Test(arguments: Protection.allCases)
    func `what the policy accepts by name is accepted and nothing else`(_ accepted: Protection) {
        var (facts, policy) = (Self.good, Self.policy)
        facts.landlock = .notBuilt
        facts.hasSeccomp = false
        policy.protections.acceptMissing = [accepted]
        for state in Diagnosis.protections(policy: policy, facts: facts) where state.state != .enforced {
            #expect((state.state == .accepted) == (state.protection == accepted))
        }
    }

    @Test(arguments: [
        (
            "cgroup v1 hybrid: the memory controller is not on v2 (boot with systemd.unified_cgroup_hierarchy=1)",
            "cgroup v1 hybrid: the memory controller is not on v2",
            "Boot with systemd.unified_cgroup_hierarchy=1."
        ),
        (
            "not delegated: run `systemd-run --user --scope -p Delegate=yes box …`", "not delegated",
            "Run `systemd-run --user --scope -p Delegate=yes box …`."
        ),
        (
            "not delegated: no group above /a is writable; ask root to make one and to start box in it",
            "not delegated: no group above /a is writable", "Ask root to make one and to start box in it."
        ),
        (
            "box's own group is outside the mounted cgroup tree (a container with the host's groups): start the container",
            "box's own group is outside the mounted cgroup tree (a container with the host's groups)",
            "Start the container."
        ),
        (
            "cgroup v2 is not mounted", "cgroup v2 is not mounted",
            "Ask the administrator for a cgroup v2 with this controller, delegated to you."
        ),
    ])
    func `a control group's reason is told apart from what to do`(reason: String, detail: String, fix: String)
        throws
    {
        var facts = Self.good
        facts.controlGroups = ControlGroupSupport(place: nil, missing: [.memory: reason])
        let states = Diagnosis.protections(policy: Self.policy, facts: facts)
        let memory = try #require(states.first { $0.protection == .memoryLimit })
        #expect(memory == Plan.ProtectionState(.memoryLimit, .missing, detail: detail, fix: fix))
        #expect(states.first { $0.protection == .cpuLimit }?.state == .enforced)
    }
}
