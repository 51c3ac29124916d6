internal import BoxKernel
internal import BoxTypes

/// What a path is to git.
enum GitPlace: Equatable {
    /// Outside of every git directory.
    case none
    /// What git reads as data: objects, refs, HEAD, index, logs.
    case data
    case confirm(String)
    case blocked(String)
}

// A git directory is one named `.git`, one of the stage's trees beyond the first, or any directory that git would
// take for one: it has HEAD, objects and refs, whatever its name.
extension RiskRules {
    private static let newRepository =
        "part of a git repository made inside, whose settings git on the host would obey and run"
    private static let removedRepository =
        "part of a git repository that was removed inside, with its history"

    func gitPlace(
        _ change: Change, _ path: RiskPath, _ content: RiskContent
    ) throws(StageError) -> GitPlace {
        let components = path.path.components
        if let reason = RiskRules.lookAlike(components, path.names) { return .blocked(reason) }
        if path.last.isGit { return .blocked(RiskRules.gitItself(change)) }
        let roots = try gitRoots(change.tree, path, content)
        guard !roots.isEmpty else { return .none }
        if change.new?.kind == .link {
            return .blocked("a link in a git directory, which can lead git to other files of the host")
        }
        var place = GitPlace.data
        for root in roots {
            let at = try RiskRules.place(path, root, content)
            if case .blocked = at { return at }
            if at != .data { place = at }
        }
        return place
    }

    /// A name that some file system takes for `.git` and this one does not.
    private static func lookAlike(_ components: [ArraySlice<UInt8>], _ names: [FoldedName]) -> String? {
        for (component, name) in zip(components, names) {
            if name.isGit, !component.elementsEqual(".git".utf8) {
                return "some file systems take this name for .git, whose settings git obeys"
            }
            if GitNames.isOdd(name, component) {
                return "some file systems take this name for one that makes a git repository"
            }
            // Windows, and what shares files with it, takes each part for a name of its own.
            let parts = component.split(separator: UInt8(ascii: "\\"))
            if parts.count > 1 || component.contains(UInt8(ascii: "\\")),
                parts.contains(where: { FoldedName($0).isGit })
            {
                return "Windows takes this name for one in .git, whose settings git obeys"
            }
        }
        return nil
    }

    private static func gitItself(_ change: Change) -> String {
        if change.kind == .deleted { return removedRepository }
        if change.kind == .modeChanged { return "these permissions say who may change the git repository" }
        return switch change.new?.kind {
        case .link: "a .git that is a link leads git to another directory's settings"
        case .file: "a .git file leads git to another directory's settings"
        case .directory, .characterDevice, .blockDevice, .fifo, .socket, nil: newRepository
        }
    }

    /// How many components each git directory has that the path lies in, the outermost first.
    private func gitRoots(
        _ tree: Int, _ path: RiskPath, _ content: RiskContent
    ) throws(StageError) -> [Int] {
        let names = path.names
        var roots = tree > 0 ? [0] : []
        for index in names.indices {
            let start = roots.last
            // Below `modules` and `worktrees` of a git directory are those of submodules and linked worktrees.
            let isInner = start.map { index > $0 + 1 && names[$0].base == "modules" } ?? false
            let isWorktree = start.map { index == $0 + 2 && names[$0].base == "worktrees" } ?? false
            if isWorktree, start != index {
                roots.append(index)
            } else if start != index, isInner || GitNames.isOfGit(names[index]),
                try RiskRules.isGitDirectory(path.prefix(index), content)
            {
                roots.append(index)
            }
            if names[index].isGit { roots.append(index + 1) }
        }
        return roots
    }

    /// Whether git takes a directory for a git directory, as the agent left it or as it is on the host.
    private static func isGitDirectory(
        _ path: BytePath, _ content: RiskContent
    ) throws(StageError) -> Bool {
        for look in [content.hasName, content.hadName] {
            guard try has(path, "head", look) else { continue }
            if try has(path, "commondir", look) { return true }
            if try has(path, "objects", look), try has(path, "refs", look) { return true }
        }
        return false
    }

    private static func has(
        _ path: BytePath, _ name: StaticString, _ look: RiskContent.Look
    ) throws(StageError) -> Bool {
        for spelling in GitNames.spellings(name) where try look(path.appending(spelling)) { return true }
        return false
    }

    /// What a path is in the git directory that its first components name.
    private static func place(
        _ path: RiskPath, _ root: Int, _ content: RiskContent
    ) throws(StageError) -> GitPlace {
        guard root < path.names.count else { return .data }
        let head = path.prefix(root)
        guard try has(head, "head", content.hadName) else { return .blocked(newRepository) }
        guard try has(head, "head", content.hasName) else { return .blocked(removedRepository) }
        return control(path.names[root...].map(\.base))
    }

    /// What git does with a file of a git directory, by its path there.
    private static func control(_ names: [String]) -> GitPlace {
        switch names[0] {
        case let name where name.hasPrefix("config"):
            return .blocked("git obeys these settings, and they can name programs to run")
        case "hooks": return .blocked("git runs the programs in hooks")
        // The list of refs for web servers, which `git gc` writes and no git reads here.
        case "info": return names == ["info", "refs"] ? .data : .blocked("git obeys what stands in info")
        case "commondir", "gitdir": return .blocked("it leads git to another directory's settings")
        case "remotes", "branches": return .blocked("git fetches from and pushes to the addresses in it")
        case "objects":
            let isOther = names.count == 3 && names[1] == "info" && names[2].contains("alternates")
            return isOther ? .blocked("it leads git to another repository's objects") : .data
        case "rebase-merge" where names.last?.hasPrefix("git-rebase-todo") ?? false:
            return .confirm("`git rebase --continue` runs the exec lines in it")
        default: return .data
        }
    }
}

extension RiskPath {
    /// The directory that the first components name.
    func prefix(_ count: Int) -> BytePath {
        path.components.prefix(count).reduce(BytePath.root) { $0.appending($1) }
    }
}
