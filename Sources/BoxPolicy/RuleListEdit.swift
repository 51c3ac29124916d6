/// One edit of a list of rules in a TOML text: the bytes that change, and no others.
///
/// It follows the layout that it finds. Whether the result says what it should is for `PolicyText` to check.
struct RuleListEdit {
    let text: [UInt8]
    let places: TOMLPositions
    let list: PolicyText.List

    var lines: TextLines { TextLines(bytes: text) }

    /// The text with a rule at the end of the list.
    func inserting(_ rule: String) -> [UInt8] {
        guard let array = places.values[list.path] else { return makingList(of: rule) }
        guard let last = elements.last else { return filling(array, with: rule) }
        let quote = text[last].starts(with: "'".utf8) && !text[last].starts(with: "'''".utf8) ? "'" : "\""
        return inserting(Array((quote + rule + quote).utf8), behind: last, in: array)
    }

    /// The text without an element of the list, and without the comment on its line if it stands alone there.
    func removing(at index: Int) -> [UInt8] {
        guard let array = places.values[list.path], elements.indices.contains(index) else { return text }
        return removing(elements[index], at: index, in: array)
    }

    /// The bytes of the list's elements, with their quotes.
    private var elements: [Range<Int>] {
        var elements: [Range<Int>] = []
        while let next = places.values[list.path + [String(elements.count)]] { elements.append(next) }
        return elements
    }

    /// The offset of the comma behind an element; nil if the array ends there.
    private func comma(after offset: Int) -> Int? {
        var at = offset
        while at < text.count {
            switch text[at] {
            case UInt8(ascii: ","): return at
            case UInt8(ascii: "]"): return nil
            case UInt8(ascii: "#"): at = lines.next(after: at)
            default: at += 1
            }
        }
        return nil
    }

    /// What stands before an element on its line, if that is only blanks, or blanks around a comma.
    private func lead(of element: Range<Int>) -> (bytes: ArraySlice<UInt8>, hasComma: Bool)? {
        let lead = text[lines.start(of: element.lowerBound)..<element.lowerBound]
        let rest = lead.filter { !TextLines.isBlank($0) }
        return rest.isEmpty || rest == [UInt8(ascii: ",")] ? (lead, !rest.isEmpty) : nil
    }
}

// MARK: - Inserting

extension RuleListEdit {
    /// Puts an element behind the last one: on a line of its own where elements have lines, else on its line.
    private func inserting(
        _ element: [UInt8], behind last: Range<Int>, in array: Range<Int>
    ) -> [UInt8] {
        let trailing = comma(after: last.upperBound)
        let anchor = trailing.map { $0 + 1 } ?? last.upperBound
        let closes = array.upperBound - 1 <= lines.end(of: anchor)
        let lead = lead(of: last)
        guard !closes || lead != nil else { return insertingInLine(element, behind: last, trailing) }
        // The line of the bracket may have no ending of its own, but the one before it has.
        let ending = lines.ending(at: closes ? last.lowerBound - 1 : anchor)
        let place = closes ? anchor : lines.end(of: anchor)
        if trailing == nil, let lead, lead.hasComma {
            return lines.inserting(ending + lead.bytes + element, at: place)
        }
        let comma = Array(",".utf8)
        let line = ending + indentation(of: last, in: array) + element + (trailing == nil ? [] : comma)
        let end = last.upperBound
        return lines.replacing(
            trailing == nil ? [(end..<end, comma), (place..<place, line)] : [(place..<place, line)])
    }

    private func insertingInLine(_ element: [UInt8], behind last: Range<Int>, _ trailing: Int?) -> [UInt8] {
        let comma = Array(",".utf8)
        var gap = Array(" ".utf8)
        if let previous = elements.dropLast().last, let before = self.comma(after: previous.upperBound),
            lines.isBlank(before + 1..<last.lowerBound)
        {
            gap = Array(text[before + 1..<last.lowerBound])
        }
        if let trailing { return lines.inserting(gap + element + comma, at: trailing + 1) }
        return lines.inserting(comma + gap + element, at: last.upperBound)
    }

