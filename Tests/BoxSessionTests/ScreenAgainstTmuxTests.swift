import Testing

@testable import BoxSession

/// A screen shows what tmux shows.
@Suite(.enabled(if: TmuxPicture.program != nil, "tmux is not installed"))
struct ScreenAgainstTmuxTests {
    private func compare(
        _ bytes: [UInt8], rows: Int, columns: Int, _ location: SourceLocation = #_sourceLocation
    ) throws {
        var ours = Screen(rows: rows, columns: columns)
        ours.feed(bytes)
        let theirs = try TmuxPicture(bytes, rows: rows, columns: columns)
        check(ours, theirs, "the stream", location)
        check(ours, try TmuxPicture(ours.redraw, rows: rows, columns: columns), "the redraw", location)
    }

    private func check(_ ours: Screen, _ theirs: TmuxPicture, _ what: String, _ location: SourceLocation) {
        #expect(ours.text == theirs.screen.text, "\(what)", sourceLocation: location)
        let column = ours.cursor.column + (ours.cursor.isPastEnd ? 1 : 0)
        #expect(
            "\(column) \(ours.cursor.row)" == theirs.cursor, "the cursor of \(what)", sourceLocation: location
        )
        guard ours.text == theirs.screen.text else { return }
        let (one, two) = (ours.display, theirs.screen.display)
        let places = one.grid.differences(from: two.grid, one.clusters, two.clusters)
            .filter { one.grid[$0.row, $0.column].scalar != " " || !two.grid[$0.row, $0.column].isEmpty }
        let shown = places.prefix(3).map {
            "\($0) \(one.grid[$0.row, $0.column].style.sequence.dropFirst()) \(two.grid[$0.row, $0.column].style.sequence.dropFirst())"
        }
        #expect(shown == [], "colours of \(what)", sourceLocation: location)
    }

    @Test(arguments: 0..<24) func `a mixed stream and its redraw give the same picture`(seed: UInt64) throws {
        let (rows, columns) = [(24, 80), (5, 20), (10, 33)][Int(seed % 3)]
        var stream = ScreenStream(seed: seed &+ 6000, rows: rows, columns: columns)
        let bytes = (0..<120).flatMap { _ in stream.agreedToken().utf8 }
        try compare(bytes, rows: rows, columns: columns)
    }

    @Test(arguments: 0..<12) func `wide characters and marks have their places`(seed: UInt64) throws {
        let (rows, columns) = [(24, 80), (5, 21)][Int(seed % 2)]
        var stream = ScreenStream(seed: seed &+ 7000, rows: rows, columns: columns)
        let bytes = (0..<120).flatMap { _ in stream.agreedWideToken().utf8 }
        try compare(bytes, rows: rows, columns: columns)
    }

    @Test(arguments: StartupStream.all) func `a full-screen program's picture is the same at any time`(
        stream: StartupStream
    ) throws {
        for part in [3, 5, 8, 10] {
            // No sequence is left open, which would take the query after it.
            var filter = TerminalFilter(mode: .relayed)
            let bytes = filter.filter(stream.bytes.prefix(stream.bytes.count * part / 10))
            try compare(bytes, rows: 24, columns: 80)
        }
    }
}
