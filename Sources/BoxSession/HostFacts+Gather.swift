internal import BoxKernel
package import BoxPlan
package import BoxPolicy
internal import BoxStage
package import BoxTypes
internal import CLinux
internal import Glibc

// The only place that looks at the host for planning.
extension HostFacts {
    /// Looks at this host, as far as a plan for this policy needs it. `directory` is where the command is to run.
    /// What is known already about control groups is passed in.
    package static func gather(
        policy: Policy, directory: String, controlGroups: ControlGroupSupport? = nil
    ) throws(SessionError) -> HostFacts {
        let environment = UserEnvironment.parse(ProcessEnvironment.entries())
        let user = try currentUser(environment)
        let state = try StateDirectory.place(environment: environment, home: user.home)
        let project = try HostFacts.Project.find(directory, workspace: policy.workspace)
        var facts = HostFacts(user: user, project: project, stateDirectory: state)
        facts.environment = environment
        facts.kernel = kernel()
        facts.largestProcessID = largestProcessID() ?? facts.largestProcessID
        facts.landlock = LandlockSupport.probe()
        facts.hasSeccomp = box_seccomp_action_available(seccompAllow) == 0
        facts.path = searchPath(environment)
        facts.systemDirectories = nodes(in: "/", names: systemNames)
        facts.etc = EtcFiles.present()
        if policy.workspace.mode != .none { facts.gitUser = gitUser(environment, home: user.home) }
        facts.memory = HostFacts.physicalMemory
        facts.namespaceObstacle = NamespaceObstacle.find(isRoot: user.uid == 0)
        facts.unprivilegedID = user.uid == 0 ? unprivilegedID() : nil
        do throws(KernelError) {
            if let controlGroups {
                facts.controlGroups = controlGroups
            } else {
                facts.controlGroups = try ControlGroupSupport.probe()
            }
            for limit in ResourceLimit.allCases { facts.hardLimits[limit] = try Limits.current(limit).hard }
        } catch { throw SessionError(step: "look at the host", error) }
        if policy.network.mode == .proxy, let file = policy.network.certificates {
            facts.certificates = try CertificateFiles.read(file, home: user.home)
        }
        let grants = (policy.files.read + policy.files.write).compactMap {
            try? Planner.expand($0, home: user.home)
        }
        for path in grants + Planner.toolchains(on: facts.path) { facts.nodes[path] = node(path.string) }
        for path in grants {
            if let real = HostPath.real(path), real != path { facts.realPaths[path] = real }
        }
        return facts
    }

    /// Takes over an agent's program, and looks at what it needs.
    package mutating func take(_ program: AgentProgram) {
        self.program = Program(
            path: program.path, names: program.names, links: program.links, readable: program.readable,
            searchPath: program.searchPath, environment: program.environment)
        for path in program.readable + Array(program.links.values) {
            nodes[path] = HostFacts.node(path.string)
        }
    }

    /// RAM in bytes.
    static var physicalMemory: Int { Int(sysconf(CInt(_SC_PHYS_PAGES))) * Int(sysconf(CInt(_SC_PAGESIZE))) }

    /// The user's name and address for git; what is not plainly said, or has a control character, is left out.
    private static func gitUser(_ environment: [String: String], home: AbsolutePath) -> GitUser {
        let configuration =
            environment["XDG_CONFIG_HOME"].flatMap { $0.hasPrefix("/") ? $0 : nil } ?? home.string
            + "/.config"
        var found = GitUser()
        // The second is the stronger one, as for git.
        for path in [configuration + "/git/config", home.string + "/.gitconfig"] {
            guard let text = SmallFile.read(path), let settings = GitSettings(Array(text.utf8)) else {
                continue
            }
            func value(_ key: String) -> String? {
                guard let bytes = settings.value(key), let text = String(validating: bytes, as: UTF8.self),
                    !text.isEmpty, text.utf8.count < 256, text == text.escapedForTerminal
                else { return nil }
                return text
            }
            found.name = value("user.name") ?? found.name
            found.email = value("user.email") ?? found.email
        }
        return found
    }

    /// Where box keeps its state for this user.
    static func stateDirectory() throws(SessionError) -> AbsolutePath {
        let environment = UserEnvironment.parse(ProcessEnvironment.entries())
        return try StateDirectory.place(environment: environment, home: currentUser(environment).home)
    }

    /// SECCOMP_RET_ALLOW: every kernel with filters has this action.
    private static let seccompAllow: UInt32 = 0x7fff_0000

    private static let systemNames = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"]

    static func currentUser(_ environment: [String: String]) throws(SessionError) -> User {
        let uid = getuid()
        guard uid == geteuid(), getgid() == getegid() else {
            throw SessionError(
                step: "start",
                reason:
                    "box must not be set-user-id or set-group-id: it needs no privilege. Remove the bit with chmod"
            )
        }
        let entry = unsafe getpwuid(uid)
        var name = String(uid)
        var shell = "/bin/sh"
        var home = environment["HOME"] ?? ""
        if let entry = unsafe entry {
            name = unsafe String(cString: entry.pointee.pw_name)
            if let text = unsafe entry.pointee.pw_shell { shell = unsafe String(cString: text) }
            if home.isEmpty, let text = unsafe entry.pointee.pw_dir { home = unsafe String(cString: text) }
        }
        guard !home.isEmpty else {
            throw SessionError(
                step: "start", reason: "you have no home directory. Set HOME to a directory of yours")
        }
        do throws(AbsolutePath.Refusal) {
            return User(uid: uid, gid: getgid(), name: name, home: try AbsolutePath(home), shell: shell)
        } catch { throw SessionError(step: "start", reason: "HOME cannot be used: \(error)") }
    }

