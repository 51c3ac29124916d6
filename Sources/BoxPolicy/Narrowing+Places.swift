import BoxTypes

// How much the keys of all tables but `[network]` permit.

extension Policy.Workspace {
    /// Takes what shows no more of the project.
    mutating func narrow(by layer: PolicyLayer.Workspace, _ wishes: inout Wishes) {
        narrowMode(by: layer, &wishes)
        narrowParts(by: layer, &wishes)
        var added: [HidePattern] = []
        for (index, pattern) in layer.hide.enumerated() {
            if pattern.isException {
                // Even if it is about the layer's own patterns: without it these hide more, and never less.
                wishes.note(["workspace", "hide"], element: index, "show \(pattern.description.dropFirst())")
            } else {
                added.append(pattern)
            }
        }
        let again = Set(added)
        hide.removeAll(where: again.contains)
        hide += added
    }

    /// `mode`: changes that are staged, as an overlay or as a copy, are less than changes to the project
    /// itself.
    mutating func narrowMode(by layer: PolicyLayer.Workspace, _ wishes: inout Wishes) {
        func reach(_ mode: Mode) -> Int {
            switch mode {
            case .none: 0
            case .overlay, .copy: 1
            case .direct: 2
            }
        }
        wishes.take(
            layer.mode, &mode, ["workspace", "mode"], isAtMost: { reach($0) <= reach($1) }, text: \.rawValue)
    }

    /// `only`: what lies in both lists.
    mutating func narrowParts(by layer: PolicyLayer.Workspace, _ wishes: inout Wishes) {
        guard let wanted = layer.only else { return }
        guard let present = only, !Policy.Workspace.isWhole(present) else {
            only = wanted
            return
        }
        let path = ["workspace", "only"]
        guard !Policy.Workspace.isWhole(wanted) else {
            wishes.note(path, "show the whole project")
            return
        }
        var common: [BytePath] = []
        var isWithin = true
        for (index, part) in wanted.enumerated() {
            var kept = [part]
            if !present.contains(where: { part.isSame(orBelow: $0) }) {
                isWithin = false
                wishes.note(path, "show \(part.escaped)", place: path + [String(index)])
                kept = present.filter { $0.isSame(orBelow: part) }
            }
            common += kept.filter { !common.contains($0) }
        }
        // No parts would be all of them.
        if !common.isEmpty { only = isWithin ? wanted : common }
    }

    /// Whether a list of parts is all of the project: one without parts is taken so.
    private static func isWhole(_ parts: [BytePath]) -> Bool { parts.isEmpty || parts.contains(.root) }

    /// What another workspace hides and this one may show.
    ///
    /// Of the patterns that match a name the last one decides. So a pattern hides all that it hid before, if
    /// no exception comes after it that did not before.
    func compareHidden(over lower: Policy.Workspace, _ wishes: inout Wishes) {
        var seen: Set<HidePattern> = []
        for pattern in lower.hide where !pattern.isException && seen.insert(pattern).inserted {
            guard let mine = exceptions(after: pattern) else {
                wishes.note(["workspace", "hide"], "show \(pattern)")
                continue
            }
            let theirs = Set(lower.exceptions(after: pattern) ?? [])
            for exception in mine where !theirs.contains(exception) {
                wishes.note(["workspace", "hide"], "show \(exception.description.dropFirst())")
            }
        }
    }

    /// The exceptions that come after the last mention of a pattern; nil if there is none.
    private func exceptions(after pattern: HidePattern) -> [HidePattern]? {
        hide.lastIndex(of: pattern).map { hide[$0...].filter(\.isException) }
    }
}

// MARK: - Files

extension Policy.Files {
    /// What a layer would grant in addition.
    func compare(with layer: Policy.Files, _ wishes: inout Wishes) {
        let grants = Grants(self)
        for (index, text) in layer.read.enumerated() where grants.access(to: text) < .read {
            wishes.note(["files", "read"], element: index, "read \(text)")
        }
        for (index, text) in layer.write.enumerated() where grants.access(to: text) < .write {
            wishes.note(["files", "write"], element: index, "write \(text)")
        }
    }

    /// What this one grants in addition to another: between the paths of both nothing changes.
    func compare(over lower: Policy.Files, _ wishes: inout Wishes) {
        let (mine, theirs) = (Grants(self), Grants(lower))
        var seen: Set<String> = []
        for text in write + read + lower.write + lower.read where seen.insert(text).inserted {
            let access = mine.access(to: text)
            guard access > theirs.access(to: text) else { continue }
            let word = access == .write ? "write" : "read"
            wishes.note(["files", word], "\(word) \(text)")
        }
    }
}

/// What the paths of `[files]` let in: of those around a path the nearest one counts, and of two equal ones
/// writing.
private struct Grants {
    enum Access: Comparable { case none, read, write }

    private let all: [(path: Place, access: Access)]

    init(_ files: Policy.Files) {
        all = files.write.map { (Place($0), .write) } + files.read.map { (Place($0), .read) }
    }

    func access(to text: String) -> Access {
        let place = Place(text)
        var nearest: (path: Place, access: Access)?
        for grant in all where place.isSame(orBelow: grant.path) {
            // Those that write come first, and an equal path does not take their place.
            if let nearest, nearest.path.isSame(orBelow: grant.path) { continue }
            nearest = grant
        }
        return nearest?.access ?? .none
    }

