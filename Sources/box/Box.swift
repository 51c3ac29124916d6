import ArgumentParser
import BoxPlan
import BoxSession
import Glibc

/// The command line: parses, runs, and gives every failure its exit status.
struct Box: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "box",
        abstract: "Run an agent or any command in a deny-by-default sandbox.",
        discussion: """
            Exit status: the command's own; 128+n if a signal ended it; 124 if its time was up; 125 if box refused or \
            failed before it began; 126 if it cannot be executed; 127 if it was not found.
            """,
        version: "0.1.0",
        subcommands: [
            RunCommand.self, ShellCommand.self, PlanCommand.self, AllowCommand.self, DenyCommand.self,
            PendingCommand.self, PublishCommand.self, DiffCommand.self, ApplyCommand.self, UndoCommand.self,
            DiscardCommand.self, PsCommand.self, TopCommand.self, AttachCommand.self, ExecCommand.self,
            LogCommand.self,
            StopCommand.self, PauseCommand.self,
            ResumeCommand.self, RemoveCommand.self,
            PruneCommand.self,
            InitCommand.self, TrustCommand.self, PolicyCommand.self, ProfilesCommand.self, DoctorCommand.self,
            CICommand.self,
        ])

    /// Runs the command that the arguments name, and exits.
    static func start() -> Never {
        // A standard stream that is closed would be the next file that is opened.
        for number in CInt(0)..<3 where fcntl(number, F_GETFD) < 0 {
            guard unsafe open("/dev/null", O_RDWR) == number else { Glibc.exit(ExitStatus.refused) }
        }
        do {
            // What `run` mostly is: options that are right. Reflection over their declarations takes the parser a third
            // of the whole start; it is asked only when there is something to explain.
            let arguments = CommandLine.arguments
            if arguments.dropFirst().first == "run", let launcher = Launcher(plainly: arguments.dropFirst(2))
            {
                try launcher.run()
            }
            var command = try parsed(Array(CommandLine.arguments.dropFirst()))
            try command.run()
        } catch let refusal as Refusal {
            Output.error(refusal.message)
            Glibc.exit(refusal.status)
        } catch let status as CommandStatus {
            Glibc.exit(status.status)
        } catch {
            let message = fullMessage(for: error)
            guard exitCode(for: error) != .success else {
                print(message)
                Glibc.exit(0)
            }
            Output.error(readable(message))
            Glibc.exit(ExitStatus.refused)
        }
        Glibc.exit(0)
    }

    /// The command that the arguments name. What belongs to the program inside is cut off before the parser sees it:
    /// it is not box's to understand, and may be very long.
    private static func parsed(_ arguments: [String]) throws -> any ParsableCommand {
        let rest = arguments.dropFirst()
        switch arguments.first {
        case "run": return try withWords(RunCommand.self, rest) { $0.words = $1 }
        case "plan": return try withWords(PlanCommand.self, rest) { $0.words = $1 }
        case "ci": return try withWords(CICommand.self, rest) { $0.words = $1 }
        case "exec": return try withCommand(arguments)
        default: return try parseAsRoot(arguments)
        }
    }

    /// `exec`: the first `--` ends what is box's own.
    private static func withCommand(_ arguments: [String]) throws -> any ParsableCommand {
        guard let end = arguments.firstIndex(of: "--") else { return try parseAsRoot(arguments) }
        let parsed = try parseAsRoot(Array(arguments[..<end]))
        guard var command = parsed as? ExecCommand else { return parsed }
        command.words = Array(arguments[(end + 1)...])
        return command
    }

    /// The parser's message in the form of box's own.
    private static func readable(_ message: String) -> String {
        let text = message.hasPrefix("Error: ") ? String(message.dropFirst(7)) : message
        return text.split(separator: "\n").map { line in
            line.hasPrefix("  See '") && !line.contains("'box ")
                ? "  See 'box " + line.dropFirst(7) : String(line)
        }.joined(separator: "\n")
    }

    private static func withWords<Command: ParsableCommand>(
        _ type: Command.Type, _ arguments: ArraySlice<String>, set: (inout Command, [String]) -> Void
    ) throws -> any ParsableCommand {
        let start = firstWord(in: arguments)
        let parsed: any ParsableCommand
        do { parsed = try type.parseAsRoot(Array(arguments[..<start])) } catch {
            let message = type.fullMessage(for: error)
            guard type.exitCode(for: error) != .success else {
                print(message)
                Glibc.exit(0)
            }
            throw Refusal(readable(message))
        }
        guard var command = parsed as? Command else { return parsed }
        set(&command, Array(arguments[start...]))
        return command
    }

    /// Where the agent's name or the `--` stands. Every option but these flags has a value.
    private static func firstWord(in arguments: ArraySlice<String>) -> Int {
        let flags: Set = [
            "-q", "--quiet", "--card", "--continue", "--setup", "--json", "--learn", "--fail-on-denied",
            "--detach", "-h",
            "--help",
            "--version",
        ]
        var at = arguments.startIndex
        while at < arguments.endIndex {
            let argument = arguments[at]
            guard argument.hasPrefix("-"), argument != "--", argument != "-" else { return at }
            at += flags.contains(argument) || argument.contains("=") ? 1 : 2
        }
        return arguments.endIndex
    }
}

/// box will not do it: what the user reads, and the exit status.
struct Refusal: Error {
    let message: String
    let status: Int32
    /// The protections that are missing, if it is for that.
    var missing: [Plan.ProtectionState] = []

    init(_ message: String, status: Int32 = ExitStatus.refused) {
        self.message = message
        self.status = status
    }

    init(_ error: some Error & CustomStringConvertible) { self.init(error.description) }

    init(plan error: PlanError) {
        self.init(error)
        if case .missing(let states) = error { missing = states }
    }
}

/// The command ended; its status is box's.
struct CommandStatus: Error { let status: Int32 }
