/// A resource that the kernel bounds for each process (getrlimit(2)).
package enum ResourceLimit: String, Hashable, Sendable, CaseIterable {
    case coreSize = "core"
    case openFiles = "nofile"
    /// Processes of the user; does not bind uid 0 of the initial namespace.
    case processes = "nproc"
    case fileSize = "fsize"
    case lockedMemory = "memlock"
    case messageQueues = "msgqueue"
    case pendingSignals = "sigpending"
    case nice
    case realtimePriority = "rtprio"
    case stackSize = "stack"
    case cpuSeconds = "cpu"
}

/// What a process may use at most (`soft`), and how far it may raise that itself (`hard`).
package struct ResourceBounds: Hashable, Sendable {
    package let soft: UInt64
    package let hard: UInt64

    /// The value that means no limit.
    package static let unlimited = UInt64.max

    package init(soft: UInt64, hard: UInt64) {
        self.soft = soft
        self.hard = hard
    }

    /// The same value for both.
    package init(both value: UInt64) { self.init(soft: value, hard: value) }
}
