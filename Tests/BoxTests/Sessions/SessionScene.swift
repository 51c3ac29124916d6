import Foundation
import Testing

/// A user with sessions: those that run, those that have ended, and what somebody did to their directories.
struct SessionScene {
    var box: Box
    var project: String { box.scratch.project }
    /// Where the sessions' directories are.
    var store: String { box.scratch.state + "/box/sessions" }

    /// An empty project, and no session.
    init(_ options: [String] = ["--workspace", "overlay", "--net", "none"]) throws {
        box = try Box()
        box.options = options + ["--quiet"]
        try FileManager.default.removeItem(atPath: project + "/probe")
        for path in [box.scratch.state + "/box", store] {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        }
    }

    // MARK: - Sessions

    /// A session that has ended.
    @discardableResult
    func ended(
        _ name: String, _ script: String = ":", _ options: [String] = [],
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> Outcome {
        let outcome = try box.shell(script, options: ["--name", name] + options)
        #expect(!outcome.timedOut && outcome.status < 125, "\(outcome)", sourceLocation: sourceLocation)
        return outcome
    }

    /// A session that runs until its script ends; it is up when this returns.
    func running(
        _ name: String, _ script: String = "read line", _ options: [String] = []
    ) throws -> Running {
        let running = try box.start(
            ["/bin/sh", "-c", "echo up; \(script)"], options: ["--name", name] + options, streams: .openInput)
        try running.expect("up\n", within: 30)
        return running
    }

    /// A directory in the store with this record, or without one.
    func put(_ name: String, record: String?, log: String? = nil) throws {
        let path = store + "/" + name
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        if let record { try box.scratch.write(record, to: path + "/session.json", mode: 0o600) }
        if let log { try box.scratch.write(log, to: path + "/events.jsonl", mode: 0o600) }
    }

    /// The record of a session that has ended.
    static func record(
        _ name: String, ended: String = "2026-02-03T11:00:00.000Z", state: String = "finished"
    ) -> String {
        """
        {"version":1,"name":"\(name)","agent":null,"stem":"sh","command":["sh"],"project":"/nowhere",
         "workspace":"overlay","state":"\(state)","started":"2026-02-03T10:00:00.000Z","supervisor":999999999,
         "ended":"\(ended)","exit_status":0,"changes":0,"refusals":0}
        """
    }

    /// Changes a text in a session's record.
    func edit(_ name: String, _ old: String, _ new: String) throws {
        let path = "\(store)/\(name)/session.json"
        let text = try Host.text(path)
        try #require(text.contains(old), "\(text)")
        try box.scratch.write(text.replacingOccurrences(of: old, with: new), to: path, mode: 0o600)
    }

    /// Says that a session ended long ago.
    func age(_ name: String) throws {
        let listed = try #require(try list(["-a"]).first { $0.id == name })
        try edit(name, try #require(listed.ended), "2020-02-03T11:00:00.000Z")
    }

    // MARK: - Commands

    @discardableResult
    func command(
        _ words: [String], status: Int32 = 0, environment: [String: String] = [:], rig: [String] = [],
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> Outcome {
        let outcome = try box.call(words, environment: environment, rig: rig)
        #expect(outcome.status == status, "box \(words): \(outcome)", sourceLocation: sourceLocation)
        return outcome
    }

    /// `box ps --json`.
    func list(_ words: [String] = []) throws -> [Listed] {
        let outcome = try command(["ps", "--json"] + words)
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode([Listed].self, from: Data(outcome.out))
    }

    /// The names of the directories in the store.
    var names: [String] {
        get throws { try FileManager.default.contentsOfDirectory(atPath: store).sorted() }
    }

    /// Whether there is something of that name, even a link that leads nowhere.
    func exists(_ path: String) -> Bool {
        (try? FileManager.default.attributesOfItem(atPath: path)) != nil
    }

    /// A command on a terminal of its own, with all that it printed there.
    func onTerminal(_ words: [String], colour: Bool = false, answer: String? = nil) throws -> Outcome {
        let running = try Running(
            [Box.binary] + words,
            environment: box.environment.merging(colour ? [:] : ["NO_COLOR": "1"]) { $1 },
            directory: project, streams: .terminal(rows: 24, columns: 80))
        if let answer {
            try running.expect("[y/N] ")
            try running.send(answer + "\n")
        }
        return try running.wait(within: 30)
    }
}

/// One of what `box ps --json` lists.
struct Listed: Decodable, Equatable {
    var id: String
    var name: String
    var agent: String?
    var project: String?
    var workspace: String?
    var state: String
    var paused: Bool?
    var started: String?
    var ended: String?
    var exitStatus: Int?
    var changes: Int?
    var refusals: Int?
    var detached: Bool?
    var command: [String]
    var cpuMs: Int?
    var memoryBytes: Int?
    var processes: Int?
    var supervisor: Int32?
    var damage: String?
}

extension Outcome {
    /// Nothing in either stream could move a cursor, hide text or turn it around.
    var isHarmless: Bool {
        (text + errors).unicodeScalars.allSatisfy { scalar in
            switch scalar.value {
            case 0x0A, 0x0D: true
            case 0..<0x20, 0x7F..<0xA0, 0x061C, 0x200B...0x200F, 0x2028...0x202E, 0x2060...0x206F, 0xFEFF:
                false
            default: true
            }
        }
    }
}
