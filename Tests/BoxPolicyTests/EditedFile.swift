import BoxPolicy
import BoxTypes
import Testing

/// What the tests of edits share.
enum Edited {
    /// Two groups, one with two ports.
    static let groups: HostGroups = {
        func rules(_ texts: [String]) -> [HostRule] {
            texts.compactMap { text in do { return try HostRule(text) } catch { return nil } }
        }
        return HostGroups([
            HostGroups.Group(
                name: "forge", summary: "A forge",
                rules: rules(["forge.example", "forge.example:22", "raw.forge.example"])),
            HostGroups.Group(
                name: "mirror", summary: "A mirror", rules: rules(["a.mirror.example", "b.mirror.example"])),
        ])
    }()

    static func text(_ bytes: [UInt8]) throws(PolicyErrors) -> PolicyText {
        try PolicyText(bytes, file: "box.toml", isProject: true) { () throws(PolicyErrors) in groups }
    }

    static func text(_ text: String) throws(PolicyErrors) -> PolicyText { try self.text(Array(text.utf8)) }

    /// A layer without its places.
    static func said(_ layer: PolicyLayer) -> PolicyLayer {
        var layer = layer
        layer.positions = [:]
        return layer
    }

    /// What a policy says with a rule more at the end of a list.
    static func adding(_ rule: String, to list: PolicyText.List, _ layer: PolicyLayer) throws -> PolicyLayer {
        try changing(list, layer) { texts in
            texts.append(
                PolicyLayer.RuleText(
                    index: texts.count, group: HostGroups.name(in: rule), rules: try groups.rules(rule)))
        }
    }

    /// What a policy says without a rule.
    static func removing(_ rule: String, from list: PolicyText.List, _ layer: PolicyLayer) throws
        -> PolicyLayer
    {
        let (group, rules) = (HostGroups.name(in: rule), try groups.rules(rule))
        return try changing(list, layer) { $0.removeAll { $0.group == group && $0.rules == rules } }
    }

    private static func changing(
        _ list: PolicyText.List, _ layer: PolicyLayer, _ change: (inout [PolicyLayer.RuleText]) throws -> Void
    ) throws -> PolicyLayer {
        var layer = layer
        var texts = list == .allow ? layer.network.allowTexts : layer.network.denyTexts
        try change(&texts)
        texts = texts.enumerated().map {
            PolicyLayer.RuleText(index: $0.offset, group: $0.element.group, rules: $0.element.rules)
        }
        switch list {
        case .allow: (layer.network.allowTexts, layer.network.allow) = (texts, texts.flatMap(\.rules))
        case .deny: (layer.network.denyTexts, layer.network.deny) = (texts, texts.flatMap(\.rules))
        }
        return layer
    }

    /// Adds the rule to a text and checks what the text says then; false if it was there.
    static func add(to list: PolicyText.List, _ text: inout PolicyText) throws -> Bool {
        let old = said(text.layer)
        guard try text.add("api.example.com", to: list) == .added else { return false }
        let new = said(try self.text(text.bytes).layer)
        #expect(try new == adding("api.example.com", to: list, old), "\(text.bytes)")
        return true
    }

    /// Removes the rule from a text and checks what the text says then; false if it was not there.
    static func remove(from list: PolicyText.List, _ text: inout PolicyText) throws -> Bool {
        let old = said(text.layer)
        guard case .removed = try text.remove("api.example.com", from: list) else { return false }
        let new = said(try self.text(text.bytes).layer)
        #expect(try new == removing("api.example.com", from: list, old), "\(text.bytes)")
        return true
    }

