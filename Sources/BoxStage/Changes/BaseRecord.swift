package import BoxKernel
package import BoxTypes

/// What the host had at a path when the agent's change there was first seen: what the agent started from.
///
/// A session's records of one tree lie in `base`, sorted by path; `BaseFile` reads and writes them. In copy mode
/// there is one for every path that was copied, directories too, without the root.
package struct BaseRecord: Equatable, Sendable {
    /// The identity of a copy as it was when the copying had ended: while it has this, nobody has written to it.
    /// Whoever takes it does so after the last call that changes the file (times, mode, further hard links), and
    /// the agent starts a tick of the clock later.
    package struct Stamp: Equatable, Sendable, BitwiseCopyable {
        package var inode: UInt64
        package var size: Int
        package var modified: Node.Time
        package var changed: Node.Time

        package init(inode: UInt64, size: Int, modified: Node.Time, changed: Node.Time) {
            self.inode = inode
            self.size = size
            self.modified = modified
            self.changed = changed
        }

        /// The stamp of a copy that has been looked at.
        package init(_ node: Node) {
            self.init(
                inode: node.inode, size: node.size, modified: node.modified, changed: node.changed)
        }
    }

    package var path: BytePath
    /// nil: there was nothing.
    package var node: Node?
    /// Where a link pointed.
    package var target: [UInt8]?
    /// The content is kept as this file of the tree's `kept` directory; nil if it is not.
    package var kept: UInt64?
    /// The content is box's own: it was put there by an apply of this stage, so its times say nothing about the host.
    package var isApplied: Bool
    /// Regular files: the file in `upper` that has this content: in copy mode the copy as it was made; after an apply
    /// the agent's file if the whole of it was taken. nil: unknown, so contents have to be compared.
    package var copy: Stamp?
    /// A directory of which everything below is recorded as well; what is not, was not there. Always so in copy mode,
    /// where nobody has to say it.
    package var isWhole: Bool

    package init(
        path: BytePath, node: Node? = nil, target: [UInt8]? = nil, kept: UInt64? = nil,
        isApplied: Bool = false, copy: Stamp? = nil, isWhole: Bool = false
    ) {
        self.path = path
        self.node = node
        self.target = target
        self.kept = kept
        self.isApplied = isApplied
        self.copy = copy
        self.isWhole = isWhole
    }
}
