package import BoxAudit
internal import BoxTypes
internal import Glibc

/// One line of a session's log, read again.
struct LoggedEvent {
    private let fields: [String: JSONValue.Content]
    /// In RFC 3339.
    let time: String

    /// nil: the line is damaged, or has no time.
    init?(_ line: ArraySlice<UInt8>) {
        guard let value = try? JSONValue(parsing: Array(line)), case .object(let members) = value.content
        else { return nil }
        fields = Dictionary(members.map { ($0.key, $0.value.content) }) { first, _ in first }
        guard case .string(let time)? = fields["time"], Timestamp.seconds(of: time) != nil else { return nil }
        self.time = time
    }

    /// A text; empty if there is none.
    func text(_ name: String) -> String {
        if case .string(let text)? = fields[name] { text } else { "" }
    }

    /// A number that is not negative and not absurd.
    func number(_ name: String) -> Int? {
        guard case .number(let number)? = fields[name], let value = Int(number.text),
            (0...1_000_000_000).contains(value)
        else { return nil }
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
