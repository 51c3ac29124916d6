package import BoxPlan
internal import BoxTypes

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

    /// A host that was reached.
    package struct Reached: Equatable, Sendable {
        package let target: Receipt.Target
        package let connections: Int
        package let up: Int
        package let down: Int
    }

    /// A host that was not let through.
    package struct Refused: Equatable, Sendable {
        package let target: Receipt.Target
        package let reason: String
        package let count: Int
        /// The rule that would let it through; nil where a rule is not what is missing.
        package let rule: String?
        /// What to do, for people.
        package var advice: String {
            if let rule { return "To allow it: --allow \(rule)" }
            switch reason {
            case "address": return "Its address is not a public one, or one of this machine: docs/network.md"
            case "name", "protocol": return "What was sent is not what the port is for: docs/network.md"
            default: return "No rule would allow it: docs/network.md"
            }
        }
    }

    /// A limit that was reached.
    package struct Limit: Equatable, Sendable {
        package let name: String
        package let detail: String
        /// For the network's limits.
        package var target: Receipt.Target?
        package var count = 1
    }

    /// Where the command worked.
    package struct Workspace: Equatable, Sendable {
        package var mode = ""
        package var project = ""
        /// Files changed in a staged project; nil where nothing is staged.
        package var changes: Int?
        package init() {}
    }

    package var result = Result.refused
    package var command: [String]
    /// What `box ci` ends with.
    package var exitStatus: Int32 = ExitStatus.refused
    /// What the command ended with; nil if it never ran.
    package var commandStatus: Int32?
    /// Why it ended or was refused, if there is something to say.
    package var message: String?
    package var started: String
    package var milliseconds = 0
    package var session: String?
    package var policyDigest: String?
    /// The file of `--policy`.
    package var policyFile: String?
    package var workspace = Workspace()
    package var protections: [Plan.ProtectionState] = []
    package private(set) var reached: [Reached] = []
    package private(set) var refused: [Refused] = []
    package private(set) var limits: [Limit] = []
    /// What box did differently from what one may expect, and why.
    package var notices: [String] = []
    package let failsOnDenied: Bool

    package init(command: [String], started: String, failsOnDenied: Bool) {
        self.command = command
        self.started = started
        self.failsOnDenied = failsOnDenied
    }

    /// What the command looks like on one line.
    package var commandText: String { command.joined(separator: " ") }

    /// Whether a request was refused: by the rules, or by a limit of the network.
    package var hasDenied: Bool { !refused.isEmpty || limits.contains { $0.target != nil } }

    /// A target for people; what asked for no host at all is said so.
    static func label(_ target: Receipt.Target) -> String {
        target.host.isEmpty ? "(no host)" : target.text.cut(to: 260)
    }

    /// `once`, `3 times`.
    static func times(_ count: Int) -> String { count == 1 ? "once" : "\(count) times" }

    /// `1 host`, `3 hosts`.
    static func count(_ count: Int, _ one: String) -> String { count == 1 ? "1 \(one)" : "\(count) \(one)s" }

    /// Takes over how the command ended, and what happened meanwhile; `plan` says what the rules were.
    package mutating func take(_ outcome: Outcome, plan: Plan) {
        commandStatus = outcome.status
        message = outcome.message
        milliseconds = outcome.milliseconds
        workspace.changes = outcome.changes?.count ?? (plan.stage == nil ? nil : 0)
        let receipt = outcome.receipt
        reached = receipt.allowed.sorted { $0.key < $1.key }.map { target, use in
            Reached(target: target, connections: use.connections, up: use.up, down: use.down)
        }
        let list = plan.proxy.map { Allowlist($0.rules) }
        refused = receipt.denied.sorted { $0.key < $1.key }.map { target, refusal in
            Refused(
                target: target, reason: refusal.reason, count: refusal.count,
                rule: CIReport.rule(for: target, refusal.reason, list))
        }
        limits = outcome.limit.map { [Limit(name: $0.name, detail: $0.detail)] } ?? []
        for (target, counts) in receipt.limited.sorted(by: { $0.key < $1.key }) {
            for (name, count) in counts.sorted(by: { $0.key < $1.key }) {
                limits.append(
                    Limit(
                        name: name, detail: "\(CIReport.label(target)) was held back by it", target: target,
                        count: count
                    ))
            }
        }
        conclude()
    }

    private mutating func conclude() {
        let status = commandStatus ?? ExitStatus.refused
        if status == 0, failsOnDenied, hasDenied {
            (result, exitStatus) = (.denied, ExitStatus.denied)
        } else {
            (result, exitStatus) = (status == 0 ? .passed : .failed, status)
        }
    }

    /// box refused, or failed on the way.
    package mutating func refuse(_ message: String, status: Int32) {
        (result, exitStatus) = (.refused, status)
        self.message = message
    }

    /// The rule that would let a target through, as `--allow` takes it; nil if a rule denies it, if it was not refused
    /// for want of a rule, or if its name is no name of a host.
    private static func rule(for target: Receipt.Target, _ reason: String, _ list: Allowlist?) -> String? {
        guard reason == "host" || reason == "port", let list else { return nil }
        // A name that was only looked up has no port.
        guard let number = UInt16(exactly: target.port == 0 ? 443 : target.port),
            let port = try? Port(String(number))
        else { return nil }
        let text = target.host.contains(":") ? "[\(target.host)]" : target.host
        guard let host = try? Host(text) else { return nil }
        let decision = list.decide(HostTarget(host: host, port: port))
        guard !decision.allowed, decision.rule == nil else { return nil }
        let pattern: HostRule.Pattern =
            switch host {
            case .name(let name): .name(name)
            case .address(let address): .address(address)
            }
        return HostRule(pattern, port: port).short
    }
}

extension ExitStatus {
    /// Of `box ci --fail-on-denied`: the command succeeded, but something was refused. Also where a report could not be
    /// written after a command that succeeded.
    package static let denied: Int32 = 1
}
