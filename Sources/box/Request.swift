import ArgumentParser
import BoxKernel
import BoxPlan
import BoxPolicy
import BoxSession
import BoxTypes
import Glibc

/// What a command line of `run`, `shell` or `plan` means: a policy, the host's facts and the plan for both.
struct Request {
    /// Where the policy comes from.
    let sources: PolicySources
    private let query: PolicySources.Query
    let policy: Policy
    let facts: HostFacts
    let plan: Plan
    /// The agent's home that lasts; nil if there is none.
    let home: AgentSetup?
    /// What is said to run where the command itself says little: a script of a profile.
    let title: String?
    /// The agent whose profile counts; nil for a command under the base profile.
    let agent: String?
    /// The first part of a name that is made for the session.
    let stem: String

    /// Resolves options and words; `words` is everything from the first argument that is no option. Nothing is made, and
    /// only with `asks` the user is asked what has to be known. With `hasTerminal` the command gets one whatever the
    /// caller has.
    init(
        _ options: OptionValues, words: [String], session: String, asks: Bool = false,
        hasTerminal: Bool = false, controlGroups: ControlGroupSupport? = nil
    ) throws {
        var meaning = try Meaning(words, agent: options.agent)
        let directory = try options.project ?? WorkingDirectory.required()
        let query = try Request.query(options, agent: meaning.agent, directory: directory)
        let sources = try Request.load(query, meaning)
        var policy = sources.policy
        // A limit that is asked for by name is wanted: the shipped policy's consent to its absence does not count.
        for (limit, protection) in [(options.memory, Protection.memoryLimit), (options.cpus, .cpuLimit)]
        where limit != nil && !options.accept.contains(protection.rawValue) {
            policy.protections.acceptMissing.remove(protection)
        }
        var command = try meaning.command(policy, project: query.project ?? .root)
        home = try AgentSetup(policy.agent, options, asks: asks)
        var facts: HostFacts
        do throws(SessionError) {
            facts = try HostFacts.gather(policy: policy, directory: directory, controlGroups: controlGroups)
            facts.agentHome = home?.facts
            let found = try meaning.program(policy, facts)
            if let found {
                facts.take(found)
                if meaning.isOwnCommand { command[0] = found.path.string }
            }
        } catch { throw Refusal(error) }
        guard !meaning.isOwnCommand || facts.program != nil else {
            let name = command[0].escapedForTerminal
            throw Refusal(
                "\(name) is not installed: no directory of your PATH has it", status: ExitStatus.notFound)
        }
        var request = Planner.Request(command: command, session: session)
        request.terminal = hasTerminal || isatty(0) == 1 && isatty(1) == 1
        do throws(PlanError) {
            plan = try Planner.plan(policy: policy, facts: facts, request: request)
        } catch { throw Refusal(plan: error) }
        self.sources = sources
        self.query = query
        self.policy = policy
        self.facts = facts
        title =
            policy.agent?.script == nil || !meaning.isAgent
            ? nil : "\(meaning.agent ?? "") (a script of its profile)"
        agent = meaning.agent
        stem = meaning.agent ?? SessionDirectory.stem(of: command[0])
    }

    /// Follows the policy while the session runs; nil where nothing follows from it.
    func watch() -> PolicyWatch? {
        guard plan.proxy != nil || plan.summary.workspace == "direct" else { return nil }
        return PolicyWatch(files: sources.files) { [query] () throws(SessionError) in
            do throws(PolicySourceError) {
                return Planner.rules(of: try PolicySources.load(query).policy.network)
            } catch { throw SessionError(step: "read the policy anew", reason: error.description) }
        }
    }

    /// Whether `--policy` names the project's own file, so that all of it holds.
    var namesProjectFile: Bool {
        guard let file = query.file, let project = query.project else { return false }
        let own = "\(project)/\(PolicySources.projectFileName)"
        // Neither could be read through a link.
        guard let one = try? FileStatus.of(file, following: false),
            let other = try? FileStatus.of(own, following: false)
        else { return false }
        return one == other
    }

