import BoxTypes

@testable import BoxPlan

/// Machines that exist only in tests.
enum InventedHost: String, CaseIterable {
    /// A recent laptop: merged /usr, systemd, Landlock ABI 7, an ordinary user.
    case laptop
    /// A server with Debian 12's kernel, started as root on a root-owned project.
    case server
    /// An old system with separate /bin and /lib, Landlock ABI 1, and a project that is no repository.
    case old

    var facts: HostFacts {
        switch self {
        case .laptop: laptop
        case .server: server
        case .old: old
        }
    }

    private var laptop: HostFacts {
        let user = HostFacts.User(
            uid: 1000, gid: 1000, name: "quinn", home: AbsolutePath(literal: "/home/quinn"),
            shell: "/usr/bin/zsh")
        var project = HostFacts.Project(
            path: AbsolutePath(literal: "/home/quinn/code/app"), node: directory(uid: 1000, inode: 7))
        project.controls = [
            ".git": .directory, ".git/config": .file, ".git/hooks": .directory, ".git/info": .directory,
            ".vscode": .directory, ".git/modules": .directory, ".git/modules/lib": .directory,
            ".git/modules/lib/config": .file, ".git/modules/lib/hooks": .directory,
        ]
        project.mounts = ["data"]
        project.hidden = [".env", "id_rsa"].compactMap { BytePath($0) }
        var facts = HostFacts(
            user: user, project: project,
            stateDirectory: AbsolutePath(literal: "/home/quinn/.local/state/box"))
        facts.kernel = HostFacts.Kernel(6, 17)
        facts.landlock = .abi(7)
        facts.memory = 16 << 30
        facts.systemDirectories = merged
        facts.etc = ["ssl/certs": .directory, "localtime": .link("/usr/share/zoneinfo/Europe/Berlin")]
        facts.path = [
            AbsolutePath(literal: "/home/quinn/.cargo/bin"), AbsolutePath(literal: "/opt/llvm/bin"),
            AbsolutePath(literal: "/usr/bin"),
        ]
        facts.nodes = [AbsolutePath(literal: "/opt/llvm"): directory(uid: 0, inode: 3)]
        facts.gitUser = HostFacts.GitUser(name: "Quinn \"Q\" O'Neil", email: "quinn@example.com")
        facts.environment = [
            "LANG": "de_DE.UTF-8", "TERM": "xterm-256color", "AWS_SECRET_ACCESS_KEY": "secret",
        ]
        facts.controlGroups = ControlGroupSupport(
            place: ControlGroupPlace(
                parent: AbsolutePath(literal: "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service"),
                prefix: "box-", preparations: []), missing: [:])
        return facts
    }

    private var server: HostFacts {
        let user = HostFacts.User(
            uid: 0, gid: 0, name: "root", home: AbsolutePath(literal: "/root"), shell: "/bin/bash")
        var project = HostFacts.Project(
            path: AbsolutePath(literal: "/srv/site"), node: directory(uid: 0, inode: 9))
        project.controls = [
            ".git": .directory, ".git/config": .file, ".git/hooks": .directory, "box.toml": .file,
        ]
        var facts = HostFacts(
            user: user, project: project, stateDirectory: AbsolutePath(literal: "/root/.local/state/box"))
        facts.kernel = HostFacts.Kernel(6, 1)
        facts.landlock = .abi(2)
        facts.memory = 2 << 30
        facts.systemDirectories = merged
        facts.unprivilegedID = 2_000_000_000
        facts.hardLimits = [.openFiles: 20_000]
        return facts
    }

    private var old: HostFacts {
        let user = HostFacts.User(
            uid: 501, gid: 20, name: "sam", home: AbsolutePath(literal: "/home/sam"),
            shell: "/opt/fish/bin/fish")
        let project = HostFacts.Project(
            path: AbsolutePath(literal: "/tmp/scratch"),
            node: HostFacts.Node(kind: .directory, uid: 501, gid: 20, device: 1, inode: 4))
        var facts = HostFacts(
            user: user, project: project, stateDirectory: AbsolutePath(literal: "/home/sam/.local/state/box"))
        facts.kernel = HostFacts.Kernel(5, 15)
        facts.landlock = .abi(1)
        facts.memory = 1 << 30
        facts.systemDirectories = [
            "bin": .directory, "sbin": .directory, "lib": .directory, "lib64": .directory,
        ]
        return facts
    }

    private var merged: [String: HostFacts.Node.Kind] {
        [
            "bin": .link("usr/bin"), "sbin": .link("usr/sbin"), "lib": .link("usr/lib"),
            "lib64": .link("usr/lib64"),
        ]
    }

    private func directory(uid: UInt32, inode: UInt64) -> HostFacts.Node {
        HostFacts.Node(kind: .directory, uid: uid, gid: uid, device: 1, inode: inode)
    }
}
