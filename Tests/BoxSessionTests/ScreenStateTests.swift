import Testing

@testable import BoxSession

private let esc = "\u{1B}"

private func screen(_ input: String, rows: Int = 4, columns: Int = 10) -> Screen {
    var screen = Screen(rows: rows, columns: columns)
    screen.feed(Array(input.utf8))
    return screen
}

@Suite struct ScreenStateTests {
    static let modes = [
        "[?1h", "[?5h", "[?7l", "[?25l", "[?9h", "[?1000h", "[?1002h", "[?1003h", "[?1004h", "[?1005h",
        "[?1006h", "[?1015h", "[?1016h", "[?2004h", "[?2026h", "[?2031h", "[?2048h", "[?9001h", "[4h", "[12l",
        "[20h", "=", "[2 q", "[6 q", "[>4;2m", "[>1u", "[=5u", "(0", ")0", "]2;title\(esc)\\", "[2;3r",
        "[?1049h", "[1;3;38;2;1;2;3;48;5;77;58:5:3m",
    ]

    @Test(arguments: modes) func `a redraw brings back what was switched`(sequence: String) {
        let untouched = String(decoding: Screen(rows: 4, columns: 10).redraw, as: UTF8.self)
        let redraw = String(decoding: screen(esc + sequence).redraw, as: UTF8.self)
        let wanted = esc + (sequence.hasPrefix("[1;") ? "[0;" + sequence.dropFirst() : sequence)
        let times = { (text: String) in text.ranges(of: wanted).count }
        #expect(times(redraw) == times(untouched) + 1)
        // The opposite comes before it, if at all.
        let opposite = String(wanted.dropLast()) + (wanted.hasSuffix("h") ? "l" : "h")
        if let set = redraw.ranges(of: wanted).last, let reset = redraw.ranges(of: opposite).last {
            #expect(reset.lowerBound < set.lowerBound)
        }
    }

    static let answers = [
        ("\(esc)[c", "\(esc)[?62;22c"), ("\(esc)[0c", "\(esc)[?62;22c"), ("\(esc)Z", "\(esc)[?62;22c"),
        ("\(esc)[>c", "\(esc)[>1;0;0c"), ("\(esc)[=c", ""), ("\(esc)[5n", "\(esc)[0n"),
        ("ab\r\nc\(esc)[6n", "\(esc)[2;2R"), ("\(esc)[3;4H\(esc)[?6n", "\(esc)[?3;4R"),
        ("abcdefghij\(esc)[6n", "\(esc)[1;10R"), ("\(esc)[2;4r\(esc)[?6h\(esc)[2;3H\(esc)[6n", "\(esc)[2;3R"),
        ("\(esc)[?2026$p", "\(esc)[?2026;0$y"), ("\(esc)[4$p", "\(esc)[4;0$y"), ("\(esc)[?u", "\(esc)[?0u"),
        ("\(esc)[>5u\(esc)[?u", "\(esc)[?5u"), ("\(esc)[>5u\(esc)[<u\(esc)[?u", "\(esc)[?0u"),
        ("\(esc)[>1u\(esc)[?1049h\(esc)[?u", "\(esc)[?0u"), ("\(esc)[=3u\(esc)[=4;2u\(esc)[?u", "\(esc)[?7u"),
        ("\(esc)[=3u\(esc)[=1;3u\(esc)[?u", "\(esc)[?2u"),
        ("\(esc)[=3u\(esc)[>5u\(esc)[<2u\(esc)[?u", "\(esc)[?0u"),
        ("\(esc)[=3u\(esc)[>5u\(esc)[<u\(esc)[?u", "\(esc)[?3u"), ("\(esc)[18t", "\(esc)[8;4;10t"),
        ("\(esc)[>q", ""),
        ("\(esc)]11;?\u{7}\(esc)]10;?\u{7}\(esc)[14t\(esc)P$qm\(esc)\\\(esc)P+q436f\(esc)\\", ""),
    ]

    @Test(arguments: answers) func `a query is answered as terminals do`(query: String, answer: String) {
        var screen = screen(query)
        #expect(String(decoding: screen.takeAnswers(), as: UTF8.self) == answer)
        #expect(screen.takeAnswers() == [])
    }

    @Test func `answers that nobody takes are bounded and whole`() {
        var screen = screen(String(repeating: "\(esc)[c", count: 10_000))
        let answers = String(decoding: screen.takeAnswers(), as: UTF8.self)
        #expect(answers.utf8.count <= 4096 && answers.utf8.count > 4000)
        #expect(answers.replacing("\(esc)[?62;22c", with: "") == "")
    }

    @Test func `a title is bounded, and put aside`() {
        #expect(screen("\(esc)]0;a\u{7}").title == "a")
        #expect(screen("\(esc)]2;größe\(esc)\\").title == "größe")
        #expect(screen("\(esc)]1;icon\u{7}").title == "")
        #expect(screen("\(esc)]2;a\u{7}\(esc)[22;0t\(esc)]2;b\u{7}\(esc)[23;0t").title == "a")
        let long = screen("\(esc)]2;a\(String(repeating: "ö", count: 2000))\u{7}").title
        #expect(long == "a" + String(repeating: "ö", count: 511))
    }

