import BoxKernel
import BoxStage
import Testing

@Suite struct DiffOutputs {
    static let texts: [(bytes: [UInt8], shown: String)] = [
        (Array("plain\ttext é 漢字 👍🏽\n".utf8), "plain\ttext é 漢字 👍🏽"),
        (Array("a\u{1B}[2Jb\u{7}".utf8), "a\\x1b[2Jb\\x07"),
        (Array("evil\rgood\r\n".utf8), "evil\\rgood^M"),
        (Array("a\u{9B}31m\u{7F}".utf8), "a\\x9b31m\\x7f"),
        ([0x61, 0x9B, 0xFF, 0xC3, 0x28], "a\\x9b\\xff\\xc3("),
        // Overlong, a surrogate, beyond Unicode, cut off.
        (
            [0xC0, 0x80, 0xED, 0xA0, 0x80, 0xF4, 0x90, 0x80, 0x80, 0xE2, 0x82],
            "\\xc0\\x80\\xed\\xa0\\x80\\xf4\\x90\\x80\\x80\\xe2\\x82"
        ),
        (
            Array("a\u{202E}b\u{2066}c\u{200B}d\u{FEFF}e\u{2028}".utf8),
            "a\\u{202e}b\\u{2066}c\\u{200b}d\\u{feff}e\\u{2028}"
        ),
        (Array("\u{E0041}\u{AD}\u{3164}".utf8), "\\u{e0041}\\u{00ad}\\u{3164}"),
        (Array("⚠\u{FE0F} a\u{FE0F} ⚠\u{FE0F}\u{FE0F}".utf8), "⚠\u{FE0F} a\\u{fe0f} ⚠\u{FE0F}\\u{fe0f}"),
    ]

    @Test(arguments: texts.indices)
    func `contents on a terminal are seen as they are, and do nothing`(_ index: Int) {
        var shown: [UInt8] = []
        #expect(VisibleText(colour: false).append(DiffOutputs.texts[index].bytes[...], to: &shown) == 0)
        #expect(String(decoding: shown, as: UTF8.self) == DiffOutputs.texts[index].shown)
    }

    @Test func `random bytes never reach a terminal as a control character`() {
        var random = SeededNumbers(seed: 21)
        for _ in 0..<2000 {
            let bytes = LineDiffTexts.bytes(upTo: 60, &random).filter { $0 != 10 }
            var shown: [UInt8] = []
            VisibleText(colour: false).append(bytes[...], to: &shown, limit: 30)
            let text = String(validating: shown, as: UTF8.self)
            #expect(
                text?.unicodeScalars.contains {
                    $0.value < 0x20 && $0 != "\t" || (0x7F..<0xA0).contains($0.value)
                } == false)
        }
    }

    @Test func `of a long line it is told how much is left out`() {
        var shown: [UInt8] = []
        let line = [UInt8](repeating: 0x61, count: 10_000) + [10]
        #expect(VisibleText(colour: false).append(line[...], to: &shown) == 10_000 - 4096)
        #expect(shown.count == 4096)
    }

    @Test func `a summary is drawn as git draws it`() {
        var stat = DiffStat()
        stat.add("a", .lines(added: 1, removed: 0))
        stat.add("dir/b", .lines(added: 2, removed: 3))
        stat.add("c.png", .bytes(old: nil, new: 12))
        #expect(
            stat.text(columns: 80, colour: false) == """
                 a     |   1 +
                 dir/b |   5 ++---
                 c.png | Bin 0 -> 12 bytes
                 3 files changed, 3 insertions(+), 3 deletions(-)

                """)
        var none = DiffStat()
        none.add("x", .lines(added: 0, removed: 0))
        #expect(
            none.text(columns: 80, colour: false)
                == " x | 0\n 1 file changed, 0 insertions(+), 0 deletions(-)\n")
    }

    @Test(arguments: [20, 40, 80, 200], [1, 7, 1000, 123_456])
    func `no line of a summary is longer than the screen`(_ columns: Int, _ most: Int) {
        var stat = DiffStat()
        let long = String(repeating: "directory/", count: 12) + "file"
        stat.add(long, .lines(added: most, removed: most / 2))
        stat.add("short", .lines(added: 1, removed: 1))
        for line in stat.text(columns: columns, colour: false).split(separator: "\n").dropLast() {
            #expect(line.count <= max(40, columns))
            #expect(line.contains("+"))
        }
        #expect(stat.text(columns: 80, colour: true).contains("\u{1B}[32m+"))
    }

    @Test(.enabled(if: Tool.exists("git")), arguments: [0, 1, 51, 52, 53, 65_535, 65_536, 200_000])
    func `git apply takes a binary change`(_ size: Int) throws {
        let scratch = try ScratchDirectory()
        var random = SeededNumbers(seed: UInt64(size))
        let new = (0..<size).map { _ in UInt8(random.below(256)) }
        let old: [UInt8] = [0, 1, 2]
        try scratch.makeDirectory("tree")
        try scratch.write(old, to: "tree/changed")
        try scratch.write(old, to: "tree/gone")
        var patch = Array("diff --git a/changed b/changed\n".utf8) + Binary.patch(old: old, new: new)
        patch +=
            Array("diff --git a/fresh b/fresh\nnew file mode 100755\n".utf8)
            + Binary.patch(old: nil, new: new)
        patch +=
            Array("diff --git a/gone b/gone\ndeleted file mode 100644\n".utf8)
            + Binary.patch(old: old, new: nil)
        try scratch.write(patch, to: "patch")
        let tree = scratch.path + "/tree"
        let git = try Tool.run(["git", "-C", tree, "apply", "\(scratch.path)/patch"], scratch: scratch.path)
        #expect(git.status == 0, "\(String(decoding: git.output, as: UTF8.self))")
        #expect(try scratch.read("tree/changed") == new)
        #expect(try scratch.read("tree/fresh") == new)
        #expect(throws: KernelError.self) { try scratch.read("tree/gone") }
    }
}
