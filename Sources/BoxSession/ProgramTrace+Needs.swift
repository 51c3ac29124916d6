internal import BoxKernel
internal import BoxTypes

// What a program needs besides its own file.
extension ProgramTrace {
    /// Notes a directory or file that must be readable, by its real path.
    mutating func letIn(_ place: AbsolutePath) throws(ProgramObstacle) {
        let real = HostPath.real(place) ?? place
        if ProgramRules.isSystem(real) { return }
        if let why = rules.refusal(real) { throw ProgramObstacle(reason: why) }
        if !readable.contains(real) { readable.append(real) }
        if real != place { wanted[place] = real }
    }

    /// Whether what was noted so far holds a path.
    func isVisible(_ path: AbsolutePath) -> Bool {
        ProgramRules.isSystem(path) || readable.contains { path.isSame(orBelow: $0) }
    }

    /// Notes a directory for `PATH`.
    mutating func search(_ directory: AbsolutePath) {
        if !ProgramRules.isSystem(directory), !searchPath.contains(directory) { searchPath.append(directory) }
    }

    /// Lets a program be found by its name inside.
    mutating func expose(_ found: Found, as name: String) {
        if ProgramRules.isSystem(found.real) { return }
        // The directory in which the user's shell finds it, or else the one where it really lies.
        let directories = [HostPath.real(found.path.parent), found.real.parent].compactMap { $0 }
        let holding = directories.first { directory in
            guard isVisible(directory), let path = HostPath.parsed("\(directory)/\(name)") else {
                return false
            }
            return HostPath.isExecutable(path)
        }
        if let holding { search(holding) } else { names[name] = found.real }
    }

    /// A virtual environment of Python around its interpreter, and the installation that it was made from.
    mutating func virtualEnvironment(around link: AbsolutePath) throws(ProgramObstacle) {
        guard link.parent.lastComponent == "bin", case let prefix = link.parent.parent,
            case let configuration = prefix.appending(literal: "pyvenv.cfg"),
            HostPath.kind(configuration) == .file
        else { return }
        try letIn(prefix)
        for line in HostPath.lines(configuration) {
            let parts = line.split(separator: "=", maxSplits: 1).map { $0.filter { $0 != " " && $0 != "\r" } }
            guard parts.count == 2, parts[0] == "home", let home = HostPath.parsed(parts[1]),
                let real = HostPath.real(home), !rules.isBroad(home.parent)
            else { continue }
            let interpreter = real.appending(literal: "python3")
            guard let place = rules.place(of: interpreter), place != interpreter else { continue }
            try letIn(place)
            wanted[home.parent] = real.parent
        }
    }

    /// The modules of one version of Python below a prefix that holds other things, too.
    mutating func pythonLibrary(
        below prefix: AbsolutePath, of python: AbsolutePath
    ) throws(ProgramObstacle) {
        let library = prefix.appending(literal: "lib")
        let name = python.lastComponent
        for found in HostPath.names(in: library)
        where found == name || !name.contains(".") && ProgramRules.isPython(found) {
            if let path = HostPath.parsed("\(library)/\(found)"), HostPath.kind(path) == .directory {
                try letIn(path)
            }
        }
    }

    /// volta's shim runs what its own name says, and finds everything below its home.
    mutating func volta(
        _ chain: [AbsolutePath], _ shim: AbsolutePath
    ) throws(ProgramObstacle) -> Found {
        let link = chain.dropLast().last ?? shim
        guard let directory = HostPath.real(link.parent),
            let path = HostPath.parsed("\(directory)/\(link.lastComponent)"),
            let home = environment["VOLTA_HOME"].flatMap(HostPath.parsed).flatMap(HostPath.real)
                ?? (directory.lastComponent == "bin" ? directory.parent : nil)
        else {
            throw ProgramObstacle(reason: "\(chain[0]) is a shim of volta without its home. Set VOLTA_HOME")
        }
        try letIn(home)
        if !isVisible(shim) { try letIn(shim) }
        if !isVisible(path) { try letIn(path) }
        variables["VOLTA_HOME"] = home.string
        search(directory)
        return Found(path: path, real: path)
    }
}
