extension Display {
    /// What brings a terminal of the same size here from any state, but for a title that was not set.
    var redraw: [UInt8] {
        var out = preparation
        out += drawing(of: main ?? grid)
        if let main {
            // Switching keeps the cursor, where leaving finds it again.
            out += setting(saved[0], on: main) + "\u{1B}7" + keyboards[0].sequence + "\u{1B}[?1049h"
            out += Self.neutral + drawing(of: grid)
        } else if saved[0] != SavedCursor() {
            out += setting(saved[0], on: grid) + "\u{1B}7" + Self.neutral
        }
        if main != nil, saved[1] != SavedCursor() {
            out += setting(saved[1], on: grid) + "\u{1B}7" + Self.neutral
        }
        out += keyboards[shown].sequence + titleSequences
        if region != 0..<rows { out += "\u{1B}[\(region.lowerBound + 1);\(region.upperBound)r" }
        out += setting(
            SavedCursor(cursor: cursor, pen: pen, sets: sets, isInRegion: modes[.origin]), on: grid, region)
        return Array((out + modes.sequence).utf8) + partial.bytes
    }

    /// Puts in order whatever has an influence on drawing, and what is not switched later. Nothing is shown
    /// until all is drawn, where the terminal can wait (mode 2026).
    private var preparation: String {
        let stops = tabStops.indices.filter { tabStops[$0] }.map { "\u{1B}[\($0 + 1)G\u{1B}H" }.joined()
        // The alternate screen has its own keyboard flags; leaving it may move the cursor and change the pen.
        return "\u{1B}[?2026h" + KeyboardFlags().sequence + "\u{1B}[?1049l\u{1B}[!p"
            + KeyboardFlags().sequence
            + "\u{1B}[?25l\u{1B}[?7h\u{1B}[4l\u{1B}[20l\u{1B}[r\u{1B}]8;;\u{1B}\\" + Self.neutral
            + "\u{1B}[3g" + stops
    }

    /// No origin mode, no colours, no line drawing.
    private static let neutral = "\u{1B}[?6l\u{1B}[m\u{1B}(B\u{1B})B\u{F}"

    /// Draws all cells of a screen, from a neutral state to one.
    private func drawing(of grid: ScreenGrid) -> String {
        var out = "\u{1B}[H\u{1B}[2J"
        var style = TextStyle()
        for row in 0..<rows {
            // Where the terminal's cursor is in this row, if that is known.
            var at: Int?
            for column in 0..<columns {
                let cell = grid[row, column]
                if cell.isRestOfWide || cell.isEmpty { continue }
                if let at, style == TextStyle(), column >= at, column - at <= 4 {
                    out += String(repeating: " ", count: column - at)
                } else if at != column {
                    out += "\u{1B}[\(row + 1);\(column + 1)H"
                }
                if cell.style != style { out += cell.style.sequence }
                style = cell.style
                let scalars = clusters.scalars(cell)
                out.unicodeScalars.append(contentsOf: scalars)
                at = Self.isCertain(scalars) ? column + (cell.isWide ? 2 : 1) : nil
            }
        }
        return style == TextStyle() ? out : out + "\u{1B}[m"
    }

    /// Whether all terminals agree how wide this is. After anything else the cursor is put to its place.
    private static func isCertain(_ scalars: [Unicode.Scalar]) -> Bool {
        guard scalars.count == 1, let value = scalars.first?.value else { return false }
        return value < 0x300 || (0x2500..<0x25A0).contains(value) || (0x3041...0x9FFF).contains(value)
            || (0xAC00...0xD7A3).contains(value)
    }

    /// Sets the cursor, the pen and the character sets, from a neutral state. With no region set, that is the
    /// whole screen.
    private func setting(_ saved: SavedCursor, on grid: ScreenGrid, _ region: Range<Int>? = nil) -> String {
        var out = saved.isInRegion ? "\u{1B}[?6h" : ""
        let row = saved.cursor.row + 1 - (saved.isInRegion ? region?.lowerBound ?? 0 : 0)
        if saved.cursor.isPastEnd {
            // Only printing leads there, so the last character is printed once more.
            let isWide = grid[saved.cursor.row, columns - 1].isRestOfWide
            let cell = grid[saved.cursor.row, columns - (isWide ? 2 : 1)]
            out += "\u{1B}[\(row);\(columns - (isWide ? 1 : 0))H" + cell.style.sequence
            out.unicodeScalars.append(contentsOf: clusters.scalars(cell))
        } else {
            out += "\u{1B}[\(row);\(saved.cursor.column + 1)H"
        }
        out += saved.pen.sequence
        out +=
            "\u{1B}(\(saved.sets.isFirstDrawing ? "0" : "B")\u{1B})\(saved.sets.isSecondDrawing ? "0" : "B")"
        return out + (saved.sets.isShifted ? "\u{E}" : "\u{F}")
    }

    private var titleSequences: String {
        if title.isEmpty, titles.isEmpty { return "" }
        let aside = titles.map { "\u{1B}]2;\($0)\u{1B}\\\u{1B}[22;2t" }.joined()
        return aside + "\u{1B}]2;\(title)\u{1B}\\"
    }
}

extension ScreenModes {
    /// The sequences that switch everything to this; origin mode apart, which moves the cursor.
    fileprivate var sequence: String {
        var out = ""
        for mode in Switch.allCases where mode != .origin && mode != .synchronized {
            out += mode.sequence(self[mode])
        }
        for number in Self.mouseReports + Self.mouseSpellings { out += "\u{1B}[?\(number)l" }
        for number in [mouse, mouseSpelling] where number != 0 { out += "\u{1B}[?\(number)h" }
        out += "\u{1B}[>4\(modifiedKeys == 0 ? "" : ";\(modifiedKeys)")m\u{1B}[\(cursorShape) q"
        return out + Switch.synchronized.sequence(self[.synchronized])
    }
}
