extension ControlGroupHost.Location {
    /// Why no controller at all can be had; nil if the own group was found.
    package var obstacleReason: String? {
        switch obstacle {
        case nil: nil
        case .notMounted where !versionOne.isEmpty:
            "this host has cgroup v1 only: boot it with systemd.unified_cgroup_hierarchy=1"
        case .notMounted: "cgroup v2 is not mounted"
        case .outside:
            "box's own group is outside the mounted cgroup tree (a container with the host's groups): "
                + "start the container with a private cgroup namespace"
        }
    }
}

extension ControlGroupHost {
    /// The command that gives a user's program a group of its own on a host with systemd.
    private static let systemdRun = "systemd-run --user --scope -p Delegate=yes box …"

    /// Why the controller can't be had, in words, with what to do.
    func reason(against controller: ControlGroupController, hasPlace: Bool) -> String {
        let name = controller.rawValue
        let everywhere = groups.first.map { $0.controllers.union($0.handedDown) } ?? []
        guard everywhere.contains(name) else {
            if location.versionOne.contains(name) {
                return "cgroup v1 hybrid: the \(name) controller is not on v2 "
                    + "(boot with systemd.unified_cgroup_hierarchy=1)"
            }
            return "the \(name) controller is not offered in \(groups.first?.path.string ?? "cgroup v2"): "
                + "switched off in the kernel or at boot, or not handed to this container"
        }
        if location.isReadOnly {
            return "the cgroup file system is read-only, as in most containers: start the container with "
                + "a private, writable cgroup tree, or box outside of it"
        }
        if hasPlace, let lacking = groups.first(where: { !$0.controllers.contains(name) }) {
            return "the \(name) controller is not handed down to \(lacking.path): "
                + "add it to Delegate= of that systemd unit, or run `\(Self.systemdRun)`"
        }
        return reasonWithoutPlace
    }

    private var reasonWithoutPlace: String {
        guard let own = groups.last else { return "cgroup v2 is not mounted" }
        if own.canCreate, own.canMove, own.type == "domain", own.processes == .others {
            return "other processes share the group \(own.path) with box, and a group with limited children "
                + "has no processes of its own: "
                + (isSystemd ? "run `\(Self.systemdRun)`" : "move them to a leaf group first")
        }
        if own.canCreate, let type = own.type, type != "domain" {
            return "the group \(own.path) is of type \"\(type)\": only a domain can have limited children"
        }
        if isSystemd { return "not delegated: run `\(Self.systemdRun)`" }
        return
            "not delegated: no group above \(own.path) is writable; ask root for one and to start box in it"
    }

    /// Whether the own group is one that systemd made.
    private var isSystemd: Bool {
        groups.contains { group in
            [".slice", ".scope", ".service"].contains { group.path.string.hasSuffix($0) }
        }
    }
}
