/// What a host says about its cgroups, as read, with nothing decided.
package struct ControlGroupHost: Hashable, Sendable {
    /// One group, seen from box's process.
    package struct Group: Hashable, Sendable {
        /// Who is in the group itself.
        package enum Processes: Hashable, Sendable {
            case none, onlySelf, others
        }
        package var path: AbsolutePath
        /// `cgroup.controllers`: what the parent hands to this group.
        package var controllers: Set<String>
        /// `cgroup.subtree_control`: what it hands to its children.
        package var handedDown: Set<String>
        /// `cgroup.type`; nil for the true root of the hierarchy, which has no such file.
        package var type: String?
        package var processes: Processes
        /// Whether box may make groups in it.
        package var canCreate: Bool
        /// Whether box may move processes between the groups below it (write `cgroup.procs`).
        package var canMove: Bool
        /// Whether box may write `cgroup.subtree_control`.
        package var canEnable: Bool

        package init(
            path: AbsolutePath, controllers: Set<String>, handedDown: Set<String>, type: String?,
            processes: Processes, canCreate: Bool, canMove: Bool, canEnable: Bool
        ) {
            self.path = path
            self.controllers = controllers
            self.handedDown = handedDown
            self.type = type
            self.processes = processes
            self.canCreate = canCreate
            self.canMove = canMove
            self.canEnable = canEnable
        }

        /// The no-internal-process rule: only the true root has both processes and limited children.
        fileprivate var mayLimitChildren: Bool { type == nil || (type == "domain" && processes == .none) }
    }

    package var location: Location
    /// From the mount point to the own group, as `location.chain`; empty where there is none.
    package var groups: [Group]

    package init(location: Location, groups: [Group]) {
        self.location = location
        self.groups = groups
    }

    /// Where the own group lies in the file system.
    package struct Location: Hashable, Sendable {
        /// Why there is no way to the own group.
        package enum Obstacle: Hashable, Sendable {
            /// No cgroup v2 is mounted.
            case notMounted
            /// It is mounted, but the own group is not below the mount (seen from this cgroup namespace).
            case outside
        }
        /// The directories from the mount point to the own group.
        package let chain: [AbsolutePath]
        package let obstacle: Obstacle?
        /// The mount is read-only.
        package let isReadOnly: Bool
        /// Controllers that a cgroup v1 hierarchy holds.
        package let versionOne: Set<String>

        /// Finds the own group from the texts of `/proc/self/cgroup` and `/proc/self/mountinfo`.
        package init(membership: String, mounts: String) {
            // "4:memory:/path" for a hierarchy of v1, "0::/path" for v2.
            let lines = Array(membership.utf8).split(separator: UInt8(ascii: "\n")).map {
                $0.split(separator: UInt8(ascii: ":"), maxSplits: 2, omittingEmptySubsequences: false)
            }.filter { $0.count == 3 }
            versionOne = Set(
                lines.flatMap { $0[1].split(separator: UInt8(ascii: ",")) }.map {
                    String(decoding: $0, as: UTF8.self)
                })
            let own = lines.first { $0[0].elementsEqual([UInt8(ascii: "0")]) && $0[1].isEmpty }?[2]
            let candidates = Mount.all(in: mounts)
            guard let own, !candidates.isEmpty else {
                (chain, obstacle, isReadOnly) = ([], .notMounted, false)
                return
            }
            for mount in candidates {
                guard let chain = mount.chain(to: String(decoding: own, as: UTF8.self)) else { continue }
                (self.chain, obstacle, isReadOnly) = (chain, nil, mount.isReadOnly)
                return
            }
            (chain, obstacle, isReadOnly) = ([], .outside, false)
        }
    }
}

/// A cgroup v2 line of mountinfo (proc_pid_mountinfo(5)).
private struct Mount {
    let root: String
    let point: String
    let isReadOnly: Bool

    static func all(in text: String) -> [Mount] {
        ByteLines(Array(text.utf8)).holding(" - cgroup2 ").compactMap { Mount($0) }
    }

    private init?(_ line: Substring) {
        let fields = line.split(separator: " ")
        guard let dash = fields.firstIndex(of: "-"), dash + 1 < fields.count, fields[dash + 1] == "cgroup2",
            dash >= 6
        else { return nil }
        root = Mount.unescaped(fields[3])
        point = Mount.unescaped(fields[4])
        isReadOnly = fields[5].split(separator: ",").contains("ro")
    }

