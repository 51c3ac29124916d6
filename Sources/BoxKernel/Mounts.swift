package import BoxTypes
internal import CLinux
internal import Glibc

/// Attributes of one mount (mount_setattr(2)).
package struct MountAttributes: OptionSet, Sendable {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }

    /// The standard library's own is generic over any sequence, and shows in the time of a start.
    package init(arrayLiteral elements: Self...) {
        var bits: UInt64 = 0
        for element in elements { bits |= element.rawValue }
        rawValue = bits
    }

    package static let readOnly = MountAttributes(rawValue: BOX_MOUNT_RDONLY)
    package static let noSUID = MountAttributes(rawValue: BOX_MOUNT_NOSUID)
    package static let noDevices = MountAttributes(rawValue: BOX_MOUNT_NODEV)
    package static let noExec = MountAttributes(rawValue: BOX_MOUNT_NOEXEC)
}

/// The mount calls, by descriptor: what is mounted where is decided by open files, not by names that may change.
package enum Mounts {
    /// Cuts the tie of propagation to the mounts this namespace was copied from.
    package static func makePrivate() throws(KernelError) {
        try check("mount", box_make_mounts_private(), "/")
    }

    /// A new instance of a file system, not yet attached anywhere.
    package static func filesystem(
        _ type: String, options: [(key: String, value: String)], attributes: MountAttributes
    ) throws(KernelError) -> Descriptor {
        let context = Descriptor(owning: try check("fsopen", unsafe box_fsopen(type), type))
        for option in options {
            let result =
                option.value.isEmpty
                ? unsafe box_fsconfig_flag(context.number, option.key)
                : unsafe box_fsconfig_string(context.number, option.key, option.value)
            try check("fsconfig", result, "\(type) \(option.key)=\(option.value)")
        }
        try check("fsconfig", box_fsconfig_create(context.number), type)
        let mount = try check("fsmount", box_fsmount(context.number, attributes.rawValue), type)
        return Descriptor(owning: mount)
    }

    /// A private copy of the mount at a path, with everything below it if `recursive`; not yet attached.
    package static func clone(
        _ path: String, at directory: CInt = Descriptor.workingDirectory, recursive: Bool
    ) throws(KernelError) -> Descriptor {
        var flags = BOX_OPEN_TREE_CLONE
        if recursive { flags |= BOX_AT_RECURSIVE }
        if path.isEmpty { flags |= BOX_AT_EMPTY_PATH }
        return Descriptor(owning: try check("open_tree", unsafe box_open_tree(directory, path, flags), path))
    }

    /// Adds attributes to a mount, and to all below it if `recursive`; `idMap` is a user namespace whose map is
    /// applied to the owners of files.
    package static func set(
        _ attributes: MountAttributes, clear: MountAttributes = [], on mount: borrowing Descriptor,
        recursive: Bool, idMap: CInt = -1
    ) throws(KernelError) {
        let result = box_mount_setattr(
            mount.number, recursive ? 1 : 0, attributes.rawValue, clear.rawValue, idMap)
        try check("mount_setattr", result, idMap >= 0 ? "idmap" : "")
    }

    /// Attaches a detached mount on the file or directory that `target` is open on.
    package static func attach(
        _ mount: borrowing Descriptor, on target: borrowing Descriptor, _ subject: String
    ) throws(KernelError) {
        try check("move_mount", unsafe box_move_mount(mount.number, target.number, ""), subject)
    }

    /// Attaches a detached mount over a path of the host, as seen in this namespace.
    package static func attach(_ mount: borrowing Descriptor, over path: String) throws(KernelError) {
        try check("move_mount", unsafe box_move_mount(mount.number, Descriptor.workingDirectory, path), path)
    }

    /// Makes the mount that `root` is open on the root of this process, and lets go of the old one.
    package static func pivot(to root: borrowing Descriptor) throws(KernelError) {
        try check("fchdir", fchdir(root.number), "new root")
        // Both arguments the same: the old root ends up stacked below the new one, and needs no directory.
        try check("pivot_root", unsafe box_pivot_root(".", "."))
        try check("umount2", unsafe box_detach_mount("."), "old root")
        try check("chdir", unsafe chdir("/"), "/")
    }
}

