import BoxProxy
import BoxTypes
import Glibc
import Testing

/// What the proxy can't do any more, by the filter's rules and by the kernel's answers.
@Suite struct ConfinementTests {
    private static func action(_ name: String, _ arguments: [UInt64] = []) throws -> SyscallAction {
        let number = try #require(ProxyFilter.filter.rules.first { $0.name == name }?.number, "\(name)")
        return ProxyFilter.filter.action(number: number, arguments: arguments)
    }

    @Test(arguments: [
        "execve", "execveat", "ptrace", "process_vm_readv", "pidfd_getfd", "mount", "umount2", "pivot_root",
        "chroot", "unshare", "setns", "bpf", "perf_event_open", "userfaultfd", "kexec_load", "finit_module",
        "open_by_handle_at", "setuid", "capset", "fchmodat", "fchownat",
    ])
    func `a call that no relay needs is refused`(name: String) throws {
        #expect(try Self.action(name) == .errno(UInt16(EPERM)))
    }

    @Test(arguments: ["clone3", "io_uring_setup", "keyctl", "fsopen", "open_tree"])
    func `a call that programs fall back from is absent`(name: String) throws {
        #expect(try Self.action(name) == .errno(UInt16(ENOSYS)))
    }

    @Test func `threads are made, processes are not`() throws {
        // CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD and others, as the C library has it.
        #expect(try Self.action("clone", [0x3D0F00]) == .allow)
        #expect(try Self.action("clone", [17]) == .errno(UInt16(EPERM)))
        #expect(try Self.action("clone", [0x1000_0011]) == .errno(UInt16(EPERM)))
    }

    @Test(
        arguments: [
            ([1, 1, 0], true, "UNIX"), ([2, 1, 6], true, "TCP"),
            ([10, 0x80801, 0], true, "TCP over IPv6, with flags"),
            ([2, 2, 17], true, "UDP"), ([16, 0x80003, 0], true, "the routing family, as getaddrinfo asks"),
            ([0, 1, 0], false, "no family"), ([3, 1, 0], false, "AX.25"), ([16, 3, 9], false, "audit"),
            ([17, 3, 0], false, "packets"),
            ([38, 5, 0], false, "crypto"), ([40, 1, 0], false, "virtual sockets"),
            ([2, 3, 1], false, "raw packets"),
            ([10, 3, 58], false, "raw packets over IPv6"), ([2, 1, 132], false, "SCTP"),
            ([2, 1, 262], false, "multipath TCP"),
            ([2, 5, 0], false, "sequenced packets"),
            ([1 << 32 | 40, 1, 0], false, "a bit in the upper half"),
            ([1 << 32 | 3, 1, 0], false, "a bit in the upper half"),
        ] as [([UInt64], Bool, String)])
    func `only the sockets of a relay are made`(arguments: [UInt64], allowed: Bool, why: String) throws {
        #expect(try Self.action("socket", arguments).permits == allowed, "\(why)")
    }

    @Test func `the kernel holds the proxy to it`() async {
        await #expect(processExitsWith: .success) { exit(try firstFailure()) }
    }
}

/// Confines this process and tries what must fail; the number of the first thing that did not, 0 for none.
private func firstFailure() throws -> CInt {
    let opens = { (path: String) in unsafe open(path, O_RDONLY) >= 0 }
    // The control: this works before.
    guard opens("/proc/version") else { return 1 }
    let identity: UInt32? = geteuid() == 0 ? 65534 : nil
    try Confinement.enter(ProxyConfiguration(session: "s", rules: NetworkRules(), identity: identity))
    guard geteuid() != 0 else { return 2 }
    guard !opens("/proc/version"), errno == EACCES else { return 3 }
    guard opens("/etc/nsswitch.conf") || errno == ENOENT else { return 4 }
    let child = fork()
    if child == 0 { _exit(0) }
    guard child < 0, errno == EPERM else { return 5 }
    var noArguments: UnsafeMutablePointer<CChar>?
    guard unsafe execv("/bin/true", &noArguments) < 0, errno == EPERM else { return 6 }
    let stream = CInt(SOCK_STREAM.rawValue)
    guard socket(40, stream, 0) < 0, errno == EAFNOSUPPORT else { return 7 }
    guard socket(AF_INET, stream, 0) >= 0 else { return 8 }
    guard unsafe chmod("/etc/hosts", 0o644) < 0, errno == EPERM else { return 9 }
    return 0
}
