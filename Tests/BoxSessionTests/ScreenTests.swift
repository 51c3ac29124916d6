import Testing

@testable import BoxSession

private let esc = "\u{1B}"

/// One row of a table: what is written to a screen of 4 × 10, its lines, and the cursor's row and column.
struct Written: CustomTestStringConvertible, Sendable {
    let input: String
    let lines: [String]
    let cursor: String
    var testDescription: String { input.debugDescription }

    /// `lines` are separated by `/`; blank ones at the end may be left out. `+` after the cursor's column
    /// stands for a full row.
    init(_ input: String, _ lines: String, _ cursor: String) {
        self.input = input
        var all = lines.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        while all.count < 4 { all.append("") }
        self.lines = all
        self.cursor = cursor
    }
}

/// A screen of 4 × 10 after this.
private func screen(_ input: String, rows: Int = 4, columns: Int = 10) -> Screen {
    var screen = Screen(rows: rows, columns: columns)
    screen.feed(Array(input.utf8))
    return screen
}

private func cursor(_ screen: Screen) -> String {
    "\(screen.cursor.row) \(screen.cursor.column)\(screen.cursor.isPastEnd ? "+" : "")"
}

@Suite struct ScreenTests {
    private func check(_ row: Written) {
        let screen = screen(row.input)
        #expect(screen.text == row.lines)
        #expect(cursor(screen) == row.cursor)
    }

    static let printing = [
        Written("abc", "abc", "0 3"),
        Written("abcdefghij", "abcdefghij", "0 9+"),
        Written("abcdefghijk", "abcdefghij/k", "1 1"),
        Written("abcdefghij\rX", "Xbcdefghij", "0 1"),
        Written("abcdefghij\u{8}X", "abcdefghXj", "0 9"),
        Written("abcdefghij\tX", "abcdefghij/X", "1 1"),
        Written("abcdefghij\(esc)[mX", "abcdefghij/X", "1 1"),
        Written("abcdefghij\(esc)[KX", "abcdefghiX", "0 9+"),
        Written("\(esc)[?7labcdefghijkl", "abcdefghil", "0 9+"),
        Written("\(esc)[?7labcdefghi日", "abcdefghi", "0 9"),
        Written("\(esc)[?7labcdefghijk\(esc)[?7hl", "abcdefghik/l", "1 1"),
        Written("1\r\n2\r\n3\r\n4\r\n5", "2/3/4/5", "3 1"),
        Written("a\nb\u{B}c\u{C}d", "a/ b/  c/   d", "3 4"),
        Written("\(esc)[20ha\nb", "a/b", "1 1"),
        Written("a\u{0}\u{7}\u{7F}b\u{18}c", "abc", "0 3"),
        Written("日本語日本語", "日本語日本/語", "1 2"),
        Written("a日本語日本語", "a日本語日/本語", "1 4"),
        Written("日\(esc)[2GX", " X", "0 2"),
        Written("日\(esc)[1GX", "X", "0 1"),
        Written("日本\(esc)[2G語", " 語", "0 3"),
        Written("日本\(esc)[2GXY", " XY", "0 3"),
        Written("e\u{301}\u{323}x", "e\u{301}\u{323}x", "0 2"),
        Written("\u{301}x", "x", "0 1"),
        Written("abcdefghie\u{301}x", "abcdefghie\u{301}/x", "1 1"),
        Written("日\u{300}x", "日\u{300}x", "0 3"),
        Written("👩\u{200D}💻x", "👩\u{200D}💻x", "0 3"),
        Written("क\u{94D}\u{200D}षx", "क\u{94D}\u{200D}षx", "0 3"),
        Written("🙂\u{FE0F}|☃|…", "🙂\u{FE0F}|☃|…", "0 6"),
        Written("\(esc)(0lqk\(esc)(Bx", "┌─┐x", "0 4"),
        Written("\(esc))0a\u{E}a\u{F}a", "a▒a", "0 3"),
        Written("ab\(esc)[3b|", "abbbb|", "0 6"),
        Written("ab\r\(esc)[3b", "ab", "0 0"),
        Written("a\(esc)[60000b", "aaaaaaaaaa/aaaaaaaaaa/aaaaaaaaaa/a", "3 1"),
        Written("abc\(esc)[2G\(esc)[4hXY\(esc)[4lZ", "aXYZc", "0 4"),
        Written("abcdefgh日\(esc)[1G\(esc)[4hX", "Xabcdefgh", "0 1"),
    ]

    @Test(arguments: printing) func `text and control characters`(row: Written) { check(row) }

