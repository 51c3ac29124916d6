import BoxPolicy
import BoxTypes

/// Layers that a seed decides, of few values each, so that what they say meets often. SplitMix64.
struct LayerSamples {
    private var state: UInt64
    /// Whether tables of hosts may have patterns of which one lies within another one.
    var nestedHosts = true
    /// Whether `hide` may have exceptions.
    var exceptions = true
    /// The parts of `only`, in lists that are never without the first.
    var onlyMeets = false

    init(_ seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1 }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }

    /// True once in so many times.
    mutating func once(in count: Int) -> Bool { below(count) == 0 }

    mutating func pick<Element>(_ all: [Element]) -> Element { all[below(all.count)] }

    /// A value once in so many times.
    mutating func maybe<Element>(_ all: [Element], once count: Int = 4) -> Element? {
        once(in: count) ? pick(all) : nil
    }

    /// Up to so many elements, in any order and also twice.
    mutating func some<Element>(_ all: [Element], most: Int) -> [Element] {
        (0..<below(most + 1)).map { _ in pick(all) }
    }

    // MARK: - Values

    static let rules = [
        "a.org", "x.a.org", "y.x.a.org", "*.a.org", "*.x.a.org", "a.org:80", "*.a.org:80", "localhost",
        "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "10.1.2.3:80", "127.0.0.0/8", "127.0.0.1", "93.0.0.1",
        "93.0.0.0/8",
        "fd00::/8", "[fd00::1]",
    ]
    static let hosts = ["a.org", "x.a.org", "*.a.org", "*.x.a.org", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3"]
    private static let hostsApart = ["a.org", "*.x.a.org", "*.b.org", "10.1.2.3", "93.0.0.0/8"]
    static let patterns = [".env", ".env.*", "**/*.pem", "secrets/", "src/*.key", "*.pem"]
    private static let showing = ["!.env", "!.env.test", "!**/*.pem", "!a.pem"]
    static let parts = ["src", "src/a", "src/a/b", "docs", "docs/x"]
    static let paths = [
        "~/a", "~/a/b", "~/a/b/c", "~/ab", "~/c", "/a", "/a/b", "/opt", "/opt/x/./y", "/opt/x/y",
    ]
    static let names = ["ONE", "TWO", "THREE"]

    mutating func layer() throws -> PolicyLayer {
        var layer = PolicyLayer(name: "sample")
        // Most layers say little, so that many widen nothing.
        let density = pick([1, 2, 5])
        if once(in: density) { layer.network = try network() }
        if once(in: density) { layer.workspace = try workspace() }
        if once(in: density) {
            layer.files.read = some(LayerSamples.paths, most: 2)
            layer.files.write = some(LayerSamples.paths, most: 2)
        }
        if once(in: density) { layer.environment = environment() }
        if once(in: density) { layer.limits = limits() }
        if once(in: density) {
            layer.syscalls.profile = maybe(["default", "strict", "nested", "~/mine.json"], once: 2)
            layer.protections.acceptMissing = Set(
                some([.memoryLimit, .cpuLimit, .landlock, .procMasks], most: 2))
        }
        return layer
    }

    private mutating func network() throws -> PolicyLayer.Network {
        var network = PolicyLayer.Network()
        network.mode = maybe(Policy.Network.Mode.allCases)
        network.allow = try some(LayerSamples.rules, most: 4).map { try HostRule($0) }
        network.deny = try some(LayerSamples.rules, most: 2).map { try HostRule($0) }
        network.limits = bounds()
        var names = Set<String>()
        for _ in 0..<below(3) {
            let name = pick(nestedHosts ? LayerSamples.hosts : LayerSamples.hostsApart)
            guard names.insert(name).inserted else { continue }
            var host = PolicyLayer.Host(rule: try HostRule(name))
            host.limits = bounds()
            host.raw = maybe([true, false])
            host.isPrivate = maybe([true, false])
            network.hosts.append(host)
        }
        network.hold = maybe([0, 10, 60])
        network.upstreamProxy = try maybe(
            ["http://p.org:1", "http://ann:x@p.org:1", "http://q.org:2"], once: 8
        )
        .map { try UpstreamProxy(url: $0) }
        network.certificates = maybe(["~/a.pem", "/b.pem"], once: 8)
        network.publish = try some(["3000", "3001:80"], most: 1).map { try PublishedPort($0) }
        network.onProxyFailure = maybe([.end, .continue])
        return network
    }

    private mutating func bounds() -> NetworkLimits {
        var limits = NetworkLimits()
        limits.requestsPerMinute = maybe([1, 2, 3])
        limits.connections = maybe([1, 2, 3])
        limits.upload = maybe([1, 2, 3].map(ByteSize.init(bytes:)))
        limits.download = maybe([1, 2, 3].map(ByteSize.init(bytes:)))
        limits.bytesPerSecond = maybe([1, 2, 3].map(ByteSize.init(bytes:)))
        limits.excess = maybe([.slow, .close])
        return limits
    }

    private mutating func workspace() throws -> PolicyLayer.Workspace {
        var workspace = PolicyLayer.Workspace()
        workspace.mode = maybe(Policy.Workspace.Mode.allCases)
        let texts = LayerSamples.patterns + (exceptions ? LayerSamples.showing : [])
        workspace.hide = try some(texts, most: 3).map { try HidePattern($0) }
        if once(in: 2) {
            let texts = (onlyMeets ? ["src"] : []) + some(LayerSamples.parts, most: 3)
            workspace.only = try texts.map { try Policy.Workspace.part($0) }
        }
        return workspace
    }

    private mutating func environment() -> Policy.Environment {
        var environment = Policy.Environment()
        for name in LayerSamples.names {
            switch below(8) {
            case 0: environment.pass.append(name)
            case 1: environment.set[name] = pick(["1", "2"])
            case 2: environment.from[name] = pick([.command("c"), .file("~/f"), .variable("V")])
            default: break
            }
        }
        return environment
    }

    private mutating func limits() -> Policy.Limits {
        var limits = Policy.Limits()
        limits.memory = maybe(
            [.percentOfRAM(50), .percentOfRAM(75), .percentOfRAM(100)]
                + [1, 5, 9].map { .bytes(ByteSize(bytes: $0 << 30)) }, once: 2)
        limits.processes = maybe([1, 2, 3])
        limits.milliCPUs = maybe([1, 2, 3])
        limits.time = maybe([1, 2, 3].map { .seconds($0) })
        limits.temporary = maybe([1, 2, 3].map(ByteSize.init(bytes:)))
        limits.openFiles = maybe([1, 2, 3])
        limits.fileSize = maybe([1, 2, 3].map(ByteSize.init(bytes:)))
        limits.disk = maybe([1, 2, 3].map(ByteSize.init(bytes:)))
        // Not from the sequence: all other values stay what they were.
        limits.onExceeded = [nil, nil, .end, .pause][Int(state >> 40) % 4]
        return limits
    }
}

