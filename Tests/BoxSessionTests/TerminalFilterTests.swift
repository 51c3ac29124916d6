import BoxSession
import Testing

private let esc = "\u{1B}"

/// The terminal's side of one test: what goes in, in one piece, and what comes out at the end.
private func filtered(_ input: [UInt8], _ mode: TerminalFilter.Mode = .relayed, console: Bool = false)
    -> [UInt8]
{
    var filter = TerminalFilter(mode: mode, isLinuxConsole: console)
    return filter.filter(input) + filter.flush()
}

private func shown(_ bytes: [UInt8]) -> String {
    bytes.map { (0x20..<0x7F).contains($0) ? String(UnicodeScalar($0)) : "<\(String($0, radix: 16))>" }
        .joined()
}

/// One row of a table.
struct Row: CustomTestStringConvertible, Sendable {
    let input: [UInt8]
    let output: [UInt8]
    var testDescription: String { "\(shown(input)) → \(shown(output))" }

    init(_ input: [UInt8], _ output: [UInt8]) {
        self.input = input
        self.output = output
    }
    init(_ input: String, _ output: String) { self.init(Array(input.utf8), Array(output.utf8)) }
    /// A sequence that passes, between two letters.
    init(passes sequence: String) { self.init("a\(sequence)z", "a\(sequence)z") }
    /// A sequence that is removed, between two letters.
    init(removes sequence: String) { self.init("a\(sequence)z", "az") }
    /// Raw bytes that pass or are removed.
    init(_ bytes: [UInt8], passes: Bool) {
        self.init([0x61] + bytes + [0x7A], [0x61] + (passes ? bytes : []) + [0x7A])
    }
}

@Suite struct TerminalFilterTests {
    static let harmless: [Row] = [
        "\(esc)[31m", "\(esc)[38;2;1;2;3m", "\(esc)[4:3m", "\(esc)[m", "\(esc)[2J", "\(esc)[H",
        "\(esc)[10;20H",
        "\(esc)[A", "\(esc)[?25l", "\(esc)[?1049h", "\(esc)[?1000;1006h", "\(esc)[?2004h", "\(esc)[22;0;0t",
        "\(esc)[23;0;0t", "\(esc)[>4;2m", "\(esc)[>1u", "\(esc)[<u", "\(esc)[=5;1u", "\(esc)[u", "\(esc)[s",
        "\(esc)[2 q", "\(esc)[!p", "\(esc)[?3;4l", "\(esc)[4l", "\(esc)[1;24r", "\(esc)[?8c", "\(esc)[>4n",
        "\(esc)[0%m", "\(esc)[?2026h", "\(esc)[3b", "\(esc)[1$r", "\(esc)c", "\(esc)7", "\(esc)8", "\(esc)=",
        "\(esc)>", "\(esc)M", "\(esc)(0", "\(esc)(B", "\(esc))0", "\(esc)#8", "\(esc)%G", "\(esc) F",
        "\(esc)\\",
        "\(esc)]0;title\u{7}", "\(esc)]2;größe — 日本語 ś\(esc)\\", "\(esc)]1;icon\u{7}", "\(esc)]0;\u{7}",
        "\(esc)]8;;https://example.com/a;b\(esc)\\", "\(esc)]8;id=1;file://host/tmp/x\u{7}",
        "\(esc)]8;;\(esc)\\",
        "\(esc)]4;1;rgb:ff/00/00\(esc)\\", "\(esc)]10;#ffffff\u{7}", "\(esc)]104\u{7}", "\(esc)]112\(esc)\\",
        "\(esc)]9;done\u{7}", "\(esc)]9;4;1;50\(esc)\\", "\(esc)]777;notify;a;b\u{7}", "\(esc)]133;A\u{7}",
        "\(esc)]133;D;0\u{7}", "\(esc)ktitle\(esc)\\", "\(esc)Pzz\(esc)\\", "\(esc)Pq#0~~$-\n#1~\(esc)\\",
        "\(esc)P0;1;0q~\(esc)\\", "\u{7}", "\r\n", "\t", "\u{8}", "\u{E}\u{F}", "\u{0}", "\u{18}",
    ].map { Row(passes: $0) }

    @Test(arguments: harmless) func `a harmless sequence passes byte for byte in both modes`(row: Row) {
        #expect(filtered(row.input, .relayed) == row.output)
        #expect(filtered(row.input, .oneWay) == row.output)
    }

