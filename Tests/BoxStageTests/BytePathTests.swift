import BoxTypes
import Testing

@Suite struct BytePaths {
    @Test(arguments: ["a//b", "/a", "a/", ".", "..", "a/../b", "a/./b", "a\u{0}b"])
    func `a path that could leave its directory, or is spelled oddly, is none`(_ text: String) {
        #expect(BytePath(text) == nil)
    }

    @Test func `a walk's order has a directory before what it holds, and that before its neighbours`() throws
    {
        let texts = ["a", "a/b", "a/b/c", "a/c", "a-b", "a.b", "ab", "b"]
        let paths = try texts.map { try #require(BytePath($0)) }
        #expect(paths.shuffled().sorted() == paths)
    }

    @Test func `below means by whole components`() throws {
        let source = try #require(BytePath("src"))
        #expect(try #require(BytePath("src/a")).isSame(orBelow: source))
        #expect(source.isSame(orBelow: source))
        #expect(!(try #require(BytePath("src-evil/a")).isSame(orBelow: source)))
        #expect(try #require(BytePath("src/a/b")).relative(to: source)?.text == "a/b")
    }

    @Test func `bytes that are not text are shown, and what would move a terminal is escaped`() throws {
        #expect(try #require(BytePath([0x61, 0xFF, 0x1B, 0xC3, 0xA9])).escaped == "a\\xff\\x1bé")
    }

    @Test func `the order is the same for long paths, wherever they differ`() throws {
        let stem = String(repeating: "name/", count: 7)
        for length in 0..<24 {
            let start = stem + String(repeating: "x", count: length)
            let texts = [start + "a", start + "a/b", start + "a-b", start + "ab"]
            let paths = try texts.map { try #require(BytePath($0)) }
            #expect(paths.reversed().sorted() == paths)
            #expect(paths[1].isSame(orBelow: paths[0]) && !paths[2].isSame(orBelow: paths[0]))
            #expect(paths[0].sharedPrefix(with: paths[1]) == paths[0].bytes.count)
            #expect(paths[1].sharedPrefix(with: paths[2]) == paths[0].bytes.count)
        }
    }

    @Test func `a path from the beginning of another is as strict as any`() throws {
        let path = try #require(BytePath("a/bc/d"))
        #expect(path.with(prefix: 3, then: Array("x/y".utf8))?.text == "a/bx/y")
        #expect(path.with(prefix: 6, then: Array("/e".utf8))?.text == "a/bc/d/e")
        #expect(path.with(prefix: 0, then: [])?.bytes == [])
        for (count, rest) in [
            (2, ""), (2, "/x"), (2, ".."), (5, "/x"), (7, "x"), (-1, "x"), (4, "x/"), (1, "/./b"),
        ] {
            #expect(path.with(prefix: count, then: Array(rest.utf8)) == nil)
        }
    }
}
