import Foundation
import Testing

/// Area SC: the system call filter.
@Suite(.recorded("SC")) struct Syscalls {
    /// SC-01: each denied call by name, with harmless bad pointers, and the answer of the policy's table.
    private static let deniedRows:
        [(call: String, arguments: String, words: Set<String>, control: Attempt.Control)] =
            [
                ("add_key", "@user,@box-probe,@x,1,-2", ["ENOSYS"], .outside),
                ("request_key", "1,1,0,0", ["ENOSYS"], .outside), ("keyctl", "0,-3,0", ["ENOSYS"], .outside),
                ("bpf", "0,1,8", ["EPERM"], .outside),
                ("perf_event_open", "0,0,-1,-1,0", ["EPERM"], .outside),
                ("userfaultfd", "0", ["EPERM"], .outside), ("userfaultfd", "1", ["EPERM"], .outside),
                ("fanotify_init", "0x200,0", ["EPERM"], .outside),
                ("lookup_dcookie", "1,1,1", ["EPERM"], .outside),
                ("kcmp", "self,self,0,0,0", ["EPERM"], .outside),
                ("process_madvise", "-1,1,0,20,0", ["EPERM"], .outside),
                ("pidfd_getfd", "-1,0,0", ["EPERM"], .outside),
                ("process_vm_readv", "self,*16,1,*16,1,0", ["EPERM"], .outside),
                ("process_vm_writev", "self,*16,1,*16,1,0", ["EPERM"], .outside),
                ("kexec_load", "0,17,1,0", ["EPERM"], .outside),
                ("kexec_file_load", "-1,-1,0,1,0xffff", ["EPERM"], .outside),
                ("init_module", "1,0,1", ["EPERM"], .outside),
                ("finit_module", "-1,1,0", ["EPERM"], .outside),
                ("delete_module", "1,0", ["EPERM"], .outside), ("reboot", "0,0,0,0", ["EPERM"], .outside),
                ("swapon", "1,0", ["EPERM"], .outside), ("acct", "1", ["EPERM"], .outside),
                ("quotactl", "0,0,0,1", ["EPERM"], .outside), ("settimeofday", "1,0", ["EPERM"], .outside),
                ("clock_settime", "0,1", ["EPERM"], .outside), ("syslog", "99,0,0", ["EPERM"], .outside),
                ("open_by_handle_at", "-1,*200,0", ["EPERM"], .outside),
                ("nfsservctl", "0,0,0", ["EPERM"], .outside),
                ("mbind", "0,0,99,0,0,0", ["EPERM"], .outside),
                ("set_mempolicy", "99,0,0", ["EPERM"], .outside),
                ("migrate_pages", "self,0,0,0", ["EPERM"], .outside),
                ("move_pages", "self,0,0,0,0,0", ["EPERM"], .outside),
                ("sethostname", "@box,3", ["EPERM"], .bare), ("setdomainname", "@box,3", ["EPERM"], .bare),
                ("mount", "1,1,1,0,0", ["EPERM"], .bare), ("umount2", "1,0", ["EPERM"], .bare),
                ("pivot_root", "1,1", ["EPERM"], .bare), ("chroot", "1", ["EPERM"], .bare),
                ("setns", "-1,0", ["EPERM"], .outside), ("unshare", "0", ["EPERM"], .outside),
                ("open_tree", "-100,@/,0", ["ENOSYS"], .outside),
                ("467", "-100,@/,0,0,0", ["ENOSYS"], .outside),
                ("move_mount", "-1,1,-1,1,0", ["ENOSYS"], .bare), ("fsopen", "@tmpfs,0", ["ENOSYS"], .bare),
                ("fsconfig", "-1,0,0,0,0", ["ENOSYS"], .bare), ("fsmount", "-1,0,0", ["ENOSYS"], .bare),
                ("fspick", "-1,1,0", ["ENOSYS"], .bare), ("mount_setattr", "-1,1,0,1,0", ["ENOSYS"], .bare),
                // PR_SET_MM, the one that needs no capability
                ("prctl", "35,15,*4,0,0", ["EPERM"], .outside),
                ("iopl", "0", ["EPERM"], .outside), ("ioperm", "0,0,0", ["EPERM"], .outside),
                ("uselib", "1", ["EPERM"], .outside), ("ustat", "0,1", ["EPERM"], .outside),
                ("sysfs", "3", ["EPERM"], .outside), ("_sysctl", "1", ["EPERM"], .outside),
                ("swapoff", "1", ["EPERM"], .bare), ("vhangup", "0", ["EPERM"], .bare),
            ]
    static let denied: [Attempt] = deniedRows.map { row in
        let act = "call,\(row.call),\(row.arguments)"
        return Attempt("SC-01", "\(row.call) \(row.arguments)", act, .refused(row.words), row.control)
    }

    static let io: [Attempt] = [
        Attempt(
            "SC-05", "io_uring_setup", "call,io_uring_setup,1,*120", "ENOSYS", "EPERM", control: .outside),
        Attempt(
            "SC-05", "io_uring_enter", "call,io_uring_enter,-1,0,0,0,0,0", "ENOSYS", "EPERM",
            control: .outside),
        Attempt(
            "SC-05", "io_uring_register", "call,io_uring_register,-1,0,0,0", "ENOSYS", "EPERM",
            control: .outside),
    ]

    /// SC-06, -08, -09: requests that type for the user, change what the terminal is, or take the console.
    /// On descriptor -1 the kernel says EBADF: so the filter alone is seen, for every user.
    private static let requests: [(id: String, what: String, number: String)] =
        [
            ("SC-06", "TIOCSTI", "0x5412"), ("SC-06", "TIOCSTI with high bits", "0x100005412"),
            ("SC-06", "TIOCSTI with all high bits", "0xffffffff00005412"), ("SC-08", "TIOCLINUX", "0x541C"),
            ("SC-08", "TIOCLINUX with high bits", "0x10000541C"), ("SC-09", "TIOCSETD", "0x5423"),
            ("SC-09", "TIOCSETD with high bits", "0x8000000000005423"), ("SC-09", "TIOCCONS", "0x541D"),
            ("SC-09", "TIOCCONS with high bits", "0x10000541D"),
        ]
    static let terminalRequests: [Attempt] =
        requests.map { Attempt($0.id, $0.what, "call,ioctl,-1,\($0.number),0", "EPERM", control: .outside) }
        + [
            Attempt(
                "SC-06", "TIOCSTI on a terminal of its own", "pty-ioctl,0x5412,0x0a", "EPERM",
                control: .outside),
            Attempt(
                "SC-06", "TIOCSTI on a terminal of its own, high bits", "pty-ioctl,0x100005412,0x0a", "EPERM",
                control: .outside),
            Attempt(
                "SC-09", "TIOCSETD on a terminal of its own", "pty-ioctl,0x5423,0", "EPERM", control: .outside
            ),
            Attempt(
                "SC-09", "TIOCSCTTY of another session's terminal", "steal-terminal", "EPERM",
                control: .outside),
        ]

    static let others: [Attempt] = [
        Attempt("SC-03", "getpid by the 32-bit gate", "int80,20", "SIGSYS", "ENOSYS", control: .outside),
        Attempt("SC-03", "mount by the 32-bit gate", "int80,21", "SIGSYS", "ENOSYS", control: .outside),
        Attempt("SC-03", "socketcall by the 32-bit gate", "int80,102", "SIGSYS", "ENOSYS", control: .outside),
        Attempt("SC-03", "getpid by x32", "call,0x40000027", "SIGSYS", "ENOSYS", "EPERM", control: .outside),
        Attempt(
            "SC-03", "ioctl by x32", "call,0x40000202,-1,0x5412,0", "SIGSYS", "ENOSYS", "EPERM",
            control: .outside),
        Attempt(
            "SC-02", "numbers 463 to 600, -1 and 4095", "unknown,463,600",
            .answer("ENOSYS for each") { $0.result == 0 },
            .outside),
        Attempt("SC-16", "READ_IMPLIES_EXEC", "call,personality,0x0400000", "EPERM", control: .outside),
        Attempt("SC-16", "no randomisation", "call,personality,0x0040000", "EPERM", control: .outside),
        Attempt(
            "SC-16", "PER_LINUX32 with READ_IMPLIES_EXEC", "call,personality,0x0400008", "EPERM",
            control: .outside),
        Attempt(
            "SC-16", "MMAP_PAGE_ZERO", "call,personality,0x0100000", "EPERM", "ENOSYS", control: .outside),
        Attempt("SC-16", "PER_LINUX", "call,personality,0", .works, .outside),
        Attempt("SC-16", "PER_LINUX32", "call,personality,8", .works, .outside),
        Attempt("SC-16", "UNAME26", "call,personality,0x20000", .works, .outside),
        Attempt("SC-16", "the query", "call,personality,0xffffffff", .works, .outside),
        Attempt(
            "SC-17", "no_new_privs is set", "call,prctl,39,0,0,0,0", .answer("1") { $0.result == 1 }, .outside
        ),
        Attempt(
            "SC-18", "a filter of one's own that allows all, then keyctl", "filter-allow,call,keyctl,0,-3,0",
            "ENOSYS", control: .outside),
        Attempt(
            "SC-18", "a listener of one's own that says continue, beside box's", "filter-notify,312,0,0,0",
            "EBUSY",
            control: .outside),
        Attempt(
            "SC-18", "a filter of one's own, then an allowed call", "filter-allow,call,getppid", .works,
            .outside),
        Attempt("SC-20", "a new limit for core files", "limit,4,lower", "EPERM", control: .outside),
        Attempt("SC-20", "raising the hard limit of open files", "limit,7,raise", "EPERM", control: .outside),
        Attempt(
            "SC-14", "fanotify_init with every class", "call,fanotify_init,0x0c,0", "EPERM", control: .outside
        ),
        Attempt("SC-10", "AF_VSOCK", "call,socket,40,1,0", "EAFNOSUPPORT", "EPERM", control: .outside),
        Attempt("SC-12", "AF_PACKET", "call,socket,17,3,0", "EAFNOSUPPORT", "EPERM"),
        Attempt("SC-12", "SOCK_RAW", "call,socket,2,3,1", "EAFNOSUPPORT", "EPERM"),
        Attempt("SC-12", "SOCK_RAW of IPv6", "call,socket,10,3,58", "EAFNOSUPPORT", "EPERM"),
        Attempt("SC-12", "SOCK_RAW with flags", "call,socket,2,0x80803,1", "EAFNOSUPPORT", "EPERM"),
        Attempt("SC-12", "IPPROTO_ICMP datagrams", "call,socket,2,2,1", "EAFNOSUPPORT", "EPERM"),
        Attempt("SC-12", "NETLINK_AUDIT", "call,socket,16,3,9", "EAFNOSUPPORT", "EPERM"),
        Attempt("SC-12", "NETLINK_KOBJECT_UEVENT", "call,socket,16,3,15", "EAFNOSUPPORT", "EPERM"),
        Attempt("SC-12", "NETLINK_NETFILTER", "call,socket,16,3,12", "EAFNOSUPPORT", "EPERM"),
        Attempt("SC-12", "NETLINK_SOCK_DIAG", "call,socket,16,3,4", "EAFNOSUPPORT", "EPERM"),
        Attempt("SC-12", "NETLINK_XFRM", "call,socket,16,3,6", "EAFNOSUPPORT", "EPERM"),
        Attempt("SC-12", "NETLINK_GENERIC", "call,socket,16,3,16", "EAFNOSUPPORT", "EPERM"),
        Attempt(
            "SC-12", "NETLINK_KOBJECT_UEVENT with high bits", "call,socket,0x100000010,3,0x10000000f",
            "EAFNOSUPPORT", "EPERM"),
        Attempt(
            "SC-10", "AF_VSOCK with high bits", "call,socket,0x100000028,1,0", "EAFNOSUPPORT", "EPERM",
            control: .outside),
        Attempt("SC-10", "NETLINK_ROUTE", "call,socket,16,3,0", .works, .outside),
        Attempt("SC-22", "a debugger's ptrace of its child", "trace-child", .works, .outside),
    ]

    static let table = denied + io + terminalRequests + others
    static let sweep = Sweep(table)

    @Test(arguments: table)
    func `a call outside the filter is refused as the policy says`(_ attempt: Attempt) throws {
        try Syscalls.sweep.check(attempt)
    }

    @Test func `where nobody else listens a listener of one's own permits nothing`() throws {
        row("SC-18")
        let act = "filter-notify,312,0,0,0"
        let answers = try Box().probe([act], options: ["--audit", "network"])
        #expect(answers[act]?.errno == "EPERM", "\(answers)")
    }

    @Test func `only local, internet and route sockets can be made`() throws {
        row("SC-10")
        let act = "sockets"
        let control = try Host.run([try Tools.probe.get(), "--bare", act])
        let outside = try #require(try Answer.parse(control, acts: [act])[act]?.detail)
        #expect(
            outside.contains("40:1=OPEN") && outside.contains("17:3=OPEN"), "the control is worth nothing")
        let inside = try #require(try Box().probe([act])[act]?.detail)
        for word in inside.split(separator: " ") {
            let parts = word.split(whereSeparator: { ":=".contains($0) })
            let family = try #require(Int(parts[0]))
            if [1, 2, 10, 16].contains(family) { continue }
            #expect(parts[2] == "EAFNOSUPPORT" || parts[2] == "EPERM", "socket \(word)")
        }
        for needed in ["1:1", "1:2", "1:5", "2:1", "2:2", "10:1", "10:2", "16:3"] {
            #expect(inside.contains("\(needed)=OPEN "), "socket \(needed) is needed")
        }
        for refused in ["2:3", "10:3"] {
            #expect(!inside.contains("\(refused)=OPEN "), "raw socket \(refused)")
        }
    }

    @Test func `every task inside is filtered and without new privileges`() throws {
        row("SC-17")
        let box = try Box()
        let running = try box.start(
            ["/bin/sh", "-c", "sleep 60 & sleep 60 & echo ready; read line"], streams: .openInput)
        try running.expect("ready")
        // Seen from the host, which sees pid 1 of the sandbox too.
        let members = Host.descendants(of: running.pid).filter { $0.pids.count > 1 }
        #expect(members.count >= 4, "\(members)")
        for process in members {
            let status = try Host.text("/proc/\(process.pid)/status")
            #expect(status.contains("NoNewPrivs:\t1"), "\(process)")
            #expect(status.contains("Seccomp:\t2"), "\(process)")
            #expect(status.contains("CapEff:\t0000000000000000"), "\(process)")
        }
        try running.send("\n")
        #expect(try running.wait().status == 0)
        #expect(try Host.shell("grep Seccomp: /proc/self/status").text.hasSuffix("\t0\n"), "no control")
    }

    @Test func `nothing typed by TIOCSTI reaches the user's terminal`() throws {
        row("SC-06")
        let box = try Box()
        let terminal = try box.start(
            [box.scratch.project + "/probe", "call,ioctl,0,0x5412,@x", "call,ioctl,2,0x100005412,@x"],
            streams: .terminal(rows: 24, columns: 80))
        let outcome = try terminal.wait()
        #expect(outcome.text.components(separatedBy: "EPERM").count == 3, "\(outcome)")
        // What had been typed would now wait in the user's terminal.
        let path = try #require(terminal.terminalPath)
        let waiting = try Host.shell("timeout 0.2 head -c 1 < \(path) | wc -c")
        #expect(waiting.answer == "0")
    }
}
