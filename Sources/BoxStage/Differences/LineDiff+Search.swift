/// Which lines of two texts' different middles have no counterpart.
struct ChangedLines {
    private let old: ArraySlice<UInt8>
    private let new: ArraySlice<UInt8>
    /// nil: nothing was compared, all lines count as changed.
    private var found: (lines: NumberedLines, old: [Bool], new: [Bool])?

    init(_ old: ArraySlice<UInt8>, _ new: ArraySlice<UInt8>, _ limits: LineDiff.Limits) {
        self.old = old
        self.new = new
        // One side has nothing, or too much; offsets are kept in 32 bits.
        guard !old.isEmpty, !new.isEmpty, max(old.count, new.count) < Int(Int32.max),
            max(old.lineCount, new.lineCount) <= limits.lines
        else { return }
        let lines = NumberedLines(old, new)
        var search = LineSearch(lines, steps: limits.steps)
        search.run()
        found = (lines, search.old.changed, search.new.changed)
    }

    /// The edits, as they are in the whole texts.
    func edits(after common: CommonEnds) -> [Edit] {
        let before = common.linesBefore
        guard let found else {
            return [
                Edit(
                    oldLines: before..<before + old.lineCount, newLines: before..<before + new.lineCount,
                    oldBytes: common.oldMiddle, newBytes: common.newMiddle)
            ]
        }
        let (oldStarts, newStarts) = (found.lines.oldStarts, found.lines.newStarts)
        let (oldCount, newCount) = (found.old.count, found.new.count)
        let start = common.oldMiddle.lowerBound
        var edits: [Edit] = []
        var (i, j) = (0, 0)
        while i < oldCount || j < newCount {
            let (fromI, fromJ) = (i, j)
            while i < oldCount, found.old[i] { i += 1 }
            while j < newCount, found.new[j] { j += 1 }
            if i > fromI || j > fromJ {
                edits.append(
                    Edit(
                        oldLines: before + fromI..<before + i, newLines: before + fromJ..<before + j,
                        oldBytes: start + Int(oldStarts[fromI])..<start + Int(oldStarts[i]),
                        newBytes: start + Int(newStarts[fromJ])..<start + Int(newStarts[j])))
            }
            while i < oldCount, j < newCount, !found.old[i], !found.new[j] {
                i += 1
                j += 1
            }
        }
        return edits
    }
}

/// Myers' search for the shortest edit in linear space: find the middle of a shortest way, then search both halves.
private struct LineSearch {
    /// One text: the lines that occur in the other one as well, where they stand, and what is changed so far.
    struct Side {
        var numbers: [UInt32] = []
        var places: [Int32] = []
        var changed: [Bool]

        /// Lines that the other text does not have at all are changed, and need no search.
        init(_ all: [UInt32], knownTo other: [Bool]) {
            changed = [Bool](repeating: false, count: all.count)
            for (index, number) in all.enumerated() {
                if other[Int(number)] {
                    numbers.append(number)
                    places.append(Int32(index))
                } else {
                    changed[index] = true
                }
            }
        }

        mutating func mark(_ range: Range<Int>) {
            for index in range { changed[Int(places[index])] = true }
        }
    }

    /// A part of both texts that is to be compared.
    struct Part {
        var old: Range<Int>
        var new: Range<Int>
    }

    var old: Side
    var new: Side
    private var steps: Int
    /// The longest way that is searched to its end.
    private let furthest: Int
    /// How far each diagonal was reached from the start and from the end; only those near the first one are ever
    /// touched.
    private var forward: [Int]
    private var backward: [Int]

    init(_ lines: NumberedLines, steps: Int) {
        var (inOld, inNew) = (
            [Bool](repeating: false, count: lines.distinct), [Bool](repeating: false, count: lines.distinct)
        )
        for number in lines.oldNumbers { inOld[Int(number)] = true }
        for number in lines.newNumbers { inNew[Int(number)] = true }
        old = Side(lines.oldNumbers, knownTo: inNew)
        new = Side(lines.newNumbers, knownTo: inOld)
        self.steps = steps
        let size = Double(old.numbers.count + new.numbers.count)
        furthest = min(2048, max(256, Int(size.squareRoot())))
        forward = [Int](repeating: 0, count: 2 * furthest + 5)
        backward = forward
    }

    mutating func run() {
        // A list of what is to be done, not recursion: its depth would be the texts' to choose.
        var waiting = [Part(old: 0..<old.numbers.count, new: 0..<new.numbers.count)]
        while var part = waiting.popLast() {
            trim(&part)
            if part.old.isEmpty || part.new.isEmpty || steps <= 0 {
                old.mark(part.old)
                new.mark(part.new)
                continue
            }
            let (x, y) = middle(part)
            let done = x + y - part.old.lowerBound - part.new.lowerBound
            // A point at a corner would leave the same part to do again.
            guard done > 0, done < part.old.count + part.new.count else {
                old.mark(part.old)
                new.mark(part.new)
                continue
            }
            waiting.append(Part(old: x..<part.old.upperBound, new: y..<part.new.upperBound))
            waiting.append(Part(old: part.old.lowerBound..<x, new: part.new.lowerBound..<y))
        }
    }

    /// Takes what is the same off both ends.
    private mutating func trim(_ part: inout Part) {
        var (x, xEnd) = (part.old.lowerBound, part.old.upperBound)
        var (y, yEnd) = (part.new.lowerBound, part.new.upperBound)
        while x < xEnd, y < yEnd, old.numbers[x] == new.numbers[y] {
            x += 1
            y += 1
        }
        while x < xEnd, y < yEnd, old.numbers[xEnd - 1] == new.numbers[yEnd - 1] {
            xEnd -= 1
            yEnd -= 1
        }
        part = Part(old: x..<xEnd, new: y..<yEnd)
    }

