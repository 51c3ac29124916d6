package import BoxKernel
package import BoxTypes

/// A change that was decided on: what the host gets at a path.
package struct WantedChange {
    package enum Content: Equatable {
        case nothing
        case directory
        case link([UInt8])
        /// Its bytes come from `open`.
        case file(size: Int)
        /// Whatever the host has stays; the stage's base shall say this.
        case settled(BaseRecord)
    }

    package var tree: Int
    package var path: BytePath
    package var content: Content
    /// The agent's, of which 0777 is taken.
    package var mode: UInt32
    package var modified: Node.Time
    /// What the agent has, where that is wholly taken or merged.
    package var agent: BaseRecord.Stamp?
    /// The agent's own mode, where the host's is kept.
    var otherMode: UInt32?
    /// Nothing of the agent's version is left when this is applied.
    var agentMode: UInt32? { content == .directory || agent != nil ? otherMode ?? mode : nil }

    /// The file with the content.
    package var open: () throws(StageError) -> Descriptor
    /// It is one of the stage's changes, which is none any more afterwards.
    package var isChange = true
    /// Whether what the host has now is what the decision was about.
    package var isExpected: (Node?) throws(StageError) -> Bool

    package init(
        tree: Int = 0, path: BytePath, content: Content, mode: UInt32 = 0o644,
        modified: Node.Time = Node.Time(seconds: 0, nanoseconds: 0), agent: BaseRecord.Stamp? = nil,
        open: @escaping () throws(StageError) -> Descriptor = { () throws(StageError) in
            throw StageError("read the agent's version", reason: "it has no content")
        },
        isExpected: @escaping (Node?) throws(StageError) -> Bool = { (_) throws(StageError) in true }
    ) {
        self.tree = tree
        self.path = path
        self.content = content
        self.mode = mode
        self.modified = modified
        self.agent = agent
        self.open = open
        self.isExpected = isExpected
    }
}
