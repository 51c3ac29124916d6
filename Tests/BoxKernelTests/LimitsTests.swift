import BoxKernel
import BoxTypes
import CLinux
import Glibc
import Testing

struct LimitsTests {
    /// The kernel's own names in `/proc/PID/limits`.
    static let labels: [ResourceLimit: String] = [
        .coreSize: "Max core file size", .openFiles: "Max open files", .processes: "Max processes",
        .fileSize: "Max file size", .lockedMemory: "Max locked memory", .messageQueues: "Max msgqueue size",
        .pendingSignals: "Max pending signals", .nice: "Max nice priority",
        .realtimePriority: "Max realtime priority", .stackSize: "Max stack size", .cpuSeconds: "Max cpu time",
    ]

    @Test(arguments: ResourceLimit.allCases.map(\.rawValue))
    func `a limit that is set is the one the kernel shows`(name: String) async {
        await #expect(processExitsWith: .success) { [name] in
            let limit = try #require(ResourceLimit(rawValue: name))
            let label = try #require(LimitsTests.labels[limit])
            let hard = try Limits.current(limit).hard
            let bounds = ResourceBounds(soft: min(hard, 1 << 20) / 2, hard: min(hard, 1 << 20))
            try Limits.set(limit, to: bounds)
            #expect(try Limits.current(limit) == bounds)
            let lines = try contents("/proc/self/limits").split(separator: "\n")
            let line = try #require(lines.first { $0.hasPrefix(label) })
            let numbers = line.dropFirst(label.count).split(separator: " ").prefix(2).map(String.init)
            #expect(numbers == [String(bounds.soft), String(bounds.hard)])
        }
    }

    @Test func `a hard limit can't be raised by a user, and a soft one not above it`() async {
        await #expect(processExitsWith: .success) {
            try Launch.user.become()
            try Limits.set(.openFiles, to: ResourceBounds(both: 64))
            let raised = errorOf { () throws(KernelError) in
                try Limits.set(.openFiles, to: ResourceBounds(soft: 64, hard: 65))
            }
            #expect(raised == KernelError(call: "setrlimit", code: EPERM, subject: "nofile"))
            let crossed = errorOf { () throws(KernelError) in
                try Limits.set(.openFiles, to: ResourceBounds(soft: 64, hard: 63))
            }
            #expect(crossed == KernelError(call: "setrlimit", code: EINVAL, subject: "nofile"))
            #expect(try Limits.current(.openFiles) == ResourceBounds(both: 64))
        }
    }

    @Test func `descriptors end at the limit`() async {
        await #expect(processExitsWith: .success) {
            let ending = try inChild {
                try Limits.set(.openFiles, to: ResourceBounds(both: 32))
                for _ in 0..<32 {
                    do throws(KernelError) { _ = try Descriptor.open("/dev/null", O_RDONLY).release() } catch
                    {
                        return error.code
                    }
                }
                return 0
            }
            #expect(ending == .exited(EMFILE))
        }
    }

    @Test func `a write beyond the largest file size is EFBIG`() async {
        await #expect(processExitsWith: .success) {
            let scratch = try Scratch()
            let file = try scratch.folder.file("f", "")
            signal(SIGXFSZ, SIG_IGN)
            try Limits.set(.fileSize, to: ResourceBounds(both: 10))
            let opened = try Descriptor.open(file.string, O_WRONLY)
            #expect(try opened.write(some: [UInt8](repeating: 0, count: 20)[...]) == 10)
            #expect(errnoOf { () throws(KernelError) in _ = try opened.write(some: [0]) } == EFBIG)
        }
    }

    @Test func `with a core limit of one a crash leaves no core, for file or pipe`() async throws {
        await #expect(processExitsWith: .success) {
            let ending = try inChild {
                try Limits.set(.coreSize, to: ResourceBounds(both: 1))
                kill(getpid(), SIGQUIT)
                while true { pause() }
            }
            #expect(ending == .killed(SIGQUIT))
        }
    }

    @Test func `a user may raise its own out-of-memory score and not lower it`() async {
        await #expect(processExitsWith: .success) {
            // A process that root started keeps its files root's when only one thread changes its ids.
            let ending = try inChild {
                try Launch.user.become()
                try check("prctl", box_prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))
                let score = AbsolutePath(literal: "/proc/self/oom_score_adj")
                try Sysctl.write(500, to: score)
                guard try Sysctl.read(score) == 500 else { return 0 }
                let file = try Descriptor.open(score.string, O_WRONLY)
                return errnoOf { () throws(KernelError) in try file.write(all: Array("-1000".utf8)) }
            }
            #expect(ending == .exited(EACCES))
        }
    }
}

struct SysctlTests {
    @Test(.enabled(if: Host.canMakeUserNamespaces), arguments: Launch.available)
    func `max_user_namespaces of an own namespace stops nested ones`(launch: Launch) async {
        await #expect(processExitsWith: .success) { [launch] in
            try launch.become()
            let ending = try inChild {
                try check("prctl", box_prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))
                let setting = AbsolutePath(literal: "/proc/sys/user/max_user_namespaces")
                try enterUserNamespace()
                try Sysctl.write(1, to: setting)
                guard try Sysctl.read(setting) == 1 else { return 1 }
                try enterUserNamespace()
                return errnoOf { () throws(KernelError) in try enterUserNamespace() }
            }
            #expect(ending == .exited(ENOSPC))
        }
    }

    @Test func `a value out of range and a setting that does not exist are errors with the path`() {
        let score = AbsolutePath(literal: "/proc/self/oom_score_adj")
        let range = errorOf { () throws(KernelError) in try Sysctl.write(5000, to: score) }
        #expect(range == KernelError(call: "write", code: EINVAL, subject: score.string))
        let none = AbsolutePath(literal: "/proc/sys/kernel/box_has_no_such_setting")
        let missing = errorOf { () throws(KernelError) in try Sysctl.write(1, to: none) }
        #expect(missing == KernelError(call: "open", code: ENOENT, subject: none.string))
    }

    @Test func `a file without a number is not read as one`() {
        let path = AbsolutePath(literal: "/proc/self/comm")
        let error = errorOf { () throws(KernelError) in _ = try Sysctl.read(path) }
        #expect(error == KernelError(call: "read", code: EINVAL, subject: path.string))
    }
}

/// Enters a new user namespace in which the present ids are mapped to themselves: a process without ids can't
/// make another one.
private func enterUserNamespace() throws(KernelError) {
    let (user, group) = (geteuid(), getegid())
    try check("unshare", box_unshare(CInt(BOX_CLONE_NEWUSER)))
    for (file, text) in [
        ("setgroups", "deny"), ("uid_map", "\(user) \(user) 1"), ("gid_map", "\(group) \(group) 1"),
    ] {
        try Descriptor.open("/proc/self/\(file)", O_WRONLY).write(all: Array(text.utf8))
    }
}
