import ArgumentParser
import BoxAudit
import BoxKernel
import BoxSession
import BoxStage
import BoxTypes
import Glibc

/// `box undo`: takes the last apply back.
struct UndoCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "undo", abstract: "Take the last apply back.",
        discussion: """
            Everything is as it was before, and the changes are to be applied again. It is refused where you have \
            worked on an applied file since. Without -s it is the project's latest apply; of each session, only the last \
            one can be taken back.

            Exit status: 0; 1 if nothing was touched; 125 for errors.
            """)

    @OptionGroup var choice: StageChoice

    @Flag(help: "Ask nothing.")
    var yes = false

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
        let work = try choice.open(for: "undo", interrupted: false)
        let report = ApplyReport(work.session, work.stage, isQuiet: false, json: json)
        let name = work.session.name.escapedForTerminal
        let nothing = Refusal(
            "there is nothing to undo: the last apply of session \(name) was taken back already, or there was none",
            status: 1)
        let last: (applied: Int, finished: Node.Time)?
        do throws(StageError) { last = try Undo.last(work.stage) } catch { throw Refusal(error) }
        guard let last else { throw nothing }
        let question = "Take \(last.applied) applied changes of session \(name) back? [y/N] "
        if !yes, let answer = Question.ask(question), !answer {
            throw Refusal("nothing was touched", status: 1)
        }
        try undo(work, report, nothing)
    }

    private func undo(_ work: borrowing StageWork, _ report: ApplyReport, _ nothing: Refusal) throws {
        let signals = try Interrupts()
        let meter = ApplyMeter(isOn: isatty(2) == 1)
        let outcome: Undo.Outcome
        do throws(StageError) {
            try work.begin()
            outcome = try Undo.run(
                work.stage,
                progress: { meter.show(Apply.Progress(phase: .applying, done: $0, total: $1)) })
        } catch {
            meter.clear()
            try work.endIfFinished()
            throw Refusal(error)
        }
        meter.clear()
        // They wait until it is done; what was done stays so.
        _ = signals.came()
        try work.endIfFinished()
        switch outcome {
        case .nothing: throw nothing
        case .edited(let conflicts):
            report.edited(conflicts)
            throw CommandStatus(status: 1)
        case .undone(let count, let kept):
            try work.log(Event(.undo, [Event.Field("undone", .number(count))]))
            report.undone(count, kept)
        }
    }
}
