/// Streams of text and sequences as programs write them, mixed by a seed.
struct ScreenStream {
    private var random: Sequence64
    let rows: Int
    let columns: Int
    private var isAlternate = false

    init(seed: UInt64, rows: Int, columns: Int) {
        random = Sequence64(state: seed &* 0x9E37_79B9_7F4A_7C15 | 1)
        for _ in 0..<8 { _ = random.next() }
        self.rows = rows
        self.columns = columns
    }

    mutating func below(_ bound: Int) -> Int { Int(random.next() % UInt64(bound)) }
    mutating func pick<Element>(_ all: [Element]) -> Element { all[below(all.count)] }

    /// A number to give to a sequence: mostly small, sometimes missing or too large.
    private mutating func number(_ most: Int) -> String {
        switch below(10) {
        case 0: ""
        case 1: "0"
        case 2: "\(below(3 * most) + 1)"
        default: "\(below(most) + 1)"
        }
    }

    private mutating func word() -> String {
        let letters = Array("abcdefghijklmnopqrstuvwxyz ABCDEF 0123456789 .,;:!?-_/\\|~`{}")
        return String((0...below(12)).map { _ in pick(letters) })
    }

    /// Text with wide characters, marks and symbols.
    mutating func wideWord() -> String {
        pick([
            "日本語", "ｆｕｌｌ", "한국", "漢", "─┼│", "e\u{301}", "n\u{303}\u{323}", "größe", "🙂", "🇩", "👍🏽", "☃",
            "✅", "Ω≈ç", "\u{5D0}\u{5B8}", "क्षि", "👩\u{200D}💻", "❤\u{FE0F}", "▓▒░", "\u{E0B0}", "…", "ｶﾞ", "가",
            "\u{1F468}",
        ])
    }

    /// Puts the cursor somewhere, absolutely.
    mutating func goto() -> String { "\u{1B}[\(below(rows) + 1);\(below(columns) + 1)H" }

    mutating func rendition() -> String {
        let one = [
            "", "0", "1", "2", "3", "4", "5", "7", "8", "9", "21", "22", "23", "24", "25", "27", "28", "29",
            "31", "39",
            "42", "49", "93", "104", "38;5;\(below(256))", "48;5;\(below(256))", "38;2;1;\(below(256));3",
            "48;2;\(below(256));2;3", "4:3", "4:2", "4:0", "58:5:\(below(256))", "58:2::4:5:\(below(256))",
            "59",
            "38:2::9:8:\(below(256))", "48:2:7:8:9", "38:5:77", "58;5;9", "58;2;1;2;3",
        ]
        return "\u{1B}[" + (0...below(3)).map { _ in pick(one) }.joined(separator: ";") + "m"
    }

