internal import BoxKernel
internal import BoxTypes

// What a script needs.
extension ProgramTrace {
    /// Follows a script's interpreter and, of a wrapper, the program that it runs.
    mutating func script(_ head: ScriptHead, at file: AbsolutePath) throws(ProgramObstacle) {
        let interpreter: Found
        switch head.interpreter {
        case .path(let path):
            interpreter = try follow(path, named: path.lastComponent, isNamed: true)
        case .name(let name):
            guard let found = try findInside(name) else {
                throw ProgramObstacle(
                    reason: "\(file) needs \(name), which is not in a directory of your PATH")
            }
            expose(found, as: name)
            interpreter = found
        }
        if ["node", "nodejs", "bun", "deno"].contains(head.interpreterName) { try linkedPackage(of: file) }
        if ProgramRules.isPython(head.interpreterName) {
            // `pip install --user` puts the modules beside the scripts.
            let homes = rules.homes.compactMap { try? $0.appending(".local/bin") }
            if homes.contains(file.parent) {
                try pythonLibrary(below: file.parent.parent, of: interpreter.real)
            }
        }
        if head.usesOwnDirectory { try ownDirectory(of: file) }
        for command in head.commands where try run(command, from: file) { return }
    }

    private mutating func linkedPackage(of file: AbsolutePath) throws(ProgramObstacle) {
        guard !ProgramRules.isSystem(file), rules.place(of: file) == file,
            let package = rules.package(of: file)
        else { return }
        try letIn(package)
    }

    /// The directory of a script that looks for its files there, if it is one of the program's own.
    private mutating func ownDirectory(of file: AbsolutePath) throws(ProgramObstacle) {
        let directory = file.parent
        let candidates = directory.lastComponent == "bin" ? [directory.parent, directory] : [directory]
        for candidate in candidates where !ProgramRules.isSystem(candidate) {
            let parts = rules.homes.compactMap { candidate.relative(to: $0)?.split(separator: "/") }.first
            // ~/.NAME is where a program keeps its logins, and so is ~/.config/NAME.
            if let parts, parts.count < 2 || parts[0] == ".config" { continue }
            guard rules.refusal(candidate) == nil else { continue }
            try letIn(candidate)
            return search(directory)
        }
    }

    /// Follows a command that a shell script runs in its place; false if there is no such program.
    private mutating func run(
        _ command: ScriptHead.Command, from file: AbsolutePath
    ) throws(ProgramObstacle) -> Bool {
        switch command.program {
        case .path(let path):
            try refuseHost(path.lastComponent, file)
            guard HostPath.kind(path) != nil else { return false }
            _ = try follow(path, named: path.lastComponent, isNamed: true)
        case .name(let name):
            try refuseHost(name, file)
            guard let found = try findInside(name) else { return false }
            expose(found, as: name)
        }
        for path in command.paths { argument(path) }
        return true
    }

    /// Programs that do their work outside of a sandbox.
    private func refuseHost(_ name: String, _ file: AbsolutePath) throws(ProgramObstacle) {
        guard ["box", "flatpak", "snap", "docker", "podman"].contains(name) else { return }
        throw ProgramObstacle(reason: "\(file) is a script that runs \(name), which does not work inside")
    }

    /// A file that a wrapper names, such as node's script. What must not be let in is missing inside.
    private mutating func argument(_ path: AbsolutePath) {
        guard HostPath.kind(path) == .file, let real = HostPath.real(path), !ProgramRules.isSystem(real)
        else {
            return
        }
        var place = ProgramRules.versionPlace(real) ?? ProgramRules.packagesPlace(real)
        if place == nil, ["js", "mjs", "cjs"].contains(real.lastComponent.split(separator: ".").last) {
            place = rules.package(of: real)
        }
        let needed = place ?? real
        guard rules.refusal(needed) == nil else { return }
        if !readable.contains(needed) { readable.append(needed) }
        if path != real { wanted[path] = real }
    }
}
