internal import BoxKernel
internal import BoxTypes
internal import CLinux
internal import Glibc

/// Puts a directory of the upper layer alone in the place of one that the overlay cannot rename, with the same content.
///
/// First all that may fail for want of room is done in place: files are copied up. Then each child goes by a rename of
/// its own into a directory beside; so no file is ever missing from both, and one that a program writes meanwhile is the
/// very one that moves. In the end the new directory replaces the old one, which is empty by then. If anything fails,
/// all goes back. If this process is killed, another one that does the same goes on where it was.
struct Mover: ~Copyable {
    private let directory: MovedDirectory
    private let rename = UnaskedRename()
    private var copies: CopyUp

    /// How deep directories may lie in each other; each level has two open descriptors.
    private static let deepest = 400
    /// How long a directory is looked at again because there was something new in it when it should have been empty, in
    /// milliseconds: a program that makes files faster than they can be moved would never let it end.
    private static let longestRounds = 5000

    init(_ directory: MovedDirectory) {
        self.directory = directory
        copies = CopyUp(
            stageMade: directory.stageMade, temporary: directory.temporary + Array("-copy".utf8))
    }

    /// Does all of it, or throws and leaves everything where it was. A directory that can be renamed stays as it is.
    mutating func run() throws(KernelError) {
        let (parent, temporary) = (directory.parent.descriptor.number, directory.temporary)
        try Mover.make(temporary, in: parent)
        let new = try Mover.open(temporary, in: directory.parent)
        defer { Mover.remove(temporary, in: parent) }
        try mark(new.tree)
        defer { unmark(new.tree) }
        guard try isRefused(directory.name, in: directory.parent) else { return }
        let old = try Mover.open(directory.name, in: directory.parent)
        do throws(KernelError) {
            copies.clear(new.tree)
            try copyUp(old.tree, old.tree, .root, by: new.tree, depth: 0)
            unmark(new.tree)
            try replace(old.tree, by: new.tree)
        } catch {
            unmark(new.tree)
            moveBack(from: new.tree, to: old.tree)
            Mover.restore(directory.node, on: old.tree)
            throw error
        }
    }

    /// Puts something into the new directory: then it is never replaced by the attempt to rename another to its name.
    private borrowing func mark(_ new: borrowing Tree) throws(KernelError) {
        _ = try new.open(BytePath.root.appending(directory.temporary), O_WRONLY | O_CREAT, mode: 0o600)
    }

    private borrowing func unmark(_ new: borrowing Tree) {
        _ = unsafe withCName(directory.temporary) { unsafe unlinkat(new.descriptor.number, $0, 0) }
    }

    /// Whether the overlay refuses to rename a directory for its layers: it does so before it looks at the target, which
    /// cannot be replaced.
    private borrowing func isRefused(
        _ name: some Collection<UInt8>, in tree: borrowing Tree
    ) throws(KernelError) -> Bool {
        let (parent, temporary) = (directory.parent.descriptor.number, directory.temporary)
        switch rename(name, tree.descriptor.number, to: temporary, parent) {
        case EXDEV: return true
        case 0:
            // Somebody has emptied the target. Back, and nothing more.
            let back = rename(temporary, parent, to: name, tree.descriptor.number, RenameFlags.noReplace)
            throw KernelError(call: "renameat2", code: back == 0 ? EBUSY : back)
        default: return false
        }
    }

    // MARK: - Copying up

    /// Gives every file below an upper layer, where it is.
    private mutating func copyUp(
        _ tree: borrowing Tree, _ top: borrowing Tree, _ path: BytePath, by scratch: borrowing Tree,
        depth: Int
    ) throws(KernelError) {
        guard depth < Mover.deepest else { throw KernelError(call: "rename", code: ELOOP) }
        for name in try tree.names() {
            do throws(KernelError) {
                let place = try tree.open(BytePath.root.appending(name), BOX_O_PATH)
                let node = try Node.of(place.number)
                switch node.kind {
                case .file:
                    let file = CopyUp.File(name: name, node: node, path: path.appending(name))
                    try copies.copyUp(file, place, in: tree, below: top, by: scratch)
                case .directory:
                    guard try isRefused(name, in: tree) else { continue }
                    let inner = try Tree(place).directory(.root)
                    defer { Mover.restore(node, on: inner) }
                    try copyUp(inner, top, path.appending(name), by: scratch, depth: depth + 1)
                case .link, .characterDevice, .blockDevice, .fifo, .socket: continue
                }
            } catch {
                switch error.code {
                // Gone, replaced, or not to be looked into yet: the move itself copies up what this leaves.
                case ENOENT, ENOTDIR, EACCES, EPERM: continue
                default: throw error
                }
            }
        }
    }

    // MARK: - Moving

