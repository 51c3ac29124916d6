package import BoxAudit
internal import BoxKernel
internal import BoxPlan
package import BoxTypes
internal import Glibc

/// A session's own directory: `sessions/NAME/` with `session.json` and `events.jsonl`.
package struct SessionDirectory: ~Copyable {
    package let name: String
    let path: String
    /// Where directories for placeholders wait, for all sessions.
    let stock: String
    package let log: EventLog
    /// Held while this value lives: the session runs, or another command works on it.
    private let lock: Descriptor

    /// What a session's name may look like: it is a file name and an argument of other commands.
    static func isValid(name: String) -> Bool {
        let first = name.utf8.first.map { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) } ?? false
        return first && name.utf8.count <= 64
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                    UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }

    /// Makes the directory. A name that is given must be free; otherwise a free one is made from `stem`.
    package init(name: String?, stem: String, state: AbsolutePath) throws(SessionError) {
        let sessions = try StateDirectory.make("sessions", in: state)
        let chosen = try SessionDirectory.choose(name: name, stem: stem, in: sessions)
        try self.init(chosen, in: sessions, state)
    }

    /// Takes over the directory of a session that has ended, to go on with it.
    package init(continuing name: String, state: AbsolutePath) throws(SessionError) {
        try self.init(name, in: try StateDirectory.make("sessions", in: state), state)
    }

    private init(_ name: String, in sessions: String, _ state: AbsolutePath) throws(SessionError) {
        let path = sessions + "/" + name
        let lock = try SessionDirectory.lock(path, name)
        log = try SessionDirectory.openLog(path, name)
        self.lock = lock
        self.name = name
        self.path = path
        stock = state.string + "/placeholders"
    }

    private static func lock(_ path: String, _ name: String) throws(SessionError) -> Descriptor {
        guard let lock = try SessionLock.take(path) else {
            throw SessionError(
                step: "begin", reason: "session \(name) is running, or another command of box works on it")
        }
        return lock
    }

    private static func openLog(_ path: String, _ name: String) throws(SessionError) -> EventLog {
        do throws(LogError) {
            return try EventLog(path: "\(path)/\(LogParts.name)", session: name, partSize: partSize)
        } catch {
            throw SessionError(step: "start the session's log", reason: error.reason)
        }
    }

    /// When a part of the log is full.
    private static var partSize: Int { LogMutation.number("BOX_LOG_PART") ?? EventLog.partSize }

    private static func choose(name: String?, stem: String, in sessions: String) throws(SessionError)
        -> String
    {
        let step = "make the session"
        if let name {
            guard isValid(name: name) else {
                throw SessionError(
                    step: step,
                    reason:
                        "\"\(name.escapedForTerminal)\" is not a name for a session: a to z, 0 to 9 and -, a letter "
                        + "first, at most 64")
            }
            guard unsafe mkdir(sessions + "/" + name, 0o700) == 0 else {
                let code = errno
                guard code != EEXIST else {
                    throw SessionError(
                        step: step,
                        reason: SessionLock.isHeld(sessions + "/" + name)
                            ? "a session \(name) runs already. Choose another --name"
                            : "there is a session \(name) already. Choose another --name, or remove it: "
                                + "box rm \(name)")
                }
                throw SessionError(step: step, KernelError(call: "mkdir", code: code, subject: sessions))
            }
            return name
        }
        for _ in 0..<64 {
            let candidate = stem + "-" + suffix()
            if unsafe mkdir(sessions + "/" + candidate, 0o700) == 0 { return candidate }
            let code = errno
            guard code == EEXIST else {
                throw SessionError(
                    step: step, KernelError(call: "mkdir", code: code, subject: sessions),
                    hint: "Set XDG_STATE_HOME to a directory that you may write to")
            }
        }
        throw SessionError(step: step, reason: "no free name was found in \(sessions)")
    }

    /// Four letters and digits that are not easily taken for each other.
    private static func suffix() -> String {
        let alphabet = Array("abcdefghjkmnpqrstuvwxyz23456789")
        return String((0..<4).map { _ in alphabet[Int.random(in: 0..<alphabet.count)] })
    }

    /// A stem for names from the program's name.
    package static func stem(of command: String) -> String {
        let base = command.split(separator: "/").last.map(String.init) ?? command
        let kept = base.lowercased().filter { ("a"..."z").contains($0) || ("0"..."9").contains($0) }.prefix(
            20)
        return kept.first.map { ("a"..."z").contains($0) } == true ? String(kept) : "run"
    }

    /// Writes `session.json` anew, whole or not at all.
    package borrowing func record(_ fields: [(String, JSONOutput)]) throws(SessionError) {
        let record = JSONOutput.object([("version", .number(1)), ("name", .text(name))] + fields)
        do throws(KernelError) { try SessionRecordFile.write(record, in: path) } catch {
            throw SessionError(step: "write the session's record", error)
        }
    }

    /// Appends to the log; a log that cannot be written ends the session.
    package borrowing func append(_ event: Event) throws(SessionError) { try append([event]) }

    /// The same for several.
    package borrowing func append(_ events: [Event]) throws(SessionError) {
        do throws(LogError) { try log.append(events) } catch {
            throw SessionError(
                step: "go on", reason: "\(error.reason), and no session goes on without its log")
        }
    }
}

/// What a debug build can be told about logs, so that tests need not write as much as they hold.
enum LogMutation {
    /// The value of a variable; nil in any other build.
    static func number(_ name: String) -> Int? {
        #if DEBUG
            guard let text = unsafe getenv(name) else { return nil }
            return Int(unsafe String(cString: text))
        #else
            return nil
        #endif
    }
}
