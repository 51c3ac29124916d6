import BoxPolicy
import BoxSession
import BoxTypes

/// What the options of `run`, `shell` and `plan` say: the command line's layer of the policy.
struct OptionValues: Equatable {
    var name: String?
    var project: String?
    var agent: String?
    var login: String?
    var policy: String?
    /// The agent may change its settings in this session.
    var setup = false
    var workspace: String?
    var hide: [String] = []
    var only: [String] = []
    var net: String?
    var allow: [String] = []
    var deny: [String] = []
    var netLimit: [String] = []
    var host: [String] = []
    var onProxyFailure: String?
    var hold: String?
    var upstreamProxy: String?
    var ca: String?
    var publish: [String] = []
    var read: [String] = []
    var write: [String] = []
    var env: [String] = []
    var memory: String?
    var cpus: String?
    var pids: String?
    var disk: String?
    var timeout: String?
    var onExceeded: String?
    var syscalls: String?
    var audit: String?
    var accept: [String] = []
    /// At the end, say which policy would have allowed what was refused.
    var learn = false
    var learnTo: String?
    /// Of `box ci`: see `PolicySources.Query`.
    var isPipeline = false

    /// Puts one option's value in its place; false for an option that is not of these.
    mutating func take(_ option: String, _ value: String) -> Bool {
        switch option {
        case "--name": name = value
        case "--project", "-C": project = value
        case "--agent": agent = value
        case "--login": login = value
        case "--policy": policy = value
        case "--workspace": workspace = value
        case "--hide": hide.append(value)
        case "--only": only.append(value)
        case "--disk": disk = value
        case "--net": net = value
        case "--allow": allow.append(value)
        case "--deny": deny.append(value)
        case "--net-limit": netLimit.append(value)
        case "--host": host.append(value)
        case "--on-proxy-failure": onProxyFailure = value
        case "--hold": hold = value
        case "--upstream-proxy": upstreamProxy = value
        case "--ca": ca = value
        case "--publish": publish.append(value)
        case "--read": read.append(value)
        case "--write": write.append(value)
        case "--env": env.append(value)
        case "--memory": memory = value
        case "--cpus": cpus = value
        case "--pids": pids = value
        case "--timeout": timeout = value
        case "--on-exceeded": onExceeded = value
        case "--syscalls": syscalls = value
        case "--audit": audit = value
        case "--accept": accept.append(value)
        case "--learn-to": learnTo = value
        default: return false
        }
        return true
    }

    /// The options as a layer; each mistake names its option.
    func layer() throws -> PolicyLayer {
        var layer = PolicyLayer(name: "command line")
        layer.network.mode = try net.map { try Self.mode($0, option: "--net") }
        layer.workspace.mode = try workspace.map { try Self.mode($0, option: "--workspace") }
        layer.workspace.hide = try hide.map { text in
            do throws(PatternRefusal) { return try HidePattern(text) } catch {
                throw Refusal("--hide \(error)")
            }
        }
        if !only.isEmpty {
            layer.workspace.only = try only.map { text in
                do throws(UnitRefusal) { return try Policy.Workspace.part(text) } catch {
                    throw Refusal("--only \(error)")
                }
            }
        }
        try addNetwork(to: &layer)
        layer.files.read = try read.map { try absolute($0, "--read") }
        layer.files.write = try write.map { try absolute($0, "--write") }
        for text in env { add(variable: text, to: &layer) }
        layer.syscalls.profile = syscalls
        layer.audit.level = try audit.map { try Self.mode($0, option: "--audit") }
        try addLimits(to: &layer)
        for text in accept {
            guard let protection = Protection(rawValue: text) else {
                let known = Protection.allCases.map(\.rawValue)
                let nearest = text.nearest(in: known).map { " Did you mean \($0)?" } ?? ""
                throw Refusal(
                    "--accept \(text.escapedForTerminal): there is no such protection.\(nearest) "
                        + "Known: \(known.joined(separator: ", "))")
            }
            layer.protections.acceptMissing.insert(protection)
        }
        return layer
    }

    private func add(variable text: String, to layer: inout PolicyLayer) {
        if let equals = text.firstIndex(of: "=") {
            layer.environment.set[String(text[..<equals])] = String(text[text.index(after: equals)...])
        } else {
            layer.environment.pass.append(text)
        }
    }

    private func addNetwork(to layer: inout PolicyLayer) throws {
        layer.network.allow = try Self.rules(allow, "--allow")
        layer.network.deny = try Self.rules(deny, "--deny")
        for text in netLimit { try Self.add(limit: text, to: &layer.network.limits, "--net-limit \(text)") }
        layer.network.hosts = try host.map(Self.settings)
        layer.network.onProxyFailure = try onProxyFailure.map {
            try Self.mode($0, option: "--on-proxy-failure")
        }
        layer.network.hold = try Self.parsed(hold, "--hold", Policy.Network.hold)
        layer.network.certificates = try ca.map { try absolute($0, "--ca") }
        if let upstreamProxy {
            // The text may have a password in it, so the message does not repeat it.
            do throws(HostRefusal) {
                layer.network.upstreamProxy = try UpstreamProxy(url: upstreamProxy)
            } catch {
                throw Refusal("--upstream-proxy: \(error)")
            }
        }
        layer.network.publish = try Self.ports(publish, "--publish")
    }

