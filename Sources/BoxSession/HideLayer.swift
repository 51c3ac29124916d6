internal import BoxKernel
internal import BoxStage
internal import BoxTypes
internal import CLinux
internal import Glibc

/// The layer between a project and what the agent writes: whiteouts of what the policy hides, so that it does not exist
/// inside and takes no time to hide, however large it is.
enum HideLayer {
    /// Makes the layer of a tree anew; there is none where nothing is hidden. `placeholder` is a name at the tree's root
    /// that nothing inside may take.
    static func make(_ stage: Stage, _ index: Int, placeholder: String?) throws(StageError) {
        let hidden = stage.roots[index].hidden
        guard !hidden.isEmpty || placeholder != nil else { return }
        let step = "hide files of the project"
        let place = stage.hide(index)
        let host = try stage.openHost(index)
        do throws(KernelError) {
            if unsafe mkdir(place, 0o700) != 0, errno != EEXIST {
                throw KernelError(call: "mkdir", code: errno, subject: place)
            }
            let layer = try Tree.open(place)
            try SessionStage.copyAttributes(of: host, to: layer)
            for path in hidden.sorted() where path.text != placeholder { try hide(path, in: layer, host) }
            if let placeholder { try keepFree(placeholder, in: layer, host) }
        } catch {
            // A file system that cannot hold whiteouts cannot hold an upper layer, either.
            throw StageError(
                step, error,
                hint: "Set XDG_STATE_HOME to a directory on another file system, or use --workspace copy")
        }
    }

    /// Makes an empty file for a name to be mounted over.
    private static func keepFree(
        _ name: String, in layer: borrowing Tree, _ host: borrowing Tree
    ) throws(KernelError) {
        guard let path = BytePath(name) else { return }
        let file = try layer.open(path, O_WRONLY | O_CREAT, mode: 0o444)
        guard geteuid() == 0 else { return }
        let node = try Node.of(host.descriptor.number)
        try check("fchown", fchown(file.number, node.uid, node.gid), name)
    }

    /// Takes a placeholder away, now that it is mounted over inside. What is mounted holds on to it, so the name cannot be
    /// taken; but nobody who lists the project sees it: git, `cp`, an archive.
    static func removePlaceholder(of stage: Stage) throws(SessionError) {
        let path = stage.hide(0) + "/" + ControlFiles.policy
        // Where the project has a policy there is none.
        guard unsafe unlink(path) != 0, errno != ENOENT else { return }
        throw SessionError(
            step: "hide a placeholder", KernelError(call: "unlink", code: errno, subject: path))
    }

    private static func hide(
        _ path: BytePath, in layer: borrowing Tree, _ host: borrowing Tree
    ) throws(KernelError) {
        // What leads there merges with the project's directories, and is seen with this layer's attributes.
        for directory in path.ancestors {
            let parent = try layer.directory(directory.parent)
            let made = unsafe withCName(directory.name) {
                unsafe mkdirat(parent.descriptor.number, $0, 0o700)
            }
            // Already a whiteout: all below it is hidden.
            if made != 0, errno == EEXIST, try layer.node(directory)?.isWhiteout == true { return }
            guard made == 0 || errno == EEXIST else {
                throw KernelError(call: "mkdirat", code: errno, subject: directory.escaped)
            }
            guard made == 0 else { continue }
            try SessionStage.copyAttributes(
                of: try host.directory(directory), to: try layer.directory(directory))
        }
        let parent = try layer.directory(path.parent)
        let made = unsafe withCName(path.name) { name in
            unsafe mknodat(parent.descriptor.number, name, S_IFCHR, 0)
        }
        guard made == 0 || errno == EEXIST else {
            throw KernelError(call: "mknodat", code: errno, subject: path.escaped)
        }
    }
}
