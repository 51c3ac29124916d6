import BoxKernel
import Glibc

/// Random texts, and what an editor could make of them.
enum LineDiffTexts {
    /// Lines of which there are few different ones, so that they occur more than once; perhaps without a last newline.
    static func text(lines: Int, words: Int, _ random: inout SeededNumbers) -> [UInt8] {
        var text: [UInt8] = []
        for _ in 0..<lines { text += line(words: words, &random) }
        if !text.isEmpty, random.below(4) == 0 { text.removeLast() }
        return text
    }

    static func line(words: Int, _ random: inout SeededNumbers) -> [UInt8] {
        let word = random.below(words)
        return word == 0 ? [10] : Array("line \(word)\n".utf8)
    }

    /// A copy with some runs of lines removed, added or replaced.
    static func edited(_ text: [UInt8], words: Int, runs: Int, _ random: inout SeededNumbers) -> [UInt8] {
        var lines = text.split(separator: 10, omittingEmptySubsequences: false).map(Array.init)
        for _ in 0..<random.below(runs + 1) {
            let at = random.below(lines.count + 1)
            let end = min(lines.count, at + random.below(4))
            let fresh = (0..<random.below(4)).map { _ in Array(line(words: words, &random).dropLast()) }
            lines.replaceSubrange(at..<end, with: fresh)
        }
        return Array(lines.joined(separator: [10]))
    }

    /// Bytes of any kind, with newlines among them.
    static func bytes(upTo count: Int, _ random: inout SeededNumbers) -> [UInt8] {
        let few = random.below(2) == 0
        return (0..<random.below(count + 1)).map { _ in
            let byte = UInt8(random.below(256))
            return few ? [10, 13, 97, byte][Int(byte & 3)] : byte
        }
    }
}

/// A program of the host, for comparison.
enum Tool {
    static let path = ["/usr/local/bin", "/usr/bin", "/bin"]

    static func exists(_ name: String) -> Bool {
        path.contains { unsafe access($0 + "/" + name, X_OK) == 0 }
    }

    /// Runs it without the user's configuration and gives its status and its output.
    static func run(_ command: [String], scratch: String) throws -> (status: CInt, output: [UInt8]) {
        let name = "\(scratch)/output"
        let output = try Descriptor.open(name, O_RDWR | O_CREAT | O_TRUNC, mode: 0o600)
        let nothing = try Descriptor.open("/dev/null", O_RDWR)
        let environment = [
            "PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C", "HOME=\(scratch)", "GIT_CONFIG_NOSYSTEM=1",
            "GIT_CEILING_DIRECTORIES=/",
        ]
        var start = CommandStart(command: command, environment: environment, path: path)
        start.streams = [nothing.number, output.number, output.number]
        let pid = try start.run().get()
        var status: CInt = 0
        try check("waitpid", unsafe waitpid(pid, &status, 0))
        let code = status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + status & 0x7F
        return (code, try Descriptor.open(name, O_RDONLY).readAll(limit: 1 << 28))
    }
}

/// A directory that goes away with all that a test put in it.
struct ScratchDirectory: ~Copyable {
    let path: String

    init() throws {
        var template = Array("/var/tmp/box-diff-XXXXXX".utf8CString)
        guard unsafe mkdtemp(&template) != nil else { throw KernelError(call: "mkdtemp", code: errno) }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { _ = try? Tool.run(["rm", "-rf", path], scratch: "/tmp") }

    func write(_ bytes: [UInt8], to name: String) throws {
        let file = try Descriptor.open("\(path)/\(name)", O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644)
        try file.write(all: bytes)
    }

    func read(_ name: String) throws -> [UInt8] {
        try Descriptor.open("\(path)/\(name)", O_RDONLY).readAll(limit: 1 << 28)
    }

    func makeDirectory(_ name: String) throws {
        try check("mkdir", unsafe mkdir("\(path)/\(name)", 0o755), name)
    }
}
