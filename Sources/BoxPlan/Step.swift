package import BoxTypes

/// One action of the sandbox's set-up. The list is closed: whoever carries a plan out, prints it or sends it
/// must know every case.
package enum Step: Equatable, Sendable {
    /// Take the unprivileged ids. First, so that everything made later belongs to them.
    case becomeUser(uid: UInt32, gid: UInt32)
    /// No mount made here reaches the host, and none from the host comes in.
    case makeMountsPrivate
    /// The new root: an empty tmpfs.
    case mountRoot(bytes: Int, inodes: Int)
    /// An empty directory on the new root.
    case directory(AbsolutePath, mode: UInt32)
    /// A symbolic link on the new root.
    case link(AbsolutePath, to: String)
    /// A small file on the new root.
    case file(AbsolutePath, content: String)
    /// A private tmpfs.
    case temporary(AbsolutePath, Temporary)
    /// A host file or directory, with everything mounted below it.
    case bind(Bind)
    /// A staged view of a host directory: what is written goes to the session's stage.
    case overlay(Overlay)
    /// An existing path inside becomes read-only, also for what is below it.
    case readOnly(AbsolutePath)
    /// An existing path inside becomes a mount of its own, so that it cannot be renamed.
    case pin(AbsolutePath)
    /// An existing file inside is covered by another file inside.
    case substitute(AbsolutePath, by: AbsolutePath)
    /// An existing path inside is covered by an empty read-only file or directory; one that is absent is left.
    case mask(AbsolutePath)
    /// A character device of the host by name below `/dev`, checked by its number.
    case device(name: String, major: UInt32, minor: UInt32)
    /// A private instance of the pseudo-terminal file system at `/dev/pts`.
    case pseudoterminals
    /// POSIX message queues of the own IPC namespace at `/dev/mqueue`.
    case messageQueues
    /// A fresh `/proc` of the own pid namespace that shows only one's own processes.
    case processes
    /// The new root becomes the root, the old one goes.
    case enterRoot
    /// A setting of the own namespaces, below `/proc/sys`.
    case setting(String, value: String)
    case hostname(String)
    /// The loopback interface of the own network namespace comes up.
    case loopback
    /// A local route: what is sent to this network arrives at the sockets of the own network namespace.
    case route(IPNetwork)
    /// A listening socket that is handed out to the network proxy.
    case listen(DoorListener)
    /// Sockets without a connection, handed out to the network proxy for published ports.
    case unconnected(count: Int)
    /// The root, `/etc` and `/dev` become read-only.
    case sealRoot
    case limit(ResourceLimit, ResourceBounds)
    case dropCapabilities
    case noNewPrivileges
    case landlock(handled: LandlockAccess, scopes: LandlockScope, rules: [LandlockRule])
    /// The system call filter, compiled; `profile` names it for people. The first process is asked about the calls that
    /// it `listens` to: it helps with renames that a staged view refuses, and reports which programs start.
    case seccomp(profile: String, program: [UInt8], listens: ListenedCalls)

    /// A private tmpfs's bounds.
    package struct Temporary: Equatable, Sendable {
        package var bytes: Int
        package var inodes: Int
        package var mode: UInt32
        package var executable: Bool
        package init(bytes: Int, inodes: Int, mode: UInt32, executable: Bool) {
            self.bytes = bytes
            self.inodes = inodes
            self.mode = mode
            self.executable = executable
        }
    }

    /// A host path that appears inside.
    package struct Bind: Equatable, Sendable {
        package enum Source: Equatable, Sendable {
            /// Looked up by the sandbox's first process in its copy of the host's mounts.
            case path(AbsolutePath)
            /// Opened and id-mapped by the supervisor (launched as root), handed in as a descriptor; `owner` is who
            /// owns it on the host.
            case prepared(AbsolutePath, ownerUID: UInt32, ownerGID: UInt32)
            /// Only opened by the supervisor, since the sandbox's id may not reach it: everyone may read it.
            case opened(AbsolutePath)
        }
        package var source: Source
        package var target: AbsolutePath
        package var writable: Bool
        package var executable: Bool
        package var isDirectory: Bool
        /// If set, the source must be this very inode: it was checked when the plan was made.
        package var identity: Identity?

        package init(
            source: Source, target: AbsolutePath, writable: Bool, executable: Bool, isDirectory: Bool,
            identity: Identity? = nil
        ) {
            self.source = source
            self.target = target
            self.writable = writable
            self.executable = executable
            self.isDirectory = isDirectory
            self.identity = identity
        }
    }

    /// A host directory that appears inside with everything below it, and a place for what is changed there.
    package struct Overlay: Equatable, Sendable {
        package var target: AbsolutePath
        /// The directory on the host: it must be this very inode. What is mounted below it does not come along.
        package var lower: AbsolutePath
        package var identity: Identity
        /// Holds `upper`, `work` and, if names are hidden, `hide`; known when the session has a directory.
        package var stage: AbsolutePath
        /// Whether names are hidden by whiteouts.
        package var hides: Bool
        /// Who owns the directory on the host; set where the supervisor maps ids (launched as root) and hands both
        /// directories in.
        package var owner: Owner?

        package init(
            target: AbsolutePath, lower: AbsolutePath, identity: Identity, stage: AbsolutePath,
            hides: Bool = false, owner: Owner? = nil
        ) {
            self.target = target
            self.lower = lower
            self.identity = identity
            self.stage = stage
            self.hides = hides
            self.owner = owner
        }
    }

    /// The owner of a file on the host.
    package struct Owner: Equatable, Sendable {
        package var uid: UInt32
        package var gid: UInt32
        package init(uid: UInt32, gid: UInt32) {
            self.uid = uid
            self.gid = gid
        }
    }

    /// Which file this is, whatever its name.
    package struct Identity: Equatable, Sendable {
        package var device: UInt64
        package var inode: UInt64
        package init(device: UInt64, inode: UInt64) {
            self.device = device
            self.inode = inode
        }
    }

    /// The place in the order. Written once, here, with the reason.
    package var rank: Int {
        switch self {
        // Root's ids must be gone before anything is made, else it would belong to root.
        case .becomeUser: 0
        // Before the first mount, which would else be seen on a host with shared mounts.
        case .makeMountsPrivate: 1
        case .mountRoot: 2
        // The tree, parents before children; the plan sorts these by path.
        case .directory, .link, .file, .temporary, .bind, .overlay, .device, .pseudoterminals,
            .messageQueues, .processes:
            3
        // On top of what was mounted.
        case .readOnly, .pin, .mask, .substitute: 5
        // Needs the fresh /proc, which becomes read-only with the masks of rank 4 unless written through before:
        // these are written through the mount's own descriptor.
        case .setting: 4
        case .enterRoot: 6
        // In the order in which they are given: routes need the loopback interface.
        case .hostname, .loopback, .route, .listen, .unconnected: 7
        // After the last change to the root.
        case .sealRoot: 8
        case .limit: 9
        // After mounts, sockets and settings, which need them.
        case .dropCapabilities: 10
        // Landlock and seccomp without capabilities demand it.
        case .noNewPrivileges: 11
        // After mounts: Landlock file rules forbid mount(2).
        case .landlock: 12
        // Last: it forbids most of the above.
        case .seccomp: 13
        }
    }

    /// How many descriptors of mounts the supervisor hands in for the step.
    package var descriptorCount: Int {
        switch self {
        case .bind(let bind):
            switch bind.source {
            case .path: 0
            case .prepared, .opened: 1
            }
        case .overlay(let overlay): overlay.owner == nil ? 0 : 2
        default: 0
        }
    }

    /// Whether the step covers a path that was mounted before.
    package var isCover: Bool { rank == 5 }

    /// The path inside that the step makes, for sorting; nil where there is none.
    package var target: AbsolutePath? {
        switch self {
        case .directory(let path, _), .link(let path, _), .file(let path, _), .temporary(let path, _),
            .readOnly(let path), .pin(let path), .mask(let path), .substitute(let path, _):
            path
        case .bind(let bind): bind.target
        case .overlay(let overlay): overlay.target
        case .device(let name, _, _): try? AbsolutePath("/dev/" + name)
        case .pseudoterminals: AbsolutePath(literal: "/dev/pts")
        case .messageQueues: AbsolutePath(literal: "/dev/mqueue")
        case .processes: AbsolutePath(literal: "/proc")
        case .becomeUser, .makeMountsPrivate, .mountRoot, .enterRoot, .setting, .hostname, .loopback, .route,
            .listen, .unconnected,
            .sealRoot, .limit, .dropCapabilities, .noNewPrivileges, .landlock, .seccomp:
            nil
        }
    }
}
