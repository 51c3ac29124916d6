import BoxKernel
import BoxPlan
import BoxTypes
import CLinux
import Glibc
import Profiles
import Testing

// These tests change the process for good, so each runs in a child of its own.

/// Installs a shipped profile in this process.
private func install(_ name: String, allThreads: Bool = false) throws {
    let json = try #require(Shipped.syscallProfile(name))
    let context = SyscallContext(kernelMajor: 6, kernelMinor: 18)
    let program = try SeccompFilter.compile(try SyscallProfile(json: json, name: name).filter(for: context))
    try check("prctl", box_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    try SeccompFilter.install(program, allThreads: allThreads)
}

/// A call with arguments that do no harm, and the errno that the filter gives it.
private struct Probe {
    let name: String
    let arguments: [Int]
    let code: CInt
    /// Whether the kernel itself answers otherwise, for every user, so that the filter's part is seen.
    var isTelling = true

    /// The errno of the call now; 0 if it succeeds.
    func attempt() throws -> CInt {
        guard case .number(let number)? = SyscallTable.entry(name, on: .native) else { return -1 }
        let a = arguments + [Int](repeating: 0, count: 6 - arguments.count)
        let result = box_syscall(Int(number), a[0], a[1], a[2], a[3], a[4], a[5])
        return result < 0 ? errno : 0
    }
}

private let high = 1 << 40

/// Denials of the profiles `default` and `strict`.
private let denials: [Probe] = [
    Probe(name: "unshare", arguments: [0], code: EPERM),
    Probe(name: "setns", arguments: [-1], code: EPERM),
    Probe(name: "clone", arguments: [0x1000_0011 | 0x800_0000, -1], code: EPERM, isTelling: false),
    Probe(name: "clone", arguments: [high | 0x2_0011], code: EPERM, isTelling: false),
    Probe(name: "clone3", arguments: [0, 0], code: ENOSYS),
    Probe(name: "mount", arguments: [0, 0, 0, 0, 0], code: EPERM, isTelling: false),
    Probe(name: "umount2", arguments: [0, -1], code: EPERM, isTelling: false),
    Probe(name: "pivot_root", arguments: [0, 0], code: EPERM, isTelling: false),
    Probe(name: "chroot", arguments: [0], code: EPERM),
    Probe(name: "open_tree", arguments: [-1, 0, 0], code: ENOSYS),
    Probe(name: "move_mount", arguments: [-1, 0, -1, 0, -1], code: ENOSYS),
    Probe(name: "fsopen", arguments: [0, -1], code: ENOSYS),
    Probe(name: "mount_setattr", arguments: [-1, 0, -1, 0, 0], code: ENOSYS),
    Probe(name: "io_uring_setup", arguments: [0, 0], code: ENOSYS),
    Probe(name: "io_uring_enter", arguments: [-1], code: ENOSYS),
    Probe(name: "keyctl", arguments: [-1], code: ENOSYS),
    Probe(name: "add_key", arguments: [0, 0, 0, 0, 0], code: ENOSYS),
    Probe(name: "ioctl", arguments: [-1, 0x5412], code: EPERM),
    Probe(name: "ioctl", arguments: [-1, high | 0x5412], code: EPERM),
    Probe(name: "ioctl", arguments: [-1, 0x541C], code: EPERM),
    Probe(name: "ioctl", arguments: [-1, high | 0x541C], code: EPERM),
    Probe(name: "ioctl", arguments: [-1, 0x5423], code: EPERM),
    Probe(name: "ioctl", arguments: [-1, 0x541D], code: EPERM),
    Probe(name: "ioctl", arguments: [-1, 0x4B47], code: EPERM),
    Probe(name: "socket", arguments: [40, 1, 0], code: EAFNOSUPPORT, isTelling: false),
    Probe(name: "socket", arguments: [38, 5, 0], code: EAFNOSUPPORT, isTelling: false),
    Probe(name: "socket", arguments: [17, 2, 0], code: EAFNOSUPPORT, isTelling: false),
    Probe(name: "socket", arguments: [2, 3, 1], code: EPERM, isTelling: false),
    Probe(name: "socket", arguments: [2, 3 | 0x80800, 255], code: EPERM, isTelling: false),
    Probe(name: "socket", arguments: [2, 2, 1], code: EPERM, isTelling: false),
    Probe(name: "socket", arguments: [1, 3, 0], code: EPERM),
    Probe(name: "socket", arguments: [16, 3, 9], code: EPERM, isTelling: false),
    Probe(name: "socketpair", arguments: [40, 1, 0, 0], code: EAFNOSUPPORT, isTelling: false),
    Probe(name: "bpf", arguments: [-1, 0, 0], code: EPERM, isTelling: false),
    Probe(name: "perf_event_open", arguments: [0, 0, -1, -1, 0], code: EPERM),
    Probe(name: "userfaultfd", arguments: [1], code: EPERM, isTelling: false),
    Probe(name: "kcmp", arguments: [0, 0, 0, 0, 0], code: EPERM),
    Probe(name: "vmsplice", arguments: [-1, 0, 0, 0], code: EPERM),
    Probe(name: "process_vm_readv", arguments: [0, 0, -1, 0, 0, 0], code: EPERM),
    Probe(name: "process_madvise", arguments: [-1, 0, 0, 0, -1], code: EPERM),
    Probe(name: "pidfd_getfd", arguments: [-1, -1, -1], code: EPERM),
    Probe(name: "get_mempolicy", arguments: [0, 0, 0, 0, 0], code: EPERM, isTelling: false),
    Probe(name: "open_by_handle_at", arguments: [-1, 0, 0], code: EPERM, isTelling: false),
    Probe(name: "reboot", arguments: [0, 0, 0, 0], code: EPERM, isTelling: false),
    Probe(name: "personality", arguments: [0x40_0000], code: EPERM, isTelling: false),
    Probe(name: "prlimit64", arguments: [0, 4, 1, 0], code: EPERM),
    Probe(name: "setrlimit", arguments: [4, 1], code: EPERM),
    Probe(name: "prctl", arguments: [28, -1], code: EPERM, isTelling: false),
    Probe(name: "prctl", arguments: [35, -1], code: EPERM, isTelling: false),
    Probe(name: "prctl", arguments: [47, 99], code: EPERM),
    Probe(name: "mknodat", arguments: [-1, 0, 0x2000], code: EPERM),
    Probe(name: "mknodat", arguments: [-1, 0, 0x6000], code: EPERM),
    Probe(name: "syslog", arguments: [99, 0, 0], code: EPERM, isTelling: false),
    Probe(name: "quotactl", arguments: [-1, 0, 0, 0], code: EPERM),
]

/// Calls that every profile performs.
private let permitted: [Probe] = [
    Probe(name: "getpid", arguments: [], code: 0),
    Probe(name: "socket", arguments: [1, 0x80001, 0], code: 0),
    Probe(name: "socket", arguments: [1, 5, 0], code: 0),
    Probe(name: "socket", arguments: [16, 0x80003, 0], code: 0),
    Probe(name: "personality", arguments: [0xFFFF_FFFF], code: 0),
    Probe(name: "prlimit64", arguments: [0, 4, 0, 0], code: 0),
    Probe(name: "ioctl", arguments: [-1, 0x5413], code: EBADF),
    Probe(name: "fchmodat2", arguments: [-1, 0, 0, -1], code: EINVAL),
]

/// Ends the child with a message if a probe is not answered as expected.
private func require(_ probes: [Probe], _ when: String) throws {
    for probe in probes {
        let code = try probe.attempt()
        guard code == probe.code || code == -1 else {
            fail("\(when): \(probe.name) \(probe.arguments): errno \(code), not \(probe.code)")
        }
    }
}

private func fail(_ message: String) -> Never {
    print(message)
    exit(1)
}

@Suite struct `Installed system call filters` {
    @Test(arguments: ["default", "strict"])
    func `denied calls get exactly the errno of the table`(name: String) async {
        await #expect(processExitsWith: .success) { [name] in
            for probe in denials where probe.isTelling {
                // The control: without the filter the answer is another one.
                let code = try probe.attempt()
                guard code != probe.code else { fail("without a filter \(probe.name) is \(code), too") }
            }
            try install(name)
            try require(denials, name)
            for number in Array(470...600) + [-1, 463, 466, 4095] {
                guard box_syscall(number, -1, 0, 0, 0, 0, 0) == -1, errno == ENOSYS else {
                    fail("system call \(number): not ENOSYS")
                }
            }
        }
    }

    @Test(arguments: Shipped.syscallProfileNames)
    func `permitted calls are performed and threads and processes start`(name: String) async {
        await #expect(processExitsWith: .success) { [name] in
            try install(name)
            try require(permitted.filter { $0.name != "fchmodat2" }, name)
            let child = fork()
            if child == 0 { _exit(7) }
            var status: CInt = 0
            guard unsafe waitpid(child, &status, 0) == child, box_wexitstatus(status) == 7 else {
                fail("no child process")
            }
            guard UnsharingThread(waitingOn: 0).outcome() != nil else { fail("no thread") }
        }
    }

    @Test func `a nested namespace opens under nested alone`() async {
        await #expect(processExitsWith: .success) {
            try install("nested")
            guard try Probe(name: "unshare", arguments: [0], code: 0).attempt() == 0 else { fail("unshare") }
            try require([Probe(name: "unshare", arguments: [0x80], code: EPERM)], "nested")
            try require(denials.filter { $0.name == "ioctl" || $0.name == "socket" }, "nested")
        }
    }

    @Test func `a further filter cannot relax the first`() async {
        await #expect(processExitsWith: .success) {
            try install("default")
            let open = try SeccompFilter.compile(SyscallFilter(defaultAction: .allow, rules: []))
            try SeccompFilter.install(open)
            try require(denials, "after a filter that allows everything")
            let denying = SyscallFilter(
                defaultAction: .allow, rules: [SyscallRule(name: "getpgid", number: 121, action: .errno(77))])
            try SeccompFilter.install(try SeccompFilter.compile(denying))
            guard box_syscall(121, 0, 0, 0, 0, 0, 0) == -1, errno == 77 else {
                fail("cannot restrict further")
            }
        }
    }

    @Test func `the filter is on executed programs and on no_new_privs processes`() async {
        await #expect(processExitsWith: .success) {
            try install("default")
            let lines =
                "grep -q '^Seccomp:.2$' /proc/self/status && grep -q '^NoNewPrivs:.1$' /proc/self/status"
            let command = lines + " && ! unshare -U true 2>/dev/null"
            guard unsafe system(command) == 0 else { fail("the program was not under the filter") }
        }
    }

    @Test func `with all threads, a thread that runs already is filtered`() async {
        await #expect(processExitsWith: .success) {
            let pipe = try Pipe()
            // The thread starts before the filter and waits for a byte.
            let thread = UnsharingThread(waitingOn: pipe.read.number)
            try install("default", allThreads: true)
            try pipe.write.write(all: [1])
            guard thread.outcome() == EPERM else { fail("the thread was not filtered") }
        }
    }

    #if arch(x86_64)
        @Test func `a call by the numbers of x32 kills`() async {
            await #expect(processExitsWith: .signal(SIGSYS)) {
                try install("default")
                _ = box_syscall(0x4000_0000 + 39, 0, 0, 0, 0, 0, 0)
            }
        }

        @Test(.enabled(if: canCallAsI386(), "the kernel has no calls of i386"))
        func `a call through the gate of i386 kills`() async {
            await #expect(processExitsWith: .signal(SIGSYS)) {
                try install("default")
                _ = getpidAsI386()
            }
        }
    #endif
}

