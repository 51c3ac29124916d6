/// A path below some directory, as the bytes that the kernel has: names need not be UTF-8.
///
/// No empty component, no `.`, no `..`, no NUL; the directory itself is `root`, which has no bytes.
package struct BytePath: Hashable, Sendable, Comparable {
    /// The components with `/` between them.
    package let bytes: [UInt8]

    private static let slash = UInt8(ascii: "/")

    /// The directory itself.
    package static let root = BytePath(trusted: [])

    private init(trusted bytes: [UInt8]) { self.bytes = bytes }

    /// Takes bytes that are such a path already; nil if they are not.
    package init?(_ bytes: [UInt8]) {
        guard bytes.isEmpty || BytePath.areNames(bytes[...]) else { return nil }
        self.bytes = bytes
    }

    /// Whether bytes are names with one `/` between each two.
    private static func areNames(_ bytes: ArraySlice<UInt8>) -> Bool {
        bytes.split(separator: slash, omittingEmptySubsequences: false).allSatisfy(isName)
    }

    /// The path that has this one's first `count` bytes and then `rest`; nil if that is none. What it takes from this
    /// path is not looked at again, so that lists of long paths are read fast.
    package func with(prefix count: Int, then rest: [UInt8]) -> BytePath? {
        guard (0...bytes.count).contains(count) else { return nil }
        let joined = bytes[..<count] + rest
        if joined.isEmpty { return .root }
        // The last name of the prefix may go on in the rest, or be complete.
        let start = joined[..<count].lastIndex(of: BytePath.slash).map { $0 + 1 } ?? 0
        return BytePath.areNames(joined[start...]) ? BytePath(trusted: Array(joined)) : nil
    }

    /// The same for a text.
    package init?(_ text: String) { self.init(Array(text.utf8)) }

    /// Whether bytes can be one component.
    package static func isName(_ name: [UInt8]) -> Bool { isName(name[...]) }

    /// Whether bytes can be one component. Not generic: trees have many names.
    package static func isName(_ name: ArraySlice<UInt8>) -> Bool {
        guard let first = name.first, !name.contains(slash), !name.contains(0) else { return false }
        let dot = UInt8(ascii: ".")
        return first != dot || name.count > 2 || name.contains { $0 != dot }
    }

    /// The components, outermost first.
    package var components: [ArraySlice<UInt8>] { bytes.split(separator: BytePath.slash) }

    /// The last component; empty for the root.
    package var name: ArraySlice<UInt8> {
        guard let slash = bytes.lastIndex(of: BytePath.slash) else { return bytes[...] }
        return bytes[(slash + 1)...]
    }

    /// The directory that holds this path; the root's parent is the root.
    package var parent: BytePath {
        guard let slash = bytes.lastIndex(of: BytePath.slash) else { return .root }
        return BytePath(trusted: Array(bytes[..<slash]))
    }

    /// All directories between the root and this path, outermost first, without both.
    package var ancestors: [BytePath] {
        var all: [BytePath] = []
        for index in bytes.indices where bytes[index] == BytePath.slash {
            all.append(BytePath(trusted: Array(bytes[..<index])))
        }
        return all
    }

    /// This path with one more component, which must be a name.
    package func appending(_ name: [UInt8]) -> BytePath { appending(name[...]) }

    /// This path with one more component, which must be a name.
    package func appending(_ name: ArraySlice<UInt8>) -> BytePath {
        precondition(BytePath.isName(name), "not a name")
        return bytes.isEmpty
            ? BytePath(trusted: Array(name)) : BytePath(trusted: bytes + [BytePath.slash] + name)
    }

    /// This path with a whole path added.
    package func appending(_ path: BytePath) -> BytePath {
        if path.bytes.isEmpty { return self }
        return bytes.isEmpty ? path : BytePath(trusted: bytes + [BytePath.slash] + path.bytes)
    }

    /// Whether this is `other` or lies below it, by whole components.
    package func isSame(orBelow other: BytePath) -> Bool {
        if other.bytes.isEmpty { return true }
        guard bytes.count >= other.bytes.count else { return false }
        guard bytes.count == other.bytes.count || bytes[other.bytes.count] == BytePath.slash else {
            return false
        }
        return sharedPrefix(with: other) == other.bytes.count
    }

    /// How many bytes two paths have in common from the beginning.
    package func sharedPrefix(with other: BytePath) -> Int {
        let least = min(bytes.count, other.bytes.count)
        let words = unsafe bytes.withUnsafeBytes { left in
            unsafe other.bytes.withUnsafeBytes { right in
                var at = 0
                // Both have eight bytes at each of these offsets.
                while at + 8 <= least,
                    unsafe left.loadUnaligned(fromByteOffset: at, as: UInt64.self)
                        == right.loadUnaligned(fromByteOffset: at, as: UInt64.self)
                { at += 8 }
                return at
            }
        }
        return (words..<least).first { bytes[$0] != other.bytes[$0] } ?? least
    }

    /// This path as seen from a directory that it lies in; nil if it does not.
    package func relative(to other: BytePath) -> BytePath? {
        guard isSame(orBelow: other) else { return nil }
        let rest = bytes.dropFirst(other.bytes.count)
        return BytePath(trusted: Array(rest.first == BytePath.slash ? rest.dropFirst() : rest))
    }

    /// The path as text; nil if it is not UTF-8.
    package var text: String? { String(validating: bytes, as: UTF8.self) }

    /// The path for people: what is not UTF-8 appears as `\xff`, and nothing in it moves a terminal.
    package var escaped: String { BytePath.escaped(bytes) }

    /// Any bytes for people, on one line.
    package static func escaped(_ bytes: some Collection<UInt8>) -> String {
        if let text = String(validating: bytes, as: UTF8.self) { return text.escapedForTerminal }
        var out = ""
        var rest = bytes[...]
        while let first = rest.first {
            let length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4
            if let piece = String(validating: rest.prefix(length), as: UTF8.self) {
                out += piece.escapedForTerminal
                rest = rest.dropFirst(length)
            } else {
                let hex = String(first, radix: 16)
                out += "\\x" + (hex.utf8.count < 2 ? "0" : "") + hex
                rest = rest.dropFirst()
            }
        }
        return out
    }

    /// The order of a walk: a directory before what is below it, and that before the directory's next neighbour.
    package static func < (left: BytePath, right: BytePath) -> Bool {
        let (a, b) = (left.bytes, right.bytes)
        let index = left.sharedPrefix(with: right)
        guard index < a.count, index < b.count else { return a.count < b.count }
        if a[index] == slash { return true }
        if b[index] == slash { return false }
        return a[index] < b[index]
    }
}
