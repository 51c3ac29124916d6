internal import BoxKernel
internal import BoxTypes
internal import Glibc

/// The processes of a sandbox as the host sees them. They come and go while one looks.
enum InsideProcesses {
    /// Their numbers on the host, without the first one, which all others come from: what has lost its parent does, too.
    static func all(of first: CInt, atMost most: Int) -> [CInt] {
        var all: [CInt] = []
        var waiting = [first]
        while let pid = waiting.popLast(), all.count < most {
            if pid != first { all.append(pid) }
            for task in DirectoryListing.names(of: "/proc/\(pid)/task").prefix(64) {
                guard let text = SmallFile.read("/proc/\(pid)/task/\(task)/children") else { continue }
                waiting += text.split(separator: " ").compactMap { CInt($0) }
            }
        }
        return all
    }

    /// How many of them have a thread that is not stopped, and has not ended.
    static func notStopped(of first: CInt) -> Int {
        all(of: first, atMost: 8192).count { pid in
            DirectoryListing.names(of: "/proc/\(pid)/task").contains { task in
                guard let text = SmallFile.read("/proc/\(pid)/task/\(task)/stat"),
                    let end = text.utf8.lastIndex(of: UInt8(ascii: ")"))
                else { return false }
                return switch text.utf8[end...].dropFirst(2).first {
                case UInt8(ascii: "D"): !waitsForChild(pid, task)
                case .some(let state): !Array("TtZX".utf8).contains(state)
                case nil: false
                }
            }
        }
    }

    /// Whether a thread waits in vfork(2) for its child to start a program or to end, which no signal but SIGKILL ends:
    /// while the child is stopped it stands still, too.
    private static func waitsForChild(_ pid: CInt, _ task: String) -> Bool {
        guard let function = SmallFile.read("/proc/\(pid)/task/\(task)/wchan") else { return false }
        // The compiler may have put the one into the other.
        return ["kernel_clone", "wait_for_vfork_done"].contains(function)
    }

    /// The command line of the one that was started last, at most so many characters of it. Nothing in it is trusted.
    static func newest(of first: CInt, length: Int) -> String? {
        var best: (time: Int, pid: CInt)?
        for pid in all(of: first, atMost: 128) {
            guard let time = startTime(of: pid) else { continue }
            if let best, (best.time, best.pid) > (time, pid) { continue }
            best = (time, pid)
        }
        guard let best, let file = try? Descriptor.open("/proc/\(best.pid)/cmdline", O_RDONLY),
            let bytes = try? file.read(upTo: 4 * length), !bytes.isEmpty
        else { return nil }
        let words = bytes.split(separator: 0, omittingEmptySubsequences: false)
        let text = words.map { String(decoding: $0, as: UTF8.self) }.joined(separator: " ")
        return String((text.hasSuffix(" ") ? text.dropLast() : text[...]).prefix(length))
    }

    /// When a process was started, in the kernel's ticks; nil for one that is gone or has ended.
    private static func startTime(of pid: CInt) -> Int? {
        guard let text = SmallFile.read("/proc/\(pid)/stat"),
            // The name may have any character.
            let end = text.utf8.lastIndex(of: UInt8(ascii: ")"))
        else { return nil }
        let words = text.utf8[text.utf8.index(after: end)...].split(separator: UInt8(ascii: " "))
        guard words.count > 19, Substring(words[0]) != "Z" else { return nil }
        return Int(Substring(words[19]))
    }
}
