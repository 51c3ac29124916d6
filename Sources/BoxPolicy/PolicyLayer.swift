package import BoxTypes

/// One layer of a policy: what one file or the command line says, and nothing about what it leaves open.
package struct PolicyLayer: Equatable, Sendable {
    /// The file's name, or `command line`; for messages.
    package let name: String
    /// Where each key stands, by path (`["network", "allow", "0"]`); empty for the command line.
    package var positions: [[String]: SourcePosition] = [:]
    /// The policy that this one builds on; a profile without it builds on `base`.
    package var extends: String?

    package var network = Network()
    package var workspace = Workspace()
    package var files = Policy.Files()
    package var environment = Policy.Environment()
    package var limits = Policy.Limits()
    package var syscalls = Syscalls()
    package var protections = Policy.Protections()
    package var audit = Audit()
    package var agent: Agent?

    package init(name: String) { self.name = name }

    /// `[network]` as far as it is said.
    package struct Network: Equatable, Sendable {
        package var mode: Policy.Network.Mode?
        /// With the rules of the groups that are named.
        package var allow: [HostRule] = []
        package var deny: [HostRule] = []
        /// The texts of `allow` and `deny` in a file, each with the rules that it means; empty for other layers.
        package var allowTexts: [RuleText] = []
        package var denyTexts: [RuleText] = []
        /// The groups that are named in `allow` (`@github`), without the sign.
        package var groups: [String] { allowTexts.compactMap(\.group) }
        package var limits = NetworkLimits()
        package var hosts: [Host] = []
        package var hold: Int?
        package var upstreamProxy: UpstreamProxy?
        package var certificates: String?
        package var publish: [PublishedPort] = []
        package var onProxyFailure: Policy.Network.ProxyFailure?
        package init() {}
    }

    /// One text of a list of rules.
    package struct RuleText: Equatable, Sendable {
        /// Its place in the list.
        package let index: Int
        /// The group's name, if it names one.
        package let group: String?
        package let rules: [HostRule]

        /// As box itself writes it.
        package var text: String { group.map { "@" + $0 } ?? rules.map(\.short).joined() }

        package init(index: Int, group: String?, rules: [HostRule]) {
            self.index = index
            self.group = group
            self.rules = rules
        }
    }

    /// `[network.hosts."NAME"]` as far as it is said.
    package struct Host: Equatable, Sendable {
        package var rule: HostRule
        package var limits = NetworkLimits()
        package var raw: Bool?
        package var isPrivate: Bool?
        package init(rule: HostRule) { self.rule = rule }
    }

    /// `[workspace]` as far as it is said.
    package struct Workspace: Equatable, Sendable {
        package var mode: Policy.Workspace.Mode?
        package var hide: [HidePattern] = []
        package var only: [BytePath]?
        package init() {}
    }

    /// `[syscalls]` as far as it is said.
    package struct Syscalls: Equatable, Sendable {
        package var profile: String?
        package init() {}
    }

    /// `[audit]` as far as it is said.
    package struct Audit: Equatable, Sendable {
        package var level: AuditLevel?
        package init() {}
    }

    /// `[agent]` as far as it is said; at most one of `command` and `script`.
    package struct Agent: Equatable, Sendable {
        package var name: String?
        package var summary: String?
        package var command: [String]?
        package var script: String?
        /// `[agent.home]`; nil if the agent has none that lasts.
        package var home: Policy.Agent.Home?
        package init() {}
    }
}

extension Policy {
    /// The effective policy of layers, lowest first.
    ///
    /// Lists and `accept_missing` are united, in order and without repetition; single values of a higher layer
    /// replace a lower one's, and so does `only`. A denied host stays denied whatever a higher layer allows. Of one environment
    /// variable the highest layer says whether it is passed, set or got.
    package init(merging layers: [PolicyLayer]) { self = Policy().merging(layers) }

    /// This policy with layers above it.
    package func merging(_ layers: [PolicyLayer]) -> Policy {
        var policy = self
        for layer in layers { policy.add(layer) }
        policy.dropDenied()
        return policy
    }

    private mutating func dropDenied() {
        // The door matches deny rules first anyway; dropping equal rules keeps what people are shown true.
        network.allow.removeAll(where: Set(network.deny).contains)
    }

    private mutating func add(_ layer: PolicyLayer) {
        network.add(layer.network)
        workspace.add(layer.workspace)
        files.read.unite(layer.files.read)
        files.write.unite(layer.files.write)
        syscalls.profile = layer.syscalls.profile ?? syscalls.profile
        audit.level = layer.audit.level ?? audit.level
        protections.acceptMissing.formUnion(layer.protections.acceptMissing)
        environment.add(layer.environment)
        limits.replace(by: layer.limits)
        if let above = layer.agent { agent = (agent ?? Agent()).replaced(by: above) }
    }
}

