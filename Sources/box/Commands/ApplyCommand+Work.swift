import ArgumentParser
import BoxAudit
import BoxKernel
import BoxSession
import BoxStage
import BoxTypes
import Glibc

/// Which session a command changes the stage of.
struct StageChoice: ParsableArguments {
    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "This session, by its name or the beginning of it; the newest one of the project otherwise.",
            valueName: "id"))
    var session: String?

    @Option(
        name: [.customShort("C"), .long],
        help: ArgumentHelp("The project; the working directory otherwise.", valueName: "directory"))
    var project: String?

    /// The session, with all locks held. `interrupted`: whether the command is about an apply that was interrupted; any
    /// other is refused until that is finished.
    func open(for command: String, interrupted: Bool) throws -> StageWork {
        let found: StagedSession
        do throws(SessionError) {
            found = try find(command, interrupted: interrupted)
        } catch { throw Refusal(error) }
        guard let stage = found.stage else {
            throw Refusal(
                "session \(found.name.escapedForTerminal) has nothing to \(command): it has no staged changes",
                status: 1)
        }
        let work = try StageWork(found, stage)
        if !interrupted { try work.refuseInterrupted() }
        return work
    }

    private func find(_ command: String, interrupted: Bool) throws(SessionError) -> StagedSession {
        let project = project ?? "."
        guard session == nil else { return try StagedSession.find(session, project: project) }
        if interrupted {
            // The one that there is something to finish of.
            for found in try StagedSession.ofProject(project) {
                if let stage = found.stage, try found.isUnderWay(stage) { return found }
            }
        } else if command == "undo", let last = try StagedSession.lastApplied(project) {
            return last
        }
        return try StagedSession.find(nil, project: project)
    }
}

extension StagedSession {
    fileprivate func isUnderWay(_ stage: Stage) throws(SessionError) -> Bool {
        do throws(StageError) { return try Transaction.state(of: stage) != nil } catch {
            throw SessionError(step: error.step, reason: error.reason)
        }
    }

    /// The session of a project that applied something last.
    fileprivate static func lastApplied(_ project: String) throws(SessionError) -> StagedSession? {
        var last: (session: StagedSession, time: Node.Time)?
        for found in try StagedSession.ofProject(project) {
            guard let stage = found.stage else { continue }
            do throws(StageError) {
                guard let time = try Undo.last(stage)?.finished else { continue }
                if last.map({ $0.time < time }) ?? true { last = (found, time) }
            } catch { throw SessionError(step: error.step, reason: error.reason) }
        }
        return last?.session
    }
}

/// A stage that a command works on, alone.
struct StageWork: ~Copyable {
    let session: StagedSession
    let stage: Stage
    private let lock: Descriptor
    private let locks: ProjectLocks

    fileprivate init(_ session: StagedSession, _ stage: Stage) throws {
        let lock = try StageWork.lock(session)
        locks = try StageWork.lockProject(session, stage)
        self.lock = lock
        self.session = session
        self.stage = stage
    }

    private static func lock(_ session: StagedSession) throws -> Descriptor {
        do throws(SessionError) { return try session.lock() } catch {
            throw Refusal(error.description, status: 1)
        }
    }

    private static func lockProject(_ session: StagedSession, _ stage: Stage) throws -> ProjectLocks {
        do throws(SessionError) {
            return try ProjectLocks(session, stage) {
                Output.error("waiting for another apply in this project to end")
            }
        } catch { throw Refusal(error) }
    }

    /// Refuses to go on while there is half an apply.
    fileprivate borrowing func refuseInterrupted() throws {
        let state: Journal.State?
        let other: String?
        do throws(StageError) { state = try Transaction.state(of: stage) } catch { throw Refusal(error) }
        do throws(SessionError) { other = try locks.interrupted(besides: session) } catch {
            throw Refusal(error)
        }
        guard let name = state == nil ? other : session.name else { return }
        let escaped = name.escapedForTerminal
        throw Refusal(
            "an apply or undo of session \(escaped) was interrupted. To finish it: box apply -s \(escaped) --resume; to "
                + "take it back: box apply -s \(escaped) --rollback", status: 1)
    }

    /// The host is changed from here on.
    borrowing func begin() throws(StageError) {
        do throws(SessionError) { try locks.note(session) } catch {
            throw StageError(error.step, reason: error.reason)
        }
    }

    /// The host is as it is to be, unless something could not be finished.
    borrowing func endIfFinished() throws {
        do throws(StageError) {
            guard try Transaction.state(of: stage) == nil else { return }
            do throws(SessionError) {
                try locks.note(nil)
                try session.noteWaiting()
            } catch { throw StageError(error.step, reason: error.reason) }
        } catch { throw Refusal(error) }
    }

    /// Adds an event to the session's log.
    borrowing func log(_ event: Event) throws {
        do throws(SessionError) { try session.log(event) } catch { throw Refusal(error) }
    }
}

/// A question with yes or no.
enum Question {
    /// The answer of the user at the terminal; nil if there is none to ask.
    static func ask(_ text: String) -> Bool? {
        guard isatty(0) == 1, isatty(2) == 1 else { return nil }
        Output.raw(text)
        let answer = readLine()?.lowercased() ?? ""
        return answer == "y" || answer == "yes"
    }
}

/// The signals that ask box to stop. While a transaction is at work they wait, so that it ends in order.
final class Interrupts {
    private let descriptor: Descriptor
    private var hasCome = false

    init() throws {
        do throws(KernelError) {
            descriptor = try Processes.signalDescriptor([SIGINT, SIGTERM, SIGHUP, SIGQUIT])
        } catch { throw Refusal("cannot begin: \(error)") }
    }

    /// Whether one has come.
    func came() -> Bool {
        if hasCome { return true }
        do throws(KernelError) { hasCome = try !Processes.takeSignals(descriptor).isEmpty } catch {
            // Then it cannot be stopped either.
            return false
        }
        return hasCome
    }
}

/// How far a long apply is, on one line of the terminal that goes again.
final class ApplyMeter {
    private let isOn: Bool
    private var hasLine = false
    private var last = 0

    init(isOn: Bool) { self.isOn = isOn }

    func show(_ progress: Apply.Progress) {
        // Short work shows nothing.
        guard isOn, progress.total > 2000 else { return }
        let share = progress.done * 100 / max(1, progress.total)
        let mark = share + (progress.phase == .applying ? 1000 : 0)
        guard mark != last else { return }
        last = mark
        hasLine = true
        let what = progress.phase == .preparing ? "preparing" : "applying"
        Output.raw("\r\u{1B}[K\(what) \(share) %")
    }

    func clear() {
        if hasLine { Output.raw("\r\u{1B}[K") }
        hasLine = false
    }
}
