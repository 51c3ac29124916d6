internal import BoxPolicy
internal import BoxTypes

// What the sandbox may use.
extension Planner {
    /// rlimits, each cut to what the caller itself may have. The reasons are in docs/policy-reference.md.
    func makeLimits() -> [Step] {
        var wanted: [(ResourceLimit, ResourceBounds)] = [
            // 1, not 0: with 0 the kernel still starts a core_pattern program; a file needs more than 1 byte.
            (.coreSize, ResourceBounds(both: 1)),
            (.lockedMemory, ResourceBounds(both: 64 << 20)),
            (.messageQueues, ResourceBounds(both: 800 << 10)),
            (.pendingSignals, ResourceBounds(both: 4096)),
            (.nice, ResourceBounds(both: 0)),
            (.realtimePriority, ResourceBounds(both: 0)),
        ]
        if let files = policy.limits.openFiles {
            wanted.append(
                (.openFiles, ResourceBounds(soft: UInt64(min(files, 4096)), hard: UInt64(files))))
        }
        if let size = policy.limits.fileSize {
            wanted.append((.fileSize, ResourceBounds(both: UInt64(size.bytes))))
        }
        if let processes = processLimit {
            wanted.append((.processes, ResourceBounds(both: UInt64(processes + groupFirst))))
        }
        return wanted.map { limit, bounds in
            let most = facts.hardLimits[limit] ?? ResourceBounds.unlimited
            return .limit(
                limit, ResourceBounds(soft: min(bounds.soft, most), hard: min(bounds.hard, most)))
        }
    }

    /// What the policy says, and one more for process 1, which is box's own.
    private var processLimit: Int? { policy.limits.processes.map { $0 + 1 } }

    /// Where a control group bounds the processes, too, it is to be the first that refuses one: only it counts that.
    private var groupFirst: Int {
        facts.controlGroups.place != nil && facts.controlGroups.available.contains(.pids) ? 1 : 0
    }

    /// Settings of the sandbox's own namespaces.
    func makeSettings() -> [Step] {
        var steps: [Step] = []
        if policy.syscalls.profile != Planner.nestedProfile {
            // Besides the filter: a hole in one is not a hole in both.
            steps.append(.setting("user/max_user_namespaces", value: "0"))
        }
        // Linux 6.14; before that pid_max is the whole host's, and RLIMIT_NPROC alone bounds processes.
        if let processes = processLimit, facts.kernel >= HostFacts.Kernel(6, 14) {
            // The kernel takes no less than 301, and no more than the host's own.
            let most = min(max(301, processes + groupFirst), facts.largestProcessID)
            steps.append(.setting("kernel/pid_max", value: String(most)))
        }
        return steps
    }

    /// The memory limit in bytes, with a percentage put in.
    var memoryBytes: Int? { policy.limits.memory.map { $0.bytes(ofRAM: facts.memory) } }

    /// The size of `/tmp` and the home: what the policy says, at most a quarter of the RAM.
    var temporaryBytes: Int {
        let quarter = max(64 << 20, facts.memory / 4)
        return min(policy.limits.temporary?.bytes ?? quarter, quarter)
    }

    /// What the control group bounds; nil if the host has none to give.
    func makeControlGroup() -> ControlGroupLimits? {
        guard facts.controlGroups.place != nil else { return nil }
        let can = facts.controlGroups.available
        return ControlGroupLimits(
            memoryBytes: can.contains(.memory) ? memoryBytes.map(UInt64.init) : nil,
            processes: can.contains(.pids) ? processLimit.map(UInt64.init) : nil,
            milliCPUs: can.contains(.cpu) ? policy.limits.milliCPUs.map(UInt64.init) : nil,
            // Half of the kernel's standard share, so that the user's own work goes first.
            cpuWeight: can.contains(.cpu) ? 50 : nil)
    }

    /// The limits in force, for the card.
    var limitTexts: [String] {
        var texts: [String] = []
        if let memory = memoryBytes, facts.controlGroups.available.contains(.memory) {
            texts.append("memory \(ByteSize(bytes: memory).rounded)")
        }
        if let processes = policy.limits.processes {
            let most = facts.hardLimits[.processes].map { Int(clamping: $0) } ?? processes
            texts.append("\(min(processes, most)) processes")
        }
        if let cpus = policy.limits.milliCPUs, facts.controlGroups.available.contains(.cpu) {
            texts.append("\(Double(cpus) / 1000) CPUs")
        }
        texts.append("/tmp \(ByteSize(bytes: temporaryBytes).rounded)")
        if let time = policy.limits.time { texts.append("time \(time.text)") }
        return texts
    }
}
