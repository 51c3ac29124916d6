import ArgumentParser
import BoxKernel
import BoxPlan
import BoxSession
import BoxTypes
import Glibc

/// `box exec [ID] -- COMMAND [ARG…]`: a second program in a session that runs.
struct ExecCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exec", abstract: "Run a second program in a running session's sandbox.",
        usage: "box exec [OPTIONS] [ID] -- COMMAND [ARG…]",
        discussion: """
            It has the protections, the limits and the environment of the session's command, and a terminal of its own where \
            standard input and output are one. It ends with the session at the latest.

            Exit status: the program's own; 128+n if a signal ended it; 125 for errors; 126 if it cannot be executed; \
            127 if it was not found.
            """)

    @Argument(
        help: ArgumentHelp(
            "The session, by its name or the beginning of it; the newest of this project otherwise.",
            valueName: "id"))
    var session: String?

    @Option(
        name: [.customShort("C"), .long],
        help: ArgumentHelp("The project whose newest session is meant.", valueName: "directory"))
    var project: String?

    @Option(
        help: ArgumentHelp(
            "Where it starts, inside; relative to where the session's command did.", valueName: "directory"))
    var cwd: String?

    @Option(help: ArgumentHelp("A variable, or the name of one of yours.", valueName: "name[=value]"))
    var env: [String] = []

    /// Everything after `--`; not the parser's to understand. nil: there is none.
    var words: [String]?

    private enum CodingKeys: String, CodingKey { case session, project, cwd, env }

    func run() throws {
        guard let words else { throw Refusal("write the command after --: box exec [ID] -- COMMAND") }
        guard let command = words.first, !command.isEmpty else {
            throw Refusal("there is no command after --", status: ExitStatus.notFound)
        }
        if cwd?.isEmpty == true { throw Refusal("--cwd is empty") }
        var request = ExecutionRequest(command: words, directory: cwd)
        request.environment = try variables()
        let outcome: Outcome
        do throws(SessionError) { outcome = try run(request, command) } catch { throw Refusal(error) }
        if let message = outcome.message { Output.error(message) }
        throw CommandStatus(status: outcome.status)
    }

    private func run(_ request: ExecutionRequest, _ command: String) throws(SessionError) -> Outcome {
        let found = try SessionStore.running(session, project: project ?? ".", verb: "run a program in")
        guard var program = try ExecutedProgram.request(request, in: found) else {
            throw SessionError(
                step: "run a program in \(found.name.escapedForTerminal)", reason: "it has just ended")
        }
        return try program.run(command)
    }

    /// The variables that are asked for, and what programs must know of this terminal.
    private func variables() throws -> [Plan.EnvironmentEntry] {
        var entries: [Plan.EnvironmentEntry] = []
        if isatty(0) == 1, isatty(1) == 1 {
            for name in ["TERM", "COLORTERM"] {
                if let value = ExecCommand.own(name) { try add(name, value, to: &entries) }
            }
        }
        for text in env {
            guard let equals = text.firstIndex(of: "=") else {
                guard let value = ExecCommand.own(text) else {
                    throw Refusal("--env \(text.escapedForTerminal): you have no such variable")
                }
                try add(text, value, to: &entries)
                continue
            }
            try add(String(text[..<equals]), String(text[text.index(after: equals)...]), to: &entries)
        }
        return entries
    }

    private func add(_ name: String, _ value: String, to entries: inout [Plan.EnvironmentEntry]) throws {
        do throws(EnvironmentRefusal) {
            _ = try EnvironmentName.passable(name)
            try EnvironmentRefusal.check(value: value, of: name)
        } catch { throw Refusal("--env: \(error)") }
        entries.removeAll { $0.name == name }
        entries.append(Plan.EnvironmentEntry(name, value))
    }

    private static func own(_ name: String) -> String? {
        unsafe getenv(name).map { unsafe String(cString: $0) }
    }
}
