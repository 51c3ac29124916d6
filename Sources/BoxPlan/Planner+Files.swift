internal import BoxPolicy
package import BoxTypes

// What exists inside. Everything else does not.
extension Planner {
    /// The file system, in any order; the plan sorts it.
    func makeFiles(identity: Plan.Identity, grants: [Grant]) -> [Step] {
        var steps = Planner.foundation + [.enterRoot, .sealRoot]
        steps += makeSystem()
        steps += makeEtc(identity: identity) + makeCertificates()
        steps += makeProcesses()
        steps += makePrivatePlaces()
        steps += grants.map(bind)
        if let prover = request.prover { steps.append(bindProver(prover)) }
        switch policy.workspace.mode {
        case .direct: steps += makeProject()
        case .overlay: steps += makeOverlays()
        case .copy: steps += makeCopies()
        case .none: break
        }
        return steps
    }

    /// What stands beside `/usr`: links to it, or directories on systems that are not merged.
    private func makeSystem() -> [Step] {
        var steps: [Step] = []
        for (name, kind) in facts.systemDirectories.sorted(by: { $0.key < $1.key }) {
            guard let path = try? AbsolutePath("/" + name) else { continue }
            switch kind {
            case .link(let target): steps.append(.link(path, to: target))
            case .directory: steps.append(Planner.systemBind(path, executable: true))
            case .file, .other: continue
            }
        }
        return steps
    }

    private static func systemBind(_ path: AbsolutePath, executable: Bool, isDirectory: Bool = true) -> Step {
        .bind(
            Step.Bind(
                source: .path(path), target: path, writable: false, executable: executable,
                isDirectory: isDirectory))
    }

    /// A synthetic `/etc`: who one is, no names of the network, and the toolchain's own files.
    private func makeEtc(identity: Plan.Identity) -> [Step] {
        func path(_ name: String) -> AbsolutePath? { try? AbsolutePath("/etc/" + name) }
        let home = home.string
        let nobody = "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
        let user = "\(identity.name):x:\(identity.insideUID):\(identity.insideGID)::\(home):\(shell)\n"
        let texts: [(String, String)] = [
            ("passwd", user + nobody),
            ("group", "\(identity.name):x:\(identity.insideGID):\nnogroup:x:65534:\n"),
            ("hosts", "127.0.0.1 localhost \(Planner.hostname)\n::1 localhost\n"),
            ("hostname", Planner.hostname + "\n"),
            // Stands in for the host's, which identifies it.
            ("machine-id", "00000000000000000000000000000000\n"),
        ]
        let git = gitConfiguration
        let named = git.isEmpty ? texts : texts + [("gitconfig", git)]
        var steps = (named + resolverFiles).compactMap { name, content in
            path(name).map { Step.file($0, content: content) }
        }
        for (name, kind) in facts.etc.sorted(by: { $0.key < $1.key }) {
            guard let path = path(name) else { continue }
            switch kind {
            case .link(let target): steps.append(.link(path, to: target))
            case .directory: steps.append(Planner.systemBind(path, executable: false))
            case .file: steps.append(Planner.systemBind(path, executable: false, isDirectory: false))
            case .other: continue
            }
        }
        return steps
    }

    /// The system's configuration of git inside: who the user is, so that commits can be made. A project's own settings
    /// are stronger.
    private var gitConfiguration: String {
        let lines = [("name", facts.gitUser.name), ("email", facts.gitUser.email)].compactMap { key, value in
            value.map { value in
                let quoted = value.reduce(into: "") { text, character in
                    if character == "\"" || character == "\\" { text += "\\" }
                    text.append(character)
                }
                return "\t\(key) = \"\(quoted)\"\n"
            }
        }
        return lines.isEmpty ? "" : "[user]\n" + lines.joined()
    }

    /// The name of every sandbox; the host's name stays outside.
    static let hostname = "box"

    /// The user's shell where it exists inside, else `/bin/sh`.
    var shell: String {
        let known = ["/bin/", "/usr/bin/"].contains { facts.user.shell.hasPrefix($0) }
        return known ? facts.user.shell : "/bin/sh"
    }

    /// What is there whatever the policy says.
    static let foundation: [Step] =
        [
            .makeMountsPrivate,
            // Small files only; a bundle of certificates may be among them.
            .mountRoot(bytes: 16 << 20, inodes: 4096),
            systemBind(AbsolutePath(literal: "/usr"), executable: true), .processes, .hostname(hostname),
            .loopback,
            // Servers inside may listen on any port of their own loopback.
            .setting("net/ipv4/ip_unprivileged_port_start", value: "0"),
        ] + devices

