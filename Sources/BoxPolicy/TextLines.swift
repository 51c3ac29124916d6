/// The lines of a text by byte offsets, with the line endings that are in use.
struct TextLines {
    let bytes: [UInt8]

    /// The offset of the first byte of the line that holds an offset.
    func start(of offset: Int) -> Int {
        var at = offset
        while at > 0, bytes[at - 1] != UInt8(ascii: "\n") { at -= 1 }
        return at
    }

    /// The offset behind the last byte of a line, before its line ending.
    func end(of offset: Int) -> Int {
        var at = next(after: offset)
        let start = start(of: offset)
        if at > start, bytes[at - 1] == UInt8(ascii: "\n") { at -= 1 } else { return at }
        return at > start && bytes[at - 1] == UInt8(ascii: "\r") ? at - 1 : at
    }

    /// The offset of the line that follows the one that holds an offset.
    func next(after offset: Int) -> Int {
        bytes[offset...].firstIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? bytes.count
    }

    /// The ending of the line that holds an offset; of the last line, if it has none, that of the first line.
    func ending(at offset: Int) -> [UInt8] {
        let newline =
            bytes[offset...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.firstIndex(of: UInt8(ascii: "\n"))
        guard let newline, newline > 0, bytes[newline - 1] == UInt8(ascii: "\r") else {
            return Array("\n".utf8)
        }
        return Array("\r\n".utf8)
    }

    /// The spaces and tabs with which the line of an offset begins.
    func indentation(at offset: Int) -> ArraySlice<UInt8> {
        bytes[start(of: offset)...].prefix(while: TextLines.isBlank)
    }

    /// The indentation one level deeper: by a tab where tabs are in use.
    func deeper(than indentation: ArraySlice<UInt8>) -> [UInt8] {
        Array(indentation) + (indentation.contains(UInt8(ascii: "\t")) ? "\t" : "    ").utf8
    }

    /// The offset of the first byte from an offset on that is neither a space nor a tab.
    func skippingBlanks(from offset: Int) -> Int {
        bytes[offset...].firstIndex { !TextLines.isBlank($0) } ?? bytes.count
    }

    /// The offset behind the last byte before an offset that is neither a space nor a tab.
    func skippingBlanks(before offset: Int) -> Int {
        var at = offset
        while at > 0, TextLines.isBlank(bytes[at - 1]) { at -= 1 }
        return at
    }

    /// Whether nothing but spaces and tabs stands there.
    func isBlank(_ range: Range<Int>) -> Bool { bytes[range].allSatisfy(TextLines.isBlank) }

    static func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }

    /// The text with parts replaced; the parts are in order and do not overlap.
    func replacing(_ parts: [(range: Range<Int>, with: [UInt8])]) -> [UInt8] {
        var result: [UInt8] = []
        var at = 0
        for part in parts {
            result += bytes[at..<part.range.lowerBound] + part.with
            at = part.range.upperBound
        }
        return result + bytes[at...]
    }

    /// The text with something put in at an offset.
    func inserting(_ new: [UInt8], at offset: Int) -> [UInt8] { replacing([(offset..<offset, new)]) }
}
