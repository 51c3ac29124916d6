/// What a rehearsal of the set-up tries, in this order.
package enum RehearsalStep: String, Hashable, Sendable, CaseIterable {
    /// A process in seven new namespaces; done by the doctor.
    case clone
    /// Its ids are mapped; done by the doctor.
    case map
    /// It takes its ids; only when launched as root.
    case identity
    /// A tmpfs, mounted.
    case mount
    /// A `/proc` of its own.
    case proc
    /// Pseudo-terminals of its own.
    case terminals
    /// POSIX message queues of its own.
    case queues
    /// The loopback interface.
    case network
    /// Giving up all capabilities.
    case privileges
}
