import BoxPlan
import BoxPolicy
import BoxSession
import BoxTypes
import Glibc

/// An agent's home for one session: whether it is made, with which login, and whether the agent may change its settings.
struct AgentSetup {
    private let home: AgentHome
    private let login: AgentHome.Login?
    private let mode: AgentHome.Mode
    private let isNew: Bool

    /// Nil for an agent without a home. The first time, the user is asked about the login if `asks`.
    init?(_ agent: Policy.Agent?, _ options: OptionValues, asks: Bool) throws {
        let wanted = try options.login.map { text in
            guard let login = AgentHome.Login(rawValue: text) else {
                let known = AgentHome.Login.allCases.map(\.rawValue).joined(separator: ", ")
                throw Refusal("--login \(text.escapedForTerminal): there is no such way. Known: \(known)")
            }
            return login
        }
        guard let agent, let wishes = agent.home else {
            guard wanted == nil, !options.setup else {
                throw Refusal("--login and --setup are for agents that have a home. See box profiles")
            }
            return nil
        }
        do throws(SessionError) {
            home = try AgentHome(name: agent.name, home: wishes, places: try PolicyPlaces())
        } catch { throw Refusal(error) }
        isNew = !home.exists
        if wanted == .import, home.importable.isEmpty {
            let files = wishes.login.map { "~/\($0)" }.joined(separator: ", ")
            throw Refusal(
                "--login import: you have no login of \(agent.name) (\(files.isEmpty ? "its profile names no files" : files))"
            )
        }
        login = try wanted ?? (isNew ? AgentSetup.choose(home, asks: asks) : nil)
        mode = options.setup || (isNew && login == .fresh) ? .setup : .secured
    }

    /// What planning needs.
    var facts: HostFacts.AgentHome { home.facts(mode) }

    /// Makes what has to be there, just before the session begins.
    func prepare(quiet: Bool) throws {
        do throws(SessionError) { try home.prepare(login: login, mode: mode) } catch { throw Refusal(error) }
        guard !quiet else { return }
        if login == .import {
            Output.error("copied for \(home.name): \(home.importablePaths.joined(separator: " "))")
        }
        if mode == .setup {
            Output.error(
                "\(home.name) may change its settings in this session; from the next one on they are read-only"
            )
        }
    }

    // MARK: - The question

    private static func choose(_ home: AgentHome, asks: Bool) throws -> AgentHome.Login {
        let hasTerminal = isatty(0) == 1 && isatty(2) == 1
        let files = home.importablePaths
        guard !files.isEmpty else { return hasTerminal ? .fresh : .none }
        let list = files.joined(separator: " ")
        guard asks, hasTerminal else {
            if asks {
                Output.error(
                    "your login is not used (\(list)). To copy it for \(home.name): box run --login import \(home.name)"
                )
            }
            return .none
        }
        Output.raw(
            "box: \(home.name) gets a home of its own. Your login, as far as it is in files:\n"
                + files.map { "    \($0)\n" }.joined())
        while true {
            Output.raw("box: [i]mport these, [f]resh login inside, or [n]one? ")
            guard let answer = readLine() else {
                throw Refusal("no answer; say --login import, fresh or none")
            }
            switch answer.lowercased() {
            case "i", "import": return .import
            case "f", "fresh": return .fresh
            case "n", "none": return .none
            default: continue
            }
        }
    }
}
