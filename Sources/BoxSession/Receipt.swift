package import BoxAudit

/// What happened in a session, counted as it happens: for the end of the run and the session's record.
///
/// What is inside chooses names of hosts and programs; however many, this stays small.
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
        /// All of those that are more than are told apart.
        static let others = Target(host: "", port: 0)
    }

    /// What went to and came from a host.
    package struct Use: Equatable, Sendable {
        package var connections = 0
        package var up = 0
        package var down = 0
    }

    /// A limit of the network that was reached, at one host or for all of them together.
    package struct NetworkLimit: Hashable, Sendable {
        package let target: Target
        /// Its key in the policy.
        package let name: String
        /// `session` or `host`.
        package let scope: String
    }

    /// So many different hosts, limits and programs are told apart.
    static let most = 4096

    /// Stands for programs that would not say what they are.
    static let hidden = "(hidden)"

    package private(set) var allowed: [Target: Use] = [:]
    /// What was refused, but for what ran into a limit.
    package private(set) var denied = RefusedRequests()
    package private(set) var limited: [NetworkLimit: Int] = [:]
    /// How often each program was started, by its path.
    package private(set) var programs: [String: Int] = [:]
    /// Limits that were reached and ended nothing, by their names, with what was said last.
    package private(set) var limits: [String: LimitHit] = [:]

    /// Requests that were refused, or ran into a limit.
    package private(set) var refusals = 0
    /// Programs that were started.
    package private(set) var starts = 0

    package init() {}

    package static func == (left: Receipt, right: Receipt) -> Bool {
        left.allowed == right.allowed && left.denied.all == right.denied.all && left.limited == right.limited
            && left.programs == right.programs && left.limits == right.limits
            && (left.refusals, left.starts) == (right.refusals, right.starts)
    }

    /// Takes an event of the running session into account.
    package mutating func count(_ event: Event) {
        let count = if case .number(let number)? = event["count"] { max(1, number) } else { 1 }
        switch event.kind {
        case .netAllow, .netClose, .netDeny, .netLimit: take(network: event, count)
        case .exec: take(program: event, count)
        case .limit:
            let hit = LimitHit(name: event.text("limit"), detail: event.text("reason"))
            if !hit.name.isEmpty, limits[hit.name] != nil || limits.count < Receipt.most {
                limits[hit.name] = hit
            }
        case .execEnd, .policyChange, .sessionStart, .sessionEnd, .sessionPause, .sessionResume, .apply,
            .undo, .discard:
            return
        }
    }

    private mutating func take(program event: Event, _ count: Int) {
        let path = event["hidden"] == nil ? event.text("path") : Receipt.hidden
        let name = programs[path] != nil || programs.count < Receipt.most ? path : EventBudget.otherPrograms
        programs[name, default: 0] += count
        starts += count
        // What was started under this path is another program, and was counted already.
        guard event["instead_of"] != nil else { return }
        let before = event.text("instead_of")
        guard let known = programs[before] else { return }
        programs[before] = known > count ? known - count : nil
        starts -= count
    }

    private mutating func take(network event: Event, _ count: Int) {
        let target = Target(host: event.text("host"), port: event.integer("port") ?? 0)
        switch event.kind {
        case .netAllow:
            allowed[place(target), default: Use()].connections += count
            denied.take(event, time: Timestamp.now())
        case .netClose:
            allowed[place(target), default: Use()].up += max(0, event.integer("bytes_up") ?? 0)
            allowed[place(target), default: Use()].down += max(0, event.integer("bytes_down") ?? 0)
        case .netDeny:
            refusals += count
            denied.take(event, time: Timestamp.now())
        case .netLimit:
            let name = event["limit"] == nil ? "rate" : event.text("limit")
            // A rate that slows a connection down refuses nothing.
            if name != "bytes_per_second" { refusals += count }
            var limit = NetworkLimit(target: target, name: name, scope: event.text("scope"))
            if limited[limit] == nil, limited.count >= Receipt.most {
                limit = NetworkLimit(target: .others, name: "other", scope: "")
            }
            limited[limit, default: 0] += count
        case .exec, .execEnd, .policyChange, .sessionStart, .sessionEnd, .sessionPause, .sessionResume,
            .limit, .apply, .undo, .discard:
            return
        }
    }

    private func place(_ target: Target) -> Target {
        allowed[target] != nil || allowed.count < Receipt.most ? target : .others
    }
}

extension Event {
    fileprivate func text(_ name: String) -> String {
        if case .text(let text)? = self[name] { text } else { "" }
    }

    fileprivate func integer(_ name: String) -> Int? {
        if case .number(let number)? = self[name] { number } else { nil }
    }
}
