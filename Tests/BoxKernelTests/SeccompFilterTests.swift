import BoxKernel
import BoxPlan
import BoxTypes
import CLinux
import Glibc
import Profiles
import Testing

/// A filter of this machine's kernel from a shipped profile.
private func shipped(_ name: String) throws -> SyscallFilter {
    let json = try #require(Shipped.syscallProfile(name))
    return try SyscallProfile(json: json, name: name).filter(
        for: SyscallContext(kernelMajor: 6, kernelMinor: 18))
}

private func number(_ name: String) throws -> Int32 {
    guard case .number(let number)? = SyscallTable.entry(name, on: .native) else {
        throw KernelError(call: name, code: ENOSYS)
    }
    return number
}

/// A compiled program as the kernel would run it: the reference for what libseccomp and the joining of stages
/// made of a filter.
private struct BPF {
    struct Instruction {
        let code: UInt16
        let ifTrue: Int
        let ifFalse: Int
        let operand: UInt32
    }

    let program: [Instruction]

    init(_ bytes: [UInt8]) {
        var all: [Instruction] = []
        for at in stride(from: 0, to: bytes.count, by: 8) {
            let code = UInt16(bytes[at]) | UInt16(bytes[at + 1]) << 8
            var operand: UInt32 = 0
            for byte in bytes[at + 4..<at + 8].reversed() { operand = operand << 8 | UInt32(byte) }
            all.append(
                Instruction(
                    code: code, ifTrue: Int(bytes[at + 2]), ifFalse: Int(bytes[at + 3]), operand: operand))
        }
        program = all
    }

    /// What `SyscallArchitecture.native` is called in `struct seccomp_data` (AUDIT_ARCH_X86_64, _AARCH64).
    static var nativeArchitecture: UInt32 {
        switch SyscallArchitecture.native {
        case .x86_64: 0xC000_003E
        case .aarch64: 0xC000_00B7
        }
    }

    /// The 32-bit return value for one call; nil if the program does something that is not in the set of
    /// instructions that seccomp takes.
    func run(_ number: Int32, _ arguments: [UInt64], architecture: UInt32 = nativeArchitecture) -> UInt32? {
        var words = [UInt32(bitPattern: number), architecture, 0, 0]
        for index in 0..<6 {
            let value = index < arguments.count ? arguments[index] : 0
            words += [UInt32(truncatingIfNeeded: value), UInt32(truncatingIfNeeded: value >> 32)]
        }
        var accumulator: UInt32 = 0
        var at = 0
        while at < program.count {
            let step = program[at]
            at += 1
            switch step.code {
            case 0x20: accumulator = words[Int(step.operand) / 4]
            case 0x54: accumulator &= step.operand
            case 0x05: at += Int(step.operand)
            case 0x15: at += accumulator == step.operand ? step.ifTrue : step.ifFalse
            case 0x25: at += accumulator > step.operand ? step.ifTrue : step.ifFalse
            case 0x35: at += accumulator >= step.operand ? step.ifTrue : step.ifFalse
            case 0x06: return step.operand
            default: return nil
            }
        }
        return nil
    }
}

/// The kernel's encoding of an action.
private func encoded(_ action: SyscallAction) -> UInt32 {
    switch action {
    case .allow: 0x7FFF_0000
    case .errno(let code): 0x0005_0000 | UInt32(code)
    case .killProcess: 0x8000_0000
    case .killThread: 0
    case .trap: 0x0003_0000
    case .log: 0x7FFC_0000
    case .trace(let value): 0x7FF0_0000 | UInt32(value)
    case .notify: 0x7FC0_0000
    }
}

/// Values near the ones that a filter's conditions mention, with and without bits above 32.
private func interesting(_ filter: SyscallFilter) -> [UInt64] {
    var values: Set<UInt64> = [0, 1, .max]
    for condition in filter.rules.flatMap(\.conditions) {
        values.formUnion([condition.value, condition.value &+ 1, condition.value | 0xABCD << 32])
        if case .maskedEqual(let mask) = condition.comparison { values.insert(~mask | condition.value) }
    }
    return values.sorted()
}

@Suite struct `Compiling system call filters` {
    @Test(arguments: Shipped.syscallProfileNames)
    func `the program does for every call what the filter says`(name: String) throws {
        let filter = try shipped(name)
        let program = BPF(try SeccompFilter.compile(filter))
        #expect(program.program.count < 1000)
        for number in -1...600 {
            try compare(filter, program, Int32(number))
        }
    }

