internal import BoxKernel
internal import BoxTypes
internal import Glibc

/// Single files as the agent sees them.
final class AgentFiles {
    let walk: ChangeWalk
    private let view: MergedView

    init(_ walk: ChangeWalk) {
        self.walk = walk
        view = MergedView(walk)
    }

    /// What the agent sees at a path; nil if nothing.
    func node(_ tree: Int, _ path: BytePath) throws(StageError) -> Node? {
        guard try view.has(tree, path) else { return nil }
        let trees = walk.trees[tree]
        do throws(KernelError) {
            if let upper = try trees.upper.tree.nodeDeep(path) { return upper }
            return try trees.host.tree.nodeDeep(path)
        } catch { throw StageError("look at \(path.escaped) in the stage", error) }
    }

    /// The content of a small file; nil if there is none.
    func content(_ tree: Int, _ path: BytePath) throws(StageError) -> [UInt8]? {
        guard try node(tree, path)?.kind == .file else { return nil }
        let trees = walk.trees[tree]
        do throws(KernelError) {
            let isInUpper = try trees.upper.tree.nodeDeep(path) != nil
            let file =
                isInUpper
                ? try trees.upper.tree.openDeep(path, O_RDONLY) : try trees.host.tree.openDeep(path, O_RDONLY)
            return try file.readAll(limit: 64 << 20)
        } catch { throw StageError("read \(path.escaped) in the stage", error) }
    }

    /// The content of a small file of the host; nil if there is none.
    func hostContent(_ tree: Int, _ path: BytePath) throws(StageError) -> [UInt8]? {
        let host = walk.trees[tree].host
        do throws(KernelError) {
            guard try host.tree.nodeDeep(path)?.kind == .file else { return nil }
            return try host.tree.openDeep(path, O_RDONLY).readAll(limit: 64 << 20)
        } catch { throw StageError("read \(path.escaped) on the host", error) }
    }
}

/// Git's own directories among a stage's paths.
enum GitDirectory {
    /// The git directory that a change lies in; nil if in none. Trees beside the project are git directories.
    static func containing(_ change: Change) -> ApplyRequest.Place? {
        if change.tree > 0 { return ApplyRequest.Place(tree: change.tree, path: .root) }
        for path in change.path.ancestors where path.name.elementsEqual(".git".utf8) {
            return ApplyRequest.Place(tree: 0, path: path)
        }
        return nil
    }
}

/// The agent's commits as a branch of their own: its objects, and one new reference to the commit that its HEAD is.
///
/// Objects are named by their content, so they conflict with nothing. The index, HEAD, all other references and the logs
/// stay what they are on the host, and so does the work tree but for paths that are named.
struct AgentBranch {
    /// The directory that has the objects and references: in a linked worktree another one than its own.
    private let common: ApplyRequest.Place
    private let path: BytePath
    private let commit: [UInt8]

    init(_ name: String, _ files: AgentFiles) throws(StageError) {
        let step = "make the branch \(name.escapedForTerminal)"
        guard let path = AgentBranch.path(of: name) else {
            throw StageError(step, reason: "git takes no such name for a branch")
        }
        let own = try AgentBranch.ownDirectory(files, step)
        let common = try AgentBranch.commonDirectory(own, files, step)
        self.common = common
        self.path = common.path.appending(path)
        if try files.node(common.tree, common.path.appending(AgentBranch.known("reftable"))) != nil {
            throw StageError(step, reason: "the repository keeps its references in a reftable")
        }
        commit = try AgentBranch.head(own, common, files, step)
        try AgentBranch.requireFree(path, common, files, step)
    }

    private static func known(_ text: StaticString) -> BytePath {
        guard let path = BytePath(text.description) else { preconditionFailure("bad path literal") }
        return path
    }

