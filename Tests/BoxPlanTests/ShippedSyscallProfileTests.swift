import BoxPlan
import BoxTypes
import Profiles
import Testing

private let eperm = SyscallAction.errno(1)
private let enosys = SyscallAction.errno(38)
private let eafnosupport = SyscallAction.errno(97)

/// High bits that the kernel ignores in an `int` argument.
private let garbage: UInt64 = 0xDEAD_BEEF_0000_0000

@Suite struct `The shipped system call profiles` {
    @Test(arguments: Shipped.syscallProfileNames, SyscallArchitecture.allCases)
    func `every profile resolves for every architecture and denies what it does not name`(
        name: String, architecture: SyscallArchitecture
    ) throws {
        let profile = try NamedFilter(shipped: name, on: architecture)
        #expect(profile.defaultAction == enosys)
        for number in Array(463...600) + [-1, 4095, 0x4000_0000] {
            #expect(profile.action(number: Int32(number)) == enosys, "\(number)")
        }
        for call in ["read", "execve", "openat", "exit_group", "futex", "mmap", "clone", "socket", "wait4"] {
            guard case .number = SyscallTable.entry(call, on: architecture) else {
                Issue.record("\(call) is missing")
                continue
            }
            let first: UInt64 = call == "socket" ? 1 : 0
            #expect(try profile(call, first, 1) == .allow, "\(call)")
        }
    }

