import BoxKernel
import BoxStage
import BoxTypes

// The difference for people: everything is visible, what is too much is summed up.
extension DiffPrinter {
    /// Larger contents are summed up.
    private static let largest = 1 << 20

    /// One change with its contents.
    func printFile(_ entry: DiffReview.Entry) throws(StageError) {
        let change = entry.change
        let name = shown(change)
        let source = review.source(of: change).map { BytePath.escaped(review.name($0, tree: change.tree)) }
        var lines = ["diff --box a/\(source ?? name) b/\(name)"]
        lines += modes(change)
        if let source { lines += ["similarity index 100%", "rename from \(source)", "rename to \(name)"] }
        for line in lines { try write(format.painted(line, "1") + "\n") }
        if source != nil { return }
        try printLinks(change)
        try printDirectory(change)
        let contents = DiffContents(change, review.walk)
        if contents.isAboutContents { try printContents(change, contents) }
    }

    private func modes(_ change: Change) -> [String] {
        func text(_ node: Node) -> String {
            let type =
                switch node.kind {
                case .file: "10"
                case .link: "12"
                case .directory: "04"
                case .characterDevice: "02"
                case .blockDevice: "06"
                case .fifo: "01"
                case .socket: "14"
                }
            // A link's permissions mean nothing.
            return type + (node.kind == .link ? "0000" : DiffPrinter.octal(node.mode))
        }
        switch (change.old, change.new) {
        case (nil, let new?):
            guard change.movedFrom != nil else { return ["new \(new.word) mode \(text(new))"] }
            guard let old = review.sourceNode(of: change), old.mode != new.mode else { return [] }
            return ["old mode \(text(old))", "new mode \(text(new))"]
        case (let old?, nil): return ["deleted \(old.word) mode \(text(old))"]
        case (let old?, let new?):
            guard old.mode != new.mode || old.kind != new.kind else { return [] }
            return ["old mode \(text(old))", "new mode \(text(new))"]
        case (nil, nil): return []
        }
    }

    private func printLinks(_ change: Change) throws(StageError) {
        if let target = change.oldTarget, change.oldTarget != change.newTarget {
            try write(format.painted("-link to \(BytePath.escaped(target))", "31") + "\n")
        }
        if let target = change.newTarget, change.oldTarget != change.newTarget {
            try write(format.painted("+link to \(BytePath.escaped(target))", "32") + "\n")
        }
    }

    private func printDirectory(_ change: Change) throws(StageError) {
        switch change.new?.kind {
        case .characterDevice, .blockDevice, .fifo, .socket:
            try write("\(change.new?.word ?? ""): never applied\n")
        case .directory where change.old != nil && change.old?.kind != .directory:
            try write("a directory now\n")
        case .directory where change.kind == .added: try write("an empty directory\n")
        case .file, .directory, .link, nil: break
        }
    }

    // MARK: - Contents

    private func printContents(_ change: Change, _ contents: DiffContents) throws(StageError) {
        // git's objects are compressed, whatever bytes are in them.
        var isBinary = DiffPrinter.isGitObject(change)
        if !isBinary { isBinary = try contents.isBinary() }
        guard !isBinary else { return try printSum(change, contents, "binary") }
        var old = try contents.old(limit: DiffPrinter.largest)
        let new = try contents.new(limit: DiffPrinter.largest)
        if case .unknown = old {
            try write(
                "what the session began with is not known any more; this is the difference from what the host has now\n"
            )
            old = try contents.host(limit: DiffPrinter.largest)
        }
        guard let before = old.bytes, let after = new.bytes else {
            return try printSum(change, contents, "large")
        }
        let diff = LineDiff(old: before, new: after)
        guard !diff.edits.isEmpty else { return }
        let name = shown(change)
        let names = [
            change.old?.kind == .file ? "--- a/\(name)" : "--- /dev/null",
            change.new?.kind == .file ? "+++ b/\(name)" : "+++ /dev/null",
        ]
        for line in names { try write(format.painted(line, "1") + "\n") }
        let lines = VisibleHunks(colour: format.hasColour)
        try diff.forEachHunk { (hunk) throws(StageError) in
            try lines.print(hunk) { (piece) throws(StageError) in try output.write(piece) }
        }
    }

