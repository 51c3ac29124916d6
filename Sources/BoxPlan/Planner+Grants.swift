internal import BoxPolicy
package import BoxTypes

/// A host path that the policy lets in beside the project.
package struct Grant: Equatable, Sendable {
    /// Where it is inside; the host's own path, but for what is in the home of an agent as well.
    var path: AbsolutePath
    let source: AbsolutePath
    let writable: Bool
    let isDirectory: Bool
    let ownerUID: UInt32
    let ownerGID: UInt32
    /// Whether it came from the user's `PATH` and not from the policy.
    let isToolchain: Bool
}

extension Planner {
    /// The paths of `[files]` with `~` put in, then the toolchains that the user's `PATH` leads to.
    func makeGrants() throws(PlanError) -> [Grant] {
        var grants: [Grant] = []
        for (texts, writable) in [(policy.files.write, true), (policy.files.read, false)] {
            for text in texts {
                let path = try Planner.expand(text, home: facts.user.home)
                if let why = refusal(of: path, writable: writable) { throw .grant(text, why) }
                try checkLink(text, path, writable: writable)
                guard let node = facts.nodes[path] else {
                    throw .grant(text, "it does not exist. Create it first, or leave the line out")
                }
                guard node.kind == .directory || node.kind == .file else {
                    throw .grant(text, "it is neither a directory nor a file")
                }
                guard !grants.contains(where: { $0.path == path }) else { continue }
                let grant = Grant(
                    path: path, source: path, writable: writable, isDirectory: node.kind == .directory,
                    ownerUID: node.uid, ownerGID: node.gid, isToolchain: false)
                grants.append(grant)
                if let inHome = try placeInHome(text) {
                    var other = grant
                    other.path = inHome
                    grants.append(other)
                }
            }
        }
        for path in facts.program?.readable ?? [] {
            guard let node = facts.nodes[path], node.kind == .directory || node.kind == .file,
                !grants.contains(where: { path.isSame(orBelow: $0.path) })
            else { continue }
            grants.append(
                Grant(
                    path: path, source: path, writable: false, isDirectory: node.kind == .directory,
                    ownerUID: node.uid,
                    ownerGID: node.gid, isToolchain: false))
        }
        for path in Planner.toolchains(on: facts.path) {
            guard let node = facts.nodes[path], node.kind == .directory,
                !grants.contains(where: { path.isSame(orBelow: $0.path) })
            else { continue }
            grants.append(
                Grant(
                    path: path, source: path, writable: false, isDirectory: true, ownerUID: node.uid,
                    ownerGID: node.gid,
                    isToolchain: true))
        }
        return grants
    }

    /// A link is as good as what it leads to. One that a program inside could have put there leads nowhere: in an
    /// earlier session it would have chosen what the next one is given.
    private func checkLink(_ text: String, _ path: AbsolutePath, writable: Bool) throws(PlanError) {
        guard let real = facts.realPaths[path] else { return }
        if let why = refusal(of: real, writable: writable) {
            throw .grant(text, "it leads to \(real): \(why)")
        }
        var places = [facts.project.path]
        for other in policy.files.write { places.append(try Planner.expand(other, home: facts.user.home)) }
        for place in places where path != place && path.isSame(orBelow: place) {
            throw .grant(
                text,
                "it is a link to \(real), and lies in \(place), which is writable inside. Name \(real) itself"
            )
        }
    }

    /// Where a path that begins with `~` is for an agent with a home of its own, besides its real place.
    private func placeInHome(_ text: String) throws(PlanError) -> AbsolutePath? {
        guard facts.agentHome != nil, text.hasPrefix("~/") else { return nil }
        return try Planner.expand(text, home: home)
    }

    /// The path that a policy's text means; `~` is the user's home.
    package static func expand(_ text: String, home: AbsolutePath) throws(PlanError) -> AbsolutePath {
        do throws(AbsolutePath.Refusal) {
            if text == "~" { return home }
            if text.hasPrefix("~/") { return try home.appending(String(text.dropFirst(2))) }
            return try AbsolutePath(text)
        } catch { throw .grant(text, "\(error). Write an absolute path, or one that begins with ~/") }
    }

    /// The directories outside `/usr` that hold a toolchain which `PATH` leads to: `/opt/NAME`, the Nix store,
    /// Homebrew. Places below a home are not among them; they need `[files] read`.
    package static func toolchains(on path: [AbsolutePath]) -> [AbsolutePath] {
        var found: [AbsolutePath] = []
        for entry in path {
            let parts = entry.components
            let root: String? =
                switch (parts.first, parts.count) {
                case ("opt", 2...): "/opt/\(parts[1])"
                case ("nix", _): "/nix/store"
                case ("home", 3...) where parts[1] == "linuxbrew": "/home/linuxbrew/.linuxbrew"
                default: nil
                }
            guard let root, let place = try? AbsolutePath(root), !found.contains(place) else { continue }
            found.append(place)
        }
        return found
    }

    /// Why a path must not be let in: it would give away what the sandbox is for.
    private func refusal(of path: AbsolutePath, writable: Bool) -> String? {
        if path == .root { return "it is the whole system" }
        for system in Planner.systemPlaces where path.isSame(orBelow: system) {
            return "\(system) is made anew inside"
        }
        if facts.user.home.isSame(orBelow: path) {
            return
                "it holds your whole home directory with its keys. Name the directory below it that is needed"
        }
        for name in Planner.secretNames {
            guard let secret = try? facts.user.home.appending(name) else { continue }
            if path.isSame(orBelow: secret) { return "it holds keys or logins" }
            if secret.isSame(orBelow: path) {
                return "~/\(name) lies below it, which holds keys or logins. Name what is needed"
            }
        }
        if path.isSame(orBelow: facts.stateDirectory) || facts.stateDirectory.isSame(orBelow: path) {
            return "box keeps its own state there"
        }
        if path.lastComponent.hasSuffix(".sock") { return "a socket leads to a service outside the sandbox" }
        let places = Planner.privatePlaces + [AbsolutePath(literal: "/boot"), AbsolutePath(literal: "/root")]
        if places.contains(path) { return "it is a directory of the system. Name what is needed below it" }
        if writable, path.isSame(orBelow: AbsolutePath(literal: "/usr")) {
            return "programs of the host run from there"
        }
        return nil
    }

    /// Below the home: what holds keys or logins, and is never let in.
    package static let secretNames = [
        ".ssh", ".gnupg", ".aws/credentials", ".kube/config", ".docker/config.json", ".netrc", ".config/gh",
        ".config/gcloud", ".azure", ".local/share/keyrings", ".password-store", ".config/box",
    ]
}
