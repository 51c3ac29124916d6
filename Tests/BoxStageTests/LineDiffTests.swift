import BoxKernel
import BoxStage
import Testing

@Suite struct LineDiffs {
    static let texts: [(old: String, new: String, diff: String)] = [
        ("a\n", "a\n", ""),
        ("", "a\n", "@@ -0,0 +1 @@\n+a\n"),
        ("a\n", "", "@@ -1 +0,0 @@\n-a\n"),
        ("", "a", "@@ -0,0 +1 @@\n+a\n\\ No newline at end of file\n"),
        (
            "a", "a\n",
            "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n"
        ),
        (
            "a\nb", "a\nc",
            "@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+c\n\\ No newline at end of file\n"
        ),
        (
            "x\nb", "y\nb",
            "@@ -1,2 +1,2 @@\n-x\n+y\n b\n\\ No newline at end of file\n"
        ),
        ("a\r\n", "a\n", "@@ -1 +1 @@\n-a\r\n+a\n"),
        (
            "1\n2\n3\n4\n5\n6\n7\n8\n9\n", "0\n1\n2\n3\n4\n5\n6\n7\n9\n",
            "@@ -1,3 +1,4 @@\n+0\n 1\n 2\n 3\n@@ -5,5 +6,4 @@\n 5\n 6\n 7\n-8\n 9\n"
        ),
        (
            "1\n2\n3\n4\n5\n6\n", "0\n1\n2\n3\n4\n5\n6\n7\n",
            "@@ -1,6 +1,8 @@\n+0\n 1\n 2\n 3\n 4\n 5\n 6\n+7\n"
        ),
        (
            "f {\n}\n\ng {\n}\n", "f {\n}\n\nh {\n}\n\ng {\n}\n",
            "@@ -1,5 +1,8 @@\n f {\n }\n \n+h {\n+}\n+\n g {\n }\n"
        ),
    ]

    @Test(arguments: texts)
    func `a difference is written as diff and git write it`(_ old: String, _ new: String, _ diff: String) {
        let found = LineDiff(old: Array(old.utf8), new: Array(new.utf8))
        let text = UnifiedDiff.text(found, oldName: Array("o".utf8), newName: Array("n".utf8))
        #expect(String(decoding: text, as: UTF8.self) == (diff.isEmpty ? "" : "--- o\n+++ n\n" + diff))
    }

    @Test(arguments: 0..<6)
    func `of small texts it is the shortest difference, and right`(_ seed: Int) {
        var random = SeededNumbers(seed: UInt64(seed))
        for _ in 0..<200 {
            let words = [2, 3, 8, 40][random.below(4)]
            let old = LineDiffTexts.text(lines: random.below(30), words: words, &random)
            let new =
                random.below(2) == 0
                ? LineDiffTexts.text(lines: random.below(30), words: words, &random)
                : LineDiffTexts.edited(old, words: words, runs: 4, &random)
            let diff = LineDiff(old: old, new: new)
            #expect(diff.added + diff.removed == shortest(old, new))
            expectRight(diff)
        }
    }

    @Test(arguments: 0..<4)
    func `any bytes have a difference that is right`(_ seed: Int) {
        var random = SeededNumbers(seed: 1000 + UInt64(seed))
        for _ in 0..<300 {
            let old = LineDiffTexts.bytes(upTo: 200, &random)
            expectRight(LineDiff(old: old, new: LineDiffTexts.bytes(upTo: 200, &random)))
            var near = old
            if !near.isEmpty { near[random.below(near.count)] = UInt8(random.below(256)) }
            expectRight(LineDiff(old: old, new: near))
        }
    }

    @Test(arguments: [0, 1, 100, 5000])
    func `with little work allowed the difference is longer, but right`(_ steps: Int) {
        var random = SeededNumbers(seed: 7)
        var limits = LineDiff.Limits()
        limits.steps = steps
        for _ in 0..<40 {
            let old = LineDiffTexts.text(lines: 300, words: 100, &random)
            let new = LineDiffTexts.text(lines: 300, words: 100, &random)
            expectRight(LineDiff(old: old, new: new, limits: limits))
        }
        limits.lines = 10
        let old = LineDiffTexts.text(lines: 30, words: 5, &random)
        let diff = LineDiff(old: old, new: Array("x\n".utf8) + old + Array("x\n".utf8), limits: limits)
        expectRight(diff)
        #expect(diff.edits.count == 1)
    }