    /// What the layers of the policy are looked for with.
    static func query(
        _ options: OptionValues, agent: String?, directory: String
    ) throws -> PolicySources.Query {
        var query = PolicySources.Query()
        query.agent = agent
        query.file = options.policy
        query.options = try options.layer()
        query.isPipeline = options.isPipeline
        do throws(SessionError) { query.project = try HostFacts.Project.canonicalPath(of: directory) } catch {
            throw Refusal(error)
        }
        return query
    }

    private static func load(_ query: PolicySources.Query, _ meaning: Meaning) throws -> PolicySources {
        do throws(PolicySourceError) { return try PolicySources.load(query) } catch {
            guard case .unknownAgent(let name, let known) = error, meaning.isAgent else {
                throw Refusal(error)
            }
            let nearest = name.nearest(in: known).map { " Did you mean \($0)?" } ?? ""
            let shown = name.escapedForTerminal
            throw Refusal(
                "there is no agent \(shown).\(nearest) To run a command: box run -- \(shown)",
                status: ExitStatus.notFound)
        }
    }
}

/// What the words after the options mean: an agent by name, or after `--` a command.
private struct Meaning {
    /// The agent whose profile counts.
    let agent: String?
    /// Whether the agent itself is to run.
    let isAgent: Bool
    /// Whether it is the profile's command that runs.
    private(set) var isOwnCommand = false
    private let rest: [String]

    init(_ words: [String], agent: String?) throws {
        guard let first = words.first else {
            throw Refusal(
                "nothing to run. Write box run AGENT, or box run -- COMMAND", status: ExitStatus.notFound)
        }
        if first == "--" {
            rest = Array(words.dropFirst())
            self.agent = agent
            isAgent = false
            guard let command = rest.first else {
                throw Refusal("there is no command after --", status: ExitStatus.notFound)
            }
            guard !command.isEmpty else { throw Refusal("the command is empty", status: ExitStatus.notFound) }
            return
        }
        guard !first.hasPrefix("-") else {
            throw Refusal("unknown option \(first.escapedForTerminal). See box run --help")
        }
        guard agent == nil else {
            throw Refusal("--agent is for another command: box run --agent NAME -- COMMAND")
        }
        self.agent = first
        isAgent = true
        rest = Array(words.dropFirst())
    }

    /// The command with its arguments.
    func command(_ policy: Policy, project: AbsolutePath) throws -> [String] {
        guard isAgent, let agent else { return rest }
        // A script that ships with the profile; its name is $0.
        if let script = policy.agent?.script { return ["sh", "-c", script, agent] + rest }
        guard let command = policy.agent?.command, !command.isEmpty else {
            throw Refusal("the profile \(agent) names no command")
        }
        return command.map { $0.replacing("{project}", with: project.quotedForTOML) } + rest
    }

    /// The agent's program on the host; nil if there is none, or the profile has a script.
    mutating func program(_ policy: Policy, _ facts: HostFacts) throws(SessionError) -> AgentProgram? {
        guard agent != nil, policy.agent?.script == nil, let name = policy.agent?.command.first else {
            return nil
        }
        isOwnCommand = isAgent
        do throws(SessionError) {
            return try AgentProgram.find(
                name, path: facts.environment["PATH"] ?? "", home: facts.user.home,
                project: facts.project.path,
                environment: facts.environment)
        } catch {
            // Another command need not have it.
            guard isAgent else { return nil }
            throw error
        }
    }
}

/// The directory in which box was started.
enum WorkingDirectory {
    /// Its path; nil if it was deleted.
    static var current: String? {
        guard let text = unsafe getcwd(nil, 0) else { return nil }
        defer { unsafe free(text) }
        return unsafe String(cString: text)
    }

    /// Its path, or the refusal to go on without one.
    static func required() throws -> String {
        guard current != nil else {
            throw Refusal(
                "the working directory is gone: \(errorText(errno)). Change to a directory that exists")
        }
        return "."
    }
}

extension AbsolutePath {
    /// The path as the inside of a TOML string, for agents that take their settings so on the command line.
    fileprivate var quotedForTOML: String {
        string.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
    }
}
