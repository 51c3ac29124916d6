import BoxAudit
import BoxKernel
import Glibc
import Testing

@testable import BoxSession

/// A log in several files: full ones are put aside, and it stays one log.
struct LogRotationTests {
    private static let size = 2000

    private func event(_ number: Int) -> Event { Event(.policyChange, [Event.Field("n", .number(number))]) }

    /// A log of so many events in small parts.
    private func scratch(_ count: Int) throws -> ScratchSession {
        let scratch = try ScratchSession()
        let log = try EventLog(path: scratch.log, session: scratch.name, partSize: LogRotationTests.size)
        for number in 1...count { try log.append(event(number)) }
        return scratch
    }

    private func numbers(_ reader: inout LogReader) throws -> [Int] {
        var found: [Int] = []
        try reader.read { _, line in
            guard case .text(let bytes) = line, let entry = LogEntry(bytes) else { return }
            found.append(entry.number("n") ?? -1)
        }
        return found
    }

    private func numbers(_ scratch: ScratchSession) throws -> [Int] {
        var reader = try LogReader(scratch.log)
        return try numbers(&reader)
    }

    private func parts(_ scratch: ScratchSession) throws -> [Int] { try LogParts(of: scratch.log).numbers }

    @Test func `a full file is put aside, and all of them are one log`() throws {
        let scratch = try scratch(100)
        let parts = try parts(scratch)
        #expect(parts.count > 3 && parts == Array(1...parts.count))
        for number in parts {
            let size = try FileStatus.of(
                "\(scratch.directory)/events.\(number).jsonl", following: false
            ).size
            #expect((LogRotationTests.size..<LogRotationTests.size + 300).contains(size))
        }
        #expect(try numbers(scratch) == Array(1...100))
        #expect(try scratch.verdict() == .whole(events: 100))
        // Whoever opens it next goes on with the same parts.
        let log = try EventLog(path: scratch.log, session: scratch.name, partSize: LogRotationTests.size)
        for number in 101...150 { try log.append(event(number)) }
        #expect(try numbers(scratch) == Array(1...150))
        #expect(try scratch.verdict() == .whole(events: 150))
        #expect(try self.parts(scratch).count > parts.count)
    }

    @Test func `who follows it loses no line and sees none twice`() throws {
        let scratch = try ScratchSession()
        let log = try EventLog(path: scratch.log, session: scratch.name, partSize: LogRotationTests.size)
        var reader = try LogReader(scratch.log)
        var found: [Int] = []
        var next = 1
        // So many lines between two looks: none, a part of a file, and several files.
        for count in [1, 0, 3, 14, 0, 80, 1, 1, 13, 13, 13, 200, 5] {
            for _ in 0..<count {
                try log.append(event(next))
                next += 1
            }
            found += try numbers(&reader)
            #expect(found == Array(1..<next))
        }
        #expect(reader.count == next - 1 && !reader.isTorn && reader.missing == nil)
    }

    @Test func `something is waited for in the directory, whatever file it goes to`() throws {
        let scratch = try scratch(20)
        let reader = try LogReader(scratch.log)
        let growth = try reader.growth()
        try scratch.append([event(21)])
        let start = Clock.milliseconds()
        try growth.wait(20_000)
        #expect(Clock.milliseconds() - start < 10_000)
    }

    /// What is left if box is ended while it puts a file aside.
    private static let crashes: [(name: String, make: @Sendable (String) throws -> Void)] = [
        (
            "the new file is made",
            { try Descriptor.open($0 + ".new", O_WRONLY | O_CREAT, mode: 0o600).close() }
        ),
        (
            "the full one is put aside",
            { log in
                try Descriptor.open(log + ".new", O_WRONLY | O_CREAT, mode: 0o600).close()
                let parts = try LogParts(of: log)
                try check("rename", unsafe rename(log, parts.path((parts.numbers.last ?? 0) + 1)))
            }
        ),
        (
            "the new one is in its place, and empty",
            { log in
                let parts = try LogParts(of: log)
                try check("rename", unsafe rename(log, parts.path((parts.numbers.last ?? 0) + 1)))
                try Descriptor.open(log, O_WRONLY | O_CREAT, mode: 0o600).close()
            }
        ),
    ]

    @Test(arguments: crashes.indices)
    func `an end in the middle of it loses nothing`(_ index: Int) throws {
        let (name, make) = LogRotationTests.crashes[index]
        let scratch = try scratch(30)
        try make(scratch.log)
        #expect(try numbers(scratch) == Array(1...30), "\(name)")
        #expect(try scratch.verdict() == .whole(events: 30), "\(name)")
        let log = try EventLog(path: scratch.log, session: scratch.name, partSize: LogRotationTests.size)
        for number in 31...60 { try log.append(event(number)) }
        #expect(try numbers(scratch) == Array(1...60), "\(name)")
        #expect(try scratch.verdict() == .whole(events: 60), "\(name)")
    }

