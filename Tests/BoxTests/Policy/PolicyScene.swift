import Foundation
import Testing

/// A user with policy files and a project that has one of its own, and what box makes of them.
struct PolicyScene {
    var box: Box
    var project: String { box.scratch.project }
    /// The project's own file.
    var projectFile: String { project + "/box.toml" }
    /// What the user has under `~/.config/box`.
    var configuration: String { box.scratch.configuration + "/box" }
    var userFile: String { configuration + "/config.toml" }
    /// What box keeps for the user.
    var state: String { box.scratch.state + "/box" }

    /// An empty project of a user without any configuration.
    init(_ options: [String] = ["--workspace", "direct", "--net", "none"]) throws {
        box = try Box()
        box.options = options
        try FileManager.default.removeItem(atPath: project + "/probe")
        try FileManager.default.createDirectory(atPath: configuration, withIntermediateDirectories: true)
    }

    /// A project with this `box.toml`.
    init(policy text: String, _ options: [String] = ["--workspace", "direct", "--net", "none"]) throws {
        try self.init(options)
        try write(text)
    }

    func profile(_ name: String) -> String { "\(configuration)/profiles/\(name).toml" }

    /// Writes the project's file.
    func write(_ text: String) throws { try box.scratch.write(text, to: projectFile) }

    /// Writes a profile of the user's.
    func write(profile name: String, _ text: String) throws {
        try box.scratch.write(text, to: profile(name))
    }

    /// Writes the user's configuration.
    func write(user text: String) throws { try box.scratch.write(text, to: userFile) }

    // MARK: - Box

    /// A command of box's, which must end with this status.
    @discardableResult
    func command(
        _ words: [String], status: Int32 = 0, environment: [String: String] = [:], directory: String? = nil,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> Outcome {
        let outcome = try box.call(words, environment: environment, directory: directory)
        #expect(outcome.status == status, "box \(words): \(outcome)", sourceLocation: sourceLocation)
        return outcome
    }

    /// A shell script inside, which must end with this status.
    @discardableResult
    func inside(
        _ script: String, _ options: [String] = [], status: Int32 = 0, environment: [String: String] = [:],
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> Outcome {
        let outcome = try box.shell(script, options: options, environment: environment)
        #expect(outcome.status == status, "\(script): \(outcome)", sourceLocation: sourceLocation)
        return outcome
    }

    /// What a command prints as JSON.
    func json<Value: Decodable>(
        _ words: [String], _ type: Value.Type, status: Int32 = 0,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> Value {
        let outcome = try command(words, status: status, sourceLocation: sourceLocation)
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(type, from: Data(outcome.out))
    }

    /// `box policy explain --json`, whatever it says.
    func explain(_ what: String, _ words: String...) throws -> Explained {
        let outcome = try box.call(["policy", "explain", "--json", what] + words)
        let explained = try JSONDecoder().decode(Explained.self, from: Data(outcome.out))
        #expect(outcome.status == (explained.allowed ? 0 : 1), "\(outcome)")
        return explained
    }

    // MARK: - The host

    /// A shell script on the host, as the user, in the project; it must succeed.
    @discardableResult
    func host(_ script: String, sourceLocation: SourceLocation = #_sourceLocation) throws -> Outcome {
        let outcome = try Host.run(
            ["/bin/sh", "-c", script], directory: project, within: 120,
            environment: ["HOME": box.scratch.home, "GIT_CONFIG_NOSYSTEM": "1"])
        guard outcome.status == 0 else {
            throw HarnessError(description: "on the host: \(script.prefix(300))\n\(outcome)")
        }
        return outcome
    }

    /// Whether there is something of that name, even a link that leads nowhere.
    func exists(_ path: String) -> Bool {
        (try? FileManager.default.attributesOfItem(atPath: path)) != nil
    }

    /// The sessions that left a directory.
    var sessions: [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: state + "/sessions")) ?? []
    }
}

/// What `box policy explain --json` says.
struct Explained: Decodable {
    var host: String?
    var port: Int?
    var path: String?
    var access: String?
    var syscall: String?
    var allowed: Bool
    var rule: String?
    var source: String?
    var reason: String
}
