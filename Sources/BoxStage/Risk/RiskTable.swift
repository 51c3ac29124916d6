internal import BoxTypes

/// Names that mean something to programs on the host, each group with what would happen.
///
/// A name counts at any depth. `a/b` is a `b` directly in an `a`; with `/` at its end it is a directory with all that is
/// below; one `*` stands for any characters. They are compared as a file system does that knows no case.
enum RiskTable {
    /// One group.
    struct Row: Sendable {
        let risk: Risk
        /// Deleting it matters as much as changing it.
        let alsoDeleted: Bool
        let reason: String
        let names: [String]

        init(_ risk: Risk, alsoDeleted: Bool = false, _ reason: String, _ names: String) {
            self.risk = risk
            self.alsoDeleted = alsoDeleted || risk == .blocked
            self.reason = reason
            self.names = names.split(whereSeparator: \.isWhitespace).map(String.init)
        }
    }

    /// The first row of this risk that knows the path by one of its names.
    static func row(for names: [FoldedName], _ risk: Risk) -> Row? {
        var found: Int?
        for index in names.indices {
            let isLast = index == names.indices.last
            for entry in byName[names[index].base] ?? []
            where entry.matches(names, at: index, isLast: isLast) && rows[entry.row].risk == risk {
                found = min(found ?? entry.row, entry.row)
            }
        }
        guard let last = names.indices.last else { return nil }
        let name = Array(names[last].base.utf8)
        for (pattern, entry) in byPattern[risk] ?? [] where pattern.matches(name) {
            if entry.matches(names, at: last, isLast: true) { found = min(found ?? entry.row, entry.row) }
        }
        return found.map { rows[$0] }
    }

    // MARK: - The index

    private struct Entry {
        let row: Int
        /// The directories that the name has to lie in, outermost first.
        let parents: [String]
        let isDirectory: Bool

        func matches(_ names: [FoldedName], at index: Int, isLast: Bool) -> Bool {
            guard isDirectory || isLast, parents.count <= index else { return false }
            return names[(index - parents.count)..<index].map(\.base) == parents
        }
    }

    private static let entries: [(last: String, entry: Entry)] = rows.enumerated().flatMap { number, row in
        row.names.map { name in
            var parts = name.lowercased().split(separator: "/").map(String.init)
            // No row has an empty name; the tests read them all.
            let last = parts.popLast() ?? ""
            return (last, Entry(row: number, parents: parts, isDirectory: name.hasSuffix("/")))
        }
    }

    private static let byName: [String: [Entry]] = Dictionary(
        grouping: entries.filter { !$0.last.contains("*") }, by: \.last
    ).mapValues { $0.map(\.entry) }

    /// A name with one `*` in it.
    private struct Pattern {
        let start: [UInt8]
        let end: [UInt8]

        func matches(_ name: [UInt8]) -> Bool {
            // The end differs from most names at once.
            name.last == end.last ?? name.last && name.count >= start.count + end.count
                && name.suffix(end.count).elementsEqual(end) && name.starts(with: start)
        }
    }

    private static let byPattern: [Risk: [(Pattern, Entry)]] = Dictionary(
        grouping: entries.compactMap { last, entry in
            let parts = last.split(separator: "*", omittingEmptySubsequences: false).map { Array($0.utf8) }
            return parts.count == 2 ? (Pattern(start: parts[0], end: parts[1]), entry) : nil
        }, by: { rows[$0.1.row].risk })
}