    /// What somebody does to a log of 100 events in several parts.
    private static let edits: [(name: String, reason: String, edit: @Sendable (String) throws -> Void)] = [
        (
            "a part in the middle is taken out", "events.3.jsonl is missing",
            { try check("unlink", unsafe unlink($0 + "/events.3.jsonl")) }
        ),
        (
            "the first part is taken out", "events.1.jsonl is missing",
            { try check("unlink", unsafe unlink($0 + "/events.1.jsonl")) }
        ),
        (
            "the last full part is taken out", "it is not what was written",
            { directory in
                let parts = try LogParts(of: directory + "/events.jsonl")
                try check("unlink", unsafe unlink(parts.path(parts.numbers.last ?? 0)))
            }
        ),
        (
            "two are swapped", "it is not what was written",
            { directory in
                for (from, to) in [("1", "9999"), ("2", "1"), ("9999", "2")] {
                    try check(
                        "rename",
                        unsafe rename("\(directory)/events.\(from).jsonl", "\(directory)/events.\(to).jsonl"))
                }
            }
        ),
        (
            "a part is cut", "",
            { try check("truncate", unsafe truncate($0 + "/events.2.jsonl", 700)) }
        ),
        (
            "a part is emptied", "it is not what was written",
            { try check("truncate", unsafe truncate($0 + "/events.2.jsonl", 0)) }
        ),
    ]

    @Test(arguments: edits.indices)
    func `a part that is missing or damaged is found`(_ index: Int) throws {
        let (name, reason, edit) = LogRotationTests.edits[index]
        let scratch = try scratch(100)
        try edit(scratch.directory)
        guard case .bad(_, let found) = try scratch.verdict() else {
            Issue.record("\(name): \(try scratch.verdict())")
            return
        }
        #expect(found.hasPrefix(reason), "\(name): \(found)")
    }

    @Test func `the end that is missing is found by the record`() throws {
        let scratch = try scratch(100)
        let digest = try EventLog(path: scratch.log, session: "work").digest
        let record = """
            {"version":1,"name":"work","project":"/p","state":"finished","started":"2026-02-03T10:00:00.000Z",
             "chain":"\(digest)"}
            """
        try scratch.write(record, to: "session.json")
        #expect(try scratch.verdict() == .whole(events: 100))
        try check("unlink", unsafe unlink(scratch.log))
        guard case .cut(let events) = try scratch.verdict() else {
            Issue.record("\(try scratch.verdict())")
            return
        }
        #expect((50..<100).contains(events))
    }

    @Test(arguments: ["link", "fifo", "directory"])
    func `a part that is no file is not read`(_ kind: String) throws {
        let scratch = try scratch(100)
        let path = scratch.directory + "/events.2.jsonl"
        try check("unlink", unsafe unlink(path))
        switch kind {
        case "link": try check("symlink", unsafe symlink("/dev/zero", path))
        case "fifo": try check("mkfifo", unsafe mkfifo(path, 0o600))
        default: try check("mkdir", unsafe mkdir(path, 0o700))
        }
        var reader = try LogReader(scratch.log)
        #expect(throws: SessionError.self) { try reader.read { _, _ in } }
        if kind == "directory" { unsafe rmdir(path) }
    }

    @Test(arguments: [
        ("events.1.jsonl", 1), ("events.20.jsonl", 20), ("events.0.jsonl", nil), ("events.01.jsonl", nil),
        ("events.-1.jsonl", nil), ("events.+1.jsonl", nil), ("events.jsonl", nil), ("events..jsonl", nil),
        ("events.1.jsonl.new", nil), ("events.99999999999999999999.jsonl", nil), ("session.json", nil),
    ])
    func `only numbers are numbers of parts`(_ name: String, _ number: Int?) {
        #expect(LogParts.number(of: name.utf8) == number)
    }

    @Test func `a new file that cannot be made leaves the log as it is`() throws {
        let scratch = try ScratchSession()
        let log = try EventLog(path: scratch.log, session: "work", partSize: 100)
        try log.append(event(1))
        try check("mkdir", unsafe mkdir(scratch.log + ".new", 0o700))
        #expect(throws: LogError.self) { try log.append(event(2)) }
        #expect(try scratch.verdict() == .whole(events: 1))
        try check("rmdir", unsafe rmdir(scratch.log + ".new"))
        try log.append(event(2))
        #expect(try scratch.verdict() == .whole(events: 2))
        #expect(try parts(scratch) == [1])
    }
}
