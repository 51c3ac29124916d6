extension Display {
    // MARK: - Within a line

    mutating func move(toColumn column: Int) {
        cursor.column = min(max(column, 0), columns - 1)
        cursor.isPastEnd = false
    }

    /// Goes to the next tab stops, or back to earlier ones.
    mutating func tabulate(_ count: Int) {
        guard count != 0 else { return }
        var column = cursor.column
        for _ in 0..<min(abs(count), columns) {
            repeat { column += count.signum() } while column > 0 && column < columns - 1 && !tabStops[column]
        }
        // A tabulator in the last column goes nowhere, and does not take back that the row is full.
        if count > 0, cursor.column == columns - 1 { return }
        move(toColumn: column)
    }

    // MARK: - Across lines

    /// The rows that the cursor stays in when it is moved up or down from where it is.
    private var upper: Int { cursor.row >= region.lowerBound ? region.lowerBound : 0 }
    private var lower: Int { cursor.row < region.upperBound ? region.upperBound - 1 : rows - 1 }

    mutating func moveUp(_ count: Int) {
        cursor.row = max(cursor.row - count, upper)
        cursor.isPastEnd = false
    }

    mutating func moveDown(_ count: Int) {
        cursor.row = min(cursor.row + count, lower)
        cursor.isPastEnd = false
    }

    /// Goes to a row as programs count it: in origin mode from the region's first on, and not out of it.
    mutating func move(toRow row: Int) {
        let within = modes[.origin] ? region : 0..<rows
        cursor.row = min(max(within.lowerBound + row, within.lowerBound), within.upperBound - 1)
        cursor.isPastEnd = false
    }

    mutating func moveHome() {
        move(toRow: 0)
        move(toColumn: 0)
    }

    /// A line down; at the end of the region it scrolls.
    mutating func index() {
        cursor.isPastEnd = false
        if cursor.row == region.upperBound - 1 {
            grid.scrollUp(region, 1, pen.erased)
        } else if cursor.row < rows - 1 {
            cursor.row += 1
        }
    }

    /// A line up; at the beginning of the region it scrolls.
    mutating func reverseIndex() {
        cursor.isPastEnd = false
        if cursor.row == region.lowerBound {
            grid.scrollDown(region, 1, pen.erased)
        } else if cursor.row > 0 {
            cursor.row -= 1
        }
    }

    /// Sets the rows that scroll (DECSTBM), and goes home.
    mutating func setRegion(_ numbers: SequenceNumbers) {
        let top = numbers.atLeastOne(0) - 1
        let bottom = numbers[1] == 0 ? rows : min(numbers[1], rows)
        // Of a region of one row only the whole screen of one row is one.
        guard bottom - top > 1 || bottom - top == rows else { return }
        region = top..<bottom
        moveHome()
    }

    // MARK: - Saving

    mutating func saveCursor() {
        saved[shown] = SavedCursor(cursor: cursor, pen: pen, sets: sets, isInRegion: modes[.origin])
    }

    mutating func restoreCursor() {
        let from = saved[shown]
        pen = from.pen
        sets = from.sets
        modes[.origin] = from.isInRegion
        cursor = from.cursor
        if from.isInRegion {
            cursor.row = min(max(cursor.row, region.lowerBound), region.upperBound - 1)
        }
    }

    // MARK: - The alternate screen

    /// Modes 47, 1047 and 1049: the alternate screen is empty at first, and what was on it is lost in the end.
    mutating func showAlternate(_ isOn: Bool, savingCursor: Bool) {
        if isOn, main == nil {
            if savingCursor { saveCursor() }
            main = grid
            grid = ScreenGrid(rows: rows, columns: columns)
            saved[1] = SavedCursor()
            keyboards[1] = KeyboardFlags()
        } else if !isOn {
            if let main {
                grid = main
                self.main = nil
                saved[1] = SavedCursor()
                keyboards[1] = KeyboardFlags()
            }
            if savingCursor { restoreCursor() }
        }
    }
}
