internal import BoxAudit
internal import BoxTypes
internal import Glibc

/// Events as lines for people: the time, what happened, and to what. Everything is escaped.
package struct LogText: Sendable {
    private let colour: Bool
    /// Command lines are cut so that a line has so many characters; nil: nothing is cut.
    package var width: Int?
    /// The day that the last line was of: it is said when it changes.
    private var day: String?

    package init(colour: Bool) { self.colour = colour }

    private enum Tone: String {
        case good = "32"
        case bad = "31"
        case warning = "33"
        case quiet = "2"
        case plain = ""
        case strong = "1"
    }

    /// The line for an event, without its end, and before it the day if it is another one.
    package mutating func lines(_ entry: LogEntry) -> [String] {
        var lines: [String] = []
        let (date, time) = Timestamp.local(milliseconds: entry.time)
        if date != day {
            lines.append(painted("-- \(date)", .quiet))
            day = date
        }
        let (word, tone, what) = LogText.parts(entry, room: width.map { max(20, $0 - LogText.margin) })
        let name = word.escapedForTerminal
        let gap =
            what.isEmpty ? "" : String(repeating: " ", count: max(0, LogText.wordWidth - name.count) + 2)
        lines.append("\(painted(time, .quiet))  \(painted(name, tone))\(gap)\(what.escapedForTerminal)")
        return lines
    }

    private static let wordWidth = 9
    /// What stands before the text of an event: the time and the word, each with a gap.
    private static let margin = 8 + 2 + wordWidth + 2

    /// A program that ended well, and soon.
    package static func isUneventful(_ entry: LogEntry) -> Bool {
        entry.event == "exec.end" && entry.number("exit_status") == 0 && entry.number("ms") ?? 0 < 1000
    }

    private func painted(_ text: String, _ tone: Tone) -> String {
        colour && tone != .plain ? "\u{1b}[\(tone.rawValue)m\(text)\u{1b}[0m" : text
    }

    private static func parts(_ entry: LogEntry, room: Int?) -> (String, Tone, String) {
        switch entry.event {
        case "session.start":
            let place = entry.text("project").map { " in \($0)" } ?? ""
            return ("started", .strong, words(entry.list("command")) + place)
        case "session.end":
            let status = entry.number("exit_status").map { "status \($0)" } ?? ""
            let time = entry.number("ms").map { "after \(duration(milliseconds: $0))" }
            return ("ended", .strong, joined(status, time, entry.text("message").map { ": \($0)" }))
        case "session.pause":
            return ("paused", .warning, joined(entry.text("reason"), entry.text("by").map { "by \($0)" }))
        case "session.resume":
            let seconds = entry.number("more_seconds").map { "\(duration(milliseconds: $0 * 1000)) more" }
            let bytes = entry.number("more_bytes").map { "\(ByteSize(bytes: max(0, $0)).rounded) more" }
            return ("resumed", .warning, joined(entry.text("reason"), seconds, bytes))
        case "net.allow":
            return ("allowed", .good, joined(place(entry), via(entry), rule(entry), process(entry)))
        case "net.deny":
            return (
                "refused", .bad,
                joined(place(entry), via(entry), reason(entry), times(entry), process(entry))
            )
        case "net.close": return ("closed", .quiet, joined(place(entry), traffic(entry), process(entry)))
        case "net.limit":
            let limit = entry.text("limit").map { "limit \($0)" }
            return ("limited", .warning, joined(place(entry), limit, times(entry), process(entry)))
        case "exec": return ("exec", .plain, program(entry, room))
        case "exec.end":
            let isGood = entry.number("exit_status") == 0
            return ("exit", isGood ? .quiet : .plain, programEnd(entry))
        case "policy.change":
            let error = entry.text("error").map { ": \($0)" }
            return (
                "policy", .warning,
                joined(entry.text("action") ?? "", entry.list("rules").joined(separator: " "), error)
            )
        case "limit":
            return (
                "limit", .warning,
                joined(entry.text("limit"), entry.text("reason")).isEmpty
                    ? rest(entry, []) : joined(entry.text("limit"), entry.text("reason"))
            )
        case "apply":
            let leftOut = entry.number("left_out").flatMap { $0 > 0 ? "\($0) left out" : nil }
            let branch = entry.text("branch").map { "to the branch \($0)" }
            return ("apply", .strong, joined("\(entry.number("applied") ?? 0) changes", leftOut, branch))
        case "undo": return ("undo", .strong, "\(entry.number("undone") ?? 0) changes taken back")
        case "discard": return ("discard", .strong, rest(entry, []))
        default: return (entry.event, .plain, rest(entry, []))
        }
    }

    private static func joined(_ parts: String?...) -> String {
        var text = ""
        for part in parts.compactMap({ $0 }) where !part.isEmpty {
            text += text.isEmpty || part.hasPrefix(":") ? part : "  \(part)"
        }
        return text
    }

    private static func place(_ entry: LogEntry) -> String {
        let host = entry.text("host") ?? "-"
        guard let port = entry.number("port"), port != 0 else { return host }
        return host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    private static func via(_ entry: LogEntry) -> String? { entry.text("via").map { "by \($0)" } }
    private static func rule(_ entry: LogEntry) -> String? { entry.text("rule").map { "rule \($0)" } }

    private static func reason(_ entry: LogEntry) -> String? {
        let detail = entry.text("detail").map { " (\($0))" } ?? ""
        return entry.text("reason").map { "\($0)\(detail)" }
    }

    private static func times(_ entry: LogEntry) -> String? {
        entry.number("count").flatMap { $0 > 1 ? "\($0) times" : nil }
    }

    private static func process(_ entry: LogEntry) -> String? {
        guard let name = entry.text("process") else { return nil }
        return entry.number("pid").map { "\(name)[\($0)]" } ?? name
    }

    private static func traffic(_ entry: LogEntry) -> String {
        func size(_ name: String) -> String { ByteSize(bytes: max(0, entry.number(name) ?? 0)).rounded }
        let time = entry.number("ms").map { ", \(duration(milliseconds: $0))" } ?? ""
        return "\(size("bytes_up")) up, \(size("bytes_down")) down\(time)"
    }

    /// The command as it would be typed, or the program's path, and what is known of its process.
    private static func program(_ entry: LogEntry, _ room: Int?) -> String {
        if let count = entry.number("count") { return "\(entry.text("path") ?? "-")  \(count) times" }
        let list = words(entry.list("arguments"))
        let path = entry.text("path") ?? (entry.fields.contains { $0.name == "hidden" } ? "(hidden)" : "-")
        let omitted = entry.number("omitted").map { "… \($0) more" }
        let instead = entry.text("instead_of").map { "runs instead of \($0)" }
        let parent = entry.number("parent").map { " of \($0)" } ?? ""
        let process = entry.number("pid").map { "[\($0)\(parent)]" }
        let tail = joined(omitted, instead, process)
        // The process stands at the end of each line.
        let command = list.isEmpty ? path : room.map { list.cut(to: max(12, $0 - tail.count - 2)) } ?? list
        return joined(command, tail)
    }

    /// How a program ended.
    private static func programEnd(_ entry: LogEntry) -> String {
        let status = entry.number("exit_status").map { "status \($0)" }
        let signal = entry.number("signal").map { "signal \($0)" }
        let time = entry.number("ms").map { "after \(duration(milliseconds: $0))" }
        return joined(
            entry.text("path") ?? "-", status ?? signal ?? "", time, entry.number("pid").map { "[\($0)]" })
    }

    /// Words as one types them: with quotes where a shell needs them.
    private static func words(_ all: [String]) -> String {
        let safe = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@%+=:,./_-")
        return all.map { word in
            !word.isEmpty && word.allSatisfy(safe.contains)
                ? word : "'" + word.replacing("'", with: "'\\''") + "'"
        }.joined(separator: " ")
    }

    /// All fields but these, as `name=value`.
    private static func rest(_ entry: LogEntry, _ known: [String]) -> String {
        entry.fields.filter { !known.contains($0.name) && $0.value != .text("") }.map { field in
            let value =
                switch field.value {
                case .text(let text): text
                case .number(let number): String(number)
                case .flag(let flag): flag ? "true" : "false"
                case .list(let list): list.joined(separator: ",")
                case .other: "…"
                }
            return "\(field.name)=\(value)"
        }.joined(separator: "  ")
    }

    /// `85 ms`, `1.2 s`, `3m12s`, `2h05m`, `6d4h`.
    package static func duration(milliseconds: Int) -> String {
        let time = max(0, milliseconds)
        if time < 1000 { return "\(time) ms" }
        if time < 60_000 { return "\(time / 1000).\(time % 1000 / 100) s" }
        let seconds = time / 1000
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        if seconds < 3600 { return "\(seconds / 60)m\(two(seconds % 60))s" }
        if seconds < 86400 { return "\(seconds / 3600)h\(two(seconds / 60 % 60))m" }
        return "\(seconds / 86400)d\(seconds / 3600 % 24)h"
    }
}
