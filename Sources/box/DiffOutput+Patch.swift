import BoxKernel
import BoxStage
import BoxTypes

// A patch that git apply takes, byte for byte.
extension DiffPrinter {
    /// All contents: as a patch, or for people to read.
    func printPatches() throws(StageError) {
        var skipped = Skipped()
        var groups = review.movedDirectories
        try review.forEach { (entry) throws(StageError) in
            guard !review.isSourceOfMove(entry.change) else { return }
            if format.isRaw {
                try printPatch(entry, &skipped)
            } else if let group = groups.take(entry) {
                if let line = group.line { try write(format.painted(line, "1") + "\n") }
            } else {
                try printFile(entry)
            }
        }
        for line in skipped.lines { Output.error(line) }
    }

    /// What a patch does not have.
    struct Skipped {
        var inGitDirectories = 0
        var directories = 0
        var special = 0
        var others: [String] = []

        var lines: [String] {
            var lines: [String] = []
            if inGitDirectories > 0 {
                lines.append(
                    "\(inGitDirectories) changes in git directories are not in the patch, as git apply takes no such; "
                        + "--raw has them, --name-only lists them")
            }
            if directories > 0 {
                lines.append("\(directories) directories are not in the patch; --name-only lists them")
            }
            if special > 0 { lines.append("\(special) devices, FIFOs or sockets are not in the patch") }
            return lines + others
        }
    }

    private func printPatch(_ entry: DiffReview.Entry, _ skipped: inout Skipped) throws(StageError) {
        let change = entry.change
        if entry.verdict.risk == .normal, !format.isExplicitlyRaw, DiffPrinter.isInGitDirectory(change) {
            skipped.inGitDirectories += 1
            return
        }
        let (old, new) = (PatchSide(change.old, change.oldTarget), PatchSide(change.new, change.newTarget))
        if let node = change.new ?? change.old {
            switch node.kind {
            case .directory: skipped.directories += 1
            case .characterDevice, .blockDevice, .fifo, .socket: skipped.special += 1
            case .file, .link: break
            }
        }
        // A file that became a link is one deleted and one added, as in git.
        switch (old, new) {
        case (.file, .file), (.link, .link):
            if try printChange(change, new, &skipped) { return }
        case (.file, _), (.link, _), (.nothing, _), (.special, _):
            try printWhole(change, old, isNew: false, &skipped)
            try printWhole(change, new, isNew: true, &skipped)
        }
    }

    /// Whether a path is part of what git keeps for itself; `git apply` refuses a patch for it.
    static func isInGitDirectory(_ change: Change) -> Bool {
        change.tree > 0
            || change.path.components.contains { String(decoding: $0, as: UTF8.self).lowercased() == ".git" }
    }

    private func names(_ change: Change) -> (old: [UInt8], new: [UInt8]) {
        let new = review.name(change)
        let old = review.source(of: change).map { review.name($0, tree: change.tree) } ?? new
        return (UnifiedDiff.quoted(old, prefix: "a/"), UnifiedDiff.quoted(new, prefix: "b/"))
    }

    private func heading(_ change: Change) -> [UInt8] {
        let (old, new) = names(change)
        return Array("diff --git ".utf8) + old + [UInt8(ascii: " ")] + new + [UInt8.lineFeed]
    }

    /// A file or link that was, and is, one of the same kind.
    private func printChange(
        _ change: Change, _ new: PatchSide, _ skipped: inout Skipped
    ) throws(StageError) -> Bool {
        var text = heading(change)
        let modes = (PatchSide(change.old, nil).mode, new.mode)
        let isModeKept = modes.0 == modes.1
        if !isModeKept { text += "old mode \(modes.0)\nnew mode \(modes.1)\n".utf8 }
        if case .link(let target) = new {
            text += link(change, from: change.oldTarget ?? [], to: target)
        } else if change.kind == .modeChanged {
            // git knows only whether a file is executable.
            guard !isModeKept else {
                skipped.others.append("the new permissions of \(shown(change)) are not in the patch")
                return true
            }
        } else {
            text += try contents(change, old: try DiffContents(change, review.walk).old(), &skipped)
        }
        try output.write(text)
        return true
    }

