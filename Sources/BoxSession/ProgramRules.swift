internal import BoxKernel
internal import BoxPlan
internal import BoxTypes

/// What may be let in for a program's sake: decided by paths, with a look at what lies beside them.
struct ProgramRules {
    /// The user's home as written and, if that differs, as it really is.
    let homes: [AbsolutePath]
    let projects: [AbsolutePath]

    init(home: AbsolutePath, project: AbsolutePath?) {
        homes = ProgramRules.spellings(home)
        // A directory that holds the home is no project: box stages none there, but may be started there without one.
        let homes = homes
        projects = (project.map(ProgramRules.spellings) ?? []).filter { project in
            !homes.contains { $0.isSame(orBelow: project) }
        }
    }

    private static func spellings(_ path: AbsolutePath) -> [AbsolutePath] {
        guard let real = HostPath.real(path), real != path else { return [path] }
        return [path, real]
    }

    var home: AbsolutePath { homes[0] }

    // MARK: - Refusals

    /// Whether a path is inside anyway.
    static func isSystem(_ path: AbsolutePath) -> Bool {
        ["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"].contains { path.components.first == $0 }
    }

    func isInProject(_ path: AbsolutePath) -> Bool { projects.contains { path.isSame(orBelow: $0) } }

    /// Why a directory or file must not be let in for a program.
    func refusal(_ path: AbsolutePath) -> String? {
        if isInProject(path) { return "\(path) lies in the project, which must not choose what runs" }
        if projects.contains(where: { $0.isSame(orBelow: path) }) {
            return "it needs \(path), in which the project itself lies"
        }
        for home in homes where home.isSame(orBelow: path) { return "it needs all of \(path)" }
        if isBroad(path) || ProgramRules.commonPlaces.contains(path) { return "it needs all of \(path)" }
        for secret in secrets where path.isSame(orBelow: secret) || secret.isSame(orBelow: path) {
            return "it needs \(path), and \(secret) holds keys or logins"
        }
        let first = path.components.first
        if first == "proc" || first == "sys" || first == "dev" {
            return "it lies in \(path), made anew inside"
        }
        return nil
    }

    private static let commonPlaces: Set<AbsolutePath> = [
        .root, AbsolutePath(literal: "/home"), AbsolutePath(literal: "/root"), AbsolutePath(literal: "/opt"),
        AbsolutePath(literal: "/etc"), AbsolutePath(literal: "/var"), AbsolutePath(literal: "/var/lib"),
        AbsolutePath(literal: "/tmp"), AbsolutePath(literal: "/var/tmp"), AbsolutePath(literal: "/run"),
        AbsolutePath(literal: "/srv"), AbsolutePath(literal: "/mnt"), AbsolutePath(literal: "/media"),
        AbsolutePath(literal: "/nix"), AbsolutePath(literal: "/snap"), AbsolutePath(literal: "/boot"),
    ]

    private var secrets: [AbsolutePath] {
        homes.flatMap { home in Planner.secretNames.compactMap { try? home.appending($0) } }
    }

    /// Whether a directory is one of those that hold everything of some kind.
    func isBroad(_ path: AbsolutePath) -> Bool {
        homes.contains { home in
            home.isSame(orBelow: path)
                || path.relative(to: home).map(ProgramRules.broadNames.contains) ?? false
        }
    }

    private static let broadNames: Set<String> = [
        ".config", ".local", ".local/bin", ".local/share", ".local/lib", ".local/state", ".local/opt",
        ".cache", "bin",
        "sbin", "opt", "lib", "share", "src", "Desktop", "Documents", "Downloads", "Projects", "projects",
        "code", "work",
        ".cargo", ".cargo/bin", "go", "go/bin", ".claude", ".codex", ".gemini", ".copilot", ".cursor",
        ".factory",
        ".qwen", ".amp", ".pi", ".openclaw", ".opencode",
    ]

    // MARK: - Places

