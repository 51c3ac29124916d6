/// A recursive descent reader over the bytes of one JSON text.
struct JSONParser {
    private let bytes: [UInt8]
    private let depthLimit: Int
    private var at = 0
    private var depth = 0

    init(_ bytes: [UInt8], depthLimit: Int) {
        self.bytes = bytes
        self.depthLimit = depthLimit
    }

    /// Reads one value with nothing but white space around it.
    mutating func document() throws(JSONError) -> JSONValue {
        let value = try self.value()
        skipSpace()
        guard at == bytes.count else { throw error("there is more text after the end of the value") }
        return value
    }

    private func error(_ reason: String, at offset: Int? = nil) -> JSONError {
        JSONError(position: TextPosition(of: offset ?? at, in: bytes), reason: reason)
    }

    private var next: UInt8? { at < bytes.count ? bytes[at] : nil }

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D { at += 1 }
    }

    /// Takes a byte if it comes next.
    private mutating func take(_ byte: Unicode.Scalar) -> Bool {
        guard next == UInt8(ascii: byte) else { return false }
        at += 1
        return true
    }

    /// The byte at the present position, for messages; bytes outside ASCII are not shown.
    private var found: String {
        guard let byte = next else { return "the end of the text" }
        guard (0x21..<0x7F).contains(byte) else { return "an unexpected byte 0x\(String(byte, radix: 16))" }
        return "'\(Character(Unicode.Scalar(byte)))'"
    }

    private mutating func value() throws(JSONError) -> JSONValue {
        skipSpace()
        let start = at
        let content: JSONValue.Content =
            switch next {
            case UInt8(ascii: "{"): .object(try nested { (parser) throws(JSONError) in try parser.members() })
            case UInt8(ascii: "["): .array(try nested { (parser) throws(JSONError) in try parser.elements() })
            case UInt8(ascii: "\""): .string(try string())
            case UInt8(ascii: "t"): try word("true", .bool(true))
            case UInt8(ascii: "f"): try word("false", .bool(false))
            case UInt8(ascii: "n"): try word("null", .null)
            case let byte? where byte == UInt8(ascii: "-") || JSONParser.isDigit(byte): .number(try number())
            default: throw error("expected a value, found \(found)")
            }
        return JSONValue(offset: start, content: content)
    }

    /// Reads a list or an object one level deeper. The opening bracket is next.
    private mutating func nested<Result>(
        _ read: (inout JSONParser) throws(JSONError) -> Result
    ) throws(JSONError) -> Result {
        // Recursion uses the stack, which is finite.
        guard depth < depthLimit else { throw error("more than \(depthLimit) levels of nesting") }
        depth += 1
        at += 1
        let result = try read(&self)
        depth -= 1
        return result
    }

    private mutating func elements() throws(JSONError) -> [JSONValue] {
        skipSpace()
        if take("]") { return [] }
        var all: [JSONValue] = []
        while true {
            all.append(try value())
            skipSpace()
            if take("]") { return all }
            guard take(",") else { throw error("expected ',' or ']', found \(found)") }
        }
    }

    private mutating func members() throws(JSONError) -> [JSONMember] {
        skipSpace()
        if take("}") { return [] }
        var all: [JSONMember] = []
        var keys: Set<String> = []
        while true {
            skipSpace()
            let start = at
            guard next == UInt8(ascii: "\"") else { throw error("expected a key in quotes, found \(found)") }
            let key = try string()
            // Readers differ in which of two equal keys counts, so there is no safe choice.
            guard keys.insert(key).inserted else {
                throw error("the key '\(key.escapedForTerminal)' appears twice in one object", at: start)
            }
            skipSpace()
            guard take(":") else { throw error("expected ':' after the key, found \(found)") }
            all.append(JSONMember(key: key, offset: start, value: try value()))
            skipSpace()
            if take("}") { return all }
            guard take(",") else { throw error("expected ',' or '}', found \(found)") }
        }
    }

    private mutating func word(
        _ text: StaticString, _ content: JSONValue.Content
    ) throws(JSONError) -> JSONValue.Content {
        let start = at
        for byte in text.description.utf8 {
            guard next == byte else { throw error("expected a value; texts need quotes", at: start) }
            at += 1
        }
        return content
    }

    // MARK: Numbers

    private static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }

    private mutating func digits() throws(JSONError) {
        let start = at
        while let byte = next, JSONParser.isDigit(byte) { at += 1 }
        guard at > start else { throw error("expected a digit, found \(found)") }
    }

    private mutating func number() throws(JSONError) -> JSONNumber {
        let start = at
        _ = take("-")
        if take("0") {
            if let byte = next, JSONParser.isDigit(byte) {
                throw error("a number does not start with 0", at: start)
            }
        } else {
            try digits()
        }
        if take(".") { try digits() }
        if take("e") || take("E") {
            if !take("-") { _ = take("+") }
            try digits()
        }
        return JSONNumber(text: String(decoding: bytes[start..<at], as: UTF8.self))
    }

    // MARK: Texts

    /// Reads a quoted text; the opening quote is next.
    private mutating func string() throws(JSONError) -> String {
        let start = at
        at += 1
        var text: [UInt8] = []
        while true {
            guard let byte = next else { throw error("the text that starts here has no end", at: start) }
            switch byte {
            case UInt8(ascii: "\""):
                at += 1
                guard let whole = String(validating: text, as: UTF8.self) else {
                    throw error("the text is not UTF-8", at: start)
                }
                return whole
            case UInt8(ascii: "\\"):
                at += 1
                text += String(Character(try escape())).utf8
            case 0..<0x20: throw error("a control character in a text; write it as an escape")
            default:
                text.append(byte)
                at += 1
            }
        }
    }

    /// Reads what follows a backslash.
    private mutating func escape() throws(JSONError) -> Unicode.Scalar {
        let start = at - 1
        guard let letter = next else { throw error("the text has no end") }
        at += 1
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(letter)
        case UInt8(ascii: "b"): return "\u{08}"
        case UInt8(ascii: "f"): return "\u{0C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): return try escapedScalar(from: start)
        default: throw error("unknown escape; known are \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u", at: start)
        }
    }

    /// Reads the digits of `\uXXXX`, and the second half of a surrogate pair.
    private mutating func escapedScalar(from start: Int) throws(JSONError) -> Unicode.Scalar {
        let first = try hexadecimal(from: start)
        if let scalar = Unicode.Scalar(first) { return scalar }
        let pair = first < 0xDC00 && take("\\") && take("u")
        let second = pair ? try hexadecimal(from: start) : 0
        let value = 0x10000 + ((first & 0x3FF) << 10) + (second & 0x3FF)
        guard (0xDC00..<0xE000).contains(second), let scalar = Unicode.Scalar(value) else {
            throw error("half of a surrogate pair", at: start)
        }
        return scalar
    }

    private mutating func hexadecimal(from start: Int) throws(JSONError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw error("\\u needs four hexadecimal digits", at: start)
            }
            value = value << 4 | UInt32(digit)
            at += 1
        }
        return value
    }
}
