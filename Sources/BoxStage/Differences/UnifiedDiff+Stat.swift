/// The summary of a difference by files, as `git diff --stat` draws it.
package struct DiffStat: Sendable {
    /// What one line says after the name.
    package enum Amount: Equatable, Sendable {
        case lines(added: Int, removed: Int)
        /// Contents that are not compared by lines, with their sizes; nil where there is none.
        case bytes(old: Int?, new: Int?)
    }

    private struct Row: Sendable {
        let name: String
        let amount: Amount
    }

    private var rows: [Row] = []
    private var added = 0
    private var removed = 0
    /// More files than these have lines; a moved directory is one line.
    private var extra = 0

    package init() {}

    /// Adds a file. The name is safe to print; `files` is how many files the line stands for.
    package mutating func add(_ name: String, _ amount: Amount, files: Int = 1) {
        rows.append(Row(name: name, amount: amount))
        extra += files - 1
        if case .lines(let added, let removed) = amount {
            self.added += added
            self.removed += removed
        }
    }

    /// The lines for an output of that many columns, and the sum.
    package func text(columns: Int, colour: Bool) -> String {
        let layout = Layout(rows.map { ($0.name.unicodeScalars.count, $0.amount) }, columns: max(columns, 40))
        var text = ""
        for row in rows { text += layout.line(row.name, row.amount, colour: colour) }
        return text + sum + "\n"
    }

    /// ` 3 files changed, 4 insertions(+), 2 deletions(-)`.
    package var sum: String {
        let files = rows.count + extra
        var text = " \(files) \(files == 1 ? "file" : "files") changed"
        if added > 0 || removed == 0 { text += ", \(added) \(added == 1 ? "insertion" : "insertions")(+)" }
        if removed > 0 || added == 0 { text += ", \(removed) \(removed == 1 ? "deletion" : "deletions")(-)" }
        return text
    }
}

/// How wide names, numbers and bars are, and how long the longest bar.
private struct Layout {
    private let name: Int
    private let number: Int
    private let bar: Int
    private let most: Int

    init(_ rows: [(name: Int, amount: DiffStat.Amount)], columns: Int) {
        var (name, most, number) = (0, 0, 1)
        for row in rows {
            name = max(name, row.name)
            switch row.amount {
            case .lines(let added, let removed): most = max(most, added + removed)
            case .bytes: number = 3
            }
        }
        number = max(number, String(most).utf8.count)
        var bar = most
        if name + number + 6 + bar > columns {
            bar = min(bar, max(6, columns * 3 / 8 - number - 6))
            if name > columns - number - 6 - bar {
                name = columns - number - 6 - bar
            } else {
                bar = columns - number - 6 - name
            }
        }
        (self.name, self.number, self.bar, self.most) = (name, number, bar, most)
    }

    func line(_ name: String, _ amount: DiffStat.Amount, colour: Bool) -> String {
        let shown = shorten(name)
        let pad = String(repeating: " ", count: max(0, self.name - shown.unicodeScalars.count))
        let start = " \(shown)\(pad) | "
        switch amount {
        case .bytes(let old, let new):
            return start + right("Bin") + " \(old ?? 0) -> \(new ?? 0) bytes\n"
        case .lines(let added, let removed):
            let (plus, minus) = bars(added, removed)
            let bar = paint(String(repeating: "+", count: plus), 32, colour)
            let rest = paint(String(repeating: "-", count: minus), 31, colour)
            return start + right("\(added + removed)") + (plus + minus > 0 ? " " : "") + bar + rest + "\n"
        }
    }

    private func right(_ text: String) -> String {
        String(repeating: " ", count: max(0, number - text.utf8.count)) + text
    }

    private func paint(_ text: String, _ code: Int, _ colour: Bool) -> String {
        colour && !text.isEmpty ? "\u{1B}[\(code)m\(text)\u{1B}[m" : text
    }

    /// The end of a long name says more than its beginning.
    private func shorten(_ text: String) -> String {
        let scalars = text.unicodeScalars
        guard scalars.count > name else { return text }
        var rest = scalars.suffix(max(0, name - 3))
        if let slash = rest.firstIndex(of: "/") { rest = rest[slash...] }
        return "..." + String(String.UnicodeScalarView(rest))
    }

    private func bars(_ added: Int, _ removed: Int) -> (Int, Int) {
        guard most > bar else { return (added, removed) }
        var total = scaled(added + removed)
        if total < 2, added > 0, removed > 0 { total = 2 }
        if added < removed {
            let plus = scaled(added)
            return (plus, total - plus)
        }
        let minus = scaled(removed)
        return (total - minus, minus)
    }

    private func scaled(_ count: Int) -> Int { count == 0 ? 0 : 1 + count * (bar - 1) / most }
}
