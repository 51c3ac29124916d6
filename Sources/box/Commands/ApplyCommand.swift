import ArgumentParser
import BoxAudit
import BoxKernel
import BoxSession
import BoxStage
import BoxTypes
import Glibc

/// `box apply [PATH…]`: takes what a session changed into the project, all of it or none.
struct ApplyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply", abstract: "Take all or part of what a session changed, as one transaction.",
        discussion: """
            Changes that need attention are listed and asked about once; those that programs obey without being asked \
            are left out unless each is named as a PATH. Where the host changed the same file meanwhile nothing is \
            touched, and the conflicts are listed. What was applied can be taken back: box undo.

            --as-branch NAME takes the agent's commits when both sides moved the repository: it adds the agent's objects \
            and makes the branch NAME at the commit that the agent's HEAD is. HEAD, the index, the other branches and \
            the files stay as they are on the host; files that are named as PATH are applied as well.

            Exit status: 0; 1 if nothing was touched (a conflict, or you said no); 125 for errors.
            """)

    @OptionGroup var choice: StageChoice

    @Flag(name: .shortAndLong, help: "Ask about each hunk.")
    var patch = false

    @Flag(help: "Ask nothing: agree to what needs attention.")
    var yes = false

    @Flag(help: "Join both versions of a file that the host changed as well.")
    var merge = false

    @Flag(help: "Keep the host's version of a file that both changed; the agent's is settled with that.")
    var ours = false

    @Flag(help: "Take the agent's version of a file that both changed.")
    var theirs = false

    @Flag(help: "Finish an apply or undo that was interrupted.")
    var resume = false

    @Flag(help: "Take an apply or undo that was interrupted back.")
    var rollback = false

    @Option(help: ArgumentHelp("Only if the changes are those of box diff --json.", valueName: "hex"))
    var digest: String?

    @Option(help: ArgumentHelp("Take the agent's commits as a new branch.", valueName: "name"))
    var asBranch: String?

    @Flag(help: "Print JSON.")
    var json = false

    @Flag(name: .shortAndLong, help: "Print only what went wrong.")
    var quiet = false

    @Argument(
        help: ArgumentHelp(
            "Only these files and what is below these directories, literally.", valueName: "path"))
    var paths: [String] = []

    func validate() throws {
        guard [merge, ours, theirs].count(where: { $0 }) <= 1 else {
            throw ValidationError("--merge, --ours and --theirs exclude each other")
        }
        guard !(resume && rollback) else {
            throw ValidationError("--resume and --rollback exclude each other")
        }
        let others = patch || merge || ours || theirs || digest != nil || asBranch != nil || !paths.isEmpty
        guard !(resume || rollback) || !others else {
            throw ValidationError(
                "--resume and --rollback go on with what was asked for before, and take nothing else")
        }
        guard !(patch && yes) else {
            throw ValidationError("-p asks, and --yes asks nothing: leave one of them out")
        }
    }

    func run() throws {
        let work = try choice.open(for: "apply", interrupted: resume || rollback)
        let report = ApplyReport(work.session, work.stage, isQuiet: quiet, json: json)
        if resume || rollback { return try finish(work, report) }
        let plan = try plan(work, report)
        if patch { try pick(plan) }
        try confirm(plan, report)
        try apply(plan, work, report)
    }

    // MARK: - Deciding

    private func plan(_ work: borrowing StageWork, _ report: ApplyReport) throws -> ApplyPlan {
        var request = ApplyRequest()
        request.branch = asBranch
        request.resolution = merge ? .merge : ours ? .ours : theirs ? .theirs : .refuse
        let plan: ApplyPlan
        let places: StagedPaths
        do throws(StageError) {
            places = try StagedPaths(paths, of: work.stage)
        } catch { throw Refusal(error.description, status: 1) }
        do throws(StageError) {
            request.places = places.applied
            plan = try ApplyPlan(work.stage, request)
        } catch { throw Refusal(error) }
        if let digest, digest.lowercased() != plan.digest {
            throw Refusal(
                "the changes are not those that were reviewed: their digest is \(plan.digest). Nothing was touched",
                status: 1)
        }
        guard plan.unmatched.isEmpty else {
            let names = plan.unmatched.map { places.text(of: $0).escapedForTerminal }
            throw Refusal("no change at \(names.joined(separator: ", ")). Nothing was touched", status: 1)
        }
        guard plan.conflicts.isEmpty, plan.movedRepositories.isEmpty else {
            report.conflicts(plan)
            throw CommandStatus(status: 1)
        }
        return plan
    }

    private func pick(_ plan: ApplyPlan) throws {
        do throws(KernelError) {
            var picker = try HunkPicker()
            do throws(StageError) {
                try plan.pick { (change, old, new) throws(StageError) in
                    do throws(KernelError) {
                        switch try picker.pick(change.path.escaped, old: old, new: new) {
                        case .all: return .all
                        case .none: return .none
                        case .content(let bytes): return .content(bytes)
                        case .quit: return .quit
                        }
                    } catch { throw StageError("ask which hunks to take", error) }
                }
            } catch { throw KernelError(call: error.description, code: EIO) }
        } catch { throw Refusal("cannot ask which hunks to take: \(error)") }
    }

    private func confirm(_ plan: ApplyPlan, _ report: ApplyReport) throws {
        let sweeping = RiskRules.sweeping(deleted: plan.deleted)
        let isSweeping = sweeping.risk != .normal && paths.isEmpty
        guard !plan.confirmations.isEmpty || isSweeping, !yes else { return }
        report.confirmations(plan, sweeping: isSweeping ? sweeping.reason : nil)
        guard let answer = Question.ask("Apply these as well? [y/N] ") else {
            report.unconfirmed(plan)
            throw Refusal(
                "nothing was touched: these need your consent. Add --yes, or name each as a PATH", status: 1)
        }
        guard answer else {
            report.unconfirmed(plan)
            throw Refusal("nothing was touched", status: 1)
        }
    }

    // MARK: - Doing

    private func apply(_ plan: ApplyPlan, _ work: borrowing StageWork, _ report: ApplyReport) throws {
        guard plan.taken + plan.settled > 0 || asBranch != nil else { return report.nothing(plan) }
        let signals = try Interrupts()
        let meter = ApplyMeter(isOn: !quiet && isatty(2) == 1)
        let outcome: Apply.Outcome
        do throws(StageError) {
            try work.begin()
            outcome = try Apply.run(plan, isStopped: { signals.came() }, progress: { meter.show($0) })
        } catch {
            meter.clear()
            try work.endIfFinished()
            throw Refusal(error)
        }
        meter.clear()
        try work.endIfFinished()
        switch outcome {
        case .stopped: throw Refusal("stopped; nothing was touched", status: ExitStatus.signal(SIGINT))
        case .conflicts(let conflicts):
            report.conflicts(conflicts)
            throw CommandStatus(status: 1)
        case .applied(let kept):
            try work.log(
                Event(
                    .apply,
                    [
                        Event.Field("applied", .number(plan.taken)),
                        Event.Field("left_out", .number(plan.leftOut)),
                        Event.Field("digest", .text(plan.digest)),
                        Event.Field("branch", .text(asBranch ?? "")),
                    ]))
            report.applied(plan, kept, branch: asBranch)
        }
    }

    private func finish(_ work: borrowing StageWork, _ report: ApplyReport) throws {
        let meter = ApplyMeter(isOn: !quiet && isatty(2) == 1)
        let recovered: Recovered?
        do throws(StageError) {
            recovered = try Transaction.finish(
                work.stage, resuming: resume,
                progress: { meter.show(Apply.Progress(phase: .applying, done: $0, total: $1)) })
        } catch {
            meter.clear()
            throw Refusal(error)
        }
        meter.clear()
        try work.endIfFinished()
        guard let recovered else {
            throw Refusal(
                "no apply or undo of session \(work.session.name.escapedForTerminal) is under way", status: 1)
        }
        switch recovered {
        case .applied: try work.log(Event(.apply, [Event.Field("resumed", .flag(true))]))
        case .takenBack: try work.log(Event(.undo, [Event.Field("resumed", .flag(true))]))
        case .undoDropped, .notBegun: break
        }
        report.recovered(recovered)
        if recovered == .notBegun { throw CommandStatus(status: 1) }
    }
}
