internal import BoxKernel
internal import BoxPlan
internal import BoxPolicy
internal import BoxStage
package import BoxTypes
internal import Glibc

extension HostFacts.Project {
    /// The project at a directory, by its canonical path, with its control files and the mounts below it.
    static func find(
        _ directory: String, workspace: Policy.Workspace
    ) throws(SessionError) -> HostFacts.Project {
        let place = try open(directory)
        let path = try canonicalPath(of: place, step(directory))
        var project = HostFacts.Project(
            path: path, node: HostFacts.Node(try requireStatus(place, step(directory))))
        switch workspace.mode {
        case .none: return project
        case .direct: project.controls = controls(of: path)
        case .overlay, .copy:
            add(ControlFiles.policy, in: path, to: &project.controls)
            try addGitDirectories(to: &project)
        }
        project.mounts = try mounts(below: path)
        do throws(StageError) {
            project.hidden = try HideWalk.find(HideRules(workspace.hide), in: path.string)
        } catch { throw SessionError(step: error.step, reason: error.reason, hint: error.hint) }
        if workspace.mode == .direct, let odd = project.hidden.first(where: { $0.text == nil }) {
            throw SessionError(
                step: "hide \(odd.escaped)",
                reason: "its name is not UTF-8. Rename it, or use --workspace overlay")
        }
        return project
    }

    private static func step(_ directory: String) -> String {
        "use \(directory.escapedForTerminal) as the project"
    }

    private static func open(_ directory: String) throws(SessionError) -> Descriptor {
        do throws(KernelError) { return try Descriptor.open(directory, O_RDONLY | O_DIRECTORY) } catch {
            let hint =
                switch error.code {
                case ENOENT: "Change to a directory that exists"
                case EACCES: "You may not read it"
                case ENOTDIR: "It is not a directory"
                default: ""
                }
            throw SessionError(step: step(directory), error, hint: hint)
        }
    }

    /// The canonical path of the project at a directory.
    package static func canonicalPath(of directory: String) throws(SessionError) -> AbsolutePath {
        try canonicalPath(of: open(directory), step(directory))
    }

    private static func canonicalPath(
        of place: borrowing Descriptor, _ step: String
    ) throws(SessionError) -> AbsolutePath {
        // The path is asked of the kernel for this very directory: links are resolved once.
        guard let canonical = SmallFile.readLink("/proc/self/fd/\(place.number)"), canonical.hasPrefix("/")
        else {
            throw SessionError(step: step, reason: "its path cannot be found; is /proc mounted?")
        }
        guard !canonical.hasSuffix(" (deleted)") else {
            throw SessionError(step: step, reason: "it was deleted. Change to a directory that exists")
        }
        do throws(AbsolutePath.Refusal) { return try AbsolutePath(canonical) } catch {
            throw SessionError(step: step, reason: "\(error). Rename the directory")
        }
    }

    /// The git directory of a linked worktree or of a submodule lies elsewhere; it is staged as well.
    private static func addGitDirectories(to project: inout HostFacts.Project) throws(SessionError) {
        let found = try GitDirectories.outside(project: project.path)
        project.gitObstacle = found.obstacle
        for path in found.directories {
            do throws(KernelError) {
                let status = try FileStatus.of(path.string, following: false)
                project.gitDirectories.append(
                    HostFacts.GitDirectory(path: path, node: HostFacts.Node(status)))
            } catch { throw SessionError(step: "let the project's git directory in", error) }
        }
    }

    private static func requireStatus(
        _ place: borrowing Descriptor, _ step: String
    ) throws(SessionError) -> FileStatus {
        do throws(KernelError) { return try FileStatus.of(place.number) } catch {
            throw SessionError(step: step, error)
        }
    }

    private static func controls(of project: AbsolutePath) -> [String: HostFacts.Node.Kind] {
        var found: [String: HostFacts.Node.Kind] = [:]
        for name in ControlFiles.atRoot + [".git"] { add(name, in: project, to: &found) }
        if found[".git"] == .directory { addGit(".git", in: project, to: &found, depth: 0) }
        return found
    }

    private static func add(
        _ name: String, in project: AbsolutePath, to found: inout [String: HostFacts.Node.Kind]
    ) {
        let path = project.string + "/" + name
        guard let status = try? FileStatus.of(path, following: false) else { return }
        // A placeholder that another session of this project holds, or that one left behind.
        if Placeholders.isPlaceholder(path, status) { return }
        found[name] = HostFacts.Node.Kind(status, path: path)
    }

    /// A git directory's control files, and those of its submodules.
    private static func addGit(
        _ directory: String, in project: AbsolutePath, to found: inout [String: HostFacts.Node.Kind],
        depth: Int
    ) {
        for name in ControlFiles.inGitDirectory { add(directory + "/" + name, in: project, to: &found) }
        addModules(directory + "/modules", in: project, to: &found, depth: depth + 1)
    }

    /// The git directories of submodules; a submodule's name may have slashes.
    private static func addModules(
        _ directory: String, in project: AbsolutePath, to found: inout [String: HostFacts.Node.Kind],
        depth: Int
    ) {
        // A tree of submodules this deep is not one that git made.
        guard depth < 16 else { return }
        for name in DirectoryListing.names(of: project.string + "/" + directory) {
            let below = directory + "/" + name
            let path = project.string + "/" + below
            guard (try? FileStatus.of(path, following: false))?.kind == .directory else { continue }
            found[directory] = .directory
            found[below] = .directory
            if (try? FileStatus.of(path + "/HEAD", following: false)) != nil {
                addGit(below, in: project, to: &found, depth: depth + 1)
            } else {
                addModules(below, in: project, to: &found, depth: depth + 1)
            }
        }
    }

    /// The mounts below the project: they are other file systems, and left out.
    private static func mounts(below project: AbsolutePath) throws(SessionError) -> [String] {
        // Without the list, mounts below the project would come along unseen.
        let text: [UInt8]
        do throws(KernelError) {
            text = try Descriptor.open("/proc/self/mountinfo", O_RDONLY).readAll(limit: 64 << 20)
        } catch { throw SessionError(step: "find the mounts below the project", error) }
        var found: Set<String> = []
        for line in ByteLines(text).holding(" " + escapeMountinfo(project.string) + "/") {
            let fields = line.split(separator: " ")
            guard fields.count > 4, let path = try? AbsolutePath(unescapeMountinfo(fields[4])),
                let below = path.relative(to: project)
            else { continue }
            found.insert(below)
        }
        // What lies below another one goes with it.
        return found.filter { name in !found.contains { name.hasPrefix($0 + "/") } }.sorted()
    }

    /// As the kernel writes a path: space, tab, newline, backslash and `#` as octal digits.
    private static func escapeMountinfo(_ path: String) -> String {
        var text = ""
        for character in path.unicodeScalars {
            switch character {
            case " ": text += "\\040"
            case "\t": text += "\\011"
            case "\n": text += "\\012"
            case "\\": text += "\\134"
            case "#": text += "\\043"
            default: text.unicodeScalars.append(character)
            }
        }
        return text
    }

    /// The kernel writes space, tab, newline and backslash as three octal digits.
    private static func unescapeMountinfo(_ field: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(field.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\"), rest.count >= 3,
                let value = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8)
            {
                bytes.append(value)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
