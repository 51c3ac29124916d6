internal import BoxKernel
internal import BoxPlan
internal import BoxTypes
internal import CLinux
internal import Glibc

/// Carries out the steps of a plan. The only place that maps steps to calls of the kernel.
struct Performer: ~Copyable {
    /// The root while it is being built; gone once it is entered.
    private var root: Root?
    /// Where an empty file and an empty directory are, to cover things with.
    private var empties: Empties?
    /// Descriptors of the mounts that the supervisor prepared, in the order of the steps that use them.
    var prepared: [CInt] = []
    /// The sockets of the network door, as far as they are made.
    private var sockets: [(kind: DoorSocket, number: CInt)] = []
    /// What makes routes, once one is wanted.
    private var door: DoorMaker?
    /// Listens to the system call filter, if one is to be listened to.
    private var listener: SyscallListener?

    init() {}

    /// The network door's sockets; they are given away once.
    mutating func takeSockets() -> [(kind: DoorSocket, number: CInt)] {
        defer { sockets = [] }
        return sockets
    }

    /// What listens to the system call filter; it is given away once.
    mutating func takeListener() -> SyscallListener? { listener.take() }

    /// Carries out one step.
    mutating func perform(_ step: Step) throws(KernelError) {
        switch step {
        case .becomeUser(let uid, let gid): try Processes.become(uid: uid, gid: gid)
        case .makeMountsPrivate: try Mounts.makePrivate()
        case .mountRoot(let bytes, let inodes): try mountRoot(bytes: bytes, inodes: inodes)
        case .directory, .link, .file, .temporary, .bind, .overlay, .readOnly, .pin, .mask, .substitute,
            .device, .pseudoterminals, .messageQueues, .processes, .setting, .enterRoot:
            guard let root = root.take() else { throw KernelError(call: "root", code: ENOENT) }
            try build(step, in: root)
        case .hostname(let name):
            try check("sethostname", unsafe sethostname(name, name.utf8.count), name)
        case .loopback: try RouteSocket().bringUpLoopback()
        case .route(let network):
            if door == nil { door = try DoorMaker() }
            try door?.addRoute(network)
        case .listen(let listener):
            if let socket = try DoorSockets.open(listener) {
                sockets.append((listener.kind, socket.release()))
            }
        case .unconnected(let count):
            for _ in 0..<count { sockets.append((.unconnected, try DoorSockets.unconnected().release())) }
        case .sealRoot: try sealRoot()
        case .limit(let limit, let bounds): try Limits.set(limit, to: bounds)
        case .dropCapabilities: try Capabilities.dropAll()
        case .noNewPrivileges: try ProcessAttributes.setNoNewPrivileges()
        case .landlock(let handled, let scopes, let rules): try restrict(handled, scopes, rules)
        case .seccomp(_, let program, let listens):
            guard !program.isEmpty else {
                throw KernelError(call: "seccomp", code: EINVAL, subject: "no filter")
            }
            if !listens.isEmpty {
                listener = try SyscallListener(installing: program)
            } else {
                try SeccompFilter.install(program)
            }
        }
    }

    private mutating func mountRoot(bytes: Int, inodes: Int) throws(KernelError) {
        let mount = try Mounts.filesystem(
            "tmpfs", options: [("size", "\(bytes)"), ("nr_inodes", "\(inodes)"), ("mode", "755")],
            attributes: [.noSUID, .noDevices, .noExec])
        // Over the old root: looked up from here it stays hidden until the pivot, and needs no directory.
        try Mounts.attach(mount, over: "/")
        root = Root(mount)
    }

