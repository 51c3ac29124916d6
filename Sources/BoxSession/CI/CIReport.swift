package import BoxPlan

/// What `box ci` tells a pipeline about one run: the one value behind the JSON, Markdown, JUnit and log of it.
///
/// Names of hosts, and the command, are text of the sandbox's or of a pipeline's: each form escapes them for itself.
package struct CIReport: Equatable, Sendable {
    /// How it went, in one word; the raw values are the format's.
    package enum Result: String, Equatable, Sendable {
        /// The command succeeded, and nothing forbids that.
        case passed
        /// The command ended with another status, by a signal, or because its time was up.
        case failed
        /// The command succeeded, but something was refused and `--fail-on-denied` was given.
        case denied
        /// box refused, or failed; `commandStatus` says whether the command ran.
        case refused
    }

    package var result = Result.refused
    /// What happened, as in every report.
    package var run: RunReport
    /// What `box ci` ends with.
    package var exitStatus: Int32 = ExitStatus.refused
    package var policyDigest: String?
    /// The file of `--policy`.
    package var policyFile: String?
    package var protections: [Plan.ProtectionState] = []
    /// What box did differently from what one may expect, and why.
    package var notices: [String] = []
    package let failsOnDenied: Bool

    package init(command: [String], started: String, failsOnDenied: Bool) {
        run = RunReport(command: command, means: .option, started: started)
        self.failsOnDenied = failsOnDenied
    }

    /// What the command ended with; nil if it never ran.
    package var commandStatus: Int32? { run.status }

    /// Takes over how the command ended, and what happened meanwhile. `search` knows the rules.
    package mutating func take(_ outcome: Outcome, isStaged: Bool, _ search: RemedySearch?) {
        run.take(outcome, isStaged: isStaged, search)
        conclude()
    }

    private mutating func conclude() {
        let status = commandStatus ?? ExitStatus.refused
        if status == 0, failsOnDenied, run.hasDenied {
            (result, exitStatus) = (.denied, ExitStatus.denied)
        } else {
            (result, exitStatus) = (status == 0 ? .passed : .failed, status)
        }
    }

    /// box refused, or failed on the way.
    package mutating func refuse(_ message: String, status: Int32) {
        (result, exitStatus) = (.refused, status)
        run.message = message
    }
}

extension ExitStatus {
    /// Of `box ci --fail-on-denied`: the command succeeded, but something was refused. Also where a report could not be
    /// written after a command that succeeded.
    package static let denied: Int32 = 1
}