    /// What has to be readable for a program's file at its real path: the installation it belongs to where there is a
    /// known one, else the file alone; nil if it is there anyway.
    func place(of file: AbsolutePath) -> AbsolutePath? {
        if ProgramRules.isSystem(file) { return nil }
        let place =
            ProgramRules.versionPlace(file) ?? ProgramRules.sharedPlace(file) ?? ProgramRules.packagesPlace(
                file)
            ?? installation(file)
        guard let place, !isBroad(place) else { return file }
        return place
    }

    /// The directory of one version, where a version manager has one for each.
    static func versionPlace(_ file: AbsolutePath) -> AbsolutePath? {
        let parts = file.components
        for (index, part) in parts.enumerated() where index > 0 {
            let depth: Int? =
                switch part {
                // nvm has one level more.
                case "versions": index + 1 < parts.count && parts[index + 1] == "node" ? 2 : 1
                // fnm
                case "node-versions": 2
                // asdf and mise
                case "installs": 2
                default: nil
                }
            guard let depth, index + depth < parts.count - 1 else { continue }
            return path(parts[...(index + depth)])
        }
        return nil
    }

    /// The Nix store, Homebrew's prefix, a directory in `/opt`: many programs share what lies there.
    private static func sharedPlace(_ file: AbsolutePath) -> AbsolutePath? {
        let parts = file.components
        if parts.starts(with: ["nix", "store"]) { return path(parts[..<2]) }
        if let cellar = parts.firstIndex(of: "Cellar"), cellar > 0 { return path(parts[..<cellar]) }
        if parts.first == "opt", parts.count > 2 { return path(parts[..<2]) }
        return nil
    }

    /// A package of Python's; the outermost `node_modules`, in which a package finds the others; with pnpm, what holds its `.pnpm`, or the links
    /// of its store.
    static func packagesPlace(_ file: AbsolutePath) -> AbsolutePath? {
        let parts = file.components
        // A program in a package of Python's has its other files beside it in the package.
        if let packages = parts.firstIndex(where: { ["site-packages", "dist-packages"].contains($0) }),
            packages > 0, packages + 2 < parts.count
        {
            return path(parts[...(packages + 1)])
        }
        guard let modules = parts.firstIndex(of: "node_modules"), modules > 0 else { return nil }
        if let own = parts[..<modules].firstIndex(of: ".pnpm"), own > 0 { return path(parts[..<own]) }
        if let links = parts[..<modules].firstIndex(of: "links"), links > 1, parts[links - 2] == "store" {
            return path(parts[...links])
        }
        return path(parts[...modules])
    }

    /// The directory above `bin` of an interpreter, which finds its library by it.
    private func installation(_ file: AbsolutePath) -> AbsolutePath? {
        guard file.parent.lastComponent == "bin" else { return nil }
        let prefix = file.parent.parent
        if HostPath.kind(prefix.appending(literal: "conda-meta")) == .directory { return prefix }
        guard ProgramRules.isInterpreter(file.lastComponent),
            HostPath.kind(prefix.appending(literal: "lib")) == .directory
        else { return nil }
        return prefix
    }

    static func isInterpreter(_ name: String) -> Bool {
        isPython(name) || ["node", "nodejs", "ruby", "perl", "php", "java", "lua"].contains(name)
    }

    static func isPython(_ name: String) -> Bool {
        let rest: Substring
        if name.hasPrefix("python") {
            rest = name.dropFirst(6)
        } else if name.hasPrefix("pypy") {
            rest = name.dropFirst(4)
        } else {
            return false
        }
        return rest.allSatisfy { $0.isNumber || $0 == "." || $0 == "t" }
    }

    /// The package that a script of node belongs to, if it is not in a `node_modules`: one that was linked.
    func package(of file: AbsolutePath) -> AbsolutePath? {
        var directory = file.parent
        while directory != .root, !isBroad(directory), !ProgramRules.commonPlaces.contains(directory) {
            if HostPath.kind(directory.appending(literal: "package.json")) == .file { return directory }
            directory = directory.parent
        }
        return nil
    }

    private static func path(_ parts: ArraySlice<Substring>) -> AbsolutePath? {
        try? AbsolutePath("/" + parts.joined(separator: "/"))
    }
}
