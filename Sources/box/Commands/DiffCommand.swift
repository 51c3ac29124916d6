import ArgumentParser
import BoxKernel
import BoxSession
import BoxStage
import BoxTypes

/// `box diff [PATH…]`: what a session changed, risky changes first.
struct DiffCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff", abstract: "Show what a session changed, risky changes first.",
        discussion: """
            On a terminal nothing in names and contents moves the cursor or hides text, and very large contents are \
            summed up. To a pipe or a file, or with --raw, the output is a complete patch that git apply takes; then \
            the summary goes to standard error.

            Exit status: 0; with --exit-code 1 if there are changes; 1 if a PATH does not exist; 125 for errors.
            """)

    @Option(
        name: [.short, .long],
        help: ArgumentHelp(
            "This session, by its name or the beginning of it; the newest one of the project with unapplied changes "
                + "otherwise.", valueName: "id"))
    var session: String?

    @Option(
        name: [.customShort("C"), .long],
        help: ArgumentHelp("The project; the working directory otherwise.", valueName: "directory"))
    var project: String?

    @Flag(help: "How many lines each file gained and lost.")
    var stat = false

    @Flag(help: "Only the names of what changed.")
    var nameOnly = false

    @Flag(help: "Print JSON.")
    var json = false

    @Flag(name: .customShort("z"), help: "With --name-only: end each name with NUL and print it as it is.")
    var zero = false

    @Flag(help: "Exit with 1 if there are changes.")
    var exitCode = false

    @Option(help: ArgumentHelp("auto, always or never.", valueName: "when"))
    var color = DiffFormat.Colour.auto

    @Flag(help: "Do not start a pager.")
    var noPager = false

    @Flag(help: "Print the complete patch byte for byte, on a terminal, too.")
    var raw = false

    @Argument(help: ArgumentHelp("Only these files and what is below these directories.", valueName: "path"))
    var paths: [String] = []

    func validate() throws {
        guard [stat, nameOnly, json].count(where: { $0 }) <= 1 else {
            throw ValidationError("--stat, --name-only and --json exclude each other")
        }
        guard !zero || nameOnly else { throw ValidationError("-z goes with --name-only") }
    }

    func run() throws {
        let found: StagedSession
        do throws(SessionError) {
            found = try StagedSession.find(session, project: project ?? ".")
        } catch { throw Refusal(error) }
        guard let stage = found.stage else {
            if found.changedNothing { return showNothing(found) }
            throw Refusal(
                "session \(found.name.escapedForTerminal) has no stage: it worked in the project itself, or was "
                    + "discarded")
        }
        let review: DiffReview
        let unknown: [StagedPaths.Unmatched]
        do throws(StageError) {
            let paths = try StagedPaths(paths, of: stage)
            review = try DiffReview(stage, paths, isRunning: found.isRunning)
            unknown = try paths.unmatched(by: review)
        } catch { throw Refusal(error) }
        try report(unknown)
        try show(review, found, isExplained: !unknown.isEmpty)
        if exitCode, review.count > 0 { throw CommandStatus(status: 1) }
    }

    /// A session that changed nothing has no stage any more.
    private func showNothing(_ session: StagedSession) {
        guard json else { return Output.error("session \(session.name.escapedForTerminal) changed nothing") }
        let digest = ManifestDigest()
        let document = JSONOutput.object([
            ("session", .text(session.name)), ("base", .text(session.started)),
            ("digest", .text(digest.finish())),
            ("changes", .list([])), ("conflicts", .list([])),
        ])
        Output.data(document.pretty + "\n")
    }

    /// Names that were given and are not changed: a mistake where there is no such file at all.
    private func report(_ unknown: [StagedPaths.Unmatched]) throws {
        for path in unknown {
            let name = path.text.escapedForTerminal
            guard path.exists else {
                throw Refusal("\(name): there is no such file, and no change to it", status: 1)
            }
            Output.error("\(name): no changes")
        }
    }

    private func show(_ review: DiffReview, _ session: StagedSession, isExplained: Bool) throws {
        let format = DiffFormat(colour: color, raw: raw)
        let isPaged = format.isTerminal && !json && !noPager
        let output = PagedOutput(pager: isPaged ? { Pager(avoiding: review.stage) } : nil)
        let printer = DiffPrinter(review, format, output)
        do throws(StageError) {
            if json {
                try printer.printJSON()
            } else {
                guard review.count > 0 else {
                    if !isExplained {
                        let place = paths.isEmpty ? "nothing" : "nothing here"
                        Output.error("session \(session.name.escapedForTerminal) changed \(place)")
                    }
                    return
                }
                if nameOnly {
                    try printer.printNames(endedByZero: zero)
                } else {
                    try printer.printSummary(session.isRunning)
                    if stat { try printer.printStat() } else { try printer.printPatches() }
                }
            }
            try output.finish()
        } catch {
            output.abandon()
            // Nobody reads any more: that is the reader's choice.
            guard output.isClosed else { throw Refusal(error) }
        }
    }
}
