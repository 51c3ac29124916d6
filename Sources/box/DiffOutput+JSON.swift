import BoxAudit
import BoxKernel
import BoxStage
import BoxTypes

// The machine-readable form: one document, one change a line, written while the changes are read.
extension DiffPrinter {
    func printJSON() throws(StageError) {
        let stage = review.stage
        let base = Timestamp.text(
            seconds: stage.started.seconds, milliseconds: stage.started.nanoseconds / 1_000_000)
        var start = "{\n"
        for (key, value) in [("session", stage.session), ("base", base), ("digest", review.digest)] {
            start += "  \"\(key)\": \(JSONOutput.text(value).line),\n"
        }
        try write(start + "  \"changes\": [")
        var isFirst = true
        try review.forEach { (entry) throws(StageError) in
            try write((isFirst ? "\n    " : ",\n    ") + (try json(entry)).line)
            isFirst = false
        }
        let conflicts = JSONOutput.texts(review.conflicts.map { text(review.name($0.0)) })
        try write((isFirst ? "" : "\n  ") + "],\n  \"conflicts\": \(conflicts.line)\n}\n")
    }

    /// Bytes as text; what is not UTF-8 is replaced.
    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    private func json(_ entry: DiffReview.Entry) throws(StageError) -> JSONOutput {
        let change = entry.change
        let type = (change.new ?? change.old)?.typeName ?? "file"
        var fields: [(String, JSONOutput)] = [
            ("path", .text(text(change.path.bytes))), ("kind", .text(change.kind.rawValue)),
            ("type", .text(type)),
        ]
        if let old = change.old?.typeName, old != type { fields.append(("old_type", .text(old))) }
        fields += [
            ("risk", .text(entry.verdict.risk.name)), ("reason", .text(entry.verdict.reason)),
            ("old_size", change.old?.contentSize.map { .number($0) } ?? .null),
            ("new_size", change.new?.contentSize.map { .number($0) } ?? .null),
            ("binary", .bool(try DiffContents(change, review.walk).isBinary())),
        ]
        if let from = change.movedFrom { fields.append(("moved_from", .text(text(from.bytes)))) }
        if let target = change.newTarget ?? (change.new == nil ? change.oldTarget : nil) {
            fields.append(("link_target", .text(text(target))))
        }
        if let old = change.old { fields.append(("old_mode", .text(DiffPrinter.octal(old.mode)))) }
        if let new = change.new { fields.append(("mode", .text(DiffPrinter.octal(new.mode)))) }
        if change.tree > 0 { fields.append(("tree", .text(review.stage.roots[change.tree].host.string))) }
        if change.path.text == nil {
            fields.append(("path_bytes", .text(Binary.hexadecimal(change.path.bytes))))
        }
        return .object(fields)
    }

    /// Permissions as `chmod` takes them: `0644`.
    static func octal(_ mode: UInt32) -> String {
        let digits = String(mode & 0o7777, radix: 8)
        return String(repeating: "0", count: 4 - digits.utf8.count) + digits
    }
}
