import ArgumentParser
import BoxSession
import BoxTypes
import Glibc

/// The end of a session that changed something: what becomes of it.
struct StageEnd {
    let changes: StageSummary
    let quiet: Bool
    /// What the user said beforehand; nil asks on a terminal and keeps elsewhere.
    let onExit: StageValues.OnExit?

    /// Says what there is, and does what the user wants. The session's own exit status stays what it is.
    func run() throws {
        // The supervisor has taken the signals for itself, and there is none any more.
        var none = sigset_t()
        unsafe sigemptyset(&none)
        unsafe sigprocmask(SIG_SETMASK, &none, nil)
        let asks = isatty(0) == 1 && isatty(2) == 1 && !quiet
        switch onExit ?? .ask {
        case .ask where asks:
            say("")
            ask()
        case .ask, .keep: say(": box diff · box apply · box discard")
        case .apply:
            say("")
            attempt { try ApplyCommand.parse(["-s", changes.session] + (quiet ? ["--quiet"] : [])).run() }
        case .discard:
            attempt { try DiscardCommand.parse(["-s", changes.session, "--yes"]).run() }
        }
    }

    private func say(_ rest: String) {
        guard !quiet else { return }
        let files = changes.count == 1 ? "1 file" : "\(changes.count) files"
        Output.error("\(files) changed in session \(changes.session)\(rest)")
    }

    private func ask() {
        while true {
            Output.raw("[a]pply, [d]iff, [k]eep or [x] discard? ")
            // At the end of the input, and when nothing is said, nothing is lost.
            switch readLine()?.lowercased() {
            case "a"?, "apply"?:
                if attempt({ try ApplyCommand.parse(["-s", changes.session]).run() }) { return }
            case "d"?, "diff"?: attempt { try DiffCommand.parse(["-s", changes.session]).run() }
            case "x"?, "discard"?:
                attempt { try DiscardCommand.parse(["-s", changes.session, "--yes"]).run() }
                return
            case nil:
                Output.raw("\n")
                return
            case "k"?, "keep"?, ""?: return
            default: continue
            }
        }
    }

    /// Runs another command of box; what it refuses is said. Whether it did what it was to do.
    @discardableResult
    private func attempt(_ command: () throws -> Void) -> Bool {
        do { try command() } catch let refusal as Refusal {
            Output.error(refusal.message)
            return false
        } catch let status as CommandStatus {
            return status.status == 0
        } catch {
            Output.error("\(error)")
            return false
        }
        return true
    }
}
