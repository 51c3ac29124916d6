internal import BoxTypes

/// The list's columns: as many as there is room for.
struct TopTable {
    private enum Column: CaseIterable {
        case name, agent, state, age, cpu, memory, down, up, refusals, changes, command

        var head: String {
            switch self {
            case .name: "NAME"
            case .agent: "AGENT"
            case .state: "STATE"
            case .age: "AGE"
            case .cpu: "CPU"
            case .memory: "MEM"
            case .down: "IN"
            case .up: "OUT"
            case .refusals: "REF"
            case .changes: "CHG"
            case .command: "COMMAND"
            }
        }

        /// Numbers stand at the right.
        var isNumber: Bool {
            switch self {
            case .name, .agent, .state, .command: false
            case .age, .cpu, .memory, .down, .up, .refusals, .changes: true
            }
        }

        /// What goes first where there is no room.
        static let dispensable: [Column] = [
            .agent, .age, .up, .down, .memory, .changes, .cpu, .refusals, .command, .state,
        ]
    }

    private var shown: [(column: Column, width: Int)] = []

    /// The least that is worth a column of its own.
    private static let leastCommand = 8

    init(_ sessions: [TopSession], columns: Int) {
        let isWide = columns >= 120
        func longest(_ texts: [String], _ least: Int, _ most: Int) -> Int {
            min(most, max(least, texts.map(TopText.width).max() ?? 0))
        }
        var widths: [Column: Int] = [
            .name: longest(sessions.map { $0.name.escapedForTerminal }, 4, isWide ? 24 : 12),
            .agent: longest(sessions.map { TopTable.agent($0) }, 5, isWide ? 20 : 8),
            .state: longest(sessions.map(TopTable.state), 7, 11),
            .age: 4, .cpu: 4, .memory: 4, .down: 4, .up: 4, .refusals: 4, .changes: 4,
            .command: TopTable.leastCommand,
        ]
        for column in Column.dispensable {
            guard widths.values.reduce(0, { $0 + $1 + 1 }) - 1 > columns else { break }
            widths[column] = nil
        }
        // What is left over is the command's, or else the name's.
        let rest = columns - (widths.values.reduce(0) { $0 + $1 + 1 } - 1)
        let last: Column = widths[.command] == nil ? .name : .command
        widths[last, default: 0] += widths.count == 1 || last == .command ? rest : 0
        shown = Column.allCases.compactMap { column in widths[column].map { (column, $0) } }
    }

    /// The names of the columns.
    var head: String { joined { $0.head } }

    /// One session.
    func line(_ session: TopSession) -> String { joined { TopTable.cell($0, session) } }

    private func joined(_ text: (Column) -> String) -> String {
        shown.map { TopText.fit(text($0.column), $0.width, right: $0.column.isNumber) }.joined(separator: " ")
    }

    private static func cell(_ column: Column, _ session: TopSession) -> String {
        switch column {
        case .name: session.name.escapedForTerminal
        case .agent: agent(session)
        case .state: state(session)
        case .age: session.age.map(TopText.age) ?? "-"
        case .cpu: session.cpuPercent.map { "\($0)%" } ?? "-"
        case .memory: session.memory.map(TopText.size) ?? "-"
        case .down: session.traffic.map { TopText.size($0.down) } ?? "-"
        case .up: session.traffic.map { TopText.size($0.up) } ?? "-"
        case .refusals: session.refusals.map(TopText.count) ?? "-"
        case .changes:
            session.changes.map { TopText.count($0.count) + ($0.isAll ? "" : "+") } ?? "-"
        case .command: (session.current ?? session.command).escapedForTerminal
        }
    }

    private static func agent(_ session: TopSession) -> String {
        session.agent.isEmpty ? "-" : session.agent.escapedForTerminal
    }

    private static func state(_ session: TopSession) -> String {
        switch session.state {
        case .running: "running"
        case .paused: "paused"
        case .silent: "silent"
        case .ended(let state, _): state.rawValue
        }
    }
}
