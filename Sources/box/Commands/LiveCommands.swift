import ArgumentParser
import BoxPolicy
import BoxSession
import BoxTypes

/// The sessions that a command is about.
struct SessionChoice: ParsableArguments {
    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "This session, by its name or the beginning of it; all running ones of the project otherwise.",
            valueName: "id"))
    var session: String?

    @Option(
        name: [.customShort("C"), .long],
        help: ArgumentHelp("The project; the working directory otherwise.", valueName: "directory"))
    var project: String?

    @Flag(help: "Print JSON.")
    var json = false

    /// Asks each of the sessions, and prints what it did.
    func ask(_ request: ControlRequest, _ done: String) throws {
        var answers: [(session: RunningSession, reply: ControlReply)] = []
        do throws(SessionError) {
            for session in try find() {
                // One that has just ended is none of the running ones.
                if let reply = try session.ask(request) { answers.append((session, reply)) }
            }
        } catch { throw Refusal(error) }
        guard !answers.isEmpty else {
            throw Refusal(
                session.map { "the session \($0.escapedForTerminal) does not run any more" }
                    ?? "no session of this project runs. Start one with box run, or name another one with -s ID"
            )
        }
        if json {
            Output.data(
                JSONOutput.list(answers.map { SessionChoice.json($0.session, $0.reply) }).pretty + "\n")
        } else {
            for (session, reply) in answers { SessionChoice.tell(session, reply, done) }
        }
        let refused = answers.contains { if case .refused = $0.reply { true } else { false } }
        if refused { throw CommandStatus(status: ExitStatus.refused) }
    }

    private func find() throws(SessionError) -> [RunningSession] {
        if let session { return try RunningSession.named(session) }
        return try RunningSession.ofProject(project ?? ".")
    }

    private static func tell(_ session: RunningSession, _ reply: ControlReply, _ done: String) {
        let name = session.name.escapedForTerminal
        switch reply {
        case .refused(let why): Output.error("\(name): \(why.escapedForTerminal)")
        case .status: Output.data("\(name): running\n")
        case .done(let outcome):
            let closed =
                switch outcome.tunnelsClosed {
                case 0: ""
                case 1: ", and 1 open connection was closed"
                default: ", and \(outcome.tunnelsClosed) open connections were closed"
                }
            Output.data("\(name): \(done)\(closed)\n")
            for note in outcome.notes { Output.error("\(name): \(note.escapedForTerminal)") }
        }
    }

    static func json(_ session: RunningSession, _ reply: ControlReply) -> JSONOutput {
        var fields: [(String, JSONOutput)] = [
            ("session", .text(session.name)), ("project", .text(session.project)),
        ]
        switch reply {
        case .refused(let why): fields += [("done", .bool(false)), ("reason", .text(why))]
        case .status: fields += [("done", .bool(true))]
        case .done(let outcome):
            fields += [
                ("done", .bool(true)), ("tunnels_closed", .number(outcome.tunnelsClosed)),
                ("notes", .texts(outcome.notes)),
            ]
        }
        return .object(fields)
    }
}

/// `box publish PORT…`: lets the host reach ports of sessions that run.
struct PublishCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "publish", abstract: "Let the host reach a port inside a running session.")

    @OptionGroup var choice: SessionChoice

    @Argument(help: ArgumentHelp("PORT, or HOSTPORT:PORT.", valueName: "port"))
    var ports: [String]

    func run() throws {
        let ports = try OptionValues.ports(ports, "publish")
        let places = ports.map {
            "127.0.0.1:\($0.host)" + ($0.host == $0.inside ? "" : " to \($0.inside) inside")
        }
        try choice.ask(.publish(ports), "published \(places.joined(separator: ", "))")
    }
}
