extension String {
    /// The known word that this one was probably meant to be, for messages; nil if none is near.
    ///
    /// Near is an edit distance (insert, delete, replace, swap neighbours) of at most a third of the longer
    /// word, at least 1, or a known word of which this one is a part of three letters or more.
    package func nearest(in known: some Sequence<String>) -> String? {
        let written = Array(lowercased().utf8.prefix(64))
        var best: (word: String, distance: Int)?
        for word in known {
            let candidate = Array(word.lowercased().utf8)
            let distance = editDistance(written, candidate)
            guard distance <= max(1, max(written.count, candidate.count) / 3) else { continue }
            if let best, best.distance <= distance { continue }
            best = (word, distance)
        }
        if let best { return best.word }
        guard written.count >= 3 else { return nil }
        return known.first { $0.lowercased().hasPrefix(lowercased()) }
    }
}

/// The least number of inserted, deleted, replaced or swapped neighbouring bytes that turns one into the other.
private func editDistance(_ left: [UInt8], _ right: [UInt8]) -> Int {
    guard !left.isEmpty, !right.isEmpty else { return max(left.count, right.count) }
    var before: [Int] = []
    var row = Array(0...right.count)
    for i in 1...left.count {
        var next = [i]
        for j in 1...right.count {
            let same = left[i - 1] == right[j - 1]
            var least = min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (same ? 0 : 1))
            if i > 1, j > 1, left[i - 1] == right[j - 2], left[i - 2] == right[j - 1] {
                least = min(least, before[j - 2] + 1)
            }
            next.append(least)
        }
        before = row
        row = next
    }
    return row[right.count]
}
