import ArgumentParser
import BoxInit
import BoxPlan
import BoxPolicy
import BoxSession
import BoxStage
import BoxTypes
import Glibc

/// `box run [OPTIONS] AGENT [ARG…]` and `box run [OPTIONS] -- COMMAND [ARG…]`.
struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run an agent, or after -- any command, in a sandbox.",
        usage: "box run [OPTIONS] AGENT [ARG…]\nbox run [OPTIONS] -- COMMAND [ARG…]")

    @OptionGroup var options: SandboxOptions

    @OptionGroup var stage: StageOptions

    @Flag(name: .shortAndLong, help: "Print no card, no receipt and no warnings.")
    var quiet = false

    @Flag(help: "Print card and receipt even if standard error is not a terminal.")
    var card = false

    @Flag(help: "Let it run without a terminal, and print its name. box attach shows it.")
    var detach = false

    @Option(
        help: ArgumentHelp("Write the receipt as Markdown, when the command has ended.", valueName: "file"))
    var receipt: String?

    @Flag(
        help: ArgumentHelp(
            "Print the receipt as JSON on standard output; what the command prints goes to standard error. With "
                + "--detach: print the name as JSON."))
    var json = false

    #if DEBUG
        @Option(help: .hidden)
        var dropLayer: String?
    #endif

    /// The agent's name, or `--` and a command, with everything after it; not the parser's to understand.
    var words: [String] = []

    private enum CodingKeys: String, CodingKey {
        case options, stage, quiet, card, detach, receipt, json
        #if DEBUG
            case dropLayer
        #endif
    }

    func run() throws {
        var launcher = Launcher(options: options.values, words: words, quiet: quiet, card: card)
        launcher.stage = try stage.values()
        launcher.receipt = ReceiptValues(file: receipt, json: json)
        launcher.detaches = detach
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

    @OptionGroup var stage: StageOptions

    @Flag(name: .shortAndLong, help: "Print no card, no receipt and no warnings.")
    var quiet = false

    func run() throws {
        let shell = unsafe getenv("SHELL").map { unsafe String(cString: $0) } ?? "/bin/sh"
        let visible = ["/bin/", "/usr/bin/"].contains { shell.hasPrefix($0) } ? shell : "/bin/sh"
        var launcher = Launcher(options: options.values, words: ["--", visible], quiet: quiet, card: false)
        launcher.stage = try stage.values()
        try launcher.run()
    }
}

