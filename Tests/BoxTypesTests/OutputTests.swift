import BoxTypes
import Testing

@Suite struct OutputTests {
    @Test(arguments: [
        ("plain ü", "plain ü"), ("a\nb", "a\\nb"), ("\u{1B}[31m", "\\x1b[31m"), ("\u{9B}x", "\\x9bx"),
        ("\u{202E}evil", "\\u{202e}evil"), ("a\u{200B}b", "a\\u{200b}b"), ("\u{7F}", "\\x7f"),
        ("\t\r", "\\t\\r"),
    ])
    func `text for a terminal has nothing that acts on it`(text: String, shown: String) {
        #expect(text.escapedForTerminal == shown)
    }

    @Test func `a JSON line never holds a raw control character`() {
        let value = JSONOutput.object([("a\n", .text("\u{0}\u{1B}\u{9B}\u{2028}\"\\")), ("n", .number(-1))])
        #expect(value.line == #"{"a\n":"\u0000\u001b\u009b\u2028\"\\","n":-1}"#)
    }

    @Test func `pretty JSON is indented and keeps the order`() {
        let value = JSONOutput.object([("b", .list([.bool(true), .null])), ("a", .list([]))])
        #expect(value.pretty == "{\n  \"b\": [\n    true,\n    null\n  ],\n  \"a\": []\n}")
    }
}
