import Foundation
import Testing

/// A session without a terminal of the user's, which ends with this value.
final class Detached {
    let scene: SessionScene
    let name: String

    /// Starts `sh -c SCRIPT`; it runs when this returns.
    init(
        _ name: String, _ script: String, in scene: SessionScene, options: [String] = [],
        environment: [String: String] = [:]
    ) throws {
        self.scene = scene
        self.name = name
        let outcome = try scene.box.shell(
            script, options: ["--detach", "--name", name] + options, environment: environment)
        guard outcome.status == 0, outcome.text == name + "\n", !outcome.heldOpen else {
            throw HarnessError(description: "no detached session: \(outcome)")
        }
    }

    deinit { _ = try? scene.box.call(["stop", "--kill", name]) }

    /// The session as `box ps` lists it.
    func listed() throws -> Listed { try #require(try scene.list(["-a"]).first { $0.id == name }) }

    func supervisor() throws -> Process {
        let pid = try #require(try listed().supervisor)
        return try #require(Process(pid))
    }

    /// `box attach` on a terminal of its own.
    func attach(rows: Int = 24, columns: Int = 80) throws -> Running {
        try Running(
            [Box.binary, "attach", name], environment: scene.box.environment, directory: scene.project,
            streams: .terminal(rows: rows, columns: columns))
    }

    /// Waits until it has ended.
    func ends(within seconds: Double = 10) throws -> Listed {
        _ = try Host.eventually(within: seconds) { try listed().state != "running" }
        return try listed()
    }
}

extension Running {
    /// Types the keys that detach, and checks what follows from them.
    func detach(from name: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
        try send("\u{1D}d")
        let outcome = try wait(within: 15)
        #expect(
            outcome.status == 0
                && outcome.text.hasSuffix("box: detached from \(name). To come back: box attach \(name)\r\n"),
            "\(outcome)", sourceLocation: sourceLocation)
    }
}
