/// Takes out of a program's output what would act on the user's terminal in harmful ways.
///
/// Text and ordinary control sequences pass byte for byte and undelayed; only an incomplete sequence is held.
/// What is taken out, and why, is in `TerminalRules`. The terminal only ever gets whole sequences that were
/// judged, so it cannot be in the middle of one that the filter does not know of. Control strings (OSC, DCS
/// and the like) pass only if they are on a list and hold nothing but printable text. C1 controls are known
/// in all three spellings: `ESC [`, the byte 0x9B outside UTF-8 text, and U+009B in UTF-8.
package struct TerminalFilter: Sendable {
    /// Who gets the terminal's answers.
    package enum Mode: Hashable, Sendable {
        /// The terminal's input is relayed to the program, so an answer to its query goes to the program.
        case relayed
        /// The terminal's input is not relayed: an answer would be typed into the user's shell.
        case oneWay
    }

    /// The longest control sequence; ordinary ones have less than 100 bytes.
    static let longestSequence = 1024
    /// The longest control string (titles, links); a longer one is taken out, however long it is.
    static let longestString = 8192

    package let mode: Mode
    /// Whether the terminal is the Linux console, which has two operating system commands without an end.
    package let isLinuxConsole: Bool
    /// What the program has switched on in the terminal.
    package private(set) var modes = TerminalModes()
    /// How many sequences were taken out.
    package private(set) var removed = 0
    /// How many sequences that the terminal answers were passed on.
    package private(set) var queries = 0

    private enum State {
        case text
        /// 0xC2 came, which may begin a C1 control in UTF-8.
        case c2
        /// After ESC, perhaps with intermediate bytes.
        case escape
        /// After CSI.
        case control
        /// In a control string.
        case string(StringKind)
        /// In a control string, after ESC.
        case stringEscape(StringKind)
        /// In the data of a Sixel image, which is passed on as it comes.
        case image
        /// In a Sixel image, after ESC.
        case imageEscape
    }

    private var state = State.text
    /// The incomplete sequence from its first byte; empty in text.
    private var held: [UInt8] = []
    /// Where the parameters or the string's text start in `held`.
    private var bodyStart = 0
    /// The held sequence is too long, or a string has a control character in it: it will not pass.
    private var spoiled = false
    private var utf8 = UTF8Progress()

    /// Whether the data of an image are under way.
    var isInImage: Bool {
        switch state {
        case .image, .imageEscape: true
        case .text, .c2, .escape, .control, .string, .stringEscape: false
        }
    }

    package init(mode: Mode, isLinuxConsole: Bool = false) {
        self.mode = mode
        self.isLinuxConsole = isLinuxConsole
    }

    /// The part of `bytes`, and of what was held before, that the terminal may have.
    package mutating func filter(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        var out: [UInt8] = []
        filter(bytes.span, into: &out)
        return out
    }

    /// The part of `bytes`, and of what was held before, that the terminal may have.
    package mutating func filter(_ bytes: [UInt8]) -> [UInt8] { filter(bytes[...]) }

    /// Appends the part of `bytes`, and of what was held before, that the terminal may have.
    package mutating func filter(_ bytes: Span<UInt8>, into out: inout [UInt8]) {
        out.reserveCapacity(out.count + bytes.count + held.count)
        filter(bytes, to: &out)
    }

    /// Gives a sink the part of `bytes`, and of what was held before, that a terminal may have.
    mutating func filter(_ bytes: Span<UInt8>, to out: inout some TerminalSink) {
        var at = 0
        while at < bytes.count {
            if case .text = state, !utf8.isInside {
                let end = PlainText.end(in: bytes, from: at)
                out.text(bytes.extracting(at..<end))
                at = end
                if at == bytes.count { return }
            } else if case .control = state {
                // The parameters in one go.
                while at < bytes.count, (0x20..<0x40).contains(bytes[at]) {
                    hold(bytes[at], limit: Self.longestSequence)
                    at += 1
                }
                if at == bytes.count { return }
            }
            step(bytes[at], &out)
            at += 1
        }
    }

    /// The end of the output: an incomplete sequence is dropped, an image is ended.
    package mutating func flush() -> [UInt8] {
        defer { reset() }
        switch state {
        case .text, .escape, .control, .string, .stringEscape: return []
        case .c2: return held
        case .image, .imageEscape: return [0x1B, UInt8(ascii: "\\")]
        }
    }

    /// Tells the terminal's height.
    package mutating func resized(rows: Int) { modes.rows = rows }

    /// What puts the terminal back in order after a program that died without doing it; empty if all is in
    /// order.
    package var resetSequence: [UInt8] { modes.resetSequence }
}

