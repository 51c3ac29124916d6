internal import BoxKernel
internal import BoxPlan
internal import CLinux
internal import Glibc

// Files, mounts, devices.
extension Attempt {
    /// A nameless file, so that nothing is left even where it works.
    func systemWrite() throws(Broken) -> String {
        var seen: [String] = []
        for directory in ["/", "/etc", "/usr", "/var/lib", "/opt"] {
            let word = try open(directory, O_WRONLY | BOX_O_TMPFILE)
            // On a control /opt may be missing.
            if word != "EROFS" { seen.append("\(directory) \(word)") }
        }
        return seen.isEmpty ? "EROFS" : seen.joined(separator: ", ")
    }

    /// How much there is; names of the user's files are nobody's business here.
    func home() -> String {
        guard let names = ProcFile.names(targets.home) else { return errorName(errno) }
        return names.isEmpty ? "empty" : "\(names.count) names"
    }

    /// Looks at every mount of this namespace (proc_pid_mountinfo(5)).
    func mountFlags() throws(Broken) -> String {
        for line in try ProcFile.read("/proc/self/mountinfo").split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard let dash = fields.firstIndex(of: "-"), dash >= 6, dash + 1 < fields.count else {
                throw Broken("mountinfo")
            }
            let (path, flags) = (fields[4], Set(fields[5].split(separator: ",")))
            var wrong: [String] = []
            if !flags.contains("nosuid") { wrong.append("set-user-id works") }
            // Single devices are bound on files of their own, and devpts holds the terminals.
            let isDevice = path.hasPrefix("/dev/") && path != "/dev/shm" && path != "/dev/mqueue"
            if !isDevice, !flags.contains("nodev") { wrong.append("devices work") }
            if Attempt.isSystem(path), !flags.contains("ro") { wrong.append("writable") }
            if fields[6..<dash].contains(where: { $0.hasPrefix("shared:") }) { wrong.append("shared") }
            guard wrong.isEmpty else { return "\(path): \(wrong.joined(separator: ", "))" }
        }
        return "none"
    }

    private static func isSystem(_ path: Substring) -> Bool {
        if path == "/" { return true }
        return ["/usr", "/etc", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/boot"]
            .contains {
                path == $0 || path.hasPrefix($0 + "/")
            }
    }

    /// Opened only, never written. An ordinary user may open none anywhere, so the mounts are looked at as well.
    func globalSettings() throws(Broken) -> String {
        let settings = [
            "/proc/sys/kernel/core_pattern", "/proc/sys/vm/drop_caches", "/proc/sys/fs/file-max",
            "/proc/sys/kernel/modprobe", "/proc/irq/default_smp_affinity", "/proc/sysrq-trigger",
        ]
        for path in settings where try open(path, O_WRONLY) == "succeeded" { return "\(path) opens" }
        for directory in ["/proc/sys", "/proc/irq"] {
            var status = statvfs()
            guard unsafe statvfs(directory, &status) == 0 else {
                throw Broken("\(directory): \(errorName(errno))")
            }
            // ST_RDONLY
            if status.f_flag & 1 == 0 { return "\(directory) is writable for who may" }
        }
        return "none opens, read-only"
    }

    /// Asks of every setting whether it could be written.
    func anySetting() throws(Broken) -> String {
        guard ProcFile.names("/proc/sys") != nil else { throw Broken("/proc/sys: \(errorName(errno))") }
        var (count, first) = (0, "")
        var directories = ["/proc/sys"]
        while let directory = directories.popLast() {
            for name in ProcFile.names(directory) ?? [] {
                let path = "\(directory)/\(name)"
                var status = stat()
                guard unsafe lstat(path, &status) == 0 else { continue }
                if status.st_mode & S_IFMT == S_IFDIR {
                    directories.append(path)
                } else if unsafe access(path, W_OK) == 0 {
                    count += 1
                    if first.isEmpty { first = path }
                }
            }
        }
        return count == 0 ? "none" : "\(count), for example \(first)"
    }

    /// Not the kernel's log: what is read from it is gone for others.
    func maskedFiles() -> String {
        let names = [
            "interrupts", "iomem", "kallsyms", "kcore", "key-users", "keys", "modules", "sched_debug",
            "slabinfo",
            "softirqs", "timer_list", "vmallocinfo",
        ]
        let readable = names.filter { name in
            guard let file = try? Descriptor.open("/proc/" + name, O_RDONLY | O_NONBLOCK),
                let byte = try? file.read(upTo: 1)
            else { return false }
            return !byte.isEmpty
        }
        return readable.isEmpty ? "nothing" : readable.joined(separator: " ")
    }

    func devices() throws(Broken) -> String {
        guard let names = ProcFile.names("/dev") else { throw Broken("/dev: \(errorName(errno))") }
        return names.filter { name in
            var status = stat()
            guard unsafe lstat("/dev/" + name, &status) == 0 else { return false }
            let kind = status.st_mode & S_IFMT
            return kind == S_IFCHR || kind == S_IFBLK
        }.joined(separator: " ")
    }

    /// RNDGETENTCNT: a question that everyone may ask.
    func ioctlDevice() throws(Broken) -> String {
        let device = try Broken.unless { () throws(KernelError) in
            try Descriptor.open("/dev/urandom", O_RDONLY)
        }
        return try SystemCall.word(
            "ioctl", .number(Int(device.number)), .number(0x8004_5200), .bytes([0, 0, 0, 0]))
    }

    /// One MiB more than a sandbox has there; the file has no name and goes with this process.
    func fillScratch() throws(Broken) -> String {
        var place = "/dev/shm"
        if isControl {
            let mounted = try mountScratch("/tmp")
            guard mounted == "succeeded" else { throw Broken("mount: \(mounted)") }
            place = "/tmp"
        }
        let file = try Broken.unless { () throws(KernelError) in
            try Descriptor.open(place, O_RDWR | BOX_O_TMPFILE, mode: 0o600)
        }
        return try SystemCall.word(
            "fallocate", .number(Int(file.number)), .number(0), .number(0), .number(65 << 20))
    }
}
