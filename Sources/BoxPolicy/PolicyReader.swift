import BoxTypes

/// Reads a policy file: TOML with a closed set of keys.
///
/// Everything unknown is an error, and all errors of a file are reported together. A key that this version does
/// not act on does not exist here: a policy never says more than what is enforced.
package struct PolicyReader {
    let file: String
    let positions: [[String]: SourcePosition]
    private var layer: PolicyLayer
    var errors: [PolicyError] = []
    /// Whether it is the project's own file, in which some things are errors.
    private var isProject = false
    /// The groups of hosts; nil until a list names one.
    private var groups: HostGroups?
    private let findGroups: () throws(PolicyErrors) -> HostGroups

    /// Reads one file's bytes; `file` is its name for messages, `groups` gives the groups of hosts when one is named.
    ///
    /// With `isProject` it is the project's own file: it may hide but not show (an exception among its `hide` patterns
    /// is an error), it has no commands that run on the host, and it defines no agent.
    package static func read(
        _ bytes: [UInt8], file: String, isProject: Bool = false,
        groups: @escaping () throws(PolicyErrors) -> HostGroups = { HostGroups.none }
    ) throws(PolicyErrors) -> PolicyLayer {
        let document: TOMLDocument
        do throws(PolicyError) {
            document = try TOMLDocument(bytes, file: file)
        } catch { throw PolicyErrors(error) }
        var reader = PolicyReader(file: file, document: document, groups: groups)
        reader.isProject = isProject
        reader.readAll(Section(path: [], unread: document.root))
        if let errors = PolicyErrors(reader.errors) { throw errors }
        return reader.layer
    }

    private init(
        file: String, document: TOMLDocument, groups: @escaping () throws(PolicyErrors) -> HostGroups
    ) {
        self.file = file
        findGroups = groups
        positions = document.positions
        layer = PolicyLayer(name: file)
        layer.positions = document.positions
    }

    private mutating func readAll(_ root: Section) {
        var root = root
        if let name = string("extends", &root) {
            layer.extends = parsed(name, at: root.path + ["extends"], PolicyReader.policyName)
        }
        for section in PolicySection.allCases {
            if let table = table(section.rawValue, &root) { read(section, table) }
        }
        finish(root)
    }

    private mutating func read(_ section: PolicySection, _ table: Section) {
        switch section {
        case .network: readNetwork(table)
        case .workspace: readWorkspace(table)
        case .files: readFiles(table)
        case .environment: readEnvironment(table)
        case .limits: readLimits(table)
        case .syscalls: readSyscalls(table)
        case .protections: readProtections(table)
        case .audit: readAudit(table)
        case .agent: readAgent(table)
        }
    }
}

/// The tables of a policy file.
private enum PolicySection: String, CaseIterable {
    case network, workspace, files, environment, limits, syscalls, protections, audit, agent
}

/// A table being read: what nobody has asked for at the end is unknown.
struct Section {
    let path: [String]
    var unread: [String: TOMLNode]
    /// Every key that was asked for, in the order of the schema.
    var known: [String] = []

    init(path: [String], unread: [String: TOMLNode]) {
        self.path = path
        self.unread = unread
    }

    mutating func take(_ key: String) -> TOMLNode? {
        known.append(key)
        return unread.removeValue(forKey: key)
    }
}

// MARK: - The schema

