import BoxAudit
import BoxKernel
import Glibc
import Testing

@testable import BoxSession

/// A session's directory in a scratch place, removed afterwards.
final class ScratchSession {
    let sessions: String
    let name: String
    var directory: String { sessions + "/" + name }
    var log: String { directory + "/events.jsonl" }

    init(_ name: String = "work") throws {
        var template = Array("/tmp/box-store-XXXXXX".utf8CString)
        sessions = unsafe String(cString: try #require(unsafe mkdtemp(&template)))
        self.name = name
        try check("mkdir", unsafe mkdir(sessions + "/" + name, 0o700))
    }

    deinit {
        for entry in DirectoryListing.names(of: sessions) {
            for file in DirectoryListing.names(of: sessions + "/" + entry) {
                unsafe unlink("\(sessions)/\(entry)/\(file)")
            }
            unsafe rmdir(sessions + "/" + entry)
            unsafe unlink(sessions + "/" + entry)
        }
        unsafe rmdir(sessions)
    }

    func write(_ text: String, to file: String) throws { try write(Array(text.utf8), to: file) }

    func write(_ bytes: [UInt8], to file: String) throws {
        let file = try Descriptor.open(
            "\(directory)/\(file)", O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
        try file.write(all: bytes)
    }

    func append(_ events: [Event]) throws {
        let log = try EventLog(path: log, session: name)
        for event in events { try log.append(event) }
    }

    /// The log's lines, without their ends.
    func lines() throws -> [String] {
        let bytes = try Descriptor.open(log, O_RDONLY).readAll(limit: 1 << 20)
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    /// Takes the session's lock; nil if somebody has it.
    func hold() throws -> Hold? {
        guard let lock = try SessionLock.take(directory) else { return nil }
        return Hold(lock)
    }

    /// A lock as a value that can be compared with nil.
    final class Hold {
        private let lock: Descriptor
        init(_ lock: consuming Descriptor) { self.lock = lock }
    }

    func found() -> StoredSession { StoredSession(name, in: sessions, locks: LockTable()) }

    func verdict() throws -> LogVerdict { try LogVerdict.of(found()) }
}

/// The log of a session: how its lines are tied together, and what is found of those who touch them.
struct EventLogTests {
    private static let events = (1...5).map { number in
        Event(
            .netDeny,
            [
                Event.Field("host", .text("host\(number).example.com\u{1b}[2J\n\u{202e}")),
                Event.Field("port", .number(443)), Event.Field("list", .list(["a\"b", "c\\"])),
            ])
    }

    @Test func `a log as it was written is whole, whoever went on with it`() throws {
        let scratch = try ScratchSession()
        try scratch.append(EventLogTests.events)
        #expect(try scratch.verdict() == .whole(events: 5))
        // Another process opens it again.
        try scratch.append([Event(.apply, [])])
        try scratch.append([Event(.undo, [Event.Field("undone", .number(3))])])
        #expect(try scratch.verdict() == .whole(events: 7))
        #expect(try scratch.lines().allSatisfy { $0.hasPrefix("{\"time\":\"") && $0.hasSuffix("\"}") })
    }

    @Test func `the digest is what anybody can compute`() throws {
        // printf '%s' 'box events of work' | sha256sum, and so on from there.
        var chain = EventChain(session: "work")
        #expect(chain.text == "de3413b18d28f5966675f542300e90ce")
        let line = chain.add(Array(#"{"a":1}"#.utf8))
        #expect(
            String(decoding: line, as: UTF8.self) == #"{"a":1,"chain":"c657a1dc80cc28a4b482bde1128fb96b"}"#)
        var reader = EventChain(session: "work")
        let hasFollowed = reader.follow(line[...])
        #expect(hasFollowed && reader == chain)
        let again = reader.follow(line[...])
        #expect(!again, "a line twice is not the log")
        var other = EventChain(session: "play")
        let isOther = other.follow(line[...])
        #expect(!isOther, "a line of another session's log is not this one's")
    }

    /// What somebody does to a log of five lines, and which line is the first that is not as it was.
    static let edits: [(name: String, first: Int, edit: @Sendable (inout [String]) -> Void)] = [
        ("a character is changed", 3, { $0[2] = $0[2].replacing("host3", with: "host9") }),
        ("a line is taken out", 2, { $0.remove(at: 1) }),
        ("the first is taken out", 1, { $0.removeFirst() }),
        ("two are swapped", 4, { $0.swapAt(3, 4) }),
        ("one is there twice", 5, { $0.insert($0[3], at: 4) }),
        ("one without digest is put in", 2, { $0.insert(#"{"time":"x","event":"exec"}"#, at: 1) }),
        (
            "one with a digest of its own is put in", 1,
            { $0.insert(#"{"time":"x","chain":"00000000000000000000000000000000"}"#, at: 0) }
        ),
        ("a digest is changed", 5, { $0[4] = String($0[4].dropLast(3)) + #"z"}"# }),
        ("space is put in", 1, { $0[0] = $0[0].replacing("{\"time\"", with: "{ \"time\"") }),
        ("a line is emptied", 2, { $0[1] = " " }),
        ("a line is cut", 3, { $0[2] = String($0[2].prefix(40)) }),
    ]

    @Test(arguments: edits.indices)
    func `what was changed later is found, with its line`(_ index: Int) throws {
        let (name, first, edit) = EventLogTests.edits[index]
        let scratch = try ScratchSession()
        try scratch.append(EventLogTests.events)
        var lines = try scratch.lines()
        edit(&lines)
        try scratch.write(lines.map { $0 + "\n" }.joined(), to: "events.jsonl")
        guard case .bad(let line, _) = try scratch.verdict() else {
            Issue.record("\(name): \(try scratch.verdict())")
            return
        }
        #expect(line == first, "\(name)")
    }

    @Test func `an end that is missing is found where the session's record tells of it`() throws {
        let scratch = try ScratchSession()
        try scratch.append(EventLogTests.events)
        let digest = try EventLog(path: scratch.log, session: "work").digest
        let record = """
            {"version":1,"name":"work","project":"/p","state":"finished","started":"2026-02-03T10:00:00.000Z",
             "chain":"\(digest)"}
            """
        try scratch.write(record, to: "session.json")
        #expect(try scratch.verdict() == .whole(events: 5))
        // What comes after the session's end is no matter of the record.
        try scratch.append([Event(.apply, [])])
        #expect(try scratch.verdict() == .whole(events: 6))
        let lines = try scratch.lines()
        try scratch.write(lines.prefix(4).map { $0 + "\n" }.joined(), to: "events.jsonl")
        #expect(try scratch.verdict() == .cut(events: 4))
        try scratch.write("", to: "events.jsonl")
        #expect(try scratch.verdict() == .cut(events: 0))
    }

    @Test func `a line that was cut off does not break what comes after it`() throws {
        let scratch = try ScratchSession()
        try scratch.append(EventLogTests.events)
        let lines = try scratch.lines()
        let torn = lines.map { $0 + "\n" }.joined() + lines[4].prefix(60)
        try scratch.write(torn, to: "events.jsonl")
        #expect(try scratch.verdict() == .bad(line: 6, reason: "its end is missing"))
        try scratch.append([Event(.discard, [])])
        let now = try scratch.lines()
        #expect(now.count == 7 && now[6].contains("\"discard\""))
        // The whole lines are still tied together.
        try scratch.write((lines + [now[6]]).map { $0 + "\n" }.joined(), to: "events.jsonl")
        #expect(try scratch.verdict() == .whole(events: 6))
    }

    @Test func `the last line is found behind much that is none`() throws {
        let scratch = try ScratchSession()
        try scratch.append(EventLogTests.events)
        let lines = try scratch.lines()
        let junk = String(repeating: String(repeating: "x", count: 999) + "\n", count: 300)
        try scratch.write(lines.map { $0 + "\n" }.joined() + junk, to: "events.jsonl")
        try scratch.append([Event(.discard, [])])
        let last = try #require(try scratch.lines().last)
        try scratch.write((lines + [last]).map { $0 + "\n" }.joined(), to: "events.jsonl")
        #expect(try scratch.verdict() == .whole(events: 6))
    }

    @Test func `a full disk takes no half line`() async {
        // A limit of the process is as good as a full disk, so it is one of its own.
        await #expect(processExitsWith: .success) {
            let scratch = try ScratchSession()
            try scratch.append([Event(.discard, [])])
            let size = try FileStatus.of(scratch.log, following: false).size
            let log = try EventLog(path: scratch.log, session: "work")
            signal(SIGXFSZ, SIG_IGN)
            let none = rlim_t.max
            var limit = rlimit(rlim_cur: rlim_t(size + 20), rlim_max: none)
            try check("setrlimit", unsafe setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit))
            #expect(throws: LogError.self) { try log.append(Event(.apply, [])) }
            limit.rlim_cur = none
            try check("setrlimit", unsafe setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit))
            #expect(try FileStatus.of(scratch.log, following: false).size == size)
            try log.append(Event(.undo, []))
            #expect(try scratch.verdict() == .whole(events: 2))
        }
    }

    @Test(arguments: ["link", "dangling link", "directory", "fifo"])
    func `a log that is none is neither written nor read`(_ kind: String) throws {
        let scratch = try ScratchSession()
        let victim = scratch.directory + "/victim"
        try scratch.write("precious\n", to: "victim")
        switch kind {
        case "link": unsafe symlink(victim, scratch.log)
        case "dangling link": unsafe symlink(scratch.directory + "/nothing", scratch.log)
        case "directory": unsafe mkdir(scratch.log, 0o700)
        default: unsafe mkfifo(scratch.log, 0o600)
        }
        #expect(throws: LogError.self) { _ = try EventLog(path: scratch.log, session: "work") }
        #expect(throws: SessionError.self) { try scratch.verdict() }
        let bytes = try Descriptor.open(victim, O_RDONLY).readAll(limit: 100)
        #expect(bytes == Array("precious\n".utf8))
        #expect(unsafe access(scratch.directory + "/nothing", F_OK) != 0)
        unsafe rmdir(scratch.log)
    }

    @Test func `a log that others could read is closed to them`() throws {
        let scratch = try ScratchSession()
        try scratch.append(EventLogTests.events)
        unsafe chmod(scratch.log, 0o644)
        try scratch.append([Event(.apply, [])])
        #expect(try FileStatus.of(scratch.log, following: false).mode == 0o600)
    }
}
