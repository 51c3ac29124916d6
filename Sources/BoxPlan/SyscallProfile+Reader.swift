internal import BoxTypes

extension SyscallProfile {
    /// Reads a profile. Everything in the file is understood or refused: an unknown key, action, comparison,
    /// architecture, capability, errno or system call is an error with its place and the nearest known word.
    package init(json: [UInt8], name: String) throws(SyscallProfileError) {
        let reader = ProfileReader(bytes: json, name: name)
        guard json.count <= SyscallProfile.longest else {
            let reason = "the file has \(json.count) bytes, at most \(SyscallProfile.longest) are read"
            throw reader.error(at: 0, "", reason)
        }
        let document: JSONValue
        do throws(JSONError) { document = try JSONValue(parsing: json, depthLimit: 16) } catch {
            throw SyscallProfileError(profile: name, position: error.position, path: "", reason: error.reason)
        }
        self = try reader.profile(ProfileNode(value: document, path: ""))
    }
}

extension ProfileReader {
    /// The whole document.
    func profile(_ root: ProfileNode) throws(SyscallProfileError) -> SyscallProfile {
        let keys = [
            "defaultAction", "defaultErrnoRet", "defaultErrno", "archMap", "architectures", "flags",
            "listenerPath", "listenerMetadata", "syscalls",
        ]
        let fields = try object(root, keys: keys)
        try refuseListener(fields)
        try checkFlags(fields["flags"])
        try checkArchitectures(fields)
        let action = try require("defaultAction", of: root, fields)
        let code = try errno(number: fields["defaultErrnoRet"], name: fields["defaultErrno"])
        let defaultAction = try self.action(action, errno: code)
        let syscalls = try require("syscalls", of: root, fields)
        var entries: [SyscallProfile.Entry] = []
        for element in try list(syscalls) { entries.append(try entry(element)) }
        return SyscallProfile(
            name: name, defaultAction: defaultAction, entries: entries, entriesPosition: position(syscalls))
    }

    /// A listener would decide about calls outside the sandbox; box has none.
    private func refuseListener(_ fields: [String: ProfileNode]) throws(SyscallProfileError) {
        for key in ["listenerPath", "listenerMetadata"] {
            guard let node = fields[key], try text(node) != "" else { continue }
            throw error(node, "not supported: box has no listener that decides about system calls")
        }
    }

    private func checkFlags(_ node: ProfileNode?) throws(SyscallProfileError) {
        guard let node else { return }
        for flag in try list(node) {
            // A filter that is installed before the command starts is on all its threads anyhow.
            let known = ["SECCOMP_FILTER_FLAG_TSYNC"]
            let refused = [
                "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
                "SECCOMP_FILTER_FLAG_NEW_LISTENER", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
            ]
            let name = try choice(flag, "flag", among: known + refused)
            if refused.contains(name) { throw error(flag, "'\(name)' is not supported") }
        }
    }

    /// The architectures are checked and have no effect: box filters the running one and kills all others.
    private func checkArchitectures(_ fields: [String: ProfileNode]) throws(SyscallProfileError) {
        if let node = fields["architectures"] {
            for element in try list(node) {
                _ = try choice(element, "architecture", among: filterArchitectures)
            }
        }
        guard let map = fields["archMap"] else { return }
        let entries = try list(map)
        if let node = fields["architectures"], try !list(node).isEmpty, !entries.isEmpty {
            throw error(map, "'architectures' and 'archMap' exclude each other")
        }
        for element in entries {
            let entry = try object(element, keys: ["architecture", "subArchitectures"])
            let main = try require("architecture", of: element, entry)
            _ = try choice(main, "architecture", among: filterArchitectures)
            guard let others = entry["subArchitectures"] else { continue }
            for other in try list(others) {
                _ = try choice(other, "architecture", among: filterArchitectures)
            }
        }
    }

    /// One element of `syscalls`.
    private func entry(_ node: ProfileNode) throws(SyscallProfileError) -> SyscallProfile.Entry {
        let keys = [
            "names", "name", "action", "errnoRet", "errno", "args", "comment", "includes", "excludes",
            "priority",
        ]
        let fields = try object(node, keys: keys)
        if let comment = fields["comment"] { _ = try text(comment) }
        // The order of tests in the filter: a hint that libseccomp's binary tree does not use.
        if let priority = fields["priority"] { _ = try integer(priority, atMost: 255) }
        let action = try require("action", of: node, fields)
        let code = try errno(number: fields["errnoRet"], name: fields["errno"])
        return SyscallProfile.Entry(
            names: try names(node, fields), action: try self.action(action, errno: code),
            conditions: try conditions(fields["args"]), includes: try selector(fields["includes"]),
            excludes: try selector(fields["excludes"]))
    }

    private func names(
        _ node: ProfileNode, _ fields: [String: ProfileNode]
    ) throws(SyscallProfileError) -> [String] {
        var nodes: [ProfileNode] = []
        if let all = fields["names"] { nodes = try list(all) }
        if let one = fields["name"], try text(one) != "" {
            guard nodes.isEmpty else { throw error(one, "'name' and 'names' exclude each other") }
            nodes = [one]
        }
        guard !nodes.isEmpty else { throw error(node, "the entry names no system call") }
        var names: [String] = []
        for name in nodes {
            let text = try text(name)
            guard SyscallTable.entry(text, on: .x86_64) != nil else {
                throw unknown(name, "system call", text, among: SyscallTable.names)
            }
            names.append(text)
        }
        return names
    }

