import Foundation
import Testing

/// CF-12: whatever the host cannot do, box runs with every protection, or the command does not run.
@Suite(.recorded("CF-12"), .serialized) struct FailClosed {
    /// One system call fails for box and all it starts, with the error of a host that does not have it or forbids it.
    static let faults = [
        "clone3=38", "clone3=1", "clone3=28", "mount=1", "pivot_root=1", "umount2=1", "open_tree=38",
        "move_mount=1", "fsopen=38",
        "fsconfig=22", "fsmount=1", "mount_setattr=38", "sethostname=1", "seccomp=22", "landlock_add_rule=22",
        "landlock_restrict_self=1", "capset=1", "memfd_create=38", "listen=98", "bind=98", "socket=1",
        "prlimit64=1",
        "setrlimit=1", "pidfd_open=38", "signalfd4=38", "close_range=38",
        "execveat=38",
        "setsid=1", "socketpair=24", "unshare=1", "setresuid=1", "setgroups=1", "sendmsg=32", "chroot=1",
    ]

    static let proof = """
        grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp|Seccomp_filters):' /proc/self/status
        cat /proc/self/uid_map; ls /proc/self/fd; uname -n; cat /proc/self/mountinfo | wc -l; ls -A ~
        grep -E 'core file|open files|processes' /proc/self/limits
        """

    @Test(arguments: faults)
    func `a fault means all of the protections or no start`(_ fault: String) throws {
        let box = try Box()
        let mark = box.scratch.project + "/started"
        let command = ["/bin/sh", "-c", "echo started > \(mark); \(FailClosed.proof)"]
        let whole = try box.run(command)
        #expect(whole.status == 0, "\(whole)")
        try FileManager.default.removeItem(atPath: mark)
        let rig = [try Tools.rig.get(), "--deny", fault, "--"]
        let outcome = try box.run(command, rig: rig, within: 20)
        #expect(!outcome.timedOut, "\(outcome)")
        if FileManager.default.fileExists(atPath: mark) {
            // The rig's own filter is one more.
            let normal = { (text: String) in
                text.split(separator: "\n").filter { !$0.hasPrefix("Seccomp_filters") }.joined(
                    separator: "\n")
            }
            #expect(
                outcome.status == 0 && normal(outcome.text) == normal(whole.text),
                "\(outcome)\nwhole: \(whole)")
        } else {
            #expect(outcome.status == 125 && outcome.out.isEmpty, "\(outcome)")
            #expect(outcome.errors.hasPrefix("box: ") && outcome.errors.count > 20, "\(outcome)")
        }
    }

    @Test func `user namespaces switched off are named`() throws {
        let box = try Box()
        let rig = [try Tools.rig.get(), "--max-user-namespaces", "0", "--"]
        let outcome = try box.run(["/bin/sh", "-c", "echo started"], rig: rig)
        #expect(outcome.status == 125 && outcome.out.isEmpty, "\(outcome)")
        #expect(outcome.errors.contains("user") && outcome.errors.contains("namespace"), "\(outcome)")
    }

    @Test func `no way to make a terminal is named`() throws {
        let box = try Box()
        let rig = try Tools.rig.get()
        let terminal = try Running(
            [rig, "--hide", "/dev/ptmx", "--", Box.binary, "run"] + box.options + [
                "--", "/usr/bin/tty",
            ],
            environment: box.environment, directory: box.scratch.project,
            streams: .terminal(rows: 24, columns: 80))
        let outcome = try terminal.wait()
        // The terminal inside may come from the sandbox's own instance: then nothing of the host's is needed.
        if outcome.status == 0 {
            #expect(outcome.lines.contains { $0.hasPrefix("/dev/pts/") }, "\(outcome)")
        } else {
            #expect(outcome.status == 125 && !outcome.text.contains("/dev/pts/0"), "\(outcome)")
            #expect(outcome.text.contains("terminal") || outcome.text.contains("ptmx"), "\(outcome)")
        }
    }

    @Test func `a state directory that cannot be written is named`() throws {
        let box = try Box()
        let rig = [try Tools.rig.get(), "--ro", box.scratch.state, "--"]
        let outcome = try box.run(["/bin/echo", "started"], rig: rig)
        #expect(
            outcome.status == 125 && outcome.out.isEmpty && outcome.errors.contains(box.scratch.state),
            "\(outcome)")
    }

    @Test func `a full disk is named`() throws {
        let box = try Box()
        let rig = [try Tools.rig.get(), "--tmpfs", box.scratch.state + "=64k", "--"]
        let outcome = try box.run(["/bin/echo", "started"], rig: rig)
        #expect(outcome.status == 125 && outcome.out.isEmpty, "\(outcome)")
        #expect(outcome.errors.contains("space") || outcome.errors.contains("full"), "\(outcome)")
    }

    @Test func `without the proxy's program nothing runs`() throws {
        let box = try Box()
        // The same binary in a place where there is no box-proxy beside it.
        let lonely = box.scratch.root + "/lonely"
        try FileManager.default.createDirectory(atPath: lonely, withIntermediateDirectories: false)
        try FileManager.default.copyItem(atPath: Box.binary, toPath: lonely + "/box")
        var other = box
        other.executable = lonely + "/box"
        let outcome = try other.run(["/bin/echo", "started"])
        #expect(
            outcome.status == 125 && outcome.out.isEmpty && outcome.errors.contains("box-proxy"), "\(outcome)"
        )
        #expect(try other.run(["/bin/echo", "started"], options: ["--net", "none"]).text == "started\n")
    }

    @Test func `the command never finds a program of the project before the host's`() throws {
        row("CF-11")
        let box = try Box()
        for name in ["sh", "git", "mount", "newuidmap", "newgidmap", "ip", "box-proxy", "id", "true"] {
            try box.scratch.write(
                "#!/bin/sh\necho fake \(name) >> \(box.scratch.root)/fakes\n",
                to: box.scratch.project + "/bin/" + name, mode: 0o755)
        }
        let outcome = try box.run(
            ["/bin/true"], environment: ["PATH": "\(box.scratch.project)/bin:.::\(Host.path)"])
        #expect(outcome.status == 0, "\(outcome)")
        #expect(!FileManager.default.fileExists(atPath: box.scratch.root + "/fakes"))
    }

    @Test func `no variable or option inside switches box off, and box in box gets no more`() throws {
        row("CF-13")
        let box = try Box()
        let outcome = try box.shell(
            "grep CapBnd /proc/self/status; ls -A ~",
            environment: ["BOX_DISABLE": "1", "BOX_NO_SANDBOX": "1", "BOX": "0"])
        #expect(outcome.text == "CapBnd:\t0000000000000000\n", "\(outcome)")
        row("CF-15")
        let copy = box.scratch.project + "/box"
        try FileManager.default.copyItem(atPath: Box.binary, toPath: copy)
        let nested = try box.shell("\(copy) run --net none --workspace direct -- echo started; echo $?")
        #expect(
            nested.lines == ["started", "0"]
                || ["125", "127"].contains(nested.lines.last) && nested.lines.count == 1, "\(nested)")
        let initial = try box.shell("\(copy) __init; echo $?")
        #expect(initial.lines.last != "0", "\(initial)")
    }
}
