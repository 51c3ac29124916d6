internal import BoxAudit
internal import BoxKernel
internal import BoxPlan
internal import BoxTypes
internal import Glibc

/// A session as its directory tells, whether it runs, has ended, or is damaged. Nothing that is read there is trusted.
package struct StoredSession: Equatable, Sendable {
    package enum State: String, Equatable, Sendable, CaseIterable {
        case running, finished, failed
        /// Its record says that it runs, but it does not: it was killed, or the machine went down.
        case interrupted
        /// Its record cannot be read.
        case damaged
    }

    /// The name of its directory. Only that of a damaged one may be no name for a session.
    package let name: String
    /// `sessions/NAME`.
    package let directory: String
    /// The directory of all sessions.
    let place: String
    package var state: State
    /// Why it is damaged.
    package var damage: String?
    /// The agent's name; nil for any other command.
    package var agent: String?
    /// What its name was made from.
    package var stem = ""
    package var command: [String] = []
    /// The directory that it belongs to.
    package var project = ""
    package var workspace = ""
    /// In RFC 3339, as all times.
    package var started = ""
    package var ended: String?
    package var exitStatus: Int?
    /// How many changes it had at its end, less what was taken since.
    package var changes: Int?
    /// How many requests were refused; nil while it runs.
    package var refusals: Int?
    package var supervisor: Int32?
    /// Whether it can be attached to.
    package var isDetached = false
    /// What there was to say at its end.
    package var message: String?
    /// The digest of the log's last event when it ended.
    package var chain: String?

    /// The log of what happened in it.
    package var log: String { "\(directory)/\(LogParts.name)" }

    /// Whether it works in a stage, so that its changes can be counted.
    package var isStaged: Bool { ["overlay", "copy"].contains(workspace) }

    /// Looks at one session.
    init(_ name: String, in sessions: String, locks: LockTable) {
        self.name = name
        place = sessions
        directory = sessions + "/" + name
        state = .damaged
        do throws(Damage) {
            let status: FileStatus
            do throws(KernelError) { status = try FileStatus.of(directory, following: false) } catch {
                throw Damage("\(error)")
            }
            guard status.kind == .directory else { throw Damage("it is no directory") }
            guard SessionDirectory.isValid(name: name) else { throw Damage("its name is none for a session") }
            guard let record = try SessionRecordFile.read(directory) else {
                // It is made before its record.
                guard SessionLock.isHeld(directory) else {
                    throw Damage("it has no record: box was ended before it began")
                }
                state = .running
                return
            }
            try take(record, locks)
        } catch { damage = error.reason }
    }

    struct Damage: Error {
        let reason: String
        init(_ reason: String) { self.reason = reason }
    }

    private mutating func take(_ record: SessionRecordFile, _ locks: LockTable) throws(Damage) {
        guard record.number("version") == 1 else { throw Damage("another version of box made it") }
        guard let said = record.text("state").flatMap(State.init), said != .interrupted, said != .damaged,
            let project = record.text("project"), let started = record.text("started")
        else { throw Damage("its record is not complete") }
        self.project = project
        self.started = started
        agent = record.text("agent")
        stem = record.text("stem") ?? ""
        command = record.list("command")
        workspace = record.text("workspace") ?? ""
        ended = record.text("ended")
        exitStatus = record.number("exit_status")
        changes = record.number("changes")
        refusals = record.number("refusals")
        supervisor = record.number("supervisor").flatMap { Int32(exactly: $0) }
        isDetached = record.flag("detached")
        message = record.text("message")
        chain = record.text("chain")
        guard said == .running else {
            state = said
            return
        }
        state = locks.isHeld(directory, by: supervisor) ? .running : .interrupted
    }
}

/// Who holds locks, as the kernel says. It is asked when a session is found locked, and then once.
final class LockTable {
    /// The processes that hold an exclusive lock, by the file's number. Which disk that is on is not told the same way
    /// everywhere, so two files may share one.
    private var known: [UInt64: [Int32]]?

    /// Whether a session's supervisor holds its lock, and not another command that works on it.
    func isHeld(_ directory: String, by supervisor: Int32?) -> Bool {
        guard SessionLock.isHeld(directory) else { return false }
        let known = holders(directory)
        guard let supervisor, !known.isEmpty else { return true }
        return known.contains(supervisor)
    }

