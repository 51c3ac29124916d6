package import BoxTypes

/// An agent's program as found on the host, and what must be readable for it to run inside.
///
/// Nothing of the host is run to find this out: links, first lines of scripts and the directories of version managers
/// are read.
package struct AgentProgram: Equatable, Sendable {
    /// What is executed inside, visible by `readable`: the host's own link of the program's name where that is visible,
    /// since some programs look at the name by which they are called (volta's shims), else the real path.
    package let path: AbsolutePath
    /// Directories and single files that must be readable and executable inside at their own paths: real paths, sorted,
    /// none below another, none that is there anyway (`/usr`, `/bin`, `/lib` …).
    package let readable: [AbsolutePath]
    /// Directories that belong first in `PATH` inside, before those with the links of `names`: an nvm version's `bin`
    /// for `#!/usr/bin/env node`, the directory of a script that looks for its files beside itself.
    package let searchPath: [AbsolutePath]
    /// Programs to be found in `PATH` by these names that `searchPath` does not hold: the agent's own name, and
    /// interpreters that lie alone in a directory like `~/.local/bin`.
    package let names: [String: AbsolutePath]
    /// Symbolic links of the host that must exist inside as links, with the real path that each leads to: a path that a
    /// script or a virtual environment names, where only the real one is readable. Mostly empty.
    package let links: [AbsolutePath: AbsolutePath]
    /// Variables that the version manager needs.
    package let environment: [String: String]

    package init(
        path: AbsolutePath, readable: [AbsolutePath] = [], searchPath: [AbsolutePath] = [],
        names: [String: AbsolutePath] = [:], links: [AbsolutePath: AbsolutePath] = [:],
        environment: [String: String] = [:]
    ) {
        self.path = path
        self.readable = readable
        self.searchPath = searchPath
        self.names = names
        self.links = links
        self.environment = environment
    }
}

extension AgentProgram {
    /// Finds a program as `execvp` does, by name in `PATH` or by an absolute path; nil if there is none of that name.
    ///
    /// `path` is the variable as it is, `environment` the user's, for the directories and versions of version managers.
    /// The project never chooses what runs: what lies in it or is reached through it, and what others may write to, is
    /// passed over. If only such was found, or only what cannot run, that is an error that says why.
    package static func find(
        _ name: String, path: String, home: AbsolutePath, project: AbsolutePath?,
        environment: [String: String] = [:]
    ) throws(SessionError) -> AgentProgram? {
        let step = "run \(name.escapedForTerminal)"
        let rules = ProgramRules(home: home, project: project)
        var trace = ProgramTrace(rules: rules, searchPath: path, environment: environment)
        let found: ProgramTrace.Found?
        do throws(ProgramObstacle) {
            found = try trace.find(name)
        } catch { throw SessionError(step: step, reason: error.reason) }
        return found.map { trace.program($0, named: name) }
    }
}

/// Why a program that was found cannot be used.
struct ProgramObstacle: Error, Equatable {
    let reason: String
    /// Whether there is nothing at all at the path.
    var isMissing = false
}
