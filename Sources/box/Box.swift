import ArgumentParser
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
            RunCommand.self, ShellCommand.self, PlanCommand.self, DoctorCommand.self, ProfilesCommand.self,
        ])

    /// Runs the command that the arguments name, and exits.
    static func start() -> Never {
        // A standard stream that is closed would be the next file that is opened.
        for number in CInt(0)..<3 where fcntl(number, F_GETFD) < 0 {
            guard unsafe open("/dev/null", O_RDWR) == number else { Glibc.exit(ExitStatus.refused) }
        }
        do {
            var command = try parseAsRoot()
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
            Output.raw(message + "\n")
            Glibc.exit(ExitStatus.refused)
        }
        Glibc.exit(0)
    }
}

/// box will not do it: what the user reads, and the exit status.
struct Refusal: Error {
    let message: String
    let status: Int32

    init(_ message: String, status: Int32 = ExitStatus.refused) {
        self.message = message
        self.status = status
    }

    init(_ error: some Error & CustomStringConvertible) { self.init(error.description) }
}

/// The command ended; its status is box's.
struct CommandStatus: Error { let status: Int32 }
