import Foundation
import Testing

/// `box ci` as a pipeline starts it: almost nothing in the environment, no terminal.
struct Pipeline {
    var box: Box
    /// Options for what this machine lacks, so that a run can begin.
    var accepted: [String]

    /// What this machine lacks of all that can be left out.
    private static let missing = Result { () throws -> [String] in
        let needed = ["namespaces", "identity", "id-mapped-mounts", "seccomp", "network", "terminal-filter"]
        return try Doctor.read(try Box()).protections.filter { $0.state == "missing" }.map(\.name)
            .filter { !needed.contains($0) }
    }

    init(box: Box, accepted: [String]) { (self.box, self.accepted) = (box, accepted) }

    init() throws {
        box = try Box()
        accepted = try Pipeline.missing.get().flatMap { ["--accept", $0] }
    }

    var project: String { box.scratch.project }

    /// A directory for what box makes for itself.
    func temporary() throws -> String {
        let path = box.scratch.root + "/temporary"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        return path
    }

    /// The words of a command line: box's own options, then the command.
    func words(_ command: [String], _ options: [String]) -> [String] {
        [box.executable, "ci"] + accepted + options + ["--"] + command
    }

    /// Runs a step. Nothing is in the environment but where box keeps its state, and what is given.
    func run(
        _ command: [String], _ options: [String] = [], environment extra: [String: String] = [:],
        rig: [String] = [], input: [UInt8]? = nil, within seconds: Double = 60
    ) throws -> Outcome {
        let running = try Running(
            rig + words(command, options), environment: environment(extra), directory: project,
            streams: .pipes(input: input))
        if let input { running.finish(input: input) }
        return try running.wait(within: seconds)
    }

    /// A shell script as a step.
    func shell(
        _ script: String, _ options: [String] = [], environment extra: [String: String] = [:],
        rig: [String] = []
    ) throws -> Outcome {
        try run(["/bin/sh", "-c", script], options, environment: extra, rig: rig)
    }

    func start(_ command: [String], _ options: [String] = []) throws -> Running {
        try Running(
            words(command, options), environment: environment([:]), directory: project,
            streams: .pipes(input: nil))
    }

    func environment(_ extra: [String: String]) -> [String: String] {
        ["XDG_STATE_HOME": box.scratch.state].merging(extra) { $1 }
    }

    /// The JSON report at a path.
    func report(_ path: String = "report.json") throws -> Report {
        let data = try Data(contentsOf: URL(filePath: path.hasPrefix("/") ? path : "\(project)/\(path)"))
        return try JSONDecoder().decode(Report.self, from: data)
    }

    /// A program of Python's outside of any box; nil where there is no Python.
    func python(_ script: String, _ arguments: [String]) throws -> String? {
        guard let python = Host.program("python3") else { return nil }
        let outcome = try Host.run([python, "-c", script] + arguments, directory: project)
        guard outcome.status == 0 else { throw HarnessError(description: "python3: \(outcome)") }
        return outcome.text
    }
}

/// The documented form of the JSON report.
struct Report: Decodable {
    struct Policy: Decodable { var digest: String?, file: String? }
    struct Workspace: Decodable { var mode: String, project: String, changes: Int? }
    struct Protection: Decodable { var name: String, state: String, detail: String, fix: String }
    struct Host: Decodable { var host: String, port: Int, connections: Int, bytes_up: Int, bytes_down: Int }
    struct Refusal: Decodable { var host: String, port: Int, reason: String, count: Int, allow: String? }
    struct Limit: Decodable { var name: String, detail: String, host: String?, port: Int?, count: Int }
    var version: Int
    var result: String
    var command: [String]
    var exit_status: Int
    var command_status: Int?
    var message: String?
    var started: String
    var duration_ms: Int
    var session: String?
    var fail_on_denied: Bool
    var policy: Policy
    var workspace: Workspace
    var protections: [Protection]
    var hosts: [Host]
    var refusals: [Refusal]
    var limits: [Limit]
    var notices: [String]
}

/// The runner of GitHub Actions as far as it obeys lines of a log.
struct FakeRunner {
    /// What it took for a command, without stopping and going on.
    private(set) var obeyed: [String] = []
    /// The word that makes it obey again.
    private(set) var token: String?
    private static let names = [
        "error", "warning", "notice", "debug", "group", "endgroup", "add-mask", "set-output", "save-state",
        "set-env", "add-path", "echo", "add-matcher", "remove-matcher",
    ]

    init(reading text: String) {
        // A carriage return does not end a line for it, and blanks before a command count as nothing.
        for line in text.utf8.split(separator: UInt8(ascii: "\n")).map({
            Substring($0).drop(while: \.isWhitespace)
        }) {
            guard let name = FakeRunner.command(in: line) else { continue }
            if let wanted = token {
                if name == wanted { token = nil }
            } else if name == "stop-commands" {
                token = line.components(separatedBy: "::").last
            } else if FakeRunner.names.contains(name) {
                obeyed.append(String(line))
            }
        }
    }

    /// The name of `::name key=value::data` at the beginning, or of `##[name key=value]data` anywhere.
    private static func command(in line: Substring) -> String? {
        if line.hasPrefix("::"), let end = line.dropFirst(2).firstRange(of: "::") {
            return line[line.index(line.startIndex, offsetBy: 2)..<end.lowerBound].split(separator: " ").first
                .map(String.init)
        }
        guard let start = line.firstRange(of: "##["),
            let end = line[start.upperBound...].firstIndex(of: "]")
        else { return nil }
        return line[start.upperBound..<end].split(separator: " ").first.map(String.init)
    }
}