    @Test func `lines in another order, and lines that are all the same, end in bounded time`() {
        var random = SeededNumbers(seed: 11)
        let lines = (0..<20_000).map { Array("\($0)\n".utf8) }
        let old = Array(lines.joined())
        let new = Array(lines.shuffled(using: &random).joined())
        var limits = LineDiff.Limits()
        limits.steps = 3_000_000
        expectRight(LineDiff(old: old, new: new, limits: limits))
        expectRight(LineDiff(old: old, new: Array(lines.reversed().joined()), limits: limits))
        let (few, many) = ([UInt8](repeating: 10, count: 10_000), [UInt8](repeating: 10, count: 50_000))
        let diff = LineDiff(old: few, new: many)
        #expect((diff.added, diff.removed) == (40_000, 0))
        let (ab, ba) = (Array(repeatElement("a\nb\n", count: 5000).joined().utf8), Array("b\n".utf8))
        expectRight(LineDiff(old: ab, new: ba + ab, limits: limits))
    }

    @Test(.enabled(if: Tool.exists("patch") && Tool.exists("git")), arguments: 0..<3)
    func `patch and git apply make the new files of the old ones`(_ seed: Int) throws {
        let scratch = try ScratchDirectory()
        var random = SeededNumbers(seed: 2000 + UInt64(seed))
        for name in ["for-patch", "for-git"] { try scratch.makeDirectory(name) }
        var patch: [UInt8] = []
        var wanted: [[UInt8]?] = []
        for index in 0..<400 {
            let words = [2, 5, 30, 200][random.below(4)]
            let old = LineDiffTexts.text(lines: random.below(60), words: words, &random)
            let new = LineDiffTexts.edited(old, words: words, runs: 5, &random)
            let diff = LineDiff(old: old, new: new)
            let name = Array("f \(index)".utf8)
            wanted.append(old.isEmpty && new.isEmpty ? nil : new)
            for directory in ["for-patch", "for-git"] where !old.isEmpty {
                try scratch.write(old, to: "\(directory)/f \(index)")
            }
            patch += UnifiedDiff.text(
                diff, oldName: old.isEmpty ? Array("/dev/null".utf8) : UnifiedDiff.quoted(name, prefix: "a/"),
                newName: new.isEmpty ? Array("/dev/null".utf8) : UnifiedDiff.quoted(name, prefix: "b/"))
        }
        try scratch.write(patch, to: "patch")
        let place = scratch.path
        let patched = try Tool.run(
            ["patch", "-s", "-p1", "-d", "\(place)/for-patch", "-i", "\(place)/patch"], scratch: place)
        #expect(patched.status == 0, "\(String(decoding: patched.output, as: UTF8.self))")
        let applied = try Tool.run(
            ["git", "-C", "\(place)/for-git", "apply", "-p1", "--whitespace=nowarn", "\(place)/patch"],
            scratch: place)
        #expect(applied.status == 0, "\(String(decoding: applied.output, as: UTF8.self))")
        for (index, new) in wanted.enumerated() {
            guard let new, !new.isEmpty else { continue }
            for directory in ["for-patch", "for-git"] {
                #expect(try scratch.read("\(directory)/f \(index)") == new)
            }
        }
    }

    @Test(.enabled(if: Tool.exists("diff")), arguments: 0..<2)
    func `where there is one shortest difference, it is that of diff, byte for byte`(_ seed: Int) throws {
        let scratch = try ScratchDirectory()
        var random = SeededNumbers(seed: 3000 + UInt64(seed))
        var serial = 0
        for _ in 0..<150 {
            // No line occurs twice, so no run of lines can stand in two places.
            func fresh() -> String {
                serial += 1
                return "line \(serial)"
            }
            let old = (0..<random.below(60)).map { _ in fresh() }
            var new = old
            for _ in 0..<random.below(6) {
                let at = random.below(new.count + 1)
                new.replaceSubrange(
                    at..<min(new.count, at + random.below(3)),
                    with: (0..<random.below(3)).map { _ in fresh() })
            }
            let ends = (random.below(4) == 0 ? "" : "\n", random.below(4) == 0 ? "" : "\n")
            let oldText = Array((old.joined(separator: "\n") + ends.0).utf8)
            let newText = Array((new.joined(separator: "\n") + ends.1).utf8)
            try scratch.write(oldText, to: "old")
            try scratch.write(newText, to: "new")
            let theirs = try Tool.run(
                [
                    "diff", "-u", "--label", "old", "--label", "new", "\(scratch.path)/old",
                    "\(scratch.path)/new",
                ], scratch: scratch.path)
            let ours = UnifiedDiff.text(
                LineDiff(old: oldText, new: newText), oldName: Array("old".utf8), newName: Array("new".utf8))
            #expect(String(decoding: ours, as: UTF8.self) == String(decoding: theirs.output, as: UTF8.self))
        }
    }