/// Carries a request out from the first file to the last line.
struct Launcher {
    let options: OptionValues
    let words: [String]
    let quiet: Bool
    let card: Bool
    /// Which stage it works in, and what becomes of it.
    var stage = StageValues()
    /// How the receipt is wanted.
    var receipt = ReceiptValues()
    /// Is told of each stage of the run, and then speaks to the user itself.
    var watcher: (any LaunchWatcher)?
    /// It runs without the caller's terminal, and the caller goes when it does.
    var detaches = false
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
        var stage = StageValues()
        var receipt = ReceiptValues()
        var (quiet, card, detaches) = (false, false, false)
        var at = arguments.startIndex
        while at < arguments.endIndex, arguments[at].hasPrefix("-"), arguments[at] != "--" {
            switch arguments[at] {
            case "-q", "--quiet": quiet = true
            case "--card": card = true
            case "--detach": detaches = true
            case "--json": receipt.json = true
            case "--continue": stage.continues = true
            case "--setup": options.setup = true
            case "--learn": options.learn = true
            default:
                at += 1
                // A value that looks like an option is more likely a missing value.
                guard at < arguments.endIndex, !arguments[at].hasPrefix("-") else { return nil }
                if arguments[at - 1] == "--receipt" {
                    receipt.file = arguments[at]
                } else if !options.take(arguments[at - 1], arguments[at]),
                    !stage.take(arguments[at - 1], arguments[at])
                {
                    return nil
                }
            }
            at += 1
        }
        guard at < arguments.endIndex else { return nil }
        self.init(options: options, words: Array(arguments[at...]), quiet: quiet, card: card)
        self.stage = stage
        self.receipt = receipt
        self.detaches = detaches
    }

    /// Never returns normally: the command's status is thrown.
    func run() throws {
        #if DEBUG
            if let droppedLayer { try Mutant.announce(droppedLayer) }
        #endif
        // Before anything else: this process has nothing yet that a copy of it could not have, too.
        var detachment = detaches ? try Detachment.begin(quiet: quiet, json: receipt.json) : nil
        // The name is the document of a detached run; what it came to goes to a file alone.
        var output = try ReceiptOutput(detaches ? ReceiptValues(file: receipt.file) : receipt)
        let seed: SandboxSeed
        do throws(SessionError) {
            seed = try SandboxSeed(entry: Init.entry, project: options.project ?? ".")
        } catch { throw Refusal(error) }
        // Planned before anything is made, so that nothing is left of a command that is refused.
        let draft: Request
        let earlier: Stage?
        let learning: Learning?
        do {
            earlier = try stage.earlier(project: options.project, name: options.name)
            draft = try Request(
                options, words: words, session: earlier?.session ?? options.name ?? "draft", asks: !quiet,
                hasTerminal: detaches, controlGroups: seed.controlGroups)
            learning = try Learning(options, hasNetwork: draft.plan.proxy != nil)
            if !quiet { TrustNotice.tell(draft.sources) }
            try output.open(receipt, draft.plan)
            watcher?.planned(draft)
            try draft.home?.prepare(quiet: quiet)
        } catch {
            seed.discard()
            throw error
        }
        var plan = draft.plan
        #if DEBUG
            if let droppedLayer { Mutant.apply(droppedLayer, to: &plan, facts: draft.facts) }
        #endif
        if earlier == nil, plan.stage != nil, !quiet { Launcher.tellOfWaiting(draft.facts) }
        let outcome: Outcome
        let session: String
        let secrets: [String: String]
        do throws(SessionError) {
            secrets = try SecretValues.get(draft.policy.environment.from, home: draft.facts.user.home)
        } catch {
            seed.discard()
            throw Refusal(error)
        }
        let showsCard = !quiet && (card || isatty(2) == 1)
        do throws(SessionError) {
            let state = draft.facts.stateDirectory
            let directory =
                if let earlier {
                    try SessionDirectory(continuing: earlier.session, state: state)
                } else {
                    try SessionDirectory(name: options.name, stem: draft.stem, state: state)
                }
            let name = directory.name
            session = name
            plan.setVariable("BOX_SESSION", to: name)
            // Whoever attaches has one that understands this.
            if detaches, unsafe getenv("TERM") == nil { plan.setVariable("TERM", to: "xterm-256color") }
            for (name, value) in secrets { plan.setVariable(name, to: value) }
            plan.setFilter(
                try FilterCache.program(
                    profile: draft.policy.syscalls.profile, listens: plan.listens, kernel: draft.facts.kernel,
                    home: draft.facts.user.home, state: draft.facts.stateDirectory))
            let shown = plan
            var prepared = PreparedSession(
                plan: plan, directory: directory, seed: seed, continuing: earlier,
                policy: draft.watch(), policyDigest: draft.sources.digest,
                agent: draft.agent, stem: draft.stem
            ) {
                if shown.stage?.copies == true, !quiet { CopyLine().clear() }
                watcher?.ready(shown, session: name)
                guard showsCard else { return }
                let lines = Card.lines(
                    shown, title: draft.title, session: name, colour: Output.hasColour(2))
                Output.raw(lines.joined(separator: "\n") + "\n")
            }
            if !quiet { prepared.progress = CopyLine().show }
            prepared.isDetached = detaches
            prepared.onStarted = { () throws(SessionError) in try detachment.take()?.end(session: name) }
            outcome = try prepared.run()
        } catch { throw Refusal(error) }
        let search = outcome.rules.map(draft.sources.remedies(under:))
        watcher?.ended(outcome, isStaged: plan.stage != nil, search)
        if let message = outcome.message, watcher == nil { Output.error(message) }
        var report = RunReport(command: plan.command, means: .command, started: outcome.started)
        report.session = session
        report.agent = draft.agent
        report.workspace.mode = draft.policy.workspace.mode.rawValue
        report.workspace.project = draft.facts.project.path.string
        report.take(outcome, isStaged: plan.stage != nil, search)
        if showsCard, !receipt.json {
            Output.raw(report.receipt(name: draft.stem).map { "box: \($0)\n" }.joined())
        }
        learning?.tell(session: session, sources: draft.sources)
        let isWritten = output.write(report)
        if let changes = outcome.changes, changes.count > 0 {
            try StageEnd(changes: changes, quiet: quiet, onExit: stage.onExit).run()
        }
        throw CommandStatus(status: outcome.status == 0 && !isWritten ? ExitStatus.denied : outcome.status)
    }

    /// A new session begins with the project as it is: what earlier ones changed is not in it.
    private static func tellOfWaiting(_ facts: HostFacts) {
        let node = facts.project.node
        let names = WaitingStages.sessions(
            device: node.device, inode: node.inode, state: facts.stateDirectory.string,
            project: facts.project.path.string)
        guard let last = names.last else { return }
        let which =
            names.count == 1
            ? "session \(last) has changes" : "\(names.count) sessions have changes"
        Output.error("\(which) that wait: box diff. To go on with the newest: box run --continue")
    }
}
