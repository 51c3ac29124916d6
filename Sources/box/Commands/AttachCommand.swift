import ArgumentParser
import BoxKernel
import BoxSession
import BoxTypes
import Glibc

/// `box attach [ID]`: shows a detached session on this terminal.
struct AttachCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attach", abstract: "Show a session of box run --detach on this terminal.",
        discussion: """
            All keys are the session's, but for ^] d, which leaves it running, and ^] ^], which sends one ^].

            Exit status: 0 when you left it; the session's when it ended; 125 for errors.
            """)

    @Argument(
        help: ArgumentHelp(
            "The session, by its name or the beginning of it; the newest of this project otherwise.",
            valueName: "id"))
    var session: String?

    func run() throws {
        guard Terminal.isTerminal(0), Terminal.isTerminal(1) else {
            throw Refusal("attach needs a terminal for its input and its output")
        }
        let status: Int32
        do throws(SessionError) {
            status = try show(
                try SessionStore.running(session, project: ".", verb: "attach to", detached: true))
        } catch { throw Refusal(error) }
        throw CommandStatus(status: status)
    }

    private func show(_ found: StoredSession) throws(SessionError) -> Int32 {
        guard var attached = try AttachedSession.open(found) else {
            return AttachCommand.tellEnd(try DetachedSession.settled(found.name))
        }
        switch try attached.show() {
        case .detached(let signal):
            let name = found.name.escapedForTerminal
            Output.error("detached from \(name). To come back: box attach \(name)")
            return signal.map(ExitStatus.signal) ?? 0
        case .ended:
            if let signal = try attached.waitForEnd() { return ExitStatus.signal(signal) }
            return AttachCommand.tellEnd(try DetachedSession.settled(found.name))
        }
    }

    /// Says how the session ended, as `box run` would; its exit status.
    private static func tellEnd(_ session: StoredSession) -> Int32 {
        let name = session.name.escapedForTerminal
        switch session.state {
        case .finished, .failed:
            if let message = session.message { Output.error(message) }
            if let changes = session.changes, changes > 0 {
                let files = changes == 1 ? "1 file" : "\(changes) files"
                Output.error("\(files) changed in session \(name): box diff · box apply · box discard")
            }
            return session.exitStatus.flatMap { Int32(exactly: $0) } ?? ExitStatus.refused
        case .interrupted:
            let kept = session.isStaged ? ". What it changed is kept: box diff -s \(name)" : ""
            Output.error("the session was interrupted: its supervisor was killed\(kept)")
        case .running: Output.error("the connection to session \(name) was lost; it goes on")
        case .damaged: Output.error("session \(name) is damaged: \(session.damage ?? "")")
        }
        return ExitStatus.refused
    }
}
