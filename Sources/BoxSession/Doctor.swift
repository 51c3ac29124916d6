internal import BoxKernel
package import BoxPlan
package import BoxPolicy
package import BoxTypes
internal import CLinux
internal import Glibc

/// `box doctor`: looks at the host, rehearses the set-up of a sandbox, and with a proof really tries what is
/// forbidden, inside a sandbox and as a control without one.
package struct Doctor {
    private let policy: Policy
    private let facts: HostFacts
    /// Box's own executable, which is started for the rehearsal and the controls.
    private let executable: AbsolutePath

    /// A doctor for the policy that sandboxes get here.
    package init(policy: Policy, facts: HostFacts, executable: AbsolutePath) {
        self.policy = policy
        self.facts = facts
        self.executable = executable
    }

    /// The policy for the sandbox in which the proof runs: the same, in an empty directory, and whatever is missing
    /// is accepted, so that the rest can be tried. No agent runs in it.
    package static func provingPolicy(_ policy: Policy) -> Policy {
        var proving = policy
        proving.workspace.mode = .none
        proving.protections.acceptMissing = Set(Protection.allCases)
        return proving
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
            protections: Diagnosis.protections(policy: policy, facts: facts), notes: Doctor.notes(signs, facts))
    }

    /// The same with a proof. `runInside` runs a command in a sandbox and returns its standard output.
    package func prove(
        runInside: ([String]) throws(SessionError) -> [UInt8]
    ) throws(SessionError) -> DoctorReport {
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

    static func notes(_ signs: HostSigns, _ facts: HostFacts) -> [String] {
        var notes = ["Linux \(facts.kernel.major).\(facts.kernel.minor), Landlock ABI \(facts.landlock.number)"]
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
        case 1: notes.append("debuggers inside see only programs that they start (kernel.yama.ptrace_scope = 1)")
        case .some(let scope): notes.append("debuggers do not work inside (kernel.yama.ptrace_scope = \(scope))")
        }
        if !signs.missingDevices.isEmpty {
            notes.append("the host's /dev lacks \(signs.missingDevices.joined(separator: ", ")), which a sandbox needs")
        }
        return notes
    }

    // MARK: - Children

    /// The first step of the set-up that the kernel refuses, if there is one.
    private func rehearse() throws(SessionError) -> (step: RehearsalStep, code: Int32)? {
        let step = "rehearse the set-up of a sandbox"
        var step2 = RehearsalStep.clone
        do throws(KernelError) {
            let executable = try Descriptor.open(executable.string, O_RDONLY)
            let pipe = try Pipe()
            var start = Child.Start(
                namespaces: true, executable: executable.number, arguments: ["box", "__prove", "--rehearse"])
            let outside = facts.isRoot ? (facts.unprivilegedID ?? 65534) : facts.user.uid
            if facts.isRoot { start.arguments += [String(outside), String(outside)] }
            start.inherit = [pipe.write.number]
            var child: Child
            do throws(KernelError) { child = try Child(starting: start) } catch {
                guard error.call == "clone3" else { throw error }
                return (.clone, error.code)
            }
            step2 = .map
            do throws(KernelError) {
                let group = facts.isRoot ? outside : facts.user.gid
                try Identity.write(
                    user: IdentityMapping(inside: outside, outside: outside),
                    group: IdentityMapping(inside: group, outside: group), for: child.pid)
            } catch {
                try child.signal(SIGKILL)
                try child.wait()
                return (step2, error.code)
            }
            try child.letGo()
            if let failure = try child.executionFailure() { throw failure }
            let said = String(decoding: try pipe.keepRead().readAll(limit: 4096), as: UTF8.self)
            let change = try child.wait()
            if said.isEmpty, change == .exited(0) { return nil }
            let words = said.split(separator: " ")
            guard words.count == 2, let refused = RehearsalStep(rawValue: String(words[0])), let code = Int32(words[1])
            else { throw KernelError(call: "rehearsal", code: EPROTO, subject: "\(change)") }
            return (refused, code)
        } catch { throw SessionError(step: step, error) }
    }

    /// Runs `box __prove` without a sandbox, in the user's environment, and returns what it writes.
    private func output(of words: [String]) throws(SessionError) -> [UInt8] {
        do throws(KernelError) {
            let executable = try Descriptor.open(executable.string, O_RDONLY)
            let pipe = try Pipe()
            var start = Child.Start(
                namespaces: false, executable: executable.number, arguments: ["box", "__prove"] + words)
            start.environment = ProcessEnvironment.entries().map { String(decoding: $0, as: UTF8.self) }
            start.inherit = [pipe.write.number]
            var child = try Child(starting: start)
            try child.letGo()
            if let failure = try child.executionFailure() { throw failure }
            let bytes = try pipe.keepRead().readAll(limit: 1 << 20)
            try child.wait()
            return bytes
        } catch { throw SessionError(step: "run the controls", error) }
    }
}
