import Foundation
import Testing

/// The machine the suite runs on, and evidence about it.
enum Host {
    static let isRoot = geteuid() == 0
    /// Where programs are looked for, outside and inside.
    static let path = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"

    /// Where the caller's search path leads beside the system's directories, as far as box takes it for a toolchain.
    private static let toolchains = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        .filter { $0.hasPrefix("/opt/") || $0.hasPrefix("/nix/") }

    /// The full path of a program that is on the search path or in a toolchain.
    static func program(_ name: String) -> String? {
        (path.split(separator: ":") + toolchains).map { "\($0)/\(name)" }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    /// Runs a program outside of any box.
    static func run(
        _ command: [String], input: [UInt8]? = nil, directory: String = "/", within seconds: Double = 60,
        environment: [String: String] = [:]
    ) throws -> Outcome {
        let running = try Running(
            command, environment: ["PATH": path, "LC_ALL": "C.UTF-8"].merging(environment) { $1 },
            directory: directory, streams: .pipes(input: input))
        if let input { running.finish(input: input) }
        return try running.wait(within: seconds)
    }

    static func shell(_ script: String, directory: String = "/") throws -> Outcome {
        try run(["/bin/sh", "-c", script], directory: directory)
    }

    // MARK: Evidence

    /// The mounts of this process.
    static func mounts() throws -> String { try text("/proc/self/mountinfo") }

    static func text(_ path: String) throws -> String {
        String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self)
    }

    /// Every process and what `ps` would show of it.
    static func processes() -> [pid_t: Process] {
        var found: [pid_t: Process] = [:]
        for name in (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? [] {
            guard let pid = pid_t(name), let process = Process(pid) else { continue }
            found[pid] = process
        }
        return found
    }

    /// All that descend from this process, itself not counted.
    static func descendants(of ancestor: pid_t) -> [Process] {
        let all = processes()
        var known: Set<pid_t> = [ancestor]
        var grown = true
        while grown {
            let more = all.values.filter { known.contains($0.parent) }.map(\.pid)
            grown = !known.isSuperset(of: more)
            known.formUnion(more)
        }
        return all.values.filter { known.contains($0.pid) && $0.pid != ancestor }
    }

    /// Waits for something to become true; false if it does not in that time.
    static func eventually(within seconds: Double = 30, _ condition: () throws -> Bool) rethrows -> Bool {
        let end = Date().addingTimeInterval(seconds)
        while try !condition() {
            if Date() > end { return false }
            poll(nil, 0, 5)
        }
        return true
    }

    /// Content hash, kind, mode, owner, links, size, modification time and attributes of everything below.
    static func manifest(_ directory: String) throws -> [String] {
        let script = """
            find . -printf '%p %y %m %U:%G %n %s %T@ %l\\n' | sort
            find . -type f -print0 | sort -z | xargs -0 -r sha256sum --
            command -v getfattr >/dev/null && getfattr -R -h -d -m - . 2>/dev/null || :
            """
        let outcome = try shell(script, directory: directory)
        guard outcome.status == 0 else { throw HarnessError(description: "manifest: \(outcome)") }
        return outcome.lines
    }
}

/// A process as seen from outside.
struct Process: Sendable, Hashable {
    let pid: pid_t
    let parent: pid_t
    let state: Character
    /// When it started, in ticks since boot: a pid and this name one process for good.
    let started: String
    let name: String
    let commandLine: String

    init?(_ pid: pid_t) {
        guard let stat = try? Host.text("/proc/\(pid)/stat"), let end = stat.lastIndex(of: ")"),
            let begin = stat.firstIndex(of: "(")
        else { return nil }
        let words = stat[stat.index(after: end)...].split(separator: " ")
        guard words.count > 20, let parent = pid_t(words[1]), let state = words[0].first else { return nil }
        self.pid = pid
        self.parent = parent
        self.state = state
        started = String(words[19])
        name = String(stat[stat.index(after: begin)..<end])
        commandLine = ((try? Host.text("/proc/\(pid)/cmdline")) ?? "").replacingOccurrences(
            of: "\0", with: " ")
    }

    /// Its pids in all namespaces, the host's first: more than one inside a sandbox.
    var pids: [String] {
        let line = (try? Host.text("/proc/\(pid)/status"))?.split(separator: "\n").first {
            $0.hasPrefix("NSpid:")
        }
        return line?.split(separator: "\t").dropFirst().map(String.init) ?? []
    }

    /// Whether this very process still runs; a zombie does not.
    var isAlive: Bool {
        guard let now = Process(pid) else { return false }
        return now.started == started && now.state != "Z"
    }
}