    /// A point that a short way goes through; exactly the middle of a shortest one if that is not too far.
    private mutating func middle(_ part: Part) -> (Int, Int) {
        var ways = Ways(part, furthest: furthest)
        forward[ways.first + ways.atFirst] = part.old.lowerBound
        backward[ways.last + ways.atLast] = part.old.upperBound
        for _ in 0..<furthest {
            for closed in ways.ahead.widen(ways.bounds) { forward[closed + ways.atFirst] = -1 }
            if let point = goForward(part, ways) { return point }
            for closed in ways.back.widen(ways.bounds) { backward[closed + ways.atLast] = .max }
            if let point = goBackward(part, ways) { return point }
        }
        return best(part, ways)
    }

    /// One more edit on every way from the start; gives the point where one meets a way from the end.
    private mutating func goForward(_ part: Part, _ ways: Ways) -> (Int, Int)? {
        let (a, b) = (old.numbers, new.numbers)
        var diagonal = ways.ahead.high
        while diagonal >= ways.ahead.low {
            let at = diagonal + ways.atFirst
            let (below, above) = (forward[at - 1], forward[at + 1])
            let start = below < above ? above : below + 1
            var x = start
            while x < part.old.upperBound, x - diagonal < part.new.upperBound, a[x] == b[x - diagonal] {
                x += 1
            }
            steps -= x - start + 1
            forward[at] = x
            if ways.isOdd, ways.back.contains(diagonal), backward[diagonal + ways.atLast] <= x {
                return (x, x - diagonal)
            }
            diagonal -= 2
        }
        return nil
    }

    /// The same from the end.
    private mutating func goBackward(_ part: Part, _ ways: Ways) -> (Int, Int)? {
        let (a, b) = (old.numbers, new.numbers)
        var diagonal = ways.back.high
        while diagonal >= ways.back.low {
            let at = diagonal + ways.atLast
            let (below, above) = (backward[at - 1], backward[at + 1])
            let start = below < above ? below : above - 1
            var x = start
            while x > part.old.lowerBound, x - diagonal > part.new.lowerBound, a[x - 1] == b[x - 1 - diagonal]
            {
                x -= 1
            }
            steps -= start - x + 1
            backward[at] = x
            if !ways.isOdd, ways.ahead.contains(diagonal), x <= forward[diagonal + ways.atFirst] {
                return (x, x - diagonal)
            }
            diagonal -= 2
        }
        return nil
    }

    /// The point that lies furthest on a way, from whichever end it is further.
    private func best(_ part: Part, _ ways: Ways) -> (Int, Int) {
        var reached = (x: part.old.lowerBound, y: part.new.lowerBound)
        for diagonal in stride(from: ways.ahead.high, through: ways.ahead.low, by: -2) {
            var x = min(forward[diagonal + ways.atFirst], part.old.upperBound)
            x = min(x, part.new.upperBound + diagonal)
            if x - diagonal + x > reached.x + reached.y { reached = (x, x - diagonal) }
        }
        var left = (x: part.old.upperBound, y: part.new.upperBound)
        for diagonal in stride(from: ways.back.high, through: ways.back.low, by: -2) {
            var x = max(backward[diagonal + ways.atLast], part.old.lowerBound)
            x = max(x, part.new.lowerBound + diagonal)
            if x - diagonal + x < left.x + left.y { left = (x, x - diagonal) }
        }
        let done = reached.x + reached.y - part.old.lowerBound - part.new.lowerBound
        let doneBack = part.old.upperBound + part.new.upperBound - left.x - left.y
        return done >= doneBack ? reached : left
    }
}

/// Where the two searches of a part are. A diagonal is a line's index in the old text minus that in the new one.
private struct Ways {
    /// The diagonals on which they began.
    let first: Int
    let last: Int
    /// What is added to a diagonal for its place in the arrays, which hold those near the first one.
    let atFirst: Int
    let atLast: Int
    /// The way between both has an odd number of edits.
    let isOdd: Bool
    /// The diagonals of the part's corners.
    let bounds: ClosedRange<Int>
    var ahead: Reach
    var back: Reach

    init(_ part: LineSearch.Part, furthest: Int) {
        first = part.old.lowerBound - part.new.lowerBound
        last = part.old.upperBound - part.new.upperBound
        (atFirst, atLast) = (furthest + 2 - first, furthest + 2 - last)
        isOdd = (first - last) & 1 != 0
        bounds = part.old.lowerBound - part.new.upperBound...part.old.upperBound - part.new.lowerBound
        (ahead, back) = (Reach(first), Reach(last))
    }
}

/// The diagonals that a search has reached.
private struct Reach {
    private(set) var low: Int
    private(set) var high: Int

    init(_ first: Int) { (low, high) = (first, first) }

    func contains(_ diagonal: Int) -> Bool { low <= diagonal && diagonal <= high }

    /// Goes one diagonal further to both sides, or back where the part ends. Gives the diagonals beyond, which nothing
    /// has reached yet.
    mutating func widen(_ bounds: ClosedRange<Int>) -> [Int] {
        var closed: [Int] = []
        if low > bounds.lowerBound {
            low -= 1
            closed.append(low - 1)
        } else {
            low += 1
        }
        if high < bounds.upperBound {
            high += 1
            closed.append(high + 1)
        } else {
            high -= 1
        }
        return closed
    }
}