/// The sandbox's root while it is being built: every path is looked up below it, and no link is followed.
package struct Root: ~Copyable {
    private let descriptor: Descriptor

    package init(_ descriptor: consuming Descriptor) { self.descriptor = descriptor }

    private static func relative(_ path: AbsolutePath) -> String {
        path == .root ? "." : String(path.string.dropFirst())
    }

    /// Opens an existing path inside as a place (`O_PATH`).
    package borrowing func place(_ path: AbsolutePath) throws(KernelError) -> Descriptor {
        let flags = UInt64(BOX_O_PATH | BOX_O_NOFOLLOW)
        let resolve = BOX_RESOLVE_BENEATH | BOX_RESOLVE_NO_SYMLINKS | BOX_RESOLVE_NO_MAGICLINKS
        let number = unsafe box_openat2(descriptor.number, Root.relative(path), flags, 0, resolve)
        return Descriptor(owning: try check("openat2", number, path.string))
    }

    /// Makes a directory and its parents; existing ones are kept as they are.
    package borrowing func makeDirectory(_ path: AbsolutePath, mode: UInt32 = 0o755) throws(KernelError) {
        // Mostly the parents are there already.
        do throws(KernelError) { try makeOneDirectory(path, mode: mode) } catch {
            guard error.code == ENOENT else { throw error }
            for parent in path.ancestors { try makeOneDirectory(parent, mode: 0o755) }
            try makeOneDirectory(path, mode: mode)
        }
    }

    private borrowing func makeOneDirectory(_ path: AbsolutePath, mode: UInt32) throws(KernelError) {
        guard unsafe mkdirat(descriptor.number, Root.relative(path), mode) == 0 else {
            guard errno == EEXIST else { throw KernelError(call: "mkdir", code: errno, subject: path.string) }
            return
        }
        // mkdir's mode is cut by the umask; sticky /tmp needs all its bits.
        if mode != 0o755 {
            try check("chmod", unsafe fchmodat(descriptor.number, Root.relative(path), mode, 0), path.string)
        }
    }

    /// Makes an empty file to mount over; an existing one is kept.
    package borrowing func makeFile(_ path: AbsolutePath, content: String = "") throws(KernelError) {
        let file: Descriptor
        do throws(KernelError) { file = try openNew(path) } catch {
            guard error.code == ENOENT else { throw error }
            try makeDirectory(path.parent)
            file = try openNew(path)
        }
        if !content.isEmpty { try file.write(all: Array(content.utf8)) }
    }

    private borrowing func openNew(_ path: AbsolutePath) throws(KernelError) -> Descriptor {
        try Descriptor.open(
            Root.relative(path), O_CREAT | O_WRONLY | O_NOFOLLOW | O_NONBLOCK, mode: 0o644,
            at: descriptor.number)
    }

    /// Makes a symbolic link.
    package borrowing func makeLink(_ path: AbsolutePath, to target: String) throws(KernelError) {
        if path.parent != .root { try makeDirectory(path.parent) }
        try check("symlink", unsafe symlinkat(target, descriptor.number, Root.relative(path)), path.string)
    }

    /// Attaches a mount at an existing path inside.
    package borrowing func attach(_ mount: borrowing Descriptor, at path: AbsolutePath) throws(KernelError) {
        let place = try place(path)
        try Mounts.attach(mount, on: place, path.string)
    }

    /// Attaches a mount on a file that is made for it; an existing one is kept.
    package borrowing func attach(_ mount: borrowing Descriptor, onNewFile path: AbsolutePath)
        throws(KernelError)
    {
        let file: Descriptor
        do throws(KernelError) { file = try openNew(path) } catch {
            switch error.code {
            case ENOENT:
                try makeDirectory(path.parent)
                file = try openNew(path)
            // There is one already, in a mount that is read-only or not ours.
            case EACCES, EROFS, EISDIR, ENXIO, ETXTBSY: file = try place(path)
            default: throw error
            }
        }
        try Mounts.attach(mount, on: file, path.string)
    }

    /// Covers a path with what lies at a path of the old root, in one call. Links are followed, so this is only for
    /// trees that nobody else can have changed.
    package borrowing func cover(_ path: AbsolutePath, with source: String) throws(KernelError) {
        try changeDirectory()
        let result = unsafe box_bind(source, Root.relative(path))
        try check("mount", result, path.string)
    }

    /// Makes relative paths start at the new root.
    borrowing func changeDirectory() throws(KernelError) {
        try check("fchdir", fchdir(descriptor.number), "new root")
    }

    /// Writes a setting through the `/proc` inside.
    package borrowing func writeSetting(_ name: String, value: String) throws(KernelError) {
        let path = "proc/sys/" + name
        let file = try Descriptor.open(path, O_WRONLY, at: descriptor.number)
        do throws(KernelError) { try file.write(all: Array(value.utf8)) } catch {
            throw KernelError(call: "write", code: error.code, subject: "/" + path)
        }
    }

    /// Makes this the root of the process.
    package consuming func enter() throws(KernelError) { try Mounts.pivot(to: descriptor) }
}

/// What a path is, without following a link at its end.
package struct FileStatus: Equatable, Sendable {
    package enum Kind: Equatable, Sendable { case directory, file, link, characterDevice, other }
    package let kind: Kind
    package let isSocket: Bool
    package let uid: UInt32
    package let gid: UInt32
    package let device: UInt64
    package let inode: UInt64
    package let size: Int
    package let mode: UInt32
    /// The device's own number, for device files: major and minor.
    package let special: (major: UInt32, minor: UInt32)
    package let modified: Int

    package static func == (left: FileStatus, right: FileStatus) -> Bool {
        left.device == right.device && left.inode == right.inode
    }

    private init(_ raw: stat) {
        switch raw.st_mode & S_IFMT {
        case S_IFDIR: kind = .directory
        case S_IFREG: kind = .file
        case S_IFLNK: kind = .link
        case S_IFCHR: kind = .characterDevice
        default: kind = .other
        }
        isSocket = raw.st_mode & S_IFMT == S_IFSOCK
        uid = raw.st_uid
        gid = raw.st_gid
        device = UInt64(raw.st_dev)
        inode = UInt64(raw.st_ino)
        size = Int(raw.st_size)
        mode = raw.st_mode & 0o7777
        let number = UInt64(raw.st_rdev)
        special = (
            UInt32(truncatingIfNeeded: (number >> 8) & 0xfff | (number >> 32) & ~0xfff),
            UInt32(truncatingIfNeeded: number & 0xff | (number >> 12) & ~0xff)
        )
        modified = raw.st_mtim.tv_sec
    }

    /// The status of an open file or place.
    package static func of(_ descriptor: CInt) throws(KernelError) -> FileStatus {
        var raw = stat()
        try check("fstat", unsafe fstat(descriptor, &raw))
        return FileStatus(raw)
    }

    /// The status of a path; a link at its end is followed only if `following`.
    package static func of(
        _ path: String, following: Bool, at directory: CInt = Descriptor.workingDirectory
    ) throws(KernelError) -> FileStatus {
        var raw = stat()
        let flags = following ? 0 : AT_SYMLINK_NOFOLLOW
        try check("stat", unsafe fstatat(directory, path, &raw, flags), path)
        return FileStatus(raw)
    }
}