extension PolicyReader {
    private mutating func readNetwork(_ table: Section) {
        var table = table
        layer.network.mode = word("mode", &table)
        layer.network.allowTexts = rules("allow", &table)
        layer.network.denyTexts = rules("deny", &table)
        layer.network.allow = layer.network.allowTexts.flatMap(\.rules)
        layer.network.deny = layer.network.denyTexts.flatMap(\.rules)
        if let limits = self.table("limits", &table) {
            var limits = limits
            layer.network.limits = readNetworkLimits(&limits)
            finish(limits)
        }
        layer.network.hosts = readHosts(self.table("hosts", &table))
        layer.network.hold = quantity("hold", &table, Policy.Network.hold)
        layer.network.upstreamProxy = string("upstream_proxy", &table).flatMap {
            parsed($0, at: table.path + ["upstream_proxy"]) { text throws(HostRefusal) in
                try UpstreamProxy(url: text)
            }
        }
        layer.network.certificates = string("ca", &table).flatMap {
            parsed($0, at: table.path + ["ca"], PolicyReader.path)
        }
        layer.network.publish =
            list("publish", &table) { text throws(HostRefusal) in try PublishedPort(text) } ?? []
        layer.network.onProxyFailure = word("on_proxy_failure", &table)
        finish(table)
    }

    /// A list of rules and of groups.
    private mutating func rules(_ key: String, _ table: inout Section) -> [PolicyLayer.RuleText] {
        var all = HostGroups.none
        if namesGroup(table.unread[key]) {
            do throws(PolicyErrors) {
                if let groups { all = groups } else { all = try findGroups() }
            } catch { errors += error.all }
            groups = all
        }
        let texts = list(key, &table) { [all] text throws(RuleRefusal) in
            (HostGroups.name(in: text), try all.rules(text))
        }
        return (texts ?? []).enumerated().map {
            PolicyLayer.RuleText(index: $0.offset, group: $0.element.0, rules: $0.element.1)
        }
    }

    private func namesGroup(_ node: TOMLNode?) -> Bool {
        guard case .array(let elements)? = node else { return false }
        return elements.contains {
            if case .string(let text) = $0 { HostGroups.name(in: text) != nil } else { false }
        }
    }

    private mutating func readNetworkLimits(_ table: inout Section) -> NetworkLimits {
        var limits = NetworkLimits()
        typealias Key = NetworkLimits.Key
        limits.requestsPerMinute = number(Key.requestsPerMinute.rawValue, &table, NetworkLimits.requests)
        limits.connections = number(Key.connections.rawValue, &table, NetworkLimits.connections)
        limits.upload = quantity(Key.upload.rawValue, &table, NetworkLimits.amount)
        limits.download = quantity(Key.download.rawValue, &table, NetworkLimits.amount)
        limits.bytesPerSecond = quantity(Key.bytesPerSecond.rawValue, &table, NetworkLimits.rate)
        limits.excess = word(Key.excess.rawValue, &table)
        return limits
    }

    private mutating func readHosts(_ table: Section?) -> [PolicyLayer.Host] {
        var hosts: [PolicyLayer.Host] = []
        guard var all = table else { return hosts }
        for name in all.unread.keys.sorted() {
            let path = all.path + [name]
            guard var one = self.table(name, &all),
                let rule = parsed(
                    name, at: path,
                    { text throws(HostRefusal) in
                        try Policy.Network.hostPattern(text)
                    })
            else { continue }
            if hosts.contains(where: { $0.rule.pattern == rule.pattern }) {
                report(.contradiction("two tables are about the host \(rule.short)"), at: path)
            }
            var host = PolicyLayer.Host(rule: rule)
            host.limits = readNetworkLimits(&one)
            host.raw = boolean("raw", &one)
            host.isPrivate = boolean("private", &one)
            finish(one)
            hosts.append(host)
        }
        return hosts
    }

    private mutating func readWorkspace(_ table: Section) {
        var table = table
        layer.workspace.mode = word("mode", &table)
        layer.workspace.hide =
            list("hide", &table) { [isProject] text throws(PatternRefusal) in
                let pattern = try HidePattern(text)
                guard !isProject || !pattern.isException else {
                    throw PatternRefusal(
                        "\"\(text)\": a project's own policy can hide files and not show them; "
                            + "write this in your own configuration or give it as an option")
                }
                return pattern
            } ?? []
        layer.workspace.only = list("only", &table, Policy.Workspace.part)
        finish(table)
    }