    @Test(
        arguments: [
            ("plain", "a/plain"), ("with space", "a/with space"), ("é", "a/é"), ("a\tb", "\"a/a\\tb\""),
            ("a\nb", "\"a/a\\nb\""), ("q\"", "\"a/q\\\"\""), ("b\\", "\"a/b\\\\\""),
            ("\u{1B}[2J", "\"a/\\033[2J\""),
            ("\u{7F}", "\"a/\\177\""),
        ])
    func `a name is quoted as git does`(_ name: String, _ quoted: String) {
        #expect(String(decoding: UnifiedDiff.quoted(name.utf8, prefix: "a/"), as: UTF8.self) == quoted)
    }
}

/// That the edits make the new text of the old one, in order and apart, and that the hunks say the same.
func expectRight(_ diff: LineDiff, _ location: SourceLocation = #_sourceLocation) {
    var (at, line, newLine) = (0, 0, 0)
    var made: [UInt8] = []
    for (index, edit) in diff.edits.enumerated() {
        #expect(index == 0 || edit.oldBytes.lowerBound > at, sourceLocation: location)
        let common = diff.old[at..<edit.oldBytes.lowerBound]
        made += common
        #expect(made.count == edit.newBytes.lowerBound, sourceLocation: location)
        made += diff.new[edit.newBytes]
        #expect(lines(common) == edit.oldLines.lowerBound - line, sourceLocation: location)
        #expect(
            edit.oldLines.lowerBound - line == edit.newLines.lowerBound - newLine, sourceLocation: location)
        #expect(lines(diff.old[edit.oldBytes]) == edit.oldLines.count, sourceLocation: location)
        #expect(lines(diff.new[edit.newBytes]) == edit.newLines.count, sourceLocation: location)
        (at, line, newLine) = (edit.oldBytes.upperBound, edit.oldLines.upperBound, edit.newLines.upperBound)
    }
    #expect(made + diff.old[at...] == diff.new, sourceLocation: location)
    let hunks = diff.hunks
    #expect(Hunks.apply(hunks, to: diff.old) == diff.new, sourceLocation: location)
    for hunk in hunks {
        let marks = hunk.lines.map(\.mark)
        #expect(marks.count { $0 != .added } == hunk.oldCount, sourceLocation: location)
        #expect(marks.count { $0 != .removed } == hunk.newCount, sourceLocation: location)
        #expect(marks.count == hunk.lineCount, sourceLocation: location)
    }
}

private func lines(_ text: ArraySlice<UInt8>) -> Int {
    text.count { $0 == 10 } + (text.isEmpty || text.last == 10 ? 0 : 1)
}

/// How many lines the shortest difference has, by the longest common subsequence.
private func shortest(_ old: [UInt8], _ new: [UInt8]) -> Int {
    func split(_ text: [UInt8]) -> [[UInt8]] {
        var all: [[UInt8]] = [[]]
        for byte in text {
            all[all.count - 1].append(byte)
            if byte == 10 { all.append([]) }
        }
        return all.last == [] ? all.dropLast() : all
    }
    let (a, b) = (split(old), split(new))
    var row = [Int](repeating: 0, count: b.count + 1)
    for line in a {
        var diagonal = 0
        for (index, other) in b.enumerated() {
            let above = row[index + 1]
            row[index + 1] = line == other ? diagonal + 1 : max(above, row[index])
            diagonal = above
        }
    }
    return a.count + b.count - 2 * row[b.count]
}
