import ArgumentParser
import BoxPlan
import BoxPolicy
import BoxSession
import BoxTypes

/// `box policy explain HOST|PATH|SYSCALL`: why something is allowed, or is not.
struct ExplainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain", abstract: "Say why a host, path or system call is allowed, or not.",
        discussion: """
            HOST[:PORT] is a name or an address, a PATH begins with /, ~ or ., anything else that names a system call is \
            one. Exit status: 0 if it is allowed, 1 if not.
            """)

    @OptionGroup var subject: PolicyCommand.Subject

    @Argument(help: "A host, a path, or a system call.")
    var what: String

    func run() throws {
        let explanation: Explanation
        if what.hasPrefix("/") || what.hasPrefix("~") || what.hasPrefix("./") || what == "."
            || what.hasPrefix("../")
        {
            explanation = try ofPath(what)
        } else if !what.contains("."), !what.contains(":"), SyscallTable.names.contains(what) {
            explanation = try ofSyscall(what)
        } else {
            explanation = try ofHost(what)
        }
        if subject.json {
            Output.data(JSONOutput.object(explanation.fields).pretty + "\n")
        } else {
            Output.data(explanation.text + "\n")
        }
        if !explanation.isAllowed { throw CommandStatus(status: 1) }
    }

    /// The answer: for programs, and in a sentence.
    private struct Explanation {
        let isAllowed: Bool
        let fields: [(String, JSONOutput)]
        let text: String
    }

    // MARK: - Hosts

    private func ofHost(_ text: String) throws -> Explanation {
        let rule: HostRule
        do throws(HostRefusal) { rule = try HostRule(text) } catch {
            throw Refusal("\(text.escapedForTerminal): \(error)")
        }
        let host: Host
        switch rule.pattern {
        case .name(let name): host = .name(name)
        case .address(let address): host = .address(address)
        case .subdomains, .network:
            throw Refusal("explain one host; \(text.escapedForTerminal) stands for many")
        }
        return try explain(HostTarget(host: host, port: rule.port), text)
    }

    private func explain(_ target: HostTarget, _ text: String) throws -> Explanation {
        let sources = try subject.sources()
        let denied = sources.rule("network.deny", for: target)
        let allowed = sources.rule("network.allow", for: target)
        let hasNetwork = sources.policy.network.mode == .proxy
        let isAllowed = hasNetwork && denied == nil && allowed != nil
        let deciding = denied ?? allowed
        let reason: String
        if !hasNetwork {
            reason = "there is no network (network.mode = none)"
        } else if let denied {
            reason = "\(denied.value) is denied by \(denied.place)"
        } else if let allowed {
            reason = "\(allowed.value) is allowed by \(allowed.place)"
        } else if let other = sources.otherPort(of: target) {
            reason = "only another port is allowed: \(other.value) by \(other.place)"
        } else if case .missing(let wishes) = sources.trust,
            wishes.contains(where: { $0.path.starts(with: ["network", "allow"]) })
        {
            reason =
                "no rule that holds allows it; this project's \(PolicySources.projectFileName) is not trusted (box trust)"
        } else {
            reason = "no rule allows it. To allow it: box allow \(text.escapedForTerminal)"
        }
        return Explanation(
            isAllowed: isAllowed,
            fields: [
                ("host", .text("\(target.host)")), ("port", .number(Int(target.port.number))),
                ("allowed", .bool(isAllowed)), ("rule", .optional(deciding?.value)),
                ("source", .optional(deciding?.place)), ("reason", .text(reason)),
            ], text: "\(target) is \(isAllowed ? "allowed" : "refused"): \(reason)".escapedForTerminal)
    }

    // MARK: - Paths

    private func ofPath(_ text: String) throws -> Explanation {
        var options = OptionValues()
        options.project = subject.project
        options.policy = subject.policy
        options.agent = subject.agent
        let request = try Request(options, words: ["--", "true"], session: "SESSION")
        let path = try absolute(text, request)
        let (access, reason) = PathAccess.of(path, request)
        let entry = request.sources.listing.entries.first { entry in
            guard ["files.read", "files.write", "workspace.hide"].contains(entry.key) else { return false }
            guard entry.key != "workspace.hide",
                let granted = try? Planner.expand(entry.value, home: request.facts.user.home)
            else { return false }
            return path.isSame(orBelow: granted)
        }
        let source = entry.map { " (\($0.key) in \($0.place))" } ?? ""
        return Explanation(
            isAllowed: access != "none",
            fields: [
                ("path", .text(path.string)), ("access", .text(access)), ("allowed", .bool(access != "none")),
                ("source", .optional(entry?.place)), ("reason", .text(reason)),
            ], text: "\(path): \(access): \(reason)\(source)".escapedForTerminal)
    }

    private func absolute(_ text: String, _ request: Request) throws -> AbsolutePath {
        let project = request.facts.project.path
        do throws(AbsolutePath.Refusal) {
            if text == "." { return project }
            if text == "~" { return request.facts.user.home }
            if text.hasPrefix("~/") {
                return try request.facts.user.home.appending(String(text.dropFirst(2)))
            }
            if text.hasPrefix("./") { return try project.appending(String(text.dropFirst(2))) }
            return try AbsolutePath(text)
        } catch { throw Refusal("\(text.escapedForTerminal): \(error)") }
    }

    // MARK: - System calls

    private func ofSyscall(_ name: String) throws -> Explanation {
        let sources = try subject.sources()
        let profile = sources.policy.syscalls.profile
        let entry = sources.listing.entries.first { $0.key == "syscalls.profile" }
        let filter: SyscallFilter
        do throws(SessionError) {
            filter = try FilterCache.filter(profile, home: try PolicyPlaces().home)
        } catch { throw Refusal(error) }
        let rules = filter.rules.filter { $0.name == name }
        let always = rules.first { $0.conditions.isEmpty }?.action
        let action = always ?? filter.defaultAction
        let isAllowed = action == .allow || rules.contains { $0.action == .allow }
        let otherwise = ExplainCommand.text(action)
        var reason = "the profile \(profile) \(otherwise)"
        var some: [String] = []
        for rule in rules where !rule.conditions.isEmpty {
            let text = ExplainCommand.text(rule.action)
            if text != otherwise, !some.contains(text) { some.append(text) }
        }
        if !some.isEmpty {
            let list = some.map { "\($0) for some" }.joined(separator: ", ")
            reason = "it depends on the arguments: the profile \(profile) \(list), and \(otherwise) else"
        }
        return Explanation(
            isAllowed: isAllowed,
            fields: [
                ("syscall", .text(name)), ("allowed", .bool(isAllowed)), ("source", .optional(entry?.place)),
                ("reason", .text(reason)),
            ],
            text: "\(name) is \(isAllowed ? "allowed" : "refused"): \(reason)"
                + (entry.map { " (\($0.place))" } ?? ""))
    }

    private static func text(_ action: SyscallAction) -> String {
        switch action {
        case .allow: "allows it"
        case .errno(let code): "refuses it with errno \(code)"
        case .killProcess, .killThread: "ends the program"
        case .trap: "sends SIGSYS"
        case .log: "allows it and logs it"
        case .trace, .notify: "asks box"
        }
    }
}

