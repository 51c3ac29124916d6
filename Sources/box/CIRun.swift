import BoxAudit
import BoxKernel
import BoxPlan
import BoxPolicy
import BoxSession
import BoxTypes
import Glibc

/// A run of `box ci` from the first line in the log to the last report.
final class CIRun: LaunchWatcher {
    private var report: CIReport
    private var log: CILog
    private let quiet: Bool
    /// The stream that the runner reads; nil if both streams go elsewhere.
    private var stream: CInt?
    /// Whether the command's output is under way, in which nothing is to be obeyed.
    private var isFenced = false
    private var places: CIPlaces?

    init(command: [String], policyFile: String?, failsOnDenied: Bool, format: CILogFormat?, quiet: Bool)
        throws
    {
        report = CIReport(command: command, started: Timestamp.now(), failsOnDenied: failsOnDenied)
        report.policyFile = policyFile
        self.quiet = quiet
        let chosen = format ?? CILogFormat(environment: CIRun.runnerVariables)
        stream = try CIStreams.prepare(chosen)
        log = CILog(stream == nil ? .plain : chosen)
    }

    private static var runnerVariables: [String: String] {
        var found: [String: String] = [:]
        for name in ["GITHUB_ACTIONS", "GITLAB_CI", "GITHUB_STEP_SUMMARY"] {
            found[name] = unsafe getenv(name).map { unsafe String(cString: $0) }
        }
        return found
    }

    /// Runs `body`, which throws how it ended; says so, writes the reports, and gives the exit status.
    func carryOut(
        report json: String?, summary: String?, junit: String?, project: String?, _ body: () throws -> Void
    ) -> Int32 {
        var files = CIReportFiles()
        do {
            guard let directory = WorkingDirectory.current else {
                throw Refusal("the working directory is gone")
            }
            let root = try CIRun.canonical(project ?? directory)
            // All of them, so that those that can be written say what is wrong with the others.
            try files.open(json: json, summary: summary, junit: junit, project: root, directory: directory)
            do throws(SessionError) { places = try CIPlaces(project: root) } catch { throw Refusal(error) }
            report.notices += places?.notices ?? []
            try body()
        } catch let refusal as Refusal {
            refuse(refusal)
        } catch let status as CommandStatus {
            // What was reported already is the same; a status without a report is box's own.
            if report.commandStatus == nil { report.exitStatus = status.status }
        } catch {
            refuse(Refusal("\(error)"))
        }
        endPlaces()
        endFence()
        tell()
        return finish(files)
    }

    private static func canonical(_ directory: String) throws -> AbsolutePath {
        do throws(SessionError) { return try HostFacts.Project.canonicalPath(of: directory) } catch {
            throw Refusal(error)
        }
    }

    // MARK: - The run

    func planned(_ request: Request) {
        report.policyDigest = request.sources.digest
        report.protections = request.plan.protections
        report.run.workspace.mode = request.policy.workspace.mode.rawValue
        report.run.workspace.project = request.facts.project.path.string
        guard case .missing(let widenings) = request.sources.trust, !request.namesProjectFile else { return }
        let shown = widenings.prefix(3).map(\.text).joined(separator: "; ").escapedForTerminal
        let more = widenings.count > 3 ? "; and \(widenings.count - 3) more" : ""
        let name = PolicySources.projectFileName
        report.notices.append(
            "\(name) of this project wants to widen the policy (\(shown)\(more)). Only what tightens holds. "
                + "To take all of it: --policy \(name)")
    }

    func ready(_ plan: Plan, session: String) {
        report.run.session = session
        if !quiet {
            let card = Card.lines(plan, title: nil, session: session, colour: false, allowing: "--allow HOST")
            write(
                log.group(
                    "sandbox", "the sandbox, session \(session)", Array(card.dropFirst()), time: time(nil)))
        }
        write(log.fence)
        isFenced = true
    }

    func ended(_ outcome: Outcome, isStaged: Bool, _ search: RemedySearch?) {
        report.take(outcome, isStaged: isStaged, search)
    }

    private func refuse(_ refusal: Refusal) {
        var message = refusal.message
        if !refusal.missing.isEmpty {
            report.protections = refusal.missing
            let names = refusal.missing.filter(\.protection.canBeLeftOut).map(\.protection.rawValue)
            // Each has its own word already.
            if names.count > 1, names.count == refusal.missing.count {
                message += "\nTo run without them: " + names.map { "--accept \($0)" }.joined(separator: " ")
            }
        }
        report.refuse(message, status: refusal.status)
    }

