/// Which sequences a sandboxed program may send to the user's terminal.
///
/// | sequence | verdict | because |
/// |---|---|---|
/// | ENQ | removed | the terminal types its answerback string |
/// | OSC 52, 5522, CSI ?5522 h, OSC 1337, DCS `@`, `tmux;` | removed | clipboard read and write, downloads, remote control, passing anything on to an outer terminal |
/// | OSC 50, 46, 3, 51, 60, 61, 9;1–9;12, 777 but notifications | removed | font report with chosen text (CVE-2022-45063), log file, X properties, commands of an editor or of ConEmu |
/// | OSC 6, 7, 21, 66, 99, 133 with options, 633, 5113 … | removed | not on the list of harmless ones: directory and command reports, file transfer, answers with chosen text |
/// | OSC 8 but http, https, mailto, file | removed | a click on other schemes starts programs (CVE-2023-46321, CVE-2023-46322) |
/// | DCS but Sixel images and requests of known settings and capabilities | removed | DECRQSS echoed chosen text (CVE-2008-2383); user-defined keys and macros type it later |
/// | APC, PM, SOS | removed | kitty graphics reads and deletes files; others show or run text |
/// | CSI 20 t, 21 t | removed | the title, which a program can choose, is typed (CVE-2003-0063) |
/// | CSI 1–11, 13, ≥ 24 t | removed | moves, hides and resizes the user's window |
/// | CSI i, CSI ?46 h | removed | prints, or logs to a file or a command |
/// | CSI … * y, … * z, 2;… y | removed | checksum of screen areas reads what others wrote there; macros; self test |
/// | CSI ?2 l, ?38 h, " p, ESC % but G and 8, ESC SP G, ESC ! | removed | other parsing rules (VT52, Tektronix, Latin-1, 8-bit answers, screen's messages) would get round this filter; so would numbers above 65535 |
/// | CSI 2 h, CSI + p, CSI ], ESC G | removed | locks the keyboard, secure reset, switches the Linux console, rxvt's answer with a newline (CVE-2021-33477) |
/// | CSI n, c, x, ?u, ?m, $p, >q, $w, 14–19 t, ?S, OSC 4/5/10–19 `?`, ESC Z, DECRQSS, XTGETTCAP | query | answered with a fixed form: useful to full-screen programs, junk in a shell |
///
/// The list of control strings is an allow list, since strings carry text and each terminal has its own;
/// control sequences, which carry small numbers only, are a deny list.
enum TerminalRules {
    enum Verdict: Equatable, Sendable {
        case pass
        /// The terminal answers; passes where the answer goes to the program.
        case query
        case remove
    }

    /// Escape sequences of two bytes and with intermediate bytes.
    static func verdict(escape final: UInt8, intermediates: [UInt8]) -> Verdict {
        guard let first = intermediates.first else {
            switch final {
            case UInt8(ascii: "Z"): return .query
            case UInt8(ascii: "G"): return .remove
            default: return .pass
            }
        }
        switch first {
        case UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "-"),
            UInt8(ascii: "."), UInt8(ascii: "/"), UInt8(ascii: "#"):
            return .pass
        case UInt8(ascii: "%"):
            return intermediates.count == 1 && "G8".utf8.contains(final) ? .pass : .remove
        case UInt8(ascii: " "): return final == UInt8(ascii: "G") ? .remove : .pass
        default: return .remove
        }
    }

    /// Control sequences (CSI).
    static func verdict(control sequence: ControlSequence, in bytes: [UInt8]) -> Verdict {
        guard sequence.isWellFormed else { return .remove }
        switch sequence.intermediate {
        case 0: return plain(sequence, in: bytes)
        case UInt8(ascii: "$"): return "pwu".utf8.contains(sequence.final) ? .query : .pass
        case UInt8(ascii: "*"): return "yz".utf8.contains(sequence.final) ? .remove : .pass
        case UInt8(ascii: "\""):
            switch sequence.final {
            case UInt8(ascii: "p"): return .remove
            case UInt8(ascii: "v"): return .query
            default: return .pass
            }
        case UInt8(ascii: "#"): return "|RSy".utf8.contains(sequence.final) ? .query : .pass
        case UInt8(ascii: "'"): return sequence.final == UInt8(ascii: "|") ? .query : .pass
        case UInt8(ascii: "&"): return sequence.final == UInt8(ascii: "u") ? .query : .pass
        case UInt8(ascii: "+"): return .remove
        default: return .pass
        }
    }

    private static func plain(_ sequence: ControlSequence, in bytes: [UInt8]) -> Verdict {
        let prefix = sequence.prefix
        switch sequence.final {
        case UInt8(ascii: "i"), UInt8(ascii: "["), UInt8(ascii: "]"): return .remove
        case UInt8(ascii: "t"): return prefix == 0 ? windowOperation(sequence.first) : .remove
        case UInt8(ascii: "T"): return prefix == UInt8(ascii: ">") ? .remove : .pass
        case UInt8(ascii: "c"):
            // With `?` it is the Linux console's cursor shape.
            return prefix == UInt8(ascii: "?") ? .pass : .query
        case UInt8(ascii: "n"): return prefix == UInt8(ascii: ">") ? .pass : .query
        case UInt8(ascii: "x"): return .query
        case UInt8(ascii: "y"): return .remove
        case UInt8(ascii: "q"): return prefix == UInt8(ascii: ">") ? .query : .pass
        case UInt8(ascii: "u"), UInt8(ascii: "m"), UInt8(ascii: "S"):
            return prefix == UInt8(ascii: "?") ? .query : .pass
        case UInt8(ascii: "h"), UInt8(ascii: "l"): return mode(sequence, in: bytes)
        default: return .pass
        }
    }

    private static func windowOperation(_ operation: Int) -> Verdict {
        switch operation {
        case 14, 15, 16, 18, 19: .query
        case 22, 23: .pass
        default: .remove
        }
    }

    private static func mode(_ sequence: ControlSequence, in bytes: [UInt8]) -> Verdict {
        let sets = sequence.final == UInt8(ascii: "h")
        var verdict = Verdict.pass
        sequence.forEachParameter(in: bytes) { number, _ in
            switch (sequence.prefix, number, sets) {
            case (UInt8(ascii: "?"), 2, false), (UInt8(ascii: "?"), 38, true), (UInt8(ascii: "?"), 46, true),
                (UInt8(ascii: "?"), 5522, true), (0, 2, true):
                verdict = .remove
            default: break
            }
        }
        return verdict
    }
}