    /// Sizes and hashes instead of the content, and how to see it.
    private func printSum(_ change: Change, _ contents: DiffContents, _ what: String) throws(StageError) {
        let (old, new) = (
            change.old?.kind == .file ? change.old : nil, change.new?.kind == .file ? change.new : nil
        )
        let sizes = [old, new].compactMap { $0.map { "\($0.size) bytes" } }.joined(separator: " -> ")
        var text = "\(what) content, not shown: \(sizes)"
        if what == "large" { text += try lineCounts(contents) }
        let digests = try contents.digests()
        let known = [(old, digests.old), (new, digests.new)].filter { $0.0 != nil }.map {
            $0.1 ?? "not computed"
        }
        text +=
            (DiffPrinter.isInGitDirectory(change) ? ", " : "\n")
            + "sha256 \(known.joined(separator: " -> "))\n"
        if !DiffPrinter.isInGitDirectory(change) {
            let session = review.stage.session.escapedForTerminal
            text += "to see all of it: box diff -s \(session) --raw -- \(shown(change))\n"
        }
        try write(text)
    }

    /// An object of a git repository: git keeps it under its hash, as data.
    private static func isGitObject(_ change: Change) -> Bool {
        isInGitDirectory(change) && change.path.components.contains { $0.elementsEqual("objects".utf8) }
    }

    private func lineCounts(_ contents: DiffContents) throws(StageError) -> String {
        guard let old = try contents.old().bytes, let new = try contents.new().bytes else { return "" }
        let diff = LineDiff(old: old, new: new)
        return ", \(diff.added) lines added, \(diff.removed) lines removed"
    }
}

extension Node {
    /// What git says in `new file mode`, and what the others are.
    fileprivate var word: String {
        switch kind {
        case .file: "file"
        case .link: "link"
        case .directory: "directory"
        case .characterDevice: "character device"
        case .blockDevice: "block device"
        case .fifo: "FIFO"
        case .socket: "socket"
        }
    }
}

/// Prints hunks for a terminal.
struct VisibleHunks {
    private let text: VisibleText
    private let colour: Bool

    init(colour: Bool) {
        text = VisibleText(colour: colour)
        self.colour = colour
    }

    /// Calls with one line after another; `most` lines at the most, and then how many are left out.
    func print<Failure>(
        _ hunk: Hunk, most: Int = .max, _ write: ([UInt8]) throws(Failure) -> Void
    ) throws(Failure) {
        try write(line(UnifiedDiff.heading(hunk), "36"))
        var count = 0
        try hunk.forEachLine { (next) throws(Failure) in
            count += 1
            if count <= most { try write(visible(next)) }
        }
        if count > most { try write(line("… \(count - most) more lines of this hunk", "2")) }
    }

    private func line(_ text: String, _ code: String) -> [UInt8] {
        Array((colour ? "\u{1B}[\(code)m\(text)\u{1B}[m\n" : text + "\n").utf8)
    }

    private func visible(_ line: Hunk.Line) -> [UInt8] {
        let code: String? =
            switch line.mark {
            case .context: nil
            case .removed: "31"
            case .added: "32"
            }
        var out: [UInt8] = []
        if colour, let code { out += "\u{1B}[\(code)m".utf8 }
        out.append(line.mark.rawValue)
        let left = text.append(line.bytes, to: &out)
        if left > 0 {
            let count = line.bytes.last == UInt8.lineFeed ? line.bytes.count - 1 : line.bytes.count
            out += "… (\(left) of the line's \(count) bytes are not shown, sha256 of the line ".utf8
            out += Binary.digest(line.bytes.prefix(count)).utf8
            out += "; --raw shows all)".utf8
        }
        if colour, code != nil { out += "\u{1B}[m".utf8 }
        out.append(UInt8.lineFeed)
        if line.bytes.last != UInt8.lineFeed { out += UnifiedDiff.noNewline.utf8 }
        return out
    }
}
