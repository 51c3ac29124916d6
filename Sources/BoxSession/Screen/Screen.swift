/// A terminal's screen without a terminal: takes what a program writes, and knows what would be seen.
///
/// A detached session has one, so that `box attach` can show the program's screen as it is. It takes bytes
/// that went through a `TerminalFilter` in mode `relayed`, and parses them by one of its own, so other bytes
/// do no harm either. Its size in memory depends on rows and columns alone; what scrolls off is lost.
///
/// Not known: left and right margins, rectangles, protected cells, colours that were changed (OSC 4, 10…19),
/// links (OSC 8), images, character sets but ASCII and line drawing. Each character has the width that it has
/// by itself; of those that belong together only emoji with U+200D between them share a place.
package struct Screen: Sendable, Equatable {
    /// The smallest and the largest number of rows and of columns.
    package static let bounds = 1...1000

    private var parser = TerminalFilter(mode: .relayed)
    private(set) var display: Display

    /// An empty screen; numbers out of bounds become the nearest ones in them.
    package init(rows: Int, columns: Int) {
        display = Display(rows: Self.within(rows), columns: Self.within(columns))
    }

    package var rows: Int { display.rows }
    package var columns: Int { display.columns }

    /// Takes what the program wrote, in pieces of any size.
    package mutating func feed(_ bytes: Span<UInt8>) { parser.filter(bytes, to: &display) }

    /// Takes what the program wrote, in pieces of any size.
    package mutating func feed(_ bytes: [UInt8]) { feed(bytes.span) }

    /// Becomes this large. As in xterm, lines are not wrapped anew; if the cursor would be cut off, lines
    /// leave at the top instead.
    package mutating func resize(rows: Int, columns: Int) {
        display.resize(rows: Self.within(rows), columns: Self.within(columns))
    }

    private static func within(_ number: Int) -> Int {
        min(max(number, bounds.lowerBound), bounds.upperBound)
    }

    /// What makes a terminal of the same size show exactly this and go on from here, whatever it showed.
    ///
    /// The lines that stand on it are lost, those above it (scrollback) are not. After an incomplete
    /// character its bytes are at the end, so that what the program writes next completes it.
    package var redraw: [UInt8] { display.redraw + (parser.isInImage ? Array("\u{1B}Pq".utf8) : []) }

    /// The answers to the program's queries since the last call, as a terminal would have given them. The
    /// oldest of too many are kept, the others dropped.
    package mutating func takeAnswers() -> [UInt8] {
        defer { display.answers = [] }
        return display.answers
    }

    /// The lines that can be seen, without blanks at their ends.
    package var text: [String] { display.text }

    /// The title that the program gave to its window; empty if it gave none.
    package var title: String { display.title }

    /// Where the next character goes, counted from 0; `isPastEnd` if it goes to the next line since the
    /// last column was written.
    package var cursor: (row: Int, column: Int, isPastEnd: Bool) {
        (display.cursor.row, display.cursor.column, display.cursor.isPastEnd)
    }

    /// Whether the alternate screen is shown, which full-screen programs use.
    package var isAlternate: Bool { display.main != nil }

    /// Whether both show the same and will take what comes in the same way. An incomplete control sequence
    /// does not count, since a filter passes on whole ones only, and neither do answers.
    package static func == (one: Self, other: Self) -> Bool { one.display == other.display }
}