    /// One thing that a program writes.
    mutating func token() -> String {
        switch below(20) {
        case 0...5: word()
        case 6, 7: wideWord()
        case 8: pick(["\r\n", "\n", "\r", "\u{8}", "\t", "\u{B}", "\u{7}", "\u{E}", "\u{F}"])
        case 9, 10: goto()
        case 11, 12: rendition()
        case 13: "\u{1B}[\(number(rows))\(pick(["A", "B", "d", "e", "E", "F", "L", "M", "S", "T"]))"
        case 14: "\u{1B}[\(number(columns))\(pick(["C", "D", "G", "`", "a", "@", "P", "X", "I", "Z"]))"
        case 15: "\u{1B}[\(pick(["", "0", "1", "2", "3"]))\(pick(["J", "K"]))"
        case 16:
            pick(["\u{1B}7", "\u{1B}8", "\u{1B}D", "\u{1B}E", "\u{1B}M", "\u{1B}H", "\u{1B}[s", "\u{1B}[u"])
        case 17: state()
        case 18: pick(["x\u{1B}[\(below(30))b", "\u{1B}[\(number(rows));\(number(rows))r", "\u{1B}[r"])
        default: String(repeating: word(), count: below(8))
        }
    }

    /// Something that changes how the terminal goes on.
    private mutating func state() -> String {
        switch below(8) {
        case 0:
            let mode = [
                1, 5, 6, 7, 25, 66, 9, 1000, 1002, 1003, 1004, 1006, 1015, 2004, 2026, 2031, 2048, 9001,
            ]
            return "\u{1B}[?\(pick(mode))\(pick(["h", "l"]))"
        case 1: return "\u{1B}[\(pick([4, 12, 20]))\(pick(["h", "l", "l"]))"
        case 2: return "\u{1B}[?\(pick([47, 1047, 1049, 1048]))\(pick(["h", "l"]))"
        case 3: return pick(["\u{1B}(0", "\u{1B}(B", "\u{1B})0", "\u{1B})B", "\u{1B}=", "\u{1B}>"])
        case 4:
            return
                "\u{1B}[\(pick([">1u", ">5u", "<u", "<2u", "=3u", "=1;2u", "=1;3u", ">4;2m", ">4;1m", ">4m"]))"
        case 5: return "\u{1B}[\(below(7)) q"
        case 6:
            return pick(["\u{1B}]0;a title\u{7}", "\u{1B}]2;größe\u{1B}\\", "\u{1B}[22;0t", "\u{1B}[23;2t"])
        default:
            return pick([
                "\u{1B}[g", "\u{1B}[3g", "\u{1B}#8", "\u{1B}[!p", "\u{1B}c", "\u{1B}]8;;http://a\u{1B}\\",
            ])
        }
    }

    /// So many things, as bytes.
    mutating func bytes(_ count: Int) -> [UInt8] {
        var out: [UInt8] = []
        for _ in 0..<count { out += token().utf8 }
        return out
    }
}

/// Streams that xterm and tmux understand in the same way. They disagree
/// - what becomes of a full row's end when the cursor is moved from there,
/// - whether inserted lines move the cursor to the left, and whether there are any outside the region,
/// - how many cursors are saved, and what with them,
/// - what is repeated or inserted after a wrapped line's end,
/// - whether a backspace leaves a line at its beginning,
/// - what remains of a wide character whose half is erased,
/// - and tmux mistakes what is inserted if it is more than what is moved.
extension ScreenStream {
    mutating func agreedToken() -> String {
        let column = "\u{1B}[\(below(columns) + 1)G"
        switch below(12) {
        case 0...3: return word()
        case 4: return pick(["\r\n", "\n", "\r", "\u{1B}[2G\u{8}", column + "\t", "\u{7}"])
        case 5: return goto()
        case 6: return rendition()
        case 7:
            return column + "\u{1B}[\(number(rows))\(pick(["A", "B", "d", "E", "F", "S", "T"]))"
        case 8: return agreedInsertion()
        case 9: return column + "\u{1B}[\(number(columns))\(pick(["C", "D", "G", "`", "P", "X", "Z"]))"
        case 10: return column + "\u{1B}[\(pick(["", "0", "1", "2"]))\(pick(["J", "K"]))"
        default: return column + agreedState()
        }
    }

    /// As above, with wide characters and marks; nothing is written over a part of a line.
    mutating func agreedWideToken() -> String {
        switch below(8) {
        case 0...3: wideWord()
        case 4: word()
        case 5: "\r\n"
        case 6: "\u{1B}[\(below(rows) + 1)H\u{1B}[2K"
        default: pick([rendition(), "\u{1B}[S\r\u{1B}[K", "\u{1B}[T\r\u{1B}[K", "\u{1B}[M\r\u{1B}[K"])
        }
    }

    /// Lines, blanks and text that move others.
    private mutating func agreedInsertion() -> String {
        let left = "\u{1B}[\(below(columns / 2) + 1)G"
        let rows = [below(rows - 1), below(rows - 1)].sorted()
        let region = "\u{1B}[?6l\u{1B}[\(rows[0] + 1);\(rows[1] + 2)r\u{1B}[\(rows[0] + 1)H"
        return switch below(5) {
        case 0, 1: region + "\u{1B}[\(number(3))\(pick(["L", "M"]))\r"
        case 2: left + "\u{1B}[\(below(4))@"
        case 3: left + "x\u{1B}[\(below(columns / 2 - 2))b"
        default: left + "\u{1B}[4h" + word().prefix(columns / 2 - 2) + "\u{1B}[4l"
        }
    }

    private mutating func agreedState() -> String {
        if below(12) == 0 {
            isAlternate.toggle()
            return "\u{1B}[?1049\(isAlternate ? "h" : "l")\u{1B}7"
        }
        return pick([
            "\u{1B}7", "\u{1B}8", "\u{1B}D", "\u{1B}E", "\u{1B}M", "\u{1B}[s", "\u{1B}[u", "\u{1B}H",
            "\u{1B}[\(below(rows) + 1);\(below(rows) + 1)r", "\u{1B}[r", "\u{1B}[?25l",
            "\u{1B}(0\(word())\u{1B}(B", "\u{1B})0\u{E}\(word())\u{F}",
            "\u{1B}[?6h\(goto())\(word())\u{1B}[?6l",
            "\u{1B}#8", "\u{1B}]2;title\u{7}", "\u{1B}[?2004h",
        ])
    }
}
