import ArgumentParser
import BoxKernel
import BoxPlan
import BoxPolicy
import BoxSession
import BoxTypes
import Glibc
import Profiles

/// What a command line of `run`, `shell` or `plan` means: a policy, the host's facts and the plan for both.
struct Request {
    let policy: Policy
    let facts: HostFacts
    let plan: Plan
    /// What is said to run where the command itself says little: a script of a profile.
    let title: String?
    /// The first part of a name that is made for the session.
    let stem: String

    /// Resolves options and words; `words` is everything from the first argument that is no option.
    init(
        _ options: OptionValues, words: [String], session: String, controlGroups: ControlGroupSupport? = nil
    ) throws {
        let meaning = try Meaning(words)
        let layers = try Request.layers(agent: meaning.agent, options: options)
        var policy = Policy(merging: layers)
        // A limit that is asked for by name is wanted: the shipped policy's consent to its absence does not count.
        for (limit, protection) in [(options.memory, Protection.memoryLimit), (options.cpus, .cpuLimit)]
        where limit != nil && !options.accept.contains(protection.rawValue) {
            policy.protections.acceptMissing.remove(protection)
        }
        let command = try meaning.command(policy)
        let directory = try options.project ?? WorkingDirectory.required()
        do throws(SessionError) {
            facts = try HostFacts.gather(policy: policy, directory: directory, controlGroups: controlGroups)
        } catch { throw Refusal(error) }
        var request = Planner.Request(command: command, session: session)
        request.terminal = isatty(0) == 1 && isatty(1) == 1
        do throws(PlanError) {
            plan = try Planner.plan(policy: policy, facts: facts, request: request)
        } catch { throw Refusal(error) }
        self.policy = policy
        title = policy.agent?.script == nil ? nil : "\(meaning.agent ?? "") (a script of its profile)"
        stem = meaning.agent ?? SessionDirectory.stem(of: command[0])
    }

    /// Shipped base < agent profile < command line.
    static func layers(agent: String?, options: OptionValues) throws -> [PolicyLayer] {
        var layers = [try shipped(Shipped.base, "base.toml")]
        if let agent, let bytes = Shipped.agent(agent) { layers.append(try shipped(bytes, "\(agent).toml")) }
        return layers + [try options.layer()]
    }

    private static func shipped(_ bytes: [UInt8], _ name: String) throws -> PolicyLayer {
        do throws(PolicyErrors) { return try PolicyReader.read(bytes, file: name) } catch {
            throw Refusal(error)
        }
    }
}

/// What the words after the options mean: an agent by name, or after `--` a command.
private struct Meaning {
    let agent: String?
    private let rest: [String]

    init(_ words: [String]) throws {
        guard let first = words.first else {
            throw Refusal(
                "nothing to run. Write box run AGENT, or box run -- COMMAND", status: ExitStatus.notFound)
        }
        if first == "--" {
            rest = Array(words.dropFirst())
            agent = nil
            guard let command = rest.first else {
                throw Refusal("there is no command after --", status: ExitStatus.notFound)
            }
            guard !command.isEmpty else { throw Refusal("the command is empty", status: ExitStatus.notFound) }
            return
        }
        guard !first.hasPrefix("-") else {
            throw Refusal("unknown option \(first.escapedForTerminal). See box run --help")
        }
        guard Shipped.agent(first) != nil else {
            let nearest = first.nearest(in: Shipped.agentNames).map { " Did you mean \($0)?" } ?? ""
            let shown = first.escapedForTerminal
            throw Refusal(
                "there is no agent \(shown).\(nearest) To run a command: box run -- \(shown)",
                status: ExitStatus.notFound)
        }
        agent = first
        rest = Array(words.dropFirst())
    }

    /// The command with its arguments.
    func command(_ policy: Policy) throws -> [String] {
        guard let agent else { return rest }
        // A script that ships with the profile; its name is $0.
        if let script = policy.agent?.script { return ["sh", "-c", script, agent] + rest }
        guard let command = policy.agent?.command, !command.isEmpty else {
            throw Refusal("the profile \(agent) names no command")
        }
        return command + rest
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
