import ArgumentParser
import BoxPlan
import BoxPolicy
import BoxSession
import BoxTypes

/// `box allow HOST…`: opens hosts, in the project's policy and at once in its running sessions.
struct AllowCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "allow", abstract: "Let the project's sessions reach a host: now, and from now on.",
        discussion: """
            It puts the rule into this project's box.toml, and running sessions of the project follow at once. With \
            --user it holds for all your projects; with -s, --for or --once nothing is written, and the rule ends by itself.
            """)

    @OptionGroup var choice: SessionChoice

    @Flag(help: "For all projects of yours: in ~/.config/box/config.toml.")
    var user = false

    @Option(
        name: .customLong("for"),
        help: ArgumentHelp(
            "Only in sessions that run, and only for this time, for example 10m; open connections are closed then.",
            valueName: "time"))
    var time: String?

    @Flag(help: "Only in sessions that run, and only for one connection, which then stays open.")
    var once = false

    @Argument(
        help: ArgumentHelp(
            "HOST[:PORT], *.DOMAIN, an address, a network, or @GROUP (box policy groups).", valueName: "host")
    )
    var hosts: [String]

    func run() throws {
        let rules = try RuleTexts(hosts)
        if let why = rules.all.lazy.compactMap({ $0.liveRefusal ?? $0.widthRefusal }).first {
            throw Refusal(why)
        }
        guard choice.session != nil || time != nil || once else {
            try PolicyChange(choice, user: user, list: .allow).run(rules)
            return
        }
        guard !user else { throw Refusal("--user writes a file; -s, --for and --once do not. Choose one") }
        var seconds: Int?
        if let time {
            do throws(UnitRefusal) { seconds = Int(try Policy.Limits.time(time).components.seconds) } catch {
                throw Refusal("--for: \(error)")
            }
        }
        var change = RuleChange(.allow, rules.all, seconds: seconds)
        change.once = once
        let end =
            (time.map { " for \($0)" } ?? "")
            + (once ? rules.all.count == 1 ? " for one connection" : " for one connection each" : "")
        try choice.ask(.change(change), "\(rules.names) allowed\(end)")
    }
}

/// `box deny HOST…`: closes hosts, in the project's policy and at once in its running sessions.
struct DenyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "deny", abstract: "Keep the project's sessions from a host: now, and from now on.",
        discussion: """
            It is stronger than any rule that allows the host, and closes its open connections. Without a port, every \
            port is closed that a rule opens for the host. With -s it is only for that session.
            """)

    @OptionGroup var choice: SessionChoice

    @Flag(help: "For all projects of yours: in ~/.config/box/config.toml.")
    var user = false

    @Argument(
        help: ArgumentHelp(
            "HOST[:PORT], *.DOMAIN, an address, a network, or @GROUP (box policy groups).", valueName: "host")
    )
    var hosts: [String]

    func run() throws {
        let rules = try RuleTexts(hosts)
        guard choice.session != nil else {
            try PolicyChange(choice, user: user, list: .deny).run(rules)
            return
        }
        guard !user else { throw Refusal("--user writes a file, and -s does not. Choose one") }
        var change = RuleChange(.deny, rules.all)
        change.everyPort = rules.withoutPort
        try choice.ask(.change(change), "\(rules.names) denied")
    }
}

/// The hosts and groups of a command line.
struct RuleTexts {
    /// As they were written, with the rules that each means.
    let texts: [(text: String, rules: [HostRule])]

    init(_ hosts: [String]) throws {
        let groups: HostGroups
        do throws(PolicyErrors) { groups = try ShippedGroups.read() } catch { throw Refusal(error) }
        texts = try hosts.map { text in
            do throws(RuleRefusal) { return (text, try groups.rules(text)) } catch {
                throw Refusal("\(text.escapedForTerminal): \(error)")
            }
        }
    }

    var all: [HostRule] { texts.flatMap(\.rules) }

    /// For people: as they are written in a file.
    var names: String {
        texts.map { HostGroups.name(in: $0.text) == nil ? $0.rules.map(\.short).joined() : $0.text }
            .joined(separator: ", ")
    }

    /// Those that were written without a port; on other ports than 443 the spelling always has one.
    var withoutPort: [HostRule] {
        texts.filter { HostGroups.name(in: $0.text) == nil && !$0.text.hasSuffix(":443") }.flatMap(\.rules)
            .filter { $0.port == .https }
    }
}

/// A rule that goes into a policy file, and from there into running sessions.
struct PolicyChange {
    private let choice: SessionChoice
    private let user: Bool
    private let list: PolicyText.List
    private let project: PolicyProject

    init(_ choice: SessionChoice, user: Bool, list: PolicyText.List) throws {
        self.choice = choice
        self.user = user
        self.list = list
        project = try PolicyProject(of: choice.project)
    }