    static let moving = [
        Written("\(esc)[2;3HX", "/  X", "1 3"),
        Written("\(esc)[HX\(esc)[fY", "Y", "0 1"),
        Written("\(esc)[99;99HX", "///         X", "3 9+"),
        Written("\(esc)[0;0HX", "X", "0 1"),
        Written("\(esc)[3;3H\(esc)[AX\(esc)[2BY", "/  X//   Y", "3 4"),
        Written("\(esc)[3;3H\(esc)[2CX\(esc)[4DY", "// Y  X", "2 2"),
        Written("\(esc)[3;3H\(esc)[9A\(esc)[99DX", "X", "0 1"),
        Written("abc\(esc)[EX\(esc)[2FY", "Ybc/X", "0 1"),
        Written("\(esc)[5GX\(esc)[2`Y\(esc)[2aZ", " Y  Z", "0 5"),
        Written("\(esc)[3dX\(esc)[eY", "//X/ Y", "3 2"),
        Written("a\tb", "a       b", "0 9"),
        Written("\tX\tY", "        XY", "0 9+"),
        Written("\(esc)[3G\(esc)H\r\tX", "  X", "0 3"),
        Written("\(esc)[3g\tX", "         X", "0 9+"),
        Written("\(esc)[9G\(esc)[g\r\tX", "         X", "0 9+"),
        Written("\(esc)[10G\(esc)[ZX\(esc)[9ZY", "Y       X", "0 1"),
        Written("\(esc)[IX", "        X", "0 9"),
        Written("ab\(esc)7\(esc)[3;3Hc\(esc)8d", "abd//  c", "0 3"),
        Written("ab\(esc)[s\(esc)[3;3Hc\(esc)[ud", "abd//  c", "0 3"),
        Written("ab\(esc)[?1048h\(esc)[3;3Hc\(esc)[?1048ld", "abd//  c", "0 3"),
        Written("abcdefghij\(esc)7\(esc)[3;3H\(esc)8X", "abcdefghij/X", "1 1"),
        Written("ab\(esc)8X", "Xb", "0 1"),
        Written("a\(esc)Db\(esc)Ec\(esc)Md", "a/ d/c", "1 2"),
        Written("a\(esc)[1\n;3H|", "a |", "0 3"),
        Written("a\u{9B}3Cb\u{84}c", "a   b/     c", "1 6"),
    ]

    @Test(arguments: moving) func `the cursor`(row: Written) { check(row) }

    private static let four = "1\r\n2\r\n3\r\n4"

    static let erasing = [
        Written("abcdef\(esc)[3G\(esc)[K", "ab", "0 2"),
        Written("abcdef\(esc)[3G\(esc)[1K", "   def", "0 2"),
        Written("abcdef\(esc)[3G\(esc)[2K", "", "0 2"),
        Written("abcdef\(esc)[3G\(esc)[?K", "ab", "0 2"),
        Written("\(four)\(esc)[2;1H\(esc)[J", "1", "1 0"),
        Written("\(four)\(esc)[2;1H\(esc)[1J", "//3/4", "1 0"),
        Written("\(four)\(esc)[2J", "", "3 1"),
        Written("\(four)\(esc)[3J", "1/2/3/4", "3 1"),
        Written("abcdef\(esc)[2G\(esc)[2X", "a  def", "0 1"),
        Written("abcdef\(esc)[2G\(esc)[99X", "a", "0 1"),
        Written("abcdefghij\(esc)[2G\(esc)[2@", "a  bcdefgh", "0 1"),
        Written("abcdefghij\(esc)[2G\(esc)[99@", "a", "0 1"),
        Written("abcdef\(esc)[2G\(esc)[2P", "adef", "0 1"),
        Written("abcdef\(esc)[2G\(esc)[99P", "a", "0 1"),
        Written("日本語\(esc)[2G\(esc)[P", " 本語", "0 1"),
        Written("日本語\(esc)[2G\(esc)[X", "  本語", "0 1"),
        Written("日本語\(esc)[2G\(esc)[@", "   本語", "0 1"),
        Written("日本語\(esc)[4G\(esc)[K", "日", "0 3"),
        Written("日本語\(esc)[3G\(esc)[1K", "    語", "0 2"),
    ]

    @Test(arguments: erasing) func `erasing, inserting and deleting in lines`(row: Written) { check(row) }

