internal import BoxKernel
internal import BoxPlan
internal import BoxStage
internal import BoxTypes
internal import CLinux
internal import Glibc

/// Makes the stage that a plan wants, in the session's directory.
enum SessionStage {
    /// A new stage, or the session's own one that goes on.
    static func prepare(
        _ plan: Plan.Stage, session: String, continuing old: Stage?,
        progress: @escaping (CopyProgress) -> Bool
    ) throws(SessionError) -> Stage {
        let step = "stage the project"
        do throws(StageError) {
            if var old {
                try goOn(with: &old, plan)
                return old
            }
            var stage = Stage(
                directory: plan.directory.string, session: session, mode: plan.copies ? .copy : .overlay,
                started: .now(), roots: [])
            try attempt(step) { () throws(KernelError) in try makeDirectory(stage.directory) }
            for tree in plan.trees {
                stage.roots.append(
                    Stage.Root(
                        host: tree.host, device: tree.identity.device, inode: tree.identity.inode,
                        hidden: tree.hidden))
            }
            for (index, tree) in plan.trees.enumerated() {
                try attempt(step) { () throws(KernelError) in try make(index, tree, of: stage) }
                if !plan.copies { try hide(stage, index, plan) }
            }
            try stage.write()
            if plan.copies { try copy(stage, plan, progress) }
            return stage
        } catch { throw SessionError(step: error.step, reason: error.reason, hint: error.hint) }
    }

    private static func attempt(
        _ step: String, _ body: () throws(KernelError) -> Void
    ) throws(StageError) {
        do throws(KernelError) { try body() } catch { throw StageError(step, error) }
    }

    private static func makeDirectory(_ path: String) throws(KernelError) {
        try check("mkdir", unsafe mkdir(path, 0o700), path)
    }

    private static func hide(_ stage: Stage, _ index: Int, _ plan: Plan.Stage) throws(StageError) {
        let keepsFree = index == 0 && plan.keepsPolicyFree
        try HideLayer.make(stage, index, placeholder: keepsFree ? ControlFiles.policy : nil)
    }

    /// The directories of one tree. Launched as root they belong to the project's owner, as what is made in them will.
    private static func make(
        _ index: Int, _ tree: Plan.Stage.Tree, of stage: Stage
    ) throws(KernelError) {
        let place = "\(stage.directory)/\(index)"
        try makeDirectory(place)
        try makeDirectory(stage.upper(index))
        if stage.mode == .overlay { try makeDirectory(stage.work(index)) }
        // What is seen of the project's own directory is the upper one.
        let host = try Tree.open(tree.host.string)
        let upper = try Tree.open(stage.upper(index))
        try copyAttributes(of: host, to: upper)
        guard geteuid() == 0 else { return }
        for path in [place, stage.upper(index), stage.work(index)] {
            if path == stage.work(index), stage.mode == .copy { continue }
            try check("chown", unsafe lchown(path, tree.owner.uid, tree.owner.gid), path)
        }
    }

    /// Mode and times; the owner as well for root.
    static func copyAttributes(of from: borrowing Tree, to other: borrowing Tree) throws(KernelError) {
        let node = try Node.of(from.descriptor.number)
        let number = other.descriptor.number
        if geteuid() == 0 { try check("fchown", fchown(number, node.uid, node.gid)) }
        try check("fchmod", fchmod(number, node.mode))
        let time = timespec(tv_sec: node.modified.seconds, tv_nsec: node.modified.nanoseconds)
        try check("futimens", unsafe futimens(number, [time, time]))
    }

    /// Copies the project, and its git directories elsewhere. Only now may threads be started: the sandbox's first
    /// process is there.
    private static func copy(
        _ stage: Stage, _ plan: Plan.Stage, _ progress: @escaping (CopyProgress) -> Bool
    ) throws(StageError) {
        for index in stage.roots.indices {
            let copy = try TreeCopy(
                from: try stage.openHost(index), to: stage.upper(index), hidden: stage.roots[index].hidden,
                only: index == 0 ? plan.only ?? [] : [])
            var writer = try BaseWriter(stage.base(index))
            _ = try copy.run(progress: progress) { record throws(StageError) in try writer.append(record) }
            try writer.finish()
        }
    }

