internal import BoxKernel
internal import BoxPlan
internal import BoxTypes
internal import Glibc

/// What only root can do for its own sandbox: host directories as detached mounts in which their owner appears as
/// the sandbox's unprivileged id, so that a root-owned project can be edited and new files belong to its owner.
enum PreparedMounts {
    /// The descriptors for the plan's prepared binds, in the order of the steps.
    static func make(for plan: Plan) throws(SessionError) -> [CInt] {
        var made: [CInt] = []
        for step in plan.steps {
            if case .overlay(let overlay) = step { made += try layers(overlay, plan.identity) }
            guard case .bind(let bind) = step else { continue }
            let path: AbsolutePath
            do throws(KernelError) {
                switch bind.source {
                case .path: continue
                case .opened(let opened):
                    path = opened
                    made.append(try Mounts.clone(path.string, recursive: false).release())
                case .prepared(let owned, let uid, let gid):
                    path = owned
                    made.append(try mount(path, uid, gid, plan.identity).release())
                }
            } catch {
                let hint =
                    error.subject == "idmap"
                    ? "The file system of \(path) cannot map owners. Start box as an ordinary user" : ""
                throw SessionError(step: "let \(path) in", error, hint: hint)
            }
        }
        return made
    }

    /// The layers of an overlay. The stage's directories belong to the project's owner on disk, as its files do.
    private static func layers(
        _ overlay: Step.Overlay, _ identity: Plan.Identity
    ) throws(SessionError) -> [CInt] {
        guard let owner = overlay.owner else { return [] }
        var made: [CInt] = []
        for path in [overlay.lower, overlay.stage] {
            do throws(KernelError) {
                made.append(try mount(path, owner.uid, owner.gid, identity).release())
            } catch {
                let instead =
                    path == overlay.lower
                    ? "choose --workspace copy"
                    : "set XDG_STATE_HOME to a directory on another one, or choose --workspace direct, which changes "
                        + "the project at once"
                let hint =
                    error.subject == "idmap"
                    ? "The file system of \(path) cannot map owners. Start box as an ordinary user, or \(instead)"
                    : ""
                throw SessionError(step: "stage \(overlay.lower)", error, hint: hint)
            }
        }
        return made
    }

    private static func mount(
        _ path: AbsolutePath, _ uid: UInt32, _ gid: UInt32, _ identity: Plan.Identity
    ) throws(KernelError) -> Descriptor {
        // Not recursive: what is mounted below is another file system, perhaps one that cannot map owners.
        let mount = try Mounts.clone(path.string, recursive: false)
        let owner = try Identity.makeNamespace(
            user: IdentityMapping(inside: uid, outside: identity.outsideUID),
            group: IdentityMapping(inside: gid, outside: identity.outsideGID))
        try Mounts.set([], on: mount, recursive: false, idMap: owner.number)
        return mount
    }
}
