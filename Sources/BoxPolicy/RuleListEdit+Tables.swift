// Making a list that is not there yet, where the file already speaks of the network, or at its end.

extension RuleListEdit {
    func makingList(of rule: String) -> [UInt8] {
        let statement = Array("\(list.rawValue) = [\"\(rule)\"]".utf8)
        if let table = places.values[["network"]] { return adding(statement, toInlineTable: table) }
        let sibling = list.sibling.path
        if let key = places.offsets[sibling], let array = places.values[sibling] {
            // The same way to write the key: `network.deny` beside `network.allow`.
            return addingLine(text[lines.start(of: key)..<key] + statement, below: array.upperBound)
        }
        if let header = places.headers.first(where: { $0.path == ["network"] }) {
            return addingLine(indentation(below: header.range) + statement, below: header.range.upperBound)
        }
        if let last = lastDottedKey {
            let key = lines.indentation(at: last.lowerBound) + Array("network.".utf8)
            return addingLine(key + statement, below: last.upperBound)
        }
        return addingTable(statement)
    }

    private func adding(_ statement: [UInt8], toInlineTable table: Range<Int>) -> [UInt8] {
        let inside = table.lowerBound + 1..<table.upperBound - 1
        if lines.isBlank(inside) {
            return lines.replacing([(inside, Array(" ".utf8) + statement + Array(" ".utf8))])
        }
        let end = lines.skippingBlanks(before: inside.upperBound)
        return lines.inserting(Array(", ".utf8) + statement, at: end)
    }

    private func addingLine(_ line: [UInt8], below offset: Int) -> [UInt8] {
        lines.inserting(lines.ending(at: offset) + line, at: lines.end(of: offset))
    }

    /// The indentation of the first key below a header, or of the header.
    private func indentation(below header: Range<Int>) -> ArraySlice<UInt8> {
        let next =
            places.headers.map(\.range.lowerBound).filter { $0 > header.lowerBound }.min() ?? text.count
        let keys = places.offsets.filter { $0.key.count == 2 && $0.key[0] == "network" }.values
        let first = keys.filter { (header.upperBound..<next).contains($0) }.min()
        return lines.indentation(at: first ?? header.lowerBound)
    }

    /// The value of the last key like `network.mode` before all headers.
    private var lastDottedKey: Range<Int>? {
        let end = places.headers.map(\.range.lowerBound).min() ?? text.count
        return places.values.filter {
            $0.key.count > 1 && $0.key[0] == "network" && $0.value.lowerBound < end
        }
        .values.max { $0.upperBound < $1.upperBound }
    }

    /// A table at the end of the file, behind an empty line.
    private func addingTable(_ statement: [UInt8]) -> [UInt8] {
        let ending = lines.ending(at: 0)
        var table = Array("[network]".utf8) + ending + statement + ending
        if let last = text.last {
            if last != UInt8(ascii: "\n") { table = ending + table }
            if !lines.isBlank(lines.start(of: text.count - 1)..<lines.end(of: text.count - 1)) {
                table = ending + table
            }
        }
        return text + table
    }
}