    private borrowing func replace(_ old: borrowing Tree, by new: borrowing Tree) throws(KernelError) {
        let (parent, temporary) = (directory.parent.descriptor.number, directory.temporary)
        try Mover.copyAttributes(of: old.descriptor.number, to: new.descriptor.number)
        try moveContents(from: old, to: new, depth: 0)
        let end = MonotonicClock.milliseconds() + Mover.longestRounds
        repeat {
            // At once, before a program that writes there all the time has made the next file.
            switch rename(temporary, parent, to: directory.name, parent) {
            case 0: return Mover.restore(directory.node, on: new)
            case ENOTEMPTY, EEXIST:
                let (emptied, present) = (
                    try Node.of(old.descriptor.number), try directory.parent.child(directory.name)
                )
                // Removed when it was empty, and then its name was given to another one: what has been moved keeps its
                // temporary name, rather than be mixed with that or lost.
                guard let present, present.device == emptied.device, present.inode == emptied.inode else {
                    throw KernelError(call: "renameat2", code: ESTALE)
                }
                try moveContents(from: old, to: new, depth: 0)
            case let code: throw KernelError(call: "renameat2", code: code)
            }
        } while MonotonicClock.milliseconds() < end
        throw KernelError(call: "renameat2", code: EBUSY)
    }

    private borrowing func moveContents(
        from old: borrowing Tree, to new: borrowing Tree, depth: Int
    ) throws(KernelError) {
        for name in try old.names() {
            switch move(name, from: old, to: new) {
            // Renamed or removed by somebody meanwhile.
            case 0, ENOENT: continue
            // A directory like this one, or one that was made anew when the first had moved.
            case EXDEV, ENOTEMPTY, EEXIST: try descend(name, from: old, to: new, depth: depth + 1)
            case let code: throw KernelError(call: "renameat2", code: code, subject: BytePath.escaped(name))
            }
        }
    }

    private borrowing func descend(
        _ name: [UInt8], from outerOld: borrowing Tree, to outerNew: borrowing Tree, depth: Int
    ) throws(KernelError) {
        guard depth < Mover.deepest else { throw KernelError(call: "rename", code: ELOOP) }
        let old = try Mover.open(name, in: outerOld)
        try Mover.make(name, in: outerNew.descriptor.number)
        let new = try Mover.open(name, in: outerNew)
        do throws(KernelError) {
            try Mover.copyAttributes(of: old.tree.descriptor.number, to: new.tree.descriptor.number)
            try moveContents(from: old.tree, to: new.tree, depth: depth)
            let end = MonotonicClock.milliseconds() + Mover.longestRounds
            repeat {
                switch Mover.remove(name, in: outerOld.descriptor.number) {
                case 0, ENOENT: return Mover.restore(old.node, on: new.tree)
                case ENOTEMPTY, EEXIST: try moveContents(from: old.tree, to: new.tree, depth: depth)
                case let code:
                    throw KernelError(call: "rmdir", code: code, subject: BytePath.escaped(name))
                }
            } while MonotonicClock.milliseconds() < end
            throw KernelError(call: "rmdir", code: EBUSY, subject: BytePath.escaped(name))
        } catch {
            moveBack(from: new.tree, to: old.tree)
            Mover.restore(old.node, on: old.tree)
            Mover.remove(name, in: outerNew.descriptor.number)
            throw error
        }
    }

    /// Moves everything back that was not made anew meanwhile. What cannot go back stays where it is: nothing is lost.
    private borrowing func moveBack(from new: borrowing Tree, to old: borrowing Tree) {
        let names: [[UInt8]]
        do throws(KernelError) { names = try new.names() } catch { return }
        for name in names where move(name, from: new, to: old, RenameFlags.noReplace) == EEXIST {
            do throws(KernelError) { try unite(name, from: new, to: old) } catch { continue }
        }
    }

    /// Moves back what was made anew meanwhile: of directories the content; of others the younger one counts, as when it
    /// replaces the elder in the usual way.
    private borrowing func unite(
        _ name: [UInt8], from new: borrowing Tree, to old: borrowing Tree
    ) throws(KernelError) {
        let (elder, younger) = (try new.child(name), try old.child(name))
        if elder?.kind == .directory, younger?.kind == .directory {
            let inner = try Mover.open(name, in: new)
            moveBack(from: inner.tree, to: try old.directory(BytePath.root.appending(name)))
            Mover.remove(name, in: new.descriptor.number)
        } else if elder?.kind == .file, younger?.kind == .file {
            try check("unlink", unsafe withCName(name) { unsafe unlinkat(new.descriptor.number, $0, 0) })
        }
    }

    /// Renames one child; the errno, 0 if it went.
    private borrowing func move(
        _ name: [UInt8], from old: borrowing Tree, to new: borrowing Tree, _ flags: UInt64 = 0
    ) -> CInt {
        func attempt() -> CInt { rename(name, old.descriptor.number, to: name, new.descriptor.number, flags) }
        let code = attempt()
        guard code == EACCES else { return code }
        // A directory that its owner may not write cannot get another parent.
        do throws(KernelError) {
            let place = try old.open(BytePath.root.appending(name), BOX_O_PATH | BOX_O_DIRECTORY)
            let node = try Node.of(place.number)
            guard node.mode & 0o200 == 0 else { return code }
            try Mover.setMode(node.mode | 0o700, of: place)
            let second = attempt()
            try Mover.setMode(node.mode, of: place)
            return second
        } catch { return code }
    }
}
