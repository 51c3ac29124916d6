import ArgumentParser
import BoxSession
import BoxTypes

/// `box ci [OPTIONS] -- COMMAND [ARG…]`: one step of a pipeline in a sandbox.
struct CICommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ci", abstract: "Run a step of a pipeline in a sandbox, and report.",
        usage: "box ci [OPTIONS] -- COMMAND [ARG…]",
        discussion: """
            No terminal, no questions, the project itself as the workspace, and no host but those that are allowed. A \
            protection that the runner lacks stops the run, unless it is named with --accept. The project's box.toml \
            only tightens; --policy box.toml takes all of it.

            Exit status: that of the command; with --fail-on-denied, 1 if it succeeded and something was refused; 1 too \
            if it succeeded and a report could not be written; 125 if box refused.
            """)

    @OptionGroup var options: SandboxOptions

    @Option(help: ArgumentHelp("Write the report as JSON.", valueName: "file"))
    var report: String?

    @Option(help: ArgumentHelp("Write the report as Markdown.", valueName: "file"))
    var summary: String?

    @Option(help: ArgumentHelp("Write the report as JUnit's XML.", valueName: "file"))
    var junit: String?

    @Flag(help: "Exit with 1 if the command succeeds but something was refused.")
    var failOnDenied = false

    @Option(
        help: ArgumentHelp(
            "How box writes to the log: auto (by the runner's variables), github, gitlab or plain.",
            valueName: "format"))
    var logFormat: String?

    @Option(
        help: ArgumentHelp(
            "What becomes of the changes to a staged project: keep, apply or discard.", valueName: "what"))
    var onExit: String?

    @Flag(name: .shortAndLong, help: "Print nothing but what goes wrong.")
    var quiet = false

    #if DEBUG
        @Option(help: .hidden)
        var dropLayer: String?
    #endif

    /// `--` and a command; not the parser's to understand.
    var words: [String] = []

    private enum CodingKeys: String, CodingKey {
        case options, report, summary, junit, failOnDenied, logFormat, onExit, quiet
        #if DEBUG
            case dropLayer
        #endif
    }

    func run() throws {
        var options = options.values
        options.isPipeline = true
        if options.onExceeded == "pause" {
            throw Refusal("--on-exceeded pause: nobody would let a step of a pipeline go on")
        }
        // Whatever a policy says.
        options.onExceeded = "end"
        options.workspace = options.workspace ?? "direct"
        // Programs that would ask, or draw, look for it; nothing is told that they may not know.
        if !options.env.contains(where: { $0 == "CI" || $0.hasPrefix("CI=") }) {
            options.env.append("CI=true")
        }
        let run = try CIRun(
            command: Array(words.dropFirst()), policyFile: options.policy, failsOnDenied: failOnDenied,
            format: try format(), quiet: quiet)
        throw CommandStatus(
            status: run.carryOut(report: report, summary: summary, junit: junit, project: options.project) {
                guard words.first == "--" else {
                    throw Refusal("write the command behind --: box ci [OPTIONS] -- COMMAND")
                }
                var launcher = Launcher(options: options, words: words, quiet: true, card: false)
                launcher.watcher = run
                if let onExit { _ = launcher.stage.take("--on-exit", onExit) }
                #if DEBUG
                    launcher.droppedLayer = dropLayer
                #endif
                try launcher.run()
            })
    }

    private func format() throws -> CILogFormat? {
        guard let logFormat, logFormat != "auto" else { return nil }
        guard let format = CILogFormat(rawValue: logFormat) else {
            let known = (["auto"] + CILogFormat.allCases.map(\.rawValue)).joined(separator: ", ")
            throw Refusal(
                "--log-format \(logFormat.escapedForTerminal): there is no such format. Known: \(known)")
        }
        return format
    }
}