/// What a policy permits, found out by asking the parts of box that enforce it, and by counting: a second way of
/// saying how wide it is, which knows nothing of the first.
struct Powers: Equatable {
    /// The machine's memory.
    static let ram = 8 << 30

    /// Single things that are permitted.
    var granted: Set<String> = []
    /// How much of something; what has no limit has the largest number.
    var amounts: [String: Int] = [:]

    /// Whether it is all permitted by others as well.
    func isWithin(_ other: Powers) -> Bool {
        granted.isSubset(of: other.granted)
            && amounts.allSatisfy { $0.value <= other.amounts[$0.key, default: -1] }
    }

    init(_ policy: Policy) {
        addConnections(policy.network)
        addNetwork(policy.network)
        addProject(policy.workspace)
        addFiles(policy.files)
        for name in policy.environment.pass { granted.insert("pass \(name)") }
        for (name, value) in policy.environment.set { granted.insert("set \(name) \(value)") }
        for (name, source) in policy.environment.from { granted.insert("from \(name) \(source)") }
        for name in policy.protections.acceptMissing { granted.insert("missing \(name)") }
        switch policy.syscalls.profile {
        case "strict": granted.insert("strict")
        case "default": granted.formUnion(["strict", "default"])
        case "nested": granted.formUnion(["strict", "default", "nested"])
        default: granted.insert("profile \(policy.syscalls.profile)")
        }
        let limits = policy.limits
        amounts["memory"] =
            limits.memory.map { min($0.bytes(ofRAM: Powers.ram), Powers.ram / 100 * 100) } ?? .max
        amounts["processes"] = limits.processes ?? .max
        amounts["cpus"] = limits.milliCPUs ?? .max
        amounts["time"] = limits.time.map { Int($0.components.seconds) } ?? .max
        amounts["temporary"] = limits.temporary?.bytes ?? .max
        amounts["files"] = limits.openFiles ?? .max
        amounts["file size"] = limits.fileSize?.bytes ?? .max
        amounts["disk"] = limits.disk?.bytes ?? .max
        if limits.onExceeded == .pause { granted.insert("goes on when its limits are reached") }
    }

