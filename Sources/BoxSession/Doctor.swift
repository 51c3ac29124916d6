internal import BoxKernel
package import BoxPlan
package import BoxPolicy
internal import BoxTypes
internal import Glibc

/// `box doctor`: looks at the host, rehearses the set-up of a sandbox, and with a proof really tries what is
/// forbidden, inside a sandbox and as a control without one.
package struct Doctor {
    let policy: Policy
    let facts: HostFacts
    /// Box's own executable, which is started for the rehearsal and the controls.
    let executable: AbsolutePath
    /// Where the first process of a sandbox begins.
    let entry: @convention(c) () -> Void

    /// A doctor for the policy that sandboxes get here. Where the working directory cannot be a project, everything
    /// but that is looked at.
    package init(policy: Policy, entry: @escaping @convention(c) () -> Void) throws(SessionError) {
        self.entry = entry
        var policy = policy
        do throws(SessionError) { facts = try HostFacts.gather(policy: policy, directory: ".") } catch {
            policy.workspace.mode = .none
            facts = try HostFacts.gather(policy: policy, directory: "/")
        }
        self.policy = policy
        let step = "find box's own executable"
        guard let path = SmallFile.readLink("/proc/self/exe") else {
            throw SessionError(step: step, reason: "is /proc mounted?")
        }
        do throws(AbsolutePath.Refusal) { executable = try AbsolutePath(path) } catch {
            throw SessionError(step: step, reason: "\(error)")
        }
    }

    /// What this host can enforce. A short-lived child really asks the kernel for what a sandbox needs.
    package func examine() throws(SessionError) -> DoctorReport {
        var facts = facts
        let signs = HostSigns.gatherAll(isRoot: facts.isRoot)
        facts.namespaceObstacle = nil
        if let refused = try rehearse() {
            facts.namespaceObstacle = NamespaceObstacle.explain(refused.step, code: refused.code, signs)
        }
        return DoctorReport(
            protections: Diagnosis.protections(policy: policy, facts: facts),
            notes: Doctor.notes(signs, facts))
    }

    /// The same with a proof: everything forbidden is really tried in a sandbox, and as a control without one.
    package func prove() throws(SessionError) -> DoctorReport {
        var report = try examine()
        if let namespaces = report.protections.first(where: { $0.protection == .namespaces }),
            namespaces.state != .enforced
        {
            report.failure = "without namespaces there is no sandbox"
            return report
        }
        let bait = try HostBait.lay()
        var targets = bait.targets
        targets.home = facts.user.home.string
        for name in ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"] {
            targets.namespaces.append(SmallFile.readLink("/proc/self/ns/" + name) ?? "")
        }
        let controls = try output(of: ["--control"] + targets.words)
        do throws(SessionError) {
            let inside = try runInside([Planner.proverPath.string, "__prove"] + targets.words)
            report.probes = DoctorReport.join(
                inside: ProbeAnswer.read(inside), controls: ProbeAnswer.read(controls),
                protections: report.protections)
        } catch { report.failure = error.description }
        return report
    }

    // MARK: - What the host is like

    package static func notes(_ signs: HostSigns, _ facts: HostFacts) -> [String] {
        var notes = [
            "Linux \(facts.kernel.major).\(facts.kernel.minor), Landlock ABI \(facts.landlock.number)"
        ]
        switch signs.container {
        case nil: break
        case .other: notes.append("box runs inside a container; its limits hold for every sandbox as well")
        case .docker, .podman, .kubernetes, .lxc:
            notes.append(
                "box runs inside a container (\(signs.container?.rawValue ?? "")); its limits hold for every sandbox as well"
            )
        }
        if signs.isRoot {
            notes.append("box was started as root; sandboxes run as an unprivileged id all the same")
        }
        switch signs.yama {
        case nil, 0: break
        case 1:
            notes.append("debuggers inside see only programs that they start (kernel.yama.ptrace_scope = 1)")
        case .some(let scope):
            notes.append("debuggers do not work inside (kernel.yama.ptrace_scope = \(scope))")
        }
        if !signs.missingDevices.isEmpty {
            notes.append(
                "the host's /dev lacks \(signs.missingDevices.joined(separator: ", ")), which a sandbox needs"
            )
        }
        return notes
    }
}