    /// The change that makes the branch.
    var reference: WantedChange {
        let line = commit + [UInt8(ascii: "\n")]
        var change = WantedChange(
            tree: common.tree, path: path, content: .file(size: line.count), mode: 0o644, modified: .now(),
            open: { () throws(StageError) in
                do throws(KernelError) { return try MemoryFile.sealed(line, name: "branch") } catch {
                    throw StageError("make the branch", error)
                }
            }, isExpected: { (host) throws(StageError) in host == nil })
        change.isChange = false
        return change
    }

    /// Whether a path is a directory of references on the way to the branch.
    func needs(_ tree: Int, _ directory: BytePath) -> Bool {
        tree == common.tree && path.isSame(orBelow: directory) && path != directory
            && directory.isSame(orBelow: common.path.appending(AgentBranch.known("refs/heads")))
    }

    /// Whether a change adds an object, loose or packed.
    func hasObject(_ change: Change) -> Bool {
        guard change.tree == common.tree, change.kind == .added, change.new?.kind == .file,
            let inside = change.path.relative(to: common.path)
        else { return false }
        let parts = inside.components
        guard parts.count == 3, parts[0].elementsEqual("objects".utf8) else { return false }
        let name = parts[2]
        if parts[1].elementsEqual("pack".utf8) {
            guard name.starts(with: "pack-".utf8), let dot = name.lastIndex(of: UInt8(ascii: ".")) else {
                return false
            }
            let ends = [".pack", ".idx", ".rev"]
            return name[..<dot].dropFirst(5).allSatisfy(AgentBranch.isHex)
                && ends.contains { name[dot...].elementsEqual($0.utf8) }
        }
        return parts[1].count == 2 && [38, 62].contains(name.count) && parts[1].allSatisfy(AgentBranch.isHex)
            && name.allSatisfy(AgentBranch.isHex)
    }

    /// Whether a change is about the repository itself.
    func isInRepository(_ change: Change) -> Bool { GitDirectory.containing(change) != nil }

    private static func isHex(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
    }

    // MARK: - Names

    /// The reference of a branch's name; nil if git would not take it (git-check-ref-format(1)).
    static func path(of name: String) -> BytePath? {
        let bad: Set<UInt8> = Set(" ~^:?*[\\\u{7F}".utf8)
        let bytes = Array(name.utf8)
        guard !bytes.isEmpty, bytes.first != UInt8(ascii: "-"), name != "@", name != "HEAD",
            !name.contains(".."), !name.contains("@{"), bytes.last != UInt8(ascii: "."),
            bytes.allSatisfy({ $0 >= 0x20 && !bad.contains($0) }), let path = BytePath(bytes),
            path.components.allSatisfy({
                $0.first != UInt8(ascii: ".") && !$0.suffix(5).elementsEqual(".lock".utf8)
            })
        else { return nil }
        return known("refs/heads").appending(path)
    }

    private static func requireFree(
        _ path: BytePath, _ common: ApplyRequest.Place, _ files: AgentFiles, _ step: String
    ) throws(StageError) {
        let taken = StageError(step, reason: "there is one of this name, or one whose name is a part of it")
        func look(_ below: BytePath) throws(StageError) -> Node? {
            let asked = Change(tree: common.tree, path: common.path.appending(below), kind: .added)
            return try files.walk.hostNode(asked)
        }
        guard try look(path) == nil, try files.node(common.tree, common.path.appending(path)) == nil else {
            throw taken
        }
        // Below refs/heads.
        for above in path.ancestors.dropFirst(2) {
            if let node = try look(above), node.kind != .directory { throw taken }
        }
        let packed = try files.hostContent(common.tree, common.path.appending(known("packed-refs"))) ?? []
        for (_, name) in references(packed) {
            guard let other = BytePath(Array(name)) else { continue }
            if other.isSame(orBelow: path) || (path.isSame(orBelow: other)) { throw taken }
        }
    }

    // MARK: - Where the repository is

