import ArgumentParser
import BoxSession
import BoxStage
import BoxTypes

/// The options of `run` and `shell` about the staged project.
struct StageOptions: ParsableArguments {
    @Flag(
        name: .customLong("continue"),
        help: "Go on in the newest stage of this project that has changes, or in that of -s.")
    var continues = false

    @Option(
        name: [.customShort("s"), .customLong("session")],
        help: ArgumentHelp("With --continue: the session.", valueName: "id"))
    var session: String?

    @Option(
        help: ArgumentHelp(
            "What becomes of the changes at the end: ask (on a terminal), apply, keep or discard.",
            valueName: "what"))
    var onExit: String?

    /// The values, without the parser.
    func values() throws -> StageValues {
        var values = StageValues()
        values.continues = continues
        values.session = session
        if let onExit { _ = values.take("--on-exit", onExit) }
        return values
    }
}

/// Which stage a session works in, and what becomes of it.
struct StageValues {
    enum OnExit: String, CaseIterable { case ask, apply, keep, discard }

    var continues = false
    var session: String?
    private var onExitText: String?

    /// Puts one option's value in its place; false for an option that is not of these.
    mutating func take(_ option: String, _ value: String) -> Bool {
        switch option {
        case "-s", "--session": session = value
        case "--on-exit": onExitText = value
        default: return false
        }
        return true
    }

    /// What becomes of the changes; nil if the user did not say.
    var onExit: OnExit? { onExitText.flatMap(OnExit.init) }

    /// The stage that goes on; nil for a new one. Refuses what does not fit together.
    func earlier(project: String?, name: String?) throws -> Stage? {
        if let onExitText, onExit == nil {
            let known = OnExit.allCases.map(\.rawValue).joined(separator: ", ")
            throw Refusal("--on-exit \(onExitText.escapedForTerminal): there is no such end. Known: \(known)")
        }
        guard continues else {
            guard session == nil else { throw Refusal("-s names the session to go on with: add --continue") }
            return nil
        }
        guard name == nil else {
            throw Refusal("--continue goes on in a session that has its name: leave --name out")
        }
        let found: StagedSession
        do throws(SessionError) {
            found = try StagedSession.find(session, project: project ?? ".")
        } catch { throw Refusal(error) }
        guard let stage = found.stage else {
            throw Refusal("session \(found.name) has nothing to go on with: it has no staged changes")
        }
        return stage
    }
}