extension PolicySources {
    /// The first rule of a list that is about a target.
    fileprivate func rule(_ key: String, for target: HostTarget) -> PolicyEntry? {
        listing.entries.first { $0.key == key && $0.rule?.matches(target) == true }
    }

    /// A rule that allows the host on another port.
    fileprivate func otherPort(of target: HostTarget) -> PolicyEntry? {
        listing.entries.first { $0.key == "network.allow" && $0.rule?.matches(target.host) == true }
    }
}

/// What a path is inside, by the plan's mounts.
private enum PathAccess {
    static func of(_ path: AbsolutePath, _ request: Request) -> (access: String, reason: String) {
        let project = request.facts.project
        if let below = path.relative(to: project.path), let relative = BytePath(below) {
            if HideRules(request.policy.workspace.hide).hides(relative, isDirectory: false) {
                return ("none", "the policy hides it (workspace.hide)")
            }
        }
        // Later steps lie over earlier ones; the deepest one that holds the path counts.
        var found: (step: Step, depth: Int)?
        for step in request.plan.steps {
            guard let target = step.target, path.isSame(orBelow: target) else { continue }
            let depth = target.components.count
            if found.map({ depth >= $0.depth }) ?? true { found = (step, depth) }
        }
        guard let step = found?.step else {
            return ("none", "it does not exist inside. To let it in: [files] read, or box run --read")
        }
        switch step {
        case .bind(let bind):
            return bind.writable
                ? ("write", "the host's own, writable") : ("read", "the host's own, read-only")
        case .overlay: return ("write", "a staged view of the project: it stays as it is until box apply")
        case .temporary: return ("write", "private and empty at the start; the host's is not there")
        case .readOnly: return ("read", "protected: read-only inside")
        case .mask: return ("none", "covered by something empty")
        case .pin: return ("write", "a part of what holds it")
        case .file, .link, .directory, .substitute: return ("read", "made by box")
        case .device, .pseudoterminals: return ("write", "a device that every program needs")
        case .messageQueues, .processes: return ("read", "the sandbox's own")
        default: return ("none", "it does not exist inside")
        }
    }
}
