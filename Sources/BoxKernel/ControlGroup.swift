package import BoxTypes
internal import Glibc

extension ControlGroupSupport {
    /// Asks this host. Having no groups is an answer, not an error.
    package static func probe() throws(KernelError) -> ControlGroupSupport {
        ControlGroupSupport(try ControlGroupHost.read())
    }
}

/// A session's own group, made and removed by box.
///
/// The owner calls `remove()` when the session has ended. One that lets go of it before that has no session: what is
/// still in the group is killed then, and the group goes.
package struct ControlGroup: ~Copyable {
    /// The group's directory.
    package let path: AbsolutePath
    /// The same, opened: a child is started in the group by `CLONE_INTO_CGROUP`.
    package let directory: Descriptor

    /// What the group used.
    package struct Usage: Hashable, Sendable {
        /// Processes that the kernel killed because the group was out of memory.
        package let outOfMemoryKills: UInt64
        /// The most memory that was in use at a time; nil before Linux 5.19.
        package let memoryPeak: UInt64?
    }

    /// Makes a group with limits at a place that the probe found; on failure nothing is left of it.
    ///
    /// A limit whose controller is not handed down there is `ENOENT`, a name that exists is `EEXIST`.
    package static func create(
        name: String, at place: ControlGroupPlace, limits: ControlGroupLimits
    ) throws(KernelError) -> ControlGroup {
        let path = try self.path(of: name, at: place)
        for step in place.preparations { try step.perform() }
        try unsafe check("mkdir", mkdir(path.string, 0o755), path.string)
        do throws(KernelError) {
            let directory = try Descriptor.open(path.string, O_RDONLY | O_DIRECTORY)
            let group = ControlGroup(path: path, directory: directory)
            try group.apply(limits)
            return group
        } catch {
            // Already gone where there was a value for it.
            unsafe rmdir(path.string)
            throw error
        }
    }

    deinit {
        // After `remove()` it is gone; an empty one goes at once.
        if unsafe rmdir(path.string) == 0 || errno != EBUSY { return }
        do throws(KernelError) {
            try kill()
            try waitAndRemove(within: 1000)
        } catch {
            // Nobody is left who could be told; without a process in it the group is harmless.
            return
        }
    }

    /// What the group used so far. Needs the memory controller (`ENOENT`).
    package borrowing func usage() throws(KernelError) -> Usage {
        let kills = try number(of: "oom_kill", in: "memory.events")
        do throws(KernelError) {
            let text = try read("memory.peak")
            return Usage(outOfMemoryKills: kills, memoryPeak: UInt64(text.prefix { $0.isNumber }))
        } catch {
            guard error.code == ENOENT else { throw error }
            return Usage(outOfMemoryKills: kills, memoryPeak: nil)
        }
    }

    /// How often a process or thread could not be started because there were too many. Needs the controller of processes
    /// (`ENOENT`).
    package borrowing func refusedProcesses() throws(KernelError) -> UInt64 {
        try number(of: "max", in: "pids.events")
    }

    /// Kills every process in the group and below at once (Linux 5.14, `ENOENT` before).
    package borrowing func kill() throws(KernelError) { try write("1", to: "cgroup.kill") }

    /// Lets every process in the group and below stand still, or go on (Linux 5.2, `ENOENT` before). A process that is
    /// frozen can be killed, and so can the group.
    package borrowing func freeze(_ isFrozen: Bool) throws(KernelError) {
        try write(isFrozen ? "1" : "0", to: "cgroup.freeze")
    }

    /// Waits until everything in the group stands still, at most for `milliseconds`: what is in the middle of a system
    /// call ends that first.
    package borrowing func waitForFreeze(within milliseconds: Int) throws(KernelError) {
        let deadline = monotonicMilliseconds() + milliseconds
        let events = try Descriptor.open("cgroup.events", O_RDONLY, at: directory.number)
        while try !ControlGroup.says("frozen 1", events), monotonicMilliseconds() < deadline {
            var wait = pollfd(fd: events.number, events: Int16(POLLPRI), revents: 0)
            _ = unsafe Glibc.poll(&wait, 1, CInt(clamping: deadline - monotonicMilliseconds()))
        }
    }

    /// Removes the group, waiting until its last process is gone, at most for `milliseconds`; then `EBUSY`.
    package consuming func remove(within milliseconds: Int) throws(KernelError) {
        try waitAndRemove(within: milliseconds)
    }

    private borrowing func waitAndRemove(within milliseconds: Int) throws(KernelError) {
        let deadline = monotonicMilliseconds() + milliseconds
        let events = try Descriptor.open("cgroup.events", O_RDONLY, at: directory.number)
        while true {
            // Reading arms the notification, so no change between the reading and the waiting is lost.
            let populated = try ControlGroup.populated(events)
            if unsafe rmdir(path.string) == 0 { return }
            let code = errno
            let left = deadline - monotonicMilliseconds()
            guard code == EBUSY, populated, left > 0 else {
                throw KernelError(call: "rmdir", code: code, subject: path.string)
            }
            var wait = pollfd(fd: events.number, events: Int16(POLLPRI), revents: 0)
            let ready = unsafe Glibc.poll(&wait, 1, CInt(clamping: left))
            if ready < 0 && errno != EINTR {
                throw KernelError(call: "poll", code: errno, subject: path.string)
            }
        }
    }

    /// The group's directory; a name that is not one component is refused.
    private static func path(of name: String, at place: ControlGroupPlace) throws(KernelError) -> AbsolutePath
    {
        let refusal = KernelError(call: "mkdir", code: EINVAL, subject: name.escapedForTerminal)
        guard !["", ".", ".."].contains(name), !name.utf8.contains(UInt8(ascii: "/")) else { throw refusal }
        do throws(AbsolutePath.Refusal) { return try place.parent.appending(place.prefix + name) } catch {
            throw refusal
        }
    }

    /// Sets limits; those that are nil stay as they are.
    package borrowing func apply(_ limits: ControlGroupLimits) throws(KernelError) {
        if let bytes = limits.memoryBytes {
            try write(String(bytes), to: "memory.max")
            try forbidSwap()
            // Without this the kernel kills one process, and what is left of a command is no use.
            try write("1", to: "memory.oom.group")
        }
        if let processes = limits.processes { try write(String(processes), to: "pids.max") }
        if let milliCPUs = limits.milliCPUs { try write("\(milliCPUs * 100) 100000", to: "cpu.max") }
        if let weight = limits.cpuWeight { try write(String(weight), to: "cpu.weight") }
    }

    /// A kernel that does not account swap has no `memory.swap.max`; that is right only without swap.
    private borrowing func forbidSwap() throws(KernelError) {
        do throws(KernelError) { try write("0", to: "memory.swap.max") } catch {
            guard error.code == ENOENT else { throw error }
            var swap = 0
            do throws(KernelError) {
                let list = try Descriptor.open("/proc/swaps", O_RDONLY).readAll(limit: 1 << 16)
                // The first line is the heading.
                swap = list.count { $0 == UInt8(ascii: "\n") } - 1
            } catch let missing { guard missing.code == ENOENT else { throw missing } }
            guard swap <= 0 else { throw error }
        }
    }

    private borrowing func write(_ text: String, to file: String) throws(KernelError) {
        do throws(KernelError) {
            try Descriptor.open(file, O_WRONLY, at: directory.number).write(all: Array(text.utf8))
        } catch {
            throw KernelError(call: error.call, code: error.code, subject: "\(path.string)/\(file)")
        }
    }

    private borrowing func read(_ file: String) throws(KernelError) -> String {
        do throws(KernelError) {
            let bytes = try Descriptor.open(file, O_RDONLY, at: directory.number).readAll(limit: 1 << 16)
            return String(decoding: bytes, as: UTF8.self)
        } catch {
            throw KernelError(call: error.call, code: error.code, subject: "\(path.string)/\(file)")
        }
    }

    /// The number after a key in a file of `key number` lines; a missing key is `EINVAL`.
    private borrowing func number(of key: String, in file: String) throws(KernelError) -> UInt64 {
        for line in try read(file).split(separator: "\n") {
            let words = line.split(separator: " ")
            if words.count == 2, words[0] == key, let value = UInt64(words[1]) { return value }
        }
        throw KernelError(call: "read", code: EINVAL, subject: "\(path.string)/\(file): no \(key)")
    }

    private static func populated(_ events: borrowing Descriptor) throws(KernelError) -> Bool {
        try says("populated 1", events)
    }

    private static func says(_ line: String, _ events: borrowing Descriptor) throws(KernelError) -> Bool {
        try check("lseek", Int(lseek(events.number, 0, SEEK_SET)), "cgroup.events")
        let text = String(decoding: try events.readAll(limit: 4096), as: UTF8.self)
        return text.split(separator: "\n").contains(Substring(line))
    }
}

extension ControlGroupPlace.Preparation {
    fileprivate func perform() throws(KernelError) {
        switch self {
        case .make(let group):
            if unsafe mkdir(group.string, 0o755) < 0, errno != EEXIST {
                throw KernelError(call: "mkdir", code: errno, subject: group.string)
            }
        case .moveSelf(let group):
            try overwrite("0", group.appending(literal: "cgroup.procs"))
        case .enable(let controllers, let group):
            let list = controllers.map { "+\($0.rawValue)" }.joined(separator: " ")
            try overwrite(list, group.appending(literal: "cgroup.subtree_control"))
        }
    }

    private func overwrite(_ text: String, _ file: AbsolutePath) throws(KernelError) {
        let opened = try Descriptor.open(file.string, O_WRONLY)
        do throws(KernelError) { try opened.write(all: Array(text.utf8)) } catch {
            throw KernelError(call: error.call, code: error.code, subject: file.string)
        }
    }
}

private func monotonicMilliseconds() -> Int {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}
