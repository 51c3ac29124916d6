extension Display {
    /// Carries out a control sequence; `repeated` is the character right before it.
    mutating func perform(_ sequence: ControlSequence, in bytes: [UInt8], _ repeated: Unicode.Scalar?) {
        let numbers = SequenceNumbers(sequence, in: bytes)
        switch (sequence.prefix, sequence.intermediate) {
        case (0, 0):
            if sequence.final == UInt8(ascii: "b") {
                if let repeated {
                    for _ in 0..<min(numbers.atLeastOne(0), rows * columns) { reprint(repeated) }
                }
            } else if !move(sequence.final, numbers), !edit(sequence.final, numbers) {
                set(sequence, numbers)
            }
        case (UInt8(ascii: "?"), 0): performPrivate(sequence.final, numbers)
        case (_, 0):
            switch (sequence.prefix, sequence.final) {
            case (UInt8(ascii: ">"), UInt8(ascii: "m")):
                if numbers[0] == 4 { modes.modifiedKeys = numbers[1] }
            case (_, UInt8(ascii: "u")): keyboards[shown].note(sequence.prefix, numbers)
            case (UInt8(ascii: ">"), UInt8(ascii: "c")): if numbers[0] == 0 { answerVersion() }
            default: break
            }
        case (0, UInt8(ascii: "!")): if sequence.final == UInt8(ascii: "p") { softReset() }
        case (0, UInt8(ascii: " ")):
            if sequence.final == UInt8(ascii: "q"), numbers[0] <= 6 { modes.cursorShape = numbers[0] }
        case (_, UInt8(ascii: "$")):
            if sequence.final == UInt8(ascii: "p") { answerMode(numbers[0], sequence.prefix) }
        default: break
        }
    }

    /// Prints a character again as it is, whatever the character set.
    private mutating func reprint(_ scalar: Unicode.Scalar) {
        let drawing = sets
        sets = CharacterSets()
        print(scalar)
        sets = drawing
    }

    /// Sequences that move the cursor only.
    private mutating func move(_ final: UInt8, _ numbers: SequenceNumbers) -> Bool {
        let count = numbers.atLeastOne(0)
        switch final {
        case UInt8(ascii: "A"): moveUp(count)
        case UInt8(ascii: "B"), UInt8(ascii: "e"): moveDown(count)
        case UInt8(ascii: "C"), UInt8(ascii: "a"): move(toColumn: cursor.column + count)
        case UInt8(ascii: "D"): move(toColumn: cursor.column - count)
        case UInt8(ascii: "E"):
            moveDown(count)
            move(toColumn: 0)
        case UInt8(ascii: "F"):
            moveUp(count)
            move(toColumn: 0)
        case UInt8(ascii: "G"), UInt8(ascii: "`"): move(toColumn: count - 1)
        case UInt8(ascii: "H"), UInt8(ascii: "f"):
            move(toRow: count - 1)
            move(toColumn: numbers.atLeastOne(1) - 1)
        case UInt8(ascii: "d"): move(toRow: count - 1)
        case UInt8(ascii: "I"): tabulate(count)
        case UInt8(ascii: "Z"): tabulate(-count)
        default: return false
        }
        return true
    }

    /// Sequences that erase, insert, delete and scroll.
    private mutating func edit(_ final: UInt8, _ numbers: SequenceNumbers) -> Bool {
        let count = numbers.atLeastOne(0)
        let blank = pen.erased
        switch final {
        case UInt8(ascii: "J"): eraseDisplay(numbers[0])
        case UInt8(ascii: "K"): eraseLine(numbers[0])
        case UInt8(ascii: "X"):
            grid.erase(cursor.row, cursor.column..<min(cursor.column + count, columns), blank)
            cursor.isPastEnd = false
        case UInt8(ascii: "@"):
            grid.insert(count, cursor.row, cursor.column, blank)
            cursor.isPastEnd = false
        case UInt8(ascii: "P"):
            grid.delete(count, cursor.row, cursor.column, blank)
            cursor.isPastEnd = false
        case UInt8(ascii: "L"), UInt8(ascii: "M"):
            guard region.contains(cursor.row) else { break }
            let rest = cursor.row..<region.upperBound
            if final == UInt8(ascii: "L") {
                grid.scrollDown(rest, count, blank)
            } else {
                grid.scrollUp(rest, count, blank)
            }
            move(toColumn: 0)
        case UInt8(ascii: "S"): grid.scrollUp(region, count, blank)
        // With five numbers it is about the mouse.
        case UInt8(ascii: "T"), UInt8(ascii: "^"):
            if numbers.count == 1 { grid.scrollDown(region, count, blank) }
        default: return false
        }
        return true
    }

    private mutating func eraseLine(_ part: Int) {
        let columns =
            switch part {
            case 0: cursor.column..<columns
            case 1: 0..<(cursor.column + 1)
            case 2: 0..<columns
            default: 0..<0
            }
        guard !columns.isEmpty else { return }
        grid.erase(cursor.row, columns, pen.erased)
        cursor.isPastEnd = false
    }

    private mutating func eraseDisplay(_ part: Int) {
        switch part {
        case 0:
            eraseLine(0)
            grid.erase(rows: (cursor.row + 1)..<rows, pen.erased)
        case 1:
            eraseLine(1)
            grid.erase(rows: 0..<cursor.row, pen.erased)
        case 2:
            grid.erase(rows: 0..<rows, pen.erased)
            cursor.isPastEnd = false
        default: break  // 3 erases what scrolled off.
        }
    }

    /// Sequences without prefix that set something or ask for it.
    private mutating func set(_ sequence: ControlSequence, _ numbers: SequenceNumbers) {
        switch sequence.final {
        case UInt8(ascii: "m"): pen.select(numbers)
        case UInt8(ascii: "r"): setRegion(numbers)
        case UInt8(ascii: "s"): if sequence.isBare { saveCursor() }
        case UInt8(ascii: "u"): if sequence.isBare { restoreCursor() }
        case UInt8(ascii: "g"): clearTabStops(numbers[0])
        case UInt8(ascii: "h"), UInt8(ascii: "l"):
            for place in 0..<numbers.count {
                let mode = ScreenModes.Switch(numbers[place], isPrivate: false)
                if let mode { modes[mode] = sequence.final == UInt8(ascii: "h") }
            }
        case UInt8(ascii: "t"): if numbers[0] == 18 { answerSize() } else { moveTitle(numbers) }
        case UInt8(ascii: "n"): answerStatus(numbers[0], isPrivate: false)
        case UInt8(ascii: "c"): if numbers[0] == 0 { answerAttributes() }
        default: break
        }
    }

    private mutating func clearTabStops(_ which: Int) {
        switch which {
        case 0: tabStops[cursor.column] = false
        case 3: tabStops = tabStops.map { _ in false }
        default: break
        }
    }

    /// Sequences with `?`.
    private mutating func performPrivate(_ final: UInt8, _ numbers: SequenceNumbers) {
        switch final {
        case UInt8(ascii: "h"), UInt8(ascii: "l"):
            for place in 0..<numbers.count { setPrivate(numbers[place], final == UInt8(ascii: "h")) }
        // No cell is protected, so these erase as the others do.
        case UInt8(ascii: "J"): eraseDisplay(numbers[0])
        case UInt8(ascii: "K"): eraseLine(numbers[0])
        case UInt8(ascii: "n"): answerStatus(numbers[0], isPrivate: true)
        case UInt8(ascii: "u"): answerKeyboard()
        default: break
        }
    }

    private mutating func setPrivate(_ number: Int, _ isOn: Bool) {
        switch number {
        case 47, 1047: showAlternate(isOn, savingCursor: false)
        case 1049: showAlternate(isOn, savingCursor: true)
        case 1048: if isOn { saveCursor() } else { restoreCursor() }
        default:
            modes.setMouse(number, isOn)
            guard let mode = ScreenModes.Switch(number, isPrivate: true) else { return }
            modes[mode] = isOn
            if mode == .origin { moveHome() }
        }
    }
}
