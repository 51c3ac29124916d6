package import BoxKernel
package import BoxTypes
internal import Glibc

/// A session's copy-on-write work area on disk, below `sessions/NAME/stage`:
///
///     stage.json      this value
///     0/              the project
///       upper/        what the agent wrote (overlay), or the whole copy (copy)
///       work/         the overlay's own
///       hide/         whiteouts of hidden names, a layer between project and upper; absent if nothing is hidden
///       base          what the agent started from, see `BaseRecord`
///       kept/         contents of changed files, for merges
///     1/ …            git directories that the project belongs to (a linked worktree, a submodule)
///     undo/ …         the last apply's journal and what it replaced
package struct Stage: Sendable, Equatable {
    package enum Mode: String, Sendable, CaseIterable { case overlay, copy }

    /// One directory of the host with the agent's view of it.
    package struct Root: Sendable, Equatable {
        /// The directory on the host.
        package var host: AbsolutePath
        package var device: UInt64
        package var inode: UInt64
        /// Paths below that do not exist inside: hidden by the policy. A name stands for what is below it as well.
        package var hidden: [BytePath]
        package init(host: AbsolutePath, device: UInt64, inode: UInt64, hidden: [BytePath] = []) {
            self.host = host
            self.device = device
            self.inode = inode
            self.hidden = hidden
        }
    }

    /// The `stage` directory.
    package var directory: String
    package var session: String
    package var mode: Mode
    /// When the stage was made: what the host changed later is not what the agent started from.
    package var started: Node.Time
    package var roots: [Root]

    package init(directory: String, session: String, mode: Mode, started: Node.Time, roots: [Root]) {
        self.directory = directory
        self.session = session
        self.mode = mode
        self.started = started
        self.roots = roots
    }

    /// Places of a tree.
    package func upper(_ tree: Int) -> String { "\(directory)/\(tree)/upper" }
    package func work(_ tree: Int) -> String { "\(directory)/\(tree)/work" }
    package func hide(_ tree: Int) -> String { "\(directory)/\(tree)/hide" }
    package func base(_ tree: Int) -> String { "\(directory)/\(tree)/base" }
    package func kept(_ tree: Int) -> String { "\(directory)/\(tree)/kept" }

    /// A tree's directory on the host; refused if another one stands at its path now.
    package func openHost(_ tree: Int) throws(StageError) -> Tree {
        let root = roots[tree]
        let step = "open \(root.host.string.escapedForTerminal)"
        do throws(KernelError) {
            let opened = try Tree.open(root.host.string)
            let node = try Node.of(opened.descriptor.number)
            guard node.device == root.device, node.inode == root.inode else {
                throw KernelError(call: "identity", code: ESTALE)
            }
            return opened
        } catch {
            guard error.call == "identity" else { throw StageError(step, error) }
            throw StageError(
                step, reason: "another directory stands there now than when the session began",
                hint: "Move the one that session \(session) began with back to apply its changes")
        }
    }

    /// What the agent made of a tree.
    package func openUpper(_ tree: Int) throws(StageError) -> Tree {
        do throws(KernelError) { return try Tree.open(upper(tree)) } catch {
            throw StageError("open the stage of session \(session)", error)
        }
    }
}
