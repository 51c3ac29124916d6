package import BoxTypes

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
    fileprivate static func conditions(
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

extension SyscallFilter {
    /// The filter for a sandbox whose first process listens: where `ListenedCalls` would be performed, the listener is
    /// asked first. What is refused stays refused, by the same errno.
    package func listening(to calls: ListenedCalls, on architecture: SyscallArchitecture) -> SyscallFilter {
        // Without a listener the kernel answers these so (seccomp(2)); ours knows nothing of them.
        var rules = rules.map { rule in
            rule.action == .notify ? rule.replacing(.errno(SyscallFilter.notImplemented)) : rule
        }
        let standard = defaultAction == .notify ? .errno(SyscallFilter.notImplemented) : defaultAction
        for name in calls.calls {
            guard case .number(let number)? = SyscallTable.entry(name, on: architecture) else { continue }
            let own = rules.filter { $0.number == number }
            // What a tracer of the profile's is to decide stays its decision.
            if own.contains(where: { $0.action.precedence == SyscallAction.trace(0).precedence }) { continue }
            var asked = own.filter { $0.action.permits }.map(\.conditions)
            if standard.permits { asked.append([]) }
            for conditions in asked {
                let all = ListenedCalls.conditions(name, conditions)
                let rule = SyscallRule(name: name, number: number, action: .notify, conditions: all)
                if !rules.contains(rule) { rules.append(rule) }
            }
        }
        return SyscallFilter(defaultAction: standard, rules: rules)
    }

    /// ENOSYS.
    private static let notImplemented: UInt16 = 38
}

extension SyscallRule {
    fileprivate func replacing(_ action: SyscallAction) -> SyscallRule {
        SyscallRule(name: name, number: number, action: action, conditions: conditions)
    }
}

extension Plan {
    /// The system calls of what runs in the sandbox that its first process listens to.
    package var listens: ListenedCalls {
        for case .seccomp(_, _, let calls) in steps { return calls }
        return []
    }
}