    static let harmful: [Row] = [
        "\u{5}",
        "\(esc)]52;c;aGVsbG8=\u{7}", "\(esc)]52;c;aGVsbG8=\(esc)\\", "\(esc)]52;c;?\u{7}",
        "\(esc)]052;c;YQ==\u{7}",
        "\(esc)]5522;type=read\(esc)\\", "\(esc)]1337;Copy=:YQ==\u{7}",
        "\(esc)]1337;File=name=YQ==:YQ==\u{7}",
        "\(esc)]50;?\u{7}", "\(esc)]50;$(id)\u{7}", "\(esc)]46;/tmp/log\u{7}", "\(esc)]3;A=b\u{7}",
        "\(esc)]51;[\"call\",\"x\",[]]\u{7}", "\(esc)]60\(esc)\\", "\(esc)]7;file://h/etc\u{7}",
        "\(esc)]6;x\u{7}",
        "\(esc)]9;7;calc\u{7}", "\(esc)]9;12\u{7}", "\(esc)]9;\u{7}", "\(esc)]99;i=x:p=?;\(esc)\\",
        "\(esc)]777;precmd\u{7}", "\(esc)]133;A;click_events=1\u{7}", "\(esc)]633;E;rm\u{7}",
        "\(esc)]21;a=?\u{7}",
        "\(esc)]8;;ssh://x\(esc)\\", "\(esc)]8;;x-man-page://x\u{7}", "\(esc)]8;;javascript:x\u{7}",
        "\(esc)]l title\(esc)\\", "\(esc)]\u{7}", "\(esc)];x\u{7}", "\(esc)]99999999999999999999;x\u{7}",
        "\(esc)]0;a\u{1}b\u{7}", "\(esc)]0;a\nb\(esc)\\", "\(esc)]0;a\u{5}\u{7}",
        "\(esc)P$qid;\(esc)\\", "\(esc)P+q6b75;id\(esc)\\", "\(esc)P+q６\(esc)\\", "\(esc)P+p6b75\(esc)\\",
        "\(esc)P1;1|17/6c73\(esc)\\",
        "\(esc)P0!z6c73\(esc)\\", "\(esc)P@kitty-cmd{}\(esc)\\", "\(esc)Ptmux;x\(esc)\\",
        "\(esc)P1$tx\(esc)\\",
        "\(esc)_Ga=q;AAAA\(esc)\\", "\(esc)Xtext\(esc)\\", "\(esc)^text\(esc)\\",
        "\(esc)[20t", "\(esc)[21t", "\(esc)[021t", "\(esc)[2t", "\(esc)[8;1;1t", "\(esc)[t", "\(esc)[50t",
        "\(esc)[>2t",
        "\(esc)[i", "\(esc)[5i", "\(esc)[?4i", "\(esc)[1;1;1;1;1;1*y", "\(esc)[1*z", "\(esc)[2;1y",
        "\(esc)[?2l", "\(esc)[?1;2l", "\(esc)[?38h", "\(esc)[?46h", "\(esc)[2h", "\(esc)[62;0\"p",
        "\(esc)[1+p",
        "\(esc)%@", "\(esc)%/G", "\(esc) G", "\(esc)!x", "\(esc)GQ", "\(esc)[[",
        "\(esc)[?65538l", "\(esc)[4294967302n", "\(esc)[12;2]", "\(esc)P1000p\(esc)\\", "\(esc)[1?2h",
        "\(esc)[??1h", "\(esc)[1 1q", "\(esc)[1 $q",
    ].map { Row(removes: $0 == "\(esc)GQ" ? "\(esc)G" : $0) }

    @Test(arguments: harmful) func `a harmful sequence is removed in both modes`(row: Row) {
        #expect(filtered(row.input, .relayed) == row.output)
        #expect(filtered(row.input, .oneWay) == row.output)
    }

    static let queries: [Row] = [
        "\(esc)[6n", "\(esc)[5n", "\(esc)[?6n", "\(esc)[?996n", "\(esc)[c", "\(esc)[0c", "\(esc)[>c",
        "\(esc)[=c",
        "\(esc)Z", "\(esc)[x", "\(esc)[?u", "\(esc)[?4m", "\(esc)[>q", "\(esc)[?2026$p", "\(esc)[4$p",
        "\(esc)[1$w",
        "\(esc)[14t", "\(esc)[16t", "\(esc)[18t", "\(esc)[19t", "\(esc)[?1;1;0S", "\(esc)[1$u", "\(esc)[#|",
        "\(esc)]10;?\u{7}", "\(esc)]11;?\(esc)\\", "\(esc)]4;0;?\u{7}", "\(esc)]12;?\u{7}",
        "\(esc)P$qm\(esc)\\",
        "\(esc)P$q q\(esc)\\", "\(esc)P+q436f;6B75\(esc)\\",
    ].map { Row(passes: $0) }

