internal import BoxPolicy
internal import BoxTypes

// The staged workspace: the agent's own view of the project, which the host's files lie below and do not change.
extension Planner {
    /// The stage of a plan; nil where the project is not staged. It lies in the session's directory, which has its
    /// name when the session begins.
    func makeStage() -> Plan.Stage? {
        let copies: Bool
        switch policy.workspace.mode {
        case .overlay: copies = false
        case .copy: copies = true
        case .direct, .none: return nil
        }
        guard
            let directory = try? facts.stateDirectory.appending("sessions/\(request.session)/stage")
        else { return nil }
        let project = facts.project
        func tree(_ path: AbsolutePath, _ node: HostFacts.Node, _ hidden: [BytePath]) -> Plan.Stage.Tree {
            Plan.Stage.Tree(
                host: path, identity: Step.Identity(device: node.device, inode: node.inode),
                owner: Step.Owner(uid: node.uid, gid: node.gid), hidden: hidden)
        }
        return Plan.Stage(
            copies: copies, directory: directory,
            trees: [tree(project.path, project.node, project.hidden)]
                + project.gitDirectories.map { tree($0.path, $0.node, []) },
            only: policy.workspace.only, limit: policy.limits.disk?.bytes)
    }

    /// The trees of the stage as overlays.
    func makeOverlays() -> [Step] {
        guard let stage = makeStage() else { return [] }
        var steps: [Step] = []
        for (index, tree) in stage.trees.enumerated() {
            guard let place = try? stage.directory.appending("\(index)") else { continue }
            steps.append(
                .overlay(
                    Step.Overlay(
                        target: tree.host, lower: tree.host, identity: tree.identity, stage: place,
                        hides: !tree.hidden.isEmpty, owner: facts.isRoot ? tree.owner : nil)))
        }
        return steps + policyFile
    }

    /// The trees of the stage as copies.
    func makeCopies() -> [Step] {
        guard let stage = makeStage() else { return [] }
        var steps: [Step] = []
        for (index, tree) in stage.trees.enumerated() {
            guard let place = try? stage.directory.appending("\(index)/upper") else { continue }
            let source: Step.Bind.Source =
                facts.isRoot
                ? .prepared(place, ownerUID: tree.owner.uid, ownerGID: tree.owner.gid) : .path(place)
            steps.append(
                .bind(
                    Step.Bind(
                        source: source, target: tree.host, writable: true, executable: true,
                        isDirectory: true)))
        }
        return steps + policyFile
    }

    /// box's own policy is visible, and not to be changed from inside. One that does not exist yet would only be
    /// staged, and is not applied.
    private var policyFile: [Step] {
        guard facts.project.controls["box.toml"] == .file,
            !facts.project.hidden.contains(where: { $0.text == "box.toml" }),
            let path = try? facts.project.path.appending("box.toml")
        else { return [] }
        return [.readOnly(path)]
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
