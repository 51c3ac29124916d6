internal import BoxKernel
internal import BoxPlan
internal import CLinux
internal import Glibc

// Other namespaces, mounts.
extension Attempt {
    /// The maps say which ids of the host a process can be.
    func rootMap() throws(Broken) -> String {
        for name in ["uid_map", "gid_map"] {
            let lines = try ProcFile.read("/proc/self/" + name).split(separator: "\n")
            let words = lines.first?.split(separator: " ") ?? []
            guard lines.count == 1, words.count == 3, words[2] == "1" else { return "more than one id" }
            if words[1] == "0" { return "the host's root" }
        }
        return "one id, not root"
    }

    func sharedNamespaces() throws(Broken) -> String {
        var shared: [String] = []
        for name in ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"] {
            guard let link = ProcFile.readLink("/proc/self/ns/" + name) else {
                throw Broken("/proc/self/ns/\(name)")
            }
            if targets.namespaces.contains(link) { shared.append(name) }
        }
        guard targets.namespaces.count == 7 else { throw Broken("the host's namespaces are not known") }
        return shared.isEmpty ? "all 7 differ" : "the same: " + shared.joined(separator: " ")
    }

    /// One after the other: user, mount, cgroup, UTS, IPC, pid, network.
    func cloneEach(high: Int) throws(Broken) -> String {
        let flags = [
            0x1000_0000, 0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x2000_0000, 0x4000_0000,
        ]
        var words: Set<String> = []
        for flag in flags {
            let answer = try SystemCall.answer("clone", [.number(high | flag | Int(SIGCHLD)), .number(0)])
            // With no stack of its own it goes on here, as after fork(2).
            if answer.result == 0 { _exit(0) }
            if answer.result > 0 { _ = retry { waitpid(CInt(answer.result), nil, 0) } }
            words.insert(answer.word)
        }
        return words.sorted().joined(separator: ", ")
    }

    func mountScratch(_ target: String, flags: Int = 0) throws(Broken) -> String {
        try SystemCall.word("mount", .text("none"), .text(target), .text("tmpfs"), .number(flags), .number(0))
    }

    func unmount() throws(Broken) -> String {
        if isControl { _ = try mountScratch("/tmp") }
        return try SystemCall.word("umount2", .text("/tmp"), .number(2))
    }

    func remount() throws(Broken) -> String {
        // In a control it has to be read-only first. MS_RDONLY; then MS_BIND | MS_REMOUNT without it.
        if isControl { _ = try mountScratch("/usr", flags: 1) }
        return try SystemCall.word(
            "mount", .text("none"), .text("/usr"), .number(0), .number(4096 | 32), .number(0))
    }
}

/// Small files of `/proc`.
enum ProcFile {
    static func read(_ path: String) throws(Broken) -> String {
        let bytes = try Broken.unless { () throws(KernelError) in
            try Descriptor.open(path, O_RDONLY).readAll(limit: 1 << 20)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    static func readLink(_ path: String) -> String? {
        var length = 0
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: 4096) { buffer, filled in
            length = unsafe buffer.withMemoryRebound(to: CChar.self) { room in
                // Its capacity is not 0, so it has an address.
                unsafe readlink(path, room.baseAddress.unsafelyUnwrapped, 4096)
            }
            filled = max(0, length)
        }
        return length < 0 ? nil : String(decoding: bytes, as: UTF8.self)
    }

    /// The names in a directory but `.` and `..`, in order; nil with errno set if it cannot be read.
    static func names(_ directory: String) -> [String]? {
        guard let stream = unsafe opendir(directory) else { return nil }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { raw in
                unsafe String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// The values of `/proc/self/status` by name.
    static func status() throws(Broken) -> [String: String] {
        var values: [String: String] = [:]
        for line in try read("/proc/self/status").split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { continue }
            values[String(parts[0])] = parts[1].split(whereSeparator: \.isWhitespace).joined(separator: " ")
        }
        return values
    }
}
