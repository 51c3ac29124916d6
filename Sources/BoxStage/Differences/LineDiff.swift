/// One place where two texts differ: lines of the old one that lines of the new one stand for. One of both may be none.
package struct Edit: Equatable, Sendable {
    /// Lines, counted from 0.
    package var oldLines: Range<Int>
    package var newLines: Range<Int>
    /// The same as bytes; a line has its `\n`.
    package var oldBytes: Range<Int>
    package var newBytes: Range<Int>
}

/// How two texts differ, by lines that end at `\n`.
///
/// It is the shortest difference (Myers) while that is cheap to find. The work is bounded: where the texts have too
/// little in common, the result is longer than it must be, but always right.
package struct LineDiff: Sendable {
    package let old: [UInt8]
    package let new: [UInt8]
    /// In order; between two of them is at least one line that both texts have.
    package let edits: [Edit]

    package init(old: [UInt8], new: [UInt8]) { self.init(old: old, new: new, limits: Limits()) }

    /// What a comparison may cost.
    package struct Limits: Sendable {
        /// Steps in all; about a nanosecond each.
        package var steps = 200_000_000
        /// More lines than this that differ on one side are not compared one by one.
        package var lines = 4_000_000
        package init() {}
    }

    /// The same with other limits.
    package init(old: [UInt8], new: [UInt8], limits: Limits) {
        self.old = old
        self.new = new
        let common = CommonEnds(old, new)
        guard !common.isEverything else {
            edits = []
            return
        }
        let changed = ChangedLines(old[common.oldMiddle], new[common.newMiddle], limits)
        edits = LineDiff.settle(changed.edits(after: common), old, new)
    }

    /// How many lines are only in the new text.
    package var added: Int { edits.reduce(0) { $0 + $1.newLines.count } }
    /// How many lines are only in the old text.
    package var removed: Int { edits.reduce(0) { $0 + $1.oldLines.count } }

    /// Moves lines that are only added, or only removed, down while the text stays the same: a new function after
    /// another one then ends with its own brace. What meets becomes one edit.
    private static func settle(_ edits: [Edit], _ old: [UInt8], _ new: [UInt8]) -> [Edit] {
        var settled: [Edit] = []
        settled.reserveCapacity(edits.count)
        for edit in edits.reversed() {
            var edit = edit
            let next = settled.last
            // The lines between this edit and the next one are the same on both sides.
            let end = next?.oldBytes.lowerBound ?? old.count
            if edit.oldBytes.isEmpty {
                slide(&edit.newLines, &edit.newBytes, in: new, &edit.oldLines, &edit.oldBytes, upTo: end)
            } else if edit.newBytes.isEmpty {
                let end = next?.newBytes.lowerBound ?? new.count
                slide(&edit.oldLines, &edit.oldBytes, in: old, &edit.newLines, &edit.newBytes, upTo: end)
            }
            guard let next, next.oldBytes.lowerBound == edit.oldBytes.upperBound else {
                settled.append(edit)
                continue
            }
            settled[settled.count - 1] = Edit(
                oldLines: edit.oldLines.lowerBound..<next.oldLines.upperBound,
                newLines: edit.newLines.lowerBound..<next.newLines.upperBound,
                oldBytes: edit.oldBytes.lowerBound..<next.oldBytes.upperBound,
                newBytes: edit.newBytes.lowerBound..<next.newBytes.upperBound)
        }
        return settled.reversed()
    }

    /// Slides a run of lines that only one text has; `place` is where it stands in the other one.
    private static func slide(
        _ lines: inout Range<Int>, _ bytes: inout Range<Int>, in text: [UInt8],
        _ placeLines: inout Range<Int>, _ placeBytes: inout Range<Int>, upTo end: Int
    ) {
        while placeBytes.upperBound < end {
            let first = text.lineEnd(from: bytes.lowerBound) - bytes.lowerBound
            let following = text.lineEnd(from: bytes.upperBound) - bytes.upperBound
            guard first == following, first > 0,
                text[bytes.lowerBound..<bytes.lowerBound + first]
                    == text[bytes.upperBound..<bytes.upperBound + first]
            else { return }
            bytes = bytes.lowerBound + first..<bytes.upperBound + first
            lines = lines.lowerBound + 1..<lines.upperBound + 1
            placeBytes = placeBytes.lowerBound + first..<placeBytes.upperBound + first
            placeLines = placeLines.lowerBound + 1..<placeLines.upperBound + 1
        }
    }
}

/// What two texts have in common at their beginnings and ends, by whole lines.
struct CommonEnds {
    let oldMiddle: Range<Int>
    let newMiddle: Range<Int>
    /// How many lines the common beginning has.
    let linesBefore: Int

    var isEverything: Bool { oldMiddle.isEmpty && newMiddle.isEmpty }

    init(_ old: [UInt8], _ new: [UInt8]) {
        let least = min(old.count, new.count)
        var same = 0
        while same < least, old[same] == new[same] { same += 1 }
        guard same < max(old.count, new.count) else {
            (oldMiddle, newMiddle) = (same..<same, same..<same)
            linesBefore = 0
            return
        }
        var start = same
        while start > 0, old[start - 1] != UInt8.newline { start -= 1 }
        var tail = 0
        while tail < least - start, old[old.count - 1 - tail] == new[new.count - 1 - tail] { tail += 1 }
        // It must begin where a line does, in both.
        func isStart(_ tail: Int) -> Bool {
            let (a, b) = (old.count - tail, new.count - tail)
            return (a == start || old[a - 1] == UInt8.newline) && (b == start || new[b - 1] == UInt8.newline)
        }
        while tail > 0, !isStart(tail) { tail -= 1 }
        oldMiddle = start..<old.count - tail
        newMiddle = start..<new.count - tail
        linesBefore = old[..<start].newlines
    }
}

extension UInt8 {
    static let newline = UInt8(ascii: "\n")
}

extension Array<UInt8> {
    /// Where the line ends that begins at an index: after its `\n`, or at the end of the text.
    func lineEnd(from start: Int) -> Int {
        var at = start
        while at < count {
            if self[at] == UInt8.newline { return at + 1 }
            at += 1
        }
        return at
    }

    /// Where the line begins that ends before an index.
    func lineStart(before end: Int) -> Int {
        var at = end - 1
        while at > 0, self[at - 1] != UInt8.newline { at -= 1 }
        return Swift.max(at, 0)
    }
}

extension ArraySlice<UInt8> {
    /// How many bytes end a line.
    var newlines: Int {
        var count = 0
        for byte in self where byte == UInt8.newline { count += 1 }
        return count
    }

    /// How many lines there are; the last one need not end.
    var lineCount: Int { newlines + (isEmpty || last == UInt8.newline ? 0 : 1) }
}
