internal import BoxPolicy
internal import BoxTypes

// The staged workspace: the agent's own view of the project, which the host's files lie below and do not change.
extension Planner {
    /// The stage of a plan; nil where the project is not staged. It lies in the session's directory, which has its
    /// name when the session begins.
    static func makeStage(
        _ policy: Policy, _ facts: HostFacts, _ request: Request
    ) throws(PlanError) -> Plan.Stage? {
        let copies: Bool
        switch policy.workspace.mode {
        case .overlay: copies = false
        case .copy: copies = true
        case .direct, .none: return nil
        }
        let project = facts.project
        do throws(AbsolutePath.Refusal) {
            let directory = try facts.stateDirectory.appending("sessions/\(request.session)/stage")
            let isHidden = project.hidden.contains { $0.text == ControlFiles.policy }
            var stage = Plan.Stage(
                copies: copies, directory: directory, trees: [], only: policy.workspace.only,
                limit: policy.limits.disk?.bytes, policyFile: try project.path.appending(ControlFiles.policy),
                keepsPolicyFree: project.controls[ControlFiles.policy] != .file || isHidden
                    || policy.workspace.only != nil)
            let places =
                [(project.path, project.node, project.hidden)]
                + project.gitDirectories.map { ($0.path, $0.node, []) }
            for (index, (path, node, hidden)) in places.enumerated() {
                stage.trees.append(
                    Plan.Stage.Tree(
                        host: path, identity: Step.Identity(device: node.device, inode: node.inode),
                        owner: Step.Owner(uid: node.uid, gid: node.gid), hidden: hidden,
                        upper: try directory.appending("\(index)/upper")))
            }
            return stage
        } catch {
            throw .project(project.path, "\(error) when it is staged. Set XDG_STATE_HOME to a shorter path")
        }
    }

    /// The trees of the stage as overlays.
    func makeOverlays() -> [Step] {
        guard let stage else { return [] }
        return stage.trees.map { tree in
            .overlay(
                Step.Overlay(
                    target: tree.host, lower: tree.host, identity: tree.identity, stage: tree.upper.parent,
                    hides: !tree.hidden.isEmpty || (stage.keepsPolicyFree && tree == stage.trees.first),
                    owner: facts.isRoot ? tree.owner : nil))
        } + policyFile
    }

    /// The trees of the stage as copies.
    func makeCopies() -> [Step] {
        guard let stage else { return [] }
        return stage.trees.map { tree in
            let source: Step.Bind.Source =
                facts.isRoot
                ? .prepared(tree.upper, ownerUID: tree.owner.uid, ownerGID: tree.owner.gid)
                : .path(tree.upper)
            return .bind(
                Step.Bind(
                    source: source, target: tree.host, writable: true, executable: true, isDirectory: true))
        } + policyFile
    }

    /// box's own policy is visible, and not to be changed from inside; in an overlay it cannot be made, either. In a copy
    /// one that is made is only staged, and held back.
    private var policyFile: [Step] {
        guard let stage, !(stage.copies && stage.keepsPolicyFree) else { return [] }
        return [.readOnly(stage.policyFile)]
    }

    /// A part of a project can be copied; in all other modes the whole of it is there.
    func checkPart() throws(PlanError) {
        let workspace = policy.workspace
        guard let only = workspace.only, !only.isEmpty, workspace.mode != .copy else { return }
        throw .project(
            facts.project.path,
            "--only copies a part of it, and the workspace is \(workspace.mode.rawValue). Add --workspace copy, or leave "
                + "--only out")
    }

    /// In a stage the agent's files belong to the project's owner, and the kernel changes only files whose owner
    /// exists inside: for an ordinary user that is one user and one group.
    func checkOwner() throws(PlanError) {
        guard policy.workspace.mode == .overlay, !facts.isRoot else { return }
        let node = facts.project.node
        let (path, advice) = (facts.project.path, "Use --workspace copy, or take it over with chown")
        guard node.uid == facts.user.uid else {
            throw .project(
                path,
                "it belongs to another user (uid \(node.uid)), and an overlay could not change it. \(advice)")
        }
        guard node.gid == facts.user.gid else {
            throw .project(
                path,
                "it belongs to group \(node.gid), which is not yours (\(facts.user.gid)): an overlay could not "
                    + "change it. \(advice), or start box by sg(1)")
        }
    }
}
