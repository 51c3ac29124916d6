/// An absolute path, lexically normal: no `.`, no `..`, no empty component, no NUL, no control character.
///
/// Control characters (newline, ESC, DEL …) are refused because paths are printed on terminals and written
/// into line-based files of the kernel (`mountinfo`).
package struct AbsolutePath: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// The path as the kernel takes it: starts with `/`, has no trailing slash except for the root.
    package let string: String

    /// Why a string is not an absolute path.
    package enum Refusal: Error, Equatable, CustomStringConvertible {
        case empty
        case relative(String)
        case controlCharacter(String)
        case leavesRoot(String)
        case tooLong(Int)

        package var description: String {
            switch self {
            case .empty: "the path is empty"
            case .relative(let text): "\(text.escapedForTerminal) is not an absolute path"
            case .controlCharacter(let text): "\(text.escapedForTerminal) contains a control character"
            case .leavesRoot(let text): "\(text.escapedForTerminal) leaves the root by '..'"
            case .tooLong(let bytes): "the path has \(bytes) bytes, the kernel takes 4095"
            }
        }
    }

    /// The root directory.
    package static let root = AbsolutePath(trusted: "/")

    /// Parses and normalises `text` lexically; symbolic links are not looked at.
    package init(_ text: String) throws(Refusal) {
        let (isNormal, hasControl) = AbsolutePath.scan(text)
        guard !text.isEmpty else { throw .empty }
        guard text.utf8.count < 4096 else { throw .tooLong(text.utf8.count) }
        guard text.utf8.first == UInt8(ascii: "/") else { throw .relative(text) }
        guard !hasControl else { throw .controlCharacter(text) }
        if isNormal {
            string = text
            return
        }
        var kept: [Substring] = []
        for part in text.split(separator: "/", omittingEmptySubsequences: true) {
            switch part {
            case ".": continue
            case "..":
                guard kept.popLast() != nil else { throw .leavesRoot(text) }
            default: kept.append(part)
            }
        }
        string = "/" + kept.joined(separator: "/")
    }

    /// One look at the bytes, since nearly every path is normal: whether it has no empty, `.` or `..` component, and
    /// whether it has a control character (C0, DEL, or C1 as UTF-8).
    private static func scan(_ text: String) -> (isNormal: Bool, hasControl: Bool) {
        var text = text
        return text.withUTF8 { bytes in
            let last = unsafe bytes.last
            var normal = bytes.count == 1 || last != UInt8(ascii: "/")
            var control = false
            var previous: UInt8 = 0
            for index in bytes.indices {
                let byte = unsafe bytes[index]
                if byte < 0x20 || byte == 0x7F || previous == 0xC2 && byte < 0xA0 { control = true }
                // A component that begins with a dot or a slash may be one of those; the slow way decides.
                if previous == UInt8(ascii: "/"), byte == UInt8(ascii: "/") { normal = false }
                if previous == UInt8(ascii: "/"), byte == UInt8(ascii: ".") {
                    let next = index + 1 < bytes.count ? unsafe bytes[index + 1] : UInt8(ascii: "/")
                    if next == UInt8(ascii: "/") || next == UInt8(ascii: ".") { normal = false }
                }
                previous = byte
            }
            return (normal, control)
        }
    }

    private init(trusted: String) { string = trusted }

    /// A path that the source code spells out; a mistake there is a programming error and traps.
    package init(literal: StaticString) {
        do throws(Refusal) { self = try AbsolutePath(literal.description) } catch {
            preconditionFailure("bad path literal \(literal): \(error)")
        }
    }

    package var description: String { string }

    /// The components, without the root.
    package var components: [Substring] { string.split(separator: "/") }

    /// The last component; empty for the root.
    package var lastComponent: String { components.last.map(String.init) ?? "" }

    /// The directory that holds this path; the root's parent is the root.
    package var parent: AbsolutePath {
        guard let slash = string.utf8.lastIndex(of: UInt8(ascii: "/")), slash != string.startIndex else {
            return .root
        }
        return AbsolutePath(trusted: String(string[..<slash]))
    }

    /// All directories from just below the root down to the parent, outermost first.
    package var ancestors: [AbsolutePath] {
        var all: [AbsolutePath] = []
        var at = self.parent
        while at != .root {
            all.append(at)
            at = at.parent
        }
        return all.reversed()
    }

    /// This path with a relative path added; `..` may not leave this path.
    package func appending(_ relative: String) throws(Refusal) -> AbsolutePath {
        let joined = try AbsolutePath(string + "/" + relative)
        guard joined.isSame(orBelow: self) else { throw .leavesRoot(relative) }
        return joined
    }

    /// This path with one component from the source code added.
    package func appending(literal component: StaticString) -> AbsolutePath {
        AbsolutePath(trusted: (self == .root ? "" : string) + "/" + component.description)
    }

    /// Whether this path is `other` or lies below it, compared by component.
    package func isSame(orBelow other: AbsolutePath) -> Bool {
        if other == .root || self == other { return true }
        return string.utf8.starts(with: other.string.utf8)
            && string.utf8.dropFirst(other.string.utf8.count).first == UInt8(ascii: "/")
    }

    /// The part of this path below `other`, without a leading slash; nil if it is not below.
    package func relative(to other: AbsolutePath) -> String? {
        guard isSame(orBelow: other), self != other else { return nil }
        return String(string.dropFirst(other == .root ? 1 : other.string.count + 1))
    }

    package static func < (left: AbsolutePath, right: AbsolutePath) -> Bool { left.string < right.string }
}
