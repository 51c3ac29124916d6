package import BoxTypes

/// Why a policy cannot be carried out on this host. Nothing was started.
package enum PlanError: Error, Equatable, CustomStringConvertible {
    /// Protections that this host cannot enforce and the policy does not accept as missing.
    case missing([Plan.ProtectionState])
    /// The project cannot be a workspace.
    case project(AbsolutePath, String)
    /// A path of the policy cannot be granted.
    case grant(String, String)
    case environment(EnvironmentRefusal)
    case identity(String)
    case network(String)

    package var description: String {
        switch self {
        case .missing(let states):
            let lines = states.map { state in
                "\(state.protection.rawValue) is missing: \(state.detail)."
                    + (state.fix.isEmpty ? "" : state.fix.indented)
                    + (state.protection.canBeLeftOut
                        ? "\n     To run without it: --accept \(state.protection.rawValue)" : "")
            }
            return lines.joined(separator: "\n     ")
        case .project(let path, let why):
            return "\(path) cannot be the project: \(why)"
        case .grant(let path, let why): return "\(path.escapedForTerminal) cannot be granted: \(why)"
        case .environment(let refusal): return refusal.description
        case .identity(let why), .network(let why): return why
        }
    }
}

extension String {
    /// One line goes on where it is; several, commands mostly, stand below each other.
    fileprivate var indented: String {
        contains("\n")
            ? split(separator: "\n").map { "\n       " + $0 }.joined() : " " + self
    }
}
