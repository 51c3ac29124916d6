import BoxKernel
import BoxStage
import BoxTypes
import Glibc

/// Paths of the command line, as places in a stage's trees. They are literal, and count by whole components.
struct StagedPaths {
    /// A path that no change is about.
    struct Unmatched {
        let text: String
        /// The host has something there, all the same.
        let exists: Bool
    }

    private struct Place {
        let text: String
        let tree: Int
        let path: BytePath
    }

    private let places: [Place]

    /// Relative paths start at the working directory. An error for what lies outside of the stage's trees.
    init(_ texts: [String], of stage: Stage) throws(StageError) {
        var places: [Place] = []
        for text in texts { places.append(try StagedPaths.place(text, stage)) }
        self.places = places
    }

    /// The places, for an apply.
    var applied: [ApplyRequest.Place] { places.map { ApplyRequest.Place(tree: $0.tree, path: $0.path) } }

    /// What was typed for a place.
    func text(of place: ApplyRequest.Place) -> String {
        places.first { $0.tree == place.tree && $0.path == place.path }?.text ?? place.path.escaped
    }

    /// Whether a change was asked for; remembers by which paths.
    func match(_ change: Change, _ matched: inout Set<Int>) -> Bool {
        if places.isEmpty { return true }
        var isMatch = false
        for (index, place) in places.enumerated()
        where place.tree == change.tree && change.path.isSame(orBelow: place.path) {
            matched.insert(index)
            isMatch = true
        }
        return isMatch
    }

    /// The paths that no change is about.
    func unmatched(by review: DiffReview) throws(StageError) -> [Unmatched] {
        var all: [Unmatched] = []
        for (index, place) in places.enumerated() where !review.matched.contains(index) {
            let asked = Change(tree: place.tree, path: place.path, kind: .modified)
            let exists = place.path.bytes.isEmpty ? true : try review.walk.hostNode(asked) != nil
            all.append(Unmatched(text: place.text, exists: exists))
        }
        return all
    }

    private static func place(_ text: String, _ stage: Stage) throws(StageError) -> Place {
        let step = "take the path \(text.escapedForTerminal)"
        guard !text.isEmpty else { throw StageError(step, reason: "it is empty") }
        let bytes = argument(text)
        // A path through a link is looked for where the link leads, but a link at its end is meant itself.
        for absolute in [try lexical(bytes, step), try resolved(bytes)].compactMap({ $0 }) {
            // Of trees that lie in each other, the inner one.
            let trees = stage.roots.indices.sorted {
                stage.roots[$0].host.string.utf8.count > stage.roots[$1].host.string.utf8.count
            }
            for tree in trees {
                let root = Array(stage.roots[tree].host.string.utf8.dropFirst())
                if let host = BytePath(root), let path = absolute.relative(to: host) {
                    return Place(text: text, tree: tree, path: path)
                }
            }
        }
        let project = stage.roots.first?.host.string.escapedForTerminal ?? ""
        throw StageError(step, reason: "it lies outside of the project \(project)")
    }

    /// The bytes of an argument: where they are no text, the parser has only a likeness of them.
    private static func argument(_ text: String) -> [UInt8] {
        guard text.unicodeScalars.contains("\u{FFFD}") else { return Array(text.utf8) }
        for index in 0..<Int(CommandLine.argc) {
            guard let word = unsafe CommandLine.unsafeArgv[index] else { continue }
            let bytes = unsafe UnsafeBufferPointer(start: word, count: strlen(word)).map {
                UInt8(bitPattern: $0)
            }
            if String(decoding: bytes, as: UTF8.self) == text { return bytes }
        }
        return Array(text.utf8)
    }

    /// The path from the root, `.` and `..` resolved by the text alone.
    private static func lexical(_ bytes: [UInt8], _ step: String) throws(StageError) -> BytePath? {
        var components: [ArraySlice<UInt8>] = []
        if bytes.first != UInt8(ascii: "/") {
            guard let current = WorkingDirectory.current else {
                throw StageError(step, reason: "the working directory is gone")
            }
            components = Array(current.utf8).split(separator: UInt8(ascii: "/"))
        }
        for part in bytes.split(separator: UInt8(ascii: "/")) {
            if part.elementsEqual(".".utf8) { continue }
            if part.elementsEqual("..".utf8) { _ = components.popLast() } else { components.append(part) }
        }
        return BytePath(Array(components.joined(separator: [UInt8(ascii: "/")])))
    }

    /// The path from the root with the links on its way resolved by the kernel; nil if that is not possible.
    private static func resolved(_ bytes: [UInt8]) throws(StageError) -> BytePath? {
        let slash = UInt8(ascii: "/")
        var trimmed = bytes[...]
        while trimmed.count > 1, trimmed.last == slash { trimmed = trimmed.dropLast() }
        let last = trimmed.lastIndex(of: slash)
        let name = last.map { trimmed[($0 + 1)...] } ?? trimmed
        var parent = last.map { Array(trimmed[..<$0]) } ?? Array(".".utf8)
        if parent.isEmpty { parent = [slash] }
        guard BytePath.isName(name) else { return nil }
        let real = unsafe withCName(parent) { text -> [UInt8]? in
            guard let path = unsafe realpath(text, nil) else { return nil }
            defer { unsafe free(path) }
            return unsafe UnsafeBufferPointer(start: path, count: strlen(path)).map { UInt8(bitPattern: $0) }
        }
        guard let real, let directory = BytePath(Array(real.dropFirst())) else { return nil }
        return directory.appending(name)
    }
}
