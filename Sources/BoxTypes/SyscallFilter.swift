/// What the kernel does with a system call that matches a rule.
package enum SyscallAction: Hashable, Sendable {
    case allow
    /// The call fails with this errno.
    case errno(UInt16)
    case killProcess
    case killThread
    case trap
    case log
    /// A tracer decides; the value is handed to it.
    case trace(UInt16)
    /// A user-space listener decides.
    case notify
}

/// One comparison of one system call argument (64 bits, unsigned).
package struct ArgumentCondition: Hashable, Sendable {
    package enum Comparison: Hashable, Sendable {
        case equal, notEqual, less, lessOrEqual, greater, greaterOrEqual
        /// `argument & mask == value`; the mask comes with the case.
        case maskedEqual(mask: UInt64)
    }
    /// 0…5.
    package let index: UInt32
    package let comparison: Comparison
    package let value: UInt64

    package init(index: UInt32, comparison: Comparison, value: UInt64) {
        self.index = index
        self.comparison = comparison
        self.value = value
    }
}

/// One rule of a filter: this call, if all conditions hold, has this action.
package struct SyscallRule: Hashable, Sendable {
    /// The call's name, for messages.
    package let name: String
    /// The call's number on the running architecture.
    package let number: Int32
    package let action: SyscallAction
    package let conditions: [ArgumentCondition]

    package init(name: String, number: Int32, action: SyscallAction, conditions: [ArgumentCondition] = []) {
        self.name = name
        self.number = number
        self.action = action
        self.conditions = conditions
    }
}

/// A system call filter resolved for one architecture: pure data, ready to be compiled to BPF.
///
/// System calls of any other architecture end the process. Of several rules that match a call the one with the
/// most restrictive action wins (`action(number:arguments:)`).
package struct SyscallFilter: Hashable, Sendable {
    package let defaultAction: SyscallAction
    package let rules: [SyscallRule]

    package init(defaultAction: SyscallAction, rules: [SyscallRule]) {
        self.defaultAction = defaultAction
        self.rules = rules
    }
}
