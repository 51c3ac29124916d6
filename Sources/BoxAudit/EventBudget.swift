/// Keeps what programs inside cause, started programs and the network, from filling the disk: so many events are written
/// one by one at any speed, and what comes faster than that for long is counted and written as counts.
///
/// There is a budget for each of both classes, a bucket of tokens that fills up again slowly; an event takes one for each
/// begun KiB. Events that are box's own doing always pass. Time is given in milliseconds that only go forward.
package struct EventBudget: Sendable {
    /// Events that share a budget.
    private enum Class: CaseIterable { case programs, network }

    /// The tokens that a class has at first and at most.
    package static let burst = 100_000
    /// The tokens that come back in a second.
    package static let perSecond = 10
    /// Counts are written at least so often, in milliseconds.
    package static let interval = 10_000
    /// So many different programs, and hosts, are counted one by one; the rest together.
    package static let most = 64
    /// The path that the rest of the programs have; no real one is relative. The rest of the hosts has an empty name.
    package static let otherPrograms = "other"

    private let burst: Int
    private let perSecond: Int
    private var programs: Bucket
    private var network: Bucket
    /// Processes whose start was only counted: their end is not written either.
    private var unwritten: Set<Int> = []

    package init(burst: Int = EventBudget.burst, perSecond: Int = EventBudget.perSecond) {
        self.burst = burst
        self.perSecond = perSecond
        programs = Bucket(tokens: burst * 1000)
        network = Bucket(tokens: burst * 1000)
    }

    /// The thousandths of tokens that are left, and what was counted.
    private struct Bucket {
        var tokens: Int
        var filled: Int?
        var counts: [[String]: Count] = [:]
        /// When counting began.
        var since: Int?

        mutating func spend(_ cost: Int, burst: Int, perSecond: Int, now: Int) -> Bool {
            let passed = max(0, now - (filled ?? now))
            filled = max(now, filled ?? now)
            // A pause of years is no longer than one that fills the bucket.
            let gained = min(passed, burst * 1000) * perSecond
            tokens = min(burst * 1000, tokens + gained)
            guard tokens >= cost * 1000 else { return false }
            tokens -= cost * 1000
            return true
        }
    }

    /// Events of which only the number is kept, and the sums of some fields.
    private struct Count {
        let kind: Event.Kind
        let fields: [Event.Field]
        var count = 0
        var sums: [(name: String, sum: Int)]

        var event: Event {
            Event(
                kind,
                fields + [Event.Field("count", .number(count))]
                    + sums.map { Event.Field($0.name, .number($0.sum)) })
        }
    }

    /// Takes an event: what is to be written now, in this order. It is this event, or nothing, because it was counted.
    package mutating func take(_ event: Event, now: Int) -> [Event] {
        let pid: Int? = if case .number(let pid)? = event["pid"] { pid } else { nil }
        switch event.kind {
        case .exec:
            // It says that a start was another program's: it goes with that.
            if event["instead_of"] != nil, let pid { return unwritten.contains(pid) ? [] : [event] }
            guard EventBudget.spend(&programs, event, burst, perSecond, now) else {
                if let pid { unwritten.insert(pid) }
                return []
            }
            if let pid { unwritten.remove(pid) }
            return [event]
        case .execEnd:
            // Each belongs to a start that was written.
            guard let pid, unwritten.remove(pid) != nil else { return [event] }
            return []
        case .netAllow, .netDeny, .netClose, .netLimit:
            return EventBudget.spend(&network, event, burst, perSecond, now) ? [event] : []
        case .sessionStart, .sessionEnd, .sessionPause, .sessionResume, .policyChange, .limit, .apply, .undo,
            .discard:
            return [event]
        }
    }

    private static func spend(
        _ bucket: inout Bucket, _ event: Event, _ burst: Int, _ perSecond: Int, _ now: Int
    ) -> Bool {
        if bucket.spend(1 + event.size / 1024, burst: burst, perSecond: perSecond, now: now) { return true }
        if bucket.since == nil { bucket.since = now }
        var identity = event.identity
        let sums = ["bytes_up", "bytes_down"].filter { event[$0] != nil }
        if bucket.counts[key(event, identity)] == nil, bucket.counts.count >= most {
            identity = event.identityOfOthers
        }
        let name = key(event, identity)
        var count =
            bucket.counts[name]
            ?? Count(kind: event.kind, fields: identity, sums: sums.map { ($0, 0) })
        // What the proxy has counted is more than one.
        count.count += max(1, event.integer("count") ?? 1)
        for index in count.sums.indices {
            count.sums[index].sum += max(0, event.integer(count.sums[index].name) ?? 0)
        }
        bucket.counts[name] = count
        return false
    }

    private static func key(_ event: Event, _ identity: [Event.Field]) -> [String] {
        [event.kind.rawValue]
            + identity.map { field in
                switch field.value {
                case .text(let text): text
                case .number(let number): String(number)
                case .flag, .list: ""
                }
            }
    }

    /// When counts have to be written; nil if there are none.
    package var nextTime: Int? {
        [programs.since, network.since].compactMap { $0 }.min().map { $0 + EventBudget.interval }
    }

    /// The counts that have to be written by now.
    package mutating func due(now: Int) -> [Event] {
        func isDue(_ bucket: Bucket) -> Bool {
            bucket.since.map { now >= $0 + EventBudget.interval } ?? false
        }
        return (isDue(programs) ? EventBudget.empty(&programs) : [])
            + (isDue(network) ? EventBudget.empty(&network) : [])
    }

    /// All counts, because the session is over.
    package mutating func rest() -> [Event] {
        EventBudget.empty(&programs) + EventBudget.empty(&network)
    }

    private static func empty(_ bucket: inout Bucket) -> [Event] {
        let counts = bucket.counts
        bucket.counts = [:]
        bucket.since = nil
        // The order is that of no clock, but always the same.
        return counts.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map(\.value.event)
    }
}

extension Event {
    /// The value of a field.
    package subscript(name: String) -> Value? { fields.first { $0.name == name }?.value }

    fileprivate func integer(_ name: String) -> Int? {
        if case .number(let number)? = self[name] { number } else { nil }
    }

    /// How long its texts are, in bytes: nearly all of its line.
    fileprivate var size: Int {
        fields.reduce(0) { sum, field in
            switch field.value {
            case .text(let text): sum + text.utf8.count
            case .list(let all): sum + all.reduce(0) { $0 + $1.utf8.count }
            case .number, .flag: sum
            }
        }
    }

    /// What makes it one of many equal ones: the program's path; the host and port, and why.
    fileprivate var identity: [Field] {
        let names =
            switch kind {
            case .exec: ["path"]
            case .netDeny: ["host", "port", "reason"]
            case .netLimit: ["host", "port", "reason", "limit", "scope"]
            case .netAllow, .netClose, .execEnd, .sessionStart, .sessionEnd, .sessionPause, .sessionResume,
                .policyChange, .limit, .apply, .undo, .discard:
                ["host", "port"]
            }
        return names.compactMap { name in fields.first { $0.name == name } }
    }

    /// The same without what there are too many of.
    fileprivate var identityOfOthers: [Field] {
        identity.map { field in
            switch field.name {
            case "path": Field("path", .text(EventBudget.otherPrograms))
            case "host": Field("host", .text(""))
            case "port": Field("port", .number(0))
            default: field
            }
        }
    }
}
