import BoxTypes
import Testing

@Suite struct AbsolutePathTests {
    @Test(arguments: [
        ("/", "/"), ("//", "/"), ("/a", "/a"), ("/a/", "/a"), ("//a//b", "/a/b"), ("/a/./b", "/a/b"),
        ("/a/../b", "/b"), ("/a/b/../../c", "/c"), ("/a b", "/a b"), ("/ü", "/ü"),
    ])
    func `a path is made normal`(text: String, normal: String) throws {
        #expect(try AbsolutePath(text).string == normal)
    }

    @Test(arguments: ["", "a", "./a", "~", "/..", "/a/../..", "/a\0b", "/a\nb", "/a\u{1B}b", "/a\u{7F}"])
    func `what is not an absolute path is refused`(text: String) {
        #expect(throws: AbsolutePath.Refusal.self) { try AbsolutePath(text) }
    }

    @Test func `a path longer than the kernel takes is refused`() {
        #expect(throws: AbsolutePath.Refusal.self) {
            try AbsolutePath("/" + String(repeating: "a", count: 4096))
        }
    }

    @Test(arguments: [
        ("/a", "/a", true), ("/a/b", "/a", true), ("/ab", "/a", false), ("/a", "/a/b", false),
        ("/x", "/", true),
        ("/proj-evil", "/proj", false), ("/proj/evil", "/proj", true),
    ])
    func `below is decided by component`(path: String, other: String, expected: Bool) throws {
        #expect(try AbsolutePath(path).isSame(orBelow: AbsolutePath(other)) == expected)
    }

    @Test(arguments: 0..<200)
    func `normal paths stay as they are, and parents come before children`(seed: Int) throws {
        var generator = Seeded(seed)
        let parts = (0..<Int.random(in: 0...6, using: &generator)).map { _ in
            ["a", "..", ".", "", "b c", "-x", "…"].randomElement(using: &generator) ?? "a"
        }
        guard let path = try? AbsolutePath("/" + parts.joined(separator: "/")) else { return }
        #expect(try AbsolutePath(path.string) == path)
        #expect(!path.components.contains("..") && !path.components.contains("."))
        for ancestor in path.ancestors {
            #expect(path.isSame(orBelow: ancestor) && ancestor < path)
        }
        #expect(path.ancestors == path.ancestors.sorted())
    }
}

/// A generator that gives the same numbers for the same seed.
private struct Seeded: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: Int) { state = UInt64(truncatingIfNeeded: seed) &* 0x9E37_79B9_7F4A_7C15 | 1 }
    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }
}
