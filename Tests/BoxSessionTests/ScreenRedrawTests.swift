import BoxSession
import Testing

/// A screen after a stream that came in pieces.
private func screen(_ bytes: [UInt8], rows: Int = 24, columns: Int = 80, cut: (() -> Int)? = nil) -> Screen {
    var screen = Screen(rows: rows, columns: columns)
    var rest = bytes[...]
    while !rest.isEmpty {
        let piece = rest.prefix(cut?() ?? rest.count)
        screen.feed(Array(piece))
        rest = rest.dropFirst(piece.count)
    }
    return screen
}

@Suite struct ScreenRedrawTests {
    static let sizes = [(24, 80), (1, 1), (1, 5), (5, 1), (3, 2), (7, 13), (2, 40), (50, 132)]

    @Test(arguments: 0..<160) func `a redraw on a new screen or on any other gives the same screen`(
        seed: UInt64
    ) {
        let (rows, columns) = Self.sizes[Int(seed) % Self.sizes.count]
        var stream = ScreenStream(seed: seed, rows: rows, columns: columns)
        let one = screen(stream.bytes(stream.below(200)), rows: rows, columns: columns)
        let fresh = screen(one.redraw, rows: rows, columns: columns)
        #expect(fresh == one, "\(difference(fresh, one))")

        // On a screen with another one's state. A title that was not set can't be taken from it.
        let titled = screen(one.redraw + Array("\u{1B}]2;t\u{7}".utf8), rows: rows, columns: columns)
        var other = screen(stream.bytes(100), rows: rows, columns: columns)
        for _ in 0..<10 { other.feed(Array("\u{1B}[23t".utf8)) }
        other.feed(titled.redraw)
        #expect(other == titled, "\(difference(other, titled))")
    }

    @Test(arguments: 0..<60) func `what comes after a redraw is shown as without one`(seed: UInt64) {
        let (rows, columns) = Self.sizes[Int(seed) % Self.sizes.count]
        var stream = ScreenStream(seed: seed &+ 1000, rows: rows, columns: columns)
        var one = screen(stream.bytes(100), rows: rows, columns: columns)
        var two = screen(one.redraw, rows: rows, columns: columns)
        let more = stream.bytes(100)
        one.feed(more)
        two.feed(more)
        #expect(one == two, "\(difference(two, one))")
    }

    @Test(arguments: 0..<60) func `however a stream is cut, the screen is the same`(seed: UInt64) {
        var stream = ScreenStream(seed: seed &+ 2000, rows: 10, columns: 30)
        let bytes = stream.bytes(150)
        let whole = screen(bytes, rows: 10, columns: 30)
        var cuts = ScreenStream(seed: seed, rows: 1, columns: 1)
        let pieces = screen(bytes, rows: 10, columns: 30) { cuts.below(7) + 1 }
        #expect(pieces == whole)
        #expect(screen(bytes, rows: 10, columns: 30) { 1 } == whole)
    }

    @Test(arguments: 0..<60) func `a redraw between any two bytes of a filter's output is as good`(
        seed: UInt64
    ) {
        var stream = ScreenStream(seed: seed &+ 3000, rows: 5, columns: 20)
        let bytes = stream.bytes(40)
        var filter = TerminalFilter(mode: .relayed)
        let at = stream.below(bytes.count)
        let (before, after) = (filter.filter(bytes[..<at]), filter.filter(bytes[at...]))
        var one = screen(before, rows: 5, columns: 20)
        var two = screen(one.redraw, rows: 5, columns: 20)
        #expect(one == two, "\(difference(two, one))")
        one.feed(after)
        two.feed(after)
        // What REP repeats is not brought back.
        if !after.starts(with: "\u{1B}[".utf8) { #expect(one == two, "\(difference(two, one))") }
    }

    @Test(arguments: 0..<80) func `random bytes do no harm, and their redraw is right`(seed: UInt64) {
        var numbers = ScreenStream(seed: seed &+ 4000, rows: 1, columns: 1)
        let alphabet =
            Array("\u{1B}\u{1B}\u{1B}[[[]P?;:0123456789hlmHJKrLMPqu\u{7}\r\n\t日e\u{301}".utf8) + [
                0x9B, 0xC2, 0x84,
            ]
        let bytes = (0..<2000).map { _ in
            seed % 2 == 0 ? UInt8(numbers.below(256)) : numbers.pick(alphabet)
        }
        let (rows, columns) = Self.sizes[Int(seed) % Self.sizes.count]
        let one = screen(bytes, rows: rows, columns: columns) { numbers.below(40) + 1 }
        let two = screen(one.redraw, rows: rows, columns: columns)
        #expect(one == two, "\(difference(two, one))")
    }

    @Test(arguments: 0..<60) func `a screen of another size is redrawn as well`(seed: UInt64) {
        var stream = ScreenStream(seed: seed &+ 5000, rows: 12, columns: 40)
        var one = screen(stream.bytes(100), rows: 12, columns: 40)
        for _ in 0..<3 {
            one.resize(rows: stream.below(30) + 1, columns: stream.below(60) + 1)
            let two = screen(one.redraw, rows: one.rows, columns: one.columns)
            #expect(one == two, "\(difference(two, one))")
            one.feed(stream.bytes(30))
        }
    }

    @Test(arguments: StartupStream.all) func `a full-screen program's screen is redrawn`(
        stream: StartupStream
    ) {
        for end in stride(from: 0, through: stream.bytes.count, by: 97) {
            let one = screen(Array(stream.bytes.prefix(end)))
            let two = screen(one.redraw)
            #expect(one == two, "\(difference(two, one))")
        }
    }
}

/// What differs, for a failure's message.
private func difference(_ one: Screen, _ other: Screen) -> String {
    let lines = zip(one.text, other.text).enumerated().filter { $1.0 != $1.1 }.prefix(3)
    let parts = { (screen: Screen) in
        Mirror(reflecting: screen).children.filter { $0.label == "display" }
            .flatMap { Mirror(reflecting: $0.value).children }
    }
    let differing = zip(parts(one), parts(other)).filter { "\($0.value)" != "\($1.value)" }
    return
        (lines.map { "\($0): «\($1.0)» «\($1.1)»" }
        + differing.map { "\($0.label ?? ""): \("\($0.value)".prefix(300)) / \("\($1.value)".prefix(300))" })
        .joined(separator: "; ")
}
