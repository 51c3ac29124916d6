import Foundation

/// A place of its own for one test: home, state, configuration and a project, removed afterwards.
final class Scratch: Sendable {
    let root: String
    var home: String { root + "/home" }
    var state: String { root + "/state" }
    var configuration: String { root + "/configuration" }
    var project: String { root + "/project" }

    /// With `inHome`, the project is a directory of the home, as it is for people.
    init() throws {
        let top = ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp"
        var template = Array("\(top)/box-test-XXXXXX".utf8CString)
        guard let made = unsafe mkdtemp(&template) else {
            throw HarnessError(description: "no scratch directory in \(top): \(errno)")
        }
        root = unsafe String(cString: made)
        for path in [home, state, configuration, project] {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        }
        try FileManager.default.copyItem(atPath: try Tools.probe.get(), toPath: project + "/probe")
    }

    deinit {
        // A test may leave directories without permissions behind.
        _ = try? Host.shell("chmod -R u+rwx '\(root)' 2>/dev/null; rm -rf '\(root)'")
    }

    /// Writes a file below the scratch directory; directories above it are made.
    func write(_ text: String, to path: String, mode: Int = 0o644) throws {
        try FileManager.default.createDirectory(
            atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        try Data(text.utf8).write(to: URL(filePath: path))
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
    }
}

/// The binary under test, as people run it.
struct Box {
    /// `BOX_BIN`, or the `box` that was built beside the tests.
    static let binary: String = {
        if let named = ProcessInfo.processInfo.environment["BOX_BIN"] { return named }
        let tests = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return (tests as NSString).deletingLastPathComponent + "/box"
    }()
    /// The build in which layers can be dropped.
    static let mutant: String? = ProcessInfo.processInfo.environment["BOX_MUTANT_BIN"]

    var scratch: Scratch
    var executable = Box.binary
    /// A program and its words before every command line of box: how it gets to another place or user.
    var prefix: [String] = []
    /// Options of every run.
    var options = ["--workspace", "direct"]

    init() throws { scratch = try Scratch() }
    init(in scratch: Scratch) { self.scratch = scratch }

    /// The environment a person would have, and nothing of the suite's own.
    var environment: [String: String] {
        [
            "PATH": Host.path, "HOME": scratch.home, "XDG_STATE_HOME": scratch.state,
            "XDG_CONFIG_HOME": scratch.configuration, "LC_ALL": "C.UTF-8", "TERM": "xterm-256color",
            "USER": "person", "SHELL": "/bin/sh",
        ]
    }

    /// `box run OPTIONS -- COMMAND`.
    func run(
        _ command: [String], options more: [String] = [], environment extra: [String: String] = [:],
        input: [UInt8]? = nil, rig: [String] = [], within seconds: Double = 60
    ) throws -> Outcome {
        try call(
            ["run"] + options + more + ["--"] + command, environment: extra, input: input, rig: rig,
            within: seconds)
    }

    /// A shell script inside.
    func shell(
        _ script: String, options more: [String] = [], environment extra: [String: String] = [:],
        within seconds: Double = 60
    ) throws -> Outcome {
        try run(["/bin/sh", "-c", script], options: more, environment: extra, within: seconds)
    }

    /// Any command line of box, to its end; `rig` is a program and its words that go before it.
    func call(
        _ arguments: [String], environment extra: [String: String] = [:], input: [UInt8]? = nil,
        rig: [String] = [], directory: String? = nil, within seconds: Double = 60
    ) throws -> Outcome {
        let running = try Running(
            rig + prefix + [executable] + arguments, environment: environment.merging(extra) { $1 },
            directory: directory ?? scratch.project, streams: .pipes(input: input))
        if let input { running.finish(input: input) }
        return try running.wait(within: seconds)
    }

    /// `box run …`, started and not waited for.
    func start(
        _ command: [String], options more: [String] = [], environment extra: [String: String] = [:],
        streams: Running.Streams = .pipes(input: nil)
    ) throws -> Running {
        try Running(
            prefix + [executable, "run"] + options + more + ["--"] + command,
            environment: environment.merging(extra) { $1 }, directory: scratch.project, streams: streams)
    }

    /// The probe program inside, asked for these acts.
    func probe(_ acts: [String], options more: [String] = []) throws -> [String: Answer] {
        let list = scratch.project + "/acts"
        try scratch.write(acts.joined(separator: "\n") + "\n", to: list)
        return try Answer.parse(
            try run([scratch.project + "/probe", "--file", list], options: more, within: 120), acts: acts)
    }
}

/// The C programs of the suite, compiled once.
enum Tools {
    static let sources = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Probe").path
    private static let directory = Result { () throws -> String in
        var template = Array("/tmp/box-test-tools-XXXXXX".utf8CString)
        guard let made = unsafe mkdtemp(&template) else {
            throw HarnessError(description: "mkdtemp: \(errno)")
        }
        let path = unsafe String(cString: made)
        unsafe setenv("BOX_TEST_TOOLS", path, 1)
        atexit(removeTools)
        return path
    }
    /// What tries forbidden things.
    static let probe = Result {
        try compile("probe", ["probe.c", "files.c", "processes.c", "sockets.c", "kernel.c"])
    }
    /// What makes a host with something wrong.
    static let rig = Result { try compile("rig", ["rig.c"]) }
    /// What renames directories in every way.
    static let renameDirs = Result { try compile("rename-dirs", ["rename-dirs.c"]) }
    /// What starts programs in every way.
    static let starts = Result { try compile("starts", ["starts.c"]) }

    /// Statically where it can be: then the probe needs nothing of what is inside.
    private static func compile(_ name: String, _ files: [String]) throws -> String {
        let result = try directory.get() + "/" + name
        let common = ["-O1", "-pthread", "-o", result] + files.map { sources + "/" + $0 }
        guard let compiler = Host.program("cc") else { throw HarnessError(description: "no C compiler") }
        if try Host.run([compiler, "-static"] + common).status == 0 { return result }
        let outcome = try Host.run([compiler] + common)
        guard outcome.status == 0 else { throw HarnessError(description: "\(name): \(outcome)") }
        return result
    }
}

/// Runs at the end of the process, when only C is left.
private func removeTools() {
    guard let path = unsafe getenv("BOX_TEST_TOOLS") else { return }
    for name in ["probe", "rig", "rename-dirs", "starts"] {
        unsafe unlink(String(cString: path) + "/" + name)
    }
    unsafe rmdir(path)
}
