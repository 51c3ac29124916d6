internal import BoxTypes

// The screen's lines. Everything that is not box's own text is escaped here.
extension TopScreen {
    private enum Tone: String {
        case good = "32"
        case bad = "31"
        case warning = "33"
        case quiet = "2"
        case strong = "1"
        case chosen = "7"
    }

    /// Attributes that are no colours are there without colours, too.
    private func painted(_ text: String, _ tone: Tone) -> String {
        switch tone {
        case .good, .bad, .warning: colour ? "\u{1b}[\(tone.rawValue)m\(text)\u{1b}[0m" : text
        case .quiet, .strong, .chosen: "\u{1b}[\(tone.rawValue)m\(text)\u{1b}[0m"
        }
    }

    /// The whole screen: so many lines, none of them wider than it is.
    package mutating func lines(rows: Int, columns: Int) -> [String] {
        guard rows > 0, columns > 0 else { return [] }
        let lines: [String]
        switch mode {
        case .log(let name, let above): lines = logLines(name, above, rows, columns)
        case .help: lines = helpLines(rows)
        case .list, .stopping, .allowing: lines = listLines(rows, columns)
        }
        let shown = lines.prefix(rows).map { TopText.cut($0, to: columns) }
        return shown + Array(repeating: "", count: rows - shown.count)
    }

    // MARK: - The list

    private mutating func listLines(_ rows: Int, _ columns: Int) -> [String] {
        let layout = TopLayout(rows: rows)
        let table = TopTable(sessions, columns: columns)
        var lines: [String] = []
        if layout.title > 0 { lines.append(title(columns)) }
        if layout.head > 0 { lines.append(painted(TopText.fit(table.head, columns), .quiet)) }
        let start = lines.count
        if sessions.isEmpty { lines.append("no session runs. box run starts one") }
        for row in window(layout.list) {
            let session = sessions[row]
            let line = table.line(session)
            if session.name == selected {
                lines.append(painted(TopText.fit(line, columns), .chosen))
            } else {
                lines.append(tone(session).map { painted(line, $0) } ?? line)
            }
        }
        lines += Array(repeating: "", count: max(0, start + layout.list - lines.count))
        if layout.detail > 0 { lines += detail(layout.detail, columns) }
        if layout.foot > 0 { lines.append(foot) }
        return lines
    }

    private func tone(_ session: TopSession) -> Tone? {
        switch session.state {
        case .running: session.limits.isEmpty ? nil : .warning
        case .paused, .silent: .warning
        case .ended: .quiet
        }
    }

    private func title(_ columns: Int) -> String {
        let running = sessions.filter(\.isRunning)
        let paused = running.count(where: \.isPaused)
        let count = running.count == 1 ? "1 session runs" : "\(running.count) sessions run"
        let text = "box top  \(count)" + (paused > 0 ? ", \(paused) of them paused" : "")
        let gap = columns - TopText.width(text) - TopText.width(clock)
        return painted(text + (gap > 1 ? String(repeating: " ", count: gap) + clock : ""), .strong)
    }

    private var foot: String {
        switch mode {
        case .stopping(let name): return painted("end session \(name.escapedForTerminal)? [y/N]", .warning)
        case .allowing: return painted("allow which one? its sign, or any other key for none", .warning)
        case .list, .help, .log: break
        }
        if let message { return painted(message.escapedForTerminal, .strong) }
        return painted(
            "up/down choose  l log  a allow  p pause  s stop  enter attach  ? help  q quit", .quiet)
    }

    // MARK: - The session that is chosen

    private func detail(_ height: Int, _ columns: Int) -> [String] {
        guard let chosen else { return Array(repeating: "", count: height) }
        let name = "-- \(chosen.name.escapedForTerminal) "
        let rule = name + String(repeating: "-", count: max(0, columns - TopText.width(name)))
        var lines = [painted(rule, .quiet)]
        if case .allowing(let name) = mode, name == chosen.name {
            lines += choiceLines(chosen, height - 1)
        } else {
            lines += facts(chosen)
            lines += refusedLines(chosen, height - lines.count)
        }
        return Array((lines + Array(repeating: "", count: height)).prefix(height))
    }

    private func row(_ name: String, _ text: String) -> String {
        painted(TopText.fit(name, 10), .quiet) + text
    }