    /// The steps that change the tree. The root is put back afterwards, unless it was entered.
    private mutating func build(_ step: Step, in root: consuming Root) throws(KernelError) {
        switch step {
        case .directory(let path, let mode): try root.makeDirectory(path, mode: mode)
        case .link(let path, let target): try root.makeLink(path, to: target)
        case .file(let path, let content): try root.makeFile(path, content: content)
        case .temporary(let path, let bounds): try Performer.mount(bounds, at: path, in: root)
        case .bind(let bind): try mount(bind, in: root)
        case .overlay(let overlay): try mount(overlay, in: root)
        case .readOnly(let path):
            try Performer.cover(path, in: root, adding: [.readOnly, .noSUID, .noDevices])
        case .pin(let path): try Performer.cover(path, in: root, adding: [.noSUID, .noDevices])
        case .mask(let path): try mask(path, in: root)
        case .substitute(let path, let other): try Performer.substitute(path, by: other, in: root)
        case .device(let name, let major, let minor): try Performer.device(name, major, minor, in: root)
        case .pseudoterminals:
            try Performer.mount(
                "devpts", [("newinstance", ""), ("ptmxmode", "0666"), ("mode", "0620")], [.noSUID, .noExec],
                at: AbsolutePath(literal: "/dev/pts"), in: root)
        case .messageQueues:
            try Performer.mount(
                "mqueue", [], [.noSUID, .noDevices, .noExec], at: AbsolutePath(literal: "/dev/mqueue"),
                in: root)
        case .processes:
            try Performer.mount(
                "proc", [("hidepid", "2")], [.noSUID, .noDevices, .noExec],
                at: AbsolutePath(literal: "/proc"), in: root)
        case .setting(let name, let value): try root.writeSetting(name, value: value)
        case .enterRoot:
            try root.enter()
            return
        case .becomeUser, .makeMountsPrivate, .mountRoot, .hostname, .loopback, .route, .listen, .unconnected,
            .sealRoot, .limit, .dropCapabilities, .noNewPrivileges, .landlock, .seccomp:
            throw KernelError(call: "build", code: EINVAL, subject: step.name)
        }
        self.root = consume root
    }

    // MARK: - Mounting

    private static func mount(
        _ type: String, _ options: [(key: String, value: String)], _ attributes: MountAttributes,
        at path: AbsolutePath, in root: borrowing Root
    ) throws(KernelError) {
        try root.makeDirectory(path)
        let mount = try Mounts.filesystem(type, options: options, attributes: attributes)
        try root.attach(mount, at: path)
    }

    private static func mount(
        _ bounds: Step.Temporary, at path: AbsolutePath, in root: borrowing Root
    ) throws(KernelError) {
        let options = [
            (key: "size", value: "\(bounds.bytes)"), (key: "nr_inodes", value: "\(bounds.inodes)"),
            (key: "mode", value: String(bounds.mode, radix: 8)),
        ]
        let attributes: MountAttributes =
            bounds.executable ? [.noSUID, .noDevices] : [.noSUID, .noDevices, .noExec]
        try mount("tmpfs", options, attributes, at: path, in: root)
    }

    private mutating func mount(_ bind: Step.Bind, in root: borrowing Root) throws(KernelError) {
        let mount: Descriptor
        switch bind.source {
        case .path(let path): mount = try Mounts.clone(path.string, recursive: true)
        case .prepared(let path, _, _), .opened(let path): mount = try takePrepared(path)
        }
        if let identity = bind.identity {
            try Performer.verify(mount, is: identity, bind.target)
        }
        let attributes: MountAttributes = [
            .noSUID, .noDevices, bind.writable ? [] : .readOnly, bind.executable ? [] : .noExec,
        ]
        try Mounts.set(attributes, on: mount, recursive: true)
        guard bind.isDirectory else { return try root.attach(mount, onNewFile: bind.target) }
        try root.makeDirectory(bind.target)
        try root.attach(mount, at: bind.target)
    }

    private mutating func mount(_ overlay: Step.Overlay, in root: borrowing Root) throws(KernelError) {
        let lower: Descriptor
        let stage: Descriptor
        if overlay.owner == nil {
            lower = try Mounts.clone(overlay.lower.string, recursive: false)
            stage = try Mounts.clone(overlay.stage.string, recursive: false)
        } else {
            lower = try takePrepared(overlay.lower)
            stage = try takePrepared(overlay.stage)
        }
        try Performer.verify(lower, is: overlay.identity, overlay.target)
        let mount = try root.overlay(lower: lower, stage: stage, hides: overlay.hides)
        try Mounts.set([.noSUID, .noDevices], on: mount, recursive: false)
        try root.makeDirectory(overlay.target)
        try root.attach(mount, at: overlay.target)
    }

    /// The next mount that the supervisor handed in.
    private mutating func takePrepared(_ path: AbsolutePath) throws(KernelError) -> Descriptor {
        guard !prepared.isEmpty else {
            throw KernelError(call: "prepared mount", code: EBADF, subject: path.string)
        }
        return Descriptor(owning: prepared.removeFirst())
    }

    private static func verify(
        _ mount: borrowing Descriptor, is identity: Step.Identity, _ target: AbsolutePath
    ) throws(KernelError) {
        let status = try FileStatus.of(mount.number)
        guard status.device == identity.device, status.inode == identity.inode else {
            // Replaced since the plan was made.
            throw KernelError(call: "open_tree", code: ESTALE, subject: target.string)
        }
    }

