internal import BoxTypes

/// Text by the columns that it takes on a terminal. What is not box's own is escaped before it gets here; the only
/// sequences in it are colours (`ESC [ … m`), which take none.
package enum TopText {
    /// A piece of text that cannot be divided: a colour, or a character with what joins it.
    private struct Piece {
        let text: Substring.UnicodeScalarView.SubSequence
        let width: Int
    }

    private static func next(_ text: Substring.UnicodeScalarView) -> Piece? {
        guard let first = text.first else { return nil }
        var end = text.index(after: text.startIndex)
        if first == "\u{1b}" {
            while end < text.endIndex {
                let scalar = text[end]
                end = text.index(after: end)
                if scalar == "m" { break }
            }
            return Piece(text: text[text.startIndex..<end], width: 0)
        }
        return Piece(text: text[text.startIndex..<end], width: CharacterWidth.columns(first))
    }

    private static func pieces(_ text: String, _ body: (Piece) -> Bool) {
        var rest = text[...].unicodeScalars
        while let piece = next(rest) {
            guard body(piece) else { return }
            rest = rest[piece.text.endIndex...]
        }
    }

    /// How many columns a text takes.
    package static func width(_ text: String) -> Int {
        var width = 0
        pieces(text) {
            width += $0.width
            return true
        }
        return width
    }

    /// The text, cut to so many columns with a sign that it was.
    package static func cut(_ text: String, to columns: Int) -> String {
        guard columns > 0 else { return "" }
        guard width(text) > columns else { return text }
        var out = ""
        var width = 0
        var isColoured = false
        pieces(text) { piece in
            guard width + piece.width <= columns - 1 else { return false }
            if piece.text.first == "\u{1b}" { isColoured = true }
            out.unicodeScalars += piece.text
            width += piece.width
            return true
        }
        return out + (isColoured ? "…\u{1b}[0m" : "…")
    }

    /// The text in exactly so many columns.
    package static func fit(_ text: String, _ columns: Int, right: Bool = false) -> String {
        let cut = cut(text, to: columns)
        let gap = String(repeating: " ", count: max(0, columns - width(cut)))
        return right ? gap + cut : cut + gap
    }

    /// The text in lines of so many columns; those after the first begin further in. Colours go on in the next line.
    package static func wrapped(_ text: String, _ columns: Int, indent: Int) -> [String] {
        guard columns > 0, width(text) > columns else { return [text] }
        let margin = String(repeating: " ", count: min(indent, columns / 2))
        var lines = [""]
        var width = 0
        var colour = ""
        pieces(text) { piece in
            if piece.text.first == "\u{1b}" {
                colour = String(piece.text)
            } else if width + piece.width > columns, width > 0 {
                lines[lines.count - 1] += "\u{1b}[0m"
                lines.append(margin + colour)
                width = margin.count
            }
            lines[lines.count - 1].unicodeScalars += piece.text
            width += piece.width
            return true
        }
        return lines
    }

    /// A size in at most four characters: `0`, `870`, `1.2K`, `45M`.
    package static func size(_ bytes: Int) -> String {
        var (value, unit) = (Double(max(0, bytes)), 0)
        let units = ["", "K", "M", "G", "T", "P", "E"]
        while value >= 999.5, unit < units.count - 1 {
            value /= 1000
            unit += 1
        }
        guard unit > 0, value < 9.95 else { return "\(Int(value.rounded()))\(units[unit])" }
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)\(units[unit])"
    }

    /// A time in at most four characters: `12s`, `59m`, `23h`, `9d`.
    package static func age(milliseconds: Int) -> String {
        let seconds = max(0, milliseconds) / 1000
        if seconds < 120 { return "\(seconds)s" }
        if seconds < 7200 { return "\(seconds / 60)m" }
        if seconds < 48 * 3600 { return "\(seconds / 3600)h" }
        return "\(min(999, seconds / 86400))d"
    }

    /// A number in at most four characters.
    package static func count(_ number: Int) -> String {
        number < 10_000 ? "\(number)" : number < 1_000_000 ? "\(number / 1000)k" : ">1M"
    }
}
