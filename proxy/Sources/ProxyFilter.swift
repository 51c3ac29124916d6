package import BoxTypes

/// The system calls that the proxy gives up before it reads a byte of a program.
///
/// It is a list of what is forbidden and not of what is allowed, because name resolution runs plug-ins of the
/// host (nsswitch.conf) whose calls no one knows. What remains is sockets, reading and memory.
package enum ProxyFilter {
    private static let notPermitted: UInt16 = 1
    private static let notImplemented: UInt16 = 38
    private static let familyNotSupported: UInt16 = 97

    /// The filter for the running architecture.
    package static var filter: SyscallFilter {
        let plain = rules(refused, .errno(notPermitted)) + rules(absent, .errno(notImplemented))
        return SyscallFilter(defaultAction: .allow, rules: plain + processes + sockets)
    }

    /// Name, number on x86_64, number on aarch64.
    private static func rules(_ table: String, _ action: SyscallAction) -> [SyscallRule] {
        table.split(separator: ",").compactMap { entry in
            let words = entry.split(whereSeparator: { $0 == " " || $0 == "\n" })
            guard words.count == 3, let number = Int32(words[column]) else { return nil }
            return SyscallRule(name: String(words[0]), number: number, action: action)
        }
    }

    #if arch(x86_64)
        private static let column = 1
        private static let clone: Int32 = 56
        private static let socket: Int32 = 41
    #elseif arch(arm64)
        private static let column = 2
        private static let clone: Int32 = 220
        private static let socket: Int32 = 198
    #else
        #error("the proxy's system call filter knows x86_64 and aarch64")
    #endif

    /// Threads are wanted, processes are not: `clone` needs CLONE_THREAD. `clone3` is absent, so that the C
    /// library makes its threads by `clone`, whose flags a filter can see.
    private static let processes = [
        SyscallRule(
            name: "clone", number: clone, action: .errno(notPermitted),
            conditions: [ArgumentCondition(index: 0, comparison: .maskedEqual(mask: 0x10000), value: 0)])
    ]

    /// TCP and UDP, UNIX sockets (systemd-resolved), and the routing family (getifaddrs, getaddrinfo).
    private static var sockets: [SyscallRule] {
        let unix: UInt64 = 1, inet: UInt64 = 2, inet6: UInt64 = 10, netlink: UInt64 = 16
        var all = (0..<netlink).filter { ![unix, inet, inet6].contains($0) }.map { family in
            refuseSocket(familyNotSupported, [.init(index: 0, comparison: low, value: family)])
        }
        // Also everything with a bit in the upper half, which the kernel would ignore.
        all.append(refuseSocket(familyNotSupported, [.init(index: 0, comparison: .greater, value: netlink)]))
        all.append(
            refuseSocket(
                familyNotSupported,
                [
                    .init(index: 0, comparison: .equal, value: netlink),
                    .init(index: 2, comparison: .notEqual, value: 0),
                ]))
        for family in [inet, inet6] {
            // Anything but SOCK_STREAM (1) and SOCK_DGRAM (2): raw packets, SCTP, DCCP.
            for type: UInt64 in [0] + Array(3...15) {
                all.append(
                    refuseSocket(
                        notPermitted,
                        [
                            .init(index: 0, comparison: .equal, value: family),
                            .init(index: 1, comparison: .maskedEqual(mask: 0xF), value: type),
                        ]))
            }
            // Protocols behind UDP (17): SCTP (132), MPTCP (262) and others that load kernel modules.
            all.append(
                refuseSocket(
                    notPermitted,
                    [
                        .init(index: 0, comparison: .equal, value: family),
                        .init(index: 2, comparison: .greater, value: 17),
                    ]))
        }
        return all
    }

    private static let low = ArgumentCondition.Comparison.maskedEqual(mask: 0xFFFF_FFFF)

    private static func refuseSocket(_ code: UInt16, _ conditions: [ArgumentCondition]) -> SyscallRule {
        SyscallRule(name: "socket", number: socket, action: .errno(code), conditions: conditions)
    }

    private static let refused = """
        execve 59 221, execveat 322 281, fork 57 -, vfork 58 -, ptrace 101 117, process_vm_readv 310 270,
        process_vm_writev 311 271, process_madvise 440 440, kcmp 312 272, pidfd_open 434 434,
        pidfd_getfd 438 438, mount 165 40, umount2 166 39, pivot_root 155 41, chroot 161 51,
        unshare 272 97, setns 308 268, bpf 321 280, perf_event_open 298 241, userfaultfd 323 282,
        kexec_load 246 104, kexec_file_load 320 294, init_module 175 105, finit_module 313 273,
        delete_module 176 106, reboot 169 142, swapon 167 224, swapoff 168 225, acct 163 89,
        quotactl 179 60, quotactl_fd 443 443, settimeofday 164 170, clock_settime 227 112,
        adjtimex 159 171, clock_adjtime 305 266, iopl 172 -, ioperm 173 -, modify_ldt 154 -,
        syslog 103 116, sethostname 170 161, setdomainname 171 162, vhangup 153 58, personality 135 92,
        name_to_handle_at 303 264, open_by_handle_at 304 265, fanotify_init 300 262, mknod 133 -,
        mknodat 259 33, chmod 90 -, fchmod 91 52, fchmodat 268 53, fchmodat2 452 452, chown 92 -,
        fchown 93 55, lchown 94 -, fchownat 260 54, setxattr 188 5, lsetxattr 189 6, fsetxattr 190 7,
        removexattr 197 14, lremovexattr 198 15, fremovexattr 199 16, setxattrat 463 463,
        removexattrat 466 466, utime 132 -, utimes 235 -, futimesat 261 -, utimensat 280 88,
        truncate 76 45, setuid 105 146, setgid 106 144, setreuid 113 145, setregid 114 143,
        setresuid 117 147, setresgid 119 149, setgroups 116 159, setfsuid 122 151, setfsgid 123 152,
        capset 126 91
        """

    /// Programs fall back from these to older calls.
    private static let absent = """
        clone3 435 435, open_tree 428 428, move_mount 429 429, fsopen 430 430, fsconfig 431 431,
        fsmount 432 432, fspick 433 433, mount_setattr 442 442, add_key 248 217, request_key 249 218,
        keyctl 250 219, io_uring_setup 425 425, io_uring_enter 426 426, io_uring_register 427 427
        """
}
