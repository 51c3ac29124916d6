internal import BoxTypes

/// The calls that the sandbox's first process is asked about.
package struct ListenedCalls: OptionSet, Hashable, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Renames: an overlay without privileges refuses to rename directories of its lower layer.
    package static let renames = ListenedCalls(rawValue: 1)
    /// The starts of programs, which are written down.
    package static let executions = ListenedCalls(rawValue: 2)

    package static let renameNames = ["rename", "renameat", "renameat2"]
    package static let executionNames = ["execve", "execveat"]

    /// The names of the calls.
    package var calls: [String] {
        (contains(.renames) ? ListenedCalls.renameNames : [])
            + (contains(.executions) ? ListenedCalls.executionNames : [])
    }

    /// What they are, for people.
    package var names: [String] {
        (contains(.renames) ? ["renames"] : []) + (contains(.executions) ? ["executions"] : [])
    }

    /// A `renameat2` with this in the register behind its last argument is not asked about. The first process marks its
    /// own renames so. Whoever else does renounces only its help: the listener permits nothing that the filter does not.
    package static let exemption: UInt64 = 0x626F_7820_6D6F_7665
    /// Which register that is.
    private static let exempting: UInt32 = 5

    /// The conditions under which a call that has these conditions is asked about.
    static func conditions(
        _ name: String, _ conditions: [ArgumentCondition]
    ) -> [ArgumentCondition] {
        // A register can be compared only once in a rule.
        guard name == "renameat2", !conditions.contains(where: { $0.index == exempting }) else {
            return conditions
        }
        return conditions
            + [ArgumentCondition(index: exempting, comparison: .notEqual, value: exemption)]
    }
}
