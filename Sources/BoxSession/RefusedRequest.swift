package import BoxAudit
package import BoxTypes

/// What programs inside wanted and were refused: one host and port for one reason, however often.
package struct RefusedRequest: Equatable, Sendable {
    /// What makes two refusals the same.
    struct Key: Hashable {
        let host: String
        let port: Int
        let reason: RefusalReason
        let limit: String
    }

    /// As the log has it: text of the sandbox's. Empty where no host is known.
    package var host: String
    /// 0 where it is not known, as where a name was only looked up.
    package var port: Int
    package var reason: RefusalReason
    /// What the log says besides, of the latest.
    package var detail = ""
    /// The limit's key in the policy, where one was reached.
    package var limit = ""
    /// Whose limit: `session` or `host`.
    package var scope = ""
    package var count = 1
    /// In RFC 3339.
    package var first: String
    package var last: String

    package init(host: String, port: Int, reason: RefusalReason, first: String, last: String) {
        self.host = host
        self.port = port
        self.reason = reason
        self.first = first
        self.last = last
    }

    var key: Key { Key(host: host, port: port, reason: reason, limit: limit) }

    /// For people: `example.com`, `example.com:8080`, `[2001:db8::1]:443`; escaped.
    package var place: String {
        guard !host.isEmpty else { return "-" }
        if let target { return target.short }
        let shown = host.escapedForTerminal
        return port == 0 || port == 443 ? shown : "\(shown):\(port)"
    }

    /// The host, if it is one that a rule can name.
    var parsedHost: Host? {
        if let address = IPAddress(v6: host) { return .address(address) }
        return try? Host(host)
    }

    /// The host and port, if both are known.
    var target: HostTarget? {
        guard let parsedHost, let number = UInt16(exactly: port), let port = Port(number) else { return nil }
        return HostTarget(host: parsedHost, port: port)
    }
}

/// The refusals of sessions, added up from their logs.
package struct RefusedRequests: Sendable {
    /// So many different ones are told apart; of more, those are left out that are longest ago. What is inside chooses
    /// the names, and must not choose how much memory that takes.
    package static let most = 2000

    private var found: [RefusedRequest.Key: RefusedRequest] = [:]
    /// How many requests of the present session wait for a rule, and until when; less than none where more were let
    /// in than the log had told of.
    private var waiting: [[String]: (key: RefusedRequest.Key, count: Int, until: Int)] = [:]
    /// How many different ones were left out.
    package private(set) var leftOut = 0

    package init() {}

    /// The newest first.
    package var all: [RefusedRequest] {
        let sorted = found.values.sorted { ($0.last, $1.place, $1.port) > ($1.last, $0.place, $0.port) }
        // A name that was looked up and is asked for with its port as well is one wish.
        let known = Set(sorted.filter { $0.port != 0 && $0.isOfRules }.map(\.host))
        return sorted.filter { $0.port != 0 || !$0.isOfRules || !known.contains($0.host) }.prefix(
            RefusedRequests.most
        ).map(\.self)
    }

    /// What one session's log has. A line that is damaged is passed over.
    package mutating func add(log path: String) throws(SessionError) {
        waiting = [:]
        var reader = try LogReader(path)
        try reader.read { _, line in
            // None of those that are looked for is longer.
            if case .text(let bytes) = line, bytes.count <= RefusedRequests.longestLine { take(bytes) }
        }
    }

    static let longestLine = 1 << 16
    private static let mark = Array(#""event":"net."#.utf8)
    /// Behind the time and the session's name, of which both are short; what a program chose stands behind it.
    private static let markEnd = 160

    /// Takes one line of a log.
    mutating func take(_ line: ArraySlice<UInt8>) {
        // Most lines are about something else, and parsing is slow.
        let head = line.prefix(RefusedRequests.markEnd)
        guard let at = head.firstRange(of: RefusedRequests.mark)?.upperBound else { return }
        let kind = line[at...].prefix { $0 != UInt8(ascii: "\"") }
        switch String(decoding: kind, as: UTF8.self) {
        case "deny": if let event = LoggedEvent(line) { deny(event) }
        case "limit": if let event = LoggedEvent(line) { limit(event) }
        case "allow": if !waiting.isEmpty, let event = LoggedEvent(line) { allow(event) }
        default: return
        }
    }

    /// Takes an event that happens now.
    package mutating func take(_ event: Event, time: String) {
        switch event.kind {
        case .netDeny: deny(LoggedEvent(event, time: time))
        case .netLimit: limit(LoggedEvent(event, time: time))
        case .netAllow: if !waiting.isEmpty { allow(LoggedEvent(event, time: time)) }
        case .netClose, .exec, .execEnd, .policyChange, .sessionStart, .sessionEnd, .sessionPause,
            .sessionResume, .limit, .apply, .undo,
            .discard:
            return
        }
    }

    private mutating func deny(_ event: LoggedEvent) {
        guard var request = event.request else { return }
        request.detail = event.text("detail")
        add(request)
        guard let held = event.number("held"), let now = event.milliseconds else { return }
        let place = [request.host, String(request.port)]
        let before = waiting[place]?.count ?? 0
        // Equal refusals within a second are one line behind them: these may have been let in before it.
        if event.number("count") != nil { letIn(request.key, min(request.count, max(0, -before))) }
        // A little more than it waits: the log's times are those of writing.
        waiting[place] = (request.key, before + request.count, now + (held + 2) * 1000)
    }

    private mutating func limit(_ event: LoggedEvent) {
        guard var request = event.request else { return }
        request.limit = event.text("limit")
        request.scope = event.text("scope")
        // A rate that slows a connection down refuses nothing.
        guard request.limit != "bytes_per_second" else { return }
        add(request)
    }

    /// One that waited was let in after all.
    private mutating func allow(_ event: LoggedEvent) {
        let place = [event.text("host"), String(event.number("port") ?? 0)]
        guard let (key, count, until) = waiting[place], let now = event.milliseconds else { return }
        guard now <= until else {
            waiting[place] = nil
            return
        }
        waiting[place] = (key, count - 1, until)
        if count > 0 { letIn(key, 1) }
    }

    /// How many different ones there were, as far as they are told apart.
    package var different: Int { found.count + leftOut }

    private mutating func letIn(_ key: RefusedRequest.Key, _ times: Int) {
        guard let count = found[key]?.count else { return }
        if count > times { found[key]?.count -= times } else { found[key] = nil }
    }

    private mutating func add(_ request: RefusedRequest) {
        guard var known = found[request.key] else {
            found[request.key] = request
            if found.count > 2 * RefusedRequests.most { prune() }
            return
        }
        known.count += request.count
        known.first = min(known.first, request.first)
        if request.last >= known.last {
            known.last = request.last
            // A line that only counts may say less.
            if !request.detail.isEmpty { known.detail = request.detail }
            if !request.scope.isEmpty { known.scope = request.scope }
        }
        found[request.key] = known
    }

    private mutating func prune() {
        let oldest = found.values.sorted { $0.last > $1.last }.dropFirst(RefusedRequests.most)
        for request in oldest { found[request.key] = nil }
        leftOut += oldest.count
    }
}

extension RefusedRequest {
    /// Whether it was a rule that was missing.
    fileprivate var isOfRules: Bool { reason == .host || reason == .port }
}
