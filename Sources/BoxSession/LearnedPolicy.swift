package import BoxPolicy
internal import BoxTypes

/// The smallest policy that opens what a session was refused (`box run --learn`).
///
/// It is a proposal to be read: what a program asks for is not always what it should get. What would take a
/// protection away is only in comments.
package struct LearnedPolicy: Equatable, Sendable {
    /// A line of the list of hosts.
    private struct Line: Equatable {
        /// A rule, or a group's name with its `@`.
        let text: String
        let comment: String
    }

    private var lines: [Line] = []
    /// Settings of hosts, by their table's first line.
    private var tables: [(table: String, lines: [String])] = []
    private var notes: [String] = []
    /// The rules and groups, as `box allow` takes them.
    package var rules: [String] { lines.map(\.text) }

    /// More are not proposed: who wants so many hosts is not learning.
    package static let most = 200

    package static func == (left: LearnedPolicy, right: LearnedPolicy) -> Bool { left.text == right.text }

    /// - Parameters:
    ///   - requests: what was refused; what the policy allows by now is left out.
    ///   - groups: one of these stands for its hosts where everything that was refused is in it.
    package init(_ requests: [RefusedRequest], _ search: RemedySearch, groups: HostGroups) {
        var wanted: [(rule: HostRule, count: Int, guess: Bool, why: String?)] = []
        for request in requests.sorted(by: { ($0.place, $0.port) < ($1.place, $1.port) }) {
            guard let remedy = search.remedy(for: request) else { continue }
            if let rule = remedy.rule {
                if let at = wanted.firstIndex(where: { $0.rule == rule }) {
                    wanted[at].count += request.count
                    wanted[at].guess = wanted[at].guess && remedy.guessesPort
                } else {
                    let why = remedy.setting == nil ? remedy.advice : nil
                    wanted.append((rule, request.count, remedy.guessesPort, why))
                }
            }
            if let setting = remedy.setting { add(setting, remedy.advice ?? "") }
            if remedy.rule == nil, remedy.setting == nil {
                notes.append("\(request.place): \(remedy.advice ?? request.reason.rawValue)")
            }
        }
        if let group = LearnedPolicy.group(of: wanted.map(\.rule), groups) {
            let names = wanted.map(\.rule.short).joined(separator: ", ")
            lines = [Line(text: "@\(group.name)", comment: "wanted: \(names)")]
            return
        }
        lines = wanted.prefix(LearnedPolicy.most).map { entry in
            let times = entry.count == 1 ? "once" : "\(entry.count) times"
            let guess = entry.guess ? "; only its name was looked up, so the port is a guess" : ""
            return Line(text: entry.rule.short, comment: times + guess + (entry.why.map { "; \($0)" } ?? ""))
        }
        if wanted.count > lines.count { notes.append("and \(wanted.count - lines.count) more hosts") }
    }

    /// The one group that everything is in, if at least two hosts of it were wanted.
    private static func group(of rules: [HostRule], _ groups: HostGroups) -> HostGroups.Group? {
        guard rules.count >= 2 else { return nil }
        return groups.all.filter { group in
            rules.allSatisfy { rule in group.rules.contains { $0.covers(rule) } }
        }.min { $0.rules.count < $1.rules.count }
    }

    private mutating func add(_ setting: Remedy.Setting, _ why: String) {
        let line = (setting.isRisky ? "#" : "") + "\(setting.line)  # \(why)"
        if let at = tables.firstIndex(where: { $0.table == setting.table }) {
            let isThere = tables[at].lines.contains {
                $0.hasPrefix((setting.isRisky ? "#" : "") + setting.line)
            }
            if !isThere { tables[at].lines.append(line) }
        } else if tables.count < LearnedPolicy.most {
            tables.append((setting.table, [line]))
        }
    }

    /// Whether nothing was refused that something could be done about.
    package var isEmpty: Bool { lines.isEmpty && tables.isEmpty && notes.isEmpty }

    /// The text of a `box.toml`.
    package var text: String {
        var text = ""
        if !lines.isEmpty {
            let width = (lines.map(\.text.utf8.count).max() ?? 0) + 5
            text += "[network]\nallow = [\n"
            for line in lines {
                let quoted = "\"\(line.text)\","
                let pad = String(repeating: " ", count: max(2, width - quoted.utf8.count))
                text += "    \(quoted)\(pad)# \(line.comment)\n"
            }
            text += "]\n"
        }
        for table in tables {
            if !text.isEmpty { text += "\n" }
            // A table of which nothing holds would be one more thing to understand.
            let isOff = table.lines.allSatisfy { $0.hasPrefix("#") }
            text += (isOff ? "#" : "") + table.table + "\n"
            for line in table.lines { text += line + "\n" }
        }
        if !notes.isEmpty {
            if !text.isEmpty { text += "\n" }
            text += "# Also refused, and not opened by this:\n"
            for note in notes.prefix(LearnedPolicy.most) { text += "# - \(note)\n" }
        }
        return text
    }
}
