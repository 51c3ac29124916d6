/// The outcome of a three-way merge.
package struct Merged: Equatable, Sendable {
    /// The merged text, with both versions between markers where they conflict; the host's own if one is binary.
    package let content: [UInt8]
    /// How many places conflict.
    package let conflicts: Int

    package init(content: [UInt8], conflicts: Int) {
        self.content = content
        self.conflicts = conflicts
    }
}

/// The three-way merge of `diff3 -m`: what only one side changed is taken; what both changed at the same or at
/// neighbouring lines is a conflict, unless they made the same of it.
package enum Merge {
    /// Merges what the host (`ours`) and the agent (`theirs`) made of `base`.
    package static func merge(base: [UInt8], ours: [UInt8], theirs: [UInt8]) -> Merged {
        guard ![base, ours, theirs].contains(where: Binary.isBinary) else {
            if ours == theirs || base == theirs { return Merged(content: ours, conflicts: 0) }
            if base == ours { return Merged(content: theirs, conflicts: 0) }
            return Merged(content: ours, conflicts: 1)
        }
        var run = MergeRun(
            ours: MergeSide(LineDiff(old: base, new: ours)),
            theirs: MergeSide(LineDiff(old: base, new: theirs)))
        run.run()
        return Merged(content: run.content, conflicts: run.conflicts)
    }
}

/// One side of a merge: what it changed, and how far that is merged.
private struct MergeSide {
    let diff: LineDiff
    private var next = 0

    init(_ diff: LineDiff) { self.diff = diff }

    var edit: Edit? { next < diff.edits.count ? diff.edits[next] : nil }
    mutating func advance() { next += 1 }

    /// This side's text for a range of the base that begins and ends outside its edits or at their ends; `edits` are
    /// those inside.
    func text(of base: Range<Int>, edits: [Edit]) -> ArraySlice<UInt8> {
        guard let first = edits.first, let last = edits.last else {
            return diff.old[base]
        }
        let start = first.newBytes.lowerBound - (first.oldBytes.lowerBound - base.lowerBound)
        let end = last.newBytes.upperBound + (base.upperBound - last.oldBytes.upperBound)
        return diff.new[start..<end]
    }
}

private struct MergeRun {
    var ours: MergeSide
    var theirs: MergeSide
    var content: [UInt8] = []
    var conflicts = 0
    /// How much of the base is done, in bytes.
    private var done = 0

    init(ours: MergeSide, theirs: MergeSide) {
        self.ours = ours
        self.theirs = theirs
    }

    private var base: [UInt8] { ours.diff.old }

    mutating func run() {
        while true {
            switch (ours.edit, theirs.edit) {
            case (nil, nil):
                content += base[done...]
                return
            case (let edit?, nil):
                take(edit, of: ours)
                ours.advance()
            case (nil, let edit?):
                take(edit, of: theirs)
                theirs.advance()
            case (let our?, let their?):
                if our.oldLines.upperBound < their.oldLines.lowerBound {
                    take(our, of: ours)
                    ours.advance()
                } else if their.oldLines.upperBound < our.oldLines.lowerBound {
                    take(their, of: theirs)
                    theirs.advance()
                } else {
                    join(our, their)
                }
            }
        }
    }

    private mutating func take(_ edit: Edit, of side: MergeSide) {
        content += base[done..<edit.oldBytes.lowerBound]
        content += side.diff.new[edit.newBytes]
        done = edit.oldBytes.upperBound
    }

    /// Takes all edits of both sides that hang together by touching each other.
    private mutating func join(_ our: Edit, _ their: Edit) {
        var (ourEdits, theirEdits) = ([our], [their])
        ours.advance()
        theirs.advance()
        var start = min(our.oldBytes.lowerBound, their.oldBytes.lowerBound)
        var end = max(our.oldBytes.upperBound, their.oldBytes.upperBound)
        // The same change on both sides stands for itself.
        let isSame =
            our.oldBytes == their.oldBytes && ours.diff.new[our.newBytes] == theirs.diff.new[their.newBytes]
        while !isSame {
            if let edit = ours.edit, edit.oldBytes.lowerBound <= end {
                ourEdits.append(edit)
                ours.advance()
                end = max(end, edit.oldBytes.upperBound)
            } else if let edit = theirs.edit, edit.oldBytes.lowerBound <= end {
                theirEdits.append(edit)
                theirs.advance()
                end = max(end, edit.oldBytes.upperBound)
            } else {
                break
            }
        }
        start = max(start, done)
        content += base[done..<start]
        done = end
        let our = ours.text(of: start..<end, edits: ourEdits)
        let their = theirs.text(of: start..<end, edits: theirEdits)
        if our == their {
            content += our
        } else {
            conflicts += 1
            add(our, base[start..<end], their)
        }
    }

    private mutating func add(_ our: ArraySlice<UInt8>, _ base: ArraySlice<UInt8>, _ their: ArraySlice<UInt8>)
    {
        let isCRLF =
            [our, base, their].allSatisfy { $0.isEmpty || $0.hasCRLF } && !(our.isEmpty && their.isEmpty)
        let end = isCRLF ? "\r\n" : "\n"
        for (marker, text) in [("<<<<<<< host", our), ("||||||| base", base), ("=======", their)] {
            content += marker.utf8
            content += end.utf8
            content += text
            if let last = text.last, last != UInt8.newline { content += end.utf8 }
        }
        content += ">>>>>>> agent".utf8
        content += end.utf8
    }
}

extension ArraySlice<UInt8> {
    /// Whether the first line ends with CR and LF.
    fileprivate var hasCRLF: Bool {
        guard let end = firstIndex(of: UInt8.newline), end > startIndex else { return false }
        return self[end - 1] == UInt8(ascii: "\r")
    }
}
