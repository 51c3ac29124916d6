/// What a program has switched on or off in the terminal, as far as it is brought back.
struct ScreenModes: Hashable, Sendable {
    /// A mode that is on or off (SM and RM, DECSET and DECRST).
    enum Switch: UInt32, CaseIterable, Sendable {
        // DEC private modes.
        case cursorKeys, reverse, origin, autowrap, cursorVisible, keypad, focus, paste, synchronized
        case colourScheme, sizeReports, windowsKeys
        // ANSI modes.
        case insert, noEcho, newline

        /// The mode's number, and whether it is a private one.
        var number: (Int, isPrivate: Bool) {
            switch self {
            case .cursorKeys: (1, true)
            case .reverse: (5, true)
            case .origin: (6, true)
            case .autowrap: (7, true)
            case .cursorVisible: (25, true)
            case .keypad: (66, true)
            case .focus: (1004, true)
            case .paste: (2004, true)
            case .synchronized: (2026, true)
            case .colourScheme: (2031, true)
            case .sizeReports: (2048, true)
            case .windowsKeys: (9001, true)
            case .insert: (4, false)
            case .noEcho: (12, false)
            case .newline: (20, false)
            }
        }

        init?(_ number: Int, isPrivate: Bool) {
            guard let mode = Self.allCases.first(where: { $0.number == (number, isPrivate) }) else {
                return nil
            }
            self = mode
        }

        /// The sequence that switches it.
        func sequence(_ isOn: Bool) -> String {
            // Not all terminals know keypad mode by its number.
            if self == .keypad { return isOn ? "\u{1B}=" : "\u{1B}>" }
            return "\u{1B}[\(number.isPrivate ? "?" : "")\(number.0)\(isOn ? "h" : "l")"
        }
    }

    /// Mouse reports; a terminal has one kind at a time.
    static let mouseReports = [9, 1000, 1001, 1002, 1003]
    /// How mouse reports are spelled; likewise.
    static let mouseSpellings = [1005, 1006, 1015, 1016]

    /// What is on, by bits.
    private var on: UInt32 =
        1 << Switch.autowrap.rawValue | 1 << Switch.cursorVisible.rawValue
        | 1 << Switch.noEcho.rawValue
    /// The kind of mouse reports; 0 for none.
    private(set) var mouse = 0
    /// How mouse reports are spelled; 0 for the oldest form.
    private(set) var mouseSpelling = 0
    /// The cursor's shape (DECSCUSR); 0 is the user's own.
    var cursorShape = 0
    /// How keys with modifiers are reported (XTMODKEYS 4).
    var modifiedKeys = 0

    subscript(mode: Switch) -> Bool {
        get { on & 1 << mode.rawValue != 0 }
        set { if newValue { on |= 1 << mode.rawValue } else { on &= ~(1 << mode.rawValue) } }
    }

    /// Switches a mode of the mouse; others are left alone.
    mutating func setMouse(_ number: Int, _ isOn: Bool) {
        if Self.mouseReports.contains(number) { mouse = isOn ? number : 0 }
        if Self.mouseSpellings.contains(number) { mouseSpelling = isOn ? number : 0 }
    }

    /// The modes that DECSTR resets.
    mutating func softReset() {
        for mode in [Switch.cursorKeys, .origin, .keypad, .insert] { self[mode] = false }
        for mode in [Switch.autowrap, .cursorVisible] { self[mode] = true }
    }
}

/// Flags of the kitty keyboard protocol, which programs push and pop.
struct KeyboardFlags: Hashable, Sendable {
    /// The most flags pushed; then the oldest is lost.
    private static let most = 16

    /// What is in force without a push.
    private(set) var base = 0
    /// What was pushed, the one in force last.
    private(set) var pushed: [Int] = []

    /// What is in force.
    var current: Int { pushed.last ?? base }

    /// Carries out `CSI > u`, `CSI < u` and `CSI = u`.
    mutating func note(_ prefix: UInt8, _ numbers: SequenceNumbers) {
        switch prefix {
        case UInt8(ascii: ">"):
            if pushed.count == Self.most { base = pushed.removeFirst() }
            pushed.append(numbers[0] & 0x1F)
        case UInt8(ascii: "<"):
            if numbers.atLeastOne(0) > pushed.count { base = 0 }
            pushed.removeLast(min(numbers.atLeastOne(0), pushed.count))
        case UInt8(ascii: "="): set(numbers[0] & 0x1F, mode: numbers.atLeastOne(1))
        default: break
        }
    }

    private mutating func set(_ flags: Int, mode: Int) {
        let new =
            switch mode {
            case 1: flags
            case 2: current | flags
            case 3: current & ~flags
            default: current
            }
        if pushed.isEmpty { base = new } else { pushed[pushed.count - 1] = new }
    }

    /// The sequences that lead here from any other state.
    var sequence: String {
        "\u{1B}[<99u\u{1B}[=\(base)u" + pushed.map { "\u{1B}[>\($0)u" }.joined()
    }
}