    /// Rules of an option or of a command.
    static func rules(_ texts: [String], _ option: String) throws -> [HostRule] {
        var groups = HostGroups.none
        if texts.contains(where: { HostGroups.name(in: $0) != nil }) {
            do throws(PolicyErrors) { groups = try ShippedGroups.read() } catch { throw Refusal(error) }
        }
        return try texts.flatMap { text in
            do throws(RuleRefusal) { return try groups.rules(text) } catch {
                throw Refusal("\(option) \(text.escapedForTerminal): \(error)")
            }
        }
    }

    /// Ports of an option or of a command.
    static func ports(_ texts: [String], _ option: String) throws -> [PublishedPort] {
        try texts.map { text in
            do throws(HostRefusal) { return try PublishedPort(text) } catch {
                throw Refusal("\(option) \(text.escapedForTerminal): \(error)")
            }
        }
    }

    /// `NAME=SETTING[,SETTING…]` of `--host`, with SETTING `raw`, `private` or a limit.
    private static func settings(_ text: String) throws -> PolicyLayer.Host {
        let option = "--host \(text)"
        let parts = text.split(separator: "=", maxSplits: 1)
        guard parts.count == 2 else {
            throw Refusal("\(option.escapedForTerminal): write NAME=raw, NAME=private or NAME=KEY=VALUE")
        }
        var host: PolicyLayer.Host
        do throws(HostRefusal) {
            host = PolicyLayer.Host(rule: try Policy.Network.hostPattern(String(parts[0])))
        } catch { throw Refusal("\(option.escapedForTerminal): \(error)") }
        for setting in parts[1].split(separator: ",", omittingEmptySubsequences: false) {
            switch setting {
            case "raw": host.raw = true
            case "private": host.isPrivate = true
            default: try add(limit: String(setting), to: &host.limits, option)
            }
        }
        return host
    }

    /// `KEY=VALUE` of an option.
    private static func add(limit text: String, to limits: inout NetworkLimits, _ option: String) throws {
        let parts = text.split(separator: "=", maxSplits: 1)
        let known = NetworkLimits.Key.allCases.map(\.rawValue)
        guard parts.count == 2, let key = NetworkLimits.Key(rawValue: String(parts[0])) else {
            let name = parts.first.map(String.init) ?? ""
            let nearest = name.nearest(in: known).map { " Did you mean \($0)?" } ?? ""
            throw Refusal(
                "\(option.escapedForTerminal): \(text.escapedForTerminal) is no KEY=VALUE.\(nearest) "
                    + "Known: \(known.joined(separator: ", "))")
        }
        do throws(UnitRefusal) { try limits.set(key, String(parts[1])) } catch {
            throw Refusal("\(option.escapedForTerminal): \(error)")
        }
    }

    private func addLimits(to layer: inout PolicyLayer) throws {
        layer.limits.memory = try Self.parsed(memory, "--memory") { text throws(UnitRefusal) in
            try MemoryLimit(text)
        }
        layer.limits.milliCPUs = try Self.parsed(cpus, "--cpus", Policy.Limits.milliCPUs)
        layer.limits.processes = try Self.parsed(pids, "--pids", Policy.Limits.processes)
        layer.limits.disk = try Self.parsed(disk, "--disk", Policy.Limits.disk)
        layer.limits.time = try Self.parsed(timeout, "--timeout", Policy.Limits.time)
        layer.limits.onExceeded = try onExceeded.map { try Self.mode($0, option: "--on-exceeded") }
    }

    private static func parsed<Value>(
        _ text: String?, _ option: String, _ parse: (String) throws(UnitRefusal) -> Value
    ) throws -> Value? {
        guard let text else { return nil }
        do throws(UnitRefusal) { return try parse(text) } catch { throw Refusal("\(option): \(error)") }
    }

    private static func mode<Mode: RawRepresentable & CaseIterable>(
        _ text: String, option: String
    ) throws -> Mode where Mode.RawValue == String {
        guard let mode = Mode(rawValue: text) else {
            let known = Mode.allCases.map(\.rawValue).joined(separator: ", ")
            throw Refusal("\(option) \(text.escapedForTerminal): there is no such mode. Known: \(known)")
        }
        return mode
    }

    /// A path of the command line may be relative, as for any command.
    private func absolute(_ text: String, _ option: String) throws -> String {
        guard !text.isEmpty else { throw Refusal("\(option): the path is empty") }
        if text.hasPrefix("/") || text.hasPrefix("~") { return text }
        guard let directory = WorkingDirectory.current else {
            throw Refusal("\(text.escapedForTerminal) is a relative path, and the working directory is gone")
        }
        return directory + "/" + text
    }
}