    private func endPlaces() {
        let before = places?.notices.count ?? 0
        do throws(SessionError) {
            try places?.end(keeping: (report.run.workspace.changes ?? 0) > 0)
        } catch { report.notices.append(error.description) }
        report.notices += places?.notices.dropFirst(before) ?? []
    }

    // MARK: - The log

    private func write(_ text: String) {
        if stream == 1 { Output.data(text) } else { Output.raw(text) }
    }

    private func endFence() {
        guard isFenced else { return }
        isFenced = false
        write(log.fenceEnd)
    }

    /// The report as lines, then each finding.
    private func tell() {
        if !quiet, report.commandStatus != nil {
            write(log.group("report", report.headline, report.lines, time: time(nil)))
        }
        for notice in report.notices { write(log.finding(.warning, "box", notice)) }
        for finding in report.findings where !quiet || finding.level == .error {
            // Elsewhere the lines have said it.
            guard log.format == .github || quiet || finding.isAlone else { continue }
            write(log.finding(finding.level, finding.title, finding.message))
        }
    }

    private func finish(_ files: borrowing CIReportFiles) -> Int32 {
        for message in files.write(report) {
            write(log.finding(.error, "box", message))
            if report.exitStatus == 0 { report.exitStatus = ExitStatus.denied }
        }
        guard let path = CIRun.runnerVariables["GITHUB_STEP_SUMMARY"], !path.isEmpty else {
            return report.exitStatus
        }
        do throws(SessionError) { try StepSummary.append(report.markdown, to: path) } catch {
            write(log.finding(.warning, "box", error.description))
        }
        return report.exitStatus
    }
}

/// The reports that were asked for, each opened before the command runs.
struct CIReportFiles: ~Copyable {
    private var json: ReportFile?
    private var summary: ReportFile?
    private var junit: ReportFile?

    /// Opens all of them, and refuses if one cannot be written.
    mutating func open(
        json: String?, summary: String?, junit: String?, project: AbsolutePath, directory: String
    ) throws {
        var reasons: [String] = []
        func file(_ path: String?, _ option: String) -> ReportFile? {
            guard let path else { return nil }
            do throws(SessionError) {
                return try ReportFile(path, option: option, untrusted: [project], directory: directory)
            } catch {
                reasons.append(error.description)
                return nil
            }
        }
        self.json = file(json, "--report")
        self.summary = file(summary, "--summary")
        self.junit = file(junit, "--junit")
        guard reasons.isEmpty else { throw Refusal(reasons.joined(separator: "\n")) }
    }

    /// Writes them; what went wrong is the result.
    borrowing func write(_ report: CIReport) -> [String] {
        var reasons: [String] = []
        do throws(SessionError) { try json?.write(report.json.pretty + "\n") } catch {
            reasons.append(error.description)
        }
        do throws(SessionError) { try summary?.write(report.markdown) } catch {
            reasons.append(error.description)
        }
        do throws(SessionError) { try junit?.write(report.junit) } catch { reasons.append(error.description) }
        return reasons
    }
}

/// The standard streams of a pipeline's run.
enum CIStreams {
    /// Lets nothing be read from a terminal, where nobody would answer, and finds the stream that is the log.
    ///
    /// Under GitHub Actions every line of either stream can be a command to the runner, and it reads both at its own
    /// pace; so there they become one, in which the fence stands before and behind all of the command's output.
    static func prepare(_ format: CILogFormat) throws -> CInt? {
        if isatty(0) == 1 {
            let null = unsafe open("/dev/null", O_RDONLY | O_CLOEXEC)
            guard null >= 0, dup2(null, 0) == 0 else {
                throw Refusal("cannot leave the terminal alone: \(errorText(errno))")
            }
            close(null)
        }
        guard format == .github else { return 2 }
        switch (isRead(1), isRead(2)) {
        case (true, true):
            guard dup2(1, 2) == 2 else { throw Refusal("cannot join the streams: \(errorText(errno))") }
            return 1
        case (true, false): return 1
        case (false, true): return 2
        case (false, false): return nil
        }
    }

    /// Whether somebody reads along: no file, and not the null device.
    private static func isRead(_ number: CInt) -> Bool {
        var status = stat()
        guard unsafe fstat(number, &status) == 0 else { return false }
        switch status.st_mode & S_IFMT {
        case S_IFREG: return false
        case S_IFCHR: return isatty(number) == 1
        default: return true
        }
    }
}
