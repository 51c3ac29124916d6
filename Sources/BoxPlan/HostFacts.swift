package import BoxTypes

/// Everything about this machine that planning needs, gathered once and passed in as a value.
package struct HostFacts: Equatable, Sendable {
    /// The version of the running kernel.
    package struct Kernel: Equatable, Sendable, Comparable {
        package var major: Int
        package var minor: Int
        package init(_ major: Int, _ minor: Int) {
            self.major = major
            self.minor = minor
        }
        package static func < (left: Kernel, right: Kernel) -> Bool {
            (left.major, left.minor) < (right.major, right.minor)
        }
    }

    /// Who starts box.
    package struct User: Equatable, Sendable {
        package var uid: UInt32
        package var gid: UInt32
        package var name: String
        package var home: AbsolutePath
        package var shell: String
        package init(uid: UInt32, gid: UInt32, name: String, home: AbsolutePath, shell: String) {
            self.uid = uid
            self.gid = gid
            self.name = name
            self.home = home
            self.shell = shell
        }
    }

    /// A file or directory as found on the host.
    package struct Node: Equatable, Sendable {
        package enum Kind: Equatable, Sendable { case directory, file, link(String), other }
        package var kind: Kind
        package var uid: UInt32
        package var gid: UInt32
        package var device: UInt64
        package var inode: UInt64
        package init(kind: Kind, uid: UInt32, gid: UInt32, device: UInt64, inode: UInt64) {
            self.kind = kind
            self.uid = uid
            self.gid = gid
            self.device = device
            self.inode = inode
        }
    }

    /// The project as found on the host.
    package struct Project: Equatable, Sendable {
        package var path: AbsolutePath
        package var node: Node
        /// Control files and directories that exist, relative to the project, with what they are.
        package var controls: [String: Node.Kind] = [:]
        /// Mounts below the project, relative to it.
        package var mounts: [String] = []
        /// What the policy hides, of what there is.
        package var hidden: [BytePath] = []
        /// Git directories outside that the project belongs to.
        package var gitDirectories: [GitDirectory] = []
        /// Why git does not work inside, if the project's git directory is not let in.
        package var gitObstacle: String?
        package init(path: AbsolutePath, node: Node) {
            self.path = path
            self.node = node
        }
    }

    /// A git directory that is not in the project: a linked worktree's, a submodule's.
    package struct GitDirectory: Equatable, Sendable {
        package var path: AbsolutePath
        package var node: Node
        package init(path: AbsolutePath, node: Node) {
            self.path = path
            self.node = node
        }
    }

    /// Who the user is in git's commits.
    package struct GitUser: Equatable, Sendable {
        package var name: String?
        package var email: String?
        package init(name: String? = nil, email: String? = nil) {
            self.name = name
            self.email = email
        }
    }

    /// A home that lasts from session to session, in box's state directory.
    package struct AgentHome: Equatable, Sendable {
        /// The agent's.
        package var name: String
        package var path: AbsolutePath
        package var uid: UInt32
        package var gid: UInt32
        /// What the agent may not change, relative to it; all of it exists.
        package var secured: [String]
        package init(name: String, path: AbsolutePath, uid: UInt32, gid: UInt32, secured: [String]) {
            self.name = name
            self.path = path
            self.uid = uid
            self.gid = gid
            self.secured = secured
        }
    }

    /// A program that lies outside of the system's directories, and what it needs of the host.
    package struct Program: Equatable, Sendable {
        /// What is executed.
        package var path: AbsolutePath
        /// Programs that are found by these names inside, its own among them.
        package var names: [String: AbsolutePath]
        /// Links of the host, and the real paths they lead to; the names must lead there inside as well.
        package var links: [AbsolutePath: AbsolutePath]
        /// Files and directories that it needs, read-only.
        package var readable: [AbsolutePath]
        /// Where the programs are that it calls by their names.
        package var searchPath: [AbsolutePath]
        package var environment: [String: String]
        package init(
            path: AbsolutePath, names: [String: AbsolutePath] = [:],
            links: [AbsolutePath: AbsolutePath] = [:],
            readable: [AbsolutePath] = [], searchPath: [AbsolutePath] = [],
            environment: [String: String] = [:]
        ) {
            self.path = path
            self.names = names
            self.links = links
            self.readable = readable
            self.searchPath = searchPath
            self.environment = environment
        }
    }

    package var kernel = Kernel(5, 13)
    /// `pid_max` of the pid namespace that box runs in: none inside can have a larger one.
    package var largestProcessID = 4_194_304
    package var landlock = LandlockSupport.notBuilt
    package var user: User
    package var project: Project
    /// The user's environment; only named variables get in.
    package var environment: [String: String] = [:]
    /// The entries of `PATH` that are absolute paths of directories, in order, as written.
    package var path: [AbsolutePath] = []
    /// `/bin`, `/sbin`, `/lib` …: links into `/usr` on merged systems, directories on others.
    package var systemDirectories: [String: Node.Kind] = [:]
    /// Files and directories below `/etc` that exist, of those a toolchain needs.
    package var etc: [String: Node.Kind] = [:]
    /// Paths of `--read`, `--write` and the like, and of the directories that `path` leads to.
    package var nodes: [AbsolutePath: Node] = [:]
    /// Where those of these paths lead that are links, or lie behind one.
    package var realPaths: [AbsolutePath: AbsolutePath] = [:]
    /// RAM in bytes.
    package var memory = 0
    package var controlGroups = ControlGroupSupport(
        place: nil,
        missing: [.memory: "no control groups", .cpu: "no control groups", .pids: "no control groups"])
    /// The hard limits in force, for the limits that box sets; absent is unlimited.
    package var hardLimits: [ResourceLimit: UInt64] = [:]
    /// Why user namespaces cannot be made, if they cannot; with what to do.
    package var namespaceObstacle: Obstacle?
    /// Whether the kernel has seccomp filters.
    package var hasSeccomp = true
    /// The id outside that root uses for the sandbox; nil if this user namespace has none to give.
    package var unprivilegedID: UInt32?
    /// The certificates for `network.ca`; nil if the policy names none.
    package var certificates: Certificates?
    /// From the user's own git configuration, which is not inside.
    package var gitUser = GitUser()
    /// The home of the agent that lasts; nil where the home is made anew for each session.
    package var agentHome: AgentHome?
    /// The agent's own program, where it was looked for.
    package var program: Program?
    /// Where box keeps its state; never visible inside.
    package var stateDirectory: AbsolutePath

    /// Something that a protection needs and this host refuses.
    package struct Obstacle: Equatable, Sendable {
        package var reason: String
        package var fix: String
        package init(reason: String, fix: String) {
            self.reason = reason
            self.fix = fix
        }
    }

    package init(user: User, project: Project, stateDirectory: AbsolutePath) {
        self.user = user
        self.project = project
        self.stateDirectory = stateDirectory
    }

    /// Whether the kernel's own checks treat the caller as root.
    package var isRoot: Bool { user.uid == 0 }
}
