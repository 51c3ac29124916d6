internal import BoxKernel
internal import BoxTypes
internal import CLinux
internal import Glibc

/// A directory that must be moved to the upper layer before it can be renamed.
final class MovedDirectory {
    /// The directory that holds it.
    let parent: Tree
    let name: [UInt8]
    let node: Node
    /// Its path, to tell whether two are one in the other.
    let path: [UInt8]
    /// What its stand-in is called while it is made, beside it.
    let temporary: [UInt8]
    /// When the upper layer was made; nil if that is not known.
    let stageMade: Node.Time?

    init(_ name: [UInt8], in parent: consuming Tree, _ node: Node, _ stages: Stages) throws(KernelError) {
        path = try DirectoryMove.path(of: parent) + [UInt8(ascii: "/")] + name
        self.parent = parent
        self.name = name
        self.node = node
        stageMade = stages.made[node.device]
        let number = String(UInt64.random(in: .min ... .max), radix: 36)
        temporary = Array(".box-moving-\(number)".utf8)
    }
}

/// What must be moved for one rename: one directory, or with RENAME_EXCHANGE two.
struct DirectoryMove {
    private let directories: [MovedDirectory]
    /// The path of the directory that the rename moves something into.
    private let target: [UInt8]

    /// What a look at a rename says.
    enum Look {
        /// There is nothing to move, or the kernel would refuse the rename in any case.
        case nothing
        /// The target is a directory with something in it. An overlay refuses for the source's layer first, which would
        /// send the program on the long way by copies.
        case full
        case move(DirectoryMove)
    }

    /// Looks at a rename. A refusal that is foreseen wrongly costs nothing but the help; one that is not foreseen costs
    /// a move for nothing.
    static func look(
        at rename: RenameCall, _ listener: borrowing SyscallListener, _ stages: Stages
    ) throws(KernelError) -> Look {
        let task = rename.call.task
        guard let memory = TaskMemory(task),
            let sourceText = memory.text(at: rename.source.address),
            let targetText = memory.text(at: rename.target.address),
            let sourcePath = TaskPath(sourceText, rename.source, task: task),
            let targetPath = TaskPath(targetText, rename.target, task: task),
            let from = sourcePath.openDirectory(), let into = targetPath.openDirectory(),
            // From here on all is about the directories that are open now, whoever has the task's number.
            listener.waits(rename.call), let node = try from.child(sourcePath.name)
        else { return .nothing }
        let other = try into.child(targetPath.name)
        guard try check("fstatfs", box_is_overlay(from.descriptor.number)) == 1,
            try mayHappen(from, into, node, other, rename.flags)
        else { return .nothing }
        let target = try path(of: into)
        var isFull = false
        if !rename.exchanges, let other {
            guard other.kind == .directory else { return .nothing }
            isFull = !(try into.directory(BytePath.root.appending(targetPath.name)).names().isEmpty)
        }
        var directories: [MovedDirectory] = []
        if node.kind == .directory {
            directories.append(try MovedDirectory(sourcePath.name, in: from, node, stages))
        }
        if rename.exchanges, let other, other.kind == .directory {
            directories.append(try MovedDirectory(targetPath.name, in: into, other, stages))
        }
        // Nothing can be moved into itself.
        for directory in directories where isSame(target, orBelow: directory.path) { return .nothing }
        if directories.isEmpty { return .nothing }
        if isFull { return .full }
        return .move(DirectoryMove(directories: directories, target: target))
    }

