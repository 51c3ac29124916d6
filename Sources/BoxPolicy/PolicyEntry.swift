internal import BoxTypes

/// One thing that a policy says, as people read it: a key, a value, and who says it.
package struct PolicyEntry: Hashable, Sendable {
    /// `network.allow`, `limits.memory`, `network.hosts."example.com".upload`.
    package let key: String
    /// The key as a path, with the element's index; as in the layer's positions.
    package let path: [String]
    /// As it would be written in a file.
    package let value: String
    /// The place in the layer's file; nil for the command line.
    package let position: SourcePosition?
    /// The layer's name.
    package let source: String
    /// Whether it is one element of a list, which layers add to; a single value of a higher layer takes the place of
    /// a lower one's.
    package let isElement: Bool

    /// `box.toml:12`, or the layer's name alone.
    package var place: String { position.map { "\(source):\($0.line)" } ?? source }
}

extension PolicyLayer {
    /// All that the layer says, in the order of the schema.
    package var entries: [PolicyEntry] {
        var list = EntryList(layer: self)
        list.addNetwork(network)
        list.add("workspace.mode", workspace.mode?.rawValue)
        list.addAll("workspace.hide", workspace.hide.map(\.description))
        if let only = workspace.only {
            list.add("workspace.only", only.map(\.escaped).joined(separator: " "))
        }
        list.addAll("files.read", files.read)
        list.addAll("files.write", files.write)
        list.addAll("environment.pass", environment.pass)
        for (name, value) in environment.set.sorted(by: { $0.key < $1.key }) {
            list.add(["environment", "set", name], value)
        }
        for (name, source) in environment.from.sorted(by: { $0.key < $1.key }) {
            list.add(["environment", "from", name], source.text)
        }
        list.addLimits(limits)
        list.add("syscalls.profile", syscalls.profile)
        list.addAll("protections.accept_missing", protections.acceptMissing.map(\.rawValue).sorted())
        list.add("audit.level", audit.level?.rawValue)
        if let agent { list.addAgent(agent) }
        return list.entries
    }
}

extension PolicyLayer {
    /// What the layer says but for what stands at these paths.
    package func entries(without paths: Set<[String]>) -> [PolicyEntry] {
        entries.filter { !paths.contains($0.path) }
    }
}

extension Policy.SecretSource {
    /// Without the secret: only where it comes from.
    package var text: String {
        switch self {
        case .command(let command): "command: \(command)"
        case .file(let path): "file: \(path)"
        case .variable(let name): "variable: \(name)"
        }
    }
}

/// Collects the entries of a layer.
private struct EntryList {
    let layer: PolicyLayer
    var entries: [PolicyEntry] = []

    init(layer: PolicyLayer) { self.layer = layer }

    /// A single value, if it is said.
    mutating func add(_ key: String, _ value: String?) {
        add(key.split(separator: ".").map(String.init), value)
    }

    mutating func add(_ path: [String], _ value: String?) {
        guard let value else { return }
        entries.append(
            PolicyEntry(
                key: EntryList.key(path), path: path, value: value, position: layer.positions[path],
                source: layer.name,
                isElement: false))
    }

    /// The path as a dotted key.
    private static func key(_ path: [String]) -> String {
        path.map { $0.allSatisfy { $0.isLetter || $0.isNumber || "_-".contains($0) } ? $0 : "\"\($0)\"" }
            .joined(separator: ".")
    }

    /// The elements of a list.
    mutating func addAll(_ key: String, _ values: [String]) {
        let path = key.split(separator: ".").map(String.init)
        let whole = layer.positions[path]
        for (index, value) in values.enumerated() {
            let position = layer.positions[path + [String(index)]] ?? whole
            entries.append(
                PolicyEntry(
                    key: key, path: path + [String(index)], value: value, position: position,
                    source: layer.name, isElement: true))
        }
    }