    @Test func `a size out of bounds becomes one in them`() {
        #expect(Screen(rows: 0, columns: -5).rows == 1)
        #expect(Screen(rows: 0, columns: -5).columns == 1)
        var screen = Screen(rows: 5000, columns: 1001)
        #expect(screen.rows == 1000 && screen.columns == 1000)
        screen.resize(rows: 0, columns: 0)
        #expect(screen.rows == 1 && screen.columns == 1)
    }

    /// A new size, and the lines then with the cursor's row and column.
    struct Resize: Sendable {
        let input: String
        let size: (Int, Int)
        let lines: [String]
        let cursor: (Int, Int)
    }

    static let resizes = [
        Resize(input: "1\r\n2\r\n3\r\n4", size: (2, 10), lines: ["3", "4"], cursor: (1, 1)),
        Resize(input: "1\r\n2\r\n3\r\n4\(esc)[2;1H", size: (2, 10), lines: ["1", "2"], cursor: (1, 0)),
        Resize(input: "1\r\n2\r\n3\r\n4", size: (6, 5), lines: ["1", "2", "3", "4", "", ""], cursor: (3, 1)),
        Resize(input: "abcdefghij", size: (1, 5), lines: ["abcde"], cursor: (0, 4)),
        Resize(input: "日本語", size: (4, 3), lines: ["日", "", "", ""], cursor: (0, 2)),
        Resize(input: "日本語", size: (1, 1), lines: [""], cursor: (0, 0)),
        Resize(
            input: "1\r\n2\r\n3\r\n4\(esc)[?1049h\(esc)[2J\(esc)[Hx\(esc)[?1049l", size: (2, 10),
            lines: ["3", "4"],
            cursor: (1, 1)),
    ]

    @Test(arguments: resizes) func `a smaller screen keeps the cursor's line`(row: Resize) {
        var screen = screen(row.input)
        screen.resize(rows: row.size.0, columns: row.size.1)
        #expect(screen.text == row.lines)
        #expect(screen.cursor.row == row.cursor.0 && screen.cursor.column == row.cursor.1)
    }

    @Test func `the main screen below the alternate one keeps the line where the cursor was`() {
        var screen = screen("1\r\n2\r\n3\r\n4\(esc)[?1049h\(esc)[Hx")
        screen.resize(rows: 2, columns: 10)
        #expect(screen.text == ["x", ""])
        screen.feed(Array("\(esc)[?1049l".utf8))
        #expect(screen.text == ["3", "4"])
        #expect(screen.cursor.row == 1 && screen.cursor.column == 1)
    }

    @Test func `tab stops of new columns are every eight`() {
        var screen = screen("\(esc)[3g\(esc)[3G\(esc)H\r")
        screen.resize(rows: 4, columns: 40)
        screen.feed(Array("\ta\tb".utf8))
        #expect(screen.text.first == "  a             b")
    }

    @Test func `marks on one character are bounded, and so are different clusters`() {
        let many = screen("a" + String(repeating: "\u{301}", count: 1000))
        #expect(many.text.first?.unicodeScalars.count == ScreenClusters.longest)
        // More different ones than are kept, one after the other: what is on the screen has its marks.
        var screen = Screen(rows: 2, columns: 10)
        let marks = (0x300..<0x340).compactMap { Unicode.Scalar($0) }
        for first in marks {
            for second in marks {
                for third in marks.prefix(9) {
                    screen.feed(Array("\ra\(first)\(second)\(third)".utf8))
                }
            }
        }
        screen.feed(Array("\rb\u{301}\u{302}\u{303}".utf8))
        #expect(screen.text.first == "b\u{301}\u{302}\u{303}")
    }

    @Test func `an incomplete character is completed after a redraw`() {
        let text = Array("日本🙂".utf8)
        for end in text.indices {
            let one = screen(String(""))
            var first = one
            first.feed(Array(text[..<end]))
            var second = one
            second.feed(first.redraw)
            second.feed(Array(text[end...]))
            #expect(second.text.first == "日本🙂")
        }
    }

    @Test func `a redraw within an image's data goes on within one`() {
        var first = screen("a\(esc)Pq#0~~")
        var second = Screen(rows: 4, columns: 10)
        second.feed(first.redraw)
        for bytes in ["$-#1~~\(esc)", "\\b"] {
            first.feed(Array(bytes.utf8))
            second.feed(Array(bytes.utf8))
        }
        #expect(first.text.first == "ab")
        #expect(first == second)
    }

    @Test func `bytes that are no UTF-8 are shown as such`() {
        var screen = Screen(rows: 2, columns: 10)
        screen.feed([0x61, 0xFF, 0x62, 0xE6, 0x97, 0x63, 0xF0, 0x9F, 0x1B, 0x5B, 0x6D, 0x64])
        #expect(screen.text.first == "a\u{FFFD}b\u{FFFD}c\u{FFFD}d")
    }
}
