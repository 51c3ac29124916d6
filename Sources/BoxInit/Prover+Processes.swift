internal import BoxKernel
internal import BoxTypes
internal import CLinux
internal import Glibc

// Other processes, and what this one is and has.
extension Attempt {
    /// Inside it is the sandbox's first process. Outside it is a child made for it, which Yama's rules allow to
    /// look into, too.
    func withVictim(_ body: (Int) throws(Broken) -> String) throws(Broken) -> String {
        guard isControl else { return try body(1) }
        let pid = fork()
        guard pid >= 0 else { throw Broken("fork: \(errorName(errno))") }
        if pid == 0 {
            guard box_prctl(PR_SET_PDEATHSIG, UInt(SIGKILL), 0, 0, 0) == 0 else { _exit(1) }
            while true { pause() }
        }
        defer {
            kill(pid, SIGKILL)
            _ = retry { waitpid(pid, nil, 0) }
        }
        return try body(Int(pid))
    }

    /// Opens a file of the victim's in `/proc`.
    func openFirst(_ name: String) throws(Broken) -> String {
        try withVictim { pid throws(Broken) in try open("/proc/\(pid)/\(name)") }
    }

    /// PTRACE_SEIZE: nothing is stopped, and the end of this process undoes it.
    func trace() throws(Broken) -> String {
        try withVictim { pid throws(Broken) in
            try SystemCall.word("ptrace", .number(0x4206), .number(pid), .number(0), .number(0))
        }
    }

    /// Opens a file, by default for reading.
    func open(_ path: String, _ flags: CInt = O_RDONLY) throws(Broken) -> String {
        let flags = Int(flags | BOX_O_CLOEXEC)
        return try SystemCall.word("openat", .number(-100), .text(path), .number(flags), .number(0o600))
    }

    /// RLIMIT_CORE of this process: soft and hard 0, which is no more than it has.
    func changeCoreLimit() throws(Broken) -> String {
        try SystemCall.word(
            "prlimit64", .number(0), .number(4), .bytes([UInt8](little: UInt64(0), 0)), .number(0))
    }

    /// One byte at an address that a copy of this process has, too.
    func readMemory(of pid: Int) throws(Broken) -> String {
        var byte: UInt8 = 0
        let address = unsafe withUnsafeMutableBytes(of: &byte) { raw in
            UInt64(UInt(bitPattern: raw.baseAddress))
        }
        // struct iovec: address, length. The address lies in the stack, mapped in parent and copy alike.
        let vector = [UInt8](little: address, 1)
        return try SystemCall.word(
            "process_vm_readv", .number(pid), .bytes(vector), .number(1), .bytes(vector), .number(1),
            .number(0))
    }

    func takeDescriptor(of pid: Int) throws(Broken) -> String {
        let pidfd = try SystemCall.answer("pidfd_open", [.number(pid), .number(0)])
        guard pidfd.result >= 0 else { throw Broken("pidfd_open: \(pidfd.word)") }
        return try SystemCall.word("pidfd_getfd", .number(pidfd.result), .number(0), .number(0))
    }

    /// What came over the start of the program. In a control that is the report's pipe, too.
    func descriptors() -> String {
        var found: [String] = []
        for number in CInt(0)..<1024 where box_fcntl_getfl(number) >= 0 {
            // What is close-on-exec was opened here, after the start.
            if fcntl(number, F_GETFD) & FD_CLOEXEC == 0 { found.append(String(number)) }
        }
        return found.joined(separator: " ")
    }

    func filtered() throws(Broken) -> String {
        let status = try ProcFile.status()
        return "Seccomp \(status["Seccomp"] ?? "?"), NoNewPrivs \(status["NoNewPrivs"] ?? "?")"
    }

    /// A limit of 1 keeps memory out of dump files and of the programs that the host starts for dumps.
    func coreLimit() throws(Broken) -> String {
        let bounds = try Broken.unless { () throws(KernelError) in try Limits.current(.coreSize) }
        guard bounds.soft == bounds.hard else { return "limit \(bounds.soft), may be raised" }
        return "limit \(bounds.soft)"
    }

    func capabilities() throws(Broken) -> String {
        let status = try ProcFile.status()
        var held: [String] = []
        for name in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            guard let text = status[name], let value = UInt64(text, radix: 16) else {
                throw Broken("no \(name)")
            }
            if value != 0 { held.append(name) }
        }
        return held.isEmpty ? "none in 5 sets" : held.joined(separator: " ")
    }

    /// CAP_SYS_ADMIN, effective and permitted (capset(2), version 3).
    func regain() throws(Broken) -> String {
        let header = [UInt8](little: UInt32(0x2008_0522), 0)
        let sets = [UInt8](little: UInt32(1 << 21), 1 << 21, 0, 0, 0, 0)
        return try SystemCall.word("capset", .bytes(header), .bytes(sets))
    }

    /// An ordinary user may not call setgroups anywhere, so the namespace's own switch is looked at as well.
    func groups() throws(Broken) -> String {
        let denied = try ProcFile.read("/proc/self/setgroups").split(separator: "\n").first ?? "?"
        return "\(denied), \(try SystemCall.word("setgroups", .number(0), .number(0)))"
    }

    func environment() -> String {
        var foreign: [String] = []
        var at = unsafe environ
        while let entry = unsafe at.pointee {
            let name = unsafe String(cString: entry).prefix { $0 != "=" }
            if !Attempt.isKnown(String(name)) { foreign.append(String(name)) }
            unsafe at += 1
        }
        return foreign.isEmpty ? "none" : "\(foreign.count) variables"
    }

    private static func isKnown(_ name: String) -> Bool {
        let known: Set<String> = [
            "TERM", "COLORTERM", "LANG", "TZ", "NO_COLOR", "CLICOLOR", "FORCE_COLOR", "COLUMNS", "LINES",
            "HOME",
            "USER", "LOGNAME", "SHELL", "PATH", "PWD", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME",
            "XDG_DATA_HOME", "XDG_STATE_HOME", "BOX", "BOX_SESSION", "GIT_TERMINAL_PROMPT", "SSL_CERT_FILE",
            "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy",
            "no_proxy",
            "NODE_USE_ENV_PROXY", "ASAN_OPTIONS", "TSAN_OPTIONS", "MSAN_OPTIONS", "GOFLAGS",
        ]
        return known.contains(name) || name.hasPrefix("LC_")
    }
}
