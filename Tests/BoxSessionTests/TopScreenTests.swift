import BoxTypes
import Testing

@testable import BoxSession

/// What `box top` shows for given sessions, and what its keys do.
struct TopScreenTests {
    private static func session(_ name: String, _ change: (inout TopSession) -> Void = { _ in }) -> TopSession
    {
        var session = TopSession(name: name)
        session.agent = "claude"
        session.command = "claude --continue"
        session.project = "~/src/shop"
        session.workspace = "overlay"
        (session.age, session.cpuPercent, session.memory) = (59 * 60_000, 12, 123_400_000)
        session.traffic = .init(up: 1234, down: 5_600_000, upRate: 0, downRate: 2048)
        (session.refusals, session.changes) = (3, .init(count: 300, isAll: false))
        session.refused = [.init(host: "telemetry.example.net", port: 443, count: 3, reason: "host")]
        session.current = "cc -c main.c"
        change(&session)
        return session
    }

    private static let hostile = session("evil") {
        $0.agent = "\u{1b}[2J\u{202e}x"
        $0.project = "/tmp/\u{1b}]0;title\u{07}"
        $0.current = "\u{1b}[31mrm\r\n日本語日本語日本語日本語日本語 e\u{301}\u{301}\u{301} \u{200b}👩‍👩‍👧"
        $0.refused = [.init(host: "\u{9b}6n.例え", port: 1, count: 2, reason: "\u{1b}c")]
        $0.limits = [LimitHit(name: "disk", detail: "a\u{1b}[5mb")]
    }

    private func screen(_ sessions: [TopSession], colour: Bool = false) -> TopScreen {
        var screen = TopScreen(colour: colour)
        screen.clock = "10:22:31"
        screen.show(sessions)
        return screen
    }

    /// The text without the colours that the screen puts in.
    private func plain(_ line: String) -> String {
        line.replacing(/\u{1b}\[[0-9;]*m/, with: "")
    }

    /// Nothing is wider than the screen, nothing is left over, and nothing moves the cursor.
    private func check(_ lines: [String], _ rows: Int, _ columns: Int) {
        #expect(lines.count == rows)
        for line in lines {
            #expect(TopText.width(line) <= columns, "\(columns): \(line)")
            #expect(
                plain(line).unicodeScalars.allSatisfy {
                    $0.value >= 0x20 && !(0x7f..<0xa0).contains($0.value)
                        && !(0x200b...0x200f).contains($0.value) && !(0x2028...0x202e).contains($0.value)
                }, "\(line)")
        }
    }

    private static let sizes: [(Int, Int)] = [
        (24, 80), (24, 1), (1, 1), (1, 80), (2, 3), (3, 500), (5, 20), (13, 40), (60, 500), (24, 79),
        (12, 120),
    ]

    @Test(arguments: sizes, [0, 1, 2, 60])
    func `every screen fits, whatever it shows`(size: (Int, Int), count: Int) {
        let sessions = (0..<count).map { $0 % 3 == 1 ? Self.hostile : Self.session("quinn-\($0)") }
        let named = sessions.enumerated().map { number, session in
            var session = session
            session.name = "\(session.name)-\(number)"
            return session
        }
        for colour in [true, false] {
            var screen = screen(named, colour: colour)
            check(screen.lines(rows: size.0, columns: size.1), size.0, size.1)
            for keys in ["j", "jjjjjj", "?", "x", "s", "n", "a", "x", "l", "kk", "q", "G"] {
                for key in keys { _ = screen.take(.character(key), rows: size.0) }
                screen.log = [String](
                    repeating: "\u{1b}[31m10:22:31\u{1b}[0m  \(Self.hostile.project.escapedForTerminal) 日本",
                    count: 70)
                check(screen.lines(rows: size.0, columns: size.1), size.0, size.1)
            }
        }
    }

