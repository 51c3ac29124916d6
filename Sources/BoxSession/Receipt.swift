package import BoxAudit
internal import BoxTypes

/// What happened in a session, counted as it happens: for the end of the run and the session's record.
package struct Receipt: Equatable, Sendable {
    /// A host and port that was asked for.
    package struct Target: Hashable, Sendable, Comparable {
        package let host: String
        package let port: Int
        package static func < (left: Target, right: Target) -> Bool {
            (left.host, left.port) < (right.host, right.port)
        }
        /// Where only a name was looked up there is no port.
        package var text: String { port == 443 || port == 0 ? host : "\(host):\(port)" }
    }

    package private(set) var allowed: [Target: (connections: Int, up: Int, down: Int)] = [:]
    package private(set) var denied: [Target: (count: Int, reason: String)] = [:]
    /// Refused for the time being: a connection that waits may be let through yet.
    private var held: [Target: Int] = [:]
    /// By the host and the limit's name.
    package private(set) var limited: [Target: [String: Int]] = [:]

    /// Requests that were refused, or ran into a limit.
    package private(set) var refusals = 0

    package init() {}

    package static func == (left: Receipt, right: Receipt) -> Bool {
        left.allowed.keys == right.allowed.keys && left.denied.keys == right.denied.keys
    }

    /// Takes an event of the network door into account.
    package mutating func count(_ event: Event) {
        refusals += Receipt.refusals(event)
        guard case .text(let host)? = event["host"] else { return }
        let port = if case .number(let number)? = event["port"] { number } else { 0 }
        let target = Target(host: host, port: port)
        switch event.kind {
        case .netAllow:
            allowed[target, default: (0, 0, 0)].connections += 1
            if let waited = held.removeValue(forKey: target), let refusal = denied[target] {
                denied[target] = refusal.count > waited ? (refusal.count - waited, refusal.reason) : nil
            }
        case .netClose:
            if case .number(let up)? = event["bytes_up"] { allowed[target, default: (0, 0, 0)].up += up }
            if case .number(let down)? = event["bytes_down"] {
                allowed[target, default: (0, 0, 0)].down += down
            }
        case .netDeny:
            let reason = if case .text(let text)? = event["reason"] { text } else { "host" }
            denied[target, default: (0, reason)].count += 1
            if event["held"] != nil { held[target, default: 0] += 1 }
        case .netLimit:
            let limit = if case .text(let text)? = event["limit"] { text } else { "rate" }
            let count = if case .number(let number)? = event["count"] { number } else { 1 }
            limited[target, default: [:]][limit, default: 0] += count
        case .exec, .execEnd, .policyChange, .sessionStart, .sessionEnd, .limit, .apply, .undo, .discard:
            break
        }
    }

    private static func refusals(_ event: Event) -> Int {
        let count = if case .number(let number)? = event["count"] { max(1, number) } else { 1 }
        switch event.kind {
        case .netDeny: return count
        // A rate that slows a connection down refuses nothing.
        case .netLimit: return event["limit"] == .text("bytes_per_second") ? 0 : count
        case .netAllow, .netClose, .exec, .execEnd, .policyChange, .sessionStart, .sessionEnd, .limit, .apply,
            .undo, .discard:
            return 0
        }
    }

    /// The lines for a terminal, escaped: hosts are text of the sandbox's.
    package func lines(command: String, milliseconds: Int, status: Int32) -> [String] {
        var lines = [
            "\(command.escapedForTerminal) ended with status \(status) after \(Receipt.time(milliseconds))"
        ]
        for (target, use) in allowed.sorted(by: { $0.key < $1.key }).prefix(20) {
            lines.append(
                "reached  \(target.text.escapedForTerminal), \(use.connections) connections, "
                    + "\(ByteSize(bytes: use.up)) up, \(ByteSize(bytes: use.down)) down")
        }
        for (target, refusal) in denied.sorted(by: { $0.key < $1.key }).prefix(20) {
            let name = target.text.escapedForTerminal
            let times = refusal.count == 1 ? "once" : "\(refusal.count) times"
            lines.append("refused  \(name), \(times). To allow it: box allow \(target.text.quotedForShell)")
        }
        for (target, limits) in limited.sorted(by: { $0.key < $1.key }).prefix(20) {
            for (limit, count) in limits.sorted(by: { $0.key < $1.key }) {
                lines.append(
                    "limited  \(target.text.escapedForTerminal), \(count) times by \(limit.escapedForTerminal)"
                )
            }
        }
        return lines
    }

    static func time(_ milliseconds: Int) -> String {
        if milliseconds < 1000 { return "\(milliseconds) ms" }
        return "\(milliseconds / 1000).\(milliseconds % 1000 / 100) s"
    }
}