    /// The git directory of the project.
    private static func ownDirectory(
        _ files: AgentFiles, _ step: String
    ) throws(StageError) -> ApplyRequest.Place {
        let git = known(".git")
        let missing = StageError(step, reason: "the project is no git repository whose directory is staged")
        guard let node = try files.node(0, git) else { throw missing }
        if node.kind == .directory { return ApplyRequest.Place(tree: 0, path: git) }
        guard let text = try files.content(0, git), text.starts(with: "gitdir: ".utf8),
            let place = place(
                Array(text.dropFirst(8)), from: ApplyRequest.Place(tree: 0, path: .root), files.walk.stage)
        else { throw missing }
        return place
    }

    private static func commonDirectory(
        _ own: ApplyRequest.Place, _ files: AgentFiles, _ step: String
    ) throws(StageError) -> ApplyRequest.Place {
        guard let text = try files.content(own.tree, own.path.appending(known("commondir"))) else {
            return own
        }
        guard let place = place(text, from: own, files.walk.stage) else {
            throw StageError(step, reason: "the repository that the project belongs to is not staged")
        }
        return place
    }

    /// A path in a file of git's, as a place in the stage's trees.
    private static func place(
        _ text: [UInt8], from place: ApplyRequest.Place, _ stage: Stage
    ) -> ApplyRequest.Place? {
        let line = text.prefix { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") }
        var parts: [ArraySlice<UInt8>] = []
        let slash = UInt8(ascii: "/")
        if line.first != slash {
            parts = Array(stage.roots[place.tree].host.string.utf8).split(separator: slash)
            parts += place.path.components
        }
        for part in line.split(separator: slash) where !part.elementsEqual(".".utf8) {
            if part.elementsEqual("..".utf8) { _ = parts.popLast() } else { parts.append(part) }
        }
        guard let whole = BytePath(Array(parts.joined(separator: [slash]))) else { return nil }
        for tree in stage.roots.indices {
            let host = Array(stage.roots[tree].host.string.utf8.dropFirst())
            if let host = BytePath(host), let path = whole.relative(to: host) {
                return ApplyRequest.Place(tree: tree, path: path)
            }
        }
        return nil
    }

    // MARK: - What HEAD is

    private static func head(
        _ own: ApplyRequest.Place, _ common: ApplyRequest.Place, _ files: AgentFiles, _ step: String
    ) throws(StageError) -> [UInt8] {
        let unborn = StageError(step, reason: "the agent's HEAD is no commit")
        guard let text = try files.content(own.tree, own.path.appending(known("HEAD"))) else { throw unborn }
        var line = Array(text.prefix { $0 != UInt8(ascii: "\n") })
        // A reference may name another one; git follows five.
        for _ in 0..<5 {
            if isObject(line) { return line }
            guard line.starts(with: "ref: ".utf8), let name = BytePath(Array(line.dropFirst(5))) else {
                throw unborn
            }
            if let found = try files.content(common.tree, common.path.appending(name)) {
                line = Array(found.prefix { $0 != UInt8(ascii: "\n") })
                continue
            }
            let packed = try files.content(common.tree, common.path.appending(known("packed-refs"))) ?? []
            guard let found = references(packed).first(where: { $0.name.elementsEqual(name.bytes) }) else {
                throw unborn
            }
            return Array(found.object)
        }
        throw unborn
    }

    private static func isObject(_ text: [UInt8]) -> Bool {
        [40, 64].contains(text.count) && text.allSatisfy(isHex)
    }

    /// The lines of a `packed-refs` file that name a reference.
    private static func references(
        _ text: [UInt8]
    ) -> [(object: ArraySlice<UInt8>, name: ArraySlice<UInt8>)] {
        text.split(separator: UInt8(ascii: "\n")).compactMap { line in
            guard let space = line.firstIndex(of: UInt8(ascii: " ")), isObject(Array(line[..<space])) else {
                return nil
            }
            return (line[..<space], line[(space + 1)...])
        }
    }
}
