import BoxAudit
import BoxKernel
import BoxTypes
import Foundation
import Glibc
import Testing

@testable import BoxSession

/// What the store says of a session's directory, whatever is in it.
struct StoredSessionTests {
    private static let record = #"""
        {"version":1,"name":"work","agent":"claude","stem":"claude","command":["claude","-p"],"project":"/p",
        "workspace":"overlay","state":"finished","started":"2026-02-03T10:00:00.000Z",
        "ended":"2026-02-03T11:00:00.000Z","exit_status":3,"changes":2,"refusals":7,"supervisor":1}
        """#

    @Test func `a record is read as it was written`() throws {
        let scratch = try ScratchSession()
        try scratch.write(StoredSessionTests.record, to: "session.json")
        let found = scratch.found()
        #expect(found.state == .finished && found.damage == nil && found.agent == "claude")
        #expect(found.command == ["claude", "-p"] && found.project == "/p" && found.isStaged)
        #expect(found.exitStatus == 3 && found.changes == 2 && found.refusals == 7)
        #expect(found.ended == "2026-02-03T11:00:00.000Z")
    }

    /// Records that are none, and what is said of them.
    static let damages: [(content: String, why: String)] = [
        ("", "damaged"), ("{", "damaged"), ("null", "object"), ("[]", "object"),
        (String(record.prefix(record.utf8.count / 2)), "damaged"), ("\0\0\0\0", "damaged"),
        (record.replacing("\"version\":1", with: "\"version\":2"), "another version"),
        (record.replacing("\"finished\"", with: "\"asleep\""), "not complete"),
        (record.replacing("\"finished\"", with: "\"damaged\""), "not complete"),
        (record.replacing("\"/p\"", with: "null"), "not complete"),
        (record.replacing("\"started\"", with: "\"begun\""), "not complete"),
        (record.replacing("\"agent\"", with: "\"name\""), "damaged"),
        (String(repeating: "[", count: 100_000), "damaged"),
        ("\u{1b}]0;title\u{7}", "damaged"),
    ]

    @Test(arguments: damages.indices)
    func `a record that is none makes the session a damaged one`(_ index: Int) throws {
        let (content, why) = StoredSessionTests.damages[index]
        let scratch = try ScratchSession()
        try scratch.write(content, to: "session.json")
        let found = scratch.found()
        #expect(found.state == .damaged)
        #expect(found.damage?.contains(why) == true, "\(content.prefix(60)): \(found.damage ?? "-")")
    }

    @Test func `bytes that are no text, and a record without end, are damage`() throws {
        let scratch = try ScratchSession()
        try scratch.write([UInt8](repeating: 0xFF, count: 300), to: "session.json")
        #expect(scratch.found().state == .damaged)
        try scratch.write([UInt8](repeating: 0x20, count: 2 << 20), to: "session.json")
        #expect(scratch.found().damage?.contains("EFBIG") == true, "\(scratch.found())")
    }

    @Test(arguments: ["link", "directory", "fifo"])
    func `a record that is no file is neither followed nor waited for`(_ kind: String) throws {
        let scratch = try ScratchSession()
        try scratch.write(StoredSessionTests.record, to: "elsewhere")
        let path = scratch.directory + "/session.json"
        switch kind {
        case "link": unsafe symlink("elsewhere", path)
        case "directory": unsafe mkdir(path, 0o700)
        default:
            unsafe mkfifo(path, 0o600)
            unsafe mkfifo(scratch.directory + "/lock", 0o600)
        }
        #expect(scratch.found().state == .damaged, "\(scratch.found())")
        unsafe rmdir(path)
    }

    @Test func `what is no session's directory is damaged, and no link is followed`() throws {
        let scratch = try ScratchSession()
        try scratch.write(StoredSessionTests.record, to: "session.json")
        unsafe symlink("work", scratch.sessions + "/alias")
        unsafe mkdir(scratch.sessions + "/Bad\u{1b}[2Jname", 0o700)
        unsafe close(creat(scratch.sessions + "/file", 0o600))
        for (name, why) in [
            ("alias", "no directory"), ("file", "no directory"), ("Bad\u{1b}[2Jname", "name"),
        ] {
            let found = StoredSession(name, in: scratch.sessions, locks: LockTable())
            #expect(found.state == .damaged && found.damage?.contains(why) == true, "\(found)")
        }
    }

    @Test func `what says that it runs is interrupted unless somebody holds its lock`() throws {
        let scratch = try ScratchSession()
        let running = StoredSessionTests.record.replacing("\"finished\"", with: "\"running\"")
        try scratch.write(running, to: "session.json")
        #expect(scratch.found().state == .interrupted)
        var lock = try scratch.hold()
        #expect(lock !== nil)
        // It is held by this process, and the record has another one: a command of box works on it.
        #expect(scratch.found().state == .interrupted)
        try scratch.write(
            running.replacing("\"supervisor\":1", with: "\"supervisor\":\(getpid())"), to: "session.json")
        #expect(scratch.found().state == .running)
        // A lock is for one.
        #expect(try scratch.hold() === nil)
        lock = nil
        // A program that another test starts just now has all descriptors until it is executed.
        let end = ContinuousClock.now + .seconds(30)
        while scratch.found().state != .interrupted, ContinuousClock.now < end { poll(nil, 0, 5) }
        #expect(scratch.found().state == .interrupted)
    }

    @Test func `one without a record is begun while its lock is held, and damaged afterwards`() throws {
        let scratch = try ScratchSession()
        #expect(scratch.found().state == .damaged)
        let lock = try scratch.hold()
        #expect(lock !== nil && scratch.found().state == .running)
    }

    @Test func `looking whether it is held disturbs nobody who takes it`() throws {
        let scratch = try ScratchSession()
        try scratch.write("", to: "lock")
        // As `isHeld` does, for longer than it ever takes.
        let look = try Descriptor.open(scratch.directory + "/lock", O_RDONLY)
        try check("flock", flock(look.number, LOCK_SH))
        let number = look.release()
        let thread = Thread {
            poll(nil, 0, 6)
            flock(number, LOCK_UN)
            close(number)
        }
        thread.start()
        #expect(try scratch.hold() !== nil)
    }

    @Test func `a number of changes is noted and the rest of the record stays`() throws {
        let scratch = try ScratchSession()
        try scratch.write(StoredSessionTests.record, to: "session.json")
        try StoredSession.note(changes: 0, in: scratch.directory)
        var wanted = StoredSession("work", in: scratch.sessions, locks: LockTable())
        #expect(wanted.changes == 0 && wanted.exitStatus == 3 && wanted.command == ["claude", "-p"])
        // One that cannot be read stays as it is.
        try scratch.write("{", to: "session.json")
        try StoredSession.note(changes: 5, in: scratch.directory)
        wanted = scratch.found()
        #expect(wanted.state == .damaged)
    }

    @Test func `how long ago one ended is known also where nobody wrote it down`() throws {
        let scratch = try ScratchSession()
        try scratch.write(StoredSessionTests.record, to: "session.json")
        let end = try #require(Timestamp.milliseconds(of: "2026-02-03T11:00:00.000Z"))
        #expect(scratch.found().hasEnded(before: end + 1) && !scratch.found().hasEnded(before: end))
        try scratch.write("{", to: "session.json")
        let now = Timestamp.milliseconds()
        #expect(!scratch.found().hasEnded(before: now - 60_000))
        #expect(scratch.found().hasEnded(before: now + 60_000))
    }
}

/// The log as people read it.
struct LogTextTests {
    private func entry(_ fields: String) throws -> LogEntry {
        try #require(
            LogEntry(
                Array(#"{"time":"2026-02-03T10:22:31.500Z","session":"work",\#(fields),"chain":"0"}"#.utf8)[
                    ...])
        )
    }

    private func text(_ fields: String) throws -> String {
        var text = LogText(colour: false)
        return try #require(text.lines(try entry(fields)).last)
    }

    @Test func `a long command line is cut to the window, and its process is still told`() throws {
        let words = (0..<40).map { "\"word-\($0)\"" }.joined(separator: ",")
        let long = #""event":"exec","pid":14,"parent":11,"path":"/bin/ld","arguments":[\#(words)]"#
        var text = LogText(colour: false)
        let whole = try #require(text.lines(try entry(long)).last)
        #expect(whole.hasSuffix("word-38 word-39  [14 of 11]"))
        text.width = 80
        let cut = try #require(text.lines(try entry(long)).last)
        #expect(cut.count == 80 && cut.contains("  exec       word-0 word-1"))
        #expect(cut.hasSuffix("…  [14 of 11]"))
        // Others are whole, and so is what fits.
        let short = #""event":"exec","pid":7,"parent":2,"path":"/bin/sh","arguments":["sh","x y"]"#
        #expect(try #require(text.lines(try entry(short)).last).hasSuffix("exec       sh 'x y'  [7 of 2]"))
        text.width = 1
        #expect(try #require(text.lines(try entry(long)).last).hasSuffix("word-0 word…  [14 of 11]"))
    }

    static let lines: [(fields: String, shown: String)] = [
        (
            #""event":"session.start","command":["sh","-c","a b"],"project":"/p""#,
            "started    sh -c 'a b' in /p"
        ),
        (
            #""event":"session.end","exit_status":3,"ms":61000,"message":"why""#,
            "ended      status 3  after 1m01s: why"
        ),
        (
            #""event":"net.allow","host":"a.example","port":443,"via":"connect","rule":"*.example","process":"curl","pid":7"#,
            "allowed    a.example:443  by connect  rule *.example  curl[7]"
        ),
        (
            #""event":"net.deny","host":"::1","port":80,"reason":"address","detail":"loopback","count":4"#,
            "refused    [::1]:80  address (loopback)  4 times"
        ),
        (
            #""event":"net.close","host":"a","port":443,"bytes_up":10,"bytes_down":2000000,"ms":90"#,
            "closed     a:443  10 B up, 2 MB down, 90 ms"
        ),
        (
            #""event":"exec","pid":7,"parent":2,"path":"/bin/sh","arguments":["sh","x y"],"omitted":3"#,
            "exec       sh 'x y'  … 3 more  [7 of 2]"
        ),
        (#""event":"exec","path":"/bin/sh","count":12"#, "exec       /bin/sh  12 times"),
        (#""event":"exec","pid":7,"path":"/a","instead_of":"/b""#, "exec       /a  runs instead of /b  [7]"),
        (
            #""event":"exec.end","pid":7,"path":"/bin/sh","signal":9,"ms":1500"#,
            "exit       /bin/sh  signal 9  after 1.5 s  [7]"
        ),
        (#""event":"policy.change","action":"allow","rules":["a","b"]"#, "policy     allow  a b"),
        (#""event":"apply","applied":3,"left_out":1,"branch":"""#, "apply      3 changes  1 left out"),
        (
            #""event":"some.day","what":"else","n":-1,"deep":{"a":1},"yes":true"#,
            "some.day   what=else  n=-1  deep=…  yes=true"
        ),
        (
            #""event":"net.deny","host":"\u001b[2J\u202e\u0007\n","reason":"\u009b1m""#,
            #"refused    \x1b[2J\u{202e}\x07\n  \x9b1m"#
        ),
        (#""event":"\u001b[31m""#, #"\x1b[31m"#),
        (#""event":"net.deny""#, "refused    -"),
    ]

    @Test(arguments: lines.indices)
    func `an event is one line that no terminal obeys`(_ index: Int) throws {
        let (fields, shown) = LogTextTests.lines[index]
        let line = try text(fields)
        #expect(line.hasSuffix(shown), "\(line)")
        #expect(line.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7F..<0xA0).contains($0.value) })
    }

    @Test(arguments: [
        "", "x", "{}", "null", "[1]", #"{"time":"2026-02-03T10:22:31.500Z"}"#, #"{"event":"exec"}"#,
        #"{"time":"yesterday","event":"exec"}"#, #"{"time":5,"event":"exec"}"#,
        #"{"time":"2026-02-03T10:22:31.500Z","event":"exec""#,
        "{\"time\":\"2026-02-03T10:22:31.500Z\",\"event\":\"a\u{1}\"}",
    ])
    func `what is no event is none`(_ line: String) {
        #expect(LogEntry(Array(line.utf8)[...]) == nil)
    }

    @Test func `lines that cannot be wanted are not parsed, and others are`() throws {
        let denied = LogSelection(subjects: [.denied])
        let line = Array(
            #"{"time":"2026-02-03T10:22:31.500Z","session":"w","event":"net.allow","host":"net.deny"}"#.utf8)
        #expect(!denied.mayWant(line[...]) && LogSelection().mayWant(line[...]))
        #expect(LogSelection(subjects: [.network]).mayWant(line[...]))
        #expect(LogSelection(subjects: [.denied, .network]).mayWant(line[...]))
        #expect(denied.mayWant(Array("damaged".utf8)[...]), "it is to be told of")
        let entry = try entry(#""event":"net.deny""#)
        #expect(denied.wants(entry) && !LogSelection(subjects: [.programs]).wants(entry))
        #expect(
            !LogSelection(since: entry.time + 1).wants(entry) && LogSelection(since: entry.time).wants(entry))
    }

    @Test func `a log is read on where it ended, in any pieces`() throws {
        let scratch = try ScratchSession()
        let all =
            "first\n\nthird\n" + String(repeating: "x", count: LogReader.longestLine + 1) + "\nfifth\nsix"
        try scratch.write("", to: "events.jsonl")
        var reader = try LogReader(scratch.log)
        let file = try Descriptor.open(scratch.log, O_WRONLY | O_APPEND)
        var lines: [String] = []
        let bytes = Array(all.utf8)
        for start in stride(from: 0, to: bytes.count, by: 300_007) {
            try file.write(all: Array(bytes[start..<min(start + 300_007, bytes.count)]))
            try reader.read { number, line in
                #expect(number == lines.count + 1)
                switch line {
                case .text(let text): lines.append(String(decoding: text, as: UTF8.self))
                case .tooLong: lines.append("<too long>")
                }
            }
        }
        #expect(lines == ["first", "", "third", "<too long>", "fifth"] && reader.isTorn)
        try file.write(all: Array("th\n".utf8))
        try reader.read { _, line in
            if case .text(let text) = line { lines.append(String(decoding: text, as: UTF8.self)) }
        }
        #expect(lines.last == "sixth" && !reader.isTorn && reader.count == 6)
    }

    @Test func `times are read as people write them`() throws {
        let time = try #require(Timestamp.milliseconds(of: "2026-02-03T10:22:31.500Z"))
        #expect(time == 1_770_114_151_500)
        #expect(Timestamp.milliseconds(saying: "2026-02-03T10:22:31.500Z") == time)
        #expect(Timestamp.milliseconds(saying: "2026-02-03T10:22:31Z") == time - 500)
        let local = Timestamp.local(milliseconds: time)
        #expect(Timestamp.milliseconds(saying: "\(local.date) \(local.time)") == time - 500)
        #expect(Timestamp.milliseconds(saying: local.date) ?? 0 <= time)
        for bad in [
            "", "yesterday", "25:00", "10", "2026-13-01", "2026-02-03 10", "10:22 2026-02-03", "1:2:3",
            "-1:00",
        ] {
            #expect(Timestamp.milliseconds(saying: bad) == nil, "\(bad)")
        }
    }

    @Test(arguments: [
        (0, "0 ms"), (999, "999 ms"), (1000, "1.0 s"), (59_999, "59.9 s"), (60_000, "1m00s"),
        (192_000, "3m12s"),
        (7_500_000, "2h05m"), (86_400_000, "1d0h"), (-5, "0 ms"),
    ])
    func `durations are short`(_ milliseconds: Int, _ text: String) {
        #expect(LogText.duration(milliseconds: milliseconds) == text)
    }
}
