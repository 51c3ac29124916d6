internal import BoxPolicy
internal import BoxTypes

// Landlock repeats what the mounts say, by another mechanism of the kernel.
extension Planner {
    /// The rules for the ABI that the kernel has; nil without Landlock, which the policy then has accepted.
    func makeLandlock(grants: [Grant]) -> Step? {
        let abi = facts.landlock.number
        guard abi > 0 else { return nil }
        let scopes = LandlockScope.available(abi: abi)
        if policy.syscalls.profile == Planner.nestedProfile {
            // File rules forbid every mount(2) below, so a sandbox inside could not be made.
            return scopes.isEmpty ? nil : .landlock(handled: [], scopes: scopes, rules: [])
        }
        let handled = LandlockAccess.handled(abi: abi)
        let rules = landlockRules(grants: grants).map { path, access in
            LandlockRule(path: path, access: access.intersection(handled))
        }
        return .landlock(handled: handled, scopes: scopes, rules: rules)
    }

    private static let reading: LandlockAccess = [.readFile, .readDirectory]
    private static let running: LandlockAccess = [.readFile, .readDirectory, .execute]
    /// Everything but devices: those cannot be made inside at all.
    private static let changing: LandlockAccess = [
        .readFile, .readDirectory, .execute, .writeFile, .truncate, .removeFile, .removeDirectory,
        .makeRegular, .makeDirectory, .makeSymbolicLink, .makeSocket, .makeFIFO, .refer, .resolveUnix,
    ]

    private func landlockRules(grants: [Grant]) -> [(AbsolutePath, LandlockAccess)] {
        var rules: [(AbsolutePath, LandlockAccess)] = [
            // Names may be listed everywhere; what exists is decided by the mounts.
            (.root, .readDirectory),
            (AbsolutePath(literal: "/usr"), Planner.running),
            (AbsolutePath(literal: "/etc"), Planner.reading),
            // Debuggers write to /proc/PID/mem, runtimes to oom_score_adj; the kernel checks each of these.
            (AbsolutePath(literal: "/proc"), Planner.reading.union([.writeFile, .truncate])),
            (AbsolutePath(literal: "/dev"), Planner.reading.union(.writeFile)),
            (AbsolutePath(literal: "/dev/pts"), Planner.reading.union([.writeFile, .ioctlDevice])),
            (AbsolutePath(literal: "/dev/tty"), [.readFile, .writeFile, .ioctlDevice]),
            (AbsolutePath(literal: "/dev/shm"), Planner.changing),
            (AbsolutePath(literal: "/dev/mqueue"), Planner.changing),
            (AbsolutePath(literal: "/tmp"), Planner.changing),
            (AbsolutePath(literal: "/var/tmp"), Planner.changing),
            (AbsolutePath(literal: "/var/lib"), Planner.reading),
            (AbsolutePath(literal: "/run"), Planner.changing),
        ]
        if hasPrivateHome { rules.append((facts.user.home, Planner.changing)) }
        if facts.agentHome != nil { rules.append((home, Planner.changing)) }
        for (name, kind) in facts.systemDirectories.sorted(by: { $0.key < $1.key }) where kind == .directory {
            if let path = try? AbsolutePath("/" + name) { rules.append((path, Planner.running)) }
        }
        for grant in grants {
            let access = grant.writable ? Planner.changing : Planner.running
            rules.append((grant.path, grant.isDirectory ? access : access.intersection(.onFiles)))
        }
        for (link, target) in facts.program?.links ?? [:] {
            let isDirectory = facts.nodes[target]?.kind == .directory
            rules.append((link, isDirectory ? Planner.running : Planner.running.intersection(.onFiles)))
        }
        if request.prover != nil { rules.append((Planner.proverPath, [.readFile, .execute])) }
        if policy.workspace.mode != .none { rules.append((facts.project.path, Planner.changing)) }
        if let stage {
            for tree in stage.trees.dropFirst() { rules.append((tree.host, Planner.changing)) }
        }
        return rules
    }
}
