package import BoxTypes

/// What a verdict may ask about a change and its surroundings, each only when it is needed.
package struct RiskContent {
    package typealias Bytes = (_ limit: Int) throws(StageError) -> [UInt8]?
    package typealias Look = (BytePath) throws(StageError) -> Bool

    /// The first bytes of the agent's content; nil if it is no regular file.
    package var new: Bytes
    /// The first bytes of what the agent started from; nil if there was none or it is not known any more.
    package var old: Bytes
    /// Whether a path of the same tree exists as the agent sees it.
    package var hasName: Look
    /// Whether it exists on the host.
    package var hadName: Look
    /// Another name of the same directory that some file systems take for the last one of a path; see `CaseTwins`.
    package var twin: (Change) throws(StageError) -> BytePath?

    package init(
        new: @escaping Bytes, old: @escaping Bytes, hasName: @escaping Look, hadName: @escaping Look,
        twin: @escaping (Change) throws(StageError) -> BytePath?
    ) {
        self.new = new
        self.old = old
        self.hasName = hasName
        self.hadName = hadName
        self.twin = twin
    }
}
