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
    package var line: String {
        var out = ""
        append(to: &out, depth: nil)
        return out
    }

    /// The value on several lines, indented by two spaces, for people.
    package var pretty: String {
        var out = ""
        append(to: &out, depth: 0)
        return out
    }

    private func append(to out: inout String, depth: Int?) {
        switch self {
        case .null: out += "null"
        case .bool(let value): out += value ? "true" : "false"
        case .number(let value): out += String(value)
        case .text(let value): JSONOutput.appendQuoted(value, to: &out)
        case .list(let all):
            JSONOutput.appendGroup("[", "]", all, to: &out, depth: depth) { $0.append(to: &$1, depth: $2) }
        case .object(let fields):
            JSONOutput.appendGroup("{", "}", fields, to: &out, depth: depth) { field, out, depth in
                JSONOutput.appendQuoted(field.0, to: &out)
                out += depth == nil ? ":" : ": "
                field.1.append(to: &out, depth: depth)
            }
        }
    }

    private static func appendGroup<Element>(
        _ open: String, _ close: String, _ all: [Element], to out: inout String, depth: Int?,
        each: (Element, inout String, Int?) -> Void
    ) {
        out += open
        let inner = depth.map { $0 + 1 }
        for (index, element) in all.enumerated() {
            if index > 0 { out += "," }
            if let inner { out += "\n" + String(repeating: "  ", count: inner) }
            each(element, &out, inner)
        }
        if let depth, !all.isEmpty { out += "\n" + String(repeating: "  ", count: depth) }
        out += close
    }

    private static func appendQuoted(_ text: String, to out: inout String) {
        out += "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\r": out += "\\r"
            case "\t": out += "\\t"
            default:
                // Also DEL, C1 and the two separators, since logs are read on terminals and by JavaScript.
                if scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value)
                    || scalar.value == 0x2028 || scalar.value == 0x2029
                {
                    let hex = String(scalar.value, radix: 16)
                    out += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
                } else {
                    out.unicodeScalars.append(scalar)
                }
            }
        }
        out += "\""
    }
}