    /// Compares program and filter for one call, over all values that its conditions mention.
    private func compare(_ filter: SyscallFilter, _ program: BPF, _ number: Int32) throws {
        let part = SyscallFilter(
            defaultAction: filter.defaultAction, rules: filter.rules.filter { $0.number == number })
        let values = part.rules.allSatisfy(\.conditions.isEmpty) ? [0] : interesting(part)
        let indices = Set(part.rules.flatMap(\.conditions).map { Int($0.index) })
        var all: [[UInt64]] = [[0, 0, 0, 0, 0, 0]]
        for index in indices {
            all = all.flatMap { base in
                values.map { value in
                    var arguments = base
                    arguments[index] = value
                    return arguments
                }
            }
        }
        // Three dependent arguments make too many combinations for every run; a fixed stride keeps it short.
        let step = max(1, all.count / 3000)
        for index in stride(from: 0, to: all.count, by: step) {
            let expected = encoded(part.action(number: number, arguments: all[index]))
            guard program.run(number, all[index]) == expected else {
                Issue.record("call \(number) with \(all[index]): not \(String(expected, radix: 16))")
                return
            }
        }
    }

    @Test func `overlapping rules mean what the filter says, in any order`() throws {
        func rule(_ action: SyscallAction, _ conditions: ArgumentCondition...) -> SyscallRule {
            SyscallRule(name: "read", number: 0, action: action, conditions: conditions)
        }
        func condition(_ comparison: ArgumentCondition.Comparison, _ value: UInt64, _ index: UInt32 = 0)
            -> ArgumentCondition
        {
            ArgumentCondition(index: index, comparison: comparison, value: value)
        }
        let rules = [
            rule(.allow), rule(.errno(13), condition(.maskedEqual(mask: 0xFF), 7)),
            rule(.errno(5), condition(.greaterOrEqual, 100), condition(.less, 3, 1)),
            rule(.killProcess, condition(.equal, 0x1_0000_0007)), rule(.trace(9), condition(.notEqual, 5)),
            rule(.log, condition(.lessOrEqual, 4)),
        ]
        for shift in rules.indices {
            for defaultAction in [SyscallAction.errno(38), .allow, .errno(13), .killProcess] {
                let filter = SyscallFilter(
                    defaultAction: defaultAction, rules: Array(rules[shift...] + rules[..<shift]))
                try compare(filter, BPF(try SeccompFilter.compile(filter)), 0)
            }
        }
    }

    @Test func `numbers that libseccomp does not know are filtered`() throws {
        let rules = [463, 467, 500, 4000].map { SyscallRule(name: "new", number: $0, action: .errno(7)) }
        let program = BPF(try SeccompFilter.compile(SyscallFilter(defaultAction: .allow, rules: rules)))
        for number: Int32 in [463, 467, 500, 4000] { #expect(program.run(number, []) == 0x0005_0007) }
        for number: Int32 in [462, 464, 501] { #expect(program.run(number, []) == 0x7FFF_0000) }
    }

    @Test(arguments: Shipped.syscallProfileNames)
    func `calls of other architectures end the process`(name: String) throws {
        let program = BPF(try SeccompFilter.compile(try shipped(name)))
        // AUDIT_ARCH_I386, _ARM, _RISCV64 and one that does not exist.
        for other: UInt32 in [0x4000_0003, 0x4000_0028, 0xC000_00F3, 0] {
            #expect(program.run(0, [], architecture: other) == 0x8000_0000)
        }
        #if arch(x86_64)
            // x32 has the architecture of x86_64 and numbers from 2^30.
            for number: Int32 in [0x4000_0000, 0x4000_0027, 0x4000_0200, .max] {
                #expect(program.run(number, []) == 0x8000_0000)
            }
        #endif
    }

    @Test func `a filter that is too long is refused`() throws {
        let rules = (0..<4096).map { value in
            SyscallRule(
                name: "read", number: 0, action: .errno(1),
                conditions: [ArgumentCondition(index: 0, comparison: .equal, value: UInt64(value) * 3)])
        }
        let error = #expect(throws: KernelError.self) {
            try SeccompFilter.compile(SyscallFilter(defaultAction: .allow, rules: rules))
        }
        #expect(error?.code == E2BIG)
    }
}
