import Foundation

/// A session that stays: a shell inside that does one thing after the other, while the host does its own.
final class Conversation {
    static let name = "door"

    let box: Box
    let running: Running
    private var turns = 0

    /// Starts the session; it is up when this returns.
    init(_ box: Box, options: [String] = []) throws {
        self.box = box
        running = try box.start(
            ["/bin/sh"], options: ["--name", Conversation.name] + options, streams: .openInput)
        try say(":", within: 30)
    }

    /// Runs a script inside; what it printed, errors with the rest.
    @discardableResult
    func say(_ script: String, within seconds: Double = 30) throws -> String {
        begin(script)
        return try answer(within: seconds)
    }

    /// Starts a script inside and does not wait for it.
    func begin(_ script: String) {
        turns += 1
        do { try running.send("{ \(script)\n} </dev/null 2>&1; echo '<end \(turns)>'\n") } catch {
            turns -= 1
        }
    }

    /// What the script printed that was begun last.
    func answer(within seconds: Double = 30) throws -> String {
        try running.expect("<end \(turns)>\n", within: seconds)
    }

    /// Carries out exchanges inside, so many at a time.
    func exchange(
        _ list: [Exchange], together: Int = 1, within seconds: Double = 60
    ) throws -> [String: Reply] {
        try beginExchange(list, together: together)
        return try endExchange(list, within: seconds)
    }

    func beginExchange(_ list: [Exchange], together: Int = 1) throws {
        begin((try box.prepare(list) + ["\(together)"]).joined(separator: " "))
    }

    func endExchange(_ list: [Exchange], within seconds: Double = 60) throws -> [String: Reply] {
        let text = try answer(within: seconds)
        return try Reply.parse(Outcome(status: 0, out: Array(text.utf8), err: []), list)
    }

    /// A command of box's about this session: `allow`, `deny`, `publish`.
    @discardableResult
    func command(_ name: String, _ words: String...) throws -> Outcome {
        try box.call([name, "-s", Conversation.name] + words)
    }

    /// The proxy's process, seen from the host.
    func proxy() throws -> Process {
        let found = Host.descendants(of: running.pid).filter { $0.name.hasPrefix("box-proxy") }
        guard found.count == 1, let proxy = found.first else {
            throw HarnessError(description: "\(found.count) proxies: \(Host.descendants(of: running.pid))")
        }
        return proxy
    }

    /// Ends the shell, and with it the session.
    @discardableResult
    func end(within seconds: Double = 30) throws -> Outcome {
        running.closeInput()
        return try running.wait(within: seconds)
    }
}

extension Process {
    /// How many descriptors it has open.
    func descriptors() throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").count
    }

    /// Its resident memory in bytes.
    func memory() throws -> Int {
        let line = try Host.text("/proc/\(pid)/status").split(separator: "\n").first {
            $0.hasPrefix("VmRSS:")
        }
        let words = line?.split(whereSeparator: { $0 == " " || $0 == "\t" }) ?? []
        guard words.count == 3, let kilobytes = Int(words[1]) else {
            throw HarnessError(description: "no VmRSS of \(pid)")
        }
        return kilobytes * 1024
    }
}
