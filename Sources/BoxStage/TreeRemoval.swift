package import BoxKernel
package import BoxTypes
internal import CLinux
internal import Glibc

/// Removes a directory with all that is in it: by descriptors, so no link is followed and no path is too long, and
/// without recursion, so no tree is too deep.
package enum TreeRemoval {
    /// Removes what a name in a directory is, whatever it is; nothing there is fine. Directories of ours that we may not
    /// enter or change are opened to us first; another's, and a mount, are an error that names them.
    package static func remove(_ name: [UInt8], in directory: borrowing Tree) throws(StageError) {
        do throws(KernelError) {
            // A file system that cannot be written says so even where there is nothing to remove.
            guard try directory.child(name) != nil else { return }
            let top = OpenDirectory(try directory.directory(.root))
            try run(name, Descent(top, .removable))
        } catch { throw StageError("remove \(BytePath.escaped(name))", error) }
    }

    /// Removes a directory of the host by its path, in the same way.
    package static func remove(_ path: AbsolutePath) throws(StageError) {
        let parent: Tree
        do throws(KernelError) { parent = try Tree.open(path.parent.string) } catch {
            if error.code == ENOENT { return }
            throw StageError("remove \(path.string.escapedForTerminal)", error)
        }
        try remove(Array(path.lastComponent.utf8), in: parent)
    }

    private static func run(_ name: [UInt8], _ descent: Descent) throws(KernelError) {
        // The names that are still to be removed, from the outermost directory to the one that the walk is in.
        var names = [[name]]
        while let next = names[names.count - 1].last {
            guard try !unlink(next, descent) else {
                names[names.count - 1].removeLast()
                try ascend(&names, descent)
                continue
            }
            try descent.enter(next)
            names.append(try descent.current.tree.names())
            try ascend(&names, descent)
        }
    }

    /// Goes up from directories that are empty by now, and removes them.
    private static func ascend(_ names: inout [[[UInt8]]], _ descent: Descent) throws(KernelError) {
        while names.count > 1, names[names.count - 1].isEmpty {
            names.removeLast()
            try descent.leave()
            let done = names[names.count - 1].removeLast()
            let result = unsafe withCName(done) { text in
                unsafe unlinkat(descent.current.tree.descriptor.number, text, AT_REMOVEDIR)
            }
            if result < 0, errno == ENOENT { continue }
            try check("rmdir", result, BytePath.escaped(done))
        }
    }

    /// Removes a name that is no directory; false: it is one.
    private static func unlink(_ name: [UInt8], _ descent: Descent) throws(KernelError) -> Bool {
        let result = unsafe withCName(name) { text in
            unsafe unlinkat(descent.current.tree.descriptor.number, text, 0)
        }
        guard result < 0 else { return true }
        switch errno {
        case ENOENT: return true
        case EISDIR: return false
        default:
            try check("unlink", result, BytePath.escaped(name))
            return true
        }
    }
}