    static let scrolling = [
        Written("\(four)\(esc)[2;2H\(esc)[L", "1//2/3", "1 0"),
        Written("\(four)\(esc)[2;2H\(esc)[99L", "1", "1 0"),
        Written("\(four)\(esc)[2;2H\(esc)[M", "1/3/4", "1 0"),
        Written("\(four)\(esc)[2;3r\(esc)[3H\nX", "1/3/X/4", "2 1"),
        Written("\(four)\(esc)[2;3r\(esc)[2H\(esc)M", "1//2/4", "1 0"),
        Written("\(four)\(esc)[2;3r\(esc)[2H\(esc)[M", "1/3//4", "1 0"),
        Written("\(four)\(esc)[2;3r\(esc)[2H\(esc)[9L", "1///4", "1 0"),
        Written("\(four)\(esc)[2;3r\(esc)[H\(esc)[L", "1/2/3/4", "0 0"),
        Written("\(four)\(esc)[2;3r\(esc)[4Ha\nb", "1/2/3/ab", "3 2"),
        Written("\(four)\(esc)[2S", "3/4", "3 1"),
        Written("\(four)\(esc)[T", "/1/2/3", "3 1"),
        Written("\(four)\(esc)[1;2;3;4;5T", "1/2/3/4", "3 1"),
        Written("\(four)\(esc)[2;3r\(esc)[S", "1/3//4", "0 0"),
        Written("\(four)\(esc)[2;3r\(esc)[9T", "1///4", "0 0"),
        Written("ab\(esc)[3;2rX", "abX", "0 3"),
        Written("ab\(esc)[2;2rX", "abX", "0 3"),
        Written("ab\(esc)[2;99rX", "Xb", "0 1"),
        Written("\(esc)[2;3r\(esc)[?6h\(esc)[1;1HX\(esc)[9;1HY", "/X/Y", "2 1"),
        Written("\(esc)[2;3r\(esc)[?6hX\(esc)[?6lY", "Y/X", "0 1"),
        Written("\(esc)[2;3r\(esc)[3;1H\(esc)[9AX", "/X", "1 1"),
        Written("\(esc)[2;3r\(esc)[1;1H\(esc)[9BX", "//X", "2 1"),
        Written("\(four)\(esc)[2;3r\(esc)#8", "EEEEEEEEEE/EEEEEEEEEE/EEEEEEEEEE/EEEEEEEEEE", "0 0"),
        Written("ab\(esc)[?1049hcd", "  cd", "0 4"),
        Written("ab\(esc)[?1049hcd\(esc)[?1049lX", "abX", "0 3"),
        Written("ab\(esc)[?1047hcd\(esc)[?1047lX", "ab  X", "0 5"),
        Written("ab\(esc)[?47hcd\(esc)[?47lX", "ab  X", "0 5"),
        Written("ab\(esc)[?1049hcd\(esc)[?1049h\(esc)[?1049lX", "abX", "0 3"),
        Written("\(four)\(esc)[2;3r\(esc)[?6h\(esc)c\(esc)[3;3Hx\ny", "//  x/   y", "3 4"),
        Written("\(esc)[2;3r\(esc)[?6h\(esc)[4h\(esc)[!pab\(esc)[4;1Hcd\re", "/ab//ed", "3 1"),
    ]

    @Test(arguments: scrolling) func `lines, regions and screens`(row: Written) { check(row) }

    static let renditions = [
        ("1;31", "0;1;31"), ("", ""), ("1;0", ""), ("38;5;200", "0;38;5;200"), ("38:5:200", "0;38;5;200"),
        ("38;2;1;2;3", "0;38;2;1;2;3"), ("38:2::1:2:3", "0;38;2;1;2;3"), ("38:2:1:2:3", "0;38;2;1;2;3"),
        ("48;5;7;4", "0;4;48;5;7"), ("48:2::1:2:3;4", "0;4;48;2;1;2;3"), ("4:3", "0;4:3"), ("21", "0;4:2"),
        ("4:3;4:0", ""), ("4;24", ""), ("58:5:9", "0;58:5:9"), ("58;2;1;2;3;1", "0;1;58:2::1:2:3"),
        ("58;5;1;59", ""),
        ("38;5;300;1", "0;1"), ("38;2;300;0;0;4", "0;4"), ("91;102", "0;91;102"), ("37;47;39", "0;47"),
        ("41;49", ""),
        ("1;2;3;5;7;8;9;53", "0;1;2;3;5;7;8;9;53"), ("1;2;22", ""), ("3;23;5;25;7;27;8;28;9;29;53;55", ""),
        ("6", "0;5"), ("38", ""), ("38;9;1", "0;1"), ("99;1000;1", "0;1"),
    ]

    @Test(arguments: renditions) func `colours and attributes`(numbers: String, sequence: String) {
        let cell = screen("\(esc)[\(numbers)mx").display.grid[0, 0]
        #expect(cell.style.sequence == "\(esc)[\(sequence)m")
    }

    @Test func `what is erased has the background and nothing else of the pen`() {
        for erase in [
            "[2J", "[K", "[4X", "[3@", "[3P", "[L", "[S", "[T", "[3;1H\n\n", "[H\(esc)M",
        ] {
            let screen = screen("\(esc)[1;4;31;42m\(esc)\(erase)")
            let erased = (0..<4).flatMap { row in (0..<10).map { screen.display.grid[row, $0] } }
                .filter { !$0.isEmpty }
            #expect(!erased.isEmpty, "\(erase)")
            #expect(erased.allSatisfy { $0.scalar == " " && $0.style.sequence == "\(esc)[0;42m" }, "\(erase)")
        }
    }

    @Test func `a cell has 16 bytes`() { #expect(MemoryLayout<ScreenCell>.stride == 16) }
}
