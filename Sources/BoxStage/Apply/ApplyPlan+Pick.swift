internal import BoxKernel
internal import BoxTypes
internal import Glibc

/// What the user takes of one file.
package enum ApplyPick: Equatable, Sendable {
    case all, none
    /// The old text with some of the hunks.
    case content([UInt8])
    /// Nothing of this one and of all later ones.
    case quit
}

extension ApplyPlan {
    /// Longer files are asked about as a whole.
    private static let longestPick = 16 << 20

    /// Asks about every change that would be applied, in order: by its hunks, or as a whole where it has none.
    package func pick(
        _ ask: (Change, _ old: [UInt8], _ new: [UInt8]) throws(StageError) -> ApplyPick
    ) throws(StageError) {
        var index = 0
        var hasQuit = false
        try walk.forEach { (change) throws(StageError) in
            defer { index += 1 }
            guard index < decisions.count, decision(index) == .take else { return }
            guard !hasQuit else { return drop(index, change) }
            let (old, new) = try texts(change)
            switch try ask(change, old, new) {
            case .all: return
            case .none: drop(index, change)
            case .quit:
                hasQuit = true
                drop(index, change)
            case .content(let bytes):
                guard change.new?.kind == .file, let mode = change.old?.mode else {
                    return drop(index, change)
                }
                take(index, OtherContent(bytes: bytes, mode: mode, isWhole: false))
            }
        }
    }

    /// Both contents; for what has no lines, a line that says what it is.
    private func texts(_ change: Change) throws(StageError) -> ([UInt8], [UInt8]) {
        let isText =
            [change.old, change.new].allSatisfy { node in
                guard let node else { return true }
                return node.kind == .file && node.size <= ApplyPlan.longestPick
            } && change.kind != .modeChanged && (change.old?.size ?? 0) + (change.new?.size ?? 0) > 0
        guard isText else {
            return (
                ApplyPlan.line(change.old, change.oldTarget), ApplyPlan.line(change.new, change.newTarget)
            )
        }
        let old = change.old == nil ? nil : try walk.openHost(change)
        let new = change.new == nil ? nil : try walk.openNew(change)
        do throws(KernelError) {
            return (
                try old?.readAll(limit: ApplyPlan.longestPick) ?? [],
                try new?.readAll(limit: ApplyPlan.longestPick) ?? []
            )
        } catch { throw StageError("read \(change.path.escaped)", error) }
    }

    private static func line(_ node: Node?, _ target: [UInt8]?) -> [UInt8] {
        guard let node else { return [] }
        let what =
            switch node.kind {
            case .file: "file of \(node.size) bytes, mode \(String(node.mode & 0o777, radix: 8))"
            case .directory: "directory, mode \(String(node.mode & 0o777, radix: 8))"
            case .link: "link to \(BytePath.escaped(target ?? []))"
            case .characterDevice, .blockDevice, .fifo, .socket: "special file"
            }
        return Array((what + "\n").utf8)
    }
}
