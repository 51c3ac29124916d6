package import BoxTypes

/// Finds names that are one on file systems which tell no case or normalise Unicode: `Readme` and `README`. Copied to
/// such a file system, or checked out there, one overwrites the other.
///
/// Asked in the order of a walk it reads each directory with something new in it once, and keeps only the directories
/// on the way to the present path.
package struct CaseTwins {
    /// The names in a directory as the agent sees it.
    package typealias Names = (_ tree: Int, _ directory: BytePath) throws(StageError) -> [[UInt8]]

    private struct Level {
        let directory: BytePath
        /// Folded names that occur more than once, with all who have them.
        let groups: [String: [[UInt8]]]
    }

    private let names: Names
    private var tree = 0
    private var levels: [Level] = []

    package init(names: @escaping Names) { self.names = names }

    /// The first twin of a new name, or of one of its directories; nil if there is none.
    package mutating func twin(of change: Change) throws(StageError) -> BytePath? {
        guard change.new != nil, change.old == nil else { return nil }
        if change.tree != tree { (tree, levels) = (change.tree, []) }
        levels.removeAll { !change.path.isSame(orBelow: $0.directory) || $0.directory == change.path }
        let directories = [.root] + change.path.ancestors
        for (index, directory) in directories.enumerated() {
            if index >= levels.count { levels.append(try level(directory)) }
            let below = index + 1 < directories.count ? directories[index + 1] : change.path
            let name = Array(below.name)
            let group = levels[index].groups[FoldedName(name).folded] ?? []
            if let other = group.first(where: { $0 != name }) { return directory.appending(other) }
        }
        return nil
    }

    private func level(_ directory: BytePath) throws(StageError) -> Level {
        Level(directory: directory, groups: CaseTwins.groups(try names(tree, directory)))
    }

    /// The names that are one to some file system, by their common folded form.
    package static func groups(_ names: [[UInt8]]) -> [String: [[UInt8]]] {
        var all: [String: [[UInt8]]] = [:]
        for name in names { all[FoldedName(name).folded, default: []].append(name) }
        return all.filter { $0.value.count > 1 }
    }
}