    @Test func `there is no profile of another name`() { #expect(Shipped.syscallProfile("none") == nil) }

    @Test(
        arguments: Shipped.syscallProfileNames,
        [
            "setns", "bpf", "perf_event_open", "userfaultfd", "fanotify_init", "lookup_dcookie", "kcmp",
            "process_madvise", "pidfd_getfd", "process_vm_readv", "process_vm_writev", "memfd_secret",
            "vmsplice",
            "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "create_module",
            "query_module", "reboot", "swapon", "swapoff", "acct", "quotactl", "quotactl_fd", "settimeofday",
            "clock_settime", "iopl", "ioperm", "syslog", "vhangup", "nfsservctl", "sethostname",
            "setdomainname",
            "uselib", "ustat", "sysfs", "_sysctl", "open_by_handle_at", "mbind", "set_mempolicy",
            "migrate_pages",
            "move_pages", "get_mempolicy", "set_mempolicy_home_node",
        ])
    func `host administration, exploit primitives and foreign processes are EPERM`(
        name: String, call: String
    ) throws {
        #expect(try NamedFilter(shipped: name)(call) == eperm)
    }

    @Test(
        arguments: Shipped.syscallProfileNames,
        [
            "clone3", "open_tree", "open_tree_attr", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick",
            "mount_setattr", "io_uring_setup", "io_uring_enter", "io_uring_register", "add_key",
            "request_key",
            "keyctl", "statmount", "listmount", "lsm_get_self_attr", "setxattrat", "file_setattr",
        ])
    func `calls that programs can do without are ENOSYS`(name: String, call: String) throws {
        #expect(try NamedFilter(shipped: name)(call) == enosys)
    }

    @Test(arguments: ["default", "strict"])
    func `no new namespaces and no mounts`(name: String) throws {
        let profile = try NamedFilter(shipped: name)
        let signal: UInt64 = 17
        #expect(try profile("clone", signal) == .allow)
        // CLONE_VM|FS|FILES|SIGHAND|THREAD|SYSVSEM|SETTLS|PARENT_SETTID|CHILD_CLEARTID: a thread.
        #expect(try profile("clone", 0x3D_0F00) == .allow)
        for bit: UInt64 in [7, 17, 25, 26, 27, 28, 29, 30] {
            #expect(try profile("clone", signal | 1 << bit) == eperm, "bit \(bit)")
            #expect(try profile("clone", garbage | signal | 1 << bit) == eperm, "bit \(bit)")
        }
        for call in ["unshare", "mount", "umount2", "pivot_root", "chroot"] {
            #expect(try profile(call) == eperm, "\(call)")
        }
    }

    @Test func `nested opens namespaces and mounts and nothing else`() throws {
        let nested = try NamedFilter(shipped: "nested")
        for call in ["clone", "unshare"] {
            #expect(try nested(call, 0x7E02_0011) == .allow)
            #expect(try nested(call, 0x80) == eperm)
        }
        for call in ["mount", "umount2", "pivot_root", "chroot"] { #expect(try nested(call) == .allow) }
        let other = try NamedFilter(shipped: "default")
        let opened: Set = ["clone", "unshare", "mount", "umount2", "pivot_root", "chroot"]
        for (call, number) in SyscallTable.all(on: .x86_64) where !opened.contains(call) {
            let conditional = nested.hasConditions(number) || other.hasConditions(number)
            let differing = (conditional ? sampleArguments : [[]]).first { arguments in
                nested.action(number: number, arguments: arguments)
                    != other.action(number: number, arguments: arguments)
            }
            #expect(differing == nil, "\(call)")
        }
    }

    @Test func `strict permits nothing that default denies, and no debuggers`() throws {
        let strict = try NamedFilter(shipped: "strict")
        let other = try NamedFilter(shipped: "default")
        for (call, number) in SyscallTable.all(on: .x86_64) {
            let conditional = strict.hasConditions(number) || other.hasConditions(number)
            let wider = (conditional ? sampleArguments : [[]]).first { arguments in
                strict.action(number: number, arguments: arguments).permits
                    && !other.action(number: number, arguments: arguments).permits
            }
            #expect(wider == nil, "\(call)")
        }
        #expect(try strict("ptrace") == eperm)
        #expect(try strict("modify_ldt") == eperm)
        #expect(try other("ptrace") == .allow)
        let old = SyscallContext(kernelMajor: 4, kernelMinor: 7)
        let json = try #require(Shipped.syscallProfile("default"))
        let before = NamedFilter(
            try SyscallProfile(json: json, name: "default").filter(for: old), old.architecture)
        #expect(try before("ptrace") == enosys)
    }

    /// Arguments that the profiles' conditions distinguish.
    private let sampleArguments: [[UInt64]] = {
        let values: [UInt64] = [
            0, 1, 2, 3, 4, 5, 8, 10, 16, 17, 28, 35, 38, 47, 0x80, 0x2000, 0x6000, 0x5412, 0x541C, 0x541D,
            0x5423,
            0x2_0000, 0x2_0008, 0x4_0000, 0x1000_0000, 0xFFFF_FFFF, 0x1_0000_0001, .max,
        ]
        var all: [[UInt64]] = []
        for first in values {
            for second in values { all += [0, 1, 6, 17, 58].map { [first, second, $0] } }
        }
        return all
    }()
}

@Suite struct `Arguments in the shipped profiles` {
    @Test(
        arguments: Shipped.syscallProfileNames, [0x5412, 0x541C, 0x541D, 0x5423, 0x4B47, 0x4B49] as [UInt64])
    func `terminal takeover by ioctl is EPERM also with high bits set`(name: String, command: UInt64) throws {
        let profile = try NamedFilter(shipped: name)
        #expect(try profile("ioctl", 0, command) == eperm)
        #expect(try profile("ioctl", 0, command | garbage) == eperm)
        #expect(try profile("ioctl", 0, command + 0x100) == .allow)
        // TCGETS, TIOCGWINSZ, TIOCSCTTY, FIONREAD: ordinary terminals work.
        for other: UInt64 in [0x5401, 0x5413, 0x540E, 0x541B] {
            #expect(try profile("ioctl", 0, other) == .allow)
        }
    }

    @Test(arguments: Shipped.syscallProfileNames)
    func `of all socket families and types only local, internet and route sockets open`(name: String) throws {
        let profile = try NamedFilter(shipped: name)
        let permitted: [UInt64: Set<UInt64>] = [1: [1, 2, 5], 2: [1, 2], 10: [1, 2], 16: [2, 3]]
        for call in ["socket", "socketpair"] {
            for family: UInt64 in Array(0...64) + [0xFFFF_FFFF] {
                for type: UInt64 in 0...15 {
                    for flags: UInt64 in [0, 0x800, 0x80000, 0x80800] {
                        let action = try profile(call, family, type | flags, 0)
                        if permitted[family]?.contains(type) == true {
                            #expect(action == .allow, "\(call) \(family) \(type)")
                        } else if [1, 2, 3, 5].contains(type), permitted[family] != nil {
                            #expect(action == eperm, "\(call) \(family) \(type)")
                        } else if permitted[family] == nil, type < 8 {
                            #expect(action == eafnosupport, "\(call) \(family) \(type)")
                        } else {
                            #expect(!action.permits, "\(call) \(family) \(type)")
                        }
                    }
                }
            }
        }
    }

    @Test(arguments: Shipped.syscallProfileNames)
    func `socket protocols beyond TCP, UDP and route are EPERM`(name: String) throws {
        let profile = try NamedFilter(shipped: name)
        for family: UInt64 in [2, 10, garbage | 2] {
            #expect(try profile("socket", family & 0xFFFF_FFFF, 1, 6) == .allow)
            #expect(try profile("socket", family & 0xFFFF_FFFF, 2, 17) == .allow)
            for type: UInt64 in 1...2 {
                // ICMP, ICMPv6, DCCP, SCTP, UDP-Lite, SMC, MPTCP.
                for number: UInt64 in [1, 58, 33, 132, 136, 256, 262] {
                    #expect(try profile("socket", family, type, number).permits == false)
                }
            }
            #expect(try profile("socket", family & 0xFFFF_FFFF, 2, 1) == eperm)
            #expect(try profile("socket", family & 0xFFFF_FFFF, 1, 262) == eperm)
        }
        // AUDIT, KOBJECT_UEVENT, NETFILTER, SOCK_DIAG, XFRM.
        for number: UInt64 in [9, 15, 12, 4, 6] {
            #expect(try profile("socket", 16, 3, number) == eperm)
            #expect(try profile("socket", 16, 3, number | garbage) == eperm)
        }
    }

    @Test(arguments: Shipped.syscallProfileNames)
    func `prctl, limits, devices and personality keep what is locked`(name: String) throws {
        let profile = try NamedFilter(shipped: name)
        for option: UInt64 in [28, 35, 47] {
            #expect(try profile("prctl", option | garbage) == eperm)
        }
        for option: UInt64 in [1, 15, 22, 38] { #expect(try profile("prctl", option) == .allow) }
        #expect(try profile("setrlimit", 4) == eperm)
        #expect(try profile("setrlimit", 7) == .allow)
        #expect(try profile("prlimit64", 0, 4, 0x7FFF_0000) == eperm)
        #expect(try profile("prlimit64", 0, 4 | garbage, 0x1_0000_0000) == eperm)
        #expect(try profile("prlimit64", 0, 4, 0) == .allow)
        #expect(try profile("prlimit64", 0, 7, 0x7FFF_0000) == .allow)
        for kind: UInt64 in [0x2000, 0x6000] {
            #expect(try profile("mknod", 0, kind | 0o666 | garbage) == eperm)
            #expect(try profile("mknodat", 0, 0, kind | 0o666 | garbage) == eperm)
        }
        for kind: UInt64 in [0, 0x1000, 0x8000, 0xC000] {
            #expect(try profile("mknod", 0, kind | 0o666) == .allow)
            #expect(try profile("mknodat", 0, 0, kind | 0o666) == .allow)
        }
        for persona: UInt64 in [0, 8, 0x20000, 0x20008, 0xFFFF_FFFF] {
            #expect(try profile("personality", persona) == .allow)
        }
        for persona: UInt64 in [0x40000, 0x400000, 0x440008] {
            #expect(try profile("personality", persona) == eperm)
        }
        for persona: UInt64 in [1, 9, 0x100000, 0x2000000] {
            #expect(try profile("personality", persona) == enosys)
        }
    }
}