// MARK: - One byte

extension TerminalFilter {
    private mutating func step(_ byte: UInt8, _ out: inout some TerminalSink) {
        switch state {
        case .text: text(byte, &out)
        case .c2: c2(byte, &out)
        case .escape: escape(byte, &out)
        case .control: control(byte, &out)
        case .string(let kind): string(kind, byte, &out)
        case .stringEscape(let kind):
            if byte == UInt8(ascii: "\\") { return endString(kind, [0x1B, byte], .seven, &out) }
            // ESC ends a string in any case; one that is not ended properly is not passed.
            drop(&out)
            begin(.escape, 0x1B)
            escape(byte, &out)
        case .image: image(byte, &out)
        case .imageEscape:
            out.image(0x1B)
            out.image(UInt8(ascii: "\\"))
            reset()
            if byte == UInt8(ascii: "\\") { return }
            begin(.escape, 0x1B)
            escape(byte, &out)
        }
    }

    private mutating func text(_ byte: UInt8, _ out: inout some TerminalSink) {
        switch utf8.take(byte) {
        case .inside: out.text(byte)
        case .c1Lead: begin(.c2, byte)
        case .outside:
            switch byte {
            case 0x05: removed += 1  // ENQ: the terminal types its answerback string.
            case 0x1B: begin(.escape, byte)
            case 0x80...0x9F: c1(byte, lead: nil, &out)
            default: out.text(byte)
            }
        }
    }

    private mutating func c2(_ byte: UInt8, _ out: inout some TerminalSink) {
        reset()
        switch byte {
        case 0x80...0x9F: c1(byte, lead: 0xC2, &out)
        case 0xA0...0xBF:
            out.text(0xC2)
            out.text(byte)
        default:
            out.text(0xC2)
            text(byte, &out)
        }
    }

    /// A C1 control is ESC and the character 0x40 below it.
    private mutating func c1(_ byte: UInt8, lead: UInt8?, _ out: inout some TerminalSink) {
        begin(.escape, lead ?? byte)
        if lead != nil { held.append(byte) }
        escape(byte - 0x40, isHeld: true, &out)
    }

    private mutating func escape(_ byte: UInt8, isHeld: Bool = false, _ out: inout some TerminalSink) {
        guard isHeld || !interrupts(byte, &out) else { return }
        if byte == UInt8(ascii: "["), held.count == introducer.length { return beginControl(byte, isHeld) }
        let intermediates = held.dropFirst(introducer.length).filter { (0x20...0x2F).contains($0) }
        if !isHeld { hold(byte, limit: Self.longestSequence) }
        // C0 controls and DEL do not end the sequence.
        guard (0x30...0x7E).contains(byte) else { return }
        bodyStart = held.count
        if intermediates.isEmpty, let next = StringKind(introducer: byte) {
            state = .string(next)
        } else if intermediates.isEmpty, byte == UInt8(ascii: "[") {
            // With C0 controls in between.
            state = .control
        } else {
            let verdict = TerminalRules.verdict(escape: byte, intermediates: intermediates)
            decide(verdict, .escape(final: byte, intermediates: intermediates), &out)
        }
    }

    private mutating func control(_ byte: UInt8, _ out: inout some TerminalSink) {
        guard !interrupts(byte, &out) else { return }
        hold(byte, limit: Self.longestSequence)
        guard (0x40...0x7E).contains(byte) else { return }
        let sequence = ControlSequence(in: held, from: bodyStart)
        decide(TerminalRules.verdict(control: sequence, in: held), .control(sequence), &out)
    }

    private mutating func beginControl(_ byte: UInt8, _ isHeld: Bool) {
        if !isHeld { held.append(byte) }
        bodyStart = held.count
        state = .control
    }

    private mutating func string(_ kind: StringKind, _ byte: UInt8, _ out: inout some TerminalSink) {
        switch utf8.take(byte) {
        case .inside, .c1Lead: return hold(byte, limit: Self.longestString)
        case .outside: break
        }
        switch byte {
        case 0x07 where kind == .operatingSystem: endString(kind, [byte], .bell, &out)
        case 0x18, 0x1A:
            drop(&out)
            out.text(byte)
        case 0x1B: state = .stringEscape(kind)
        case 0x00..<0x20, 0x7F: spoiled = true
        case 0x80...0x9F where held.last == 0xC2 && held.count > bodyStart:
            // U+0080…U+009F: its first byte was held as text.
            held.removeLast()
            endByC1(kind, byte, lead: 0xC2, .utf8, &out)
        case 0x80...0x9F: endByC1(kind, byte, lead: nil, .eight, &out)
        default:
            hold(byte, limit: Self.longestString)
            endEarly(kind, byte, &out)
        }
    }

