import BoxKernel
import BoxStage
import BoxTypes
import CLinux
import Glibc
import Testing

/// What a program of a test said and how it ended.
struct Outcome {
    let status: CInt
    let output: String
}

/// A host's directory with a stage of it, in a scratch directory that goes with it.
final class StageFixture {
    let path: String
    var stage: Stage

    var host: String { path + "/host" }
    var upper: String { stage.upper(0) }

    /// Makes the directories, lets `script` fill the host's, and begins a session.
    init(_ mode: Stage.Mode = .overlay, hidden: [BytePath] = [], host script: String = "") throws {
        var template = Array(
            ((StageFixture.environment("TMPDIR") ?? "/tmp") + "/box-stage-XXXXXX").utf8CString)
        guard unsafe mkdtemp(&template) != nil else { throw KernelError(call: "mkdtemp", code: errno) }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        for name in ["host", "stage", "stage/0", "stage/0/upper", "stage/0/work"] {
            try check("mkdir", unsafe mkdir(path + "/" + name, 0o755), name)
        }
        let opened = try Descriptor.open(path + "/host", O_RDONLY)
        let node = try Node.of(opened.number)
        stage = Stage(
            directory: path + "/stage", session: "test-1", mode: mode, started: .now(),
            roots: [
                Stage.Root(
                    host: try AbsolutePath(path + "/host"), device: node.device, inode: node.inode,
                    hidden: hidden)
            ])
        if !script.isEmpty { try shell(script, in: host) }
        try begin()
    }

    /// Begins the session now; when this returns, whatever is written has a later time.
    func begin() throws {
        stage.started = .now()
        // The clock of a file system goes on every few milliseconds.
        while true {
            let probe = try Descriptor.open(path + "/probe", O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
            if try Node.of(probe.number).changed > stage.started { break }
        }
        try check("unlink", unsafe unlink(path + "/probe"))
    }

    deinit {
        do { try TreeRemoval.remove(try AbsolutePath(path)) } catch {
            Issue.record("the scratch directory stays: \(error)")
        }
    }

    static func environment(_ name: String) -> String? {
        unsafe getenv(name).map { unsafe String(cString: $0) }
    }

    // MARK: - Programs

    /// Runs a shell script that must succeed.
    @discardableResult
    func shell(_ script: String, in directory: String) throws -> String {
        let outcome = try run(["sh", "-e", "-c", "umask 022; cd \"$0\"\n" + script, directory])
        guard outcome.status == 0 else {
            throw KernelError(call: script, code: EINVAL, subject: outcome.output)
        }
        return outcome.output
    }

    /// Runs a script of Python that must succeed.
    func python(_ script: String, in directory: String) throws {
        let outcome = try run(["python3", "-c", "import os; os.chdir(r'\(directory)')\n" + script])
        guard outcome.status == 0 else {
            throw KernelError(call: script, code: EINVAL, subject: outcome.output)
        }
    }

    /// Runs a program and waits for it.
    func run(_ arguments: [String]) throws -> Outcome {
        let file = path + "/output"
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_addopen(&actions, 1, file, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        unsafe posix_spawn_file_actions_adddup2(&actions, 1, 2)
        var words = unsafe arguments.map { unsafe strdup($0) }
        unsafe words.append(nil)
        defer { unsafe words.forEach { unsafe free($0) } }
        var pid: pid_t = 0
        let code = unsafe posix_spawnp(&pid, arguments[0], &actions, nil, words, environ)
        guard code == 0 else { throw KernelError(call: "posix_spawn", code: code, subject: arguments[0]) }
        var status: CInt = 0
        try check("waitpid", retry { unsafe waitpid(pid, &status, 0) })
        let bytes = try Descriptor.open(file, O_RDONLY).readAll(limit: 64 << 20)
        return Outcome(
            status: box_wifexited(status) != 0 ? box_wexitstatus(status) : 128,
            output: String(decoding: bytes, as: UTF8.self))
    }

    // MARK: - The oracle

    static let oracle: String = {
        let file = "\(#filePath)".split(separator: "/", omittingEmptySubsequences: false)
        return file.dropLast(2).joined(separator: "/") + "/tools/overlay-oracle"
    }()

    /// Whether this machine lets us mount an overlay in namespaces of our own.
    static let canMount: Bool = {
        do {
            let fixture = try StageFixture()
            return try fixture.agent("true").status == 0
        } catch { return false }
    }()

    /// Runs a shell script as an agent does: in a mount of the stage over the host.
    @discardableResult
    func agent(_ script: String) throws -> Outcome {
        try overlay(["sh", "-e", "-c", "umask 022\n" + script])
    }

    /// Runs a program in the mount.
    func overlay(_ arguments: [String]) throws -> Outcome {
        try run(["python3", StageFixture.oracle, "overlay", stage.directory, host] + arguments)
    }

    /// The difference between two directories in full, as `changes()` writes it.
    func difference(_ old: String, _ new: String, mounted: Bool = false) throws -> [String] {
        let words = ["python3", StageFixture.oracle, "compare", old, new]
        let outcome = try mounted ? overlay(words) : run(words)
        guard outcome.status == 0 else {
            throw KernelError(call: "compare", code: EINVAL, subject: outcome.output)
        }
        return try outcome.output.split(separator: "\n").map { line in
            let words = line.split(separator: " ")
            let digits = Array(try #require(words.last).utf8)
            let bytes = stride(from: 0, to: digits.count, by: 2).compactMap { index in
                UInt8(String(decoding: digits[index..<index + 2], as: UTF8.self), radix: 16)
            }
            return "\(words[0]) \(try #require(BytePath(bytes)).escaped)"
        }
    }

    /// What a full comparison of the mounted view with the host finds.
    func expected() throws -> [String] { try difference(host, stage.directory + "/mnt", mounted: true) }

    // MARK: - What is tested

    /// All changes, one by one.
    func list() throws(StageError) -> [Change] {
        var all: [Change] = []
        try ChangeWalk(stage).forEach { (change) throws(StageError) in all.append(change) }
        return all
    }

    /// All changes as `kind path`.
    func changes() throws(StageError) -> [String] {
        try list().map { "\($0.kind.rawValue) \($0.path.escaped)" }
    }

    /// Looks once, as the watcher of a session does.
    @discardableResult
    func record() throws(StageError) -> Usage {
        var recorder = try Recorder(stage)
        return try recorder.update()
    }

    /// The only change at a path.
    func change(_ path: String) throws -> Change {
        try #require(try list().first { $0.path == BytePath(path) })
    }

    func conflict(_ path: String) throws -> Conflict.Kind? {
        try ChangeWalk(stage).conflict(try change(path))?.kind
    }

    /// The whole content of an open file.
    static func bytes(_ descriptor: consuming Descriptor?) throws -> [UInt8]? {
        guard let descriptor else { return nil }
        return try descriptor.readAll(limit: 64 << 20)
    }

    /// The whole content of an open file as text.
    static func text(_ descriptor: consuming Descriptor?) throws -> String? {
        try bytes(descriptor).map { String(decoding: $0, as: UTF8.self) }
    }
}