    private func facts(_ session: TopSession) -> [String] {
        let command = (session.current ?? session.command).escapedForTerminal
        var lines = [
            row("project", "\(session.project.escapedForTerminal)  \(session.workspace.escapedForTerminal)"),
            row(session.current == nil ? "command" : "runs", command),
        ]
        if let traffic = session.traffic {
            func rate(_ bytes: Int?) -> String { bytes.map { " (\(ByteSize(bytes: $0).rounded)/s)" } ?? "" }
            var text = "in \(ByteSize(bytes: traffic.down).rounded)\(rate(traffic.downRate))"
            text += ", out \(ByteSize(bytes: traffic.up).rounded)\(rate(traffic.upRate))"
            if session.programs > 0 { text += "; \(session.programs) programs started" }
            lines.append(row("network", text))
        }
        var state: [String] = []
        switch session.state {
        case .running: break
        case .paused(let reasons): state.append("paused (\(reasons.joined(separator: ", ")))")
        case .silent: state.append("does not answer: stopped in its terminal (^Z)?")
        case .ended(let how, let status):
            state.append(how.rawValue + (status.map { ", status \($0)" } ?? ""))
        }
        state += session.limits.map { "\($0.name): \($0.detail)" }
        if !state.isEmpty {
            lines.append(row("limits", painted(state.joined(separator: "; ").escapedForTerminal, .warning)))
        }
        return lines
    }

    private func refusedLines(_ session: TopSession, _ height: Int) -> [String] {
        guard height > 0, !session.refused.isEmpty else { return [] }
        let all = session.refused.map(TopScreen.times)
        guard all.count > height else {
            return all.enumerated().map { row($0.offset == 0 ? "refused" : "", painted($0.element, .bad)) }
        }
        let shown = all.prefix(height - 1).enumerated().map {
            row($0.offset == 0 ? "refused" : "", painted($0.element, .bad))
        }
        return shown + [row(height == 1 ? "refused" : "", "\(all.count - shown.count) more hosts: a")]
    }

    private static func times(_ refused: SessionStatus.Refused) -> String {
        let times = refused.count == 1 ? "once" : "\(refused.count) times"
        return "\(refused.place.escapedForTerminal)  \(times)"
            + (["host", ""].contains(refused.reason) ? "" : "  (\(refused.reason.escapedForTerminal))")
    }

    /// In several columns, if there are more than lines.
    private func choiceLines(_ session: TopSession, _ height: Int) -> [String] {
        guard height > 0 else { return [] }
        let all = zip(TopScreen.choices, session.allowable).map { "\($0)  \(TopScreen.times($1))" }
        let columns = (all.count + height - 1) / height
        guard columns > 1 else { return all }
        let width = (all.map(TopText.width).max() ?? 0) + 3
        return (0..<height).map { line in
            stride(from: line, to: all.count, by: height).map { TopText.fit(all[$0], width) }.joined()
        }
    }

    // MARK: - Other screens

    private func helpLines(_ rows: Int) -> [String] {
        let keys = [
            ("up, down, k, j", "choose a session; also PgUp, PgDn, Home, End"),
            ("l", "its log, as it grows; q comes back"),
            ("a", "allow it a host that was refused (box allow -s)"),
            ("p", "pause it, or let it go on (box pause, box resume)"),
            ("s", "end it, after a question (box stop)"),
            ("enter", "attach to it, if it is detached (box attach)"),
            ("^L", "draw the screen anew"), ("^Z", "suspend box top"), ("q, ^C", "leave"),
        ]
        let columns = [
            "CPU      of one processor",
            "MEM      of all its processes, without what they share",
            "IN, OUT  bytes through the network door",
            "REF      requests that were refused",
            "CHG      changes that wait to be applied; 300+ where there are more",
            "COMMAND  the program that was started last",
        ]
        var lines = [painted("box top", .strong), ""]
        lines += keys.map { TopText.fit($0.0, 16) + $0.1 } + [""] + columns
        if lines.count > rows { lines.removeAll { $0.isEmpty } }
        return lines.prefix(rows - 1) + [painted("any key comes back", .quiet)]
    }

    private func logLines(_ name: String, _ above: Int, _ rows: Int, _ columns: Int) -> [String] {
        let height = max(1, rows - (rows > 2 ? 2 : rows - 1))
        // From the end, so that only what is seen is divided.
        var shown: [String] = []
        for line in log.dropLast(min(above, max(0, log.count - 1))).reversed() {
            shown = TopText.wrapped(line, columns, indent: 21) + shown
            if shown.count >= height { break }
        }
        shown = Array(shown.suffix(height))
        shown += Array(repeating: "", count: height - shown.count)
        guard rows > 1 else { return shown }
        let foot =
            message.map { painted($0.escapedForTerminal, .strong) }
            ?? painted(
                above == 0 ? "q back  up/down, PgUp/PgDn scroll" : "q back  End to the newest line", .quiet)
        let title = painted("\(name.escapedForTerminal): log", .strong)
        return (rows > 2 ? [title] : []) + shown + [foot]
    }
}
