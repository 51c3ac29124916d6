import ArgumentParser
import BoxAudit
import BoxKernel
import BoxPlan
import BoxPolicy
import BoxSession
import BoxTypes

/// `box ps`: the sessions of the user.
struct PsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ps", abstract: "List the sessions that run, or all.",
        discussion: """
            CPU and MEM are of all processes of a session, box's own included; CHANGES are those that wait to be applied. \
            A session is finished, failed (box refused or failed before the command began), interrupted (it was \
            killed, or the machine went down) or damaged (its record cannot be read).
            """)

    @Flag(name: .shortAndLong, help: "Also those that have ended.")
    var all = false

    @Option(
        name: [.customShort("C"), .long],
        help: ArgumentHelp("Only the sessions of this project.", valueName: "directory"))
    var project: String?

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
        let rows: [SessionRow]
        do throws(SessionError) {
            let path = try project.map { text throws(SessionError) in try SessionRow.project(text) }
            rows = try SessionRow.all(of: path, ended: all)
        } catch { throw Refusal(error) }
        if json {
            Output.data(JSONOutput.list(rows.map(\.json)).pretty + "\n")
            return
        }
        if rows.isEmpty {
            Output.error(
                all ? "there are no sessions" : "no session runs. box ps -a shows those that have ended")
            return
        }
        let table = SessionTable(rows, home: (try? PolicyPlaces())?.home.string, colour: Output.hasColour(1))
        Output.data(table.lines(columns: PsCommand.columns).map { $0 + "\n" }.joined())
    }

    /// How wide the terminal is; nil for none, and for one that does not know.
    private static var columns: Int? {
        guard Terminal.isTerminal(1), let size = try? Terminal.size(of: 1), size.columns > 0 else {
            return nil
        }
        return Int(size.columns)
    }
}

/// A session with what is known of it at present.
struct SessionRow {
    let session: StoredSession
    /// Changes that wait; nil where nobody knows, or it works in the project itself.
    let changes: Int?
    let refusals: Int?
    /// Whether it stands still; nil if nobody can say.
    let isPaused: Bool?
    let usage: SessionUsage?
    /// Milliseconds since it began; nil if that is not known.
    let age: Int?

    /// A project's path as the sessions have it.
    static func project(_ directory: String) throws(SessionError) -> String {
        try HostFacts.Project.canonicalPath(of: directory).string
    }

    /// Supervisors that answer later are shown without what only they know.
    private static let patience = 500
    /// All changes of sessions without a count of their own are counted in this time, or not at all; in milliseconds.
    private static let countingTime = 400

    /// The running sessions, or all; the newest first.
    static func all(of project: String?, ended: Bool) throws(SessionError) -> [SessionRow] {
        let sessions = try SessionStore.all(of: project).filter { ended || $0.state == .running }
        let running = sessions.filter { $0.state == .running }
        let counted = sessions.count { $0.state == .running || $0.state == .interrupted }
        let statuses = try RunningSession.statuses(of: running, within: patience)
        let supervisors = running.compactMap { $0.supervisor }
        let usages = SessionUsage.of(supervisors: supervisors)
        let waiting = ended ? try SessionStore.waiting() : []
        let now = Timestamp.milliseconds()
        var rows: [SessionRow] = []
        for session in sessions {
            rows.append(
                SessionRow(
                    session: session,
                    changes: changes(of: session, waits: waiting.contains(session.name), counted),
                    refusals: statuses[session.name]?.refusals ?? session.refusals,
                    isPaused: statuses[session.name]?.isPaused,
                    usage: session.state == .running ? session.supervisor.flatMap { usages[$0] } : nil,
                    age: Timestamp.milliseconds(of: session.started).map { max(0, now - $0) }))
        }
        return rows
    }

    private static func changes(of session: StoredSession, waits: Bool, _ counted: Int) -> Int? {
        guard session.isStaged else { return nil }
        switch session.state {
        case .running, .interrupted:
            // The agent changes everything meanwhile; what cannot be counted now can be the next time.
            return (try? session.countChanges(within: countingTime / max(1, counted))) ?? nil
        case .finished, .failed: return waits ? session.changes : 0
        case .damaged: return nil
        }
    }

