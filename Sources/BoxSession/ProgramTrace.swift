internal import BoxKernel
internal import BoxTypes

/// Follows a program from its name to everything that it needs, and gathers that.
struct ProgramTrace {
    /// A program that was found: as it is called, its real path, and the links between.
    struct Found: Equatable {
        let path: AbsolutePath
        let real: AbsolutePath
        var links: [AbsolutePath] = []
    }

    let rules: ProgramRules
    let entries: [AbsolutePath]
    let environment: [String: String]
    var readable: [AbsolutePath] = []
    var searchPath: [AbsolutePath] = []
    var names: [String: AbsolutePath] = [:]
    var wanted: [AbsolutePath: AbsolutePath] = [:]
    var variables: [String: String] = [:]
    /// How many programs led to each other; wrappers may run in a circle.
    var depth = 0

    init(rules: ProgramRules, searchPath: String, environment: [String: String]) {
        self.rules = rules
        self.environment = environment
        // A relative entry, and an empty one, is a directory of the project where box starts.
        entries = searchPath.split(separator: ":", omittingEmptySubsequences: false).compactMap { entry in
            if entry.hasPrefix("/") { return HostPath.parsed(String(entry)) }
            return rules.projects.first.flatMap { HostPath.parsed("\($0)/\(entry)") }
        }
    }

    // MARK: - By name

    /// Finds a program by name or absolute path; nil if there is none.
    mutating func find(_ name: String) throws(ProgramObstacle) -> Found? {
        if name.hasPrefix("/"), let path = HostPath.parsed(name) {
            return try follow(path, named: path.lastComponent)
        }
        guard !name.isEmpty, !name.contains("/"), name != ".", name != ".." else {
            throw ProgramObstacle(reason: "a program is named by its name alone or by its absolute path")
        }
        var obstacles: [String] = []
        var later: [AbsolutePath] = []
        var seen: Set<AbsolutePath> = []
        for entry in entries where seen.insert(entry).inserted {
            guard let path = HostPath.parsed(entry.string + "/" + name) else { continue }
            var copy = self
            do throws(ProgramObstacle) {
                if let found = try copy.tried(path, named: name, later: &later) {
                    self = copy
                    return found
                }
            } catch { obstacles.append(error.reason) }
        }
        for path in later {
            var copy = self
            do throws(ProgramObstacle) {
                let found = try copy.follow(path, named: name)
                self = copy
                return found
            } catch { obstacles.append(error.reason) }
        }
        if obstacles.isEmpty { return nil }
        throw ProgramObstacle(reason: obstacles.joined(separator: "; "))
    }

    /// One entry of `PATH`; nil if it does not have the name, or a shim of it that prefers another entry.
    private mutating func tried(
        _ path: AbsolutePath, named name: String, later: inout [AbsolutePath]
    ) throws(ProgramObstacle) -> Found? {
        guard Node.at(path.string.utf8) != nil else { return nil }
        try refuse(path)
        if let shim = try shim(path), shim.prefersSystem {
            guard let best = shim.ordered.first else { throw ProgramTrace.emptyShim(path) }
            later.append(best.file)
            return nil
        }
        return try follow(path, named: name)
    }

    private static func emptyShim(_ path: AbsolutePath) -> ProgramObstacle {
        ProgramObstacle(reason: "\(path) is a shim, and no installed version has \(path.lastComponent)")
    }

    /// Finds what a script needs by name: in `PATH`, or in the system's directories, which are in `PATH` inside.
    mutating func findInside(_ name: String) throws(ProgramObstacle) -> Found? {
        if let found = try find(name) { return found }
        for directory in ["/usr/local/bin/", "/usr/bin/", "/bin/"] {
            guard let path = HostPath.parsed(directory + name), HostPath.isExecutable(path) else { continue }
            return try follow(path, named: name)
        }
        return nil
    }

    /// What the project or others could have put there.
    private func refuse(_ path: AbsolutePath) throws(ProgramObstacle) {
        if rules.isInProject(path) {
            throw ProgramObstacle(reason: "\(path) lies in the project, which must not choose what runs")
        }
        guard let directory = HostPath.real(path.parent) else { return }
        try ProgramTrace.refuseWritable(directory)
    }

    /// A directory in which anybody may make files, or replace the way to it.
    private static func refuseWritable(_ directory: AbsolutePath) throws(ProgramObstacle) {
        for (place, sticky) in [(directory, false)] + directory.ancestors.map({ ($0, true) }) {
            guard let node = Node.at(place.string.utf8), node.mode & 0o002 != 0 else { continue }
            // In a sticky directory like /tmp nobody can replace what another has made.
            if sticky, node.mode & 0o1000 != 0 { continue }
            throw ProgramObstacle(reason: "\(place) can be written to by every user of this computer")
        }
    }

    // MARK: - By path

