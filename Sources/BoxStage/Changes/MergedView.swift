internal import BoxKernel
internal import BoxTypes
internal import Glibc

/// What the agent sees of its trees: the upper layer over the host's directories, without what is hidden.
///
/// It looks single names up; it never walks. One directory is remembered, as questions come in the order of a walk.
final class MergedView {
    /// What is behind the names in a directory.
    private struct Directory {
        /// The upper layer's directory, if it has one here.
        var upper: OpenDirectory?
        var seesHost: Bool
        var hasAttributeWhiteouts = false
    }

    private enum Found { case nothing, onHost, inUpper(Node.Kind) }

    private let walk: ChangeWalk
    private var last: (tree: Int, path: BytePath, directory: Directory?)?

    init(_ walk: ChangeWalk) { self.walk = walk }

    /// Whether the agent sees something at a path.
    func has(_ tree: Int, _ path: BytePath) throws(StageError) -> Bool {
        guard !path.bytes.isEmpty else { return true }
        do throws(KernelError) {
            guard let directory = try directory(tree, path.parent) else { return false }
            switch try find(tree, path, in: directory) {
            case .nothing: return false
            case .inUpper: return true
            case .onHost: return try walk.trees[tree].host.tree.nodeDeep(path) != nil
            }
        } catch { throw StageError("look at \(path.escaped) in the stage", error) }
    }

    /// Whether the host has something at a path.
    func hostHas(_ tree: Int, _ path: BytePath) throws(StageError) -> Bool {
        do throws(KernelError) { return try walk.trees[tree].host.tree.nodeDeep(path) != nil } catch {
            throw StageError("look at \(path.escaped) on the host", error)
        }
    }

    /// The names that the agent sees in a directory; none if there is no such directory.
    func names(_ tree: Int, _ path: BytePath) throws(StageError) -> [[UInt8]] {
        do throws(KernelError) {
            guard let directory = try directory(tree, path) else { return [] }
            let inUpper = Set(try directory.upper?.tree.names() ?? [])
            var names: [[UInt8]] = []
            for name in inUpper {
                if case .nothing = try find(tree, path.appending(name), in: directory) { continue }
                names.append(name)
            }
            if directory.seesHost {
                let hidden = walk.stage.roots[tree].hidden
                for name in try hostNames(tree, path)
                where !inUpper.contains(name) && !hidden.contains(path.appending(name)) { names.append(name) }
            }
            return names.sorted { $0.lexicographicallyPrecedes($1) }
        } catch { throw StageError("read \(path.escaped) in the stage", error) }
    }

    private func hostNames(_ tree: Int, _ path: BytePath) throws(KernelError) -> [[UInt8]] {
        do throws(KernelError) {
            return try Tree(walk.trees[tree].host.tree.openDeep(path, O_RDONLY)).names()
        } catch {
            if error.isVanished { return [] }
            throw error
        }
    }

    // MARK: - Layers

    /// A directory as the agent sees it; nil if there is none.
    private func directory(_ tree: Int, _ path: BytePath) throws(KernelError) -> Directory? {
        if let last, last.tree == tree, last.path == path { return last.directory }
        let found = try look(tree, path)
        last = (tree, path, found)
        return found
    }

    private func look(_ tree: Int, _ path: BytePath) throws(KernelError) -> Directory? {
        let root = walk.trees[tree].upper
        var place = BytePath.root
        var directory = Directory(upper: root, seesHost: walk.stage.mode == .overlay)
        if walk.stage.mode == .overlay {
            directory.hasAttributeWhiteouts = try Opaqueness.of(root.tree) == .attributes
        }
        for name in path.components {
            place = place.appending(name)
            switch try find(tree, place, in: directory) {
            case .nothing: return nil
            case .onHost: directory.upper = nil
            case .inUpper(let kind):
                guard kind == .directory, let parent = directory.upper else { return nil }
                directory = try enter(BytePath.root.appending(name), parent, directory.seesHost)
            }
            if walk.stage.roots[tree].hidden.contains(place) { directory.seesHost = false }
        }
        return directory
    }

    private func enter(
        _ name: BytePath, _ parent: OpenDirectory, _ seesHost: Bool
    ) throws(KernelError) -> Directory {
        let opened = OpenDirectory(try parent.tree.directory(name))
        let marker = walk.stage.mode == .overlay ? try Opaqueness.of(opened.tree) : .opaque
        return Directory(
            upper: opened, seesHost: seesHost && marker != .opaque,
            hasAttributeWhiteouts: marker == .attributes)
    }

    /// Which layer a name comes from. `onHost` says only that the host's one would be seen, if there is one.
    private func find(_ tree: Int, _ path: BytePath, in directory: Directory) throws(KernelError) -> Found {
        let name = path.name
        if let upper = directory.upper, let node = try upper.tree.child(name) {
            let overlay = walk.stage.mode == .overlay
            if overlay, node.isWhiteout { return .nothing }
            if overlay, directory.hasAttributeWhiteouts, node.kind == .file, node.size == 0,
                try Opaqueness.isWhiteout(Array(name), in: upper.tree)
            {
                return .nothing
            }
            return .inUpper(node.kind)
        }
        guard directory.seesHost, !walk.stage.roots[tree].hidden.contains(path) else { return .nothing }
        return .onHost
    }
}
