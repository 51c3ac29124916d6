/// Finds the keys that belong to `box attach` itself among what the user types: `^] d` detaches, `^] ^]` sends one `^]`.
///
/// A program may have switched the terminal to a keyboard protocol in which `^]` is a sequence: kitty's (`CSI 93;5u`) or
/// xterm's (`CSI 27;5;93~`). A terminal sends such a sequence in one piece, so it is only looked for within one read: a
/// lone Escape is never held back.
package struct DetachKeys: Sendable {
    /// Whether the user wants to leave. What was typed after that is dropped.
    package private(set) var isDetached = false
    /// The `^]` that came and whatever followed that decides nothing; nil outside of that.
    private var held: [UInt8]?

    package init() {}

    /// Appends what the program gets of what was typed.
    package mutating func take(_ bytes: ArraySlice<UInt8>, into out: inout [UInt8]) {
        var rest = bytes
        while !rest.isEmpty, !isDetached {
            let (key, length) = DetachKeys.next(rest)
            let spelled = rest.prefix(length)
            rest = rest.dropFirst(length)
            guard let before = held else {
                if key == .prefix { held = Array(spelled) } else { out += spelled }
                continue
            }
            switch key {
            case .prefix:
                out += spelled
                held = nil
            case .detach: isDetached = true
            case .none: held = before + spelled
            case .other:
                out += before + spelled
                held = nil
            }
        }
    }

    private enum Key {
        case prefix, detach, other
        /// A key that is released, or a modifier alone.
        case none
    }

    private static func next(_ bytes: ArraySlice<UInt8>) -> (Key, length: Int) {
        switch bytes.first {
        case 0x1D: return (.prefix, 1)
        case UInt8(ascii: "d"): return (.detach, 1)
        case 0x1B: return sequence(bytes) ?? (.other, 1)
        default: return (.other, 1)
        }
    }

    /// A key as a control sequence; nil if there is none.
    private static func sequence(_ bytes: ArraySlice<UInt8>) -> (Key, length: Int)? {
        guard bytes.dropFirst().first == UInt8(ascii: "[") else { return nil }
        let parameters = bytes.dropFirst(2).prefix(40).prefix { (0x30...0x3B).contains($0) }
        guard let final = bytes[parameters.endIndex...].first else { return nil }
        let length = 3 + parameters.count
        // Only the first part of each parameter counts, but for the kind of event.
        let parts = parameters.split(separator: UInt8(ascii: ";"), omittingEmptySubsequences: false).map {
            $0.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false).map(number)
        }
        func part(_ index: Int, _ sub: Int = 0) -> Int? {
            index < parts.count && sub < parts[index].count ? parts[index][sub] : nil
        }
        switch final {
        case UInt8(ascii: "u"):
            guard let code = part(0) else { return nil }
            let isReleased = part(1, 1) == 3
            return (isReleased || modifiers.contains(code) ? .none : key(code, part(1) ?? 1), length)
        case UInt8(ascii: "~") where part(0) == 27:
            guard let code = part(2) else { return nil }
            return (key(code, part(1) ?? 1), length)
        default: return nil
        }
    }

    private static func number(_ digits: ArraySlice<UInt8>) -> Int? {
        guard !digits.isEmpty, digits.count < 9 else { return nil }
        return digits.reduce(0) { $0 * 10 + Int($1) - 0x30 }
    }

    /// Shift, control and the like as keys of their own.
    private static let modifiers = 57441...57454

    private static func key(_ code: Int, _ modifiers: Int) -> Key {
        // One more than the bits; caps lock (64) and num lock (128) do not count.
        switch (code, (modifiers - 1) & 63) {
        case (0x5D, 4): .prefix
        case (0x64, 0): .detach
        default: .other
        }
    }
}
