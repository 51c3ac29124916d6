internal import BoxKernel
package import BoxTypes

/// How much attention each change needs: what it could make a program on the host do once it is applied.
///
/// *Blocked* is what programs obey or run without being asked; *confirm* is what runs by common commands, or what a
/// reviewer would not expect. The reason says in one short sentence what would happen on the host.
package struct RiskRules: Sendable {
    /// The hidden paths of each tree, folded, so that another spelling of one does not overwrite it.
    private let hidden: [Set<[String]>]

    /// The directories whose files git runs as hooks, folded.
    private let hooks: Set<[String]>

    /// The rules for a stage's changes; `hooks` is what `hookDirectories(of:)` finds.
    package init(_ stage: Stage, hooks: [BytePath] = []) {
        self.hooks = Set(hooks.map { $0.components.map { FoldedName($0).folded } })
        hidden = stage.roots.map { root in
            Set(root.hidden.map { $0.components.map { FoldedName($0).folded } })
        }
    }

    /// The verdict on one change: the highest risk of all that apply, with its reason.
    package func verdict(_ change: Change, content: RiskContent) throws(StageError) -> Verdict {
        let path = RiskPath(change.path)
        if let verdict = special(change) ?? hiding(change, path) { return verdict }
        let git = try gitPlace(change, path, content)
        if case .blocked(let reason) = git { return Verdict(.blocked, reason) }
        let isGit = git != .none
        if !isGit, let verdict = blocked(change, path) { return verdict }
        if let verdict = link(change, isGit: isGit) { return verdict }
        return try confirmed(change, path, git, content) ?? .normal
    }

    /// What changes of a whole session need together: many deletions may be a mistake.
    package static func sweeping(deleted: Int) -> Verdict {
        guard deleted > 100 else { return .normal }
        return Verdict(.confirm, "\(deleted) files are deleted")
    }

    // MARK: - What is never applied

    /// What a project cannot have: devices, FIFOs and sockets.
    private func special(_ change: Change) -> Verdict? {
        switch change.new?.kind {
        case .characterDevice, .blockDevice:
            Verdict(.blocked, "a device file, which box never makes", isUnappliable: true)
        case .fifo: Verdict(.blocked, "a FIFO, which holds nothing to copy", isUnappliable: true)
        case .socket: Verdict(.blocked, "a socket, which holds nothing to copy", isUnappliable: true)
        case .file, .directory, .link, nil: nil
        }
    }

    /// Where the policy hides something: the agent never saw what is there, so nothing may take its place.
    private func hiding(_ change: Change, _ path: RiskPath) -> Verdict? {
        guard change.tree < hidden.count, isHidden(path, in: change.tree) else { return nil }
        return Verdict(
            .blocked, "the policy hides what the host has here, so it is left as it is", isUnappliable: true)
    }

    private func isHidden(_ path: RiskPath, in tree: Int) -> Bool {
        path.lies(in: hidden[tree])
    }

    // MARK: - What the tables say

    private func blocked(_ change: Change, _ path: RiskPath) -> Verdict? {
        if change.tree == 0, path.lies(in: hooks) {
            return Verdict(.blocked, "git on the host runs it as a hook")
        }
        guard let row = RiskTable.row(for: path.names, .blocked) else { return nil }
        return Verdict(.blocked, row.reason)
    }

    private func confirmed(
        _ change: Change, _ path: RiskPath, _ git: GitPlace, _ content: RiskContent
    ) throws(StageError) -> Verdict? {
        if let reason = bits(change) { return Verdict(.confirm, reason) }
        if case .confirm(let reason) = git { return Verdict(.confirm, reason) }
        if git == .none, let reason = try listed(change, path, content) { return Verdict(.confirm, reason) }
        if let reason = program(change) { return Verdict(.confirm, reason) }
        if let reason = try name(change, path, content) { return Verdict(.confirm, reason) }
        if git == .none, let reason = try contents(change, content) { return Verdict(.confirm, reason) }
        return nil
    }

    /// Files that common commands, services and agents on the host run or obey.
    private func listed(
        _ change: Change, _ path: RiskPath, _ content: RiskContent
    ) throws(StageError) -> String? {
        // The same content with other permissions runs nothing new.
        guard change.kind != .modeChanged else { return nil }
        if let row = RiskTable.row(for: path.names, .confirm), change.new != nil || row.alsoDeleted {
            return row.reason
        }
        guard change.new?.kind == .file, let manifest = ScriptManifests.named(path.last.base) else {
            return nil
        }
        return try manifest.reason(change, content)
    }
}

/// A path with its names as other file systems see them.
struct RiskPath {
    let path: BytePath
    let names: [FoldedName]

    init(_ path: BytePath) {
        self.path = path
        names = path.components.map { FoldedName($0) }
    }

    /// Whether it is one of these paths or lies below one.
    func lies(in places: Set<[String]>) -> Bool {
        guard !places.isEmpty, !names.isEmpty else { return false }
        let all = names.map(\.folded)
        return (1...all.count).contains { places.contains(Array(all.prefix($0))) }
    }

    var last: FoldedName { names.last ?? FoldedName([]) }
}