/// The kinds of control strings, by their introducer.
enum StringKind: Sendable {
    /// OSC, `ESC ]`.
    case operatingSystem
    /// DCS, `ESC P`.
    case device
    /// GNU screen's and tmux's window title, `ESC k`.
    case title
    /// SOS, PM and APC: `ESC X`, `ESC ^`, `ESC _`.
    case other

    /// The kind that begins with ESC and this byte; nil if it is no string.
    init?(introducer: UInt8) {
        switch introducer {
        case UInt8(ascii: "]"): self = .operatingSystem
        case UInt8(ascii: "P"): self = .device
        case UInt8(ascii: "k"): self = .title
        case UInt8(ascii: "X"), UInt8(ascii: "^"), UInt8(ascii: "_"): self = .other
        default: return nil
        }
    }
}

/// The parts of a control sequence: `CSI prefix parameters intermediate final`.
struct ControlSequence: Sendable {
    /// `<`, `=`, `>` or `?`; 0 if there is none.
    private(set) var prefix: UInt8 = 0
    /// 0 if there is none.
    private(set) var intermediate: UInt8 = 0
    /// 0x40…0x7E.
    let final: UInt8
    /// The first parameter; 0 if there is none.
    private(set) var first = 0
    /// False where the parts are not in order; terminals do not agree what such a sequence does.
    private(set) var isWellFormed = true
    private var parameters: Range<Int>

    /// Parses the sequence whose parameters start at `start` and whose final byte is the last one. Control
    /// characters in between are no part of it.
    init(in bytes: [UInt8], from start: Int) {
        final = bytes[bytes.count - 1]
        parameters = start..<start
        var isFirst = true
        for at in start..<(bytes.count - 1) {
            switch bytes[at] {
            case 0x3C...0x3F:
                if isFirst { prefix = bytes[at] } else { isWellFormed = false }
                isFirst = false
            case 0x30...0x3B:
                if intermediate != 0 { isWellFormed = false }
                isFirst = false
            case 0x20...0x2F:
                if intermediate != 0 { isWellFormed = false }
                intermediate = bytes[at]
            default: break
            }
        }
        parameters = start..<(bytes.count - 1)
        var isBegun = false
        forEachParameter(in: bytes) { number, _ in
            if !isBegun { first = number }
            isBegun = true
            // Some terminals count modulo 65536, and 65538 would be 2 for them.
            if number > 65535 { isWellFormed = false }
        }
    }

    /// Whether there are no parameters at all.
    var isBare: Bool { parameters.isEmpty }

    /// Each number with whether a colon stands before it (a part of the parameter before); a missing one is
    /// 0, one with more than six digits is cut to the limit.
    func forEachParameter(in bytes: [UInt8], _ body: (Int, Bool) -> Void) {
        var number = 0
        var isPart = false
        for at in parameters {
            let byte = bytes[at]
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                number = min(number * 10 + Int(byte - UInt8(ascii: "0")), 999_999)
            case UInt8(ascii: ";"), UInt8(ascii: ":"):
                body(number, isPart)
                number = 0
                isPart = byte == UInt8(ascii: ":")
            default: break
            }
        }
        body(number, isPart)
    }
}