    /// Who may hold the lock of a session; nobody where the kernel does not tell.
    func holders(_ directory: String) -> [Int32] {
        guard let status = try? FileStatus.of(directory + "/lock", following: false) else { return [] }
        return table()[status.inode] ?? []
    }

    private func table() -> [UInt64: [Int32]] {
        if let known { return known }
        var found: [UInt64: [Int32]] = [:]
        // 1: FLOCK  ADVISORY  WRITE 12345 fe:01:1234567 0 EOF
        for line in SmallFile.read("/proc/locks")?.split(separator: "\n") ?? [] {
            let words = line.split(separator: " ")
            guard words.count > 5, words[1] == "FLOCK", words[3] == "WRITE", let pid = Int32(words[4]),
                let inode = words[5].split(separator: ":").last.flatMap({ UInt64($0) })
            else { continue }
            found[inode, default: []].append(pid)
        }
        known = found
        return found
    }
}

/// A session's `session.json` as it is read.
struct SessionRecordFile {
    private let members: [JSONMember]

    private static let name = "session.json"
    private static let longest = 1 << 20

    /// nil: there is none.
    static func read(_ directory: String) throws(StoredSession.Damage) -> SessionRecordFile? {
        let bytes: [UInt8]
        do throws(KernelError) {
            let file = try Descriptor.open(
                "\(directory)/\(name)", O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
            guard try FileStatus.of(file.number).kind == .file else {
                throw KernelError(call: "read", code: EINVAL, subject: name)
            }
            bytes = try file.readAll(limit: longest)
        } catch {
            if error.code == ENOENT { return nil }
            throw StoredSession.Damage("its record cannot be read: \(error.call): \(errorText(error.code))")
        }
        do throws(JSONError) {
            guard case .object(let members) = try JSONValue(parsing: bytes).content else {
                throw JSONError(position: TextPosition(line: 1, column: 1), reason: "an object is expected")
            }
            return SessionRecordFile(members: members)
        } catch { throw StoredSession.Damage("its record is damaged: \(error)") }
    }

    private func content(_ key: String) -> JSONValue.Content? {
        members.first { $0.key == key }?.value.content
    }

    func text(_ key: String) -> String? {
        if case .string(let text)? = content(key) { text } else { nil }
    }

    func number(_ key: String) -> Int? {
        if case .number(let number)? = content(key) { Int(number.text) } else { nil }
    }

    func flag(_ key: String) -> Bool {
        if case .bool(let value)? = content(key) { value } else { false }
    }

    func list(_ key: String) -> [String] {
        guard case .array(let all)? = content(key) else { return [] }
        return all.compactMap { if case .string(let text) = $0.content { text } else { nil } }
    }

    /// The record with another number under a key, for writing; nil where it has something that box does not write.
    func output(_ key: String, _ number: Int) -> JSONOutput? {
        var fields: [(String, JSONOutput)] = []
        for member in members where member.key != key {
            guard let value = JSONOutput(member.value.content) else { return nil }
            fields.append((member.key, value))
        }
        return .object(fields + [(key, .number(number))])
    }

    /// Writes a record; a reader sees the old one or the new one.
    static func write(_ record: JSONOutput, in directory: String) throws(KernelError) {
        let temporary = "\(directory)/\(name).new"
        let flags = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW
        let file = try Descriptor.open(temporary, flags, mode: 0o600)
        do throws(KernelError) {
            try file.write(all: Array((record.pretty + "\n").utf8))
            try check("rename", unsafe rename(temporary, "\(directory)/\(name)"), temporary)
        } catch {
            _ = unsafe unlink(temporary)
            throw error
        }
    }
}

extension JSONOutput {
    /// What was read, to be written again; nil for numbers that box does not write.
    fileprivate init?(_ content: JSONValue.Content) {
        switch content {
        case .null: self = .null
        case .bool(let value): self = .bool(value)
        case .string(let text): self = .text(text)
        case .number(let number):
            guard let value = Int(number.text) else { return nil }
            self = .number(value)
        case .array(let all):
            var values: [JSONOutput] = []
            for value in all {
                guard let output = JSONOutput(value.content) else { return nil }
                values.append(output)
            }
            self = .list(values)
        case .object(let members):
            var fields: [(String, JSONOutput)] = []
            for member in members {
                guard let output = JSONOutput(member.value.content) else { return nil }
                fields.append((member.key, output))
            }
            self = .object(fields)
        }
    }
}