    private func indentation(of last: Range<Int>, in array: Range<Int>) -> [UInt8] {
        let own = lines.indentation(at: last.lowerBound)
        let isFirstLine = lines.start(of: last.lowerBound) <= array.lowerBound
        return isFirstLine ? lines.deeper(than: own) : Array(own)
    }

    /// Puts the first element into an array.
    private func filling(_ array: Range<Int>, with rule: String) -> [UInt8] {
        let inside = array.lowerBound + 1..<array.upperBound - 1
        let element = "\"\(rule)\""
        if lines.isBlank(inside) {
            return lines.replacing([(inside, Array((inside.isEmpty ? element : " \(element) ").utf8))])
        }
        // Nothing but line endings and comments stands there, so the bracket is the first on its line.
        let place = lines.start(of: inside.upperBound)
        var indentation = lines.deeper(than: lines.indentation(at: inside.upperBound))
        let above = lines.start(of: place - 1)
        if above > array.lowerBound, !lines.isBlank(above..<lines.end(of: above)) {
            indentation = Array(lines.indentation(at: above))
        }
        return lines.inserting(
            indentation + Array("\(element),".utf8) + lines.ending(at: place - 1), at: place)
    }
}

// MARK: - Removing

extension RuleListEdit {
    private func removing(_ element: Range<Int>, at index: Int, in array: Range<Int>) -> [UInt8] {
        let trailing = comma(after: element.upperBound)
        let end = lines.end(of: element.upperBound)
        let closes = array.upperBound - 1 <= end
        if let lead = lead(of: element), !closes {
            let whole = lines.start(of: element.lowerBound)..<lines.next(after: end)
            switch trailing {
            case nil: return lines.replacing([(whole, [])])
            case let comma? where comma < end && !lead.hasComma && isEnd(comma + 1):
                return lines.replacing([(whole, [])])
            case let comma? where comma >= end && lead.hasComma: return lines.replacing([(whole, [])])
            // The commas stand before the elements, and this is the first one.
            case let comma? where comma >= end && !lead.hasComma && isEnd(element.upperBound):
                return lines.replacing([(whole, []), (comma..<lines.skippingBlanks(from: comma + 1), [])])
            case _?: break
            }
        }
        if let trailing { return removing(element, withComma: trailing) }
        guard index > 0 else {
            let inside = array.lowerBound + 1..<array.upperBound - 1
            let isAlone =
                lines.isBlank(inside.lowerBound..<element.lowerBound)
                && lines.isBlank(element.upperBound..<inside.upperBound)
            return lines.replacing([(isAlone ? inside : element, [])])
        }
        let before = lines.skippingBlanks(before: element.lowerBound)
        let hasComma = before > 0 && text[before - 1] == UInt8(ascii: ",")
        return lines.replacing([(hasComma ? before - 1..<element.upperBound : element, [])])
    }

    /// Whether only blanks and a comment are left of the line.
    private func isEnd(_ offset: Int) -> Bool {
        let next = lines.skippingBlanks(from: offset)
        return next >= lines.end(of: offset) || text[next] == UInt8(ascii: "#")
    }

    /// Takes out an element between others and the comma behind it.
    private func removing(_ element: Range<Int>, withComma comma: Int) -> [UInt8] {
        guard lines.isBlank(element.upperBound..<comma) else {
            return lines.replacing([(element, []), (comma..<comma + 1, [])])
        }
        let next = lines.skippingBlanks(from: comma + 1)
        if next < text.count, "\"'".utf8.contains(text[next]) {
            return lines.replacing([(element.lowerBound..<next, [])])
        }
        let before = lines.skippingBlanks(before: element.lowerBound)
        let start = before == lines.start(of: before) ? element.lowerBound : before
        return lines.replacing([(start..<comma + 1, [])])
    }
}
