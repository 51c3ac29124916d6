import BoxStage
import Testing

@Suite struct PickedHunks {
    @Test(arguments: 0..<4)
    func `each choice of hunks and parts of hunks changes these lines and no others`(_ seed: Int) {
        var random = SeededNumbers(seed: 4000 + UInt64(seed))
        for _ in 0..<100 {
            let old = LineDiffTexts.text(lines: random.below(80), words: 12, &random)
            let new = LineDiffTexts.edited(old, words: 12, runs: 6, &random)
            let diff = LineDiff(old: old, new: new)
            let parts = diff.hunks.flatMap { $0.split() }
            #expect(parts.flatMap(\.edits) == diff.edits)
            #expect(Hunks.apply([], to: old) == old)
            #expect(Hunks.apply(parts, to: old) == new)
            #expect(Hunks.apply(parts.reversed(), to: old) == new)
            let picked = parts.filter { _ in random.below(2) == 0 }
            let made = Hunks.apply(picked, to: old)
            // The other way round: what was not picked leads from there to the new text.
            let rest = LineDiff(old: made, new: new)
            let left = diff.edits.filter { edit in !picked.contains { $0.edits.contains(edit) } }
            #expect(
                rest.added + rest.removed <= left.reduce(0) { $0 + $1.oldLines.count + $1.newLines.count })
            expectRight(LineDiff(old: old, new: made))
        }
    }

    @Test func `lines around an edit are counted up to the edges of the text`() throws {
        let diff = LineDiff(old: Array("1\n2\n3\n4\n5".utf8), new: Array("1\n2\nX\n4\n5".utf8))
        let hunk = try #require(diff.hunks.first)
        #expect((hunk.oldStart, hunk.oldCount, hunk.newStart, hunk.newCount) == (1, 5, 1, 5))
        #expect(diff.hunks(context: 0).first?.lines.map(\.mark) == [.removed, .added])
    }
}

@Suite struct HunkSelections {
    /// Three hunks: the first one has two edits that can be split.
    private static let diff: LineDiff = {
        let old = (1...40).map { "\($0)\n" }
        var new = old
        for index in [0, 4, 19, 38] { new[index] = "new \(index)\n" }
        return LineDiff(old: Array(old.joined().utf8), new: Array(new.joined().utf8))
    }()

    static let cases: [(keys: String, taken: [Int], end: HunkSelection.Outcome)] = [
        ("yyy", [0, 4, 19, 38], .done),
        ("nnn", [], .done),
        ("nyn", [19], .done),
        ("a", [0, 4, 19, 38], .done),
        ("ya", [0, 4, 19, 38], .done),
        ("yd", [0, 4], .done),
        ("yq", [0, 4], .quit),
        ("q", [], .quit),
        ("synnn", [0], .done),
        ("snyyn", [4, 19], .done),
        ("jyyn", [19, 38], .done),
        ("JJykyn", [0, 4, 38], .done),
        ("yKnyn", [19], .done),
    ]

    @Test(arguments: cases)
    func `answers decide which hunks are taken`(_ keys: String, _ taken: [Int], _ end: HunkSelection.Outcome)
    {
        var selection = HunkSelection(HunkSelections.diff)
        var outcome = HunkSelection.Outcome.ask
        for key in keys { outcome = selection.answer(String(key)) }
        #expect(outcome == end)
        let lines = String(decoding: selection.content, as: UTF8.self).split(separator: "\n")
        let changed = lines.indices.filter { lines[$0] != "\($0 + 1)" }
        #expect(changed == taken)
        #expect(selection.isEverything == (taken.count == 4))
    }

    @Test func `a question has the letters that make sense, and others say why not`() {
        var selection = HunkSelection(HunkSelections.diff)
        #expect(selection.letters == "y,n,q,a,d,j,J,s,p,?")
        #expect(selection.answer("k") == .say("No earlier hunk is undecided"))
        #expect(selection.answer("") == .ask)
        #expect(selection.answer("s") == .say("Split into 2 hunks"))
        #expect(selection.answer("s") == .say("This hunk cannot be split"))
        #expect(selection.answer("J") == .ask)
        #expect(selection.letters == "y,n,q,a,d,j,J,k,K,p,?")
        #expect(selection.answer("e") != .ask)
        #expect(selection.answer("?") == .say(HunkSelection.help))
    }

    @Test func `any keys in any order end without a decision that nobody made`() {
        var random = SeededNumbers(seed: 9)
        for _ in 0..<300 {
            var selection = HunkSelection(HunkSelections.diff)
            for _ in 0..<20 {
                let key = ["y", "n", "s", "j", "J", "k", "K", "?", "x", "\u{1B}", "", "a", "d"].randomElement(
                    using: &random)
                guard selection.answer(key ?? "") != .done else { break }
            }
            expectRight(LineDiff(old: HunkSelections.diff.old, new: selection.content))
        }
    }
}
