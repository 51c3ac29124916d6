/// What a program has switched on in the terminal and not off again.
///
/// A program that dies leaves all this behind: the shell's line would be invisible, mouse movements would be
/// typed into it. Programs that switch nothing on, or everything off, need no reset, so their output stays as
/// it is.
package struct TerminalModes: Hashable, Sendable {
    /// DEC private modes that matter to whoever uses the terminal next, and the value that is out of order.
    private static let privateModes: [(number: Int, disorder: Bool)] = [
        (2026, true),  // Shows nothing until the end of an update.
        (9, true), (1000, true), (1001, true), (1002, true), (1003, true),  // Mouse reports …
        (1005, true), (1006, true), (1015, true), (1016, true),  // … and their spelling.
        (1004, true), (2004, true), (2031, true), (2048, true),  // Focus, paste, colour scheme, size reports.
        (9001, true),  // Keys as Windows key events.
        (1, true), (66, true),  // Cursor keys, keypad.
        (6, true), (7, false), (5, true), (25, false),  // Origin, wrapping, reverse screen, cursor.
    ]
    /// ANSI modes, likewise: insert, local echo, newline.
    private static let ansiModes: [(number: Int, disorder: Bool)] = [(4, true), (12, false), (20, true)]

    /// Bits by the place in `privateModes` and, from 32 on, in `ansiModes`.
    private var disorder: UInt64 = 0
    /// The mode that switched to the alternate screen: 47, 1047 or 1049.
    private var alternateScreen: Int?
    /// How often the kitty keyboard protocol was pushed, on the main and on the alternate screen, which have
    /// stacks of their own.
    private var keyboardPushes = [0, 0]
    private var keyboardSet = [false, false]
    private var keyModifiers = false
    private var keypad = false
    private var scrollRegion = false
    private var cursorShape = false
    private var locator = false
    private var characterSet = false
    private var link = false
    private var rendition = Rendition()
    /// Bits by the operating system command that sets a colour: 4, 5, 10…19.
    private var colours: UInt32 = 0
    private var linuxPalette = false
    /// The terminal's height, if known: a scroll region of all rows is none.
    package var rows: Int?

    package init() {}

    /// Whether nothing is left to be reset.
    package var isInOrder: Bool {
        var inOrder = TerminalModes()
        inOrder.rows = rows
        return self == inOrder
    }

    /// Whether the alternate screen is shown.
    package var isOnAlternateScreen: Bool { alternateScreen != nil }

    /// Takes a sequence that was passed on.
    mutating func note(_ sequence: TerminalSequence, in bytes: [UInt8]) {
        switch sequence {
        case .escape(let final, let intermediates): note(escape: final, intermediates: intermediates)
        case .control(let control): note(control: control, in: bytes)
        case .string(let kind, let body): note(string: bytes[body], kind)
        case .linuxPalette(let body): note(linuxPalette: bytes[body])
        case .image: break
        }
    }

    private mutating func note(escape final: UInt8, intermediates: [UInt8]) {
        guard let first = intermediates.first else {
            if final == UInt8(ascii: "=") { keypad = true }
            if final == UInt8(ascii: ">") { keypad = false }
            return
        }
        // G0 is what text is shown with; line drawing there turns the prompt into lines.
        if first == UInt8(ascii: "(") { characterSet = final != UInt8(ascii: "B") }
        if first == UInt8(ascii: ")"), final != UInt8(ascii: "B") { characterSet = true }
    }

    private mutating func note(control sequence: ControlSequence, in bytes: [UInt8]) {
        switch (sequence.final, sequence.prefix, sequence.intermediate) {
        case (UInt8(ascii: "m"), 0, 0): rendition.note(sequence, in: bytes)
        case (UInt8(ascii: "h"), _, 0): note(modes: sequence, in: bytes, on: true)
        case (UInt8(ascii: "l"), _, 0): note(modes: sequence, in: bytes, on: false)
        case (UInt8(ascii: "r"), 0, 0):
            var last = 0
            sequence.forEachParameter(in: bytes) { number, _ in last = number }
            let isWhole = sequence.first <= 1 && (last == 0 || rows.map { last >= $0 } ?? false)
            scrollRegion = !sequence.isBare && !isWhole
        case (UInt8(ascii: "q"), 0, UInt8(ascii: " ")): cursorShape = sequence.first != 0
        case (UInt8(ascii: "z"), 0, UInt8(ascii: "'")): locator = sequence.first != 0
        case (UInt8(ascii: "m"), UInt8(ascii: ">"), 0):
            var count = 0
            var last = 0
            sequence.forEachParameter(in: bytes) { number, _ in (count, last) = (count + 1, number) }
            keyModifiers = count > 1 && last != 0
        case (UInt8(ascii: "u"), _, 0): note(keyboard: sequence)
        default: break
        }
    }

    private mutating func note(keyboard sequence: ControlSequence) {
        let screen = alternateScreen == nil ? 0 : 1
        switch sequence.prefix {
        case UInt8(ascii: ">"): keyboardPushes[screen] = min(keyboardPushes[screen] + 1, 99)
        case UInt8(ascii: "<"):
            keyboardPushes[screen] = max(keyboardPushes[screen] - max(sequence.first, 1), 0)
        case UInt8(ascii: "="): keyboardSet[screen] = sequence.first != 0
        default: break
        }
    }

    private mutating func note(modes sequence: ControlSequence, in bytes: [UInt8], on: Bool) {
        let isPrivate = sequence.prefix == UInt8(ascii: "?")
        guard isPrivate || sequence.prefix == 0 else { return }
        let table = isPrivate ? Self.privateModes : Self.ansiModes
        sequence.forEachParameter(in: bytes) { number, _ in
            if isPrivate, number == 47 || number == 1047 || number == 1049 {
                alternateScreen = on ? number : nil
            }
            guard let place = table.firstIndex(where: { $0.number == number }) else { return }
            let bit: UInt64 = 1 << (place + (isPrivate ? 0 : 32))
            if table[place].disorder == on { disorder |= bit } else { disorder &= ~bit }
        }
    }

    private mutating func note(string body: ArraySlice<UInt8>, _ kind: StringKind) {
        guard case .operatingSystem = kind else { return }
        let digits = body.prefix { (0x30...0x39).contains($0) }
        let number = digits.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
        switch number {
        case 4, 5, 10...19:
            // A query changes nothing, but one string may do both.
            if !body.elementsEqual(digits + ";?".utf8) { colours |= 1 << UInt32(number) }
        // With a colour's number only that one is reset.
        case 104, 105, 110...119: if body.count == digits.count { colours &= ~(1 << UInt32(number - 100)) }
        case 8: link = body.last != UInt8(ascii: ";")
        default: break
        }
    }

    private mutating func note(linuxPalette body: ArraySlice<UInt8>) {
        linuxPalette = body.first == UInt8(ascii: "P")
    }

    /// The sequences that put everything in order that is not; empty if all is.
    package var resetSequence: [UInt8] {
        if isInOrder { return [] }
        var out = ""
        let keyboard = { (screen: Int) in
            (keyboardSet[screen] ? "\u{1B}[=0u" : "")
                + (keyboardPushes[screen] > 0 ? "\u{1B}[<\(keyboardPushes[screen])u" : "")
        }
        for (place, mode) in Self.privateModes.enumerated() where disorder & (1 << place) != 0 {
            out += "\u{1B}[?\(mode.number)\(mode.disorder ? "l" : "h")"
        }
        if locator { out += "\u{1B}[0'z" }
        if keyModifiers { out += "\u{1B}[>4m" }
        // Each screen has its own keyboard stack, so one is emptied before the screen changes.
        out += keyboard(1)
        if let alternateScreen { out += "\u{1B}[?\(alternateScreen)l" }
        out += keyboard(0)
        // Setting the region moves the cursor home.
        if scrollRegion { out += "\u{1B}7\u{1B}[r\u{1B}8" }
        for (place, mode) in Self.ansiModes.enumerated() where disorder & (1 << (place + 32)) != 0 {
            out += "\u{1B}[\(mode.number)\(mode.disorder ? "l" : "h")"
        }
        if keypad { out += "\u{1B}>" }
        if cursorShape { out += "\u{1B}[0 q" }
        if rendition != Rendition() { out += "\u{1B}[m" }
        if characterSet { out += "\u{1B}(B\u{0F}" }
        if link { out += "\u{1B}]8;;\u{1B}\\" }
        if linuxPalette { out += "\u{1B}]R" }
        for number in 0..<20 where colours & (1 << UInt32(number)) != 0 {
            out += "\u{1B}]\(100 + number)\u{1B}\\"
        }
        return Array(out.utf8)
    }
}

