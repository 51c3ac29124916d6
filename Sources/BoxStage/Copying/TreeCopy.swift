package import BoxKernel
package import BoxTypes
internal import Glibc

/// A whole copy of a project, or of parts of it, for a stage in `copy` mode.
///
/// Files with mode, time of modification and `user.*` attributes, links as links, names of one file as names of one
/// file; as root with their owners. Blocks are shared with the originals where the file system can do that. Devices,
/// FIFOs, sockets, what is hidden, and other mounts are left out. Each file is whole and as it was at one moment, or
/// the copy ends with the file's name; what was made is then the caller's to remove.
package struct TreeCopy {
    private let work: CopyWork
    private let target: String
    private let selection: CopySelection
    private let threads: Int

    /// Prepares a copy of `source` into the directory `target`, which is made if it is not there, and must be empty.
    ///
    /// `hidden` names stand for what is below them as well. `only` names the parts to copy; the directories on the way
    /// to them are made, without what else is in them. Empty: everything.
    package init(
        from source: consuming Tree, to target: String, hidden: [BytePath] = [], only: [BytePath] = [],
        threads: Int = Crew.standardCount
    ) throws(StageError) {
        selection = try CopySelection(hidden: hidden, only: only)
        self.target = target
        self.threads = threads
        do throws(KernelError) {
            if unsafe mkdir(target, 0o700) < 0, errno != EEXIST {
                throw KernelError(call: "mkdir", code: errno, subject: target.escapedForTerminal)
            }
            let opened = try Tree.open(target)
            guard try opened.names().isEmpty else {
                throw KernelError(call: "mkdir", code: ENOTEMPTY, subject: target.escapedForTerminal)
            }
            work = try CopyWork(source: source, target: opened, ledger: try CopyLedger(beside: target))
        } catch { throw StageError("make the copy's directory", error) }
    }

    /// Copies, once, and gives `record` what was copied, in the order of the paths, when all is there.
    ///
    /// `progress` is called on this thread, about ten times a second; if it answers false, the copy ends with an
    /// error. Threads are started, and have ended when this returns.
    package func run(
        progress: @escaping (CopyProgress) -> Bool = { _ in true },
        record: (BaseRecord) throws(StageError) -> Void
    ) throws(StageError) -> CopyReport {
        let work = work
        let walk = CopyWalk(work: work, selection: selection, names: try CopyNames(beside: target))
        let pace = CopyPace(work, progress)
        try Workers<CopyBatch, StageError>.run(threads: threads, goOn: pace.goOn) {
            batch throws(StageError) in
            try work.copy(batch)
            return []
        } feed: { add throws(StageError) in
            try walk.run { batch in add(batch) && pace.goOn() }
        }
        if work.isStopped { throw CopyWork.interrupted }
        try walk.finish()
        try CopyFinish(work, walk).run(record)
        _ = progress(work.report.progress)
        return work.report
    }
}

/// Tells how far a copy is, ten times a second, and hears whether to go on.
private final class CopyPace {
    private let work: CopyWork
    private let progress: (CopyProgress) -> Bool
    private var told = Node.Time(seconds: 0, nanoseconds: 0)

    init(_ work: CopyWork, _ progress: @escaping (CopyProgress) -> Bool) {
        self.work = work
        self.progress = progress
    }

    func goOn() -> Bool {
        let now = Node.Time.now()
        let passed = (now.seconds - told.seconds) * 1_000_000_000 + now.nanoseconds - told.nanoseconds
        // A clock that was put back counts as time that passed.
        guard passed < 0 || passed >= 100_000_000 else { return !work.isStopped }
        told = now
        if !progress(work.report.progress) { work.stop() }
        return !work.isStopped
    }
}

/// Which paths of a tree are copied.
struct CopySelection: Sendable {
    enum Reach { case none, leading, whole }

    private let hidden: Set<BytePath>
    /// What is copied with all that is below; empty: the whole tree.
    let only: Set<BytePath>
    /// The directories on the way to those.
    private let leading: Set<BytePath>

    init(hidden: [BytePath], only: [BytePath]) throws(StageError) {
        self.hidden = Set(hidden)
        self.only = only.contains(.root) ? [] : Set(only)
        leading = Set(only.flatMap(\.ancestors))
        for path in only {
            if let cover = hidden.first(where: { path.isSame(orBelow: $0) }) {
                throw StageError(
                    "copy \(path.escaped)", reason: "the policy hides \(cover.escaped)",
                    hint: "Take it out of [workspace] hide, or name another part")
            }
        }
    }

    /// How far a path belongs to the copy, if what it lies in does so with everything (`isWhole`) or on the way.
    func reach(_ path: BytePath, isWhole: Bool) -> Reach {
        if !hidden.isEmpty, hidden.contains(path) { return .none }
        if isWhole || only.isEmpty || only.contains(path) { return .whole }
        return leading.contains(path) ? .leading : .none
    }
}
