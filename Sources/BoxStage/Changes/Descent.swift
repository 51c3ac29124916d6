package import BoxKernel
package import BoxTypes
internal import CLinux
internal import Glibc

/// An open directory that several parts of a walk share.
final class OpenDirectory {
    let tree: Tree
    init(_ tree: consuming Tree) { self.tree = tree }
}

/// The way from a directory down to the one that a walk is in. Only the innermost are open, so that the depth of a tree
/// is bounded by memory alone; one that was closed is opened again from below, and it is the same or an error.
///
/// Never follows a link and never leaves the tree, whoever changes it meanwhile.
final class Descent {
    /// What the walk may do to a directory of ours that it cannot enter.
    enum Access {
        /// Nothing: an agent is at work there.
        case asIs
        /// Let ourselves in; the mode is put back when the walk leaves.
        case readable
        /// Let ourselves in to remove what is there.
        case removable

        /// The owner's permissions that the walk needs.
        var needed: UInt32 {
            switch self {
            case .asIs: 0
            case .readable: 0o500
            case .removable: 0o700
            }
        }
    }

    private struct Level {
        let name: [UInt8]
        let device: UInt64
        let inode: UInt64
        var open: OpenDirectory?
        /// The mode to put back.
        var mode: UInt32?
    }

    /// So many directories are open at once, beside the root.
    private static let limit = 24

    private let root: OpenDirectory
    private let access: Access
    private var levels: [Level] = []
    /// Levels before this one are closed.
    private var firstOpen = 0

    init(_ root: OpenDirectory, _ access: Access) {
        self.root = root
        self.access = access
    }

    /// A walk that ended by an error leaves no directory open to us that was not.
    deinit {
        while !levels.isEmpty {
            do throws(KernelError) { try leave() } catch {
                // What cannot be reached any more cannot be put back; the error of the walk itself is on its way.
                return
            }
        }
    }

    /// The directory that the walk is in.
    var current: OpenDirectory { levels.last?.open ?? root }

    var depth: Int { levels.count }

    /// Goes into a directory of the present one. `ENOTDIR` and `ELOOP`: it is none; `EXDEV`: something is mounted there.
    func enter(_ name: [UInt8]) throws(KernelError) {
        var before: UInt32?
        let opened: OpenDirectory
        do throws(KernelError) { opened = try Descent.open(name, in: current) } catch {
            guard error.code == EACCES, access.needed != 0 else { throw error }
            before = try admit(name, error)
            opened = try Descent.open(name, in: current)
        }
        let node = try Node.of(opened.tree.descriptor.number)
        if before == nil, access.needed & ~node.mode != 0, geteuid() != 0, node.uid == geteuid() {
            try check(
                "fchmod", fchmod(opened.tree.descriptor.number, node.mode | 0o700), BytePath.escaped(name))
            before = node.mode
        }
        levels.append(
            Level(name: name, device: node.device, inode: node.inode, open: opened, mode: before))
        if levels.count - firstOpen > Descent.limit {
            levels[firstOpen].open = nil
            firstOpen += 1
        }
    }

    private static func open(_ name: [UInt8], in parent: OpenDirectory) throws(KernelError) -> OpenDirectory {
        OpenDirectory(try parent.tree.directory(BytePath.root.appending(name)))
    }

    /// Lets the owner into a directory that cannot even be opened; gives the mode it had.
    private func admit(_ name: [UInt8], _ refusal: KernelError) throws(KernelError) -> UInt32 {
        let place = try current.tree.open(BytePath.root.appending(name), BOX_O_PATH | BOX_O_DIRECTORY)
        let node = try Node.of(place.number)
        guard node.uid == geteuid() else { throw refusal }
        // By the place that was looked at and not by its name, which may be another one by now.
        try check(
            "chmod", unsafe chmod("/proc/self/fd/\(place.number)", node.mode | 0o700), BytePath.escaped(name))
        return node.mode
    }

    /// Goes back to the parent. `ESTALE`: it has been moved away meanwhile.
    func leave() throws(KernelError) {
        guard let gone = levels.popLast() else { return }
        if let last = levels.indices.last, levels[last].open == nil {
            levels[last].open = try above(gone, last)
            firstOpen = last
        }
        firstOpen = min(firstOpen, levels.count)
        if let mode = gone.mode, access == .readable, let open = gone.open {
            try check("fchmod", fchmod(open.tree.descriptor.number, mode), BytePath.escaped(gone.name))
        }
    }

    private func above(_ gone: Level, _ index: Int) throws(KernelError) -> OpenDirectory {
        if let below = gone.open {
            let flags = O_RDONLY | BOX_O_DIRECTORY | O_NOFOLLOW
            let parent = try Descriptor.open("..", flags, at: below.tree.descriptor.number)
            if let same = try same(parent, levels[index]) { return same }
        }
        throw KernelError(call: "openat", code: ESTALE, subject: BytePath.escaped(levels[index].name))
    }

    private func same(
        _ found: consuming Descriptor, _ level: Level
    ) throws(KernelError) -> OpenDirectory? {
        let node = try Node.of(found.number)
        return node.device == level.device && node.inode == level.inode ? OpenDirectory(Tree(found)) : nil
    }
}

extension Tree {
    /// The kernel takes no path longer than 4095 bytes at once.
    private static let longestPiece = 4000

    /// `open(_:_:mode:)` for a path of any length.
    package borrowing func openDeep(_ path: BytePath, _ flags: CInt) throws(KernelError) -> Descriptor {
        guard path.bytes.count > Tree.longestPiece else { return try open(path, flags) }
        let slash = UInt8(ascii: "/")
        var rest = path.bytes[...]
        var place = Tree(try open(.root, BOX_O_PATH | BOX_O_DIRECTORY))
        while rest.count > Tree.longestPiece,
            let end = rest.prefix(Tree.longestPiece).lastIndex(of: slash)
        {
            place = Tree(try place.open(try Tree.path(rest[..<end]), BOX_O_PATH | BOX_O_DIRECTORY))
            rest = rest[(end + 1)...]
        }
        return try place.open(try Tree.path(rest), flags)
    }

    private static func path(_ bytes: ArraySlice<UInt8>) throws(KernelError) -> BytePath {
        guard let path = BytePath(Array(bytes)) else { throw KernelError(call: "openat2", code: EINVAL) }
        return path
    }

    /// `node(_:)` for a path of any length.
    package borrowing func nodeDeep(_ path: BytePath) throws(KernelError) -> Node? {
        do throws(KernelError) {
            let place = try openDeep(path, BOX_O_PATH)
            return try Node.of(place.number)
        } catch {
            switch error.code {
            case ENOENT, ENOTDIR, ELOOP: return nil
            default: throw error
            }
        }
    }
}