    /// A file or link that is new, or was deleted.
    private func printWhole(
        _ change: Change, _ side: PatchSide, isNew: Bool, _ skipped: inout Skipped
    ) throws(StageError) {
        guard side.isPatchable else { return }
        var text = heading(change)
        if isNew, let source = review.source(of: change) {
            let before = PatchSide(review.sourceNode(of: change), nil).mode
            if before != side.mode { text += "old mode \(before)\nnew mode \(side.mode)\n".utf8 }
            text += "similarity index 100%\nrename from ".utf8
            text += UnifiedDiff.quoted(review.name(source, tree: change.tree))
            text += "\nrename to ".utf8
            text += UnifiedDiff.quoted(review.name(change)) + [UInt8.lineFeed]
            return try output.write(text)
        }
        text += "\(isNew ? "new" : "deleted") file mode \(side.mode)\n".utf8
        if case .link(let target) = side {
            text += link(change, from: isNew ? nil : target, to: isNew ? target : nil)
        } else {
            var one = change
            if isNew { one.old = nil } else { one.new = nil }
            text += try contents(one, old: try DiffContents(one, review.walk).old(), &skipped)
        }
        try output.write(text)
    }

    private func link(_ change: Change, from old: [UInt8]?, to new: [UInt8]?) -> [UInt8] {
        unified(change, LineDiff(old: old ?? [], new: new ?? []), hasOld: old != nil, hasNew: new != nil)
    }

    private func unified(_ change: Change, _ diff: LineDiff, hasOld: Bool, hasNew: Bool) -> [UInt8] {
        let (old, new) = names(change)
        let nothing = Array("/dev/null".utf8)
        return UnifiedDiff.text(diff, oldName: hasOld ? old : nothing, newName: hasNew ? new : nothing)
    }

    /// The lines that differ, or the binary content.
    private func contents(
        _ change: Change, old: DiffContents.Content, _ skipped: inout Skipped
    ) throws(StageError) -> [UInt8] {
        let contents = DiffContents(change, review.walk)
        var old = old
        if case .unknown = old {
            // The host's version is what the patch would be applied to.
            old = try contents.host()
            skipped.others.append(
                "\(shown(change)): what the session began with is not known any more; compared with the host's "
                    + "present version")
        }
        let new = try contents.new()
        guard let before = old.bytes, let after = new.bytes else {
            skipped.others.append(
                "\(shown(change)) is too large for a patch (\(old.size ?? 0) -> \(new.size ?? 0) bytes)")
            let (a, b) = names(change)
            return Array("Binary files ".utf8) + a + Array(" and ".utf8) + b + Array(" differ\n".utf8)
        }
        let (hasOld, hasNew) = (change.old != nil, change.new != nil)
        guard !Binary.isBinary(before), !Binary.isBinary(after) else {
            return Binary.patch(old: hasOld ? before : nil, new: hasNew ? after : nil)
        }
        return unified(change, LineDiff(old: before, new: after), hasOld: hasOld, hasNew: hasNew)
    }
}

/// What stands at one end of a change, as git sees it.
enum PatchSide {
    case nothing
    case file(isExecutable: Bool)
    case link([UInt8])
    /// git keeps no directories, devices, FIFOs and sockets.
    case special

    init(_ node: Node?, _ target: [UInt8]?) {
        switch node?.kind {
        case nil: self = .nothing
        case .file: self = .file(isExecutable: (node?.mode ?? 0) & 0o100 != 0)
        case .link: self = .link(target ?? [])
        case .directory, .characterDevice, .blockDevice, .fifo, .socket: self = .special
        }
    }

    /// The three modes that git knows.
    var mode: String {
        switch self {
        case .file(let isExecutable): isExecutable ? "100755" : "100644"
        case .link: "120000"
        case .nothing, .special: "000000"
        }
    }

    var isPatchable: Bool {
        switch self {
        case .file, .link: true
        case .nothing, .special: false
        }
    }
}

extension UInt8 {
    static let lineFeed = UInt8(ascii: "\n")
}
