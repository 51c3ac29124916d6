import Foundation
import Testing

/// Area PR: /proc, /sys, cgroups.
@Suite(.recorded("PR")) struct Proc {
    /// PR-01, PR-08: knobs of the whole machine; opened for writing, never written.
    private static let ofNamespaces = [
        "user/max_user_namespaces", "kernel/pid_max", "kernel/shmmax", "net/ipv4/ip_unprivileged_port_start",
    ]
    static let knobs: [Attempt] =
        [
            "/proc/sys/kernel/core_pattern", "/proc/sys/vm/drop_caches", "/proc/sys/fs/file-max",
            "/proc/irq/default_smp_affinity", "/proc/sysrq-trigger", "/proc/sys/kernel/modprobe",
            "/proc/sys/kernel/sysrq", "/proc/sys/kernel/randomize_va_space", "/proc/sys/vm/overcommit_memory",
            "/proc/sys/fs/suid_dumpable",

        ].map {
            Attempt("PR-01", $0, "open,\($0),w", "EROFS", "EACCES", "ENOENT", "EPERM", control: .outside)
        } + [
            Attempt(
                "PR-08", "binfmt_misc", "open,/proc/sys/fs/binfmt_misc/register,w", "EROFS", "EACCES",
                "ENOENT", control: .outside),
            Attempt(
                "PR-02", "any knob of /proc/sys", "writable,/proc/sys", .answer("none") { $0.result == 0 }),
            Attempt(
                "PR-02", "any knob of /sys", "writable,/sys", .answer("none") { $0.result == 0 }, .outside),
            Attempt(
                "PR-09", "a lower OOM score", "write,/proc/self/oom_score_adj,-1000", "EACCES", "EPERM",
                control: .outside),
        ]
        + ofNamespaces.map {
            Attempt(
                "PR-01", "/proc/sys/\($0)", "open,/proc/sys/\($0),w", "EROFS", "EACCES", "ENOENT", "EPERM")
        }

    private static let maskedFiles = [
        "kcore", "keys", "key-users", "kmsg", "timer_list", "sched_debug", "latency_stats", "interrupts",
        "softirqs", "kallsyms", "modules", "iomem", "ioports", "slabinfo", "vmallocinfo", "pagetypeinfo",
        "kpagecount", "kpageflags", "kpagecgroup", "config.gz", "mtrr", "timer_stats",
    ]
    /// PR-03: what tells about the host is absent or empty.
    static let masks: [Attempt] =
        maskedFiles.map { name in
            Attempt(
                "PR-03", "/proc/\(name)", "read,/proc/\(name)",
                .answer("absent or empty") {
                    ["ENOENT", "EACCES", "EPERM"].contains($0.word) || $0.worked && $0.result == 0
                }, .outside)
        }
        + [
            "/proc/acpi", "/proc/asound", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
            "/sys/fs/selinux", "/sys/fs/bpf", "/sys/fs/cgroup", "/sys/kernel/debug", "/sys/kernel/tracing",
            "/sys/kernel/security", "/sys/module", "/sys/class/net", "/sys/block", "/sys/bus/pci",
        ].map { path in
            Attempt(
                path == "/sys/fs/cgroup" ? "PR-05" : "PR-03", path, "list,\(path)",
                .answer("absent or empty") {
                    ["ENOENT", "EACCES", "EPERM"].contains($0.word) || $0.worked && $0.result == 0
                }, .outside)
        }

    /// PR-07: file systems of the machine's administration.
    static let special: [Attempt] = [
        "debugfs", "tracefs", "bpf", "securityfs", "configfs", "efivarfs", "binfmt_misc", "proc", "sysfs",
        "cgroup2", "devpts", "mqueue", "overlay", "ramfs",
    ]
    .map { Attempt("PR-07", "mount of \($0)", "call,mount,@none,@/tmp,@\($0),0,0", "EPERM", control: .bare) }

    static let table = knobs + masks + special
    static let sweep = Sweep(table)

    @Test(arguments: table)
    func `the machine behind proc and sys is out of reach`(_ attempt: Attempt) throws {
        try Proc.sweep.check(attempt)
    }

    @Test func `the cgroup is shown as the root of its own`() throws {
        row("PR-05")
        let outcome = try Box().shell(
            """
            cat /proc/self/cgroup; mkdir /sys/fs/cgroup/x; for f in /sys/fs/cgroup/*; do echo 0 > \
            $f/cgroup.procs; done
            """
        )
        #expect(!outcome.lines.isEmpty && outcome.lines.allSatisfy { $0.hasSuffix(":/") }, "\(outcome)")
    }

    @Test func `no special file system is mounted`() throws {
        row("PR-07")
        let control = try Host.mounts()
        #expect(control.contains("sysfs"), "no control")
        let types = try Box().run(["/bin/cat", "/proc/self/mountinfo"]).lines.compactMap(Files.Mount.init)
            .map(\.type)
        let special: Set = [
            "debugfs", "tracefs", "bpf", "securityfs", "configfs", "efivarfs", "binfmt_misc", "cgroup",
            "cgroup2",
            "autofs", "fusectl", "pstore", "selinuxfs",
        ]
        #expect(special.isDisjoint(with: types), "\(types)")
    }

    @Test func `proc is fresh and shows only this sandbox`() throws {
        row("PR-11")
        let box = try Box()
        let mounts = try box.run(["/bin/cat", "/proc/self/mountinfo"]).lines.compactMap(Files.Mount.init)
        let proc = try #require(mounts.first { $0.target == "/proc" })
        #expect(
            proc.type == "proc" && proc.root == "/"
                && proc.options.isSuperset(of: ["nosuid", "nodev", "noexec"]))
        let processes = try box.shell("ls -d /proc/[0-9]* | wc -l; ps -e -o comm= 2>/dev/null | wc -l")
        let counts = processes.lines.compactMap { Int($0.trimmingCharacters(in: .whitespaces)) }
        #expect(counts.allSatisfy { (1...6).contains($0) }, "\(processes)")
        #expect(Host.processes().count > 20, "no control")
    }

    @Test func `the OOM score can be raised`() throws {
        row("PR-09")
        let outcome = try Box().shell("echo 900 > /proc/self/oom_score_adj && cat /proc/self/oom_score_adj")
        #expect(outcome.answer == "900", "\(outcome)")
    }

    @Test func `core dumps are off for good`() throws {
        row("PR-10")
        let outcome = try Box().shell(
            "grep 'core file' /proc/self/limits; ulimit -c unlimited; kill -SEGV $$")
        let words = outcome.text.split(separator: " ").map(String.init)
        #expect(
            words.count > 5 && ["0", "1"].contains(words[4]) && ["0", "1"].contains(words[5]), "\(outcome)")
        #expect(outcome.status == 139, "\(outcome)")
    }
}
