import ArgumentParser
import BoxAudit
import BoxPlan
import BoxPolicy
import BoxSession
import BoxTypes

/// `box pending`: what the project's sessions were refused, and what would open it.
struct PendingCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pending", abstract: "Show what the project's sessions were refused.",
        discussion: """
            The newest first, with the command that allows it. What the policy allows by now is left out, and so are all \
            but the 50 newest sessions; --all shows both.
            """)

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("Only this session, by its name or the beginning of it.", valueName: "id"))
    var session: String?

    @Option(
        name: [.customShort("C"), .long],
        help: ArgumentHelp("The project; the working directory otherwise.", valueName: "directory"))
    var project: String?

    @Flag(help: "Print JSON.")
    var json = false

    @Flag(help: "All sessions of the project, and what is allowed by now.")
    var all = false

    /// So many sessions are looked at without `--all`.
    private static let newest = 50

    func run() throws {
        let (sessions, project) = try sessions()
        var requests = RefusedRequests()
        for session in sessions {
            do throws(SessionError) { try requests.add(log: session.log) } catch {
                Output.error("session \(session.name) is passed over: \(error)")
            }
        }
        let search = try project.sources().remedies
        let found: [(request: RefusedRequest, remedy: Remedy?)] = requests.all.compactMap { request in
            let remedy = search.remedy(for: request)
            return remedy == nil && !all ? nil : (request, remedy)
        }
        if json {
            Output.data(JSONOutput.list(found.map(PendingCommand.json)).pretty + "\n")
        } else {
            Output.data(PendingCommand.lines(found).map { $0 + "\n" }.joined())
            if found.isEmpty { Output.error("nothing was refused that is not allowed by now") }
        }
        if requests.leftOut > 0 {
            Output.error("at least \(requests.leftOut) more hosts were refused; the newest are shown")
        }
    }

    private func sessions() throws -> (sessions: [RecordedSession], project: PolicyProject) {
        if let session {
            let one: RecordedSession
            do throws(SessionError) { one = try RecordedSession.named(session) } catch {
                throw Refusal(error)
            }
            return ([one], try PolicyProject(one.project))
        }
        let project = try PolicyProject(of: project)
        do throws(SessionError) {
            let found = try RecordedSession.ofProject(project.path.string)
            if !found.damaged.isEmpty {
                let names = found.damaged.joined(separator: ", ")
                Output.error("passed over, because their session.json cannot be read: \(names)")
            }
            return (all ? found.sessions : Array(found.sessions.prefix(PendingCommand.newest)), project)
        } catch { throw Refusal(error) }
    }

    // MARK: - Output

    private static func json(_ request: RefusedRequest, _ remedy: Remedy?) -> JSONOutput {
        .object([
            ("host", .text(request.host)),
            ("port", request.port == 0 ? .null : .number(request.port)),
            ("count", .number(request.count)),
            ("first", .text(request.first)), ("last", .text(request.last)),
            ("reason", .text(request.reason.rawValue)), ("command", .optional(remedy?.command)),
        ])
    }

    /// Two kinds of lines: what was refused in columns, and below it what to do.
    private static func lines(_ found: [(request: RefusedRequest, remedy: Remedy?)]) -> [String] {
        guard !found.isEmpty else { return [] }
        let width = min(max(4, found.map(\.request.place.count).max() ?? 0), 42)
        func row(_ host: String, _ count: String, _ last: String, _ reason: String) -> String {
            let gap = String(repeating: " ", count: max(0, width - host.count))
            let pad = String(repeating: " ", count: max(0, 6 - count.count))
            let rest = String(repeating: " ", count: max(0, 16 - last.count))
            return "\(host)\(gap)  \(pad)\(count)  \(last)\(rest)  \(reason)"
        }
        var lines = [row("HOST", "COUNT", "LAST", "REASON")]
        for (request, remedy) in found {
            let last = Timestamp.local(request.last) ?? request.last
            lines.append(row(request.place, String(request.count), last, request.reason.rawValue))
            lines += advice(remedy).map { "    " + $0 }
        }
        return lines
    }

    private static func advice(_ remedy: Remedy?) -> [String] {
        guard let remedy else { return ["allowed by now"] }
        var lines: [String] = []
        if let advice = remedy.advice { lines.append(advice) }
        if let command = remedy.command {
            lines.append(command + (remedy.guessesPort ? "   (or HOST:PORT, if it is not for 443)" : ""))
        }
        if let setting = remedy.setting {
            let what = setting.isRisky ? "if that is meant, in box.toml" : "in box.toml"
            lines.append("\(what): \(setting.table) \(setting.line)")
        }
        return lines
    }
}

extension PolicySources {
    /// Says what would open what is refused under this policy.
    var remedies: RemedySearch { remedies(under: Planner.rules(of: policy.network)) }

    /// Says it under rules that this policy has become.
    func remedies(under rules: NetworkRules) -> RemedySearch {
        let denied = listing.entries.filter { $0.key == "network.deny" }
        return RemedySearch(rules) { rule in
            denied.first { $0.rule == rule }?.place
        }
    }
}
