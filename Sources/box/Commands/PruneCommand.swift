import ArgumentParser
import BoxAudit
import BoxSession
import BoxTypes

/// `box prune`: removes old sessions that nobody needs any more.
struct PruneCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune", abstract: "Remove old sessions that have nothing left to apply.",
        discussion: """
            Sessions that run, or that have changes which were not applied, stay. What was applied can be undone until then.
            """)

    @Option(
        help: ArgumentHelp("Only what ended, and was applied, longer ago than this.", valueName: "duration"))
    var olderThan = "7d"

    @Option(
        name: [.customShort("C"), .long],
        help: ArgumentHelp("Only the sessions of this project.", valueName: "directory"))
    var project: String?

    @Flag(help: "Remove nothing, and say what would be removed.")
    var dryRun = false

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
        let before: Int
        do throws(UnitRefusal) {
            let (milliseconds, tooLong) = Int(try Duration(parsing: olderThan).components.seconds)
                .multipliedReportingOverflow(by: 1000)
            before = tooLong ? Int.min : Timestamp.milliseconds() - milliseconds
        } catch { throw Refusal("--older-than \(error)") }
        var removed: [StoredSession] = []
        var kept: [(session: StoredSession, why: String)] = []
        var hasFailed = false
        do throws(SessionError) {
            let path = try project.map { text throws(SessionError) in try SessionRow.project(text) }
            for session in try SessionStore.all(of: path) where session.hasEnded(before: before) {
                do throws(SessionError) {
                    if let why = try prune(session, before) {
                        kept.append((session, why))
                    } else {
                        removed.append(session)
                    }
                } catch {
                    Output.error(error.description)
                    hasFailed = true
                }
            }
        } catch { throw Refusal(error) }
        tell(removed, kept)
        if hasFailed { throw CommandStatus(status: ExitStatus.refused) }
    }

    /// Removes one, or says why it stays.
    private func prune(_ session: StoredSession, _ before: Int) throws(SessionError) -> String? {
        if dryRun { return session.isHeld ? PruneCommand.busy : PruneCommand.reason(toKeep: session, before) }
        guard let hold = try session.lock() else { return PruneCommand.busy }
        // Another command may have gone on with it until now.
        guard try session.isUnchanged() else { return "it was used meanwhile" }
        if let why = PruneCommand.reason(toKeep: session, before) { return why }
        try session.remove(hold)
        return nil
    }

    private static let busy = "another command of box works on it"

    /// Why a session stays; nil if it need not.
    private static func reason(toKeep session: StoredSession, _ before: Int) -> String? {
        let loss = session.loss()
        if loss.isUnderWay || loss.changes || loss.unknown != nil { return loss.text }
        if let undo = loss.undo, undo >= before { return "what was applied of it can still be undone" }
        return nil
    }

    private func tell(_ removed: [StoredSession], _ kept: [(session: StoredSession, why: String)]) {
        if json {
            let object: [(String, JSONOutput)] = [
                ("dry_run", .bool(dryRun)),
                ("removed", .list(removed.map { PruneCommand.json($0) })),
                (
                    "kept",
                    .list(kept.map { .object([("id", .text($0.session.name)), ("reason", .text($0.why))]) })
                ),
            ]
            Output.data(JSONOutput.object(object).pretty + "\n")
            return
        }
        for session in removed {
            let ended = session.ended.flatMap(Timestamp.milliseconds(of:)).map {
                ", ended \(SessionTable.age(milliseconds: max(0, Timestamp.milliseconds() - $0))) ago"
            }
            Output.data(
                "\(dryRun ? "would remove" : "removed") \(session.name.escapedForTerminal)  \(session.state.rawValue)"
                    + "\(ended ?? "")\n")
        }
        for (session, why) in kept { Output.error("\(session.name.escapedForTerminal) is kept: \(why)") }
        if removed.isEmpty {
            Output.error("there is nothing to remove that is older than \(olderThan.escapedForTerminal)")
        }
    }

    private static func json(_ session: StoredSession) -> JSONOutput {
        .object([
            ("id", .text(session.name)), ("state", .text(session.state.rawValue)),
            ("ended", .optional(session.ended)),
        ])
    }
}
