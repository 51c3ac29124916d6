internal import BoxTypes

/// A value of the document and its place, e.g. `syscalls[3].args[0].op`.
struct ProfileNode: Hashable, Sendable {
    let value: JSONValue
    let path: String
}

/// Checked access to the values of a profile's document; every failure names the place.
struct ProfileReader: Sendable {
    let bytes: [UInt8]
    let name: String

    func position(_ node: ProfileNode) -> TextPosition { TextPosition(of: node.value.offset, in: bytes) }

    func error(at offset: Int, _ path: String, _ reason: String) -> SyscallProfileError {
        SyscallProfileError(
            profile: name, position: TextPosition(of: offset, in: bytes), path: path, reason: reason)
    }

    func error(_ node: ProfileNode, _ reason: String) -> SyscallProfileError {
        error(at: node.value.offset, node.path, reason)
    }

    /// The error for a word that is not in a list, with the nearest one that is.
    func unknown(
        _ node: ProfileNode, _ what: String, _ text: String, among known: [String]
    ) -> SyscallProfileError {
        let hint = text.nearest(in: known).map { "; did you mean '\($0)'?" } ?? ""
        return error(node, "unknown \(what) '\(text.escapedForTerminal)'\(hint)")
    }

    /// The members of an object by key. Null counts as absent, as in the programs that write this format.
    func object(_ node: ProfileNode, keys: [String]) throws(SyscallProfileError) -> [String: ProfileNode] {
        if case .null = node.value.content, !node.path.isEmpty { return [:] }
        guard case .object(let members) = node.value.content else {
            throw error(node, "expected an object, found \(node.value.kind)")
        }
        var fields: [String: ProfileNode] = [:]
        for member in members {
            let path = node.path.isEmpty ? member.key : "\(node.path).\(member.key)"
            guard keys.contains(member.key) else {
                let key = ProfileNode(
                    value: JSONValue(offset: member.offset, content: .string(member.key)), path: node.path)
                throw unknown(key, "key", member.key, among: keys)
            }
            if case .null = member.value.content { continue }
            fields[member.key] = ProfileNode(value: member.value, path: path)
        }
        return fields
    }

    /// A member that has to be there.
    func require(
        _ key: String, of node: ProfileNode, _ fields: [String: ProfileNode]
    ) throws(SyscallProfileError) -> ProfileNode {
        guard let field = fields[key] else { throw error(node, "the key '\(key)' is missing") }
        return field
    }

    /// The elements of a list.
    func list(_ node: ProfileNode) throws(SyscallProfileError) -> [ProfileNode] {
        guard case .array(let elements) = node.value.content else {
            throw error(node, "expected a list, found \(node.value.kind)")
        }
        return elements.enumerated().map { index, element in
            ProfileNode(value: element, path: "\(node.path)[\(index)]")
        }
    }

    /// A text.
    func text(_ node: ProfileNode) throws(SyscallProfileError) -> String {
        guard case .string(let text) = node.value.content else {
            throw error(node, "expected a text, found \(node.value.kind)")
        }
        return text
    }

    /// One of some known words.
    func choice(_ node: ProfileNode, _ what: String, among known: [String]) throws(SyscallProfileError)
        -> String
    {
        let text = try text(node)
        guard known.contains(text) else { throw unknown(node, what, text, among: known) }
        return text
    }

    /// An unsigned integer.
    func integer(_ node: ProfileNode, atMost most: UInt64 = .max) throws(SyscallProfileError) -> UInt64 {
        guard case .number(let number) = node.value.content else {
            throw error(node, "expected a number, found \(node.value.kind)")
        }
        guard let value = number.unsigned, value <= most else {
            throw error(node, "\(number.text.prefix(40)) is not a whole number from 0 to \(most)")
        }
        return value
    }
}

/// Architectures as `architectures` and `archMap` name them.
let filterArchitectures = [
    "SCMP_ARCH_NATIVE", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64", "SCMP_ARCH_X32", "SCMP_ARCH_ARM",
    "SCMP_ARCH_AARCH64", "SCMP_ARCH_LOONGARCH64", "SCMP_ARCH_M68K", "SCMP_ARCH_MIPS", "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32", "SCMP_ARCH_MIPSEL", "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PPC",
    "SCMP_ARCH_PPC64", "SCMP_ARCH_PPC64LE", "SCMP_ARCH_S390", "SCMP_ARCH_S390X", "SCMP_ARCH_PARISC",
    "SCMP_ARCH_PARISC64", "SCMP_ARCH_RISCV64", "SCMP_ARCH_SH", "SCMP_ARCH_SHEB",
]

/// Architectures as `includes` and `excludes` name them.
let dockerArchitectures = [
    "x86", "amd64", "x32", "arm", "arm64", "loong64", "loongarch64", "mips", "mips64", "mips64n32", "mipsel",
    "mipsel64", "mips3l64n32", "mipsel64n32", "mipsle", "parisc", "parisc64", "ppc", "ppc64", "ppc64le",
    "riscv64", "s390", "s390x",
]

/// The capabilities of Linux 6.18, lowest number first.
let capabilityNames = [
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL", "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
]
