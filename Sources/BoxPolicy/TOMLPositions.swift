/// Where each key and each array element of a TOML text stands, by its path from the root; an element's path
/// component is its index.
///
/// The TOML library tells the position of a syntax error but not of a key, so this walks the text a second time.
/// It also bounds the nesting and refuses NUL characters written as escapes, before the library (C++, recursive,
/// C strings) sees the text. It knows only as much of TOML as finding keys needs; `TOMLDocument` compares its
/// paths with the library's and refuses a text that the two read differently.
struct TOMLPositions {
    /// Why the walk stopped, at a byte offset.
    struct Stop: Error {
        let offset: Int
        let message: String
    }

    /// The deepest path that is accepted; the schema needs four.
    static let deepest = 16

    private(set) var offsets: [[String]: Int] = [:]
    /// The bytes of each value; tables that are not written inline have none.
    private(set) var values: [[String]: Range<Int>] = [:]
    /// The bytes of each header, with its brackets, and the table that it opens.
    private(set) var headers: [(path: [String], range: Range<Int>)] = []
    private let text: [UInt8]
    private var at = 0
    /// The number of elements so far of each `[[array of tables]]`.
    private var tableArrays: [[String]: Int] = [:]

    /// Walks valid UTF-8; throws where it cannot go on.
    init(_ text: [UInt8]) throws(Stop) {
        self.text = text
        var section: [String] = []
        while true {
            skipBlank(newlines: true)
            guard let byte = peek() else { break }
            if byte == UInt8(ascii: "[") {
                section = try header()
            } else {
                try keyAndValue(in: section)
            }
            try endOfLine()
        }
    }
}

// MARK: - Keys

extension TOMLPositions {
    private mutating func header() throws(Stop) -> [String] {
        let start = at
        at += 1
        let isElement = take(UInt8(ascii: "["))
        var path: [String] = []
        let parts = try dottedKey()
        for (index, part) in parts.enumerated() {
            path.append(part.name)
            note(path, part.offset)
            let isLast = index == parts.count - 1
            if isLast, isElement {
                tableArrays[path, default: 0] += 1
            }
            if let count = tableArrays[path], !isLast || isElement {
                path.append(String(count - 1))
                note(path, start)
            }
        }
        try bounded(path)
        guard take(UInt8(ascii: "]")), !isElement || take(UInt8(ascii: "]")) else {
            throw stop("expected ] at the end of the table's name")
        }
        headers.append((path, start..<at))
        return path
    }

    private mutating func keyAndValue(in section: [String]) throws(Stop) {
        var path = section
        for part in try dottedKey() {
            path.append(part.name)
            note(path, part.offset)
        }
        try bounded(path)
        guard take(UInt8(ascii: "=")) else { throw stop("expected = after the key") }
        skipBlank(newlines: false)
        try value(path)
    }

    private mutating func dottedKey() throws(Stop) -> [(name: String, offset: Int)] {
        var parts: [(name: String, offset: Int)] = []
        repeat {
            skipBlank(newlines: false)
            let offset = at
            parts.append((try keyPart(), offset))
            guard parts.count <= TOMLPositions.deepest else { throw stop("the key is nested too deeply") }
            skipBlank(newlines: false)
        } while take(UInt8(ascii: "."))
        return parts
    }

    private mutating func keyPart() throws(Stop) -> String {
        switch peek() {
        case UInt8(ascii: "\""): return try basicString()
        case UInt8(ascii: "'"): return try literalString()
        default:
            let start = at
            while let byte = peek(), isBare(byte) { at += 1 }
            guard at > start else { throw stop("expected a key") }
            return String(decoding: text[start..<at], as: UTF8.self)
        }
    }

    private func isBare(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"): true
        default: false
        }
    }

    /// The first mention of a path is its place.
    private mutating func note(_ path: [String], _ offset: Int) {
        if offsets[path] == nil { offsets[path] = offset }
    }

    private func bounded(_ path: [String]) throws(Stop) {
        guard path.count <= TOMLPositions.deepest else { throw stop("the value is nested too deeply") }
    }
}

// MARK: - Values

extension TOMLPositions {
    private mutating func value(_ path: [String]) throws(Stop) {
        let start = at
        try anyValue(path)
        values[path] = start..<at
    }

    private mutating func anyValue(_ path: [String]) throws(Stop) {
        switch peek() {
        case UInt8(ascii: "\""):
            if startsWith("\"\"\"") { try multilineString(UInt8(ascii: "\"")) } else { _ = try basicString() }
        case UInt8(ascii: "'"):
            if startsWith("'''") { try multilineString(UInt8(ascii: "'")) } else { _ = try literalString() }
        case UInt8(ascii: "["): try array(path)
        case UInt8(ascii: "{"): try inlineTable(path)
        default: try scalar()
        }
    }

    private mutating func array(_ path: [String]) throws(Stop) {
        let start = at
        at += 1
        var index = 0
        while true {
            skipBlank(newlines: true)
            if take(UInt8(ascii: "]")) { return }
            guard peek() != nil else { throw Stop(offset: start, message: "the array does not end") }
            let element = path + [String(index)]
            try bounded(element)
            note(element, at)
            try value(element)
            index += 1
            skipBlank(newlines: true)
            if take(UInt8(ascii: ",")) { continue }
            guard peek() == UInt8(ascii: "]") else { throw stop("expected , or ] in the array") }
        }
    }

