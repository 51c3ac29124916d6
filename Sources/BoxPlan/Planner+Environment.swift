internal import BoxPolicy
internal import BoxTypes

// The environment inside, built from nothing.
extension Planner {
    func makeEnvironment(
        identity: Plan.Identity, grants: [Grant]
    ) throws(PlanError) -> [Plan.EnvironmentEntry] {
        var wanted = policy.environment
        wanted.set.merge(request.environment) { _, commandLine in commandLine }
        for (name, value) in facts.program?.environment ?? [:] where wanted.set[name] == nil {
            wanted.set[name] = value
        }
        for name in wanted.from.keys { wanted.set[name] = request.secrets[name] ?? "" }
        let certificates = facts.etc["ssl"] != nil || facts.etc["ssl/certs"] != nil
        let setting = SandboxEnvironment.Setting(
            home: home, user: identity.name,
            shell: (try? AbsolutePath(shell)) ?? AbsolutePath(literal: "/bin/sh"),
            path: visiblePath(grants: grants), directory: workingDirectory, session: request.session,
            proxyPort: policy.network.mode == .proxy ? Planner.proxyPort : nil, hasTerminal: request.terminal,
            certificates: certificates ? AbsolutePath(literal: "/etc/ssl/certs/ca-certificates.crt") : nil,
            extraCertificates: hasNetwork && facts.certificates != nil
                ? .init(alone: Planner.extraCertificates, bundle: Planner.certificateBundle) : nil)
        do throws(EnvironmentRefusal) {
            let environment = try SandboxEnvironment(
                user: facts.environment, policy: wanted, setting: setting)
            var values = environment.values
            // What keeps the name .git free looks like a repository to the Go tools, which then ask git about it.
            let hasGit = facts.project.controls[".git"] != nil
            if !hasGit, policy.workspace.mode == .direct, values["GOFLAGS"] == nil {
                values["GOFLAGS"] = "-buildvcs=false"
            }
            return values.sorted { $0.key < $1.key }.map { name, value in
                let secret =
                    wanted.from[name] != nil || (wanted.pass.contains(name) && wanted.set[name] == nil)
                return Plan.EnvironmentEntry(name, value, isSecret: secret)
            }
        } catch { throw .environment(error) }
    }

    /// The user's `PATH` as far as it is visible inside, then the standard places.
    func visiblePath(grants: [Grant]) -> [AbsolutePath] {
        let system = ["/usr", "/bin", "/sbin"].compactMap { try? AbsolutePath($0) }
        let roots = system + grants.map(\.path)
        let own = facts.program.map { $0.searchPath + [Planner.programs] } ?? []
        var path = own + facts.path.filter { entry in roots.contains { entry.isSame(orBelow: $0) } }
        for standard in ["/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin"] {
            if let entry = try? AbsolutePath(standard), !path.contains(entry) { path.append(entry) }
        }
        var seen: Set<AbsolutePath> = []
        return path.filter { seen.insert($0).inserted }
    }
}
