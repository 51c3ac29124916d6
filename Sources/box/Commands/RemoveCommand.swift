import ArgumentParser
import BoxAudit
import BoxSession
import BoxTypes

/// `box rm ID…`: removes sessions that have ended, with all that they left.
struct RemoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm", abstract: "Remove a session that has ended, with its log and its stage.",
        discussion: """
            The project stays as it is. A session is refused that has changes which were not applied, or an apply that \
            could be taken back, unless you agree on the terminal or by --force.

            Exit status: 0; 1 if a session was not removed; 125 for errors.
            """)

    @Argument(help: ArgumentHelp("The session, by its name or the beginning of it.", valueName: "id"))
    var sessions: [String]

    @Flag(
        name: [.customShort("f"), .long, .customLong("yes")],
        help: "Also what would be lost for good; ask nothing.")
    var force = false

    func run() throws {
        var found: [StoredSession] = []
        do throws(SessionError) {
            for id in sessions { found.append(try SessionStore.named(id)) }
        } catch { throw Refusal(error.description, status: 1) }
        var status: Int32 = 0
        for session in found {
            do throws(SessionError) {
                if try !remove(session) { status = max(status, 1) }
            } catch {
                Output.error(error.description)
                status = ExitStatus.refused
            }
        }
        guard status == 0 else { throw CommandStatus(status: status) }
    }

    private func remove(_ session: StoredSession) throws(SessionError) -> Bool {
        let name = session.name.escapedForTerminal
        guard let hold = try session.lock() else {
            Output.error(
                session.state == .running
                    ? "session \(name) runs. To end it: box stop \(name)"
                    : "another command of box works on session \(name)")
            return false
        }
        let loss = session.loss()
        if !force, let why = loss.text {
            guard let agrees = Question.ask("Session \(name): \(why). Remove it for good? [y/N] ") else {
                Output.error(
                    "session \(name) is kept: \(why). To remove it nevertheless: box rm --force \(name)")
                return false
            }
            guard agrees else {
                Output.error("nothing was touched")
                return false
            }
        }
        try session.remove(hold)
        Output.error("session \(name) is removed")
        return true
    }
}

extension StoredSession.Loss {
    /// What would be lost, for people; nil for nothing.
    var text: String? {
        if isUnderWay { return "an apply or undo of it was interrupted, and only it knows how to finish it" }
        if changes { return "it has changes that were not applied" }
        if undo != nil { return "what was applied of it could not be undone any more" }
        return unknown.map { "what it would take with it cannot be told (\($0))" }
    }
}
