import BoxTypes
import TOMLKit

/// A TOML value, out of the library's hands.
enum TOMLNode: Equatable {
    case string(String)
    case integer(Int)
    case double(Double)
    case boolean(Bool)
    case date
    case array([TOMLNode])
    case table([String: TOMLNode])

    /// The kind for messages, with its article.
    var kind: String {
        switch self {
        case .string: "a string"
        case .integer: "an integer"
        case .double: "a decimal number"
        case .boolean: "true or false"
        case .date: "a date or time"
        case .array: "an array"
        case .table: "a table"
        }
    }
}

/// A TOML file that was read whole: its values and where they stand.
struct TOMLDocument {
    let root: [String: TOMLNode]
    /// By path; array elements by index.
    let positions: [[String]: SourcePosition]

    /// The largest policy file, in bytes.
    static let largest = 1 << 20

    /// Reads TOML 1.0 strictly: UTF-8 without byte order mark or NUL, at most 1 MiB, no duplicate key.
    init(_ bytes: [UInt8], file: String) throws(PolicyError) {
        func error(_ problem: PolicyError.Problem, _ position: SourcePosition? = nil) -> PolicyError {
            PolicyError(file: file, position: position, problem: problem)
        }
        guard bytes.count <= TOMLDocument.largest else { throw error(.tooLarge(bytes: bytes.count)) }
        guard !bytes.starts(with: [0xEF, 0xBB, 0xBF]) else {
            throw error(.byteOrderMark, SourcePosition(line: 1, column: 1))
        }
        if let offset = bytes.firstIndex(of: 0) {
            throw error(.nul, SourcePosition(of: offset, in: bytes))
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw error(.notUTF8, SourcePosition(of: firstInvalidByte(bytes), in: bytes))
        }
        let places: TOMLPositions
        do throws(TOMLPositions.Stop) { places = try TOMLPositions(bytes) } catch {
            throw PolicyError(
                file: file, position: SourcePosition(of: error.offset, in: bytes),
                problem: .syntax(error.message))
        }
        root = try TOMLDocument.parse(text, file: file)
        // Two readers of one text must see the same keys; a text on which they differ could hide a rule.
        var paths: Set<[String]> = []
        collectPaths(of: .table(root), at: [], into: &paths)
        let differing = paths.symmetricDifference(places.offsets.keys)
        if let path = differing.min(by: { ($0.count, $0.joined()) < ($1.count, $1.joined()) }) {
            throw error(
                .syntax("cannot place \(path.joined(separator: ".")); write it more simply"),
                places.offsets[path].map { SourcePosition(of: $0, in: bytes) })
        }
        positions = SourcePosition.all(of: places.offsets, in: bytes)
    }

    private static func parse(_ text: String, file: String) throws(PolicyError) -> [String: TOMLNode] {
        do {
            return try contents(of: TOMLTable(string: text))
        } catch let error as TOMLParseError {
            let begin = error.source.begin
            throw PolicyError(
                file: file, position: SourcePosition(line: begin.line, column: begin.column),
                problem: .syntax(readable(error.description)))
        } catch {
            throw PolicyError(file: file, position: nil, problem: .syntax("\(error)"))
        }
    }

    /// The library's message begins with `Error while parsing`, and box's own ones do not.
    private static func readable(_ message: String) -> String {
        let lead = "Error while parsing "
        return message.hasPrefix(lead)
            ? "bad TOML in \(message.dropFirst(lead.count))" : "bad TOML: \(message)"
    }

    private static func contents(of table: TOMLTable) -> [String: TOMLNode] {
        var all: [String: TOMLNode] = [:]
        for key in table.keys {
            if let value = table[key] { all[key] = node(value) }
        }
        return all
    }

    private static func node(_ value: any TOMLValueConvertible) -> TOMLNode {
        if let text = value.string { return .string(text) }
        if let number = value.int { return .integer(number) }
        if let number = value.double { return .double(number) }
        if let truth = value.bool { return .boolean(truth) }
        if let list = value.array { return .array(list.map(node)) }
        if let table = value.table { return .table(contents(of: table)) }
        return .date
    }
}

/// All paths below a node.
private func collectPaths(of node: TOMLNode, at path: [String], into all: inout Set<[String]>) {
    let children: [(String, TOMLNode)] =
        switch node {
        case .table(let table): table.map { ($0.key, $0.value) }
        case .array(let list): list.enumerated().map { (String($0.offset), $0.element) }
        case .string, .integer, .double, .boolean, .date: []
        }
    for (name, child) in children {
        all.insert(path + [name])
        collectPaths(of: child, at: path + [name], into: &all)
    }
}

/// The offset of the first byte that is not UTF-8.
private func firstInvalidByte(_ bytes: [UInt8]) -> Int {
    var decoder = UTF8()
    var iterator = bytes.makeIterator()
    var offset = 0
    while case .scalarValue(let scalar) = decoder.decode(&iterator) { offset += UTF8.width(scalar) }
    return offset
}

extension SourcePosition {
    /// The place of a byte offset in a text.
    init(of offset: Int, in text: [UInt8]) {
        self = SourcePosition.all(of: [0: offset], in: text)[0] ?? SourcePosition(line: 1, column: 1)
    }

    /// The places of many offsets, in one walk over the text.
    static func all<Key: Hashable>(of offsets: [Key: Int], in text: [UInt8]) -> [Key: SourcePosition] {
        var places: [Key: SourcePosition] = [:]
        var (at, line, column) = (0, 1, 1)
        for (key, offset) in offsets.sorted(by: { $0.value < $1.value }) {
            while at < min(offset, text.count) {
                if text[at] == UInt8(ascii: "\n") {
                    (line, column) = (line + 1, 1)
                } else if at + 1 >= text.count || text[at + 1] & 0xC0 != 0x80 {
                    // Continuation bytes of UTF-8 are not characters of their own.
                    column += 1
                }
                at += 1
            }
            places[key] = SourcePosition(line: line, column: column)
        }
        return places
    }
}