    static func kernel() -> Kernel {
        var name = utsname()
        guard unsafe uname(&name) == 0 else { return Kernel(0, 0) }
        let release = unsafe withUnsafeBytes(of: &name.release) { raw in
            unsafe String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
        }
        let parts = release.split(separator: ".").prefix(2).map { Int($0.prefix { $0.isNumber }) ?? 0 }
        return Kernel(parts.first ?? 0, parts.count > 1 ? parts[1] : 0)
    }

    /// `pid_max` of this pid namespace; nil if the host does not tell.
    private static func largestProcessID() -> Int? {
        SmallFile.read("/proc/sys/kernel/pid_max").flatMap { Int($0.filter(\.isNumber)) }
    }

    private static func searchPath(_ environment: [String: String]) -> [AbsolutePath] {
        let entries = (environment["PATH"] ?? "").split(separator: ":").compactMap {
            try? AbsolutePath(String($0))
        }
        var seen: Set<AbsolutePath> = []
        return entries.filter { entry in
            guard seen.insert(entry).inserted else { return false }
            return (try? FileStatus.of(entry.string, following: true))?.kind == .directory
        }
    }

    /// What a path is, links followed; nil if it does not exist or cannot be seen.
    private static func node(_ path: String) -> Node? {
        guard let status = try? FileStatus.of(path, following: true) else { return nil }
        return Node(status)
    }

    private static func nodes(in directory: String, names: [String]) -> [String: Node.Kind] {
        var found: [String: Node.Kind] = [:]
        for name in names {
            guard let status = try? FileStatus.of(directory + name, following: false) else { continue }
            found[name] = Node.Kind(status, path: directory + name)
        }
        return found
    }

    /// A fixed high id, outside the ranges that distributions and container tools give out; in a container, where
    /// only the low ids exist, the highest of those.
    static func unprivilegedID() -> UInt32? {
        guard let map = SmallFile.read("/proc/self/uid_map") else { return nil }
        var candidates: [UInt32] = []
        for line in map.split(separator: "\n") {
            let numbers = line.split(separator: " ").compactMap { UInt64($0) }
            guard numbers.count == 3, numbers[2] > 1 else { continue }
            let last = numbers[0] + numbers[2] - 1
            if (numbers[0]...last).contains(UInt64(preferredID)) { return preferredID }
            if last > 0, last < UInt64(UInt32.max) { candidates.append(UInt32(last)) }
        }
        return candidates.max()
    }

    private static let preferredID: UInt32 = 2_000_000_000
}

extension HostFacts.Node {
    init(_ status: FileStatus) {
        self.init(
            kind: Kind(status, path: ""), uid: status.uid, gid: status.gid, device: status.device,
            inode: status.inode)
    }
}

extension HostFacts.Node.Kind {
    /// For a link, where it leads is read from `path`.
    init(_ status: FileStatus, path: String) {
        switch status.kind {
        case .directory: self = .directory
        case .file: self = .file
        case .link: self = .link(SmallFile.readLink(path) ?? "")
        case .characterDevice, .other: self = .other
        }
    }
}

/// The environment as the kernel passed it.
enum ProcessEnvironment {
    /// Each entry's bytes.
    static func entries() -> [[UInt8]] {
        var all: [[UInt8]] = []
        var at = unsafe environ
        while let entry = unsafe at.pointee {
            let count = unsafe strlen(entry)
            all.append(unsafe [UInt8](UnsafeRawBufferPointer(start: entry, count: count)))
            unsafe at += 1
        }
        return all
    }
}

/// Small files of `/proc` and links: a file that cannot be read is nil, since each has a meaning of its own then.
enum SmallFile {
    static func read(_ path: String) -> String? {
        guard let file = try? Descriptor.open(path, O_RDONLY), let bytes = try? file.readAll(limit: 1 << 20)
        else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }

    static func readLink(_ path: String) -> String? {
        var length = 0
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: 4096) { buffer, filled in
            length = unsafe buffer.withMemoryRebound(to: CChar.self) {
                unsafe readlink(path, $0.baseAddress.unsafelyUnwrapped, 4096)
            }
            filled = max(0, length)
        }
        return length < 0 ? nil : String(decoding: bytes, as: UTF8.self)
    }
}

/// The names in a directory.
package enum DirectoryListing {
    /// All names but `.` and `..`, unsorted; none if the directory cannot be read.
    package static func names(of directory: String) -> [String] {
        guard let stream = unsafe opendir(directory) else { return [] }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { raw in
                unsafe String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }
}
