/// A value to be printed as JSON: objects keep their order, so that output is stable and readable.
package indirect enum JSONOutput: Equatable, Sendable {
    case null
    case bool(Bool)
    case number(Int)
    case text(String)
    case list([JSONOutput])
    case object([(String, JSONOutput)])

    package static func == (left: JSONOutput, right: JSONOutput) -> Bool { left.line == right.line }

    /// A list of texts.
    package static func texts(_ all: some Sequence<String>) -> JSONOutput { .list(all.map { .text($0) }) }

    /// A text or null.
    package static func optional(_ text: String?) -> JSONOutput { text.map { .text($0) } ?? .null }

    /// The value on one line, without spaces; control characters are escaped, so it never contains a newline.
    package var line: String { String(decoding: lineBytes, as: UTF8.self) }

    /// The same in UTF-8.
    package var lineBytes: [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(256)
        append(to: &out, depth: nil)
        return out
    }

    /// The value on several lines, indented by two spaces, for people.
    package var pretty: String {
        var out: [UInt8] = []
        append(to: &out, depth: 0)
        return String(decoding: out, as: UTF8.self)
    }

    private func append(to out: inout [UInt8], depth: Int?) {
        switch self {
        case .null: out += "null".utf8
        case .bool(let value): out += (value ? "true" : "false").utf8
        case .number(let value): out += String(value).utf8
        case .text(let value): JSONOutput.appendQuoted(value, to: &out)
        case .list(let all):
            JSONOutput.appendGroup("[", "]", all, to: &out, depth: depth) { $0.append(to: &$1, depth: $2) }
        case .object(let fields):
            JSONOutput.appendGroup("{", "}", fields, to: &out, depth: depth) { field, out, depth in
                JSONOutput.appendQuoted(field.0, to: &out)
                out += (depth == nil ? ":" : ": ").utf8
                field.1.append(to: &out, depth: depth)
            }
        }
    }

    private static func appendGroup<Element>(
        _ open: String, _ close: String, _ all: [Element], to out: inout [UInt8], depth: Int?,
        each: (Element, inout [UInt8], Int?) -> Void
    ) {
        out += open.utf8
        let inner = depth.map { $0 + 1 }
        for (index, element) in all.enumerated() {
            if index > 0 { out.append(UInt8(ascii: ",")) }
            if let inner { appendBreak(inner, to: &out) }
            each(element, &out, inner)
        }
        if let depth, !all.isEmpty { appendBreak(depth, to: &out) }
        out += close.utf8
    }

    private static func appendBreak(_ depth: Int, to out: inout [UInt8]) {
        out.append(UInt8(ascii: "\n"))
        out += repeatElement(UInt8(ascii: " "), count: 2 * depth)
    }

    private static func appendQuoted(_ text: String, to out: inout [UInt8]) {
        out.append(UInt8(ascii: "\""))
        var text = text
        text.withUTF8 { bytes in
            // Nearly every text is plain: what is escaped stands between runs of it.
            var start = 0
            var at = 0
            while at < bytes.count {
                guard let (escape, length) = unsafe escape(bytes, at) else {
                    at += 1
                    continue
                }
                unsafe out += bytes[start..<at]
                out += escape.utf8
                at += length
                start = at
            }
            unsafe out += bytes[start...]
        }
        out.append(UInt8(ascii: "\""))
    }

    /// What stands for the character that begins here, and how many bytes it has; nil for one that stands for itself.
    private static func escape(_ bytes: UnsafeBufferPointer<UInt8>, _ at: Int) -> (String, Int)? {
        let byte = unsafe bytes[at]
        switch byte {
        case UInt8(ascii: "\""): return ("\\\"", 1)
        case UInt8(ascii: "\\"): return ("\\\\", 1)
        case UInt8(ascii: "\n"): return ("\\n", 1)
        case UInt8(ascii: "\r"): return ("\\r", 1)
        case UInt8(ascii: "\t"): return ("\\t", 1)
        case 0..<0x20, 0x7F: return (unicode(UInt16(byte)), 1)
        // Also C1 and the two separators, since logs are read on terminals and by JavaScript.
        case 0xC2:
            let next = unsafe bytes[at + 1]
            return next < 0xA0 ? (unicode(UInt16(next)), 2) : nil
        case 0xE2:
            let (next, last) = unsafe (bytes[at + 1], bytes[at + 2])
            return next == 0x80 && (last == 0xA8 || last == 0xA9)
                ? (unicode(0x2000 | UInt16(last) & 0x3F), 3) : nil
        default: return nil
        }
    }

    private static func unicode(_ value: UInt16) -> String {
        let hex = String(value, radix: 16)
        return "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
    }
}
