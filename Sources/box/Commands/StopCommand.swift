import ArgumentParser
import BoxSession
import BoxTypes

/// `box stop ID…`: ends sessions that run.
struct StopCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stop", abstract: "End a running session.",
        discussion: """
            Its command is asked to end (SIGTERM), and ended with all that it started when its time is over. What it changed \
            stays: box diff, box apply.

            Exit status: 0 when the sessions are gone; 1 if one did not run; 125 for errors.
            """)

    @Argument(help: ArgumentHelp("The session, by its name or the beginning of it.", valueName: "id"))
    var sessions: [String]

    @Flag(help: "At once, without asking.")
    var kill = false

    @Option(help: ArgumentHelp("How long it may take to end by itself.", valueName: "duration"))
    var time = "10s"

    func run() throws {
        let grace: Int
        do throws(UnitRefusal) {
            let (milliseconds, tooLong) = Int(try Duration(parsing: time).components.seconds)
                .multipliedReportingOverflow(by: 1000)
            grace = kill ? 0 : tooLong ? Int.max : milliseconds
        } catch { throw Refusal("--time \(error)") }
        guard grace <= ControlRequest.longestGrace else { throw Refusal("--time: at most a day") }
        // All are found before the first is ended: a name that means none is a mistake.
        var found: [StoredSession] = []
        do throws(SessionError) {
            for id in sessions { found.append(try SessionStore.named(id)) }
        } catch { throw Refusal(error.description, status: 1) }
        var status: Int32 = 0
        for session in found {
            do throws(SessionError) {
                if try !stop(session, grace) { status = max(status, 1) }
            } catch {
                Output.error(error.description)
                status = ExitStatus.refused
            }
        }
        guard status == 0 else { throw CommandStatus(status: status) }
    }

    private func stop(_ session: StoredSession, _ grace: Int) throws(SessionError) -> Bool {
        let name = session.name.escapedForTerminal
        switch try SessionStop.run(session, within: grace) {
        case .stopped: Output.error("session \(name) has ended")
        case .killed:
            Output.error(
                "session \(name) was killed: it did not end in time. What it changed is kept: box diff -s \(name)"
            )
        case .notRunning:
            let state =
                session.state == .running ? "has just ended" : "does not run: it is \(session.state.rawValue)"
            Output.error("session \(name) \(state)")
            return false
        }
        return true
    }
}
