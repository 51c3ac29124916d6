package import BoxKernel

/// What could not be done with a stage: the step, the reason, and what to do about it.
package struct StageError: Error, Equatable, Sendable, CustomStringConvertible {
    package let step: String
    package let reason: String
    package let hint: String

    package init(_ step: String, reason: String, hint: String = "") {
        self.step = step
        self.reason = reason
        self.hint = hint
    }

    package init(_ step: String, _ error: KernelError, hint: String = "") {
        self.init(step, reason: error.description, hint: hint)
    }

    package var description: String {
        hint.isEmpty ? "cannot \(step): \(reason)" : "cannot \(step): \(reason). \(hint)"
    }
}
