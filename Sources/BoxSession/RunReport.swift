internal import BoxPolicy
internal import BoxTypes

/// What there is to say about a run that has ended: the one value behind the receipt on the terminal, its file, `--json`
/// and the reports of `box ci`.
///
/// Names of hosts, programs and files, and the command, are text of the sandbox's: each form escapes them for itself.
package struct RunReport: Equatable, Sendable {
    /// A host that was reached.
    package struct Reached: Equatable, Sendable {
        package let target: Receipt.Target
        package let use: Receipt.Use
    }

    /// A host that was not let through.
    package struct Refused: Equatable, Sendable {
        package let target: Receipt.Target
        package let reason: String
        package let count: Int
        /// What to do about it; nil where the policy allows it by now.
        package let remedy: Remedy?
    }

    /// A limit that was reached.
    package struct Limit: Equatable, Sendable {
        package let name: String
        package let detail: String
        /// For the network's limits.
        package var target: Receipt.Target?
        package var count = 1
    }

    /// A program and how often it was started.
    package struct Program: Equatable, Sendable {
        package let path: String
        package let count: Int
    }

    /// Where the command worked.
    package struct Workspace: Equatable, Sendable {
        package var mode = ""
        package var project = ""
        /// Files changed in a staged project; nil where nothing is staged.
        package var changes: Int?
        package init() {}
    }

    /// How people allow a host: of a session on their machine, or in the text of a pipeline.
    package enum Means: Equatable, Sendable { case command, option }

    package var command: [String]
    package var means: Means
    package var session: String?
    package var agent: String?
    /// In RFC 3339.
    package var started: String
    package var milliseconds = 0
    /// What the command ended with; nil if it never ran.
    package var status: Int32?
    /// Why it ended or was refused, if there is something to say.
    package var message: String?
    package var workspace = Workspace()
    package private(set) var reached: [Reached] = []
    package private(set) var refused: [Refused] = []
    /// How many more were refused than are told apart.
    package private(set) var refusedBeyond = 0
    package private(set) var limits: [Limit] = []
    /// The most frequent first; empty where programs are not recorded.
    package private(set) var programs: [Program] = []
    /// How many programs were started.
    package private(set) var starts = 0
    /// What was changed in the staged project.
    package private(set) var files: StageSummary?

    package init(command: [String], means: Means, started: String) {
        self.command = command
        self.means = means
        self.started = started
    }

    /// What the command looks like on one line.
    package var commandText: String { command.joined(separator: " ") }

    /// Whether a request was refused: by the rules, or by a limit of the network.
    package var hasDenied: Bool { !refused.isEmpty || limits.contains { $0.target != nil } }

    /// The commands that one may want next.
    package var next: [String] {
        guard let session else { return [] }
        var all: [String] = []
        if (workspace.changes ?? 0) > 0 { all += ["box diff -s \(session)", "box apply -s \(session)"] }
        if !refused.isEmpty { all.append("box pending -s \(session)") }
        return all + ["box log \(session)"]
    }

    /// Takes over how the command ended, and what happened meanwhile. `search` knows the rules; nil where there is no
    /// network.
    package mutating func take(_ outcome: Outcome, isStaged: Bool, _ search: RemedySearch?) {
        status = outcome.status
        started = outcome.started.isEmpty ? started : outcome.started
        message = outcome.message
        milliseconds = outcome.milliseconds
        files = outcome.changes
        workspace.changes = outcome.changes?.count ?? (isStaged ? 0 : nil)
        let receipt = outcome.receipt
        reached = receipt.allowed.sorted { $0.key < $1.key }.map { Reached(target: $0.key, use: $0.value) }
        refused = receipt.denied.all.map { request in
            Refused(
                target: Receipt.Target(host: request.host, port: request.port),
                reason: request.reason.rawValue, count: request.count,
                remedy: search?.remedy(for: request) ?? nil)
        }.sorted { ($0.target, $0.reason) < ($1.target, $1.reason) }
        refusedBeyond = max(0, receipt.denied.different - refused.count)
        programs = receipt.programs.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map {
            Program(path: $0.key, count: $0.value)
        }
        starts = receipt.starts
        takeLimits(outcome)
    }

    private mutating func takeLimits(_ outcome: Outcome) {
        let last = outcome.limit.map { [Limit(name: $0.name, detail: $0.detail)] } ?? []
        let others = (outcome.otherLimits + outcome.receipt.limits.values).filter {
            $0.name != outcome.limit?.name
        }
        limits = last + others.sorted { $0.name < $1.name }.map { Limit(name: $0.name, detail: $0.detail) }
        for (limit, count) in outcome.receipt.limited.sorted(by: {
            ($0.key.target, $0.key.name, $0.key.scope) < ($1.key.target, $1.key.name, $1.key.scope)
        }) {
            let place = RunReport.label(limit.target)
            let raised = NetworkLimits.Key(rawValue: limit.name) == nil ? "" : RunReport.raise(limit)
            limits.append(
                Limit(
                    name: limit.name, detail: "\(place) was held back by it\(raised)", target: limit.target,
                    count: count))
        }
    }

    private static func raise(_ limit: Receipt.NetworkLimit) -> String {
        let table = limit.scope == "host" ? "[network.hosts.\"\(label(limit.target))\"]" : "[network.limits]"
        return ". To raise it: \(limit.name) below \(table)"
    }

    /// A target for people; what asked for no host at all is said so.
    static func label(_ target: Receipt.Target) -> String {
        target.host.isEmpty ? "(no host)" : target.text.cut(to: 260)
    }

    /// `once`, `3 times`.
    static func times(_ count: Int) -> String { count == 1 ? "once" : "\(count) times" }

    /// `1 host`, `3 hosts`.
    static func count(_ count: Int, _ one: String) -> String { count == 1 ? "1 \(one)" : "\(count) \(one)s" }
}

extension RunReport.Refused {
    /// The rule that would let it through; nil where a rule is not what is missing.
    package var rule: String? { remedy?.rule?.short }

    /// What to do, for people; escaped.
    package func advice(_ means: RunReport.Means) -> String {
        guard let remedy else { return "The policy allows it by now" }
        let about = remedy.advice.map(\.sentence)
        guard let command = command(means) else {
            guard let setting = remedy.setting else { return about ?? "No rule would allow it" }
            return (about.map { $0 + ". " } ?? "") + setting.advice
        }
        let allow = "To allow it: \(command)"
        guard let setting = remedy.setting else { return (about.map { $0 + ". " } ?? "") + allow }
        return "\(allow). \(setting.advice)"
    }

    /// The command or the option that lets it through, quoted for a shell.
    package func command(_ means: RunReport.Means) -> String? {
        switch means {
        case .command: remedy?.command
        case .option: remedy?.rule.map { "--allow \($0.short.quotedForShell)" }
        }
    }
}

extension Remedy.Setting {
    fileprivate var advice: String {
        "\(isRisky ? "If that is meant, in" : "In") box.toml: \(table) \(line)"
    }
}

extension String {
    /// With a capital letter at its beginning.
    fileprivate var sentence: String { prefix(1).uppercased() + dropFirst() }

    /// The text cut to a number of characters, with a sign that it was.
    func cut(to count: Int) -> String {
        self.count <= count ? self : self.prefix(count - 1) + "…"
    }
}
