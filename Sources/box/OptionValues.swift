import BoxPolicy
import BoxTypes

/// What the options of `run`, `shell` and `plan` say: the command line's layer of the policy.
struct OptionValues: Equatable {
    var name: String?
    var project: String?
    var workspace: String?
    var net: String?
    var allow: [String] = []
    var read: [String] = []
    var write: [String] = []
    var env: [String] = []
    var memory: String?
    var cpus: String?
    var pids: String?
    var timeout: String?
    var syscalls: String?
    var accept: [String] = []

    /// Puts one option's value in its place; false for an option that is not of these.
    mutating func take(_ option: String, _ value: String) -> Bool {
        switch option {
        case "--name": name = value
        case "--project", "-C": project = value
        case "--workspace": workspace = value
        case "--net": net = value
        case "--allow": allow.append(value)
        case "--read": read.append(value)
        case "--write": write.append(value)
        case "--env": env.append(value)
        case "--memory": memory = value
        case "--cpus": cpus = value
        case "--pids": pids = value
        case "--timeout": timeout = value
        case "--syscalls": syscalls = value
        case "--accept": accept.append(value)
        default: return false
        }
        return true
    }

    /// The options as a layer; each mistake names its option.
    func layer() throws -> PolicyLayer {
        var layer = PolicyLayer(name: "command line")
        layer.network.mode = try net.map { try Self.mode($0, option: "--net") }
        layer.workspace.mode = try workspace.map { try Self.mode($0, option: "--workspace") }
        for text in allow {
            do throws(HostRefusal) { layer.network.allow.append(try HostRule(text)) } catch {
                throw Refusal("--allow \(text.escapedForTerminal): \(error)")
            }
        }
        layer.files.read = try read.map(absolute)
        layer.files.write = try write.map(absolute)
        for text in env { add(variable: text, to: &layer) }
        layer.syscalls.profile = syscalls
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

    private func addLimits(to layer: inout PolicyLayer) throws {
        layer.limits.memory = try Self.parsed(memory, "--memory") { text throws(UnitRefusal) in
            try MemoryLimit(text)
        }
        layer.limits.milliCPUs = try Self.parsed(cpus, "--cpus", Policy.Limits.milliCPUs)
        layer.limits.processes = try Self.parsed(pids, "--pids", Policy.Limits.processes)
        layer.limits.time = try Self.parsed(timeout, "--timeout", Policy.Limits.time)
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
    private func absolute(_ text: String) throws -> String {
        guard !text.isEmpty else { throw Refusal("a path of --read or --write is empty") }
        if text.hasPrefix("/") || text.hasPrefix("~") { return text }
        guard let directory = WorkingDirectory.current else {
            throw Refusal("\(text.escapedForTerminal) is a relative path, and the working directory is gone")
        }
        return directory + "/" + text
    }
}
