extension Display {
    // MARK: - Control characters

    /// Carries out a C0 control.
    mutating func control(_ byte: UInt8) {
        last = nil
        switch byte {
        case 0x08: move(toColumn: cursor.column - 1)
        case 0x09: tabulate(1)
        case 0x0A, 0x0B, 0x0C:
            if modes[.newline] { move(toColumn: 0) }
            index()
        case 0x0D: move(toColumn: 0)
        case 0x0E: sets.isShifted = true
        case 0x0F: sets.isShifted = false
        default: break  // NUL, BEL and the like show nothing.
        }
    }

    // MARK: - Sequences

    mutating func take(_ sequence: TerminalSequence, spelled bytes: [UInt8]) {
        if !partial.isEmpty {
            partial = PartialCharacter()
            print("\u{FFFD}")
        }
        switch sequence {
        case .escape(let final, let intermediates):
            controls(in: bytes)
            escape(final, intermediates)
        case .control(let control):
            let repeated = last
            controls(in: bytes)
            perform(control, in: bytes, repeated)
        case .string(.operatingSystem, let body): command(bytes[body])
        case .string, .linuxPalette, .image: last = nil
        }
    }

    /// Control characters within a sequence are carried out before it.
    private mutating func controls(in bytes: [UInt8]) {
        last = nil
        for byte in bytes.dropFirst() where byte < 0x20 { control(byte) }
    }

    private mutating func escape(_ final: UInt8, _ intermediates: [UInt8]) {
        guard let intermediate = intermediates.first else { return escape(final) }
        guard intermediates.count == 1 else { return }
        switch (intermediate, final) {
        case (UInt8(ascii: "("), _): sets.isFirstDrawing = final == UInt8(ascii: "0")
        case (UInt8(ascii: ")"), _): sets.isSecondDrawing = final == UInt8(ascii: "0")
        case (UInt8(ascii: "#"), UInt8(ascii: "8")): align()
        default: break
        }
    }

    private mutating func escape(_ final: UInt8) {
        switch final {
        case UInt8(ascii: "7"): saveCursor()
        case UInt8(ascii: "8"): restoreCursor()
        case UInt8(ascii: "="): modes[.keypad] = true
        case UInt8(ascii: ">"): modes[.keypad] = false
        case UInt8(ascii: "D"): index()
        case UInt8(ascii: "E"):
            move(toColumn: 0)
            index()
        case UInt8(ascii: "H"): tabStops[cursor.column] = true
        case UInt8(ascii: "M"): reverseIndex()
        case UInt8(ascii: "Z"): answerAttributes()
        case UInt8(ascii: "c"): reset()
        default: break
        }
    }

    /// Sets the title (OSC 0 and 2).
    private mutating func command(_ body: ArraySlice<UInt8>) {
        last = nil
        let number = body.prefix { $0 != UInt8(ascii: ";") }
        guard number.elementsEqual("0".utf8) || number.elementsEqual("2".utf8), number.count < body.count
        else {
            return
        }
        // What remains of a character that is cut becomes a replacement character, which is let go.
        let text = body.dropFirst(number.count + 1)
        var decoded = String(decoding: text.prefix(Self.longestTitle), as: UTF8.self)
        while text.count > Self.longestTitle, decoded.unicodeScalars.last == "\u{FFFD}" {
            decoded.unicodeScalars.removeLast()
        }
        title = decoded
    }

    /// The longest title that is kept, in bytes.
    private static let longestTitle = 1024
    /// The most titles put aside; as in xterm.
    private static let mostTitles = 10

    /// Puts the title aside, or brings it back (XTWINOPS 22, 23).
    mutating func moveTitle(_ numbers: SequenceNumbers) {
        guard numbers[1] != 1 else { return }
        switch numbers[0] {
        case 22: if titles.count < Self.mostTitles { titles.append(title) }
        case 23: if let top = titles.popLast() { title = top }
        default: break
        }
    }

    /// DECALN: fills the screen with E.
    private mutating func align() {
        region = 0..<rows
        modes[.origin] = false
        cursor = Cursor()
        for row in 0..<rows {
            for column in 0..<columns {
                grid.put(ScreenCell(ascii: UInt8(ascii: "E"), TextStyle()), row, column)
            }
        }
    }
}