    private static let names = hosts([
        "a.org", "b.a.org", "x.a.org", "y.x.a.org", "z.x.a.org", "b.org", "localhost",
    ])
    private static let addresses = hosts([
        "10.9.9.9", "10.1.9.9", "10.1.2.3", "127.0.0.1", "127.0.0.2", "93.0.0.1", "93.0.0.2", "[fd00::1]",
        "[fd00::2]",
    ])
    private static let ports = [Port.https, Port.http]

    private static func hosts(_ texts: [String]) -> [Host] { texts.compactMap { try? Host($0) } }

    /// Asks the network door about every host, and about every address that a name may have.
    private mutating func addConnections(_ network: Policy.Network) {
        let list = Allowlist(NetworkRules(allow: network.allow, deny: network.deny, hosts: network.hosts))
        for host in Powers.names + Powers.addresses {
            let settings = list.settings(of: host)
            if settings?.raw ?? false { granted.insert("raw \(host)") }
            if settings?.isPrivate ?? false { granted.insert("private \(host)") }
            add(settings?.limits ?? NetworkLimits(), "\(host) ")
            for port in Powers.ports where list.decide(HostTarget(host: host, port: port)).allowed {
                granted.insert("connect \(host) \(port)")
                switch host {
                case .address(let address):
                    if list.names(address, port: port) {
                        granted.insert("connect \(host) \(port), also if it is the host's own")
                    }
                case .name:
                    for case .address(let address) in Powers.addresses {
                        let isPrivate = settings?.isPrivate ?? false
                        guard list.vet(address, port: port, isPrivate: isPrivate).allowed else { continue }
                        granted.insert("connect \(host) \(port) at \(address)")
                    }
                }
            }
        }
    }

    private mutating func add(_ limits: NetworkLimits, _ scope: String) {
        amounts[scope + "requests"] = limits.requestsPerMinute ?? .max
        amounts[scope + "connections"] = limits.connections ?? .max
        amounts[scope + "upload"] = limits.upload?.bytes ?? .max
        amounts[scope + "download"] = limits.download?.bytes ?? .max
        amounts[scope + "rate"] = limits.bytesPerSecond?.bytes ?? .max
        if limits.excess != .close { granted.insert(scope + "goes on slowly") }
    }

    private mutating func addNetwork(_ network: Policy.Network) {
        if network.mode == .proxy { granted.insert("network") }
        add(network.limits, "session ")
        amounts["hold"] = network.hold
        granted.insert("by \(network.upstreamProxy.map { "\($0) \($0.authorization ?? "")" } ?? "no proxy")")
        if let file = network.certificates { granted.insert("trust \(file)") }
        for port in network.publish { granted.insert("publish \(port)") }
        if network.onProxyFailure == .continue { granted.insert("goes on without a proxy") }
    }

    /// Looks at every file of a project.
    private mutating func addProject(_ workspace: Policy.Workspace) {
        if workspace.mode == .direct { granted.insert("change the project") }
        guard workspace.mode != .none else { return }
        granted.insert("the project")
        let rules = HideRules(workspace.hide)
        let files = [
            ".env", ".env.test", ".env.live", "a.pem", "b.pem", "x/a.pem", "x/b.pem", "secrets/a",
            "src/a.key",
            "src/a.pem", "src/a/b/c", "src/a/d", "docs/x/y", "docs/z", "README",
        ]
        for file in files {
            guard let path = BytePath(file), !rules.hides(path, isDirectory: false) else { continue }
            granted.insert("see \(file), if it is copied")
        }
        let parts = workspace.only ?? []
        for file in files {
            let isCopied = parts.isEmpty || parts.contains { file.hasPrefix(($0.text ?? "") + "/") }
            if isCopied { granted.insert("copy \(file)") }
        }
    }

    /// Looks at paths below all that can be granted: the longest grant that is a prefix counts.
    private mutating func addFiles(_ files: Policy.Files) {
        func normal(_ text: String) -> String {
            text.split(separator: "/").filter { $0 != "." }.joined(separator: "/") + "/"
                + (text.hasPrefix("/") ? "absolute" : "home")
        }
        func prefix(_ text: String) -> (parts: [Substring], isAbsolute: Bool) {
            (text.split(separator: "/").filter { $0 != "." }, text.hasPrefix("/"))
        }
        for text in LayerSamples.paths.flatMap({ [$0, $0 + "/below"] }) {
            let (parts, isAbsolute) = prefix(text)
            func longest(_ grants: [String]) -> Int {
                grants.map(prefix).filter { $0.isAbsolute == isAbsolute && parts.starts(with: $0.parts) }
                    .map(\.parts.count).max() ?? -1
            }
            let (read, write) = (longest(files.read), longest(files.write))
            if max(read, write) >= 0 { granted.insert("read \(normal(text))") }
            if write >= 0, write >= read { granted.insert("write \(normal(text))") }
        }
    }
}