/// A thread that tries unshare(0), which is harmless and has an own errno under a filter.
private struct UnsharingThread {
    private var thread = pthread_t()
    private var isStarted = false

    /// Starts the thread; unless it is 0, it first waits for a byte from the descriptor.
    init(waitingOn descriptor: CInt) {
        let argument = unsafe UnsafeMutableRawPointer(bitPattern: Int(descriptor))
        isStarted = unsafe pthread_create(&thread, nil, unshareInThread, argument) == 0
    }

    /// The errno of the attempt; nil if there was no thread.
    func outcome() -> CInt? {
        guard isStarted else { return nil }
        var result: UnsafeMutableRawPointer?
        guard unsafe pthread_join(thread, &result) == 0 else { return nil }
        return CInt(Int(bitPattern: result))
    }
}

/// Waits for a byte on the descriptor that the pointer's value is, unless it is 0; tries unshare(0) and
/// returns the errno.
private func unshareInThread(_ descriptor: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    let number = Int(bitPattern: descriptor)
    var byte: UInt8 = 0
    if number > 0, unsafe read(CInt(number), &byte, 1) != 1 { return nil }
    let result = box_unshare(0)
    return unsafe UnsafeMutableRawPointer(bitPattern: result < 0 ? Int(errno) : 0)
}

#if arch(x86_64)
    /// getpid by `int 0x80`, with the numbers of i386.
    private func getpidAsI386() -> Int {
        // mov $20, %eax; int $0x80; ret
        let code: [UInt8] = [0xB8, 20, 0, 0, 0, 0xCD, 0x80, 0xC3]
        let access = PROT_READ | PROT_WRITE | PROT_EXEC
        guard let page = unsafe mmap(nil, 4096, access, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) else { return -1 }
        unsafe page.copyMemory(from: code, byteCount: code.count)
        return unsafe unsafeBitCast(page, to: (@convention(c) () -> Int).self)()
    }

    /// Whether the kernel takes calls of i386, tried in a child, since without them the attempt is a fault.
    private func canCallAsI386() -> Bool {
        let child = fork()
        if child == 0 { _exit(getpidAsI386() == Int(getpid()) ? 0 : 1) }
        var status: CInt = 0
        return unsafe waitpid(child, &status, 0) == child && box_wifexited(status) != 0
            && box_wexitstatus(status) == 0
    }
#endif