    /// Whether the two places are such that a rename between them can happen.
    private static func mayHappen(
        _ from: borrowing Tree, _ into: borrowing Tree, _ node: Node, _ other: Node?, _ flags: UInt64
    ) throws(KernelError) -> Bool {
        let (here, there) = (try Node.of(from.descriptor.number), try Node.of(into.descriptor.number))
        let isSamePlace = here.device == there.device && here.inode == there.inode
        // Between file systems a rename is EXDEV everywhere; a mount cannot be renamed.
        guard here.device == there.device, here.device == node.device || node.kind != .directory,
            mayChange(from), isSamePlace || mayChange(into)
        else { return false }
        // To get another parent a directory must be writable.
        if !isSamePlace, node.kind == .directory, node.mode & 0o200 == 0 { return false }
        if let other {
            // Two names of one file: nothing happens.
            if other.device == node.device, other.inode == node.inode { return false }
            return flags != RenameFlags.noReplace
        }
        return flags != RenameFlags.exchange
    }

    private static func mayChange(_ directory: borrowing Tree) -> Bool {
        unsafe faccessat(directory.descriptor.number, ".", W_OK | X_OK, 0) == 0
    }

    /// Whether the two are about the same files: then one waits for the other.
    func overlaps(_ other: DirectoryMove) -> Bool {
        for mine in directories {
            if DirectoryMove.isSame(other.target, orBelow: mine.path) { return true }
            for its in other.directories {
                if DirectoryMove.isSame(mine.path, orBelow: its.path) { return true }
                if DirectoryMove.isSame(its.path, orBelow: mine.path) { return true }
            }
        }
        return other.directories.contains { DirectoryMove.isSame(target, orBelow: $0.path) }
    }

    /// Whether the kernel would, as far as can be told at once, refuse for a directory's layer.
    ///
    /// An overlay says of a directory that has both layers that it has one link; one of a single layer has two or more,
    /// where the file system below counts them. A change of the mode that changes nothing gives a directory of the lower
    /// layer an upper one, so after it two links mean: it lies in the upper layer alone.
    var isNeeded: Bool {
        for directory in directories {
            if directory.node.links < 2 { return true }
            do throws(KernelError) {
                let place = try directory.parent.open(
                    BytePath.root.appending(directory.name), BOX_O_PATH | BOX_O_DIRECTORY)
                try Mover.setMode(directory.node.mode, of: place)
                if try Node.of(place.number).links < 2 { return true }
            } catch {
                // Another's directory has to be tried. Else it is gone, or nothing can be written here.
                if error.code == EPERM { return true }
            }
        }
        return false
    }

    /// Starts a child that moves the directories; nil if there cannot be one.
    func start() -> CInt? {
        let pid = fork()
        if pid == 0 { moveAll() }
        return pid < 0 ? nil : pid
    }

    /// The child. It has this process's rights, which are those of everything in the sandbox.
    private func moveAll() -> Never {
        var all = sigset_t()
        unsafe sigfillset(&all)
        unsafe sigprocmask(SIG_SETMASK, &all, nil)
        DirectoryMove.closeAll(but: directories.map { $0.parent.descriptor.number })
        var status: CInt = 0
        for directory in directories where status == 0 {
            var mover = Mover(directory)
            do throws(KernelError) { try mover.run() } catch { status = 1 }
        }
        _exit(status)
    }

    /// Neither the way to the supervisor nor the listener is a child's.
    private static func closeAll(but kept: [CInt]) {
        var next: CInt = 0
        for number in kept.sorted() {
            if number > next { box_close_range(UInt32(next), UInt32(number - 1), 0) }
            next = max(next, number + 1)
        }
        box_close_range(UInt32(next), UInt32.max, 0)
    }

    // MARK: - Paths

    /// The path of an open directory as this process sees it.
    fileprivate static func path(of directory: borrowing Tree) throws(KernelError) -> [UInt8] {
        var text = [CChar](repeating: 0, count: 4096)
        let name = "/proc/self/fd/\(directory.descriptor.number)"
        let length = try check("readlink", unsafe readlink(name, &text, text.count), name)
        return text.prefix(length).map { UInt8(bitPattern: $0) }
    }

    private static func isSame(_ path: [UInt8], orBelow other: [UInt8]) -> Bool {
        path.starts(with: other) && (path.count == other.count || path[other.count] == UInt8(ascii: "/"))
    }
}
