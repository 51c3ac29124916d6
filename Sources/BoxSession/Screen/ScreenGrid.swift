/// The cells of a screen by row and column.
///
/// Rows are moved by their place in `order`, so that scrolling costs the same however long they are. No row
/// has half of a wide character in it.
struct ScreenGrid: Sendable {
    private(set) var rows: Int
    private(set) var columns: Int
    private var cells: [ScreenCell]
    /// Where in `cells` each row is, in rows.
    private var order: [UInt16]

    init(rows: Int, columns: Int) {
        self.rows = rows
        self.columns = columns
        cells = Array(repeating: .blank(TextStyle()), count: rows * columns)
        order = (0..<rows).map { UInt16($0) }
    }

    subscript(row: Int, column: Int) -> ScreenCell { cells[start(row) + column] }

    private func start(_ row: Int) -> Int { Int(order[row]) * columns }

    /// Changes what a cell shows; it stays as wide as it is.
    mutating func replace(_ row: Int, _ column: Int, by cell: ScreenCell) {
        cells[start(row) + column] = cell
    }

    /// Changes each cell.
    mutating func forEach(_ body: (inout ScreenCell) -> Void) {
        for at in cells.indices { body(&cells[at]) }
    }

    // MARK: - Writing

    /// Writes characters of one column.
    @inline(__always)
    mutating func put(_ text: Span<UInt8>, _ row: Int, _ column: Int, _ style: TextStyle) {
        let start = start(row) + column
        split(row, column..<(column + text.count))
        var span = cells.mutableSpan
        for at in text.indices { span[start + at] = ScreenCell(ascii: text[at], style) }
    }

    /// Writes a character of one or two columns.
    mutating func put(_ cell: ScreenCell, _ row: Int, _ column: Int) {
        let start = start(row) + column
        split(row, column..<(column + (cell.isWide ? 2 : 1)))
        cells[start] = cell
        if cell.isWide { cells[start + 1] = ScreenCell(restOfWide: cell.style) }
    }

    /// Blanks a part of a row.
    mutating func erase(_ row: Int, _ part: Range<Int>, _ style: TextStyle) {
        split(row, part)
        fill(row, part, style)
    }

    /// Blanks whole rows.
    mutating func erase(rows: Range<Int>, _ style: TextStyle) {
        for row in rows { fill(row, 0..<columns, style) }
    }

    private mutating func fill(_ row: Int, _ part: Range<Int>, _ style: TextStyle) {
        let start = start(row)
        unsafe cells.withUnsafeMutableBufferPointer {
            unsafe $0[(start + part.lowerBound)..<(start + part.upperBound)].update(repeating: .blank(style))
        }
    }

    /// Blanks the other halves of wide characters that stand across the ends of a part that will be written.
    @inline(__always)
    private mutating func split(_ row: Int, _ part: Range<Int>) {
        let start = start(row)
        if part.lowerBound < columns, cells[start + part.lowerBound].isRestOfWide {
            cells[start + part.lowerBound - 1] = .blank(cells[start + part.lowerBound - 1].style)
        }
        if part.upperBound < columns, cells[start + part.upperBound].isRestOfWide {
            cells[start + part.upperBound] = .blank(cells[start + part.upperBound].style)
        }
    }

    // MARK: - Moving

    /// Moves the rest of a row to the right; what leaves the row is lost.
    mutating func insert(_ count: Int, _ row: Int, _ column: Int, _ style: TextStyle) {
        let count = min(count, columns - column)
        split(row, column..<column)
        split(row, (columns - count)..<columns)
        let start = start(row)
        for at in stride(from: columns - 1, through: column + count, by: -1) {
            cells[start + at] = cells[start + at - count]
        }
        fill(row, column..<(column + count), style)
    }

    /// Moves the rest of a row to the left over some of its cells.
    mutating func delete(_ count: Int, _ row: Int, _ column: Int, _ style: TextStyle) {
        let count = min(count, columns - column)
        split(row, column..<(column + count))
        let start = start(row)
        for at in column..<(columns - count) { cells[start + at] = cells[start + at + count] }
        fill(row, (columns - count)..<columns, style)
    }

    /// Moves rows up within a region; blank ones come in below.
    mutating func scrollUp(_ region: Range<Int>, _ count: Int, _ style: TextStyle) {
        let count = min(count, region.count)
        if count == 1 {
            // What printed lines do. Sound: the region is within the rows, and so are all places here.
            unsafe order.withUnsafeMutableBufferPointer { order in
                let first = unsafe order[region.lowerBound]
                let moved = unsafe order[(region.lowerBound + 1)..<region.upperBound]
                _ = unsafe UnsafeMutableBufferPointer(rebasing: order[region.lowerBound...])
                    .update(fromContentsOf: moved)
                unsafe order[region.upperBound - 1] = first
            }
        } else {
            let moved = order[(region.lowerBound + count)..<region.upperBound]
            order[region] = moved + order[region].prefix(count)
        }
        erase(rows: (region.upperBound - count)..<region.upperBound, style)
    }

    /// Moves rows down within a region; blank ones come in above.
    mutating func scrollDown(_ region: Range<Int>, _ count: Int, _ style: TextStyle) {
        let count = min(count, region.count)
        order[region] = order[region].suffix(count) + order[region].dropLast(count)
        erase(rows: region.prefix(count), style)
    }

    /// Becomes this large; rows and columns are added and cut off at the bottom and on the right.
    mutating func resize(rows: Int, columns: Int) {
        var grid = ScreenGrid(rows: rows, columns: columns)
        for row in 0..<min(rows, self.rows) {
            for column in 0..<min(columns, self.columns) {
                let cell = self[row, column]
                let fits = !cell.isWide || column + 1 < columns
                grid.cells[row * columns + column] = fits ? cell : .blank(cell.style)
            }
        }
        self = grid
    }

    // MARK: - Comparing

    /// The places that look different in a grid of the same size; each has clusters of its own.
    func differences(
        from other: Self, _ clusters: ScreenClusters, _ others: ScreenClusters
    ) -> [(row: Int, column: Int)] {
        (0..<(rows * columns)).map { (row: $0 / columns, column: $0 % columns) }.filter { place in
            let (one, two) = (self[place.row, place.column], other[place.row, place.column])
            if one.cluster == nil, two.cluster == nil { return !one.shows(two) }
            return one.style != two.style || one.isWide != two.isWide
                || clusters.scalars(one) != others.scalars(two)
        }
    }
}
