/// What a screen shows, and everything that decides what comes next. Sequences come to it from a
/// `TerminalFilter`.
struct Display: Sendable {
    /// Where the next character goes.
    struct Cursor: Hashable, Sendable {
        var row = 0
        var column = 0
        /// The last column was written; the next character goes to the next line if lines wrap.
        var isPastEnd = false
    }

    /// The character sets: which of G0 and G1 are line drawing, and whether G1 is in use.
    struct CharacterSets: Hashable, Sendable {
        var isFirstDrawing = false
        var isSecondDrawing = false
        var isShifted = false
        var isDrawing: Bool { isShifted ? isSecondDrawing : isFirstDrawing }
    }

    /// What DECSC keeps and DECRC brings back.
    struct SavedCursor: Hashable, Sendable {
        var cursor = Cursor()
        var pen = TextStyle()
        var sets = CharacterSets()
        var isInRegion = false
    }

    private(set) var rows: Int
    private(set) var columns: Int
    /// What is shown.
    var grid: ScreenGrid
    /// The main screen while the alternate one is shown.
    var main: ScreenGrid?
    var clusters = ScreenClusters()
    var widths = CharacterWidths()

    var cursor = Cursor()
    /// How the next character looks.
    var pen = TextStyle()
    var sets = CharacterSets()
    /// The cursor saved on the main and on the alternate screen.
    var saved = [SavedCursor(), SavedCursor()]
    /// The rows that scroll.
    var region: Range<Int>
    /// Whether a tabulator stops at a column.
    var tabStops: [Bool]
    var modes = ScreenModes()
    /// The kitty keyboard protocol on the main and on the alternate screen.
    var keyboards = [KeyboardFlags(), KeyboardFlags()]

    var title = ""
    /// The titles put aside by `CSI 22 t`.
    var titles: [String] = []
    /// The beginning of a character whose end has not come yet.
    var partial = PartialCharacter()
    /// The last character if nothing came after it: what REP repeats.
    var last: Unicode.Scalar?
    var answers: [UInt8] = []

    init(rows: Int, columns: Int) {
        self.rows = rows
        self.columns = columns
        grid = ScreenGrid(rows: rows, columns: columns)
        region = 0..<rows
        tabStops = Self.everyEighth(columns)
    }

    private static func everyEighth(_ columns: Int) -> [Bool] {
        (0..<columns).map { $0 > 0 && $0 % 8 == 0 }
    }

    /// 0 for the main screen, 1 for the alternate one.
    var shown: Int { main == nil ? 0 : 1 }

    /// What RIS does: all is as in the beginning, but for the title and the answers.
    mutating func reset() {
        var fresh = Display(rows: rows, columns: columns)
        fresh.title = title
        fresh.answers = answers
        self = fresh
    }

    /// What DECSTR does: modes and the pen, but neither the cursor nor what is shown.
    mutating func softReset() {
        pen = TextStyle()
        sets = CharacterSets()
        saved[shown] = SavedCursor()
        region = 0..<rows
        modes.softReset()
    }

    mutating func resize(rows: Int, columns: Int) {
        guard rows != self.rows || columns != self.columns else { return }
        if main == nil {
            keepCursorRow(rows)
        } else {
            // The main screen's cursor is the saved one now.
            let over = max(saved[0].cursor.row - (rows - 1), 0)
            main?.scrollUp(0..<self.rows, over, TextStyle())
            main?.resize(rows: rows, columns: columns)
        }
        grid.resize(rows: rows, columns: columns)
        tabStops =
            columns <= tabStops.count
            ? Array(tabStops.prefix(columns)) : tabStops + Self.everyEighth(columns)[tabStops.count...]
        (self.rows, self.columns) = (rows, columns)
        region = 0..<rows
        cursor = clamped(cursor)
        for place in saved.indices { saved[place].cursor = clamped(saved[place].cursor) }
    }

    private mutating func keepCursorRow(_ rows: Int) {
        let over = cursor.row - (rows - 1)
        guard over > 0 else { return }
        grid.scrollUp(0..<self.rows, over, TextStyle())
        cursor.row -= over
        saved[0].cursor.row = max(saved[0].cursor.row - over, 0)
    }

    private func clamped(_ cursor: Cursor) -> Cursor {
        Cursor(row: min(cursor.row, rows - 1), column: min(cursor.column, columns - 1))
    }

    var text: [String] {
        (0..<rows).map { row in
            var line = ""
            var end = line.endIndex
            for column in 0..<columns {
                let cell = grid[row, column]
                if cell.isRestOfWide { continue }
                line.unicodeScalars.append(contentsOf: clusters.scalars(cell))
                if cell.scalar != " " { end = line.endIndex }
            }
            return String(line[..<end])
        }
    }
}

extension Display: Equatable {
    /// What REP would repeat does not count: no output can leave a terminal so that it repeats a character
    /// and has another state than after printing it.
    static func == (one: Self, other: Self) -> Bool {
        guard one.rows == other.rows, one.columns == other.columns, one.shown == other.shown else {
            return false
        }
        return one.cursor == other.cursor && one.pen == other.pen && one.sets == other.sets
            && one.saved == other.saved && one.region == other.region && one.tabStops == other.tabStops
            && one.modes == other.modes && one.keyboards == other.keyboards && one.title == other.title
            && one.titles == other.titles && one.partial == other.partial
            && one.grid.differences(from: other.grid, one.clusters, other.clusters).isEmpty
            && (one.main ?? one.grid).differences(
                from: other.main ?? other.grid, one.clusters, other.clusters
            ).isEmpty
    }
}
