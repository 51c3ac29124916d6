import ArgumentParser
import BoxAudit
import BoxSession
import BoxStage
import BoxTypes

/// `box discard`: removes what a session changed.
struct DiscardCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "discard", abstract: "Remove what a session changed and did not apply.",
        discussion: """
            The project stays as it is. What was applied before stays applied, and cannot be undone any more.

            Exit status: 0; 1 if nothing was touched; 125 for errors.
            """)

    @OptionGroup var choice: StageChoice

    @Flag(help: "Ask nothing.")
    var yes = false

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
        let work = try choice.open(for: "discard", interrupted: false)
        let name = work.session.name.escapedForTerminal
        if !yes, let answer = Question.ask("Discard all changes of session \(name)? [y/N] "), !answer {
            throw Refusal("nothing was touched", status: 1)
        }
        let report = ApplyReport(work.session, work.stage, isQuiet: false, json: json)
        do throws(StageError) {
            try work.stage.remove()
            try WaitingStages.set(work.stage, waits: false)
        } catch { throw Refusal(error) }
        try work.log(Event(.discard, []))
        report.discarded()
    }
}
