internal import BoxKernel
internal import BoxPlan
package import BoxTypes
internal import CLinux
internal import Glibc

/// The first process of a sandbox that is still to be planned. It is started before anything else, and makes what every
/// sandbox has while the policy is read and the host is looked at; if the plan is refused, it ends with this value.
package struct SandboxSeed: ~Copyable {
    private let entry: @convention(c) () -> Void
    private var process: FirstProcess?
    private var group: ControlGroup?
    /// What the process is about to be, and what it makes before it knows its plan; nil if that can't be known yet.
    private var groundwork: (identity: Plan.Identity, steps: [Step])?
    /// Why it could not be started; the plan may know better.
    private var failure: SessionError?
    /// What the host says about control groups: it is needed before the process, which is born into its group.
    package let controlGroups: ControlGroupSupport

    /// Starts the process at `entry`, for a sandbox in which this project is probably at work. A failure is kept for
    /// the moment when the process is needed.
    package init(entry: @escaping @convention(c) () -> Void, project: String) throws(SessionError) {
        self.entry = entry
        do throws(KernelError) { controlGroups = try ControlGroupSupport.probe() } catch {
            throw SessionError(step: "look at the control groups", error)
        }
        do throws(KernelError) {
            // The groups of root would be the sandbox's, too: the kernel keeps them over all that follows.
            if geteuid() == 0 { try check("setgroups", box_setgroups0()) }
            if let place = controlGroups.place {
                group = try ControlGroup.create(
                    name: String(getpid()), at: place, limits: ControlGroupLimits())
            }
            let process = try FirstProcess(group: group?.directory.number ?? -1, entry: entry)
            if let identity = SandboxSeed.identity(project: project) {
                try process.map(identity)
                let becoming =
                    geteuid() == 0
                    ? InitOrder.Identity(uid: identity.insideUID, gid: identity.insideGID) : nil
                try process.layGroundwork(becoming: becoming)
                groundwork = (identity, Groundwork.steps(becoming: becoming))
            }
            self.process = consume process
        } catch {
            failure = SessionError(step: "start the sandbox", error, hint: SandboxSeed.hint(error))
        }
    }

    /// The ids that the plan will most likely have.
    private static func identity(project: String) -> Plan.Identity? {
        let owner = try? FileStatus.of(project, following: true)
        return Planner.identity(
            user: (geteuid(), getegid(), ""), unprivileged: geteuid() == 0 ? HostFacts.unprivilegedID() : nil,
            owner: (owner?.uid ?? 0, owner?.gid ?? 0))
    }

    static func hint(_ error: KernelError) -> String {
        switch (error.call, error.code) {
        case ("clone3", EPERM), ("clone3", ENOSPC), ("clone3", EUSERS), ("clone3", EINVAL), ("write", EPERM):
            "User namespaces are refused here; box doctor says why and what to do"
        default: ""
        }
    }

    /// The process for a plan, of which only what is left to do stays; or why there is none.
    mutating func takeProcess(for plan: inout Plan) throws(SessionError) -> FirstProcess {
        if let failure { throw failure }
        guard let process = process.take() else {
            throw SessionError(step: "start the sandbox", reason: "it was started already")
        }
        if let groundwork, groundwork.identity.hasSameIDs(as: plan.identity),
            let rest = plan.after(groundwork.steps)
        {
            plan = rest
            return process
        }
        do throws(KernelError) {
            guard groundwork != nil else {
                try process.map(plan.identity)
                return process
            }
            // The plan wants something else than was begun with: another process begins with nothing.
            process.discard()
            let other = try FirstProcess(group: group?.directory.number ?? -1, entry: entry)
            try other.map(plan.identity)
            return other
        } catch { throw SessionError(step: "start the sandbox", error, hint: SandboxSeed.hint(error)) }
    }

    /// The control group it was born into, if there is one.
    mutating func takeGroup() -> ControlGroup? { group.take() }

    /// Ends the process, because there will be no sandbox.
    package consuming func discard() {
        // It ends when its socket closes; an empty group that stays is harmless.
        guard let process = process.take() else { return }
        process.discard()
        if let group = group.take() { try? group.remove(within: 2000) }
    }
}
