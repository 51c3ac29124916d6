import BoxStage
import Testing

@Suite struct Merges {
    static let cases: [(base: String, ours: String, theirs: String, merged: String, conflicts: Int)] = [
        ("a\n", "a\n", "a\n", "a\n", 0),
        ("a\nb\nc\n", "A\nb\nc\n", "a\nb\nC\n", "A\nb\nC\n", 0),
        ("a\nb\nc\n", "a\nX\nc\n", "a\nX\nc\n", "a\nX\nc\n", 0),
        ("a\nb\nc\n", "a\nc\n", "a\nb\nc\nd\n", "a\nc\nd\n", 0),
        (
            "a\nb\nc\n", "a\nO\nc\n", "a\nT\nc\n",
            "a\n<<<<<<< host\nO\n||||||| base\nb\n=======\nT\n>>>>>>> agent\nc\n", 1
        ),
        (
            "", "o", "t",
            "<<<<<<< host\no\n||||||| base\n=======\nt\n>>>>>>> agent\n", 1
        ),
        (
            "a\r\n", "o\r\n", "t\r\n",
            "<<<<<<< host\r\no\r\n||||||| base\r\na\r\n=======\r\nt\r\n>>>>>>> agent\r\n", 1
        ),
        // Neighbouring lines may depend on each other.
        (
            "a\nb\n", "A\nb\n", "a\nB\n",
            "<<<<<<< host\nA\nb\n||||||| base\na\nb\n=======\na\nB\n>>>>>>> agent\n", 1
        ),
        // Binary: only one side may have changed.
        ("a\0", "a\0", "b\0", "b\0", 0),
        ("a\0", "c\0", "b\0", "c\0", 1),
    ]

    @Test(arguments: cases.indices)
    func `two changes are merged, or both are shown`(_ index: Int) {
        let (base, ours, theirs, merged, conflicts) = Merges.cases[index]
        let result = Merge.merge(base: Array(base.utf8), ours: Array(ours.utf8), theirs: Array(theirs.utf8))
        #expect(String(decoding: result.content, as: UTF8.self) == merged)
        #expect(result.conflicts == conflicts)
    }

    @Test(arguments: 0..<3)
    func `a side that changed nothing gives the other one, whatever the bytes are`(_ seed: Int) {
        var random = SeededNumbers(seed: 5000 + UInt64(seed))
        for _ in 0..<200 {
            let base = LineDiffTexts.bytes(upTo: 120, &random)
            let other = LineDiffTexts.bytes(upTo: 120, &random)
            #expect(
                Merge.merge(base: base, ours: base, theirs: other) == Merged(content: other, conflicts: 0))
            #expect(
                Merge.merge(base: base, ours: other, theirs: base) == Merged(content: other, conflicts: 0))
            #expect(
                Merge.merge(base: base, ours: other, theirs: other) == Merged(content: other, conflicts: 0))
            _ = Merge.merge(base: base, ours: other, theirs: LineDiffTexts.bytes(upTo: 120, &random))
        }
    }

    /// Few words: the same line stands in many places, and which of them was changed is a matter of taste.
    @Test(.enabled(if: Tool.exists("git")), arguments: [(0, 100_000), (1, 100_000), (2, 40), (3, 12)])
    func `the merge is that of git merge-file`(_ seed: Int, _ words: Int) throws {
        let scratch = try ScratchDirectory()
        var random = SeededNumbers(seed: 6000 + UInt64(seed))
        var (same, clean, conflicting) = (0, 0, 0)
        let count = 150
        for _ in 0..<count {
            let base = LineDiffTexts.text(lines: random.below(60), words: words, &random)
            let ours = LineDiffTexts.edited(base, words: words, runs: 3, &random)
            let theirs = LineDiffTexts.edited(base, words: words, runs: 3, &random)
            for (name, text) in [("base", base), ("ours", ours), ("theirs", theirs)] {
                try scratch.write(text, to: name)
            }
            let git = try Tool.run(
                [
                    "git", "merge-file", "-p", "-q", "--diff3", "-L", "host", "-L", "base", "-L", "agent",
                    "\(scratch.path)/ours", "\(scratch.path)/base", "\(scratch.path)/theirs",
                ], scratch: scratch.path)
            let merged = Merge.merge(base: base, ours: ours, theirs: theirs)
            if git.status == 0 { clean += 1 } else { conflicting += 1 }
            let isSame = git.status == CInt(merged.conflicts) && git.output == merged.content
            same += isSame ? 1 : 0
            if words > 1000, !isSame {
                Issue.record(
                    "\(seed): \(git.status) \(merged.conflicts)\n\(String(decoding: git.output, as: UTF8.self))"
                )
            }
        }
        #expect(clean > 10)
        #expect(conflicting > 10)
        #expect(same >= count * 95 / 100)
    }
}
