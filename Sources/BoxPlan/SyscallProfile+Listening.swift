package import BoxTypes

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