    private mutating func inlineTable(_ path: [String]) throws(Stop) {
        at += 1
        skipBlank(newlines: false)
        if take(UInt8(ascii: "}")) { return }
        repeat {
            try keyAndValue(in: path)
            skipBlank(newlines: false)
        } while take(UInt8(ascii: ","))
        guard take(UInt8(ascii: "}")) else { throw stop("expected , or } in the table") }
    }

    /// A number, truth value or date: up to what ends a value. The library checks the spelling.
    private mutating func scalar() throws(Stop) {
        let start = at
        while let byte = peek(), !",]}#\r\n".utf8.contains(byte) { at += 1 }
        guard at > start else { throw stop("expected a value") }
    }

    private mutating func literalString() throws(Stop) -> String {
        let start = at
        at += 1
        while let byte = peek(), byte != UInt8(ascii: "\n") {
            at += 1
            if byte == UInt8(ascii: "'") { return String(decoding: text[start + 1..<at - 1], as: UTF8.self) }
        }
        throw Stop(offset: start, message: "the string does not end on its line")
    }

    private mutating func basicString() throws(Stop) -> String {
        let start = at
        at += 1
        var content: [UInt8] = []
        while let byte = peek(), byte != UInt8(ascii: "\n") {
            at += 1
            switch byte {
            case UInt8(ascii: "\""): return String(decoding: content, as: UTF8.self)
            case UInt8(ascii: "\\"): content += try escape()
            default: content.append(byte)
            }
        }
        throw Stop(offset: start, message: "the string does not end on its line")
    }

    /// A string in three quotes; the run of quotes that ends it may begin with one or two that belong to it.
    private mutating func multilineString(_ quote: UInt8) throws(Stop) {
        let start = at
        at += 3
        while let byte = peek() {
            at += 1
            if byte == UInt8(ascii: "\\"), quote == UInt8(ascii: "\"") {
                _ = try escape()
            } else if byte == quote, peek() == quote, peek(1) == quote {
                at += 2
                if take(quote) { _ = take(quote) }
                return
            }
        }
        throw Stop(offset: start, message: "the string does not end")
    }

    /// What follows a backslash, as UTF-8. A wrong escape is the library's to report, but NUL is refused here:
    /// C strings would end there, and a name that reads otherwise than it looks could hide a rule.
    private mutating func escape() throws(Stop) -> [UInt8] {
        guard let letter = peek() else { throw stop("the string does not end") }
        at += 1
        switch letter {
        case UInt8(ascii: "b"): return [0x08]
        case UInt8(ascii: "t"): return [0x09]
        case UInt8(ascii: "n"): return [0x0A]
        case UInt8(ascii: "f"): return [0x0C]
        case UInt8(ascii: "r"): return [0x0D]
        case UInt8(ascii: "x"): return try unicode(digits: 2)
        case UInt8(ascii: "u"): return try unicode(digits: 4)
        case UInt8(ascii: "U"): return try unicode(digits: 8)
        default: return [letter]
        }
    }

    private mutating func unicode(digits: Int) throws(Stop) -> [UInt8] {
        let end = min(at + digits, text.count)
        let code = UInt32(String(decoding: text[at..<end], as: UTF8.self), radix: 16)
        guard end - at == digits, let scalar = code.flatMap(Unicode.Scalar.init) else {
            throw stop("not a Unicode character")
        }
        guard scalar.value != 0 else { throw stop("the NUL character is not allowed") }
        at = end
        return Array(String(scalar).utf8)
    }
}

// MARK: - Bytes

extension TOMLPositions {
    private func peek(_ ahead: Int = 0) -> UInt8? { at + ahead < text.count ? text[at + ahead] : nil }

    private func startsWith(_ prefix: StaticString) -> Bool {
        text[at...].starts(with: prefix.description.utf8)
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard peek() == byte else { return false }
        at += 1
        return true
    }

    private func stop(_ message: String) -> Stop { Stop(offset: at, message: message) }

    /// Skips spaces and tabs, and with `newlines` also line ends and comments.
    private mutating func skipBlank(newlines: Bool) {
        while let byte = peek() {
            switch byte {
            case UInt8(ascii: " "), UInt8(ascii: "\t"): at += 1
            case UInt8(ascii: "\n") where newlines, UInt8(ascii: "\r") where newlines: at += 1
            case UInt8(ascii: "#") where newlines: skipComment()
            default: return
            }
        }
    }

    private mutating func skipComment() {
        while let byte = peek(), byte != UInt8(ascii: "\n") { _ = byte; at += 1 }
    }

    private mutating func endOfLine() throws(Stop) {
        skipBlank(newlines: false)
        if peek() == UInt8(ascii: "#") { skipComment() }
        _ = take(UInt8(ascii: "\r"))
        guard peek() == nil || take(UInt8(ascii: "\n")) else { throw stop("expected the end of the line") }
    }
}