    // MARK: - The end

    /// The last look at what the session has changed. A stage without changes goes, unless an apply can still be taken
    /// back. A look that fails takes nothing away: the stage is kept, and the user is told.
    static func conclude(_ stage: Stage, _ outcome: inout Outcome) {
        do throws(StageError) {
            var recorder = try Recorder(stage)
            _ = try recorder.update()
            let summary = try StageSummary.of(stage)
            if summary.count > 0 {
                try sync(stage)
            } else if try Undo.last(stage) == nil {
                try stage.remove()
            }
            try WaitingStages.set(stage, waits: summary.count > 0)
            outcome.changes = summary
        } catch {
            let told = "\(error). What was changed is kept: box diff -s \(stage.session)"
            outcome.message = outcome.message.map { "\($0); \(told)" } ?? told
        }
    }

    /// The overlay did not wait for the disk; from here on what was made outlasts a power loss.
    private static func sync(_ stage: Stage) throws(StageError) {
        do throws(KernelError) {
            let place = try Tree.open(stage.directory)
            try check("syncfs", box_syncfs(place.descriptor.number), stage.directory)
        } catch { throw StageError("write the stage to the disk", error) }
    }

    /// Removes what was prepared for a session that did not begin.
    static func remove(_ plan: Plan.Stage?) throws(SessionError) {
        guard let plan, unsafe access(plan.directory.string, F_OK) == 0 else { return }
        let stage = Stage(
            directory: plan.directory.string, session: "", mode: .overlay, started: .now(), roots: [])
        do throws(StageError) { try stage.remove() } catch {
            throw SessionError(step: error.step, reason: error.reason, hint: error.hint)
        }
    }

    /// Empties the overlay's own directory: it says there that a volatile mount was not ended in order.
    private static func renewWork(of stage: Stage, _ index: Int) throws(StageError) {
        let step = "continue session \(stage.session)"
        do throws(KernelError) {
            let work = try Tree.open(stage.work(index))
            for name in try work.names() {
                do throws(StageError) { try TreeRemoval.remove(name, in: work) } catch {
                    throw KernelError(call: error.description, code: EIO)
                }
            }
        } catch { throw StageError(step, error) }
    }

    /// The same directories of the host must be there, and what is hidden may be more by now.
    private static func goOn(with stage: inout Stage, _ plan: Plan.Stage) throws(StageError) {
        let step = "continue session \(stage.session)"
        guard stage.mode == (plan.copies ? .copy : .overlay) else {
            throw StageError(
                step, reason: "its workspace is \(stage.mode.rawValue), and the policy says another one now",
                hint: "Add --workspace \(stage.mode.rawValue)")
        }
        guard try Transaction.state(of: stage) == nil else {
            throw StageError(
                step, reason: "an apply or undo of it was interrupted",
                hint: "Finish it first: box apply -s \(stage.session) --resume, or --rollback")
        }
        let places = plan.trees.map { [$0.identity.device, $0.identity.inode] }
        guard stage.roots.map({ [$0.device, $0.inode] }) == places else {
            throw StageError(
                step,
                reason: "the project's directory is another one than when it began",
                hint: "Take what is good with box apply -s \(stage.session) from the old place, or begin anew"
            )
        }
        for index in stage.roots.indices {
            stage.roots[index].host = plan.trees[index].host
            let known = Set(stage.roots[index].hidden)
            stage.roots[index].hidden += plan.trees[index].hidden.filter { !known.contains($0) }
            guard !plan.copies else { continue }
            try hide(stage, index, plan)
            try renewWork(of: stage, index)
        }
        try stage.write()
    }
}
