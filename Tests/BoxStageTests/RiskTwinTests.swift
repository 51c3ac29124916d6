import BoxKernel
import BoxTypes
import Testing

@testable import BoxStage

/// Names that are one on other file systems.
struct RiskTwinTests {
    @Test(arguments: [
        ("Foo", "foo", true), ("STRASSE", "straße", true), ("\u{E9}", "e\u{301}", true),
        ("\u{212B}", "\u{E5}", true), ("a\u{200C}b", "ab", true), ("\u{3A3}", "\u{3C2}", true),
        ("\u{FB01}", "FI", true), ("a", "b", false), ("a", "a ", false), ("é", "e", false), ("1", "l", false),
    ])
    func `two names are one or not`(left: String, right: String, expected: Bool) {
        let groups = CaseTwins.groups([Array(left.utf8), Array(right.utf8)])
        #expect((groups.count == 1) == expected)
    }

    @Test func `names that are no text are compared by what is left of them`() {
        #expect(CaseTwins.groups([[0x61, 0xFF], [0x41, 0xFF]]).count == 1)
        #expect(CaseTwins.groups([[0x61, 0xFF], [0x62, 0xFF]]).isEmpty)
    }

    @Test
    func `each new name and each new directory is compared with its neighbours, each directory read once`()
        throws
    {
        let tree: [String: [String]] = [
            "": ["Docs", "docs", "src"], "docs": ["a"], "Docs": ["b"], "src": ["main.c", "Main.c", "x"],
            "src/x": ["one", "two"],
        ]
        var reads: [String] = []
        var twins = CaseTwins { _, directory throws(StageError) in
            reads.append(directory.text ?? "")
            return (tree[directory.text ?? ""] ?? []).map { Array($0.utf8) }
        }
        func twin(_ path: String, _ old: Node? = nil, _ new: Node? = Node(kind: .file)) throws -> String? {
            let path = try #require(BytePath(path))
            return try twins.twin(of: Change(path: path, kind: .added, old: old, new: new))?.text
        }
        #expect(try twin("Docs/b") == "docs")
        #expect(try twin("docs/a") == "Docs")
        #expect(try twin("src/Main.c") == "src/main.c")
        #expect(try twin("src/main.c", Node(kind: .file)) == nil)
        #expect(try twin("src/x/one") == nil)
        #expect(try twin("src/x/two") == nil)
        #expect(try twin("src", Node(kind: .directory), nil) == nil)
        #expect(reads == ["", "src", "src/x"])
    }

    @Test func `each tree has its own names`() throws {
        var twins = CaseTwins { tree, _ throws(StageError) in
            (tree == 0 ? ["a", "A"] : ["a"]).map { Array($0.utf8) }
        }
        let path = try #require(BytePath("a"))
        let new = Node(kind: .file)
        #expect(try twins.twin(of: Change(tree: 0, path: path, kind: .added, new: new)) != nil)
        #expect(try twins.twin(of: Change(tree: 1, path: path, kind: .added, new: new)) == nil)
    }
}