    private static var devices: [Step] {
        let devices: [(String, UInt32, UInt32)] = [
            ("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9),
            ("tty", 5, 0),
        ]
        let links = [
            ("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"),
            ("stderr", "/proc/self/fd/2"), ("ptmx", "pts/ptmx"),
        ]
        var steps: [Step] = devices.map { .device(name: $0.0, major: $0.1, minor: $0.2) }
        for (name, target) in links {
            guard let path = try? AbsolutePath("/dev/" + name) else { continue }
            steps.append(.link(path, to: target))
        }
        steps += [.pseudoterminals, .messageQueues]
        steps.append(
            .temporary(
                AbsolutePath(literal: "/dev/shm"),
                Step.Temporary(bytes: 64 << 20, inodes: 200_000, mode: 0o1777, executable: false)))
        return steps
    }

    private func makeProcesses() -> [Step] {
        guard policy.syscalls.profile != Planner.nestedProfile else { return [] }
        // Read-only after the settings were written through them.
        return Planner.masks
            + ["bus", "fs", "irq", "sys"].compactMap { (try? AbsolutePath("/proc/" + $0)).map(Step.readOnly) }
    }

    /// What is hidden in `/proc`, except for sandboxes inside.
    static let masks: [Step] = maskedInProc.compactMap { (try? AbsolutePath("/proc/" + $0)).map(Step.mask) }

    /// The profile under which sandboxes can be made inside: any mount on `/proc` would make the kernel refuse
    /// the inner `/proc` (mount_too_revealing), and Landlock file rules would refuse every inner mount.
    package static let nestedProfile = "nested"

    /// Tells about the host, or lets it be changed: the lists of the OCI runtimes, and what is readable besides.
    static let maskedInProc = [
        "acpi", "asound", "config.gz", "interrupts", "iomem", "ioports", "kallsyms", "kcore", "key-users",
        "keys", "kmsg", "kpagecgroup", "kpagecount", "kpageflags", "latency_stats", "modules", "mtrr",
        "pagetypeinfo", "sched_debug", "scsi", "slabinfo", "softirqs", "sysrq-trigger", "timer_list",
        "timer_stats", "vmallocinfo", "zoneinfo", "buddyinfo", "diskstats", "partitions", "swaps", "devices",
        "dynamic_debug", "driver",
    ]

    private func makePrivatePlaces() -> [Step] {
        let large = Step.Temporary(bytes: temporaryBytes, inodes: 1_000_000, mode: 0o1777, executable: true)
        let small = Step.Temporary(bytes: 64 << 20, inodes: 200_000, mode: 0o1777, executable: true)
        let run = Step.Temporary(bytes: 64 << 20, inodes: 200_000, mode: 0o755, executable: false)
        var home = large
        home.mode = 0o700
        var steps: [Step] = [
            .temporary(AbsolutePath(literal: "/tmp"), large),
            .temporary(AbsolutePath(literal: "/var/tmp"), small),
            .temporary(AbsolutePath(literal: "/run"), run),
            .directory(AbsolutePath(literal: "/var/lib"), mode: 0o755),
            .link(AbsolutePath(literal: "/var/run"), to: "/run"),
        ]
        if hasPrivateHome { steps.append(.temporary(facts.user.home, home)) }
        if let agent = facts.agentHome { steps += makeAgentHome(agent) }
        return steps + makeProgram()
    }

    /// The names of the agent's program, wherever that lies, and the links that lead to what it needs.
    private func makeProgram() -> [Step] {
        guard let program = facts.program else { return [] }
        var steps: [Step] = []
        for (name, target) in program.names.sorted(by: { $0.key < $1.key }) {
            guard let path = try? Planner.programs.appending(name) else { continue }
            steps.append(.link(path, to: target.string))
        }
        for (link, target) in program.links.sorted(by: { $0.key < $1.key }) {
            guard let node = facts.nodes[target] else { continue }
            let source: Step.Bind.Source =
                facts.isRoot ? .prepared(target, ownerUID: node.uid, ownerGID: node.gid) : .path(target)
            steps.append(
                .bind(
                    Step.Bind(
                        source: source, target: link, writable: false, executable: true,
                        isDirectory: node.kind == .directory)))
        }
        return steps
    }

    /// The agent's name leads to its program here.
    static let programs = AbsolutePath(literal: "/opt/box/bin")

    /// The home inside.
    var home: AbsolutePath { agentHome ?? (hasPrivateHome ? facts.user.home : AbsolutePath(literal: "/tmp")) }

    /// Where the home of an agent that has one of its own is: not at the place of the user's, because what is mounted below
    /// that, the project above all, would leave its name in a home that other sessions see as well.
    private var agentHome: AbsolutePath? {
        guard let agent = facts.agentHome else { return nil }
        let taken = [facts.user.home, facts.project.path] + facts.nodes.keys
        let free = ["/home/\(agent.name)", "/home/box-\(agent.name)"].compactMap { try? AbsolutePath($0) }
            .first { path in !taken.contains { $0.isSame(orBelow: path) || path.isSame(orBelow: $0) } }
        return free ?? AbsolutePath(literal: "/box/home")
    }

    /// The agent's own home. What it may not change is read-only, and what leads there cannot be renamed away.
    private func makeAgentHome(_ agent: HostFacts.AgentHome) -> [Step] {
        let source: Step.Bind.Source =
            facts.isRoot ? .prepared(agent.path, ownerUID: agent.uid, ownerGID: agent.gid) : .path(agent.path)
        var steps: [Step] = [
            .bind(
                Step.Bind(
                    source: source, target: home, writable: true, executable: true,
                    isDirectory: true))
        ]
        var pinned: Set<AbsolutePath> = []
        for name in agent.secured {
            guard let path = try? home.appending(name) else { continue }
            steps.append(.readOnly(path))
            var parent = path.parent
            while parent != home, parent != .root, pinned.insert(parent).inserted {
                steps.append(.pin(parent))
                parent = parent.parent
            }
        }
        return steps
    }

    /// A home at the root, or at a place that the sandbox has anyway, is not mounted once more.
    var hasPrivateHome: Bool {
        let home = facts.user.home
        let taken = Planner.systemPlaces + Planner.privatePlaces
        return home != .root && !taken.contains(home) && !home.isSame(orBelow: AbsolutePath(literal: "/usr"))
    }

    private func bind(_ grant: Grant) -> Step {
        // Launched as root, the user's own files are let in with their owner mapped to the sandbox's id.
        let source: Step.Bind.Source =
            facts.isRoot && !grant.isToolchain
            ? .prepared(grant.source, ownerUID: grant.ownerUID, ownerGID: grant.ownerGID)
            : .path(grant.source)
        return .bind(
            Step.Bind(
                source: source, target: grant.path, writable: grant.writable, executable: true,
                isDirectory: grant.isDirectory))
    }

    /// Where `box doctor --prove` finds itself inside.
    package static let proverPath = AbsolutePath(literal: "/opt/box/box")

    private func bindProver(_ prover: AbsolutePath) -> Step {
        let source: Step.Bind.Source =
            facts.isRoot ? .opened(prover) : .path(prover)
        return .bind(
            Step.Bind(
                source: source, target: Planner.proverPath, writable: false, executable: true,
                isDirectory: false))
    }

    /// The project at its own path. Control files are read-only; those that do not exist get a placeholder on the
    /// host to mount over. What holds a protected name is a mount of its own, so that it cannot be renamed away.
    private func makeProject() -> [Step] {
        let project = facts.project
        let source: Step.Bind.Source =
            facts.isRoot
            ? .prepared(project.path, ownerUID: project.node.uid, ownerGID: project.node.gid)
            : .path(project.path)
        var steps: [Step] = [
            .bind(
                Step.Bind(
                    source: source, target: project.path, writable: true, executable: true, isDirectory: true,
                    identity: Step.Identity(device: project.node.device, inode: project.node.inode)))
        ]
        func inProject(_ name: String) -> AbsolutePath? { try? project.path.appending(name) }
        for (name, kind) in project.controls.sorted(by: { $0.key < $1.key }) {
            guard let path = inProject(name) else { continue }
            switch kind {
            case .directory where ControlFiles.isPinned(name): steps.append(.pin(path))
            case .directory, .file: steps.append(.readOnly(path))
            // A missing protection, reported by the diagnosis; accepted if the plan gets here.
            case .link, .other: continue
            }
        }
        steps += placeholders.map { .readOnly($0.path) }
        // A name that is not UTF-8 cannot be in a plan; the facts refuse those in this mode.
        steps += project.hidden.compactMap { $0.text.flatMap(inProject).map { .mask($0) } }
        // As root the supervisor clones the project alone, so nothing mounted below it comes along.
        if !facts.isRoot { steps += project.mounts.compactMap { inProject($0).map { .mask($0) } } }
        return steps
    }

    /// What must stand in for protected names that do not exist.
    var placeholders: [Plan.Placeholder] {
        guard policy.workspace.mode == .direct else { return [] }
        let project = facts.project
        var wanted: [(String, ControlFiles.Placeholder)] = ControlFiles.directoriesAtRoot.map {
            ($0, .directory)
        }
        wanted += ControlFiles.filesAtRoot.map { ($0, .socket) }
        if project.controls[".git"] == nil { wanted.append((".git", .socket)) }
        for (name, kind) in project.controls where kind == .directory && ControlFiles.isPinned(name) {
            // Directories on the way to a submodule have nothing that git would read.
            guard name == ".git" || project.controls[name + "/config"] != nil else { continue }
            wanted += ControlFiles.absentInGitDirectory.map { (name + "/" + $0.name, $0.placeholder) }
        }
        return wanted.sorted { $0.0 < $1.0 }.compactMap { name, content in
            guard project.controls[name] == nil, let path = try? project.path.appending(name) else {
                return nil
            }
            return Plan.Placeholder(path: path, content: content)
        }
    }
}