    /// A path as it is written; an option's may be one that files do not take, and is equal to itself alone.
    private struct Place {
        let text: String
        let path: PolicyPath?

        init(_ text: String) {
            self.text = text
            path = try? PolicyPath(text)
        }

        func isSame(orBelow other: Place) -> Bool {
            guard let path, let around = other.path else { return text == other.text }
            return path.isSame(orBelow: around)
        }
    }
}

// MARK: - Environment, limits, system calls, protections

extension Policy.Environment {
    /// What a layer would bring in. Another value of a name is one too: it may decide what a program does.
    func compare(with layer: Policy.Environment, _ wishes: inout Wishes) {
        let path = ["environment"]
        let passed = Set(pass)
        for (index, name) in layer.pass.enumerated() where !passed.contains(name) {
            wishes.note(path + ["pass"], element: index, "pass \(name)")
        }
        for (name, value) in layer.set.sorted(by: { $0.key < $1.key }) where set[name] != value {
            wishes.note(path + ["set", name], "set \(name)")
        }
        for (name, source) in layer.from.sorted(by: { $0.key < $1.key }) where from[name] != source {
            wishes.note(path + ["from", name], "set \(name) from \(source.text)")
        }
    }
}

extension Policy.Limits {
    /// Takes the smaller values.
    mutating func narrow(by layer: Policy.Limits, ram: Int?, _ wishes: inout Wishes) {
        let isComplete = wishes.isWhole
        func key(_ name: String) -> [String] { ["limits", name] }
        wishes.limit(
            layer.memory, &memory, key("memory"), isComplete: isComplete,
            isAtMost: { $0.isAtMost($1, ram: ram) })
        wishes.limit(
            layer.processes, &processes, key("processes"), isComplete: isComplete, isAtMost: <=)
        wishes.limit(
            layer.milliCPUs, &milliCPUs, key("cpus"), isComplete: isComplete, isAtMost: <=,
            text: { CPUCount(thousandths: $0).description })
        wishes.limit(
            layer.time, &time, key("time"), isComplete: isComplete, isAtMost: <=, text: \.text)
        wishes.limit(
            layer.temporary, &temporary, key("temporary"), isComplete: isComplete, isAtMost: <=)
        wishes.limit(
            layer.openFiles, &openFiles, key("open_files"), isComplete: isComplete, isAtMost: <=)
        wishes.limit(
            layer.fileSize, &fileSize, key("file_size"), isComplete: isComplete, isAtMost: <=)
        wishes.limit(layer.disk, &disk, key("disk"), isComplete: isComplete, isAtMost: <=)
        // A session that is paused is still there, and may be given more.
        var present = onExceeded ?? .end
        wishes.take(
            layer.onExceeded ?? (isComplete ? .end : nil), &present, key("on_exceeded"),
            isAtMost: { $0 == .end || $1 == .pause }, text: \.rawValue)
        if layer.onExceeded == present { onExceeded = present }
    }
}

extension MemoryLimit {
    /// Whether it is at most another one. Without the machine's memory a size and a share cannot be compared,
    /// but for all of the memory: no size is more.
    fileprivate func isAtMost(_ other: MemoryLimit, ram: Int?) -> Bool {
        if let ram {
            let all = MemoryLimit.percentOfRAM(100).bytes(ofRAM: ram)
            return min(bytes(ofRAM: ram), all) <= min(other.bytes(ofRAM: ram), all)
        }
        switch (self, other) {
        case (.bytes(let mine), .bytes(let size)): return mine <= size
        case (.percentOfRAM(let mine), .percentOfRAM(let share)): return mine <= share
        case (.bytes, .percentOfRAM(let share)): return share == 100
        case (.percentOfRAM, .bytes): return false
        }
    }
}

extension Policy.Syscalls {
    /// Takes a stricter one of box's own profiles. Of a file nobody knows here what it lets through.
    mutating func narrow(by layer: PolicyLayer.Syscalls, _ wishes: inout Wishes) {
        let known = ["strict", "default", "nested"]
        wishes.take(
            layer.profile, &profile, ["syscalls", "profile"],
            isAtMost: { wanted, present in
                if wanted == present { return true }
                guard let one = known.firstIndex(of: wanted), let two = known.firstIndex(of: present) else {
                    return false
                }
                return one < two
            }, text: \.self)
    }
}

extension Policy.Audit {
    /// Takes a level at which more is written down.
    mutating func narrow(by layer: PolicyLayer.Audit, _ wishes: inout Wishes) {
        let order = AuditLevel.allCases
        wishes.take(
            layer.level, &level, ["audit", "level"],
            isAtMost: { order.firstIndex(of: $0) ?? 0 >= order.firstIndex(of: $1) ?? 0 }, text: \.rawValue)
    }
}

extension Policy.Protections {
    /// What a layer would do without in addition.
    func compare(with layer: Policy.Protections, _ wishes: inout Wishes) {
        let path = ["protections", "accept_missing"]
        let names = layer.acceptMissing.sorted()
        for (index, name) in names.enumerated() where !acceptMissing.contains(name) {
            // A set has lost the order of the text, so only a single element's place is known.
            let element = path + [String(index)]
            wishes.note(
                wishes.isWhole ? path : element, "accept missing \(name.rawValue)",
                place: names.count == 1 ? element : path)
        }
    }
}