/// Colours and attributes of the text to come (SGR).
private struct Rendition: Hashable, Sendable {
    private var set: UInt16 = 0

    mutating func note(_ sequence: ControlSequence, in bytes: [UInt8]) {
        var skip = 0
        var isColour = false
        sequence.forEachParameter(in: bytes) { number, isPart in
            // `4:0` is no underline; other parts belong to the number before the colon.
            if isPart {
                isColour = false
                return
            }
            if isColour {
                // 38;5;n and 38;2;r;g;b
                isColour = false
                skip = number == 5 ? 1 : number == 2 ? 3 : 0
                return
            }
            if skip > 0 {
                skip -= 1
                return
            }
            isColour = number == 38 || number == 48 || number == 58
            note(number)
        }
    }

    private mutating func note(_ number: Int) {
        switch number {
        case 0: set = 0
        case 1, 2: set |= 1 << 0
        case 22: set &= ~(1 << 0)
        case 3, 20: set |= 1 << 1
        case 23: set &= ~(1 << 1)
        case 4, 21: set |= 1 << 2
        case 24: set &= ~(1 << 2)
        case 5, 6: set |= 1 << 3
        case 25: set &= ~(1 << 3)
        case 7: set |= 1 << 4
        case 27: set &= ~(1 << 4)
        case 8: set |= 1 << 5
        case 28: set &= ~(1 << 5)
        case 9: set |= 1 << 6
        case 29: set &= ~(1 << 6)
        case 11...19: set |= 1 << 7
        case 10: set &= ~(1 << 7)
        case 30...38, 90...97: set |= 1 << 8
        case 39: set &= ~(1 << 8)
        case 40...48, 100...107: set |= 1 << 9
        case 49: set &= ~(1 << 9)
        case 51, 52: set |= 1 << 10
        case 54: set &= ~(1 << 10)
        case 53: set |= 1 << 11
        case 55: set &= ~(1 << 11)
        case 58: set |= 1 << 12
        case 59: set &= ~(1 << 12)
        case 73, 74: set |= 1 << 13
        case 75: set &= ~(1 << 13)
        default: break
        }
    }
}