    /// Mounts an existing path over itself with more attributes.
    private static func cover(
        _ path: AbsolutePath, in root: borrowing Root, adding attributes: MountAttributes
    ) throws(KernelError) {
        let place: Descriptor
        do throws(KernelError) { place = try root.place(path) } catch {
            // A knob that this kernel does not have.
            if error.code == ENOENT, path.isSame(orBelow: Performer.proc) { return }
            throw error
        }
        let mount = try Mounts.clone("", at: place.number, recursive: true)
        try Mounts.set(attributes, on: mount, recursive: true)
        try Mounts.attach(mount, on: place, path.string)
    }

    /// Mounts one file inside over another, read-only.
    private static func substitute(
        _ path: AbsolutePath, by other: AbsolutePath, in root: borrowing Root
    ) throws(KernelError) {
        let place = try root.place(path)
        let source = try root.place(other)
        let mount = try Mounts.clone("", at: source.number, recursive: false)
        try Mounts.set([.readOnly, .noSUID, .noDevices, .noExec], on: mount, recursive: false)
        try Mounts.attach(mount, on: place, path.string)
    }

    private static func device(
        _ name: String, _ major: UInt32, _ minor: UInt32, in root: borrowing Root
    ) throws(KernelError) {
        let mount = try Mounts.clone("/dev/" + name, recursive: false)
        let status = try FileStatus.of(mount.number)
        // Whatever lies at the name on the host, only the device itself may get in.
        guard status.kind == .characterDevice, status.special == (major, minor) else {
            throw KernelError(call: "device", code: ENODEV, subject: "/dev/" + name)
        }
        try Mounts.set([.noSUID, .noExec], on: mount, recursive: false)
        guard let target = try? AbsolutePath("/dev/" + name) else {
            throw KernelError(call: "device", code: EINVAL, subject: name)
        }
        try root.attach(mount, onNewFile: target)
    }

    // MARK: - Masks

    private static let proc = AbsolutePath(literal: "/proc")
    /// Covers a path with nothing.
    private mutating func mask(_ path: AbsolutePath, in root: borrowing Root) throws(KernelError) {
        let empties: Empties
        if let made = self.empties { empties = made } else { empties = try Empties.make() }
        self.empties = empties
        guard path.isSame(orBelow: Performer.proc) else { return try maskCarefully(path, empties, in: root) }
        // A fresh /proc has no links that lead elsewhere, so its files can be covered by one call each.
        do throws(KernelError) { try root.cover(path, with: empties.file) } catch {
            switch error.code {
            case ENOENT: return
            case ENOTDIR: try root.cover(path, with: empties.directory)
            default: throw error
            }
        }
    }

    private func maskCarefully(
        _ path: AbsolutePath, _ empties: Empties, in root: borrowing Root
    ) throws(KernelError) {
        let place: Descriptor
        do throws(KernelError) { place = try root.place(path) } catch {
            if error.code == ENOENT { return }
            throw error
        }
        let isDirectory = try FileStatus.of(place.number).kind == .directory
        let mount = try Mounts.clone(isDirectory ? empties.directory : empties.file, recursive: false)
        try Mounts.attach(mount, on: place, path.string)
    }

    /// An empty file and an empty directory on a read-only mount: what is mounted from it is read-only, too. They lie
    /// in the old root, over a place that nothing is mounted from, and go with it.
    private struct Empties {
        let file: String
        let directory: String

        static func make() throws(KernelError) -> Empties {
            let mount = try Mounts.filesystem(
                "tmpfs", options: [("size", "4096"), ("nr_inodes", "8"), ("mode", "555")], attributes: [])
            _ = try Descriptor.open("file", O_CREAT | O_WRONLY | O_EXCL, mode: 0o444, at: mount.number)
            try check("mkdir", unsafe mkdirat(mount.number, "directory", 0o555))
            try Mounts.set([.readOnly, .noSUID, .noDevices, .noExec], on: mount, recursive: false)
            let place = unsafe access("/sys", F_OK) == 0 ? "/sys" : "/dev"
            try Mounts.attach(mount, over: place)
            return Empties(file: place + "/file", directory: place + "/directory")
        }
    }

    private func sealRoot() throws(KernelError) {
        let place = try Descriptor.open("/", BOX_O_PATH | O_DIRECTORY)
        try Mounts.set([.readOnly], on: place, recursive: false)
    }

    // MARK: - Landlock

    private func restrict(
        _ handled: LandlockAccess, _ scopes: LandlockScope, _ rules: [LandlockRule]
    ) throws(KernelError) {
        var ruleset = try LandlockRuleset(handling: handled, scopes: scopes).create()
        for rule in rules {
            let path = try Descriptor.open(rule.path.string, BOX_O_PATH)
            try ruleset.allow(rule.access, below: path)
        }
        _ = try ruleset.restrictSelf()
    }
}