    @Test(arguments: queries) func `a query passes only where the program gets the answer`(row: Row) {
        #expect(filtered(row.input, .relayed) == row.output)
        #expect(filtered(row.input, .oneWay) == Array("az".utf8))
        var filter = TerminalFilter(mode: .relayed)
        _ = filter.filter(row.input)
        #expect(filter.queries == 1)
    }

    static let eightBit: [Row] = [
        Row([0x9B, 0x33, 0x31, 0x6D], passes: true),
        Row([0xC2, 0x9B, 0x33, 0x31, 0x6D], passes: true),
        Row([0x9B] + "21t".utf8, passes: false),
        Row([0xC2, 0x9B] + "21t".utf8, passes: false),
        Row([0x9D] + "52;c;YQ==".utf8 + [0x9C], passes: false),
        Row([0x9D] + "52;c;YQ==".utf8 + [0x07], passes: false),
        Row([0xC2, 0x9D] + "52;c;YQ==".utf8 + [0xC2, 0x9C], passes: false),
        Row([0x9D] + "0;title".utf8 + [0x9C], passes: true),
        Row([0xC2, 0x9D] + "0;title".utf8 + [0xC2, 0x9C], passes: true),
        // Ends that terminals disagree about.
        Row([0x1B, 0x5D] + "0;title".utf8 + [0x9C], passes: false),
        Row([0x9D] + "0;title".utf8 + [0x1B, 0x5C], passes: false),
        Row([0x90] + "$qx".utf8 + [0x9C], passes: false),
        Row([0x9F] + "Ga=q".utf8 + [0x9C], passes: false),
        Row([0x98] + "x".utf8 + [0x9C], passes: false),
        Row([0x9E] + "x".utf8 + [0x9C], passes: false),
        Row([0x85], passes: true),  // NEL
        Row([0x9C], passes: true),
        Row([0x1B, 0x5D] + "0;".utf8 + [0xC5, 0x9C, 0xC5, 0x9B, 0xC3, 0x9D, 0x07], passes: true),
        Row(Array("ś ŝ Ý ✐ 🜛 ẛ \u{A0} ° é".utf8), passes: true),
        // Not UTF-8: the C1 byte counts.
        Row([0xE0, 0x9B] + "21t".utf8, [0xE0]), Row([0xE0, 0x9B] + "2J".utf8, [0xE0, 0x9B] + "2J".utf8),
        Row([0xE2, 0x82, 0x41], passes: true),
        Row([0xFF, 0xFE, 0xA0, 0xC0, 0xC2], passes: true),
    ]

    @Test(arguments: eightBit) func `C1 controls are known in every spelling, and UTF-8 text is text`(
        row: Row
    ) {
        #expect(shown(filtered(row.input)) == shown(row.output))
    }

    static let interrupted: [Row] = [
        Row("a\(esc)[31\(esc)[32mb", "a\(esc)[32mb"),
        Row("a\(esc)[31\u{18}b", "a\u{18}b"),
        Row("a\(esc)]0;x\u{18}b", "a\u{18}b"),
        Row("a\(esc)]0;x\(esc)[32mb", "a\(esc)[32mb"),
        Row("a\(esc)]0;x\(esc)]52;c;YQ==\u{7}b", "ab"),
        Row("a\(esc)\(esc)[32mb", "a\(esc)[32mb"),
        Row("a\(esc)Ptmux;\(esc)\(esc)]52;c;YQ==\u{7}\(esc)\\b", "a\(esc)\\b"),
        Row("a\(esc)[3\n1mb", "a\(esc)[3\n1mb"),
        Row("a\(esc)[2\n1tb", "a\nb"),
        Row("a\(esc)[3\u{5}1mb", "a\(esc)[31mb"),
        Row("a\(esc)[3éb", "aéb"),
        Row("a\(esc)éb", "aéb"),
        Row("a\(esc)\r]0;x\u{7}b", "a\(esc)\r]0;x\u{7}b"),
        Row("a\(esc)Pq~~\(esc)[32mb", "a\(esc)Pq~~\(esc)\\\(esc)[32mb"),
        Row("a\(esc)Pq~~é\u{5}~\(esc)\\b", "a\(esc)Pq~~~\(esc)\\b"),
        Row("a\(esc)", "a"), Row("a\(esc)[3", "a"), Row("a\(esc)]0;x", "a"), Row("a\(esc)]0;x\(esc)", "a"),
        Row("a\(esc)Pq~", "a\(esc)Pq~\(esc)\\"),
    ]

