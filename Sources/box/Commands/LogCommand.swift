import ArgumentParser
import BoxAudit
import BoxKernel
import BoxSession
import BoxTypes
import Glibc

/// `box log`: what happened in a session, live or afterwards.
struct LogCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log", abstract: "Show what happened in a session.",
        discussion: """
            The session by its name or the beginning of it; the newest one of the project otherwise. With more than one of \
            --net, --exec and --denied, what any of them means.

            Exit status of --verify: 0 if the log is as it was written, 1 if not.
            """)

    @Argument(help: ArgumentHelp("The session.", valueName: "id"))
    var session: String?

    @Option(
        name: [.customShort("C"), .long],
        help: ArgumentHelp("The project; the working directory otherwise.", valueName: "directory"))
    var project: String?

    @Flag(name: .shortAndLong, help: "Go on until the session ends.")
    var follow = false

    @Flag(help: "Only what concerns the network.")
    var net = false

    @Flag(help: "Only programs that were started.")
    var exec = false

    @Flag(help: "Only what was refused, and limits that were reached.")
    var denied = false

    @Option(
        help: ArgumentHelp(
            "Only what is newer: 10m, 2h, 1d; or 10:22, 2026-02-03, \"2026-02-03 10:22\", 2026-02-03T10:22:31.000Z.",
            valueName: "time"))
    var since: String?

    @Flag(help: "Look whether a line was changed, taken out or put in.")
    var verify = false

    @Flag(help: "Print the events as they are, a JSON object a line.")
    var json = false

    func run() throws {
        let found: StoredSession
        do throws(SessionError) { found = try find() } catch { throw Refusal(error) }
        if verify { return try verify(found) }
        var printer = LogPrinter(selection: try selection(), json: json)
        do throws(SessionError) {
            var reader = try LogReader(found.log)
            let growth = follow ? try reader.growth() : nil
            while true {
                // Asked before reading: what was written until its end is read.
                let goesOn = follow && found.isHeld
                printer.fit()
                try reader.read { printer.take($0, $1) }
                printer.flush()
                guard goesOn else { break }
                try growth?.wait(LogCommand.interval)
            }
            if reader.isTorn, !found.isHeld { printer.tellTorn(reader.count + 1) }
        } catch { throw Refusal(error) }
        printer.tellDamage(session: found.name)
    }

    /// How soon after a session's end it is seen that nothing more will come, in milliseconds.
    private static let interval = 300

    private func find() throws(SessionError) -> StoredSession {
        if let session { return try SessionStore.named(session) }
        return try SessionStore.newest(of: try SessionRow.project(project ?? "."))
    }

    private func selection() throws -> LogSelection {
        var selection = LogSelection()
        if net { selection.subjects.append(.network) }
        if exec { selection.subjects.append(.programs) }
        if denied { selection.subjects.append(.denied) }
        guard let since else { return selection }
        if let time = Timestamp.milliseconds(saying: since) {
            selection.since = time
        } else {
            let length: Duration
            do throws(UnitRefusal) { length = try Duration(parsing: since) } catch {
                throw Refusal(
                    "--since \(since.escapedForTerminal): write a time such as 10:22, 2026-02-03 or \"2026-02-03 10:22\", or how "
                        + "long ago: 10m, 2h, 1d")
            }
            let (milliseconds, tooLong) = Int(length.components.seconds).multipliedReportingOverflow(by: 1000)
            selection.since = tooLong ? nil : Timestamp.milliseconds() - milliseconds
        }
        return selection
    }

    // MARK: - The chain

    private func verify(_ session: StoredSession) throws {
        let verdict: LogVerdict
        do throws(SessionError) { verdict = try LogVerdict.of(session) } catch { throw Refusal(error) }
        let name = session.name.escapedForTerminal
        if json {
            Output.data(JSONOutput.object(LogCommand.fields(session, verdict)).pretty + "\n")
        } else {
            switch verdict {
            case .whole(let events): Output.data("\(name): \(events) events, as they were written\n")
            case .bad(let line, let reason): Output.error("\(name): line \(line): \(reason)")
            case .cut(let events):
                Output.error("\(name): line \(events + 1): it is missing, with all that came after it")
            }
        }
        guard case .whole = verdict else { throw CommandStatus(status: 1) }
    }

    private static func fields(_ session: StoredSession, _ verdict: LogVerdict) -> [(String, JSONOutput)] {
        let fields: [(String, JSONOutput)] = [("session", .text(session.name))]
        switch verdict {
        case .whole(let events):
            return fields + [
                ("whole", .bool(true)), ("events", .number(events)), ("line", .null), ("reason", .null),
            ]
        case .bad(let line, let reason):
            return fields + [
                ("whole", .bool(false)), ("events", .number(line - 1)), ("line", .number(line)),
                ("reason", .text(reason)),
            ]
        case .cut(let events):
            return fields + [
                ("whole", .bool(false)), ("events", .number(events)), ("line", .number(events + 1)),
                ("reason", .text("it is missing, with all that came after it")),
            ]
        }
    }
}

/// Prints events as they are read. What a batch prints is written at once.
private struct LogPrinter {
    private let selection: LogSelection
    private let json: Bool
    /// JSON on a terminal is for eyes: what could move its cursor or turn text around is escaped once more.
    private let isTerminal = Terminal.isTerminal(1)
    private var text: LogText
    private var pending: [UInt8] = []
    /// The first damaged lines, and how many there are.
    private var damaged: [Int] = []
    private var damage = 0

    private static let mostPending = 1 << 16
    private static let mostNamed = 5

    init(selection: LogSelection, json: Bool) {
        self.selection = selection
        self.json = json
        text = LogText(colour: Output.hasColour(1))
    }

    /// Follows the width of the window.
    mutating func fit() {
        // A terminal that does not know its size says 0.
        guard isTerminal, let size = try? Terminal.size(of: 1), size.columns > 0 else { return }
        text.width = Int(size.columns)
    }

    mutating func take(_ number: Int, _ line: LogReader.Line) {
        guard case .text(let bytes) = line else { return note(number) }
        guard selection.mayWant(bytes) else { return }
        guard let entry = LogEntry(bytes) else { return note(number) }
        guard selection.wants(entry) else { return }
        // Beside each program that starts its uneventful end says nothing.
        if !json, selection.subjects.isEmpty, LogText.isUneventful(entry) { return }
        if !json {
            for line in text.lines(entry) { pending += Array((line + "\n").utf8) }
        } else if isTerminal {
            pending += Array((String(decoding: bytes, as: UTF8.self).escapedInJSON + "\n").utf8)
        } else {
            pending += bytes
            pending.append(UInt8(ascii: "\n"))
        }
        if pending.count > LogPrinter.mostPending { flush() }
    }

    mutating func flush() {
        guard !pending.isEmpty else { return }
        Output.data(pending)
        pending.removeAll(keepingCapacity: true)
    }

    private mutating func note(_ number: Int) {
        damage += 1
        if damaged.count < LogPrinter.mostNamed { damaged.append(number) }
    }

    /// The last line has no end.
    mutating func tellTorn(_ number: Int) { note(number) }

    func tellDamage(session: String) {
        guard damage > 0 else { return }
        let lines = damaged.map(String.init).joined(separator: ", ") + (damage > damaged.count ? " …" : "")
        Output.error(
            "\(damage) damaged \(damage == 1 ? "line was" : "lines were") passed over (\(lines)). To look closer: box log "
                + "--verify \(session.escapedForTerminal)")
    }
}