    @Test func `a screen of the usual size shows everything`() {
        var screen = screen([Self.session("quinn"), Self.session("ada") { $0.state = .paused(["time"]) }])
        let lines = screen.lines(rows: 24, columns: 80).map(plain)
        #expect(
            lines[0] == "box top  2 sessions run, 1 of them paused                               10:22:31")
        #expect(
            lines[1] == "NAME  AGENT  STATE    AGE  CPU  MEM   IN  OUT  REF  CHG COMMAND                 ")
        #expect(
            lines[2] == "quinn claude running  59m  12% 123M 5.6M 1.2K    3 300+ cc -c main.c            ")
        #expect(
            lines[3] == "ada   claude paused   59m  12% 123M 5.6M 1.2K    3 300+ cc -c main.c            ")
        #expect(lines[15].hasPrefix("-- quinn -----"))
        #expect(lines.contains("project   ~/src/shop  overlay"))
        #expect(lines.contains("network   in 5.6 MB (2 KB/s), out 1.2 KB (0 B/s)"), "\(lines)")
        #expect(lines.contains("refused   telemetry.example.net  3 times"))
        #expect(lines[23].contains("q quit"))
    }

    @Test func `where there is less room the less important columns go first`() {
        let session = Self.session("quinn")
        func head(_ columns: Int) -> [Substring] {
            TopTable([session], columns: columns).head.split(separator: " ")
        }
        #expect(head(50) == ["NAME", "STATE", "CPU", "MEM", "IN", "REF", "CHG", "COMMAND"], "\(head(50))")
        #expect(head(40) == ["NAME", "STATE", "CPU", "REF", "CHG", "COMMAND"], "\(head(40))")
        #expect(head(14) == ["NAME", "STATE"])
        #expect(head(5) == ["NAME"] && head(1) == ["…"])
        #expect(head(500).last == "COMMAND" && TopText.width(TopTable([session], columns: 500).head) == 500)
    }

    @Test func `the chosen session stays in view and stays chosen`() {
        let all = (0..<60).map { Self.session("s\($0)") }
        var screen = screen(all)
        func shown() -> [String] { screen.lines(rows: 24, columns: 80).map(plain) }
        #expect(shown()[2].hasPrefix("s0 "))
        for _ in 0..<30 { _ = screen.take(.down, rows: 24) }
        #expect(screen.chosen?.name == "s30" && shown().contains { $0.hasPrefix("s30 ") })
        _ = screen.take(.end, rows: 24)
        #expect(screen.chosen?.name == "s59" && shown().contains { $0.hasPrefix("s59 ") })
        _ = screen.take(.pageUp, rows: 24)
        #expect(screen.chosen?.name == "s47")
        // Another order, and some are gone.
        screen.show(all.reversed().filter { $0.name != "s59" })
        #expect(screen.chosen?.name == "s47" && shown().contains { $0.hasPrefix("s47 ") })
        screen.show(all.filter { $0.name != "s47" })
        #expect(screen.chosen != nil)
        screen.show([])
        #expect(screen.chosen == nil && shown()[2] == "no session runs. box run starts one")
        _ = screen.take(.up, rows: 24)
        screen.show([all[7]])
        #expect(screen.chosen?.name == "s7")
    }

    @Test func `a session is ended after a question only`() {
        var screen = screen([Self.session("quinn")])
        #expect(screen.take(.character("s"), rows: 24) == nil)
        #expect(screen.lines(rows: 24, columns: 80).last.map(plain) == "end session quinn? [y/N]")
        #expect(screen.take(.character("n"), rows: 24) == nil && screen.mode == .list)
        _ = screen.take(.character("s"), rows: 24)
        #expect(screen.take(.character("y"), rows: 24) == .stop("quinn"))
        _ = screen.take(.character("s"), rows: 24)
        screen.show([])
        #expect(screen.mode == .list && screen.take(.character("y"), rows: 24) == nil)
    }

    @Test func `a refused host is allowed by its sign`() {
        var screen = screen([
            Self.session("quinn") {
                $0.refused = (1...12).map {
                    .init(host: "h\($0).example", port: $0 == 2 ? 8080 : 443, count: 1, reason: "host")
                }
                $0.refused.insert(.init(host: "slow.example", port: 443, count: 1, reason: "rate"), at: 0)
                $0.refused.append(.init(host: "fd00::1", port: 0, count: 1, reason: "address"))
            }
        ])
        _ = screen.take(.character("a"), rows: 24)
        let lines = screen.lines(rows: 24, columns: 80).map(plain)
        #expect(
            lines.contains { $0.hasPrefix("1  h1.example  once") && $0.contains("8  h8.example") }, "\(lines)"
        )
        #expect(!lines.contains { $0.contains("slow.example") })
        #expect(screen.take(.character("2"), rows: 24) == .allow(session: "quinn", place: "h2.example:8080"))
        _ = screen.take(.character("a"), rows: 24)
        #expect(screen.take(.character("d"), rows: 24) == .allow(session: "quinn", place: "[fd00::1]"))
        for key in [TopKey.character("z"), .escape, .character("i")] {
            _ = screen.take(.character("a"), rows: 24)
            #expect(screen.take(key, rows: 24) == nil && screen.mode == .list)
        }
        screen.show([Self.session("quinn") { $0.refused = [] }])
        #expect(screen.take(.character("a"), rows: 24) == nil && screen.mode == .list)
        #expect(screen.message?.contains("no refused host") == true)
    }

    @Test func `keys act on what the session is`() {
        var screen = screen([Self.session("quinn")])
        #expect(screen.take(.character("p"), rows: 24) == .pause("quinn"))
        #expect(screen.take(.enter, rows: 24) == nil && screen.message?.contains("detached") == true)
        #expect(screen.take(.character("l"), rows: 24) == .openLog("quinn"))
        #expect(screen.take(.character("q"), rows: 24) == .closeLog)
        screen.show([Self.session("quinn") { ($0.state, $0.isDetached) = (.paused(["user"]), true) }])
        #expect(screen.take(.character("p"), rows: 24) == .resume("quinn"))
        #expect(screen.take(.enter, rows: 24) == .attach("quinn"))
        screen.show([Self.session("quinn") { $0.state = .ended(.finished, status: 0) }])
        for key in "aps" { #expect(screen.take(.character(key), rows: 24) == nil && screen.message != nil) }
        #expect(screen.take(.character("q"), rows: 24) == .quit)
        #expect(screen.take(.interrupt, rows: 24) == .quit && screen.take(.suspend, rows: 24) == .suspend)
    }

    @Test func `the log shows its end, and scrolls`() {
        var screen = screen([Self.session("quinn")])
        _ = screen.take(.character("l"), rows: 10)
        screen.log = (1...100).map { "line \($0)" }
        func shown() -> [String] { screen.lines(rows: 10, columns: 40).map(plain) }
        #expect(shown()[0] == "quinn: log" && shown()[8] == "line 100")
        _ = screen.take(.pageUp, rows: 10)
        #expect(shown()[8] == "line 93")
        _ = screen.take(.home, rows: 10)
        #expect(shown().contains("line 1"))
        _ = screen.take(.end, rows: 10)
        screen.log.append("a line that is too long for a window that is so narrow")
        #expect(shown()[7] == "a line that is too long for a window tha")
        #expect(shown()[8].hasSuffix("t is so narrow"))
    }

    // MARK: - Text

    @Test(arguments: [
        ("abc", 3, "abc"), ("abcd", 3, "ab…"), ("abc", 0, ""), ("abc", 1, "…"), ("日本語", 6, "日本語"),
        ("日本語", 5, "日本…"), ("日本語", 4, "日…"), ("日本語", 2, "…"), ("e\u{301}e\u{301}e", 2, "e\u{301}…"),
        ("\u{1b}[31mabcd\u{1b}[0m", 3, "\u{1b}[31mab…\u{1b}[0m"),
        ("\u{1b}[31mabc\u{1b}[0m", 3, "\u{1b}[31mabc\u{1b}[0m"),
    ])
    func `a text is cut by the columns that it takes`(text: String, columns: Int, expected: String) {
        #expect(TopText.cut(text, to: columns) == expected)
        #expect(TopText.width(TopText.fit(text, columns)) == columns)
    }

    @Test(arguments: [
        (0, "0"), (999, "999"), (1000, "1.0K"), (1234, "1.2K"), (9949, "9.9K"), (9950, "10K"),
        (45_600_000, "46M"),
        (999_499, "999K"), (999_999, "1.0M"), (1 << 40, "1.1T"), (Int.max, "9.2E"), (-5, "0"),
    ])
    func `a size has at most four characters`(bytes: Int, text: String) {
        #expect(TopText.size(bytes) == text)
    }

    @Test(arguments: [
        ("\u{1b}[A", [TopKey.up]), ("\u{1b}OB", [.down]), ("\u{1b}[5~", [.pageUp]), ("q", [.character("q")]),
        ("\u{3}", [.interrupt]), ("\r", [.enter]), ("\u{1b}[1;5A", [.up]), ("\u{1b}[3~", []),
        ("\u{1b}[?1;2c", []), ("ä", []), ("j\u{1b}[Bk", [.character("j"), .down, .character("k")]),
        ("\u{1b}x", [.escape, .character("x")]),
    ])
    func `keys are found in what a terminal sends, in one piece or in many`(text: String, keys: [TopKey]) {
        var whole = TopKeys()
        #expect(whole.take(Array(text.utf8)) == keys)
        #expect(!whole.isUndecided)
        var pieces = TopKeys()
        #expect(text.utf8.flatMap { pieces.take([$0]) } == keys)
    }

    @Test func `an escape alone is a key when nothing follows`() {
        var keys = TopKeys()
        #expect(keys.take([0x1b]) == [] && keys.isUndecided)
        #expect(keys.settle() == [.escape] && !keys.isUndecided)
    }
}