    private mutating func readFiles(_ table: Section) {
        var table = table
        layer.files.read = list("read", &table, PolicyReader.path) ?? []
        layer.files.write = list("write", &table, PolicyReader.path) ?? []
        finish(table)
    }

    private mutating func readEnvironment(_ table: Section) {
        var table = table
        let names = list("pass", &table) { text throws(EnvironmentRefusal) in
            try EnvironmentName.passable(text).string
        }
        layer.environment.pass = names ?? []
        for (name, node) in self.table("set", &table)?.unread ?? [:] {
            readVariable(name, node, at: table.path + ["set", name])
        }
        if let from = self.table("from", &table) {
            for name in from.unread.keys.sorted() { readSource(name, from) }
        }
        finish(table)
    }

    private mutating func readVariable(_ name: String, _ node: TOMLNode, at path: [String]) {
        guard case .string(let value) = node else {
            wrongType(path, expected: "a string", found: node)
            return
        }
        if layer.environment.pass.contains(name) {
            report(.contradiction("\(name) is in pass and in set; keep one"), at: path)
        }
        let checked = parsed(name, at: path) { text throws(EnvironmentRefusal) in
            let name = try EnvironmentName.passable(text)
            try EnvironmentRefusal.check(value: value, of: text)
            return name.string
        }
        if let checked { layer.environment.set[checked] = value }
    }

    /// `NAME = { command = "…" }`, `{ file = "…" }` or `{ variable = "…" }`.
    private mutating func readSource(_ name: String, _ all: Section) {
        var all = all
        let path = all.path + [name]
        guard var one = table(name, &all) else { return }
        // It would run on the host, or read from it, whatever a repository likes.
        if isProject {
            report(
                .contradiction("values from commands and files stand only in your own configuration"),
                at: path)
        }
        let key = parsed(name, at: path) { text throws(EnvironmentRefusal) in
            try EnvironmentName.passable(text).string
        }
        var sources: [Policy.SecretSource] = []
        if let command = string("command", &one) { sources.append(.command(command)) }
        if let file = string("file", &one), let file = parsed(file, at: path + ["file"], PolicyReader.path) {
            sources.append(.file(file))
        }
        if let variable = string("variable", &one),
            let variable = parsed(
                variable, at: path + ["variable"],
                { text throws(EnvironmentRefusal) in try EnvironmentName(text).string })
        {
            sources.append(.variable(variable))
        }
        finish(one)
        if layer.environment.set[name] != nil || layer.environment.pass.contains(name) {
            report(.contradiction("\(name) is in from and in pass or set; keep one"), at: path)
        }
        guard let source = sources.first, sources.count == 1 else {
            report(.missing("\(name) needs one of command, file and variable"), at: path)
            return
        }
        if let key { layer.environment.from[key] = source }
    }

    private mutating func readLimits(_ table: Section) {
        var table = table
        layer.limits.memory = quantity("memory", &table) { text throws(UnitRefusal) in try MemoryLimit(text) }
        layer.limits.processes = number("processes", &table, Policy.Limits.processes)
        layer.limits.milliCPUs = number("cpus", &table, decimals: true, Policy.Limits.milliCPUs)
        layer.limits.time = quantity("time", &table, Policy.Limits.time)
        layer.limits.temporary = quantity("temporary", &table, Policy.Limits.temporary)
        layer.limits.openFiles = number("open_files", &table, Policy.Limits.openFiles)
        layer.limits.fileSize = quantity("file_size", &table, Policy.Limits.fileSize)
        layer.limits.disk = quantity("disk", &table, Policy.Limits.disk)
        layer.limits.onExceeded = word("on_exceeded", &table)
        finish(table)
    }

    private mutating func readSyscalls(_ table: Section) {
        var table = table
        let known = ["default", "strict", "nested"]
        if let profile = string("profile", &table) {
            let path = table.path + ["profile"]
            if known.contains(profile) {
                layer.syscalls.profile = profile
            } else if profile.contains("/") {
                layer.syscalls.profile = parsed(profile, at: path, PolicyReader.path)
            } else {
                report(
                    .unknownWord(path.joined(separator: "."), value: profile, known: known + ["a path"]),
                    at: path)
            }
        }
        finish(table)
    }

