import BoxPlan
import BoxTypes
import Profiles
import Testing

private let rename: Int32 = 82
private let renameat2: Int32 = 316

/// A filter for x86_64 with a listener.
private func listening(_ action: SyscallAction, _ rules: [SyscallRule]) -> SyscallFilter {
    SyscallFilter(defaultAction: action, rules: rules).listening(to: .renames, on: .x86_64)
}

private func rule(
    _ number: Int32, _ action: SyscallAction, _ conditions: [ArgumentCondition] = []
) -> SyscallRule {
    let name = number == rename ? "rename" : number == renameat2 ? "renameat2" : "other"
    return SyscallRule(name: name, number: number, action: action, conditions: conditions)
}

@Suite struct `A filter with a listener` {
    @Test(
        arguments: Shipped.syscallProfileNames,
        SyscallArchitecture.allCases.flatMap { architecture in
            [ListenedCalls.renames, .executions, [.renames, .executions]].map { (architecture, $0) }
        })
    func `asks about what it is to ask and says of all else what it said before`(
        name: String, listening: (SyscallArchitecture, ListenedCalls)
    ) throws {
        let (architecture, calls) = listening
        let json = try #require(Shipped.syscallProfile(name))
        let context = SyscallContext(architecture: architecture, kernelMajor: 6, kernelMinor: 18)
        let plain = try SyscallProfile(json: json, name: name).filter(for: context)
        let (before, after) = (
            NamedFilter(plain, architecture),
            NamedFilter(plain.listening(to: calls, on: architecture), architecture)
        )
        for (call, number) in SyscallTable.all(on: architecture) {
            if calls.calls.contains(call) {
                #expect(after.action(number: number) == .notify, "\(call)")
                #expect(before.action(number: number) == .allow, "\(call)")
                continue
            }
            for arguments in [[], [1, 2, 3], [0x1000_0000], [2, 3, 1], [UInt64](repeating: .max, count: 6)] {
                let expected = before.action(number: number, arguments: arguments)
                #expect(after.action(number: number, arguments: arguments) == expected, "\(call)")
            }
        }
    }

    @Test func `does not ask about a rename that is marked as the first process's own`() throws {
        let filter = listening(.errno(38), [rule(renameat2, .allow), rule(rename, .allow)])
        let marked: [UInt64] = [0, 0, 0, 0, 0, ListenedCalls.exemption]
        #expect(filter.action(number: renameat2, arguments: marked) == .allow)
        #expect(filter.action(number: renameat2, arguments: [0, 0, 0, 0, 0, 1]) == .notify)
        #expect(filter.action(number: rename, arguments: marked) == .notify)
    }

    @Test func `keeps what a profile denies, marked or not`() {
        let marked: [UInt64] = [0, 0, 0, 0, 1, ListenedCalls.exemption]
        let flags = ArgumentCondition(index: 4, comparison: .equal, value: 1)
        let conditional = listening(.allow, [rule(renameat2, .errno(1), [flags])])
        #expect(conditional.action(number: renameat2, arguments: [0, 0, 0, 0, 1]) == .errno(1))
        #expect(conditional.action(number: renameat2, arguments: marked) == .errno(1))
        #expect(conditional.action(number: renameat2, arguments: [0, 0, 0, 0, 2]) == .notify)
        #expect(conditional.action(number: rename) == .notify)
        let denied = listening(.errno(38), [rule(rename, .errno(13))])
        #expect(denied.action(number: rename) == .errno(13))
        #expect(denied.action(number: renameat2, arguments: marked) == .errno(38))
    }

    @Test func `permits under a profile's own conditions alone`() {
        let last = ArgumentCondition(index: 5, comparison: .equal, value: 7)
        let filter = listening(.errno(1), [rule(renameat2, .allow, [last])])
        #expect(filter.action(number: renameat2, arguments: [0, 0, 0, 0, 0, 7]) == .notify)
        #expect(filter.action(number: renameat2) == .errno(1))
        let marked: [UInt64] = [0, 0, 0, 0, 0, ListenedCalls.exemption]
        #expect(filter.action(number: renameat2, arguments: marked) == .errno(1))
    }

    @Test func `does not answer what a profile gives to a listener or a tracer of its own`() {
        let filter = listening(
            .notify, [rule(rename, .notify), rule(renameat2, .trace(3)), rule(1, .notify), rule(2, .allow)])
        // What the kernel answers where nobody listens, or traces.
        #expect(filter.action(number: rename) == .errno(38))
        #expect(filter.action(number: 1) == .errno(38))
        #expect(filter.action(number: 3) == .errno(38))
        #expect(filter.action(number: renameat2) == .trace(3))
        #expect(filter.action(number: 2) == .allow)
    }
}
