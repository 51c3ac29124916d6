package import BoxKernel
internal import BoxTypes

/// Why a session could not be made, or could not go on. Nothing of the command ran, unless `isLate`.
package struct SessionError: Error, Equatable, CustomStringConvertible {
    /// What box was doing.
    package let step: String
    /// What went wrong and, where there is something, what to do.
    package let reason: String

    package init(step: String, reason: String) {
        self.step = step
        self.reason = reason
    }

    package init(step: String, reason: String, hint: String) {
        self.init(step: step, reason: hint.isEmpty ? reason : "\(reason). \(hint)")
    }

    /// A call of the kernel that failed; common causes are explained.
    package init(step: String, _ error: KernelError, hint: String = "") {
        self.step = step
        reason = "\(error)" + (hint.isEmpty ? "" : ". \(hint)")
    }

    package var description: String { "cannot \(step): \(reason)" }
}
