package import BoxTypes
internal import CLinux
internal import CSeccomp
internal import Glibc

/// Compiles system call filters to BPF and installs them.
package enum SeccompFilter {
    /// The BPF program of a filter, for this architecture.
    ///
    /// System calls of any other architecture (i386 and x32 on x86_64) end the process. The result is what
    /// `install` takes and can be kept in a file.
    package static func compile(_ filter: SyscallFilter) throws(KernelError) -> [UInt8] {
        var program: [UInt8] = []
        let stages = filter.stages
        for (index, stage) in stages.enumerated() {
            let context = try FilterContext(defaultAction: stage.defaultAction)
            try context.add(stage.rules)
            let part = try context.program()
            program += index == stages.count - 1 ? part : try fallingThrough(part)
        }
        guard program.count <= instructionSize * longest else {
            throw KernelError(
                call: "seccomp", code: E2BIG, subject: "(\(program.count / instructionSize) instructions)")
        }
        return program
    }

    /// Installs a program for the calling thread, or for all threads of the process.
    ///
    /// It holds for everything that is executed later, and nothing takes it back. The caller has set
    /// no_new_privs, without which the kernel refuses (`EACCES`).
    package static func install(_ program: [UInt8], allThreads: Bool = false) throws(KernelError) {
        let flags = allThreads ? UInt32(SECCOMP_FILTER_FLAG_TSYNC) : 0
        let result = unsafe box_seccomp_install(program, program.count, flags)
        try check("seccomp(SECCOMP_SET_MODE_FILTER)", result)
        // With TSYNC the result may be the id of a thread that could not follow.
        guard result == 0 else {
            throw KernelError(
                call: "seccomp(SECCOMP_SET_MODE_FILTER)", code: EBUSY, subject: "thread \(result)")
        }
    }

    /// Bytes of a `struct sock_filter`: u16 code, u8 jump if true, u8 jump if false, u32 operand.
    private static let instructionSize = 8
    /// BPF_MAXINSNS.
    private static let longest = 4096

    /// The program with "go on behind the end" in place of "allow", so that the next stage decides.
    ///
    /// Instructions keep their places, so jumps stay right, and a `ja` reaches any distance forward.
    private static func fallingThrough(_ program: [UInt8]) throws(KernelError) -> [UInt8] {
        // BPF_RET|BPF_K with SECCOMP_RET_ALLOW, and BPF_JMP|BPF_JA.
        let allow: [UInt8] = [0x06, 0, 0, 0, 0x00, 0x00, 0xFF, 0x7F]
        var result = program
        for start in stride(from: 0, to: program.count, by: instructionSize)
        where program[start..<start + instructionSize].elementsEqual(allow) {
            let rest = UInt32((program.count - start) / instructionSize - 1)
            let jump: [UInt8] = [0x05, 0, 0, 0] + (0..<4).map { UInt8(truncatingIfNeeded: rest >> (8 * $0)) }
            result.replaceSubrange(start..<start + instructionSize, with: jump)
        }
        guard result != program else { throw KernelError(call: "seccomp_export_bpf", code: EINVAL) }
        return result
    }
}

/// The one owner of a libseccomp filter under construction.
///
/// Safe to use: the pointer is made here, never handed out, and freed once, when the owner goes.
@safe private struct FilterContext: ~Copyable {
    private let context: scmp_filter_ctx

    /// An empty filter for the native architecture.
    init(defaultAction: SyscallAction) throws(KernelError) {
        guard let context = unsafe seccomp_init(defaultAction.libseccomp) else {
            throw KernelError(call: "seccomp_init", code: EINVAL)
        }
        unsafe self.context = context
    }

    deinit { unsafe seccomp_release(context) }

    /// Adds the rules of one stage: every call has one action only.
    ///
    /// The rules come in order of their numbers, as in `SyscallFilter.stages`.
    borrowing func add(_ rules: [SyscallRule]) throws(KernelError) {
        try set(SCMP_FLTATR_ACT_BADARCH, SyscallAction.killProcess.libseccomp)
        // A binary tree over the call numbers in place of a chain.
        try set(SCMP_FLTATR_CTL_OPTIMIZE, 2)
        // Highest number first: libseccomp keeps a list by number and looks for the place from its start.
        for rule in rules.reversed() { try add(rule) }
    }

    private borrowing func set(_ attribute: scmp_filter_attr, _ value: UInt32) throws(KernelError) {
        try checkNegated("seccomp_attr_set", unsafe seccomp_attr_set(context, attribute, value))
    }

    /// Adds a rule exactly as it is. Numbers that libseccomp does not know are taken as they are.
    private borrowing func add(_ rule: SyscallRule) throws(KernelError) {
        let conditions = rule.conditions.map(\.libseccomp)
        let result = unsafe seccomp_rule_add_exact_array(
            context, rule.action.libseccomp, rule.number, UInt32(conditions.count), conditions)
        // A rule that an earlier one already implies.
        if result == -EEXIST { return }
        try checkNegated("seccomp_rule_add", result, rule.name)
    }

    /// The finished program.
    borrowing func program() throws(KernelError) -> [UInt8] {
        // libseccomp 2.5 exports to a descriptor only.
        let closeOnExec: UInt32 = 1  // MFD_CLOEXEC, which Swift does not see
        let number = unsafe box_memfd_create("seccomp", closeOnExec)
        let file = Descriptor(owning: try check("memfd_create", number))
        try checkNegated("seccomp_export_bpf", unsafe seccomp_export_bpf(context, file.number))
        try check("lseek", Int(lseek(file.number, 0, SEEK_SET)))
        return try file.readAll(limit: 1 << 20)
    }
}

/// Turns libseccomp's negative errno into a `KernelError`.
private func checkNegated(_ call: String, _ result: CInt, _ subject: String = "") throws(KernelError) {
    guard result >= 0 else { throw KernelError(call: call, code: -result, subject: subject) }
}

extension SyscallAction {
    /// The action as libseccomp takes it.
    fileprivate var libseccomp: UInt32 {
        switch self {
        case .allow: SCMP_ACT_ALLOW
        case .errno(let code): box_scmp_act_errno(code)
        case .killProcess: SCMP_ACT_KILL_PROCESS
        case .killThread: SCMP_ACT_KILL_THREAD
        case .trap: SCMP_ACT_TRAP
        case .log: SCMP_ACT_LOG
        case .trace(let value): box_scmp_act_trace(value)
        case .notify: SCMP_ACT_NOTIFY
        }
    }
}

extension ArgumentCondition {
    /// The condition as libseccomp takes it; with a mask the first operand is the mask.
    fileprivate var libseccomp: scmp_arg_cmp {
        let (op, first, second): (scmp_compare, UInt64, UInt64) =
            switch comparison {
            case .equal: (SCMP_CMP_EQ, value, 0)
            case .notEqual: (SCMP_CMP_NE, value, 0)
            case .less: (SCMP_CMP_LT, value, 0)
            case .lessOrEqual: (SCMP_CMP_LE, value, 0)
            case .greater: (SCMP_CMP_GT, value, 0)
            case .greaterOrEqual: (SCMP_CMP_GE, value, 0)
            case .maskedEqual(let mask): (SCMP_CMP_MASKED_EQ, mask, value)
            }
        return scmp_arg_cmp(arg: index, op: op, datum_a: first, datum_b: second)
    }
}
