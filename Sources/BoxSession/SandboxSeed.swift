internal import BoxKernel
package import BoxTypes
internal import CLinux
internal import Glibc

/// The first process of a sandbox that is still to be planned. It is started before anything else, so that it starts
/// up while the policy is read and the host is looked at; if the plan is refused, it ends with this value.
package struct SandboxSeed: ~Copyable {
    private var process: FirstProcess?
    private var group: ControlGroup?
    /// Why it could not be started; the plan may know better.
    private var failure: SessionError?
    /// What the host says about control groups: it is needed before the process, which is born into its group.
    package let controlGroups: ControlGroupSupport

    /// Starts the process at `entry`. A failure is kept for the moment when the process is needed.
    package init(entry: @escaping @convention(c) () -> Void) throws(SessionError) {
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
            process = try FirstProcess(group: group?.directory.number ?? -1, entry: entry)
        } catch {
            failure = SessionError(step: "start the sandbox", error, hint: SandboxSeed.hint(error))
        }
    }

    static func hint(_ error: KernelError) -> String {
        switch (error.call, error.code) {
        case ("clone3", EPERM), ("clone3", ENOSPC), ("clone3", EUSERS), ("clone3", EINVAL), ("write", EPERM):
            "User namespaces are refused here; box doctor says why and what to do"
        default: ""
        }
    }

    /// The process, or why there is none.
    mutating func takeProcess() throws(SessionError) -> FirstProcess {
        if let failure { throw failure }
        guard let process = process.take() else {
            throw SessionError(step: "start the sandbox", reason: "it was started already")
        }
        return process
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
