/// A colour of the terminal, in 26 bits.
struct TerminalColour: Hashable, Sendable {
    /// The lower 24 bits are the number, the next two the kind.
    let bits: UInt32

    private enum Kind: UInt32 { case standard, basic, indexed, direct }

    private init(_ kind: Kind, _ number: UInt32) { bits = kind.rawValue << 24 | number }

    init(bits: UInt32) { self.bits = bits }

    /// The terminal's own colour of text or background.
    static let standard = TerminalColour(.standard, 0)
    /// One of the 16 colours with names (SGR 30…37, 90…97).
    static func basic(_ number: Int) -> Self { Self(.basic, UInt32(number & 0xF)) }
    /// One of 256 (SGR 38;5;n).
    static func indexed(_ number: Int) -> Self { Self(.indexed, UInt32(number & 0xFF)) }
    /// Red, green and blue (SGR 38;2;r;g;b).
    static func direct(_ red: Int, _ green: Int, _ blue: Int) -> Self {
        Self(.direct, UInt32(red & 0xFF) << 16 | UInt32(green & 0xFF) << 8 | UInt32(blue & 0xFF))
    }

    /// The SGR parameters that choose this colour for text (`base` 30) or background (40); none for the
    /// terminal's own.
    func parameters(base: Int) -> String {
        let number = Int(bits & 0xFF_FFFF)
        return switch Kind(rawValue: bits >> 24) {
        case .standard, nil: ""
        case .basic: ";\(number < 8 ? base + number : base + 52 + number)"
        case .indexed: ";\(base + 8);5;\(number)"
        case .direct: ";\(base + 8);2;\(number >> 16);\(number >> 8 & 0xFF);\(number & 0xFF)"
        }
    }

    /// The SGR parameters that choose this colour for the underline. A terminal that does not know them would
    /// take numbers after a semicolon as attributes, so these have colons.
    var underlineParameters: String {
        let number = Int(bits & 0xFF_FFFF)
        return switch Kind(rawValue: bits >> 24) {
        case .standard, nil: ""
        case .basic, .indexed: ";58:5:\(number)"
        case .direct: ";58:2::\(number >> 16):\(number >> 8 & 0xFF):\(number & 0xFF)"
        }
    }
}

/// How a character looks: colours and attributes, in 12 bytes.
struct TextStyle: Hashable, Sendable {
    struct Attributes: OptionSet, Hashable, Sendable {
        let rawValue: UInt32
        static let bold = Self(rawValue: 1 << 0)
        static let faint = Self(rawValue: 1 << 1)
        static let italic = Self(rawValue: 1 << 2)
        static let blink = Self(rawValue: 1 << 3)
        static let inverse = Self(rawValue: 1 << 4)
        static let hidden = Self(rawValue: 1 << 5)
        static let struck = Self(rawValue: 1 << 6)
        static let overline = Self(rawValue: 1 << 7)

        /// The SGR number of each, in ascending order.
        static let numbers: [(attribute: Self, number: Int)] = [
            (bold, 1), (faint, 2), (italic, 3), (blink, 5), (inverse, 7), (hidden, 8), (struck, 9),
            (overline, 53),
        ]
    }

    /// Each word has a colour in the lower 26 bits; above them are six attributes, two attributes, and the
    /// kind of underline.
    private var first: UInt32 = 0
    private var second: UInt32 = 0
    private var third: UInt32 = 0

    private static let colourBits: UInt32 = 0x3FF_FFFF

    init() {}

    /// Nothing but this style's background: what is erased looks so.
    var erased: TextStyle {
        var style = TextStyle()
        style.second = second & Self.colourBits
        return style
    }

    var foreground: TerminalColour {
        get { TerminalColour(bits: first & Self.colourBits) }
        set { first = first & ~Self.colourBits | newValue.bits }
    }

    var background: TerminalColour {
        get { TerminalColour(bits: second & Self.colourBits) }
        set { second = second & ~Self.colourBits | newValue.bits }
    }

    var underlineColour: TerminalColour {
        get { TerminalColour(bits: third & Self.colourBits) }
        set { third = third & ~Self.colourBits | newValue.bits }
    }

    var attributes: Attributes {
        get { Attributes(rawValue: first >> 26 | (second >> 26) << 6) }
        set {
            first = first & Self.colourBits | (newValue.rawValue & 0x3F) << 26
            second = second & Self.colourBits | (newValue.rawValue >> 6) << 26
        }
    }

    /// None, single, double, curly, dotted or dashed: 0…5, as in SGR `4:n`.
    var underline: Int {
        get { Int(third >> 26) }
        set { third = third & Self.colourBits | UInt32(newValue & 7) << 26 }
    }

    /// The sequence (SGR) after which text looks so, whatever was chosen before.
    var sequence: String {
        if self == TextStyle() { return "\u{1B}[m" }
        var out = "\u{1B}[0"
        for (attribute, number) in Attributes.numbers where attributes.contains(attribute) {
            out += ";\(number)"
        }
        if underline == 1 { out += ";4" } else if underline > 1 { out += ";4:\(underline)" }
        out += foreground.parameters(base: 30) + background.parameters(base: 40)
        return out + underlineColour.underlineParameters + "m"
    }
}
