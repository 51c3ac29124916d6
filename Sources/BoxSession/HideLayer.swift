internal import BoxKernel
internal import BoxStage
internal import BoxTypes
internal import CLinux
internal import Glibc

/// The layer between a project and what the agent writes: whiteouts of what the policy hides, so that it does not exist
/// inside and takes no time to hide, however large it is.
enum HideLayer {
    /// Makes the layer of a tree anew; there is none where nothing is hidden. `placeholder` is a name at the tree's root
    /// that is kept free by an empty directory: git, and what copies trees, pass over one.
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

    /// Makes an empty directory with the attributes of the tree's own.
    static func keepFree(
        _ name: String, in layer: borrowing Tree, _ host: borrowing Tree
    ) throws(KernelError) {
        if unsafe mkdirat(layer.descriptor.number, name, 0o755) != 0 {
            guard errno == EEXIST else { throw KernelError(call: "mkdirat", code: errno, subject: name) }
            return
        }
        guard geteuid() == 0 else { return }
        let node = try Node.of(host.descriptor.number)
        try check("fchownat", unsafe fchownat(layer.descriptor.number, name, node.uid, node.gid, 0), name)
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
