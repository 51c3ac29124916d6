import Testing

@testable import BoxSession

/// A screen shows what tmux shows.
@Suite(.enabled(if: TmuxPicture.program != nil, "tmux is not installed"))
struct ScreenAgainstTmuxTests {
    private func compare(
        _ bytes: [UInt8], rows: Int, columns: Int, lastColumn: Bool = true,
        _ location: SourceLocation = #_sourceLocation
    ) throws {
        var ours = Screen(rows: rows, columns: columns)
        ours.feed(bytes)
        let theirs = try TmuxPicture(bytes, rows: rows, columns: columns)
        check(ours, theirs, "the stream", lastColumn, location)
        let redrawn = try TmuxPicture(ours.redraw, rows: rows, columns: columns)
        check(ours, redrawn, "the redraw", lastColumn, location)
    }

    private func check(
        _ ours: Screen, _ theirs: TmuxPicture, _ what: String, _ lastColumn: Bool, _ location: SourceLocation
    ) {
        if lastColumn { #expect(ours.text == theirs.screen.text, "\(what)", sourceLocation: location) }
        let full = lastColumn ? ours.columns : ours.columns - 1
        let column = min(ours.cursor.column + (ours.cursor.isPastEnd ? 1 : 0), full)
        #expect(
            [column, ours.cursor.row] == [min(theirs.cursor.column, full), theirs.cursor.row],
            "the cursor of \(what)", sourceLocation: location)
        let (one, two) = (ours.display, theirs.screen.display)
        let places = one.grid.differences(from: two.grid, one.clusters, two.clusters)
            .filter { place in
                // tmux does not tell of the background at the end of a line.
                let isBlank =
                    one.grid[place.row, place.column].scalar == " "
                    && two.grid[place.row, place.column].isEmpty
                return !isBlank && (lastColumn || place.column < ours.columns - 1)
            }
        let shown = places.prefix(3).map { place in
            let cells = [one.grid, two.grid].map { $0[place.row, place.column] }
            return "\(place) \(cells.map { "\($0.style.sequence.dropFirst()) \($0.scalar ?? "?")" })"
        }
        #expect(shown == [], "places of \(what)", sourceLocation: location)
    }

    @Test(arguments: 0..<15) func `a mixed stream and its redraw give the same picture`(seed: UInt64) throws {
        let (rows, columns) = [(24, 80), (5, 20), (10, 33)][Int(seed % 3)]
        var stream = ScreenStream(seed: seed &+ 6000, rows: rows, columns: columns)
        let bytes = (0..<120).flatMap { _ in stream.agreedToken().utf8 }
        try compare(bytes, rows: rows, columns: columns)
    }

    @Test(arguments: 0..<8) func `wide characters and marks have their places`(seed: UInt64) throws {
        let (rows, columns) = [(24, 80), (5, 21)][Int(seed % 2)]
        var stream = ScreenStream(seed: seed &+ 7000, rows: rows, columns: columns)
        let bytes = (0..<120).flatMap { _ in stream.agreedWideToken().utf8 }
        try compare(bytes, rows: rows, columns: columns)
    }

    @Test(arguments: StartupStream.all) func `a full-screen program's picture is the same at any time`(
        stream: StartupStream
    ) throws {
        for part in [4, 8] {
            // No sequence is left open, which would take the query after it.
            var filter = TerminalFilter(mode: .relayed)
            let bytes = filter.filter(stream.bytes.prefix(stream.bytes.count * part / 10))
            try compare(bytes, rows: 24, columns: 80)
        }
    }

    @Test(
        .enabled(if: RecordedProgram.areThere, "not all programs are installed"),
        arguments: RecordedProgram.allCases)
    func `a program that runs now has the same picture`(program: RecordedProgram) throws {
        let bytes = try program.record()
        for part in [6, 10] {
            var filter = TerminalFilter(mode: .relayed)
            // They disagree whether the last character of a full row goes when the rest is erased, and whether the
            // row is full then.
            let piece = filter.filter(bytes.prefix(bytes.count * part / 10))
            try compare(piece, rows: 24, columns: 80, lastColumn: false)
        }
    }
}
