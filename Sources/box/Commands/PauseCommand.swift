import ArgumentParser
import BoxSession
import BoxTypes

/// `box pause [ID…]`: lets sessions stand still.
struct PauseCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause", abstract: "Let a running session stand still.",
        discussion: """
            Everything inside stops where it is, and goes on with box resume. Time goes on: connections may break, and \
            --timeout ends a session that is paused, too. Without an ID, the newest session of the project that runs.

            Exit status: 0 when the sessions stand still; 1 if one does not run; 125 for errors.
            """)

    @OptionGroup var choice: PauseChoice

    func run() throws {
        try choice.run(.pause, ifNone: "no session of this project runs, or all that do are paused already") {
            $0 == false
        }
    }
}

/// `box resume [ID…]`: lets sessions go on.
struct ResumeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Let a paused session go on.",
        discussion: """
            One that was paused because its time or its disk was used up (--on-exceeded pause) gets as much again. \
            Without an ID, the newest session of the project that is paused.

            Exit status: 0 when the sessions run; 1 if one does not run any more; 125 for errors.
            """)

    @OptionGroup var choice: PauseChoice

    func run() throws {
        try choice.run(.resume, ifNone: "no session of this project is paused") { $0 == true }
    }
}

/// Which sessions are to be paused, or to go on.
struct PauseChoice: ParsableArguments {
    @Argument(help: ArgumentHelp("The session, by its name or the beginning of it.", valueName: "id"))
    var sessions: [String] = []

    @Option(
        name: [.customShort("C"), .long],
        help: ArgumentHelp("The project; the working directory otherwise.", valueName: "directory"))
    var project: String?

    /// Asks each of the sessions, or the newest one whose state (paused or not; nil if it does not say) is wanted.
    func run(_ request: ControlRequest, ifNone: String, wanted: (Bool?) -> Bool) throws {
        // All are found before the first is asked: a name that means none is a mistake.
        var found: [StoredSession] = []
        do throws(SessionError) {
            for id in sessions { found.append(try SessionStore.named(id)) }
            if sessions.isEmpty {
                guard let newest = try newest(wanted) else {
                    throw SessionError(step: "find a session", reason: ifNone)
                }
                found.append(newest)
            }
        } catch { throw Refusal(error.description, status: 1) }
        var status: Int32 = 0
        for session in found {
            do throws(SessionError) {
                if try !PauseChoice.ask(session, request) { status = max(status, 1) }
            } catch {
                Output.error(error.description)
                status = ExitStatus.refused
            }
        }
        guard status == 0 else { throw CommandStatus(status: status) }
    }

    private func newest(_ wanted: (Bool?) -> Bool) throws(SessionError) -> StoredSession? {
        let path = try SessionRow.project(project ?? ".")
        let running = try SessionStore.all(of: path).filter { $0.state == .running }
        let statuses = try RunningSession.statuses(of: running, within: 1000)
        return running.first { wanted(statuses[$0.name]?.isPaused) }
    }

    /// False if the session does not run.
    private static func ask(_ session: StoredSession, _ request: ControlRequest) throws(SessionError) -> Bool
    {
        let name = session.name.escapedForTerminal
        guard session.state == .running else {
            Output.error("session \(name) does not run: it is \(session.state.rawValue)")
            return false
        }
        guard let reply = try SessionPause.ask(session, request) else {
            Output.error("session \(name) has just ended")
            return false
        }
        switch reply {
        case .refused(let why):
            Output.error("session \(name): \(why.escapedForTerminal)")
            return false
        case .status: return true
        case .done(let outcome):
            let notes = outcome.notes.map { ": \($0.escapedForTerminal)" }.joined()
            Output.error("session \(name) \(request == .pause ? "is paused" : "goes on")\(notes)")
            return true
        }
    }
}
