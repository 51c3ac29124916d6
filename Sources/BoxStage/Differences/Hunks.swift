/// Edits that lie close together, with the lines around them.
package struct Hunk: Sendable {
    /// What a line of a hunk is; the raw values are the unified format's marks.
    package enum Mark: UInt8, Sendable {
        case context = 0x20
        case removed = 0x2D
        case added = 0x2B
    }

    /// One line with its `\n`; the last one of a text may have none.
    package struct Line: Equatable, Sendable {
        package let mark: Mark
        package let bytes: ArraySlice<UInt8>
    }

    /// As in the unified format: the first line, counted from 1; of no lines, the one before.
    package let oldStart: Int
    package let oldCount: Int
    package let newStart: Int
    package let newCount: Int
    /// At least one.
    package let edits: [Edit]
    private let old: [UInt8]
    private let new: [UInt8]
    /// The part of the old text that is shown.
    private let oldBytes: Range<Int>

    /// Edits of one difference in order, with up to `context` lines before and after them.
    init?(_ edits: some Collection<Edit>, of diff: LineDiff, context: Int) {
        guard let first = edits.first else { return nil }
        let last = edits.reduce(first) { $1 }
        var (start, before) = (first.oldBytes.lowerBound, 0)
        while start > 0, before < context {
            start = diff.old.lineStart(before: start)
            before += 1
        }
        var (end, after) = (last.oldBytes.upperBound, 0)
        while end < diff.old.count, after < context {
            end = diff.old.lineEnd(from: end)
            after += 1
        }
        self.edits = Array(edits)
        (old, new) = (diff.old, diff.new)
        oldBytes = start..<end
        oldCount = last.oldLines.upperBound + after - (first.oldLines.lowerBound - before)
        newCount = last.newLines.upperBound + after - (first.newLines.lowerBound - before)
        oldStart = first.oldLines.lowerBound - before + (oldCount == 0 ? 0 : 1)
        newStart = first.newLines.lowerBound - before + (newCount == 0 ? 0 : 1)
    }

    /// Calls with every line in order; of an edit the removed ones first.
    package func forEachLine<Failure>(_ body: (Line) throws(Failure) -> Void) throws(Failure) {
        var at = oldBytes.lowerBound
        for edit in edits {
            try Hunk.each(.context, old, at..<edit.oldBytes.lowerBound, body)
            try Hunk.each(.removed, old, edit.oldBytes, body)
            try Hunk.each(.added, new, edit.newBytes, body)
            at = edit.oldBytes.upperBound
        }
        try Hunk.each(.context, old, at..<oldBytes.upperBound, body)
    }

    private static func each<Failure>(
        _ mark: Mark, _ text: [UInt8], _ range: Range<Int>, _ body: (Line) throws(Failure) -> Void
    ) throws(Failure) {
        var at = range.lowerBound
        while at < range.upperBound {
            let end = text.lineEnd(from: at)
            try body(Line(mark: mark, bytes: text[at..<end]))
            at = end
        }
    }

    /// All lines at once.
    package var lines: [Line] {
        var all: [Line] = []
        forEachLine { all.append($0) }
        return all
    }

    /// How many lines are shown.
    package var lineCount: Int {
        edits.reduce(oldCount) { $0 + $1.newLines.count }
    }

    /// One hunk for each edit.
    package func split(context: Int = 3) -> [Hunk] {
        guard edits.count > 1 else { return [self] }
        let diff = LineDiff(old: old, new: new, edits: edits)
        return edits.compactMap { Hunk(CollectionOfOne($0), of: diff, context: context) }
    }
}

extension LineDiff {
    /// A part of a difference that is known already.
    init(old: [UInt8], new: [UInt8], edits: [Edit]) {
        self.old = old
        self.new = new
        self.edits = edits
    }

    /// The difference in hunks with three lines of context.
    package var hunks: [Hunk] { hunks(context: 3) }

    /// Edits with no more than twice the context between them share a hunk, as in `diff -u`.
    package func hunks(context: Int) -> [Hunk] {
        var hunks: [Hunk] = []
        forEachHunk(context: context) { hunks.append($0) }
        return hunks
    }

    /// Calls with each hunk, made one by one.
    package func forEachHunk<Failure>(
        context: Int = 3, _ body: (Hunk) throws(Failure) -> Void
    ) throws(Failure) {
        var first = 0
        for index in edits.indices {
            let isLast =
                index + 1 == edits.count
                || edits[index + 1].oldLines.lowerBound - edits[index].oldLines.upperBound > 2 * context
            guard isLast else { continue }
            if let hunk = Hunk(edits[first...index], of: self, context: context) { try body(hunk) }
            first = index + 1
        }
    }
}

/// Hunks chosen from a difference.
package enum Hunks {
    /// The old text with the chosen hunks' changes, and only these. The hunks are of a difference from this text.
    package static func apply(_ picked: [Hunk], to old: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        var at = 0
        for hunk in picked.sorted(by: { $0.oldOrder < $1.oldOrder }) {
            for edit in hunk.edits where edit.oldBytes.lowerBound >= at {
                result += old[at..<edit.oldBytes.lowerBound]
                result += hunk.newText(of: edit)
                at = edit.oldBytes.upperBound
            }
        }
        return result + old[at...]
    }
}

extension Hunk {
    fileprivate var oldOrder: Int { edits.first?.oldBytes.lowerBound ?? 0 }
    fileprivate func newText(of edit: Edit) -> ArraySlice<UInt8> { new[edit.newBytes] }
}
