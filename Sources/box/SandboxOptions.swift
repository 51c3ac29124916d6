import ArgumentParser
import BoxPolicy
import BoxTypes

/// The options that `run`, `shell` and `plan` share: the command line's layer of the policy.
struct SandboxOptions: ParsableArguments {
    @Option(help: ArgumentHelp("A name for the session.", valueName: "name"))
    var name: String?

    @Option(
        name: [.customShort("C"), .long],
        help: ArgumentHelp("The project; the working directory otherwise.", valueName: "directory"))
    var project: String?

    @Option(help: ArgumentHelp("How the project appears inside: direct or none.", valueName: "mode"))
    var workspace: String?

    @Option(help: ArgumentHelp("The network: proxy or none.", valueName: "mode"))
    var net: String?

    @Option(help: ArgumentHelp("Allow a host: HOST[:PORT], *.DOMAIN, an address.", valueName: "host"))
    var allow: [String] = []

    @Option(help: ArgumentHelp("Let a host path in, read-only.", valueName: "path"))
    var read: [String] = []

    @Option(help: ArgumentHelp("Let a host path in, writable.", valueName: "path"))
    var write: [String] = []

    @Option(help: ArgumentHelp("Pass a variable, or set it: NAME or NAME=VALUE.", valueName: "name"))
    var env: [String] = []

    @Option(help: ArgumentHelp("Memory, for example 4GB or 50%.", valueName: "size"))
    var memory: String?

    @Option(help: ArgumentHelp("CPUs' worth of time, for example 1.5.", valueName: "count"))
    var cpus: String?

    @Option(help: ArgumentHelp("Processes and threads at most.", valueName: "count"))
    var pids: String?

    @Option(help: ArgumentHelp("End the command after this time, for example 90s or 2h.", valueName: "time"))
    var timeout: String?

    @Option(
        help: ArgumentHelp(
            "The system call profile: default, strict, nested or a path to a file.", valueName: "profile"))
    var syscalls: String?

    @Option(help: ArgumentHelp("Run although this protection is missing.", valueName: "protection"))
    var accept: [String] = []

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
