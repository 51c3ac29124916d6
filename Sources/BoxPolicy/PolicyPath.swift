package import BoxTypes

/// A path as `[files]` takes it: absolute, or `~` and `~/…` for the user's home; no `..`, pattern or variable.
package struct PolicyPath: Hashable, Sendable, CustomStringConvertible {
    /// The text as it was written.
    package let description: String
    private let belowHome: Bool
    private let path: AbsolutePath

    /// Parses; what it refuses it refuses with a reason, so that nothing reads as more or less than it is.
    package init(_ text: String) throws(UnitRefusal) {
        description = text
        belowHome = text == "~" || text.hasPrefix("~/")
        guard belowHome || text.hasPrefix("/") else {
            throw UnitRefusal("\"\(text)\" must begin with / or ~/")
        }
        // A pattern or variable that is taken as a plain name would silently protect or open nothing.
        if let sign = text.first(where: { "*?[$".contains($0) }) {
            throw UnitRefusal("\"\(text)\": \(sign) is not supported; name the path itself")
        }
        guard !text.split(separator: "/").contains("..") else {
            throw UnitRefusal("\"\(text)\": write the path without ..")
        }
        do throws(AbsolutePath.Refusal) {
            path = try AbsolutePath(belowHome ? "/" + text.dropFirst() : text)
        } catch { throw UnitRefusal(error.description) }
    }

    /// Whether this is another path or lies below it, by whole components. A path below the home is never compared with
    /// an absolute one.
    func isSame(orBelow other: PolicyPath) -> Bool {
        belowHome == other.belowHome && path.isSame(orBelow: other.path)
    }

    /// The path on the host.
    package func resolved(home: AbsolutePath) throws(AbsolutePath.Refusal) -> AbsolutePath {
        belowHome ? try home.appending(String(path.string.dropFirst())) : path
    }
}
