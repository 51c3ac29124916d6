import BoxTypes
import Testing

@Suite struct `JSON values` {
    /// A value without positions, for comparison.
    private func plain(_ value: JSONValue) -> String {
        switch value.content {
        case .null: "null"
        case .bool(let flag): "\(flag)"
        case .number(let number): number.text
        case .string(let text): "'\(text)'"
        case .array(let all): "[" + all.map(plain).joined(separator: " ") + "]"
        case .object(let all): "{" + all.map { "\($0.key)=\(plain($0.value))" }.joined(separator: " ") + "}"
        }
    }

    @Test(arguments: [
        ("null", "null"), (" true ", "true"), ("\t\r\n false", "false"), ("\"\"", "''"),
        ("0", "0"), ("-0", "-0"), ("-12.50e+3", "-12.50e+3"), ("1E-2", "1E-2"),
        ("18446744073709551615", "18446744073709551615"), ("[]", "[]"), ("{}", "{}"), ("[ ]", "[]"),
        ("{ }", "{}"),
        ("[1,[2,{}],\"x\"]", "[1 [2 {}] 'x']"), ("{\"b\":1,\"a\":{\"c\":null}}", "{b=1 a={c=null}}"),
        ("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "'\"\\/\u{8}\u{C}\n\r\t'"), ("\"\\u00e4\\ud83d\\uDE00\"", "'ä😀'"),
        ("\"ä😀\"", "'ä😀'"), ("\"\\u0000\"", "'\0'"),
    ])
    func `valid texts are read`(text: String, expected: String) throws {
        #expect(plain(try JSONValue(parsing: Array(text.utf8))) == expected)
    }

    @Test(arguments: [
        ("", "line 1, column 1: expected a value, found the end of the text"),
        ("  \n ", "line 2, column 2: expected a value, found the end of the text"),
        ("nul", "line 1, column 1: expected a value; texts need quotes"),
        ("[1,]", "line 1, column 4: expected a value, found ']'"),
        ("[1 2]", "line 1, column 4: expected ',' or ']', found '2'"),
        ("[1\n", "line 2, column 1: expected ',' or ']', found the end of the text"),
        ("{\"a\":1,}", "line 1, column 8: expected a key in quotes, found '}'"),
        ("{a:1}", "line 1, column 2: expected a key in quotes, found 'a'"),
        ("{\"a\" 1}", "line 1, column 6: expected ':' after the key, found '1'"),
        ("{\"a\":1 \"b\":2}", "line 1, column 8: expected ',' or '}', found '\"'"),
        ("{\"a\":1,\n \"b\":2, \"a\":3}", "line 2, column 9: the key 'a' appears twice in one object"),
        ("{\"a\":1,\"\\u0061\":3}", "line 1, column 8: the key 'a' appears twice in one object"),
        ("1 2", "line 1, column 3: there is more text after the end of the value"),
        ("// x\n1", "line 1, column 1: expected a value, found '/'"),
        ("01", "line 1, column 1: a number does not start with 0"),
        ("-", "line 1, column 2: expected a digit, found the end of the text"),
        ("+1", "line 1, column 1: expected a value, found '+'"),
        ("1.", "line 1, column 3: expected a digit, found the end of the text"),
        ("1e+", "line 1, column 4: expected a digit, found the end of the text"),
        ("NaN", "line 1, column 1: expected a value, found 'N'"),
        ("\"ab", "line 1, column 1: the text that starts here has no end"),
        ("\"ab\\", "line 1, column 5: the text has no end"),
        ("\"ä\n\"", "line 1, column 3: a control character in a text; write it as an escape"),
        ("\"\\x\"", "line 1, column 2: unknown escape; known are \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u"),
        ("\"\\u12g4\"", "line 1, column 2: \\u needs four hexadecimal digits"),
        ("\"x\\ud83d\"", "line 1, column 3: half of a surrogate pair"),
        ("\"\\ud83d\\u0041\"", "line 1, column 2: half of a surrogate pair"),
        ("\"\\ude00\\ud83d\"", "line 1, column 2: half of a surrogate pair"),
        ("\u{FEFF}{}", "line 1, column 1: expected a value, found an unexpected byte 0xef"),
        (
            "{\"\\u001b[2J\":1,\"\\u001b[2J\":1}",
            "line 1, column 16: the key '\\x1b[2J' appears twice in one object"
        ),
    ])
    func `invalid texts are refused with their place`(text: String, message: String) {
        let error = #expect(throws: JSONError.self) { try JSONValue(parsing: Array(text.utf8)) }
        #expect(error?.description == message)
    }

    @Test func `a text that is not UTF-8 is refused`() {
        let bytes: [UInt8] = Array("[\"".utf8) + [0xC3, 0x28] + Array("\"]".utf8)
        let error = #expect(throws: JSONError.self) { try JSONValue(parsing: bytes) }
        #expect(error?.description == "line 1, column 2: the text is not UTF-8")
    }

    @Test func `nesting is limited and a deep text cannot exhaust the stack`() throws {
        let fits = String(repeating: "[", count: 32) + String(repeating: "]", count: 32)
        _ = try JSONValue(parsing: Array(fits.utf8))
        let deep = String(repeating: "[{\"a\":", count: 500_000)
        let error = #expect(throws: JSONError.self) { try JSONValue(parsing: Array(deep.utf8)) }
        #expect(error?.reason == "more than 32 levels of nesting")
    }

    @Test(arguments: [
        ("7", 7), ("0", 0), ("18446744073709551615", UInt64.max), ("18446744073709551616", nil), ("-1", nil),
        ("1.0", nil), ("1e3", nil), ("-0", nil),
    ])
    func `a number is an unsigned integer only if it is written as one`(text: String, value: UInt64?) {
        #expect(JSONNumber(text: text).unsigned == value)
    }

    @Test func `values and keys know their offsets`() throws {
        let root = try JSONValue(parsing: Array("{\n \"ä\": [10]}".utf8))
        guard case .object(let members) = root.content, case .array(let list) = members[0].value.content
        else {
            Issue.record("not the expected shape")
            return
        }
        let bytes = Array("{\n \"ä\": [10]}".utf8)
        #expect(TextPosition(of: members[0].offset, in: bytes) == TextPosition(line: 2, column: 2))
        // The letter has two bytes and is one column.
        #expect(TextPosition(of: list[0].offset, in: bytes) == TextPosition(line: 2, column: 8))
    }
}
