extension Display {
    /// So many bytes of answers wait; a terminal's input queue has the same size.
    private static let mostAnswers = 4096

    private mutating func answer(_ text: String) {
        let bytes = "\u{1B}[\(text)".utf8
        if answers.count + bytes.count <= Self.mostAnswers { answers += bytes }
    }

    /// DA1: a VT220 with colours.
    mutating func answerAttributes() { answer("?62;22c") }

    /// DA2: a VT220, without a version.
    mutating func answerVersion() { answer(">1;0;0c") }

    /// DSR: all is well (5), and where the cursor is (6).
    mutating func answerStatus(_ number: Int, isPrivate: Bool) {
        let row = cursor.row - (modes[.origin] ? region.lowerBound : 0) + 1
        switch (number, isPrivate) {
        case (5, false): answer("0n")
        case (6, _): answer("\(isPrivate ? "?" : "")\(row);\(cursor.column + 1)R")
        default: break
        }
    }

    /// DECRQM: no mode is known by its number, so that programs do not rely on any.
    mutating func answerMode(_ number: Int, _ prefix: UInt8) {
        answer("\(prefix == UInt8(ascii: "?") ? "?" : "")\(number);0$y")
    }

    /// The kitty keyboard protocol's flags.
    mutating func answerKeyboard() { answer("?\(keyboards[shown].current)u") }

    /// The size in characters (XTWINOPS 18).
    mutating func answerSize() { answer("8;\(rows);\(columns)t") }
}
