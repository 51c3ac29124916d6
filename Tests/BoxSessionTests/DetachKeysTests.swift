import BoxSession
import Testing

@Suite struct DetachKeysTests {
    /// What the program gets of what is typed, read by read.
    private static func typed(_ reads: [String]) -> (out: String, isDetached: Bool) {
        var keys = DetachKeys()
        var out: [UInt8] = []
        for text in reads { keys.take(Array(text.utf8)[...], into: &out) }
        return (String(decoding: out, as: UTF8.self), keys.isDetached)
    }

    @Test(arguments: [
        ["\u{1D}d"], ["\u{1D}", "d"], ["abc\u{1D}", "def"], ["\u{1B}[93;5u", "d"], ["\u{1B}[93;5ud"],
        // With caps lock, with num lock, with the event and the layout's key told.
        ["\u{1B}[93;69u", "d"], ["\u{1B}[93;133u", "d"], ["\u{1B}[93::93;5:1u", "\u{1B}[100;1:1u"],
        // Keys that are released in between, and control itself.
        ["\u{1B}[57442;5u\u{1B}[93;5u", "\u{1B}[93;5:3u\u{1B}[57442;1:3u", "\u{1B}[100u"],
        // xterm's modifyOtherKeys.
        ["\u{1B}[27;5;93~", "d"],
    ])
    func `the keys that detach are known in every spelling`(_ reads: [String]) {
        let (out, isDetached) = DetachKeysTests.typed(reads)
        #expect(isDetached && !out.contains("d") && !out.contains("\u{1D}"), "\(out.debugDescription)")
    }

    @Test(
        arguments: [
            (["d"], "d"), (["\u{1D}\u{1D}"], "\u{1D}"), (["\u{1D}", "\u{1D}", "d"], "\u{1D}d"),
            (["\u{1D}x"], "\u{1D}x"), (["\u{1D}", "D"], "\u{1D}D"),
            (["\u{1B}[93;5u", "\u{1B}[93;5u"], "\u{1B}[93;5u"),
            (["\u{1B}[93;5u", "\u{1B}[93;5:3u", "q"], "\u{1B}[93;5u\u{1B}[93;5:3uq"),
            // Escape alone waits for nothing; what only looks similar is the program's.
            (["\u{1B}"], "\u{1B}"), (["\u{1B}", "[93;5u", "d"], "\u{1B}[93;5ud"),
            (["\u{1B}[93;6ud"], "\u{1B}[93;6ud"), (["\u{1B}[93ud"], "\u{1B}[93ud"),
            (["\u{1B}[A\u{1B}[93;5Hd"], "\u{1B}[A\u{1B}[93;5Hd"),
            (["\u{1B}[999999999999;5ud"], "\u{1B}[999999999999;5ud"),
            (["\u{1B}[;;;u", "\u{1B}[", "\u{1B}[27;5~d"], "\u{1B}[;;;u\u{1B}[\u{1B}[27;5~d"),
            (["ünï\u{1D}ü"], "ünï\u{1D}ü"),
        ] as [([String], String)])
    func `everything else reaches the program as it was typed`(_ reads: [String], _ expected: String) {
        let (out, isDetached) = DetachKeysTests.typed(reads)
        #expect(out == expected && !isDetached)
    }
}
