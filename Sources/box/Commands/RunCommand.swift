import ArgumentParser
import BoxInit
import BoxPlan
import BoxPolicy
import BoxSession
import BoxTypes
import Glibc

/// `box run [OPTIONS] AGENT [ARG…]` and `box run [OPTIONS] -- COMMAND [ARG…]`.
struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run an agent, or after -- any command, in a sandbox.",
        usage: "box run [OPTIONS] AGENT [ARG…]\nbox run [OPTIONS] -- COMMAND [ARG…]")

    @OptionGroup var options: SandboxOptions

    @Flag(name: .shortAndLong, help: "Print no card, no receipt and no warnings.")
    var quiet = false

    @Flag(help: "Print card and receipt even if standard error is not a terminal.")
    var card = false

    #if DEBUG
        @Option(help: .hidden)
        var dropLayer: String?
    #endif

    /// The agent's name, or `--` and a command, with everything after it; not the parser's to understand.
    var words: [String] = []

    private enum CodingKeys: String, CodingKey {
        case options, quiet, card
        #if DEBUG
            case dropLayer
        #endif
    }

    func run() throws {
        var launcher = Launcher(options: options.values, words: words, quiet: quiet, card: card)
        #if DEBUG
            launcher.droppedLayer = dropLayer
        #endif
        try launcher.run()
    }
}

/// `box shell`: the user's shell in the same sandbox.
struct ShellCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shell", abstract: "Open a shell in a sandbox.")

    @OptionGroup var options: SandboxOptions

    @Flag(name: .shortAndLong, help: "Print no card, no receipt and no warnings.")
    var quiet = false

    func run() throws {
        let shell = unsafe getenv("SHELL").map { unsafe String(cString: $0) } ?? "/bin/sh"
        let visible = ["/bin/", "/usr/bin/"].contains { shell.hasPrefix($0) } ? shell : "/bin/sh"
        try Launcher(options: options.values, words: ["--", visible], quiet: quiet, card: false).run()
    }
}

/// Carries a request out from the first file to the last line.
struct Launcher {
    let options: OptionValues
    let words: [String]
    let quiet: Bool
    let card: Bool
    /// Only a debug build can leave a layer out.
    var droppedLayer: String?

    init(options: OptionValues, words: [String], quiet: Bool, card: Bool) {
        self.options = options
        self.words = words
        self.quiet = quiet
        self.card = card
    }

    /// Reads arguments of `run` that are plainly right; nil if they are for the parser: to refuse, or to help.
    init?(plainly arguments: ArraySlice<String>) {
        var options = OptionValues()
        var (quiet, card) = (false, false)
        var at = arguments.startIndex
        while at < arguments.endIndex, arguments[at].hasPrefix("-"), arguments[at] != "--" {
            switch arguments[at] {
            case "-q", "--quiet": quiet = true
            case "--card": card = true
            default:
                at += 1
                // A value that looks like an option is more likely a missing value.
                guard at < arguments.endIndex, !arguments[at].hasPrefix("-"),
                    options.take(arguments[at - 1], arguments[at])
                else { return nil }
            }
            at += 1
        }
        guard at < arguments.endIndex else { return nil }
        self.init(options: options, words: Array(arguments[at...]), quiet: quiet, card: card)
    }

    /// Never returns normally: the command's status is thrown.
    func run() throws {
        #if DEBUG
            if let droppedLayer { try Mutant.announce(droppedLayer) }
        #endif
        let seed: SandboxSeed
        do throws(SessionError) {
            seed = try SandboxSeed(entry: Init.entry, project: options.project ?? ".")
        } catch { throw Refusal(error) }
        // Planned before anything is made, so that nothing is left of a command that is refused.
        let draft: Request
        do {
            draft = try Request(
                options, words: words, session: options.name ?? "draft", controlGroups: seed.controlGroups)
        } catch {
            seed.discard()
            throw error
        }
        var plan = draft.plan
        #if DEBUG
            if let droppedLayer { Mutant.apply(droppedLayer, to: &plan, facts: draft.facts) }
        #endif
        let outcome: Outcome
        let showsCard = !quiet && (card || isatty(2) == 1)
        do throws(SessionError) {
            let directory = try SessionDirectory(
                name: options.name, stem: draft.stem, state: draft.facts.stateDirectory)
            let name = directory.name
            plan.setVariable("BOX_SESSION", to: name)
            plan.setFilter(
                try FilterCache.program(
                    profile: draft.policy.syscalls.profile, kernel: draft.facts.kernel,
                    home: draft.facts.user.home, state: draft.facts.stateDirectory))
            let shown = plan
            outcome = try PreparedSession(plan: plan, directory: directory, seed: seed) {
                guard showsCard else { return }
                let lines = Card.lines(
                    shown, title: draft.title, session: name, colour: Output.hasColour(2))
                Output.raw(lines.joined(separator: "\n") + "\n")
            }.run()
        } catch { throw Refusal(error) }
        if let message = outcome.message { Output.error(message) }
        if showsCard {
            let lines = outcome.receipt.lines(
                command: draft.stem, milliseconds: outcome.milliseconds, status: outcome.status)
            Output.raw(lines.map { "box: \($0)\n" }.joined())
        }
        throw CommandStatus(status: outcome.status)
    }
}