    mutating func addNetwork(_ network: PolicyLayer.Network) {
        add("network.mode", network.mode?.rawValue)
        addRules("network.allow", network.allow, network.allowTexts)
        addRules("network.deny", network.deny, network.denyTexts)
        addLimits(["network", "limits"], network.limits)
        for host in network.hosts {
            let path = ["network", "hosts", host.rule.short]
            addLimits(path, host.limits)
            add(path + ["raw"], host.raw.map(String.init))
            add(path + ["private"], host.isPrivate.map(String.init))
        }
        add("network.hold", network.hold.map(String.init))
        add("network.upstream_proxy", network.upstreamProxy?.description)
        add("network.ca", network.certificates)
        addAll("network.publish", network.publish.map(\.description))
        add("network.on_proxy_failure", network.onProxyFailure?.rawValue)
    }

    /// Rules stand where their texts stand: those of a group are one text.
    private mutating func addRules(_ key: String, _ rules: [HostRule], _ texts: [PolicyLayer.RuleText]) {
        guard !texts.isEmpty else { return addAll(key, rules.map(\.short)) }
        let path = key.split(separator: ".").map(String.init)
        for text in texts {
            let position = layer.positions[path + [String(text.index)]] ?? layer.positions[path]
            for rule in text.rules {
                let group = text.group.map { " (@\($0))" } ?? ""
                entries.append(
                    PolicyEntry(
                        key: key, path: path + [String(text.index)], value: rule.short + group,
                        position: position, source: layer.name,
                        isElement: true))
            }
        }
    }

    private mutating func addLimits(_ path: [String], _ limits: NetworkLimits) {
        for name in NetworkLimits.Key.allCases { add(path + [name.rawValue], limits.text(of: name)) }
    }

    mutating func addLimits(_ limits: Policy.Limits) {
        add("limits.memory", limits.memory?.description)
        add("limits.processes", limits.processes.map(String.init))
        add("limits.cpus", limits.milliCPUs.map { CPUCount(thousandths: $0).description })
        add("limits.time", limits.time.map { "\($0.components.seconds)s" })
        add("limits.temporary", limits.temporary?.description)
        add("limits.open_files", limits.openFiles.map(String.init))
        add("limits.file_size", limits.fileSize?.description)
        add("limits.disk", limits.disk?.description)
        add("limits.on_exceeded", limits.onExceeded?.rawValue)
    }

    mutating func addAgent(_ agent: PolicyLayer.Agent) {
        add("agent.name", agent.name)
        add("agent.command", agent.command?.joined(separator: " "))
        addAll("agent.home.login", agent.home?.login ?? [])
        addAll("agent.home.secured", agent.home?.secured ?? [])
        for name in (agent.home?.seed ?? [:]).keys.sorted() { add(["agent", "home", "seed", name], "…") }
    }
}

/// What layers say together, each line with the layer whose word counts.
package struct PolicyListing: Equatable, Sendable {
    package private(set) var entries: [PolicyEntry] = []

    /// Takes layers as they hold, lowest first.
    package init(_ layers: [PolicyLayer]) { for layer in layers { add(layer.entries) } }

    /// Adds the entries of a higher layer.
    package mutating func add(_ above: [PolicyEntry]) {
        for entry in above {
            if entry.isElement {
                // The lowest layer that says it is where it comes from.
                if !entries.contains(where: { $0.key == entry.key && $0.value == entry.value }) {
                    entries.append(entry)
                }
            } else if let at = entries.firstIndex(where: { $0.key == entry.key }) {
                entries[at] = entry
            } else {
                entries.append(entry)
            }
        }
    }

    /// The lines in the order of the schema's tables.
    package var sorted: [PolicyEntry] {
        let tables = [
            "network", "workspace", "files", "environment", "limits", "syscalls", "protections", "audit",
            "agent",
        ]
        func rank(_ entry: PolicyEntry) -> Int {
            tables.firstIndex { entry.key.hasPrefix($0 + ".") } ?? tables.count
        }
        return entries.enumerated().sorted { left, right in
            let (one, two) = (rank(left.element), rank(right.element))
            if one != two { return one < two }
            if left.element.key != right.element.key { return left.element.key < right.element.key }
            return left.offset < right.offset
        }.map(\.element)
    }
}
