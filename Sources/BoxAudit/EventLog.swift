internal import BoxKernel
internal import BoxTypes
internal import Glibc

/// The session's `events.jsonl`, written by the supervisor alone, one line an event.
package struct EventLog: ~Copyable {
    private let file: Descriptor
    private let session: String

    /// Opens the log for appending; it is the user's alone, and no link is followed.
    package init(path: String, session: String) throws(LogError) {
        do throws(KernelError) {
            file = try Descriptor.open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, mode: 0o600)
        } catch { throw LogError(reason: "cannot open \(path): \(error)") }
        self.session = session
    }

    /// Appends an event with the present time.
    package borrowing func append(_ event: Event) throws(LogError) {
        var fields: [(String, JSONOutput)] = [
            ("time", .text(Timestamp.now())), ("session", .text(session)),
            ("event", .text(event.kind.rawValue)),
        ]
        for field in event.fields {
            let value: JSONOutput =
                switch field.value {
                case .text(let text): .text(text)
                case .number(let number): .number(number)
                case .flag(let flag): .bool(flag)
                case .list(let list): .texts(list)
                }
            fields.append((field.name, value))
        }
        do throws(KernelError) {
            try file.write(all: Array((JSONOutput.object(fields).line + "\n").utf8))
        } catch { throw LogError(reason: "cannot write the session's log: \(error)") }
    }
}

/// The log cannot be written: then the session must not go on unseen.
package struct LogError: Error, Equatable, CustomStringConvertible {
    package let reason: String
    package var description: String { reason }
}

/// Points in time as the formats have them.
package enum Timestamp {
    /// The present time in RFC 3339, UTC, with milliseconds.
    package static func now() -> String {
        var time = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &time)
        return text(seconds: time.tv_sec, milliseconds: time.tv_nsec / 1_000_000)
    }

    /// A point in time in RFC 3339.
    package static func text(seconds: Int, milliseconds: Int) -> String {
        var parts = unsafe tm()
        var seconds = seconds
        unsafe gmtime_r(&seconds, &parts)
        func pad(_ value: Int, _ width: Int) -> String {
            let digits = String(value)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let (year, month, day) = unsafe (parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday)
        let (hour, minute, second) = unsafe (parts.tm_hour, parts.tm_min, parts.tm_sec)
        let date = "\(pad(Int(year), 4))-\(pad(Int(month), 2))-\(pad(Int(day), 2))"
        let clock = "\(pad(Int(hour), 2)):\(pad(Int(minute), 2)):\(pad(Int(second), 2))"
        return "\(date)T\(clock).\(pad(milliseconds, 3))Z"
    }
}
