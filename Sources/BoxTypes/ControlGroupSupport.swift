/// A controller of cgroup v2 that box uses.
package enum ControlGroupController: String, Hashable, Sendable, CaseIterable, Comparable {
    case memory, cpu, pids

    package static func < (left: ControlGroupController, right: ControlGroupController) -> Bool {
        left.rawValue < right.rawValue
    }
}

/// What a group of processes may use; nil is no limit. A limit needs its controller.
package struct ControlGroupLimits: Hashable, Sendable {
    /// Bytes of memory, without swap. The group is killed as a whole when it needs more.
    package var memoryBytes: UInt64?
    /// Processes and threads.
    package var processes: UInt64?
    /// CPU time in thousandths of one CPU.
    package var milliCPUs: UInt64?
    /// Share against other groups when CPU time is short; the kernel's default is 100.
    package var cpuWeight: UInt64?

    package init(
        memoryBytes: UInt64? = nil, processes: UInt64? = nil, milliCPUs: UInt64? = nil,
        cpuWeight: UInt64? = nil
    ) {
        self.memoryBytes = memoryBytes
        self.processes = processes
        self.milliCPUs = milliCPUs
        self.cpuWeight = cpuWeight
    }
}

/// Where a session's group can be made, and what has to be done before.
package struct ControlGroupPlace: Hashable, Sendable {
    /// One step of the preparation. Each is without effect when it was done before.
    package enum Preparation: Hashable, Sendable {
        /// Make this group.
        case make(AbsolutePath)
        /// Move box's own process into this group: one that limits its children has no processes itself.
        case moveSelf(AbsolutePath)
        /// Hand these controllers down to the children of this group.
        case enable([ControlGroupController], AbsolutePath)
    }

    /// The directory in which the session's group is made.
    package let parent: AbsolutePath
    /// What the group's name starts with, so that it is recognised among others.
    package let prefix: String
    /// In this order.
    package let preparations: [Preparation]

    package init(parent: AbsolutePath, prefix: String, preparations: [Preparation]) {
        self.parent = parent
        self.prefix = prefix
        self.preparations = preparations
    }
}

/// Which limits this host can enforce by cgroup v2, and for each that it can't the reason in words.
package struct ControlGroupSupport: Hashable, Sendable {
    /// Where the session's group goes; nil if no controller can be had.
    package let place: ControlGroupPlace?
    /// The controllers that can't be had, with what is the matter and what to do.
    package let missing: [ControlGroupController: String]

    package init(place: ControlGroupPlace?, missing: [ControlGroupController: String]) {
        self.place = place
        self.missing = missing
    }

    /// The controllers that can be used at `place`.
    package var available: [ControlGroupController] {
        ControlGroupController.allCases.filter { missing[$0] == nil }.sorted()
    }
}