    private mutating func endByC1(
        _ kind: StringKind, _ byte: UInt8, lead: UInt8?, _ spelling: Spelling, _ out: inout some TerminalSink
    ) {
        if byte == 0x9C { return endString(kind, (lead.map { [$0] } ?? []) + [byte], spelling, &out) }
        // Any other C1 control ends the string and begins something new.
        drop(&out)
        c1(byte, lead: lead, &out)
    }

    /// Strings that are decided before their end.
    private mutating func endEarly(_ kind: StringKind, _ byte: UInt8, _ out: inout some TerminalSink) {
        guard !spoiled, introducer.spelling == .seven else { return }
        let body = held[bodyStart...]
        switch kind {
        case .operatingSystem where isLinuxConsole && TerminalRules.isLinuxPalette(body):
            decide(.pass, .linuxPalette(body: bodyStart..<held.count), &out)
        case .device where TerminalRules.isImage(body):
            decide(.pass, .image, &out)
            state = .image
        case .operatingSystem, .device, .title, .other: break
        }
    }

    private mutating func image(_ byte: UInt8, _ out: inout some TerminalSink) {
        switch byte {
        case 0x0A, 0x0D, 0x20...0x7E: out.image(byte)
        case 0x18, 0x1A:
            reset()
            out.text(byte)
        case 0x1B: state = .imageEscape
        default: break  // Not part of an image; terminals do not agree what it does there.
        }
    }
}

// MARK: - Beginning and ending a sequence

extension TerminalFilter {
    /// How a control was spelled; a string must end in the spelling that it began with.
    private enum Spelling { case seven, eight, utf8, bell }

    private var introducer: (spelling: Spelling, length: Int) {
        switch held.first {
        case 0x1B: (.seven, 1)
        case 0xC2: (.utf8, 2)
        default: (.eight, 1)
        }
    }

    private mutating func begin(_ next: State, _ byte: UInt8) {
        held.removeAll(keepingCapacity: true)
        held.append(byte)
        spoiled = false
        state = next
    }

    private mutating func hold(_ byte: UInt8, limit: Int) {
        if held.count < limit { held.append(byte) } else { spoiled = true }
    }

    private mutating func reset() {
        held.removeAll(keepingCapacity: true)
        spoiled = false
        state = .text
        utf8 = UTF8Progress()
    }

    /// Drops the held sequence. Terminals carry out the layout controls (BS to CR) within an escape or
    /// control sequence, so these stay; within a string they do not.
    private mutating func drop(_ out: inout some TerminalSink) {
        removed += 1
        switch state {
        case .escape, .control: for byte in held where (0x08...0x0D).contains(byte) { out.text(byte) }
        case .text, .c2, .string, .stringEscape, .image, .imageEscape: break
        }
        reset()
    }

    /// Whether the byte ends an incomplete escape or control sequence, which is dropped then.
    private mutating func interrupts(_ byte: UInt8, _ out: inout some TerminalSink) -> Bool {
        switch byte {
        case 0x05: removed += 1  // ENQ would be answered, and the sequence would go on.
        case 0x18, 0x1A:
            drop(&out)
            out.text(byte)
        case 0x1B:
            drop(&out)
            begin(.escape, byte)
        case 0x80...0xFF:
            drop(&out)
            text(byte, &out)
        default: return false
        }
        return true
    }

    /// Passes or drops the held sequence.
    private mutating func decide(
        _ verdict: TerminalRules.Verdict, _ sequence: TerminalSequence, _ out: inout some TerminalSink
    ) {
        guard passes(verdict) else { return drop(&out) }
        if verdict == .query { queries += 1 }
        modes.note(sequence, in: held)
        out.take(sequence, spelled: held)
        reset()
    }

    private func passes(_ verdict: TerminalRules.Verdict) -> Bool {
        switch verdict {
        case .pass: !spoiled
        case .query: !spoiled && mode == .relayed
        case .remove: false
        }
    }

    private mutating func endString(
        _ kind: StringKind, _ terminator: [UInt8], _ spelling: Spelling, _ out: inout some TerminalSink
    ) {
        let began = introducer.spelling
        // Where the ends differ, terminals do not agree where the string ends.
        guard spelling == began || spelling == .bell, !spoiled else { return drop(&out) }
        let body = bodyStart..<held.count
        let verdict = TerminalRules.verdict(string: held[body], kind)
        held += terminator
        decide(verdict, .string(kind, body: body), &out)
    }
}
