package import BoxAudit
internal import BoxTypes
internal import Glibc

/// An event of a session with its time: a line of its log, read again, or one that happens now.
struct LoggedEvent {
    private let fields: [String: Event.Value]
    /// In RFC 3339.
    let time: String

    /// nil: the line is damaged, or has no time.
    init?(_ line: ArraySlice<UInt8>) {
        guard let value = try? JSONValue(parsing: Array(line)), case .object(let members) = value.content
        else { return nil }
        var fields: [String: Event.Value] = [:]
        for member in members where fields[member.key] == nil {
            switch member.value.content {
            case .string(let text): fields[member.key] = .text(text)
            case .number(let number): fields[member.key] = Int(number.text).map { .number($0) }
            case .bool(let flag): fields[member.key] = .flag(flag)
            case .null, .array, .object: continue
            }
        }
        guard case .text(let time)? = fields["time"], Timestamp.seconds(of: time) != nil else { return nil }
        self.fields = fields
        self.time = time
    }

    init(_ event: Event, time: String) {
        fields = Dictionary(event.fields.map { ($0.name, $0.value) }) { first, _ in first }
        self.time = time
    }

    /// A text; empty if there is none.
    func text(_ name: String) -> String {
        if case .text(let text)? = fields[name] { text } else { "" }
    }

    /// A number that is not negative and not absurd.
    func number(_ name: String) -> Int? {
        guard case .number(let value)? = fields[name], (0...1_000_000_000).contains(value) else {
            return nil
        }
        return value
    }

    var milliseconds: Int? { Timestamp.milliseconds(of: time) }

    /// The refusal that the line tells of; nil if it is none.
    var request: RefusedRequest? {
        guard let reason = RefusalReason(rawValue: text("reason")), let port = number("port"), port < 65536
        else { return nil }
        var request = RefusedRequest(
            host: text("host"), port: port, reason: reason, first: time, last: time)
        request.count = max(1, number("count") ?? 1)
        return request
    }
}

extension Timestamp {
    /// The seconds since 1970 of a time as the logs have it; nil for any other text.
    package static func seconds(of text: String) -> Int? { milliseconds(of: text).map { $0 / 1000 } }

    /// A time of the logs as the clock on the wall has it: `2026-02-03 10:22`.
    package static func local(_ text: String) -> String? {
        guard let time = milliseconds(of: text) else { return nil }
        let (date, clock) = local(milliseconds: time)
        return "\(date) \(clock.prefix(5))"
    }
}