    @Test(arguments: interrupted) func `an interrupted or unfinished sequence does nothing`(row: Row) {
        #expect(shown(filtered(row.input)) == shown(row.output))
    }

    @Test(arguments: harmless + harmful + queries + eightBit + interrupted)
    func `every way to split a sequence gives the same result`(row: Row) {
        for mode in [TerminalFilter.Mode.relayed, .oneWay] {
            let whole = filtered(row.input, mode)
            for first in 0...row.input.count {
                for second in first...row.input.count {
                    var filter = TerminalFilter(mode: mode)
                    var out = filter.filter(row.input[..<first])
                    out += filter.filter(row.input[first..<second])
                    out += filter.filter(row.input[second...])
                    out += filter.flush()
                    #expect(out == whole, "split at \(first) and \(second)")
                }
            }
        }
    }

    @Test func `the Linux console's commands without an end pass there and only there`() {
        let palette = Array("a\(esc)]P1ff0000b\(esc)]Rc".utf8)
        #expect(filtered(palette, console: true) == palette)
        #expect(filtered(palette) == Array("a".utf8))
    }

    @Test func `an endless string is dropped without being kept, and ends at the next escape`() {
        var filter = TerminalFilter(mode: .relayed)
        #expect(filter.filter(Array("a\(esc)]0;".utf8)) == Array("a".utf8))
        let much = [UInt8](repeating: 0x78, count: 1 << 16)
        for _ in 0..<64 { #expect(filter.filter(much).isEmpty) }
        #expect(filter.filter(Array("\u{7}b".utf8)) == Array("b".utf8))
        #expect(filter.removed == 1)
        #expect(filter.filter(Array("\(esc)[".utf8) + [UInt8](repeating: 0x31, count: 5000) + [0x6D]).isEmpty)
        #expect(filter.filter(Array("c".utf8)) == Array("c".utf8))
    }

    @Test func `text is passed on at once, only an incomplete sequence waits`() {
        var filter = TerminalFilter(mode: .relayed)
        #expect(filter.filter(Array("abc\(esc)".utf8)) == Array("abc".utf8))
        #expect(filter.filter(Array("[3".utf8)).isEmpty)
        #expect(filter.filter(Array("1mx".utf8)) == Array("\(esc)[31mx".utf8))
        #expect(filter.filter([0xE2, 0x82]) == [0xE2, 0x82])
        #expect(filter.filter([0xAC]) == [0xAC])
    }

    @Test(arguments: 0..<20) func `random UTF-8 text passes unchanged however it is cut`(seed: UInt64) {
        var random = Sequence64(state: seed &+ 1)
        var text = String.UnicodeScalarView()
        while text.count < 4000 {
            let wide = random.next() & 3
            let limit: UInt64 = wide == 0 ? 0x80 : wide == 1 ? 0x800 : wide == 2 ? 0x1_0000 : 0x11_0000
            guard let scalar = UnicodeScalar(UInt32(random.next() % limit)) else { continue }
            if scalar.value == 5 || scalar.value == 0x1B || (0x80..<0xA0).contains(scalar.value) { continue }
            text.append(scalar)
        }
        let bytes = Array(String(text).utf8)
        var filter = TerminalFilter(mode: .oneWay)
        var out: [UInt8] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = rest.prefix(Int(random.next() % 50) + 1)
            out += filter.filter(piece)
            rest = rest.dropFirst(piece.count)
        }
        #expect(out + filter.flush() == bytes)
    }

    /// Random mixtures of what matters to the filter.
    @Test(arguments: 0..<200) func `nothing harmful gets through any mixture of fragments`(seed: UInt64) {
        let fragments: [[UInt8]] = [
            [0x1B], [0x5B], [0x5D], [0x50], [0x9B], [0x9D], [0x90], [0x9C], [0xC2], [0xC2, 0x9B],
            [0xC2, 0x9D], [0x07],
            [0x05], [0x18], [0x5C], [0xE2], [0xE2, 0x82], [0x0A], [0x3F], [0x24], Array("52;c;YQ==".utf8),
            Array("0;t".utf8), Array("21t".utf8), Array("31m".utf8), Array("q".utf8), Array("tmux;".utf8),
            [0x1B, 0x5D],
        ]
        var random = Sequence64(state: seed &+ 77)
        var input: [UInt8] = []
        for _ in 0..<400 { input += fragments[Int(random.next() % UInt64(fragments.count))] }
        var filter = TerminalFilter(mode: .oneWay)
        var out: [UInt8] = []
        var rest = input[...]
        while !rest.isEmpty {
            let piece = rest.prefix(Int(random.next() % 9) + 1)
            out += filter.filter(piece)
            rest = rest.dropFirst(piece.count)
        }
        out += filter.flush()
        #expect(out == filtered(input, .oneWay))
        // What is passed is in order by itself: a second filter takes nothing out.
        #expect(shown(filtered(out, .oneWay)) == shown(out))
        #expect(!out.contains(0x05))
        for harmful in ["\(esc)]52", "\(esc)[21t", "\(esc)P$", "\(esc)Ptmux"] {
            #expect(!contains(out, Array(harmful.utf8)))
        }
    }