    func run(_ rules: RuleTexts) throws {
        let edit = PolicyEdit(user ? .user : .project(project.path), places: project.places)
        let before = try project.sources()
        let texts = list == .allow ? wanted(rules, before) : denied(rules, before)
        var report = PolicyEdit.Report(file: edit.path, name: "")
        if !texts.isEmpty {
            do throws(PolicyEditFailure) { report = try edit.add(texts, to: list) } catch {
                throw Refusal(error)
            }
        }
        let answers = project.tellSessions(ofAll: user, quiet: choice.json)
        if choice.json { return printJSON(report, answers) }
        tell(report, answers)
        try warn(rules)
    }

    /// What is not allowed already by a layer that is not this file.
    private func wanted(_ rules: RuleTexts, _ before: PolicySources) -> [String] {
        rules.texts.compactMap { text, rules in
            let entries = before.listing.entries.filter {
                $0.key == "network.allow" && !$0.source.hasSuffix(fileEnd)
            }
            var covering: [String] = []
            for rule in rules {
                guard let wider = entries.first(where: { $0.rule?.opensAll(of: rule) == true }) else {
                    return text
                }
                covering.append("\(wider.value) (\(wider.place))")
            }
            if !choice.json {
                Output.data(
                    "\(text.escapedForTerminal) is allowed already, by \(covering[0].escapedForTerminal)\n")
            }
            return nil
        }
    }

    private var fileEnd: String { user ? "config.toml" : PolicySources.projectFileName }

    /// A host without a port is denied on every port that a rule opens for it.
    private func denied(_ rules: RuleTexts, _ before: PolicySources) -> [String] {
        let others = rules.withoutPort.flatMap { rule in
            before.policy.network.allow.filter { $0.pattern == rule.pattern && $0.port != rule.port }.map(
                \.short)
        }
        return rules.texts.map(\.text) + others
    }

    private func tell(
        _ report: PolicyEdit.Report, _ answers: [(session: RunningSession, reply: ControlReply)]
    ) {
        let done = list == .allow ? "allowed" : "denied"
        for result in report.results {
            let rule = result.rule.escapedForTerminal
            switch result.change {
            case .presentAs(let present) where present != result.rule:
                Output.data(
                    "\(rule) is \(done) already in \(report.name), by \(present.escapedForTerminal)\n")
            case .presentAs where !result.isNew:
                Output.data("\(rule) is \(done) already in \(report.name)\n")
            case .added, .removed, .absent, .presentAs: Output.data("\(rule) \(done) in \(report.name)\n")
            }
        }
        for (session, reply) in answers {
            let name = session.name.escapedForTerminal
            switch reply {
            case .refused(let why): Output.error("\(name): \(why.escapedForTerminal)")
            case .status: break
            case .done(let outcome):
                let closed = outcome.tunnelsClosed
                let also =
                    closed == 0
                    ? "" : ", and \(closed) open connection\(closed == 1 ? " was" : "s were") closed"
                Output.data("\(name): follows\(also)\n")
                for note in outcome.notes { Output.error("\(name): \(note.escapedForTerminal)") }
            }
        }
        if report.isPartlyTrusted {
            Output.error(
                "the rest of \(report.name) is not trusted: only this rule of yours is in force (box trust)")
        }
    }

    /// A rule without effect is said.
    private func warn(_ rules: RuleTexts) throws {
        guard list == .allow else { return }
        let now = try project.sources()
        for rule in rules.all {
            guard
                let stronger = now.listing.entries.first(where: {
                    $0.key == "network.deny" && $0.rule?.covers(rule) == true
                })
            else { continue }
            Output.error(
                "\(rule.short) stays refused: \(stronger.value) is denied by \(stronger.place), which is stronger"
            )
        }
    }

    private func printJSON(
        _ report: PolicyEdit.Report, _ answers: [(session: RunningSession, reply: ControlReply)]
    ) {
        var list: [JSONOutput] = report.results.map { result in
            var fields: [(String, JSONOutput)] = [
                ("file", .text(report.file)), ("rule", .text(result.rule)), ("done", .bool(true)),
                ("changed", .bool(result.isNew)),
            ]
            if case .presentAs(let present) = result.change { fields.append(("present_as", .text(present))) }
            return .object(fields)
        }
        list += answers.map { SessionChoice.json($0.session, $0.reply) }
        Output.data(JSONOutput.list(list).pretty + "\n")
    }
}

extension PolicyEntry {
    /// The rule of an entry of `network.allow` or `network.deny`.
    var rule: HostRule? {
        let text = value.prefix { $0 != " " }
        return try? HostRule(String(text))
    }
}
