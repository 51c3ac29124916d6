/// One place of a screen, in 16 bytes.
struct ScreenCell: Sendable {
    /// The lower 21 bits are a character or, with the cluster bit, the number of a cluster.
    private let content: UInt32
    var style: TextStyle

    private static let numberBits: UInt32 = 0x1F_FFFF
    private static let clusterBit: UInt32 = 1 << 21
    private static let wideBit: UInt32 = 1 << 22
    private static let restBit: UInt32 = 1 << 23

    private init(content: UInt32, _ style: TextStyle) {
        self.content = content
        self.style = style
    }

    /// A character of one or, in its first cell, two columns.
    init(_ scalar: Unicode.Scalar, isWide: Bool = false, _ style: TextStyle) {
        self.init(content: scalar.value | (isWide ? Self.wideBit : 0), style)
    }

    /// An ASCII character.
    init(ascii: UInt8, _ style: TextStyle) { self.init(content: UInt32(ascii), style) }

    /// The second column of a wide character.
    init(restOfWide style: TextStyle) { self.init(content: Self.restBit, style) }

    static func blank(_ style: TextStyle) -> Self { Self(content: 0x20, style) }

    /// The same place with a cluster in it.
    func with(cluster: UInt32) -> Self {
        Self(content: content & ~Self.numberBits | Self.clusterBit | cluster, style)
    }

    var isWide: Bool { content & Self.wideBit != 0 }
    /// Whether this is the second column of the character before.
    var isRestOfWide: Bool { content & Self.restBit != 0 }

    /// The number of the cluster here.
    var cluster: UInt32? { content & Self.clusterBit != 0 ? content & Self.numberBits : nil }
    /// The only character here; nil where a cluster is.
    var scalar: Unicode.Scalar? {
        content & Self.clusterBit == 0 ? Unicode.Scalar(content & Self.numberBits) : nil
    }

    /// Whether nothing is to be seen but the terminal's own background.
    var isEmpty: Bool { content == 0x20 && style == TextStyle() }

    /// Whether both show the same, clusters apart.
    func shows(_ other: Self) -> Bool { content == other.content && style == other.style }
}

/// The characters that have marks: what stands in one cell and is more than one scalar.
///
/// A number stays what it is until `collect`. The count is bounded: a screen full of marks that are all
/// different loses some.
struct ScreenClusters: Sendable {
    /// The most scalars in a cell, and the most different clusters on a screen.
    static let longest = 10
    static let most = 16384
    /// So many requests lie between two collections at least, as each looks at the whole screen.
    private static let pause = 4096

    private var texts: [[Unicode.Scalar]] = []
    private var numbers: [[Unicode.Scalar]: UInt32] = [:]
    private var requests = 0

    /// The scalars of a cell.
    func scalars(_ cell: ScreenCell) -> [Unicode.Scalar] {
        if let cluster = cell.cluster { return texts[Int(cluster)] }
        return cell.scalar.map { [$0] } ?? []
    }

    var isEmpty: Bool { texts.isEmpty }
    var isFull: Bool { texts.count >= Self.most }
    /// Whether it is time to `collect`.
    var wantsCollection: Bool { isFull && requests >= Self.pause }

    /// The number of a cluster; nil if there is no room for it.
    mutating func number(of scalars: [Unicode.Scalar]) -> UInt32? {
        requests += 1
        if let known = numbers[scalars] { return known }
        if isFull { return nil }
        let number = UInt32(texts.count)
        texts.append(scalars)
        numbers[scalars] = number
        return number
    }

    /// Forgets all, and gives what was known, so that the clusters in use can be numbered anew.
    mutating func takeAll() -> [[Unicode.Scalar]] {
        defer { self = Self() }
        return texts
    }

    /// The clusters in use have their numbers.
    mutating func endCollection() { requests = 0 }
}