    /// All that adding a rule promises, and that removing it undoes it.
    static func checkAdding(_ rule: String, to list: PolicyText.List, in before: [UInt8]) throws {
        let shown = Comment(rawValue: String(decoding: before, as: UTF8.self))
        let old = said(
            try PolicyReader.read(before, file: "box.toml", isProject: true) { () throws(PolicyErrors) in
                groups
            })
        var text = try Edited.text(before)
        #expect(try text.add(rule, to: list) == .added, shown)
        let after = text.bytes
        let new = said(
            try PolicyReader.read(after, file: "box.toml", isProject: true) { () throws(PolicyErrors) in
                groups
            })
        #expect(try new == adding(rule, to: list, old), shown)
        checkLines(before, after, shown)
        #expect(try text.add(rule, to: list) == .presentAs(rule), shown)
        #expect(text.bytes == after, shown)
        #expect(try text.remove(rule, from: list) == .removed([rule]), shown)
        #expect(said(text.layer) == old, shown)
        #expect(said(try Edited.text(text.bytes).layer) == old, shown)
        // What is left of the edit is at most a comma, or an empty list in a table of its own.
        #expect(text.bytes.count <= before.count + "\r\n\r\n[network]\r\nallow = []\r\n".utf8.count, shown)
    }

    /// One line is new, or one is changed; a new list may bring its table, and a new line a comma to the one
    /// above it.
    private static func checkLines(_ before: [UInt8], _ after: [UInt8], _ shown: Comment) {
        var old = before.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)[...]
        var new = after.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)[...]
        while let line = old.first, line == new.first { (old, new) = (old.dropFirst(), new.dropFirst()) }
        while let line = old.last, line == new.last { (old, new) = (old.dropLast(), new.dropLast()) }
        #expect(old.count <= 1, shown)
        guard let changed = old.first.map(Array.init), let line = new.first.map(Array.init) else {
            let texts = new.map { String(decoding: $0, as: UTF8.self) }
            #expect(new.count == 1 || texts.contains { $0.hasPrefix("[network]") } && new.count <= 4, shown)
            return
        }
        if new.count == 1 {
            // Something was put in, and nothing but blanks of an empty list was taken out.
            #expect(isSubsequence(changed.filter { $0 != UInt8(ascii: " ") }, of: line), shown)
        } else {
            #expect(new.count == 2, shown)
            let isMoved = changed.indices.contains { at in
                // The comma; behind it may be a comment, or the bracket that moves to the new line.
                let start = changed[..<at].filter { !",\r".utf8.contains($0) }
                let head = line.filter { !",\r".utf8.contains($0) }
                return head == start && new.last?.suffix(changed.count - at) == changed[at...]
            }
            let isComma = (0...changed.count).contains {
                changed[..<$0] + Array(",".utf8) + changed[$0...] == line
            }
            #expect(isComma || isMoved, shown)
        }
    }

    private static func isSubsequence(_ part: [UInt8], of whole: [UInt8]) -> Bool {
        var rest = part[...]
        for byte in whole where byte == rest.first { rest = rest.dropFirst() }
        return rest.isEmpty
    }
}

/// A generator of mutations, the same at every run.
struct Scrambled: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }

    private static let pieces = [
        "\n", "\r\n", ",", "]", "[", "\"", "'", "#", " ", "\t", "=", "{", "}", ".", "\"\"\"", "'''", "\\",
        "allow", "deny",
        "network", "[network]\n", "network.", "# ]\n", "\"a.example.com\"", "\"api.example.com:443\",",
        "[limits]\n", "é",
        "allow = []\n", "\n\n", "[network.limits]\n",
    ]

    /// Deletes, doubles, moves or inserts something.
    mutating func mutate(_ bytes: inout [UInt8]) {
        let at = Int.random(in: 0...bytes.count, using: &self)
        let end = min(bytes.count, at + Int.random(in: 0...6, using: &self))
        switch Int.random(in: 0..<6, using: &self) {
        case 0: bytes.removeSubrange(at..<end)
        case 1: bytes.insert(contentsOf: bytes[at..<end], at: at)
        case 2:
            let piece = Array(bytes[at..<end])
            bytes.removeSubrange(at..<end)
            bytes.insert(contentsOf: piece, at: Int.random(in: 0...bytes.count, using: &self))
        case _:
            bytes.insert(contentsOf: Scrambled.pieces.randomElement(using: &self)?.utf8 ?? "".utf8, at: at)
        }
    }
}

/// A file before and after an edit with the rule `api.example.com`.
struct EditedFile: Sendable, CustomTestStringConvertible {
    let name: String
    let before: String
    let after: String

    init(_ name: String, _ before: String, _ after: String) {
        self.name = name
        self.before = before
        self.after = after
    }

    var testDescription: String { name }
}
