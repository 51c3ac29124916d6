import BoxPolicy
import BoxTypes
import Testing

/// Files that no fixture can hold, and the reader's promises about positions.
struct PolicyReaderTests {
    private func errors(_ bytes: [UInt8]) -> String {
        do throws(PolicyErrors) {
            _ = try PolicyReader.read(bytes, file: "p.toml")
            return "accepted"
        } catch { return error.description }
    }

    private func errors(_ text: String) -> String { errors(Array(text.utf8)) }

    @Test func `a byte order mark is refused`() {
        #expect(errors("\u{FEFF}[network]").hasPrefix("p.toml:1:1: the file begins with a byte order mark"))
    }

    @Test func `a NUL byte is refused at its place`() {
        #expect(errors("# one\n# \u{0}") == "p.toml:2:3: the file contains a NUL character")
    }

    @Test(
        arguments: [[0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xE2, 0x82], [0xF5, 0x80, 0x80, 0x80]]
            as [[UInt8]])
    func `bytes that are not UTF-8 are refused at their place`(bad: [UInt8]) {
        #expect(errors(Array("# é\n# ".utf8) + bad) == "p.toml:2:3: the file is not valid UTF-8")
    }

    @Test func `one mebibyte is read and one byte more is not`() {
        let line = Array("# comment\n".utf8)
        var bytes = Array(repeatElement(line, count: (1 << 20) / line.count).joined())
        bytes += Array(repeating: UInt8(ascii: "\n"), count: (1 << 20) - bytes.count)
        #expect(errors(bytes) == "accepted")
        bytes.append(UInt8(ascii: "\n"))
        #expect(errors(bytes) == "p.toml: the file has 1048577 bytes; a policy has at most 1048576 (1 MiB)")
    }

    @Test func `deep nesting is an error and no crash`() {
        let texts = [
            "dotted key": String(repeating: "a.", count: 500_000) + "a = 1",
            "dotted table": "[" + String(repeating: "a.", count: 500_000) + "a]",
            "arrays": "a = " + String(repeating: "[", count: 1_000_000),
            "tables": "a = " + String(repeating: "{a=", count: 300_000),
            "array of tables": "[[a]]\na.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a = 1",
            "tables in arrays": "a = [" + String(repeating: "{a.a.a.a.a.a.a.a=[\n", count: 40_000),
        ]
        for (name, text) in texts { #expect(errors(text).contains("nested too deeply"), "\(name)") }
    }

    @Test func `columns count characters and not bytes`() {
        #expect(
            errors("environment.set = { A = \"äöü€😀\", B = 1 }") == """
                p.toml:1:34: environment.set.B must be a string, not an integer
                """)
    }

    @Test func `carriage returns end lines as newlines do`() {
        #expect(errors("[limits]\r\nprocesses = 5\r\nprocess = 6\r\n").hasPrefix("p.toml:3:1: unknown key"))
    }

    @Test func `a hundred errors are a hundred lines, in order`() {
        let text = (1...100).map { "key\($0) = \($0)\n" }.joined()
        let lines = errors(text).split(separator: "\n")
        #expect(lines.count == 100)
        for (index, line) in lines.enumerated() { #expect(line.hasPrefix("p.toml:\(index + 1):1: ")) }
    }

    @Test func `an array of tables where a table belongs is a wrong type`() {
        #expect(
            errors("[[network]]\nmode = \"none\"\n[[network]]\n") == """
                p.toml:1:3: network must be a table, not an array
                """)
    }

    @Test func `the name of the file and of the key cannot act on the terminal`() {
        do throws(PolicyErrors) {
            _ = try PolicyReader.read(Array("\"\\u001b]52;c;x\\u0007\" = 1".utf8), file: "a\u{1b}[2Jb")
            Issue.record("accepted")
        } catch {
            #expect(!error.description.unicodeScalars.contains { $0.value < 32 || $0.value == 127 })
        }
    }

    @Test func `no cut or changed byte of a policy makes the reader crash`() throws {
        let whole = try Fixture.read("good/odd-spelling.toml") + Fixture.read("good/everything.toml")
        for length in 0..<whole.count { _ = errors(Array(whole[..<length])) }
        var generator = Xorshift(state: 0x9E37_79B9_7F4A_7C15)
        for _ in 0..<3000 {
            var bytes = whole
            for _ in 0...Int.random(in: 0...3, using: &generator) {
                let interesting = Array("[]{}\"'\\=.,#\n\r\t 0u".utf8) + [0, 0xFF, 0x80]
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] =
                    interesting[Int.random(in: 0..<interesting.count, using: &generator)]
            }
            _ = errors(bytes)
        }
    }

    @Test func `the library and the positions agree on every valid text`() {
        // Each of these is valid TOML with an unknown key `x`; were the two readers to differ, the error would be
        // `cannot place`.
        for text in [
            "x.\"y.z\".'w' = 1", "x = [[1, 2], [3]]", "x = {}", "x = { y = [ { z = 1 }, {} ] }", "x = []",
            "[x]\n[x.y]\n[x.y.z]", "[[x]]\n[[x.y]]\n[[x.y]]\n[x.y.z]\na = 1\n[[x]]\n[[x.y]]",
            "[x.y]\n[x]\na = 1",
            "x = '''a''''", "x = \"\"\"a\"\"\"\"\"", "x = \"\"\"\\\n   a\"\"\"",
            "x = 1979-05-27 07:32:00 # c",
            "x = 1979-05-27T07:32:00Z", "x = +1_000.5e-3", "x = -inf", "x = 0xDEAD_beef", "\"\" = 1\nx = 2",
            "x=[1,#c]\n2]", "x=\"#\"", "x = 'a\\'", "\"\\u0078\" = 1", "x = \"\\U0001F600\"", "x = true#c",
            "[ x . \"y\" ]\n", "1.2 = 3\nx = 1", "x = [\n\n]", "[[ x ]]\n", "x = [{a=1},{a=2,b.c=3}]",
        ] {
            let observed = errors(text)
            #expect(observed.contains("unknown"), "\(text): \(observed)")
            #expect(!observed.contains("cannot place"), "\(text): \(observed)")
        }
    }
}

/// A small generator with a fixed seed, so that a failure can be repeated.
private struct Xorshift: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }
}
