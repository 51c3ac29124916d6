internal import BoxKernel
internal import BoxStage
package import BoxTypes
internal import Glibc

/// The git directory of a project whose `.git` is a file: a linked worktree, or a submodule. Git works inside only if that
/// directory is there as well, so it is staged with the project.
///
/// The file belongs to the project, and whoever writes to the project could name any directory of the user in it. So the
/// directory must say itself that it belongs to this project, in a place that git made for that; it must look like a
/// git directory, belong to the caller or to the project's owner, and be named by its real path. Then nothing becomes
/// visible that was not set up for this very project.
package enum GitDirectories {
    /// What was found.
    package struct Found: Equatable, Sendable {
        /// What has to be staged with the project; empty for an ordinary project.
        package var directories: [AbsolutePath] = []
        /// Why git does not work inside; for people.
        package var obstacle: String?

        package init(directories: [AbsolutePath] = [], obstacle: String? = nil) {
            self.directories = directories
            self.obstacle = obstacle
        }
    }

    /// Why a `.git` file is not followed.
    private struct Obstacle: Error {
        let reason: String
    }

    /// Follows the `.git` file of a project at its real path.
    package static func outside(project: AbsolutePath) throws(SessionError) -> Found {
        do throws(KernelError) {
            let place = try Place.project(project)
            guard let node = try place.tree.child(Array(".git".utf8)) else { return Found() }
            switch node.kind {
            case .directory: return Found()
            case .link:
                return Found(obstacle: ".git is a link, which box does not follow; git does not work inside")
            case .file: break
            case .characterDevice, .blockDevice, .fifo, .socket:
                return Found(obstacle: ".git is neither a directory nor a file; git does not work inside")
            }
            do throws(Obstacle) {
                return Found(directories: try follow(place))
            } catch { return Found(obstacle: "\(error.reason); git does not work inside") }
        } catch { throw SessionError(step: "look at the project's .git", error) }
    }

    private static func follow(_ project: borrowing Place) throws(Obstacle) -> [AbsolutePath] {
        let text = try project.text(".git", "it")
        guard text.starts(with: "gitdir: ".utf8) else {
            throw Obstacle(reason: ".git is a file that names no git directory")
        }
        let path = try resolve(text.dropFirst(8), from: project.path, ".git")
        // What is in the project is staged with it.
        if path.isSame(orBelow: project.path) { return [] }
        let git = try open(path, project)
        let isWorktree = try git.has("commondir", .file)
        return [isWorktree ? try worktree(git, project) : try submodule(git, project)]
    }

    /// `COMMON/worktrees/NAME` of a linked worktree: its `gitdir` names the project's `.git`.
    private static func worktree(
        _ git: borrowing Place, _ project: borrowing Place
    ) throws(Obstacle) -> AbsolutePath {
        let back = try resolve(try git.text("gitdir", git.path.string)[...], from: git.path, "its gitdir")
        guard back.lastComponent == ".git", real(back.parent) == project.path.string else {
            throw pointsElsewhere(git.path)
        }
        // The common directory is believed only where git keeps it, so that it cannot be any other one.
        let common = git.path.parent.parent
        let named = try resolve(
            try git.text("commondir", git.path.string)[...], from: git.path, "its commondir")
        guard git.path.parent.lastComponent == "worktrees", named == common else {
            throw Obstacle(reason: ".git leads to \(git.path), which is no worktree of a repository")
        }
        try requireRepository(try open(common, project))
        return common
    }

    /// The git directory of a submodule: its `core.worktree` names the project.
    private static func submodule(
        _ git: borrowing Place, _ project: borrowing Place
    ) throws(Obstacle) -> AbsolutePath {
        try requireRepository(git)
        var value: [UInt8]?
        // With `extensions.worktreeConfig` the key is in the second file, which counts more.
        for name in ["config", "config.worktree"] where try git.has(name, .file) {
            guard let settings = GitSettings(try git.text(name, git.path.string, limit: 1 << 20)) else {
                throw Obstacle(reason: ".git leads to \(git.path), whose configuration cannot be read")
            }
            value = settings.value("core.worktree") ?? value
        }
        guard let value, let tree = String(validating: value, as: UTF8.self) else {
            throw pointsElsewhere(git.path)
        }
        guard real(tree.hasPrefix("/") ? tree : "\(git.path)/\(tree)") == project.path.string else {
            throw pointsElsewhere(git.path)
        }
        return git.path
    }

    private static func pointsElsewhere(_ path: AbsolutePath) -> Obstacle {
        Obstacle(reason: ".git leads to \(path), which does not point back to this project")
    }

    private static func requireRepository(_ git: borrowing Place) throws(Obstacle) {
        guard try git.has("HEAD", .file), try git.has("objects", .directory), try git.has("refs", .directory)
        else { throw Obstacle(reason: ".git leads to \(git.path), which is not a git directory") }
    }

    // MARK: - Paths

    /// A path in one of git's files, relative to where the file is.
    private static func resolve(
        _ text: ArraySlice<UInt8>, from directory: AbsolutePath, _ file: String
    ) throws(Obstacle) -> AbsolutePath {
        let end = text.lastIndex { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") }
        let line = text[..<(end.map { $0 + 1 } ?? text.startIndex)]
        guard let path = String(validating: line, as: UTF8.self), !path.isEmpty else {
            throw Obstacle(reason: "\(file) does not hold a path")
        }
        do throws(AbsolutePath.Refusal) {
            return try AbsolutePath(path.hasPrefix("/") ? path : "\(directory)/\(path)")
        } catch { throw Obstacle(reason: "\(file) does not hold a path: \(error)") }
    }

    /// The path without links that leads to the same directory; nil if there is none.
    private static func real(_ path: AbsolutePath) -> String? { real(path.string) }

    private static func real(_ path: String) -> String? {
        do throws(KernelError) { return real(try Descriptor.open(path, O_RDONLY | O_DIRECTORY)) } catch {
            return nil
        }
    }

    /// The kernel knows the path of an open directory; borrowed, it stays open until it has been asked.
    private static func real(_ directory: borrowing Descriptor) -> String? {
        SmallFile.readLink("/proc/self/fd/\(directory.number)")
    }

    /// Opens a directory that a file of git names, if it can be let in at all.
    private static func open(
        _ path: AbsolutePath, _ project: borrowing Place
    ) throws(Obstacle) -> Place {
        guard !project.path.isSame(orBelow: path) else {
            throw Obstacle(reason: ".git leads to \(path), in which the project itself lies")
        }
        let place = try Place.named(path)
        guard real(place.tree.descriptor) == path.string else {
            throw Obstacle(reason: ".git leads to \(path), which is reached through a link")
        }
        guard place.node.uid == geteuid() || place.node.uid == project.node.uid else {
            throw Obstacle(reason: ".git leads to \(path), which belongs to another user")
        }
        return place
    }

    /// An open directory.
    private struct Place: ~Copyable {
        let path: AbsolutePath
        let tree: Tree
        let node: BoxKernel.Node

        init(_ path: AbsolutePath, _ tree: consuming Tree, _ node: BoxKernel.Node) {
            self.path = path
            self.tree = tree
            self.node = node
        }

        /// Opens the project.
        static func project(_ path: AbsolutePath) throws(KernelError) -> Place {
            let tree = try Tree.open(path.string)
            let node = try Node.of(tree.descriptor.number)
            return Place(path, tree, node)
        }

        /// Opens a directory that a file of git names.
        static func named(_ path: AbsolutePath) throws(Obstacle) -> Place {
            do throws(KernelError) { return try project(path) } catch {
                throw Obstacle(reason: ".git leads to \(path): \(error)")
            }
        }

        /// Whether a name is there, as this kind of thing.
        borrowing func has(_ name: String, _ kind: BoxKernel.Node.Kind) throws(Obstacle) -> Bool {
            do throws(KernelError) { return try tree.child(Array(name.utf8))?.kind == kind } catch {
                throw Obstacle(reason: ".git leads to \(path), where \(name) cannot be looked at: \(error)")
            }
        }

        /// A small file's content.
        borrowing func text(
            _ name: String, _ owner: String, limit: Int = 8192
        ) throws(Obstacle) -> [UInt8] {
            do throws(KernelError) {
                let file = try tree.open(BytePath.root.appending(Array(name.utf8)), O_RDONLY)
                guard try Node.of(file.number).kind == .file else {
                    throw KernelError(call: "open", code: EINVAL, subject: name)
                }
                return try file.readAll(limit: limit)
            } catch { throw Obstacle(reason: "\(name) of \(owner) cannot be read: \(error)") }
        }
    }
}