    // MARK: Actions

    /// An errno from its number, its name or both; nil if the file gives none.
    private func errno(
        number: ProfileNode?, name: ProfileNode?
    ) throws(SyscallProfileError) -> (node: ProfileNode, code: UInt16)? {
        var found: (node: ProfileNode, code: UInt16)?
        if let number {
            found = (number, UInt16(try integer(number, atMost: ErrnoTable.highest)))
        }
        guard let name, case let text = try text(name), text != "" else { return found }
        guard let code = ErrnoTable.number(text) else {
            throw unknown(name, "errno", text, among: ErrnoTable.names)
        }
        if let found, found.code != code {
            throw error(name, "\(text) is \(code), but \(found.node.path) says \(found.code)")
        }
        return (name, code)
    }

    private func action(
        _ node: ProfileNode, errno: (node: ProfileNode, code: UInt16)?
    ) throws(SyscallProfileError) -> SyscallAction {
        let name = try choice(
            node, "action",
            among: [
                "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS",
                "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP",
            ])
        switch name {
        // The OCI runtime specification: without an errno, EPERM.
        case "SCMP_ACT_ERRNO": return .errno(errno?.code ?? 1)
        case "SCMP_ACT_TRACE": return .trace(errno?.code ?? 1)
        default: break
        }
        if let errno { throw error(errno.node, "only SCMP_ACT_ERRNO and SCMP_ACT_TRACE have an errno") }
        switch name {
        case "SCMP_ACT_ALLOW": return .allow
        case "SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD": return .killThread
        case "SCMP_ACT_KILL_PROCESS": return .killProcess
        case "SCMP_ACT_LOG": return .log
        case "SCMP_ACT_TRAP": return .trap
        default: throw error(node, "not supported: box has no listener that decides about system calls")
        }
    }

    // MARK: Arguments

    private func conditions(_ node: ProfileNode?) throws(SyscallProfileError) -> [ArgumentCondition] {
        guard let node else { return [] }
        var all: [ArgumentCondition] = []
        for element in try list(node) {
            let condition = try condition(element)
            // Runtimes read such a list as "any of them" although the specification says "all of them".
            guard !all.contains(where: { $0.index == condition.index }) else {
                throw error(
                    element, "a second condition on argument \(condition.index); use one entry for each")
            }
            all.append(condition)
        }
        return all
    }

    private func condition(_ node: ProfileNode) throws(SyscallProfileError) -> ArgumentCondition {
        let fields = try object(node, keys: ["index", "value", "valueTwo", "op"])
        let number = UInt32(try integer(try require("index", of: node, fields), atMost: 5))
        let operand = try integer(try require("value", of: node, fields))
        let op = try require("op", of: node, fields)
        let second =
            try fields["valueTwo"].map { (node) throws(SyscallProfileError) in try integer(node) } ?? 0
        let name = try choice(
            op, "comparison",
            among: [
                "SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT",
                "SCMP_CMP_MASKED_EQ",
            ])
        if name == "SCMP_CMP_MASKED_EQ" {
            // 'value' is the mask here and 'valueTwo' what is left of the argument under it.
            guard second & ~operand == 0 else {
                throw error(
                    fields["valueTwo"] ?? node, "\(second) has bits outside the mask \(operand): no match")
            }
            return ArgumentCondition(index: number, comparison: .maskedEqual(mask: operand), value: second)
        }
        if second != 0 {
            throw error(fields["valueTwo"] ?? node, "only SCMP_CMP_MASKED_EQ has a second value")
        }
        return ArgumentCondition(index: number, comparison: comparison(name), value: operand)
    }

    private func comparison(_ name: String) -> ArgumentCondition.Comparison {
        switch name {
        case "SCMP_CMP_NE": .notEqual
        case "SCMP_CMP_LT": .less
        case "SCMP_CMP_LE": .lessOrEqual
        case "SCMP_CMP_GE": .greaterOrEqual
        case "SCMP_CMP_GT": .greater
        default: .equal
        }
    }

    // MARK: Selectors

    private func selector(_ node: ProfileNode?) throws(SyscallProfileError) -> SyscallProfile.Selector {
        var selector = SyscallProfile.Selector()
        guard let node else { return selector }
        let fields = try object(node, keys: ["caps", "arches", "minKernel"])
        if let capabilities = fields["caps"] {
            for element in try list(capabilities) {
                selector.capabilities.append(try choice(element, "capability", among: capabilityNames))
            }
        }
        if let architectures = fields["arches"] {
            for element in try list(architectures) {
                let name = try choice(element, "architecture", among: dockerArchitectures)
                selector.architectures.append(name)
            }
        }
        if let kernel = fields["minKernel"] { selector.leastKernel = try kernelVersion(kernel) }
        return selector
    }

    private func kernelVersion(
        _ node: ProfileNode
    ) throws(SyscallProfileError) -> SyscallProfile.KernelVersion? {
        let text = try text(node)
        if text.isEmpty { return nil }
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        // The integer initialiser takes a sign, the format does not.
        guard !text.contains("+"), parts.count == 2, let major = UInt8(parts[0]), let minor = UInt8(parts[1]),
            text != "0.0"
        else {
            throw error(
                node, "'\(text.escapedForTerminal)' is no kernel version; write two numbers as in 4.8")
        }
        return SyscallProfile.KernelVersion(major: Int(major), minor: Int(minor))
    }
}