    var json: JSONOutput {
        .object([
            ("id", .text(session.name)), ("name", .text(session.name)), ("agent", .optional(session.agent)),
            ("project", .optional(session.project.isEmpty ? nil : session.project)),
            ("workspace", .optional(session.workspace.isEmpty ? nil : session.workspace)),
            ("state", .text(session.state.rawValue)),
            ("paused", isPaused.map { .bool($0) } ?? .null),
            ("started", .optional(session.started.isEmpty ? nil : session.started)),
            ("ended", .optional(session.ended)),
            ("exit_status", SessionRow.number(session.exitStatus)), ("changes", SessionRow.number(changes)),
            ("refusals", SessionRow.number(refusals)), ("detached", .bool(session.isDetached)),
            ("command", .texts(session.command)),
            ("cpu_ms", SessionRow.number(usage?.cpuMilliseconds)),
            ("memory_bytes", SessionRow.number(usage?.memoryBytes)),
            ("processes", SessionRow.number(usage?.processes)),
            (
                "supervisor",
                SessionRow.number(session.state == .running ? session.supervisor.map(Int.init) : nil)
            ),
            ("damage", .optional(session.damage)),
        ])
    }

    private static func number(_ value: Int?) -> JSONOutput { value.map { .number($0) } ?? .null }
}

/// Sessions in columns. Everything is escaped, and no line is longer than the terminal is wide.
struct SessionTable {
    private let rows: [SessionRow]
    private let colour: Bool
    /// The user's home, which paths are shown without.
    private let home: String?

    init(_ rows: [SessionRow], home: String?, colour: Bool) {
        self.rows = rows
        self.home = home
        self.colour = colour
    }

    private static let head = ["ID", "AGENT", "STATE", "AGE", "CPU", "MEM", "CHANGES", "REFUSED", "PROJECT"]
    /// Numbers stand at the right of their columns.
    private static let right: Set = [3, 4, 5, 6, 7]

    /// The lines, cut to a width.
    func lines(columns: Int?) -> [String] {
        let cells = [SessionTable.head] + rows.map(cells)
        let widths = SessionTable.head.indices.map { column in cells.map { $0[column].count }.max() ?? 0 }
        return cells.enumerated().map { index, row in
            var line = ""
            for (column, text) in row.enumerated() {
                let gap = String(repeating: " ", count: widths[column] - text.count)
                let last = column == row.count - 1
                line += SessionTable.right.contains(column) ? gap + text : last ? text : text + gap
                if !last { line += "  " }
            }
            if let columns, line.count > columns { line = line.prefix(max(0, columns - 1)) + "…" }
            return painted(line, index == 0 ? nil : rows[index - 1])
        }
    }

    private func painted(_ line: String, _ row: SessionRow?) -> String {
        guard colour else { return line }
        let code =
            switch row?.session.state {
            case nil: "2"
            case .running: row?.isPaused == true ? "33" : "32"
            case .finished: ""
            case .failed, .interrupted: "33"
            case .damaged: "31"
            }
        return code.isEmpty ? line : "\u{1b}[\(code)m\(line)\u{1b}[0m"
    }

    private func cells(_ row: SessionRow) -> [String] {
        let session = row.session
        func number(_ value: Int?) -> String { value.map(String.init) ?? "-" }
        return [
            short(session.name, 32), short(session.agent ?? SessionTable.command(session), 20),
            row.isPaused == true ? "paused" : state(session), row.age.map(SessionTable.age) ?? "-",
            row.usage.map { LogText.duration(milliseconds: $0.cpuMilliseconds) } ?? "-",
            row.usage.map { ByteSize(bytes: $0.memoryBytes).rounded } ?? "-", number(row.changes),
            number(row.refusals), place(session),
        ]
    }

    /// The command, with its program by name alone.
    private static func command(_ session: StoredSession) -> String {
        let program = session.command.first?.split(separator: "/").last.map(String.init)
        return ([program ?? ""] + session.command.dropFirst()).joined(separator: " ")
    }

    private func state(_ session: StoredSession) -> String {
        switch session.state {
        case .finished: session.exitStatus.map { $0 == 0 ? "finished" : "finished (\($0))" } ?? "finished"
        case .running, .failed, .interrupted, .damaged: session.state.rawValue
        }
    }

    private func place(_ session: StoredSession) -> String {
        if let damage = session.damage { return damage.escapedForTerminal }
        guard let home, session.project == home || session.project.hasPrefix(home + "/") else {
            return session.project.escapedForTerminal
        }
        return "~" + session.project.dropFirst(home.count).description.escapedForTerminal
    }

    private func short(_ text: String, _ width: Int) -> String {
        guard !text.isEmpty else { return "-" }
        let escaped = text.prefix(4 * width).description.escapedForTerminal
        return escaped.count > width ? escaped.prefix(width - 1) + "…" : escaped
    }

    /// `12 s`, `5 min`, `3 h`, `9 d`.
    static func age(milliseconds: Int) -> String {
        let seconds = milliseconds / 1000
        if seconds < 120 { return "\(seconds) s" }
        if seconds < 7200 { return "\(seconds / 60) min" }
        if seconds < 48 * 3600 { return "\(seconds / 3600) h" }
        return "\(seconds / 86400) d"
    }
}
