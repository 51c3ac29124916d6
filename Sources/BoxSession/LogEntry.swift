internal import BoxAudit
internal import BoxTypes
internal import Glibc

/// One line of a session's log as it is read again. Nothing in it is trusted: programs inside choose much of the text.
package struct LogEntry: Equatable, Sendable {
    package enum Value: Equatable, Sendable {
        case text(String)
        case number(Int)
        case flag(Bool)
        case list([String])
        /// What this version of box does not write.
        case other
    }

    /// Milliseconds since 1970.
    package let time: Int
    /// As the line has it; other versions of box may write other events.
    package let event: String
    /// Everything but time, session, event and chain, in order.
    package let fields: [(name: String, value: Value)]

    package static func == (left: LogEntry, right: LogEntry) -> Bool {
        left.time == right.time && left.event == right.event
            && left.fields.elementsEqual(right.fields) { $0.name == $1.name && $0.value == $1.value }
    }

    /// nil: the line is damaged, or is no event.
    package init?(_ line: ArraySlice<UInt8>) {
        guard let value = try? JSONValue(parsing: Array(line)), case .object(let members) = value.content
        else { return nil }
        var (time, event): (Int?, String?)
        var fields: [(name: String, value: Value)] = []
        for member in members {
            switch (member.key, member.value.content) {
            case ("time", .string(let text)): time = Timestamp.milliseconds(of: text)
            case ("event", .string(let text)): event = text
            case ("session", _), ("chain", _): continue
            default: fields.append((member.key, Value(member.value.content)))
            }
        }
        guard let time, let event else { return nil }
        self.time = time
        self.event = event
        self.fields = fields
    }

    package subscript(name: String) -> Value? { fields.first { $0.name == name }?.value }

    /// A text; nil if there is none, or an empty one.
    package func text(_ name: String) -> String? {
        guard case .text(let text)? = self[name], !text.isEmpty else { return nil }
        return text
    }

    package func number(_ name: String) -> Int? {
        if case .number(let number)? = self[name] { number } else { nil }
    }

    package func list(_ name: String) -> [String] {
        if case .list(let list)? = self[name] { list } else { [] }
    }
}

extension LogEntry.Value {
    fileprivate init(_ content: JSONValue.Content) {
        switch content {
        case .string(let text): self = .text(text)
        case .number(let number): self = Int(number.text).map { .number($0) } ?? .other
        case .bool(let flag): self = .flag(flag)
        case .array(let all):
            var texts: [String] = []
            for value in all {
                guard case .string(let text) = value.content else {
                    self = .other
                    return
                }
                texts.append(text)
            }
            self = .list(texts)
        case .null, .object: self = .other
        }
    }
}

/// Which events are wanted.
package struct LogSelection: Equatable, Sendable {
    package enum Subject: Equatable, Sendable, CaseIterable { case network, programs, denied }

    /// Any of these; all events if there is none.
    package var subjects: [Subject]
    /// Not before this time, in milliseconds since 1970.
    package var since: Int?

    package init(subjects: [Subject] = [], since: Int? = nil) {
        self.subjects = subjects
        self.since = since
    }

    private static let mark = Array(#"","event":""#.utf8)
    /// How long the beginning is that all lines have: `{"time":"2026-02-03T10:22:31.500Z","session":"`.
    private static let head = 46

    /// Whether a line may be wanted: most are not, and parsing is slow. One that is not written as box writes may be, too.
    package func mayWant(_ line: ArraySlice<UInt8>) -> Bool {
        guard !subjects.isEmpty, let name = LogSelection.event(of: line) else { return true }
        return isWanted(event: name)
    }

    /// The event's name at the place where box writes it: behind the time and the session's name, which has no quotes.
    private static func event(of line: ArraySlice<UInt8>) -> String? {
        let rest = line.dropFirst(head)
        guard let end = rest.firstIndex(of: UInt8(ascii: "\"")) else { return nil }
        let tail = line[end...]
        guard tail.starts(with: mark) else { return nil }
        return String(decoding: tail.dropFirst(mark.count).prefix { $0 != UInt8(ascii: "\"") }, as: UTF8.self)
    }

    package func wants(_ entry: LogEntry) -> Bool {
        if let since, entry.time < since { return false }
        return isWanted(event: entry.event)
    }

    private func isWanted(event: String) -> Bool {
        subjects.isEmpty
            || subjects.contains { subject in
                switch subject {
                case .network: event.hasPrefix("net.")
                case .programs: event == "exec" || event.hasPrefix("exec.")
                case .denied: event == "net.deny" || event == "net.limit" || event == "limit"
                }
            }
    }
}
