extension Display: TerminalSink {
    mutating func text(_ bytes: Span<UInt8>) {
        var at = 0
        while at < bytes.count {
            if partial.isEmpty {
                let end = PlainText.endOfPrintable(in: bytes, from: at)
                if end > at { print(ascii: bytes.extracting(at..<end)) }
                at = end
                if at == bytes.count { return }
                if let (scalar, length) = Self.common(bytes, at) {
                    print(scalar)
                    at += length
                    continue
                }
            }
            text(bytes[at])
            at += 1
        }
    }

    mutating func text(_ byte: UInt8) {
        if byte < 0x80, partial.isEmpty {
            return byte < 0x20 ? control(byte) : byte < 0x7F ? print(Unicode.Scalar(byte)) : ()
        }
        switch partial.take(byte) {
        case .incomplete: break
        case .whole(let scalar): print(scalar)
        case .broken: print("\u{FFFD}")
        case .interrupted:
            print("\u{FFFD}")
            text(byte)
        }
    }

    /// The whole character of two or three bytes at this place, if it is one of those that have no special
    /// rules.
    @inline(__always)
    private static func common(_ bytes: Span<UInt8>, _ at: Int) -> (Unicode.Scalar, length: Int)? {
        let lead = bytes[at]
        guard lead >= 0xC2, at + 1 < bytes.count, bytes[at + 1] & 0xC0 == 0x80 else { return nil }
        let second = UInt32(bytes[at + 1] & 0x3F)
        if lead < 0xE0 { return Unicode.Scalar(UInt32(lead & 0x1F) << 6 | second).map { ($0, 2) } }
        guard lead > 0xE0, lead < 0xF0, lead != 0xED, at + 2 < bytes.count, bytes[at + 2] & 0xC0 == 0x80
        else {
            return nil
        }
        let third = UInt32(bytes[at + 2] & 0x3F)
        return Unicode.Scalar(UInt32(lead & 0x0F) << 12 | second << 6 | third).map { ($0, 3) }
    }

    /// Images are not shown; the text that follows them is.
    mutating func image(_ byte: UInt8) {}

    // MARK: - Printing

    /// Prints characters of one column: 0x20…0x7E.
    private mutating func print(ascii text: Span<UInt8>) {
        if sets.isDrawing || modes[.insert] {
            for at in text.indices { print(Unicode.Scalar(text[at])) }
            return
        }
        last = Unicode.Scalar(text[text.count - 1])
        let wraps = modes[.autowrap]
        var at = 0
        while at < text.count {
            if cursor.isPastEnd, wraps { wrap() }
            let count = min(columns - cursor.column, text.count - at)
            grid.put(text.extracting(at..<(at + count)), cursor.row, cursor.column, pen)
            at += count
            if !wraps, at < text.count {
                // The rest goes to the last column, one over the other.
                grid.put(text.extracting((text.count - 1)..<text.count), cursor.row, columns - 1, pen)
                at = text.count
            }
            advance(count)
        }
    }

    /// Prints a character.
    mutating func print(_ plain: Unicode.Scalar) {
        let scalar = sets.isDrawing ? Self.drawing(plain) : plain
        let width = widths.columns(scalar)
        if width == 0 || follows(joiner: scalar) { return join(scalar) }
        guard width <= columns else { return }
        last = scalar
        if cursor.isPastEnd, modes[.autowrap] { wrap() }
        if cursor.column + width > columns {
            // A wide character has no place in the last column.
            guard modes[.autowrap] else { return }
            wrap()
        }
        if modes[.insert] { grid.insert(width, cursor.row, cursor.column, pen.erased) }
        grid.put(ScreenCell(scalar, isWide: width == 2, pen), cursor.row, cursor.column)
        advance(width)
    }

    private mutating func advance(_ count: Int) {
        cursor.column += count
        guard cursor.column >= columns else { return }
        cursor.column = columns - 1
        cursor.isPastEnd = true
    }

    private mutating func wrap() {
        cursor.isPastEnd = false
        cursor.column = 0
        index()
    }

    /// The column of the character before the cursor, if there is one.
    private var previous: Int? {
        let column = cursor.isPastEnd ? cursor.column : cursor.column - 1
        guard column >= 0 else { return nil }
        return grid[cursor.row, column].isRestOfWide ? column - 1 : column
    }

    /// Whether an emoji becomes one with the one before, by U+200D between them.
    private func follows(joiner scalar: Unicode.Scalar) -> Bool {
        guard scalar.value > 0xFF, !clusters.isEmpty, let column = previous else { return false }
        let cell = grid[cursor.row, column]
        return cell.cluster != nil && clusters.scalars(cell).last == "\u{200D}" && scalar.properties.isEmoji
    }

    /// Adds a mark to the character before the cursor, if there is one.
    private mutating func join(_ mark: Unicode.Scalar) {
        guard let column = previous else { return }
        let cell = grid[cursor.row, column]
        var scalars = clusters.scalars(cell)
        guard scalars.count < ScreenClusters.longest else { return }
        scalars.append(mark)
        if clusters.wantsCollection { collectClusters() }
        guard let cluster = clusters.number(of: scalars) else { return }
        grid.replace(cursor.row, column, by: cell.with(cluster: cluster))
    }

    /// Drops the clusters that are no longer on any screen.
    private mutating func collectClusters() {
        let known = clusters.takeAll()
        let renumber = { (cell: inout ScreenCell, clusters: inout ScreenClusters) in
            guard let old = cell.cluster, let new = clusters.number(of: known[Int(old)]) else { return }
            cell = cell.with(cluster: new)
        }
        grid.forEach { renumber(&$0, &clusters) }
        main?.forEach { renumber(&$0, &clusters) }
        clusters.endCollection()
    }

    /// A character of DEC's line drawing set.
    private static func drawing(_ scalar: Unicode.Scalar) -> Unicode.Scalar {
        guard (0x5F...0x7E).contains(scalar.value) else { return scalar }
        return drawings[Int(scalar.value - 0x5F)]
    }

    private static let drawings = Array(" ◆▒␉␌␍␊°±␤␋┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·".unicodeScalars)
}

extension PlainText {
    /// The first place at or after `start` that is not printable ASCII.
    static func endOfPrintable(in bytes: Span<UInt8>, from start: Int) -> Int {
        // Sound: every access below is within `raw.count`, and the pointer stays in this function.
        unsafe bytes.withUnsafeBytes { raw in
            let high: UInt64 = 0x8080_8080_8080_8080
            let ones: UInt64 = 0x0101_0101_0101_0101
            var at = start
            while at + 8 <= raw.count {
                let word = UInt64(littleEndian: unsafe raw.loadUnaligned(fromByteOffset: at, as: UInt64.self))
                // A byte's high bit is set if it is below 0x20, is 0x7F or is above; the lowest one is exact.
                let found = ((word &- ones &* 0x20) | (word &+ ones) | word) & high
                if found != 0 { return at + found.trailingZeroBitCount / 8 }
                at += 8
            }
            while at < raw.count, unsafe (0x20..<0x7F).contains(raw[at]) { at += 1 }
            return at
        }
    }
}
