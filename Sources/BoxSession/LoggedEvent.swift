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

    var milliseconds: Int? {
        guard let seconds = Timestamp.seconds(of: time), let rest = Int(time.dropLast().suffix(3)) else {
            return nil
        }
        return seconds * 1000 + rest
    }

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
    private static let form = Array("0000-00-00T00:00:00.000Z".utf8)

    /// The seconds since 1970 of a time as the logs have it; nil for any other text.
    package static func seconds(of text: String) -> Int? {
        let bytes = Array(text.utf8)
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        guard bytes.count == form.count,
            zip(bytes, form).allSatisfy({ digits.contains($1) ? digits.contains($0) : $0 == $1 })
        else { return nil }
        func number(_ range: Range<Int>) -> CInt {
            bytes[range].reduce(0) { $0 * 10 + CInt($1 - UInt8(ascii: "0")) }
        }
        var parts = unsafe tm()
        unsafe parts.tm_year = number(0..<4) - 1900
        unsafe parts.tm_mon = number(5..<7) - 1
        unsafe parts.tm_mday = number(8..<10)
        unsafe parts.tm_hour = number(11..<13)
        unsafe parts.tm_min = number(14..<16)
        unsafe parts.tm_sec = number(17..<19)
        return unsafe timegm(&parts)
    }

    /// A time of the logs as the clock on the wall has it: `2026-02-03 10:22`.
    package static func local(_ text: String) -> String? {
        guard var seconds = seconds(of: text) else { return nil }
        var parts = unsafe tm()
        guard unsafe localtime_r(&seconds, &parts) != nil else { return nil }
        let (year, month, day) = unsafe (parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday)
        let (hour, minute) = unsafe (parts.tm_hour, parts.tm_min)
        func two(_ number: CInt) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(year)-\(two(month))-\(two(day)) \(two(hour)):\(two(minute))"
    }
}
