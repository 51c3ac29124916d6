internal import BoxKernel
package import BoxPlan
package import BoxPolicy
package import BoxTypes
internal import CLinux
internal import Glibc

/// The home of an agent, `homes/NAME` in the state directory: its logins, histories and caches, separate from the user's
/// and from other agents'. It lasts from session to session, and sessions of one agent share it as they would share
/// the user's.
package struct AgentHome: Equatable, Sendable {
    package let name: String
    package let path: AbsolutePath
    private let home: Policy.Agent.Home
    private let userHome: AbsolutePath
    private let state: AbsolutePath

    /// How the agent gets its login.
    package enum Login: String, Equatable, Sendable, CaseIterable {
        /// The files of the user's own login are copied.
        case `import`
        /// The user logs in inside, in a first session in which the agent's settings are writable.
        case fresh
        /// There is none: a key in the environment, or a model that needs none.
        case none
    }

    /// Whether the agent may change its settings in this session.
    package enum Mode: Equatable, Sendable { case setup, secured }

    package init(
        name: String, home: Policy.Agent.Home, places: PolicyPlaces
    ) throws(SessionError) {
        self.name = name
        self.home = home
        userHome = places.home
        state = places.state
        do throws(AbsolutePath.Refusal) { path = try places.state.appending("homes/\(name)") } catch {
            throw SessionError(step: "find the agent's home", reason: "\(error)")
        }
    }

    /// Whether it was made already.
    package var exists: Bool { unsafe access(record, F_OK) == 0 }

    /// The files of the user's login that there are, relative to the home.
    package var importable: [String] {
        home.login.filter { (try? FileStatus.of(userHome.string + "/" + $0, following: true))?.kind == .file }
    }

    /// The paths of those files, for people.
    package var importablePaths: [String] { importable.map { "~/\($0)" } }

    // MARK: - Making

    /// Makes the home, if it is not there, and what it must have; brings the login in, if one is said.
    package func prepare(login: Login?, mode: Mode) throws(SessionError) {
        let directory = try StateDirectory.make("homes/\(name)", in: state)
        // Another session may begin at the same time: it must not get a seed over what this one's agent wrote.
        let lock = try PolicyLock(state: state, name: "homes/\(name).lock")
        let isNew = !exists
        do throws(KernelError) {
            let tree = try Tree.open(directory)
            if login == .import { for file in importable { try bring(file, into: tree) } }
            for (file, content) in home.seed.sorted(by: { $0.key < $1.key }) {
                try make(file, content: Array(content.utf8), in: tree)
            }
            if mode == .secured { for name in secured { try secure(name, in: tree) } }
            if isNew { try writeRecord(login ?? .none) }
        } catch {
            throw SessionError(
                step: "make the home of \(name)", error,
                hint: error.code == ELOOP || error.code == ENOTDIR
                    ? "The agent put a link there. Look at \(path), and remove it" : "")
        }
        lock.release()
    }

    /// What planning needs; nothing is made.
    package func facts(_ mode: Mode) -> HostFacts.AgentHome {
        HostFacts.AgentHome(
            name: name, path: path, uid: geteuid(), gid: getegid(),
            secured: mode == .setup ? [] : secured.map(AgentHome.plain))
    }

    /// What the agent may not change after the set-up: its own settings, and what shells and git run in every session.
    private var secured: [String] {
        home.secured + AgentHome.startFiles.filter { !home.secured.contains($0) }
    }

    private static let startFiles = [
        ".bashrc", ".bash_profile", ".bash_login", ".profile", ".zshenv", ".zprofile", ".zshrc", ".gitconfig",
        ".config/git/",
    ]

    private var record: String { state.string + "/homes/\(name).json" }

    private func writeRecord(_ login: Login) throws(KernelError) {
        let text =
            JSONOutput.object([("version", .number(1)), ("login", .text(login.rawValue))]).pretty + "\n"
        let file = try Descriptor.open(
            record, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: 0o600)
        try file.write(all: Array(text.utf8))
    }

    private static func plain(_ name: String) -> String {
        name.hasSuffix("/") ? String(name.dropLast()) : name
    }

    // MARK: - Files

    /// Copies a file of the user's login. It may be a link of the user's own; what is made is none.
    private func bring(_ name: String, into tree: borrowing Tree) throws(KernelError) {
        let from = try Descriptor.open(userHome.string + "/" + name, O_RDONLY | O_NONBLOCK)
        guard try FileStatus.of(from.number).kind == .file else {
            throw KernelError(call: "open", code: EINVAL, subject: "~/\(name)")
        }
        let bytes = try from.readAll(limit: 16 << 20)
        try write(name, bytes, in: tree, replacing: true)
    }

    private func make(_ name: String, content: [UInt8], in tree: borrowing Tree) throws(KernelError) {
        try write(name, content, in: tree, replacing: false)
    }

    /// Sees to it that what the agent may not change exists, so that it cannot be made, either.
    private func secure(_ name: String, in tree: borrowing Tree) throws(KernelError) {
        let isDirectory = name.hasSuffix("/")
        guard let path = BytePath(AgentHome.plain(name)) else { return }
        try makeParents(of: path, in: tree)
        guard let node = try tree.node(path) else {
            if isDirectory {
                let parent = try tree.directory(path.parent)
                let made = unsafe withCName(path.name) { unsafe mkdirat(parent.descriptor.number, $0, 0o700) }
                try check("mkdirat", made, name)
            } else {
                try write(name, [], in: tree, replacing: false)
            }
            return
        }
        let isRight = isDirectory ? node.kind == .directory : node.kind == .file
        guard isRight else { throw KernelError(call: "secure", code: ENOTDIR, subject: name) }
    }

    private func write(
        _ name: String, _ bytes: [UInt8], in tree: borrowing Tree, replacing: Bool
    ) throws(KernelError) {
        guard let path = BytePath(name) else { return }
        try makeParents(of: path, in: tree)
        if !replacing, try tree.node(path) != nil { return }
        let parent = try tree.directory(path.parent)
        // Whole or not at all, and never through a link that the agent may have made.
        guard let temporary = BytePath(".box-new-\(getpid())") else { return }
        let file = try parent.open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: 0o600)
        try file.write(all: bytes)
        let moved = unsafe withCName(temporary.name) { from in
            unsafe withCName(path.name) { to in
                unsafe renameat(parent.descriptor.number, from, parent.descriptor.number, to)
            }
        }
        try check("renameat", moved, name)
    }

    private func makeParents(of path: BytePath, in tree: borrowing Tree) throws(KernelError) {
        for directory in path.ancestors {
            let parent = try tree.directory(directory.parent)
            let made = unsafe withCName(directory.name) {
                unsafe mkdirat(parent.descriptor.number, $0, 0o700)
            }
            guard made == 0 || errno == EEXIST else {
                throw KernelError(call: "mkdirat", code: errno, subject: directory.escaped)
            }
        }
    }
}
