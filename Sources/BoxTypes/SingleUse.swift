/// A rule that lets one connection through and is over then (`box allow --once`).
package struct SingleUse: Hashable, Sendable {
    /// Given once in a session: two such rules for one host are two connections.
    package let number: Int
    package let rule: HostRule

    package init(_ number: Int, _ rule: HostRule) {
        self.number = number
        self.rule = rule
    }
}
