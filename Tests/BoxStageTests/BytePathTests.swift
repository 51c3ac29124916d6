import BoxTypes
import Testing

@Suite struct BytePaths {
    @Test(arguments: ["a//b", "/a", "a/", ".", "..", "a/../b", "a/./b", "a\u{0}b"])
    func `a path that could leave its directory, or is spelled oddly, is none`(_ text: String) {
        #expect(BytePath(text) == nil)
    }

    @Test func `a walk's order has a directory before what it holds, and that before its neighbours`() throws {
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
}
