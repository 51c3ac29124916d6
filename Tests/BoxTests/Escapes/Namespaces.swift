import Foundation
import Testing

/// Area NS: namespaces, processes, ptrace and the launcher's binary.
@Suite(.recorded("NS")) struct Namespaces {
    static let kinds = [
        ("mount", 0x20000), ("cgroup", 0x200_0000), ("uts", 0x400_0000), ("ipc", 0x800_0000),
        ("user", 0x1000_0000), ("pid", 0x2000_0000), ("net", 0x4000_0000),
    ]

    /// NS-05, NS-06: every kind alone, by unshare, by clone, and by clone with garbage above the 32 bits.
    static let flags: [Attempt] =
        kinds.flatMap { kind, flag -> [Attempt] in
            [
                Attempt("NS-06", "clone of a \(kind) namespace", "clone,\(flag)", "EPERM"),
                Attempt(
                    "NS-06", "clone of a \(kind) namespace with garbage above",
                    "clone,\(flag | 0xdead << 32)",
                    "EPERM"),
                Attempt(
                    "NS-05", "unshare of the \(kind) namespace", "call,unshare,\(flag)", "EPERM", "ENOSPC"),
                Attempt("NS-07", "clone3 of a \(kind) namespace", "clone3,\(flag)", "ENOSYS"),
            ]
        } + [
            Attempt("NS-05", "unshare of the time namespace", "call,unshare,0x80", "EPERM"),
            Attempt("NS-06", "clone of all namespaces", "clone,0x7e020000", "EPERM"),
            Attempt("NS-07", "clone3 of a plain child", "clone3,0", "ENOSYS", control: .outside),
            Attempt("NS-07", "a hundred threads", "threads,100", .works, .outside),
        ]

    static let mounts: [Attempt] = [
        Attempt("NS-08", "mount of a tmpfs", "call,mount,@none,@/tmp,@tmpfs,0,0", "EPERM"),
        Attempt("NS-08", "bind mount", "call,mount,@/usr,@/tmp,0,0x1000,0", "EPERM"),
        Attempt("NS-08", "umount of /proc", "call,umount2,@/proc,2", "EPERM"),
        Attempt("NS-08", "pivot_root", "call,pivot_root,@/,@/", "EPERM"),
        Attempt("NS-08", "chroot", "call,chroot,@/", "EPERM"),
        Attempt("NS-10", "remount of /usr read-write", "call,mount,@none,@/usr,0,0x1020,0", "EPERM"),
        Attempt(
            "NS-10", "mount_setattr of /usr", "call,mount_setattr,-100,@/usr,0,*32,32", "ENOSYS", "EPERM"),
        Attempt("NS-12", "sethostname", "call,sethostname,@x,1", "EPERM"),
    ]

    /// NS-13, NS-14: pid 1 tells nothing and lets nobody in. Invisible is as good as refused.
    private static let ofFirst = [
        "environ", "mem", "maps", "auxv", "exe", "root/etc", "cwd/", "fd/0", "stack", "syscall", "pagemap",
    ]
    static let first: [Attempt] =
        ofFirst.map {
            Attempt("NS-13", "/proc/1/\($0)", "open,/proc/1/\($0),r", "EACCES", "EPERM", "ENOENT")
        }
        + ["fd", "map_files", "ns", "task/1/fd"].map {
            Attempt(
                "NS-13", "the names in /proc/1/\($0)", "list,/proc/1/\($0)",
                .answer("refused") { ["EACCES", "EPERM", "ENOENT"].contains($0.word) })
        } + [
            Attempt("NS-13", "ptrace seize of 1", "call,ptrace,0x4206,1,0,0", "EPERM", "EACCES", "ESRCH"),
            Attempt("NS-14", "process_vm_readv of 1", "vm-read,1", "EPERM", "ENOSYS"),
            Attempt("NS-14", "pidfd_getfd of 1", "getfd,1", "EPERM", "ENOSYS"),
            Attempt(
                "NS-14", "process_vm_readv of itself", "vm-read,self", "EPERM", "ENOSYS", control: .outside),
            Attempt("NS-14", "pidfd_getfd of itself", "getfd,self", "EPERM", "ENOSYS", control: .outside),
        ]

    static let table = flags + mounts + first
    static let sweep = Sweep(table)

    @Test(arguments: table)
    func `a way into another namespace or process is refused`(_ attempt: Attempt) throws {
        try Namespaces.sweep.check(attempt)
    }

    @Test func `one id is mapped and it is not the outside root`() throws {
        row("NS-01")
        let inside = try Box().shell(
            "cat /proc/self/uid_map /proc/self/gid_map; id -u; cat /proc/self/setgroups")
        #expect(inside.lines.count == 4 && inside.lines.last == "deny", "\(inside)")
        for line in inside.lines.prefix(2) {
            let words = line.split(separator: " ")
            #expect(words.count == 3 && words[2] == "1" && words[1] != "0", "\(line)")
        }
        // The kernel's own view, from outside.
        let box = try Box()
        let running = try box.start(["/bin/sh", "-c", "echo ready; read line"], streams: .openInput)
        try running.expect("ready")
        let tasks = Host.descendants(of: running.pid)
        let shells = tasks.filter { $0.commandLine.contains("echo ready") && $0.name == "sh" }
        #expect(!shells.isEmpty, "\(tasks)")
        for shell in shells {
            let status = try Host.text("/proc/\(shell.pid)/status").split(separator: "\n")
            for key in ["Uid:", "Gid:"] {
                let ids = try #require(status.first { $0.hasPrefix(key) }).split(separator: "\t").dropFirst()
                #expect(ids.allSatisfy { $0 != "0" }, "outside ids \(ids)")
            }
        }
        try running.send("\n")
        #expect(try running.wait().status == 0)
    }

    @Test func `all seven namespaces are others than the host's`() throws {
        row("NS-02")
        let script = "for n in user mnt pid net ipc uts cgroup; do readlink /proc/self/ns/$n; done"
        let outside = try Host.shell(script).lines
        let inside = try Box().shell(script).lines
        #expect(outside.count == 7 && inside.count == 7)
        #expect(Set(outside).isDisjoint(with: inside), "\(inside)")
        #expect(try Host.shell(script).lines == outside, "no control")
    }

    @Test func `programs cannot make a user namespace`() throws {
        row("NS-05")
        #expect(try Host.shell("unshare -U true").status == 0, "no control")
        let inside = try Box().shell("unshare -U true; echo $?")
        #expect(inside.answer == "1" && inside.errors.contains("Operation not permitted"), "\(inside)")
        guard has("bwrap") else { return }
        row("NS-05")
        let nested = try Box().shell("bwrap --unshare-all --proc /proc --ro-bind / / true; echo $?")
        #expect(nested.answer != "0", "PR-12: \(nested)")
    }

    @Test func `the host's name is not shown`() throws {
        row("NS-12")
        let host = try Host.shell("uname -n").answer
        let inside = try Box().shell(
            "uname -n; cat /proc/sys/kernel/hostname; cat /etc/hostname 2>/dev/null; true")
        #expect(!inside.lines.isEmpty && inside.lines.allSatisfy { $0 != host }, "\(inside)")
    }

    @Test func `pid 1 survives signals from inside`() throws {
        row("NS-15")
        // kill -1 is for all but pid 1 and the caller.
        let all = try Box().shell("sleep 100 & kill -9 1; kill -TERM 1; kill -9 -1; wait; echo over; exit 8")
        #expect(all.answer == "over" && all.status == 8, "\(all)")
        let alive = try Box().shell("kill -9 1; kill -STOP 1; kill -HUP 1; (true); echo alive; exit 7")
        #expect(alive.answer == "alive" && alive.status == 7, "\(alive)")
    }

    @Test func `the launcher's binary cannot be opened for writing`() throws {
        row("NS-19")
        let before = try Host.run(["/usr/bin/sha256sum", Box.binary]).text
        let box = try Box()
        let answer = try #require(try box.probe(["exe-write"])["exe-write"])
        #expect(answer.result == 0 && answer.detail?.contains("OPEN") == false, "\(answer)")
        let script = """
            for f in /proc/[0-9]*/exe /proc/self/exe; do
                for t in 1 2 3; do ( : > $f ) 2>/dev/null && echo "truncated $f"; done
            done; sh -c 'sleep 0.2; for f in /proc/[0-9]*/exe; do : > $f; done' & true
            """
        let outcome = try box.shell(script)
        #expect(!outcome.text.contains("truncated"), "\(outcome)")
        #expect(try Host.run(["/usr/bin/sha256sum", Box.binary]).text == before)
    }

    @Test func `the working directory and the streams lead nowhere outside`() throws {
        row("NS-21")
        let box = try Box()
        let script = """
            readlink /proc/self/cwd
            for n in /proc/self/fd/*; do
                for up in .. ../.. ../../.. ../../../..; do ls "$n/$up" 2>/dev/null; done
            done
            ls /proc/self/cwd/../../../../../../home /proc/self/cwd/../../../../../../root 2>/dev/null
            """
        let outcome = try box.shell(script)
        #expect(outcome.lines == [box.scratch.project], "\(outcome)")
    }

    @Test func `ten thousand orphans leave no zombie`() throws {
        row("NS-22")
        let box = try Box()
        let act = "orphans,10000"
        let answer = try #require(try box.probe([act])[act])
        #expect(answer.worked && answer.result == 0, "\(answer)")
    }
}
