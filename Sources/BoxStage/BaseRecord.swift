package import BoxKernel
package import BoxTypes

/// What the host had at a path when the agent's change there was first seen: what the agent started from.
///
/// A session's records of one tree lie in `base`, sorted by path; `BaseFile` reads and writes them.
package struct BaseRecord: Equatable, Sendable {
    package var path: BytePath
    /// nil: there was nothing.
    package var node: Node?
    /// Where a link pointed.
    package var target: [UInt8]?
    /// The content is kept as this file of the tree's `kept` directory; nil if it is not.
    package var kept: UInt64?
    /// The content is box's own: it was put there by an apply of this stage, so its times say nothing about the host.
    package var isApplied: Bool

    package init(
        path: BytePath, node: Node? = nil, target: [UInt8]? = nil, kept: UInt64? = nil,
        isApplied: Bool = false
    ) {
        self.path = path
        self.node = node
        self.target = target
        self.kept = kept
        self.isApplied = isApplied
    }
}