extension Policy.Environment {
    fileprivate mutating func add(_ above: Policy.Environment) {
        pass.removeAll { above.set[$0] != nil || above.from[$0] != nil }
        for name in above.pass { (set[name], from[name]) = (nil, nil) }
        for name in above.set.keys { from[name] = nil }
        for name in above.from.keys { set[name] = nil }
        pass.unite(above.pass)
        set.merge(above.set) { _, higher in higher }
        from.merge(above.from) { _, higher in higher }
    }
}

extension Policy.Network {
    fileprivate mutating func add(_ above: PolicyLayer.Network) {
        mode = above.mode ?? mode
        allow.unite(above.allow)
        deny.unite(above.deny)
        limits.replace(by: above.limits)
        for host in above.hosts { add(host) }
        hosts.sort(by: HostSettings.isMoreExact)
        hold = above.hold ?? hold
        upstreamProxy = above.upstreamProxy ?? upstreamProxy
        certificates = above.certificates ?? certificates
        publish.unite(above.publish)
        onProxyFailure = above.onProxyFailure ?? onProxyFailure
    }

    private mutating func add(_ above: PolicyLayer.Host) {
        let at = hosts.firstIndex { $0.rule.pattern == above.rule.pattern }
        var host = at.map { hosts[$0] } ?? HostSettings(rule: above.rule)
        host.limits.replace(by: above.limits)
        host.raw = above.raw ?? host.raw
        host.isPrivate = above.isPrivate ?? host.isPrivate
        if let at { hosts[at] = host } else { hosts.append(host) }
    }
}

extension Policy.Workspace {
    fileprivate mutating func add(_ above: PolicyLayer.Workspace) {
        mode = above.mode ?? mode
        only = above.only ?? only
        // The last match decides, so of equal patterns only the last one says anything.
        let again = Set(above.hide)
        hide.removeAll(where: again.contains)
        hide += above.hide
    }
}

extension Policy.Limits {
    fileprivate mutating func replace(by above: Policy.Limits) {
        memory = above.memory ?? memory
        processes = above.processes ?? processes
        milliCPUs = above.milliCPUs ?? milliCPUs
        time = above.time ?? time
        temporary = above.temporary ?? temporary
        openFiles = above.openFiles ?? openFiles
        fileSize = above.fileSize ?? fileSize
        disk = above.disk ?? disk
        onExceeded = above.onExceeded ?? onExceeded
    }
}

extension Policy.Agent {
    fileprivate func replaced(by above: PolicyLayer.Agent) -> Policy.Agent {
        var agent = self
        agent.name = above.name ?? name
        agent.summary = above.summary ?? summary
        // A command takes the place of a lower layer's script, and the other way round.
        if let command = above.command { (agent.command, agent.script) = (command, nil) }
        if let script = above.script { (agent.command, agent.script) = ([], script) }
        if let more = above.home {
            var home = home ?? Policy.Agent.Home()
            home.login.unite(more.login)
            home.secured.unite(more.secured)
            home.seed.merge(more.seed) { $1 }
            agent.home = home
        }
        return agent
    }
}

extension Array where Element: Hashable {
    fileprivate mutating func unite(_ more: [Element]) {
        guard !more.isEmpty else { return }
        // Lists of hosts may be long.
        var seen = Set(self)
        for element in more where seen.insert(element).inserted { append(element) }
    }
}

extension PolicyLayer {
    /// The layers from `base` up to this one, following `extends`.
    ///
    /// `find` reads a policy by name; it returns nil for a name it does not know. `base` itself extends nothing.
    package func chain(
        base: PolicyLayer, find: (String) throws(PolicyErrors) -> PolicyLayer?
    ) throws(PolicyErrors) -> [PolicyLayer] {
        var chain = [self]
        var names: [String] = []
        while let parent = chain[0].extends, parent != "base" {
            let at = chain[0].positions[["extends"]]
            guard !names.contains(parent) else {
                throw PolicyErrors(
                    PolicyError(file: chain[0].name, position: at, problem: .extendsItself(names + [parent])))
            }
            names.append(parent)
            guard let layer = try find(parent) else {
                throw PolicyErrors(
                    PolicyError(file: chain[0].name, position: at, problem: .unknownParent(parent)))
            }
            chain.insert(layer, at: 0)
        }
        return [base] + chain
    }
}
