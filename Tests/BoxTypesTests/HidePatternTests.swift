import BoxTypes
import Testing

/// What `hide` patterns mean.
struct HidePatternTests {
    private func path(_ text: String) throws -> BytePath { try #require(BytePath(text)) }

    @Test(arguments: [
        (".env", ".env", true), (".env", "a/.env", false), (".env", ".envrc", false), (".env", ".ENV", false),
        (".env.*", ".env.local", true), (".env.*", ".env.", true), (".env.*", ".env", false),
        ("*.pem", "server.pem", true), ("*.pem", ".pem", true), ("*.pem", "x.pem.txt", false),
        ("*.pem", "certs/server.pem", false), ("**/*.pem", "server.pem", true),
        ("**/*.pem", "a/b/c/server.pem", true), ("**/certs/*.pem", "a/certs/x.pem", true),
        ("**/certs/*.pem", "certs/x.pem", true), ("**/certs/*.pem", "a/certs/b/x.pem", false),
        ("config/*.key", "config/a.key", true), ("config/*.key", "a.key", false),
        ("config/*.key", "config/b/a.key", false), ("config/*.key", "x/config/a.key", false),
        ("id_?sa", "id_rsa", true), ("id_?sa", "id_sa", false), ("[!a]x", "bx", true), ("[!a]x", "ax", false),
        ("[^a]x", "ax", false), ("[a-c]x", "bx", true), ("[a-c]x", "dx", false), ("[]a]x", "]x", true),
        ("[a-]x", "-x", true), ("[-a]x", "-x", true), ("[\\]]x", "]x", true), ("\\*x", "*x", true),
        ("\\*x", "ax", false), ("\\!x", "!x", true), ("a*b*c", "aXbYbZc", true), ("a*b*c", "aXc", false),
        ("***", "anything", false), ("a?", "aé", false), ("a??", "aé", true), (" x ", " x ", true),
    ])
    func `a pattern matches the names it reads like`(pattern: String, name: String, expected: Bool) throws {
        guard pattern != "***" else {
            #expect(throws: PatternRefusal.self) { try HidePattern(pattern) }
            return
        }
        #expect(try HidePattern(pattern).matches(path(name), isDirectory: false) == expected)
        #expect(try HidePattern(pattern).matches(path(name), isDirectory: true) == expected)
    }

    @Test func `a slash at the end means directories alone`() throws {
        let pattern = try HidePattern("**/.aws/")
        #expect(try pattern.matches(path("a/.aws"), isDirectory: true))
        #expect(try !pattern.matches(path("a/.aws"), isDirectory: false))
    }

    @Test func `names that are no text match by their bytes`() throws {
        let name = try #require(BytePath([0xFF, UInt8(ascii: "."), UInt8(ascii: "k")]))
        #expect(try HidePattern("?.k").matches(name, isDirectory: false))
        #expect(try HidePattern("*.k").matches(name, isDirectory: false))
        #expect(try HidePattern("[!a].k").matches(name, isDirectory: false))
    }

    @Test(arguments: [
        "", "!", "/", "//", "!/", "*", "**", "**/", "**/*", "*/", "?*", "*?", "**/*/", "/etc", "../x", "a/..",
        "a/../b", "./a", ".", "..", "a//b", "a/**/b", "a**", "a/**", "**/**/a", "[", "[]", "[a", "[!", "[a-",
        "[z-a]",
        "[[:alpha:]]", "[é]", "\\", "a\\", "~", "~/.ssh", "a\u{0}b", "a\nb", "a\u{202E}b", "/x",
        String(repeating: "x", count: 1025),
    ])
    func `a pattern that means nothing, too much or something else is refused`(text: String) {
        #expect(throws: PatternRefusal.self) { try HidePattern(text) }
    }

    @Test func `a refusal moves no terminal`() {
        do throws(PatternRefusal) {
            _ = try HidePattern("/a\u{1B}[2J")
            Issue.record("accepted")
        } catch { #expect(!error.description.utf8.contains(0x1B)) }
    }

    @Test func `an exception may be everything, so that the user can hide nothing at all`() throws {
        let rules = HideRules([
            try HidePattern(".env"), try HidePattern("**/*.pem"), try HidePattern("!**/*"),
        ])
        #expect(try !rules.hides(path(".env"), isDirectory: false))
        #expect(try !rules.hides(path("a/x.pem"), isDirectory: false))
    }

    @Test func `the last pattern that matches decides`() throws {
        let patterns = try [".env.*", "!.env.example", ".env.example.*", "!*.shown"].map(HidePattern.init)
        let rules = HideRules(patterns)
        for (name, expected) in [
            (".env.local", true), (".env.example", false), (".env.example.mine", true), (".env.shown", false),
            ("other", false),
        ] {
            #expect(try rules.hides(path(name), isDirectory: false) == expected, "\(name)")
        }
        let reversed = HideRules(patterns.reversed())
        #expect(try reversed.hides(path(".env.example"), isDirectory: false))
    }

    @Test func `what lies in a hidden directory is hidden, whatever an exception says`() throws {
        let rules = HideRules(try ["secrets/", "!secrets/readme", "!**/readme"].map(HidePattern.init))
        #expect(try rules.hides(path("secrets"), isDirectory: true))
        #expect(try rules.hides(path("secrets/a/b"), isDirectory: false))
        #expect(try rules.hides(path("secrets/readme"), isDirectory: false))
        #expect(try !rules.hides(path("secrets"), isDirectory: false))
        #expect(try !rules.hides(path("secretsx/a"), isDirectory: false))
        #expect(!rules.hides(.root, isDirectory: true))
    }

    @Test func `only a pattern for any depth makes a walk necessary`() throws {
        #expect(!HideRules([]).needsWalk)
        #expect(!HideRules(try [".env", "a/b/*.key", "!**/x"].map(HidePattern.init)).needsWalk)
        #expect(HideRules(try [".env", "**/x"].map(HidePattern.init)).needsWalk)
    }

    @Test func `a pattern made to be slow is not`() throws {
        let pattern = try HidePattern(String(repeating: "a*", count: 120) + "b")
        let name = try path(String(repeating: "a", count: 255))
        let clock = ContinuousClock()
        let took = clock.measure {
            for _ in 0..<100 { #expect(!pattern.matches(name, isDirectory: false)) }
        }
        // 100 times 255 by 240 steps; a backtracking matcher would not end at all.
        #expect(took < .seconds(5))
    }

    @Test func `random patterns and names agree with a matcher written the slow way`() throws {
        var random = SeededBytes(seed: 41)
        let letters = Array("ab*?".utf8)
        for _ in 0..<20_000 {
            let pattern = random.take(random.below(7) + 1, of: letters)
            let name = random.take(random.below(8) + 1, of: Array("abc".utf8))
            let expected = slowly(pattern[...], name[...])
            #expect(try ByteGlob(pattern).matches(name) == expected, "\(pattern) \(name)")
        }
    }

    @Test func `random bytes are a pattern or a refusal`() {
        var random = SeededBytes(seed: 43)
        let letters = Array("ab[]!^-\\*?/.~:\u{1}é".utf8)
        var (accepted, refused) = (0, 0)
        for _ in 0..<20_000 {
            let text = String(decoding: random.take(random.below(12), of: letters), as: UTF8.self)
            do throws(PatternRefusal) {
                let pattern = try HidePattern(text)
                #expect(!pattern.components.isEmpty)
                accepted += 1
            } catch { refused += 1 }
        }
        #expect(accepted > 1000 && refused > 1000)
    }

    private func slowly(_ pattern: ArraySlice<UInt8>, _ name: ArraySlice<UInt8>) -> Bool {
        guard let first = pattern.first else { return name.isEmpty }
        switch first {
        case UInt8(ascii: "*"):
            return (name.startIndex...name.endIndex).contains { slowly(pattern.dropFirst(), name[$0...]) }
        case UInt8(ascii: "?"): return !name.isEmpty && slowly(pattern.dropFirst(), name.dropFirst())
        default: return name.first == first && slowly(pattern.dropFirst(), name.dropFirst())
        }
    }
}

/// The same bytes for the same seed, on every machine.
struct SeededBytes {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    private mutating func next() -> UInt64 {
        // SplitMix64's step.
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// A number below a bound.
    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }

    /// Some of these bytes.
    mutating func take(_ count: Int, of letters: [UInt8]) -> [UInt8] {
        (0..<count).map { _ in letters[below(letters.count)] }
    }
}