    @Test(arguments: StartupStream.all) func `a full-screen program's output passes unchanged`(
        stream: StartupStream
    ) {
        var filter = TerminalFilter(mode: .relayed)
        filter.resized(rows: 24)
        #expect(shown(filter.filter(stream.bytes)) == shown(stream.bytes))
        #expect(filter.modes.isInOrder)
        #expect(filter.removed == 0)
        #expect(filter.flush().isEmpty)
    }
}

@Suite struct TerminalModesTests {
    static let resets: [(String, String)] = [
        ("\(esc)[?1049h", "\(esc)[?1049l"),
        ("\(esc)[?1049h\(esc)[?1049l", ""),
        ("\(esc)[?25l", "\(esc)[?25h"),
        ("\(esc)[?1000;1006h", "\(esc)[?1000l\(esc)[?1006l"),
        ("\(esc)[?2004h\(esc)[?1004h", "\(esc)[?1004l\(esc)[?2004l"),
        ("\(esc)[?1h\(esc)=", "\(esc)[?1l\(esc)>"),
        ("\(esc)[31mred", "\(esc)[m"),
        ("\(esc)[31;1mred\(esc)[39;22m", ""),
        ("\(esc)[38;2;0;0;1mx\(esc)[0m", ""), ("\(esc)[38:5:1mx\(esc)[39m", ""),
        ("\(esc)[4:0m\(esc)[24m", ""),
        ("\(esc)[38;5;1mx\(esc)[39m", ""),
        ("\(esc)[1;5r", "\(esc)7\(esc)[r\(esc)8"), ("\(esc)[1;5r\(esc)[r", ""),
        ("\(esc)[>1u\(esc)[?1049h\(esc)[>3u\(esc)[>5u", "\(esc)[<2u\(esc)[?1049l\(esc)[<1u"),
        ("\(esc)[>1u\(esc)[<u", ""), ("\(esc)[=1u", "\(esc)[=0u"),
        ("\(esc)[>4;2m", "\(esc)[>4m"), ("\(esc)[>4;2m\(esc)[>4;m", ""), ("\(esc)[>4;2m\(esc)[>4m", ""),
        ("\(esc)(0", "\(esc)(B\u{F}"), ("\(esc)(0\(esc)(B", ""),
        ("\(esc)]8;;http://a\(esc)\\x", "\(esc)]8;;\(esc)\\"),
        ("\(esc)]8;;http://a\(esc)\\x\(esc)]8;;\(esc)\\", ""),
        ("\(esc)]11;#000000\u{7}", "\(esc)]111\(esc)\\"), ("\(esc)]11;?\u{7}", ""),
        ("\(esc)]12;red\u{7}\(esc)]112\u{7}", ""),
        ("\(esc)[4 q", "\(esc)[0 q"), ("\(esc)[4h", "\(esc)[4l"), ("\(esc)[?7l", "\(esc)[?7h"),
        ("plain text\r\n", ""), ("\(esc)[?2l", ""), ("\(esc)]52;c;a\u{7}", ""),
    ]

    @Test(arguments: resets) func `what was left switched on is switched off, and nothing else`(
        output: String, reset: String
    ) {
        var filter = TerminalFilter(mode: .relayed)
        _ = filter.filter(Array(output.utf8))
        #expect(shown(filter.resetSequence) == shown(Array(reset.utf8)))
        #expect(filter.modes.isInOrder == reset.isEmpty)
        // The reset leaves everything in order.
        _ = filter.filter(filter.resetSequence)
        #expect(filter.modes.isInOrder)
    }
}

private func contains(_ bytes: [UInt8], _ part: [UInt8]) -> Bool {
    guard bytes.count >= part.count else { return false }
    return (0...(bytes.count - part.count)).contains { bytes[$0...].starts(with: part) }
}

/// A small generator of repeatable numbers (xorshift).
struct Sequence64 {
    var state: UInt64
    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }
}
