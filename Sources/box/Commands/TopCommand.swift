import ArgumentParser
import BoxKernel
import BoxPolicy
import BoxSession
import BoxTypes
import Glibc

/// `box top`: what all sessions are doing, live.
struct TopCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top", abstract: "Watch the sessions that run, and act on them.",
        discussion: """
            A view of the whole terminal that follows what happens. Keys: up and down choose a session, l shows its log, a \
            allows a host that it was refused, p pauses it or lets it go on, s ends it, enter attaches to it, ? explains, q \
            leaves.
            """)

    @Flag(name: .shortAndLong, help: "Also sessions that have ended.")
    var all = false

    @Option(
        name: [.customShort("C"), .long],
        help: ArgumentHelp("Only the sessions of this project.", valueName: "directory"))
    var project: String?

    func run() throws {
        guard Terminal.isTerminal(0), Terminal.isTerminal(1) else {
            throw Refusal("box top needs a terminal. For programs: box ps --json")
        }
        let path: String?
        do throws(SessionError) {
            path = try project.map { text throws(SessionError) in try SessionRow.project(text) }
        } catch { throw Refusal(error) }
        let end: TopLoop.End
        do throws(KernelError) {
            let loop = try TopLoop(
                project: path, withEnded: all, home: (try? PolicyPlaces())?.home.string,
                colour: Output.hasColour(1))
            end = try loop.run()
        } catch { throw Refusal("box top cannot use the terminal: \(error)") }
        if case .bySignal(let number) = end { throw CommandStatus(status: ExitStatus.signal(number)) }
    }
}
