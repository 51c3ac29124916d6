import BoxTypes

// How the reader takes values out of tables: every wrong one becomes an error with its place, and reading goes on.

extension PolicyReader {
    /// Notes an error at the place of a key or element.
    mutating func report(_ problem: PolicyError.Problem, at path: [String]) {
        errors.append(PolicyError(file: file, position: positions[path], problem: problem))
    }

    /// Notes a value of another type than the schema's.
    mutating func wrongType(
        _ path: [String], expected: String, found: TOMLNode, at place: [String]? = nil
    ) {
        let problem = PolicyError.Problem.wrongType(
            path.joined(separator: "."), expected: expected, found: found.kind)
        report(problem, at: place ?? path)
    }

    /// Reports every key that nobody asked for.
    mutating func finish(_ section: Section) {
        for (key, node) in section.unread {
            let name = section.path.joined(separator: ".")
            let path = section.path + [key]
            if case .table = node {
                report(.unknownTable(key, section: name, known: section.known), at: path)
            } else {
                report(.unknownKey(key, section: name, known: section.known), at: path)
            }
        }
    }

    /// Runs a parser of text; its refusal becomes an error with the text's place.
    mutating func parsed<Value, Refusal: Error & CustomStringConvertible>(
        _ text: String, at path: [String], _ parse: (String) throws(Refusal) -> Value
    ) -> Value? {
        do throws(Refusal) { return try parse(text) } catch {
            let key = path.last.flatMap(Int.init) == nil ? path : path.dropLast()
            report(.badValue(key.joined(separator: "."), error.description), at: path)
            return nil
        }
    }

    /// A table by its key; nil if there is none.
    mutating func table(_ key: String, _ section: inout Section) -> Section? {
        guard let node = section.take(key) else { return nil }
        let path = section.path + [key]
        guard case .table(let contents) = node else {
            wrongType(path, expected: "a table", found: node)
            return nil
        }
        return Section(path: path, unread: contents)
    }

    /// A string by its key; nil if there is none.
    mutating func string(_ key: String, _ section: inout Section) -> String? {
        guard let node = section.take(key) else { return nil }
        guard case .string(let text) = node else {
            wrongType(section.path + [key], expected: "a string", found: node)
            return nil
        }
        return text
    }

    /// A truth value by its key; nil if there is none.
    mutating func boolean(_ key: String, _ section: inout Section) -> Bool? {
        guard let node = section.take(key) else { return nil }
        guard case .boolean(let value) = node else {
            wrongType(section.path + [key], expected: "true or false", found: node)
            return nil
        }
        return value
    }

    /// The texts of an array with their places; nil if there is no such key.
    private mutating func strings(
        _ key: String, _ section: inout Section
    ) -> [(text: String, place: [String])]? {
        guard let node = section.take(key) else { return nil }
        let path = section.path + [key]
        guard case .array(let elements) = node else {
            wrongType(path, expected: "an array of strings", found: node)
            return []
        }
        var texts: [(text: String, place: [String])] = []
        for (index, element) in elements.enumerated() {
            if case .string(let text) = element {
                texts.append((text, path + [String(index)]))
            } else {
                wrongType(path, expected: "an array of strings", found: element, at: path + [String(index)])
            }
        }
        return texts
    }

    /// An array of strings that one parser reads each.
    mutating func list<Value, Refusal: Error & CustomStringConvertible>(
        _ key: String, _ section: inout Section, _ parse: (String) throws(Refusal) -> Value
    ) -> [Value]? {
        var values: [Value] = []
        guard let texts = strings(key, &section) else { return nil }
        for (text, place) in texts {
            if let value = parsed(text, at: place, parse) { values.append(value) }
        }
        return values
    }

    /// A word of a closed set.
    mutating func word<Word: RawRepresentable & CaseIterable>(
        _ key: String, _ section: inout Section
    ) -> Word? where Word.RawValue == String {
        guard let text = string(key, &section) else { return nil }
        return known(text, at: section.path + [key], named: section.path + [key])
    }

    /// An array of words of a closed set.
    mutating func words<Word: RawRepresentable & CaseIterable>(
        _ key: String, _ section: inout Section
    ) -> [Word]? where Word.RawValue == String {
        guard let texts = strings(key, &section) else { return nil }
        var words: [Word] = []
        for (text, place) in texts {
            if let word: Word = known(text, at: place, named: section.path + [key]) { words.append(word) }
        }
        return words
    }

    private mutating func known<Word: RawRepresentable & CaseIterable>(
        _ text: String, at path: [String], named key: [String]
    ) -> Word? where Word.RawValue == String {
        if let word = Word(rawValue: text) { return word }
        let known = Word.allCases.map(\.rawValue)
        report(.unknownWord(key.joined(separator: "."), value: text, known: known), at: path)
        return nil
    }

    /// A string with a unit, or an integer in the base unit.
    mutating func quantity<Value>(
        _ key: String, _ section: inout Section, _ parse: (String) throws(UnitRefusal) -> Value
    ) -> Value? {
        guard let node = section.take(key) else { return nil }
        let path = section.path + [key]
        switch node {
        case .string(let text): return parsed(text, at: path, parse)
        case .integer(let number): return parsed(String(number), at: path, parse)
        case .double, .boolean, .date, .array, .table:
            wrongType(path, expected: "a string with a unit, or an integer", found: node)
            return nil
        }
    }

    /// An integer or, with `decimals`, any number.
    mutating func number<Value>(
        _ key: String, _ section: inout Section, decimals: Bool = false,
        _ parse: (String) throws(UnitRefusal) -> Value
    ) -> Value? {
        guard let node = section.take(key) else { return nil }
        let path = section.path + [key]
        switch node {
        case .integer(let number): return parsed(String(number), at: path, parse)
        case .double(let number) where decimals: return parsed(String(number), at: path, parse)
        case .string, .double, .boolean, .date, .array, .table:
            wrongType(path, expected: decimals ? "a number" : "an integer", found: node)
            return nil
        }
    }
}