    private mutating func readAudit(_ table: Section) {
        var table = table
        layer.audit.level = word("level", &table)
        finish(table)
    }

    private mutating func readProtections(_ table: Section) {
        var table = table
        layer.protections.acceptMissing = Set(words("accept_missing", &table) ?? [])
        finish(table)
    }

    private mutating func readAgent(_ table: Section) {
        var table = table
        var agent = PolicyLayer.Agent()
        agent.name = string("name", &table).flatMap {
            parsed($0, at: table.path + ["name"], PolicyReader.policyName)
        }
        agent.summary = string("summary", &table).flatMap {
            parsed($0, at: table.path + ["summary"], PolicyReader.oneLine)
        }
        agent.command = list("command", &table) { text throws(UnitRefusal) in text }
        agent.script = string("script", &table)
        if let command = agent.command, command.first?.isEmpty ?? true {
            report(.missing("agent.command names no program"), at: table.path + ["command"])
        }
        if agent.command != nil, agent.script != nil {
            report(
                .contradiction("[agent] has both command and script; keep one"), at: table.path + ["script"])
        }
        if let home = self.table("home", &table) { agent.home = readHome(home) }
        if isProject { report(.contradiction("a project defines no agent"), at: table.path) }
        checkComplete(agent, table)
        layer.agent = agent
        finish(table)
    }

    private mutating func readHome(_ table: Section) -> Policy.Agent.Home {
        var table = table
        var home = Policy.Agent.Home()
        home.login = list("login", &table, PolicyReader.homePath) ?? []
        home.secured = list("secured", &table, PolicyReader.homePath) ?? []
        if var seed = self.table("seed", &table) {
            for name in seed.unread.keys.sorted() {
                guard let content = string(name, &seed),
                    let path = parsed(name, at: seed.path + [name], PolicyReader.homePath)
                else { continue }
                home.seed[path] = content
            }
        }
        finish(table)
        return home
    }

    /// A path below the home, as it is written; a `/` at the end stays.
    private static func homePath(_ text: String) throws(UnitRefusal) -> String {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        let named = parts.last == "" ? parts.dropLast() : parts[...]
        guard !named.isEmpty, !named.contains(where: { ["", ".", "..", "~"].contains($0) }),
            text == text.escapedForTerminal, text.utf8.count < 1000,
            !text.contains(where: { "*?[$".contains($0) })
        else { throw UnitRefusal("\"\(text)\" is not a path below the home, like .claude/settings.json") }
        return text
    }

    /// An agent must be able to start; one that extends another has its parent's program.
    private mutating func checkComplete(_ agent: PolicyLayer.Agent, _ table: Section) {
        let has = { [positions] (key: String) in positions[table.path + [key]] != nil }
        if !has("command"), !has("script"), !positions.keys.contains(["extends"]) {
            report(.missing("[agent] needs command or script"), at: table.path)
        }
        if !has("name") { report(.missing("[agent] needs name"), at: table.path) }
    }

    private static func path(_ text: String) throws(UnitRefusal) -> String {
        try PolicyPath(text).description
    }

    /// A policy's or agent's name: it is part of file names and of session names.
    private static func policyName(_ text: String) throws(UnitRefusal) -> String {
        let isName = text.utf8.allSatisfy { byte in
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || byte == UInt8(ascii: "-")
        }
        guard isName, (1...40).contains(text.utf8.count), !text.hasPrefix("-") else {
            throw UnitRefusal("\"\(text)\" is not a name (small letters, digits and -, at most 40)")
        }
        return text
    }

    private static func oneLine(_ text: String) throws(UnitRefusal) -> String {
        guard text == text.escapedForTerminal, text.utf8.count <= 200 else {
            throw UnitRefusal("must be one line of at most 200 bytes without control characters")
        }
        return text
    }
}
