internal import CLinux
internal import Glibc

/// Processes that are no children of this one, each watched until it ends, by its pidfd.
package struct WatchedProcesses: ~Copyable {
    private let epoll: Descriptor
    /// By process id.
    private var pidfds: [CInt: CInt] = [:]

    package init() throws(KernelError) {
        epoll = Descriptor(owning: try check("epoll_create1", box_epoll_create()))
    }

    deinit { for number in pidfds.values { close(number) } }

    /// Whether this kernel can watch a process at all.
    package static func probe() throws(KernelError) {
        close(try check("pidfd_open", box_pidfd_open(getpid())))
    }

    /// Whether the kernel keeps how a process ended for those that watch it, whatever its parent does (Linux 6.15).
    package static var keepsEnds: Bool {
        var system = utsname()
        guard unsafe uname(&system) == 0 else { return false }
        let release = unsafe withUnsafeBytes(of: &system.release) { bytes in
            unsafe String(decoding: bytes, as: UTF8.self)
        }
        let parts = release.split { !$0.isNumber }.prefix(2).compactMap { Int($0) }
        return parts.count == 2 && (parts[0], parts[1]) >= (6, 15)
    }

    package var count: Int { pidfds.count }

    /// Readable when one has ended.
    package var entry: PollEntry { PollEntry(epoll.number, .read) }

    /// What is found of a thread.
    package enum Found: Equatable, Sendable {
        /// It is the first of its process; the parent is nil where the kernel does not say it so (before Linux 6.13).
        case process(parent: CInt?)
        /// A later thread, or none.
        case other
    }

    /// Watches the process whose first thread this is. One that is watched already stays so.
    package mutating func watch(_ thread: CInt) throws(KernelError) -> Found {
        if let present = pidfds[thread] {
            var status: CInt = 0
            // Its number may have been given to another one since.
            if unsafe box_pidfd_end(present, &status) == 0 {
                forget(thread)
            } else {
                return .process(parent: WatchedProcesses.parent(present))
            }
        }
        let number = box_pidfd_open(thread)
        guard number >= 0 else {
            let code = errno
            // No first thread (EINVAL, since Linux 6.9 ENOENT), or gone.
            if [EINVAL, ENOENT, ESRCH].contains(code) { return .other }
            throw KernelError(call: "pidfd_open", code: code)
        }
        guard box_epoll_add(epoll.number, number, BOX_EPOLLIN, UInt64(thread)) == 0 else {
            let code = errno
            close(number)
            throw KernelError(call: "epoll_ctl", code: code)
        }
        pidfds[thread] = number
        return .process(parent: WatchedProcesses.parent(number))
    }

    private static func parent(_ pidfd: CInt) -> CInt? {
        var parent: pid_t = 0
        return unsafe box_pidfd_parent(pidfd, &parent) == 0 ? parent : nil
    }

    /// Those that have ended, each once, with how it ended; nil where the kernel did not keep that (before Linux 6.15, if
    /// its parent was quicker).
    package mutating func takeEnded() throws(KernelError) -> [(pid: CInt, end: ChildChange?)] {
        var ready = [box_ready](repeating: box_ready(), count: 64)
        let count = retry { unsafe box_epoll_wait(epoll.number, &ready, 64, 0) }
        try check("epoll_wait", count)
        return ready.prefix(Int(count)).map { one in
            let pid = CInt(truncatingIfNeeded: one.data)
            let end = pidfds[pid].flatMap { WatchedProcesses.end($0, pid) }
            forget(pid)
            return (pid, end)
        }
    }

    /// Watches a process no more; whether it was watched.
    @discardableResult
    package mutating func forget(_ pid: CInt) -> Bool {
        guard let number = pidfds.removeValue(forKey: pid) else { return false }
        // Closed, it leaves the epoll as well: nobody else holds this open file.
        close(number)
        return true
    }

    private static func end(_ pidfd: CInt, _ pid: CInt) -> ChildChange? {
        var status: CInt = 0
        // Between the two it is just being taken by its parent; then one of them knows in a moment.
        for _ in 0..<100 {
            if unsafe box_pidfd_end(pidfd, &status) == 0 { return ChildChange(waitStatus: status) }
            // Until its parent has waited for it, it is in /proc.
            if let status = zombieStatus(pid) { return ChildChange(waitStatus: status) }
            sched_yield()
        }
        return nil
    }

    /// The wait status in `/proc/PID/stat` of a process that has ended; nil for any other.
    private static func zombieStatus(_ pid: CInt) -> CInt? {
        let fields = ProcessFacts.fields(pid)
        // State and exit code: the third and the 52nd of proc_pid_stat(5), counted from the state here.
        // While its parent takes the status it is dead (X) and not yet gone.
        guard fields.count > 49, ["Z", "X"].contains(fields[0]) else { return nil }
        return CInt(fields[49])
    }
}

/// What `/proc` says of a process; nil or empty for one that is gone or that this process may not look at.
package enum ProcessFacts {
    /// The fields of `/proc/PID/stat` behind the name, which may have any character in it.
    package static func fields(_ pid: CInt) -> [Substring] {
        guard let text = read("/proc/\(pid)/stat", upTo: 2048),
            let end = text.lastIndex(of: UInt8(ascii: ")"))
        else { return [] }
        return String(decoding: text[(end + 1)...], as: UTF8.self).split { $0 == " " || $0 == "\n" }
    }

    package static func parent(of pid: CInt) -> CInt? {
        let fields = fields(pid)
        return fields.count > 1 ? CInt(fields[1]) : nil
    }

    /// The process that a thread belongs to.
    package static func process(of thread: CInt) -> CInt? {
        guard let text = read("/proc/\(thread)/status", upTo: 4096) else { return nil }
        for line in text.split(separator: UInt8(ascii: "\n")) where line.starts(with: "Tgid:".utf8) {
            return CInt(String(decoding: line.dropFirst(5), as: UTF8.self).filter { $0 != "\t" && $0 != " " })
        }
        return nil
    }

    /// The command line, as the process has it now.
    package static func words(_ pid: CInt) -> [String] {
        let bytes = read("/proc/\(pid)/cmdline", upTo: 4096) ?? []
        return bytes.split(separator: 0, omittingEmptySubsequences: false).dropLast().map {
            String(decoding: $0, as: UTF8.self)
        }
    }

    /// Where a link of `/proc` leads.
    package static func link(_ path: String) -> String? {
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: 4096) { buffer, filled in
            guard let room = buffer.baseAddress else { return }
            filled = max(unsafe readlink(path, room, 4096), 0)
        }
        return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
    }

    private static func read(_ path: String, upTo count: Int) -> [UInt8]? {
        guard let file = try? Descriptor.open(path, O_RDONLY) else { return nil }
        return try? file.read(upTo: count)
    }
}