    /// The directories down to the group; nil if it is not below this mount.
    func chain(to group: String) -> [AbsolutePath]? {
        // A path that starts with ".." lies outside the cgroup namespace and can't be reached by name.
        guard !group.hasPrefix("/.."), !root.hasPrefix("/.."), !group.hasSuffix(" (deleted)") else {
            return nil
        }
        do throws(AbsolutePath.Refusal) {
            let group = try AbsolutePath(group)
            let root = try AbsolutePath(root)
            guard group.isSame(orBelow: root) else { return nil }
            var directory = try AbsolutePath(point)
            var chain = [directory]
            for component in group.components.dropFirst(root.components.count) {
                directory = try directory.appending(String(component))
                chain.append(directory)
            }
            return chain
        } catch { return nil }
    }

    /// Undoes the kernel's `\040` for blanks and the like.
    private static func unescaped(_ field: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(field.utf8)[...]
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            if byte == UInt8(ascii: "\\"), digits.count == 3,
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
            {
                bytes.append(value)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension ControlGroupSupport {
    /// Decides where a session's group can be and which controllers it has there.
    ///
    /// A group takes the session if box may make a child in it and move a process from its own group there
    /// (write access to `cgroup.procs` of the common ancestor, which is that group), and if it has no
    /// processes of its own. Among those the one with the most controllers wins. Of equals it is the true
    /// root, which only root can write and no session manager owns; otherwise the nearest, so that limits of
    /// the groups around box go on to hold.
    package init(_ host: ControlGroupHost) {
        if let reason = host.location.obstacleReason {
            self.init(
                place: nil,
                missing: Dictionary(
                    uniqueKeysWithValues: ControlGroupController.allCases.map { ($0, reason) }))
            return
        }
        var best: Candidate?
        for index in host.groups.indices {
            guard let candidate = Candidate(host.groups, index) else { continue }
            if let present = best {
                let (old, new) = (present.enable.count, candidate.enable.count)
                if new < old || (new == old && present.isTrueRoot) { continue }
            }
            best = candidate
        }
        var missing: [ControlGroupController: String] = [:]
        for controller in ControlGroupController.allCases where best?.enable[controller] == nil {
            missing[controller] = host.reason(against: controller, hasPlace: best != nil)
        }
        let place = best.flatMap { $0.enable.isEmpty ? nil : $0.place }
        self.init(place: place, missing: missing)
    }
}

/// A group that could take the session's group as a child.
private struct Candidate {
    let group: ControlGroupHost.Group
    let isTrueRoot: Bool
    /// Box's own process has to leave the group first.
    let mustLeave: Bool
    /// For each controller that can be had, the groups that have to hand it down and don't yet.
    let enable: [ControlGroupController: [AbsolutePath]]
    private let chain: [AbsolutePath]

    init?(_ groups: [ControlGroupHost.Group], _ index: Int) {
        var groups = Array(groups[...index])
        let isOwnAndAlone = groups[index].processes == .onlySelf && groups[index].type == "domain"
        if isOwnAndAlone { groups[index].processes = .none }
        let group = groups[index]
        guard group.canCreate, group.canMove, group.mayLimitChildren else { return nil }
        self.group = group
        isTrueRoot = group.type == nil
        mustLeave = isOwnAndAlone
        chain = groups.map(\.path)
        var enable: [ControlGroupController: [AbsolutePath]] = [:]
        for controller in ControlGroupController.allCases {
            enable[controller] = Candidate.handingDown(controller, groups)
        }
        self.enable = enable
    }

    /// The groups that must hand the controller down so that a child of the last one has it, outermost first;
    /// nil if one of them can't.
    private static func handingDown(
        _ controller: ControlGroupController, _ groups: [ControlGroupHost.Group]
    ) -> [AbsolutePath]? {
        var needed: [AbsolutePath] = []
        for group in groups.reversed() {
            if group.handedDown.contains(controller.rawValue) { return needed.reversed() }
            guard group.canEnable, group.mayLimitChildren else { return nil }
            needed.append(group.path)
            if group.controllers.contains(controller.rawValue) { return needed.reversed() }
        }
        return nil
    }

    var place: ControlGroupPlace {
        var steps: [ControlGroupPlace.Preparation] = []
        if mustLeave {
            let leaf = group.path.appending(literal: "box-supervisor")
            steps += [.make(leaf), .moveSelf(leaf)]
        }
        for path in chain {
            let controllers = enable.filter { $0.value.contains(path) }.keys.sorted()
            if !controllers.isEmpty { steps.append(.enable(controllers, path)) }
        }
        guard isTrueRoot else {
            return ControlGroupPlace(parent: group.path, prefix: "box-", preparations: steps)
        }
        // The root belongs to everyone: the sessions get a directory of their own.
        let parent = group.path.appending(literal: "box")
        steps += [.make(parent), .enable(enable.keys.sorted(), parent)]
        return ControlGroupPlace(parent: parent, prefix: "", preparations: steps)
    }
}
