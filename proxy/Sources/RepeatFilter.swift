package import BoxAudit

/// Keeps repeated events from flooding the log: the first of equal refusals or limits passes at once, those that
/// follow within a second become one event with a `count`.
package struct RepeatFilter: Sendable {
    /// Different events that are told apart; what comes beyond is counted by kind, way and reason alone.
    package static let most = 512
    /// For how long equal events are counted.
    package static let window: UInt64 = 1_000_000_000

    private struct Repeats {
        var since: UInt64
        var count = 0
        var latest: Event
    }

    private var seen: [[String]: Repeats] = [:]

    package init() {}

    package var isEmpty: Bool { seen.isEmpty }

    /// Takes an event; returns it if it goes to the log now.
    package mutating func pass(_ event: Event, now: UInt64) -> Event? {
        guard let key = RepeatFilter.key(of: event) else { return event }
        if seen[key] != nil {
            seen[key]?.count += 1
            seen[key]?.latest = event
            return nil
        }
        guard seen.count < RepeatFilter.most else {
            count(event, now: now)
            return nil
        }
        seen[key] = Repeats(since: now, latest: event)
        return event
    }

    /// One of too many different events: without its host.
    private mutating func count(_ event: Event, now: UInt64) {
        let short = Event(event.kind, event.fields.compactMap(RepeatFilter.withoutHost))
        let key = ["others", event.kind.rawValue] + short.fields.map(\.value.text)
        let before = seen[key]?.count ?? 0
        seen[key] = Repeats(since: seen[key]?.since ?? now, count: before + 1, latest: short)
    }

    private static func withoutHost(_ field: Event.Field) -> Event.Field? {
        switch field.name {
        case "host": Event.Field("host", .text(""))
        case "port": Event.Field("port", .number(0))
        case "via", "reason", "limit", "scope": field
        default: nil
        }
    }

    /// The counts of all windows that are over by now.
    package mutating func due(now: UInt64) -> [Event] { end { now >= $0 + RepeatFilter.window } }

    /// The counts of all windows, because the session is over.
    package mutating func rest() -> [Event] { end { _ in true } }

    private mutating func end(_ isOver: (UInt64) -> Bool) -> [Event] {
        var events: [Event] = []
        for (key, repeats) in seen where isOver(repeats.since) {
            seen[key] = nil
            if repeats.count > 0 { events.append(repeats.latest.adding("count", .number(repeats.count))) }
        }
        return events
    }

    /// What makes two events equal; nil for those that always pass.
    private static func key(of event: Event) -> [String]? {
        let value = { (name: String) in event.fields.first { $0.name == name }?.value.text ?? "" }
        switch event.kind {
        case .netDeny: return ["host", "port", "via", "reason"].map(value)
        case .netLimit: return ["", value("limit"), value("scope") == "host" ? value("host") : ""]
        case .sessionStart, .sessionEnd, .sessionPause, .sessionResume, .netAllow, .netClose, .exec, .execEnd,
            .policyChange, .limit, .apply,
            .undo, .discard:
            return nil
        }
    }
}

extension Event.Value {
    /// The value as part of a key.
    fileprivate var text: String {
        switch self {
        case .text(let text): text
        case .number(let number): String(number)
        case .flag(let flag): String(flag)
        case .list(let list): list.joined(separator: " ")
        }
    }
}
