internal import BoxKernel
internal import BoxTypes

/// Files that mostly hold data and in some keys name commands: only a change of these keys matters.
struct ScriptManifests {
    private let reason: String
    private let keys: [String]

    /// The rules of a file by its folded name; nil if it is none of these.
    static func named(_ name: String) -> ScriptManifests? { all[name] }

    private static let all: [String: ScriptManifests] = [
        "package.json": ScriptManifests(
            reason: "npm and its like run its scripts",
            keys: [
                "scripts", "bin", "directories", "gypfile", "husky", "simple-git-hooks", "lint-staged",
                "pre-commit", "pre-push", "ghooks", "packageManager", "man", "publishConfig",
            ]),
        "composer.json": ScriptManifests(
            reason: "Composer runs its scripts and plugins", keys: ["scripts", "bin", "config", "extra"]),
        "deno.json": ScriptManifests(reason: "deno runs its tasks", keys: ["tasks", "lint"]),
        "deno.jsonc": ScriptManifests(reason: "deno runs its tasks", keys: ["tasks", "lint"]),
        "project.json": ScriptManifests(reason: "nx runs its targets", keys: ["targets"]),
        "cargo.toml": ScriptManifests(reason: "cargo runs build scripts and macros that it names", keys: []),
    ]

    /// More than any manifest has; above it nothing is compared.
    private static let largest = 4 << 20

    /// The reason, if what runs is another than before, or if that cannot be told.
    func reason(_ change: Change, _ content: RiskContent) throws(StageError) -> String? {
        guard let new = change.new, new.size <= ScriptManifests.largest,
            let after = try content.new(ScriptManifests.largest)
        else { return reason + ", and it cannot be read" }
        var before: [UInt8]? = []
        if let old = change.old, old.kind == .file {
            before = old.size <= ScriptManifests.largest ? try content.old(ScriptManifests.largest) : nil
        }
        guard let before else { return reason + ", and what it was before is not known" }
        if keys.isEmpty {
            return ScriptManifests.lines(before) == ScriptManifests.lines(after) ? nil : reason
        }
        let old = change.old?.kind == .file ? ScriptManifests.members(before) : [:]
        guard let new = ScriptManifests.members(after), let old else {
            return reason + ", and it is not plain JSON"
        }
        let changed = keys.first { !ScriptManifests.isSame(old[$0], new[$0]) }
        return changed.map { "\(reason): \"\($0)\" is changed" }
    }

    /// The members of the object that a JSON text is; nil if it is none, or not what all readers agree on.
    private static func members(_ bytes: [UInt8]) -> [String: JSONValue]? {
        do throws(JSONError) {
            guard case .object(let members) = try JSONValue(parsing: bytes).content else { return nil }
            return Dictionary(members.map { ($0.key, $0.value) }) { first, _ in first }
        } catch { return nil }
    }

    /// Whether two values say the same, wherever they stand and in whatever order their keys come.
    private static func isSame(_ left: JSONValue?, _ right: JSONValue?) -> Bool {
        guard let left, let right else { return left == nil && right == nil }
        switch (left.content, right.content) {
        case (.object(let a), .object(let b)):
            let other = Dictionary(b.map { ($0.key, $0.value) }) { first, _ in first }
            return a.count == b.count && a.allSatisfy { isSame($0.value, other[$0.key]) }
        case (.array(let a), .array(let b)):
            return a.count == b.count && zip(a, b).allSatisfy { isSame($0, $1) }
        case (.null, .null), (.bool, .bool), (.number, .number), (.string, .string):
            return left.content == right.content
        case (.null, _), (.bool, _), (.number, _), (.string, _), (.array, _), (.object, _): return false
        }
    }

    /// The lines of a Cargo manifest that may say what is run at build time. An escape could spell such a word.
    private static func lines(_ bytes: [UInt8]) -> [String] {
        let words = ["build", "proc-macro", "proc_macro", "links", "linker", "runner", "path", "\\"]
        return String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isNewline).map {
            $0.filter { !$0.isWhitespace }
        }
        .filter { line in words.contains { line.contains($0) } }
    }
}
