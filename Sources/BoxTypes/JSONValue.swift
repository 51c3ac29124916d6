/// A line and a column in a text, both from 1; columns count characters as editors do (Unicode scalars).
package struct TextPosition: Hashable, Sendable, CustomStringConvertible {
    package let line: Int
    package let column: Int

    package init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }

    /// The position of a byte offset in UTF-8 text.
    package init(of offset: Int, in bytes: [UInt8]) {
        let before = bytes.prefix(max(0, offset))
        let start = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        line = before.count { $0 == UInt8(ascii: "\n") } + 1
        // Continuation bytes of UTF-8 belong to the character before them.
        column = before[start...].count { $0 & 0xC0 != 0x80 } + 1
    }

    package var description: String { "line \(line), column \(column)" }
}

/// A text that is not JSON: where and why.
package struct JSONError: Error, Hashable, Sendable, CustomStringConvertible {
    package let position: TextPosition
    package let reason: String

    package init(position: TextPosition, reason: String) {
        self.position = position
        self.reason = reason
    }

    package var description: String { "\(position): \(reason)" }
}

/// A parsed JSON value that knows where it stood in the text.
///
/// The reader is strict (RFC 8259): no comments, no trailing commas, no duplicate keys, no lone surrogates,
/// no text after the value. It is bounded in depth and uses no Foundation, because it reads files that a user
/// got from somewhere.
package struct JSONValue: Hashable, Sendable {
    /// What the value is.
    package indirect enum Content: Hashable, Sendable {
        case null
        case bool(Bool)
        case number(JSONNumber)
        case string(String)
        case array([JSONValue])
        case object([JSONMember])
    }

    /// The byte offset of the value's first byte.
    package let offset: Int
    package let content: Content

    package init(offset: Int, content: Content) {
        self.offset = offset
        self.content = content
    }

    /// Parses a whole text.
    package init(parsing bytes: [UInt8], depthLimit: Int = 32) throws(JSONError) {
        var parser = JSONParser(bytes, depthLimit: depthLimit)
        self = try parser.document()
    }

    /// The kind of value in words, for messages: `a number`, `null` …
    package var kind: String {
        switch content {
        case .null: "null"
        case .bool: "a truth value"
        case .number: "a number"
        case .string: "a text"
        case .array: "a list"
        case .object: "an object"
        }
    }
}

/// A number as it was written; nothing is rounded.
package struct JSONNumber: Hashable, Sendable {
    package let text: String

    package init(text: String) { self.text = text }

    /// The value as an unsigned integer; nil if it has a sign, a fraction or an exponent, or does not fit.
    package var unsigned: UInt64? { text.utf8.first == UInt8(ascii: "-") ? nil : UInt64(text) }
}

/// One key of an object with its value.
package struct JSONMember: Hashable, Sendable {
    package let key: String
    /// The byte offset of the key's opening quote.
    package let offset: Int
    package let value: JSONValue

    package init(key: String, offset: Int, value: JSONValue) {
        self.key = key
        self.offset = offset
        self.value = value
    }
}
