/// The unified format, byte for byte as `diff -u` and git write it.
package enum UnifiedDiff {
    /// The line that stands after a line without `\n`.
    package static let noNewline = "\\ No newline at end of file\n"

    /// A hunk's first line, without `\n`: a count of 1 is not written.
    package static func heading(_ hunk: Hunk) -> String {
        "@@ -\(range(hunk.oldStart, hunk.oldCount)) +\(range(hunk.newStart, hunk.newCount)) @@"
    }

    private static func range(_ start: Int, _ count: Int) -> String {
        count == 1 ? "\(start)" : "\(start),\(count)"
    }

    /// Adds a hunk to a text.
    package static func append(_ hunk: Hunk, to text: inout [UInt8]) {
        text += heading(hunk).utf8
        text.append(UInt8.newline)
        hunk.forEachLine { line in append(line, to: &text) }
    }

    /// Adds one line of a hunk to a text.
    package static func append(_ line: Hunk.Line, to text: inout [UInt8]) {
        text.append(line.mark.rawValue)
        text += line.bytes
        if line.bytes.last != UInt8.newline {
            text.append(UInt8.newline)
            text += noNewline.utf8
        }
    }

    /// The whole difference with the two lines of names; empty if there is none.
    package static func text(_ diff: LineDiff, oldName: [UInt8], newName: [UInt8]) -> [UInt8] {
        guard !diff.edits.isEmpty else { return [] }
        var text = names(oldName, newName)
        diff.forEachHunk { append($0, to: &text) }
        return text
    }

    /// The lines `--- OLD` and `+++ NEW`. The names are quoted already, or are `/dev/null`.
    package static func names(_ old: [UInt8], _ new: [UInt8]) -> [UInt8] {
        // A tab ends a name with spaces, so that what patch(1) takes for a time stamp is empty.
        func end(_ name: [UInt8]) -> [UInt8] {
            name.contains(UInt8(ascii: " ")) ? [UInt8(ascii: "\t"), UInt8.newline] : [UInt8.newline]
        }
        return Array("--- ".utf8) + old + end(old) + Array("+++ ".utf8) + new + end(new)
    }

    /// A name as git quotes it (`core.quotePath=false`): in double quotes with C's escapes if it has a control
    /// character, a double quote or a backslash. `prefix` is `a/` or `b/`.
    package static func quoted(_ name: some Collection<UInt8>, prefix: String = "") -> [UInt8] {
        let plain = Array(prefix.utf8) + name
        let special = plain.contains { $0 < 0x20 || $0 == 0x7F || $0 == 0x22 || $0 == 0x5C }
        guard special else { return plain }
        var text = [UInt8(ascii: "\"")]
        for byte in plain { append(quoted: byte, to: &text) }
        return text + [UInt8(ascii: "\"")]
    }

    private static func append(quoted byte: UInt8, to text: inout [UInt8]) {
        let letters: [UInt8: Character] = [
            7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r", 0x22: "\"", 0x5C: "\\",
        ]
        if let letter = letters[byte] {
            text += "\\\(letter)".utf8
        } else if byte < 0x20 || byte == 0x7F {
            let octal = String(byte, radix: 8)
            text += ("\\" + String(repeating: "0", count: 3 - octal.utf8.count) + octal).utf8
        } else {
            text.append(byte)
        }
    }
}
