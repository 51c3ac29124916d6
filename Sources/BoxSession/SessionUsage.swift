internal import BoxKernel
internal import Glibc

/// What the processes of a running session use: its supervisor and all that descends from it, outside and inside.
package struct SessionUsage: Equatable, Sendable {
    /// Processor time, also of those that have ended and were waited for.
    package var cpuMilliseconds = 0
    /// Their own memory, without what they share with files and with each other.
    package var memoryBytes = 0
    package var processes = 0

    /// By supervisor; one that is not seen is missing.
    package static func of(supervisors: [Int32]) -> [Int32: SessionUsage] {
        guard !supervisors.isEmpty else { return [:] }
        var all: [Int32: (parent: Int32, ticks: Int)] = [:]
        for name in DirectoryListing.names(of: "/proc") {
            guard let pid = Int32(name), let text = SmallFile.read("/proc/\(name)/stat"),
                let process = parse(text)
            else { continue }
            all[pid] = process
        }
        var owners: [Int32: Int32] = [:]
        for pid in all.keys { owners[pid] = owner(of: pid, all, Set(supervisors)) }
        let tick = max(1, sysconf(CInt(_SC_CLK_TCK)))
        let page = max(1, sysconf(CInt(_SC_PAGESIZE)))
        var usages: [Int32: SessionUsage] = [:]
        for (pid, owner) in owners {
            guard let process = all[pid] else { continue }
            var usage = usages[owner] ?? SessionUsage()
            usage.cpuMilliseconds += process.ticks * 1000 / tick
            usage.memoryBytes += ownPages(pid) * page
            usage.processes += 1
            usages[owner] = usage
        }
        return usages
    }

    /// The supervisor that a process descends from.
    private static func owner(
        of pid: Int32, _ all: [Int32: (parent: Int32, ticks: Int)], _ supervisors: Set<Int32>
    ) -> Int32? {
        var at = pid
        // Numbers may be used again while they are read, so there might be a ring.
        for _ in 0..<512 {
            if supervisors.contains(at) { return at }
            guard let parent = all[at]?.parent, parent > 1 else { return nil }
            at = parent
        }
        return nil
    }

    /// The parent and the processor time in a text of `/proc/PID/stat`. The name in it may have any character.
    private static func parse(_ text: String) -> (parent: Int32, ticks: Int)? {
        guard let end = text.utf8.lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let words = text.utf8[text.utf8.index(after: end)...].split(separator: UInt8(ascii: " "))
        guard words.count > 14, let parent = Int32(Substring(words[1])) else { return nil }
        return (parent, words[11...14].reduce(0) { $0 + (Int(Substring($1)) ?? 0) })
    }

    /// Resident pages but for the shared ones; 0 for a process that is gone.
    private static func ownPages(_ pid: Int32) -> Int {
        let words = SmallFile.read("/proc/\(pid)/statm")?.split(separator: " ") ?? []
        guard words.count > 2, let resident = Int(words[1]), let shared = Int(words[2]) else { return 0 }
        return max(0, resident - shared)
    }
}
