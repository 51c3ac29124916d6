/// The numbers of a control sequence in their order, of which the first 32 count.
struct SequenceNumbers: Sendable {
    private var numbers: InlineArray<32, UInt32> = .init(repeating: 0)
    /// Bit n: a colon stands before number n, which is a part of the one before.
    private var partBits: UInt32 = 0
    private(set) var count = 0

    init(_ sequence: ControlSequence, in bytes: [UInt8]) {
        sequence.forEachParameter(in: bytes) { number, isPart in
            guard count < 32 else { return }
            numbers[count] = UInt32(number)
            if isPart { partBits |= 1 << UInt32(count) }
            count += 1
        }
    }

    /// A missing number is 0.
    subscript(_ place: Int) -> Int { place < count ? Int(numbers[place]) : 0 }

    /// A number that counts from 1 or is a distance: a missing one, and 0, mean 1.
    func atLeastOne(_ place: Int) -> Int { max(self[place], 1) }

    func isPart(_ place: Int) -> Bool { place < count && partBits & 1 << UInt32(place) != 0 }

    /// The place of the next number that is no part of this one.
    func next(after place: Int) -> Int {
        var next = place + 1
        while isPart(next) { next += 1 }
        return next
    }

    /// The colour that 38, 48 or 58 at this place chooses, and where the next number is. nil for a colour
    /// that does not exist.
    func colour(at place: Int) -> (TerminalColour?, next: Int) {
        let hasParts = isPart(place + 1)
        let end = next(after: place)
        switch self[place + 1] {
        case 5:
            let number = self[place + 2]
            return (number < 256 ? .indexed(number) : nil, hasParts ? end : place + 3)
        case 2:
            // With colons a colour space may stand before the three, mostly as nothing at all.
            let start = hasParts && end - place > 5 ? place + 3 : place + 2
            let colour = (self[start], self[start + 1], self[start + 2])
            let exists = colour.0 < 256 && colour.1 < 256 && colour.2 < 256
            return (exists ? .direct(colour.0, colour.1, colour.2) : nil, hasParts ? end : place + 5)
        default: return (nil, hasParts ? end : place + 2)
        }
    }
}

extension TextStyle {
    /// Carries out a sequence that selects colours and attributes (SGR).
    mutating func select(_ numbers: SequenceNumbers) {
        var at = 0
        while at < numbers.count {
            switch numbers[at] {
            case 38, 48, 58:
                let (colour, next) = numbers.colour(at: at)
                if let colour { select(colour, by: numbers[at]) }
                at = next
                continue
            case 4 where numbers.isPart(at + 1):
                if numbers[at + 1] <= 5 { underline = numbers[at + 1] }
            case let number: select(number)
            }
            at = numbers.next(after: at)
        }
    }

    private mutating func select(_ colour: TerminalColour, by number: Int) {
        switch number {
        case 38: foreground = colour
        case 48: background = colour
        default: underlineColour = colour
        }
    }

    private mutating func select(_ number: Int) {
        switch number {
        case 0: self = TextStyle()
        case 4: underline = 1
        case 6: attributes.insert(.blink)
        case 21: underline = 2
        case 22: attributes.subtract([.bold, .faint])
        case 23: attributes.remove(.italic)
        case 24: underline = 0
        case 25: attributes.remove(.blink)
        case 27: attributes.remove(.inverse)
        case 28: attributes.remove(.hidden)
        case 29: attributes.remove(.struck)
        case 30...37: foreground = .basic(number - 30)
        case 39: foreground = .standard
        case 40...47: background = .basic(number - 40)
        case 49: background = .standard
        case 55: attributes.remove(.overline)
        case 59: underlineColour = .standard
        case 90...97: foreground = .basic(number - 82)
        case 100...107: background = .basic(number - 92)
        default:
            if let entry = Attributes.numbers.first(where: { $0.number == number }) {
                attributes.insert(entry.attribute)
            }
        }
    }
}
