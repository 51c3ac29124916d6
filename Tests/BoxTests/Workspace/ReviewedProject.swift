import Foundation
import Testing

/// A project, agents that work in staged views of it, and the user who reviews what they did and takes it.
struct ReviewedProject {
    var box: Box
    var path: String { box.scratch.project }
    /// Where the stages of this project lie.
    var sessions: String { box.scratch.state + "/box/sessions" }

    /// An empty project.
    init(_ options: [String] = ["--workspace", "overlay"]) throws {
        box = try Box()
        box.options = options + ["--net", "none"]
        try FileManager.default.removeItem(atPath: path + "/probe")
    }

    /// A project that this script makes; with `repository` it is a git repository with one commit of all
    /// files.
    init(
        _ script: String, repository: Bool = true, _ options: [String] = ["--workspace", "overlay"]
    ) throws {
        try self.init(options)
        let begin = repository ? ReviewedProject.repository + "\n" : ""
        try host("set -e\n" + begin + script + (repository ? "\ngit add -A; git commit -qm first" : ""))
    }

    /// Makes the working directory a repository with somebody who commits.
    static let repository =
        "git init -q -b main .; git config user.email a@b.invalid; git config user.name somebody"

    // MARK: - What an agent does

    /// A shell script inside, which must end with this status.
    @discardableResult
    func work(
        _ script: String, options: [String] = [], status: Int32 = 0, within seconds: Double = 120,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> Outcome {
        let outcome = try box.shell("set -e\n" + script, options: options, within: seconds)
        #expect(outcome.status == status, "\(outcome)", sourceLocation: sourceLocation)
        return outcome
    }

    /// A script inside, and what the agent sees of the project afterwards.
    func workAndLook(
        _ script: String, options: [String] = [], look: String = ReviewedProject.listing,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> [String] {
        let outcome = try work(
            "(\(script)\n) >&2\necho '<look>'\n\(look)", options: options, sourceLocation: sourceLocation)
        guard let mark = outcome.lines.firstIndex(of: "<look>") else { return [] }
        return Array(outcome.lines[(mark + 1)...])
    }

    /// Everything below the working directory: type, mode, size and content. No times: a file that the agent
    /// wrote anew with the same content is no change. And no index: git writes it anew when it looks.
    static let listing = """
        find . -mindepth 1 ! -name index \\( -type d -printf '%p d %m\\n' -o -type f -printf '%p f %m %s\\n' \\
            -o -printf '%p %y %l\\n' \\) | LC_ALL=C sort
        find . -type f ! -name index -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum --
        """

    /// A session that stays: the agent changes the file at `path` among others, then the host does something,
    /// when box has kept what the file was.
    func meanwhile(agent: String, path name: String, host script: String) throws {
        let content = try Data(contentsOf: URL(filePath: path + "/" + name))
        let session = try Conversation(box)
        try session.say(agent)
        try waitUntilKept(content, in: Conversation.name)
        try host(script)
        try session.end()
    }

    /// Waits until box has looked at a changed file of a session that runs, and has kept what the host had
    /// there.
    func waitUntilKept(
        _ content: Data, in session: String, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let kept = "\(sessions)/\(session)/stage/0/kept"
        let isKept = Host.eventually(within: 30) {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: kept)) ?? []
            return names.contains { FileManager.default.contents(atPath: "\(kept)/\($0)") == content }
        }
        #expect(isKept, "box has kept nothing of the file", sourceLocation: sourceLocation)
    }

    // MARK: - What the user does

    /// A shell script on the host, as the user, in the project; it must succeed.
    @discardableResult
    func host(_ script: String, sourceLocation: SourceLocation = #_sourceLocation) throws -> Outcome {
        let outcome = try Host.run(
            ["/bin/sh", "-c", script], directory: path, within: 120,
            environment: ["HOME": box.scratch.home, "GIT_CONFIG_NOSYSTEM": "1"])
        guard outcome.status == 0 else {
            throw HarnessError(description: "on the host: \(script.prefix(300))\n\(outcome)")
        }
        return outcome
    }

    /// A command of box's, which must end with this status.
    @discardableResult
    func command(
        _ words: [String], status: Int32 = 0, sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> Outcome {
        let outcome = try box.call(words, within: 120)
        #expect(outcome.status == status, "box \(words): \(outcome)", sourceLocation: sourceLocation)
        return outcome
    }

    /// `box apply`, agreeing to what needs consent.
    @discardableResult
    func apply(
        _ words: String..., status: Int32 = 0, sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> Outcome {
        try command(["apply", "--yes"] + words, status: status, sourceLocation: sourceLocation)
    }

    /// Applies every change by its name, those too that are held back otherwise.
    @discardableResult
    func applyByName(sourceLocation: SourceLocation = #_sourceLocation) throws -> Outcome {
        // Names are bytes, which only programs pass on as they are.
        let script = "\"$1\" diff --name-only -z | xargs -0 \"$1\" apply --yes --"
        let outcome = try Host.run(
            ["/bin/sh", "-c", script, "sh", box.executable], directory: path, within: 120,
            environment: box.environment)
        #expect(outcome.status == 0, "\(outcome)", sourceLocation: sourceLocation)
        return outcome
    }

    /// What `box diff --json` says.
    func review(_ words: String..., sourceLocation: SourceLocation = #_sourceLocation) throws -> Review {
        let outcome = try command(["diff", "--json"] + words, sourceLocation: sourceLocation)
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(Review.self, from: Data(outcome.out))
    }

    // MARK: - Evidence

    /// What the agent would see, on the host.
    func look(_ script: String = ReviewedProject.listing) throws -> [String] { try host(script).lines }

    /// Content, kind, mode, owner, links, times and attributes of the whole project on the host.
    func manifest() throws -> [String] { try Host.manifest(path) }

    /// The sessions that have a stage on disk.
    func stages() throws -> [String] {
        try host("ls -d '\(sessions)'/*/stage 2>/dev/null | xargs -r -n 1 dirname | xargs -r -n 1 basename")
            .lines
    }

    func exists(_ name: String) -> Bool {
        (try? FileManager.default.attributesOfItem(atPath: path + "/" + name)) != nil
    }

    func text(_ name: String) throws -> String { try Host.text(path + "/" + name) }
}

/// What `box diff --json` says.
struct Review: Decodable {
    /// One changed file.
    struct Change: Decodable {
        var path: String
        var kind: String
        var type: String
        var risk: String
        var reason: String
        var movedFrom: String?
    }

    var session: String
    var digest: String
    var changes: [Change]
    var conflicts: [String]

    subscript(path: String) -> Change? { changes.first { $0.path == path } }
    var paths: [String] { changes.map(\.path) }
    func paths(_ risk: String) -> [String] { changes.filter { $0.risk == risk }.map(\.path) }
}

/// Lists of lines as evidence.
enum Lines {
    /// Fails with what only one of two lists has, if they are not the same.
    static func expectSame(
        _ found: [String], _ wanted: [String], _ what: String = "",
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        guard found != wanted else { return }
        let (left, right) = (Set(wanted), Set(found))
        let lines =
            wanted.filter { !right.contains($0) }.map { "-" + $0 }
            + found.filter { !left.contains($0) }.map { "+" + $0 }
        let text = lines.isEmpty ? "in another order" : lines.prefix(30).joined(separator: "\n")
        Issue.record("\(what)\n\(text)", sourceLocation: sourceLocation)
    }

    /// A manifest without the lines of directories, whose times and sizes tell of what once was in them.
    static func withoutDirectories(_ manifest: [String]) -> [String] {
        manifest.filter { !$0.contains(" d ") }
    }
}