    /// Follows a program's links and everything that it leads to. With `isNamed` something inside names this very path,
    /// so that it must exist there.
    mutating func follow(
        _ path: AbsolutePath, named name: String, isNamed: Bool = false
    ) throws(ProgramObstacle) -> Found {
        depth += 1
        defer { depth -= 1 }
        guard depth < 12 else {
            throw ProgramObstacle(reason: "\(path) leads from script to script without end")
        }
        let chain = try links(from: path)
        let real = try checkedEnd(of: chain)
        if let shim = try shim(path) {
            guard let best = shim.ordered.first else { throw ProgramTrace.emptyShim(path) }
            return try follow(best.file, named: name)
        }
        if real.lastComponent == "volta-shim" { return try volta(chain, real) }
        if real.string == "/usr/bin/snap", path.lastComponent != "snap" {
            throw ProgramObstacle(reason: "\(path) is a snap, which runs only through the host's snapd")
        }
        if isNamed { for link in chain { wanted[link] = real } }
        for link in chain { try virtualEnvironment(around: link) }
        if let place = rules.place(of: real) { try letIn(place) }
        if ProgramRules.isPython(real.lastComponent), rules.place(of: real) == real {
            try pythonLibrary(below: real.parent.parent, of: real)
        }
        if let bytes = try HostPath.head(real), let head = try ScriptHead(bytes, at: real, home: rules.home) {
            try script(head, at: real)
        }
        return Found(path: path, real: real, links: chain)
    }

    /// A path, where it leads, and so on, to the real path at the end.
    private func links(from path: AbsolutePath) throws(ProgramObstacle) -> [AbsolutePath] {
        var chain = [path]
        var at = path
        while let next = HostPath.linkTarget(at) {
            // As many as the kernel follows.
            guard chain.count < 40 else { throw ProgramObstacle(reason: "\(path) is a link in a circle") }
            chain.append(next)
            at = next
        }
        guard let real = HostPath.real(at) else {
            let what =
                at == path ? "\(path) cannot be reached" : "\(path) leads to \(at), which does not exist"
            throw ProgramObstacle(reason: what, isMissing: Node.at(path.string.utf8) == nil)
        }
        if real != at { chain.append(real) }
        return chain
    }

    /// The end of a chain of links, if it is a program and nobody else chose it.
    private func checkedEnd(of chain: [AbsolutePath]) throws(ProgramObstacle) -> AbsolutePath {
        let (path, real) = (chain[0], chain[chain.count - 1])
        let leads = path == real ? "\(path)" : "\(path) leads to \(real), which"
        guard HostPath.kind(real) == .file else { throw ProgramObstacle(reason: "\(leads) is no file") }
        for link in chain {
            let places = [link, HostPath.real(link.parent) ?? link.parent]
            if let place = places.first(where: rules.isInProject) {
                throw ProgramObstacle(
                    reason: (path == place ? "\(path)" : "\(path) leads through \(place), which")
                        + " lies in the project, which must not choose what runs")
            }
        }
        guard HostPath.isExecutable(real) else { throw ProgramObstacle(reason: "\(leads) is not executable") }
        if let node = Node.at(real.string.utf8), node.mode & 0o002 != 0 {
            throw ProgramObstacle(reason: "\(leads) can be written to by every user of this computer")
        }
        try ProgramTrace.refuseWritable(real.parent)
        return real
    }

    private func shim(_ path: AbsolutePath) throws(ProgramObstacle) -> VersionShim? {
        guard path.parent.lastComponent == "shims", let real = HostPath.real(path),
            HostPath.isExecutable(real)
        else { return nil }
        let head: ScriptHead? =
            if let bytes = try HostPath.head(real) { try ScriptHead(bytes, at: real, home: rules.home) } else
            { nil }
        return VersionShim(path, real: real, head: head, home: rules.home, environment: environment)
    }

    // MARK: - The result

    /// All that was gathered, for a program that was found.
    func program(_ found: Found, named name: String) -> AgentProgram {
        var places: [AbsolutePath] = []
        for path in readable.sorted() where !places.contains(where: { path.isSame(orBelow: $0) }) {
            places.append(path)
        }
        let visible = { (path: AbsolutePath) in
            ProgramRules.isSystem(path) || path.components.first == "etc"
                || places.contains { path.isSame(orBelow: $0) }
        }
        // By the host's own link where it is visible: some programs look at the name by which they are called.
        let called = found.links.compactMap { link in
            HostPath.real(link.parent).flatMap { HostPath.parsed("\($0)/\(link.lastComponent)") }
        }
        let path = called.first { $0.lastComponent == name && visible($0) } ?? found.real
        var names = names
        let isFound = searchPath.contains { directory in
            HostPath.parsed("\(directory)/\(name)").flatMap(HostPath.real) == HostPath.real(path)
        }
        if !isFound, !name.contains("/") { names[name] = path }
        var links = wanted.filter { link, real in link != real && !visible(link) }
        // What lies below a link to a directory is there with it.
        for link in links.keys where links.keys.contains(where: { $0 != link && link.isSame(orBelow: $0) }) {
            links[link] = nil
        }
        return AgentProgram(
            path: path, readable: places, searchPath: searchPath, names: names, links: links,
            environment: variables)
    }
}
