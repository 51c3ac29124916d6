// What a filter means, as plain functions: the compiler to BPF is tested against them.

extension SyscallAction {
    /// The kernel's order of actions (seccomp(2)): where several apply, the lowest, most restrictive one wins.
    package var precedence: Int {
        switch self {
        case .killProcess: 0
        case .killThread: 1
        case .trap: 2
        case .errno: 3
        case .notify: 4
        case .trace: 5
        case .log: 6
        case .allow: 7
        }
    }

    /// Whether the kernel performs a call that has this action.
    package var permits: Bool {
        switch self {
        case .allow, .log: true
        case .killProcess, .killThread, .trap, .errno, .notify, .trace: false
        }
    }
}

extension ArgumentCondition {
    /// Whether the condition holds for a call's arguments; arguments that are not given are 0.
    package func holds(for arguments: [UInt64]) -> Bool {
        let argument = Int(index) < arguments.count ? arguments[Int(index)] : 0
        return switch comparison {
        case .equal: argument == value
        case .notEqual: argument != value
        case .less: argument < value
        case .lessOrEqual: argument <= value
        case .greater: argument > value
        case .greaterOrEqual: argument >= value
        case .maskedEqual(let mask): argument & mask == value
        }
    }
}

extension SyscallRule {
    /// Whether the rule speaks about this call.
    package func matches(number: Int32, arguments: [UInt64]) -> Bool {
        number == self.number && conditions.allSatisfy { $0.holds(for: arguments) }
    }
}

extension SyscallFilter {
    /// What happens to a call of the filter's own architecture.
    ///
    /// Of all rules that match, the one with the most restrictive action wins, and of equally restrictive ones
    /// the first; without a match the default action applies. So the order of rules never opens anything.
    package func action(number: Int32, arguments: [UInt64] = []) -> SyscallAction {
        var found: SyscallAction?
        for rule in rules where rule.matches(number: number, arguments: arguments) {
            if let action = found, action.precedence <= rule.action.precedence { continue }
            found = rule.action
        }
        return found ?? defaultAction
    }

    /// The filter taken apart into filters that are asked one after the other; together they mean the same.
    ///
    /// A filter compiler such as libseccomp gives no promise for rules of one call that overlap and differ in
    /// their action: there, an unconditional `allow` silently swallows a conditional denial. In each stage every
    /// call has one action only. All stages but the last have the default action `allow`, which means: ask the
    /// next one.
    package var stages: [SyscallFilter] {
        var stages: [[SyscallRule]] = []
        var last: [SyscallRule] = []
        for (_, ofCall) in Dictionary(grouping: rules, by: \.number).sorted(by: { $0.key < $1.key }) {
            // A stable sort, so the first of equally restrictive rules stays the first.
            let sorted = ofCall.enumerated().sorted {
                ($0.element.action.precedence, $0.offset) < ($1.element.action.precedence, $1.offset)
            }.map(\.element)
            let runs = SyscallFilter.runs(sorted)
            for (index, run) in runs.dropLast().enumerated() {
                if index == stages.count { stages.append([]) }
                stages[index] += run
            }
            // In the last stage the default action needs no rule.
            last += (runs.last ?? []).filter { $0.action != defaultAction }
        }
        return stages.map { SyscallFilter(defaultAction: .allow, rules: $0) }
            + [SyscallFilter(defaultAction: defaultAction, rules: last)]
    }

    /// Neighbouring rules of the same action, together.
    private static func runs(_ rules: [SyscallRule]) -> [[SyscallRule]] {
        var runs: [[SyscallRule]] = []
        for rule in rules {
            if let action = runs.last?.first?.action, action == rule.action {
                runs[runs.count - 1].append(rule)
            } else {
                runs.append([rule])
            }
        }
        return runs
    }
}
