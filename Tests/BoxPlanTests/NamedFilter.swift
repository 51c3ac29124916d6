import BoxPlan
import BoxTypes
import Profiles
import Testing

/// A filter that is asked by name.
struct NamedFilter {
    let architecture: SyscallArchitecture
    let defaultAction: SyscallAction
    /// The rules of each call as a filter of its own, so that tests can ask many thousand times.
    private let parts: [Int32: SyscallFilter]

    init(_ filter: SyscallFilter, _ architecture: SyscallArchitecture = .x86_64) {
        self.architecture = architecture
        defaultAction = filter.defaultAction
        parts = Dictionary(grouping: filter.rules, by: \.number).mapValues {
            SyscallFilter(defaultAction: filter.defaultAction, rules: $0)
        }
    }

    /// A shipped profile as an ordinary sandbox gets it: no capabilities, a recent kernel.
    init(shipped name: String, on architecture: SyscallArchitecture = .x86_64) throws {
        let json = try #require(Shipped.syscallProfile(name))
        let context = SyscallContext(architecture: architecture, kernelMajor: 6, kernelMinor: 18)
        self.init(try SyscallProfile(json: json, name: name).filter(for: context), architecture)
    }

    func action(number: Int32, arguments: [UInt64] = []) -> SyscallAction {
        parts[number]?.action(number: number, arguments: arguments) ?? defaultAction
    }

    /// Whether the arguments of a call make a difference.
    func hasConditions(_ number: Int32) -> Bool {
        parts[number]?.rules.contains { !$0.conditions.isEmpty } ?? false
    }

    func callAsFunction(_ name: String, _ arguments: UInt64...) throws -> SyscallAction {
        guard case .number(let number)? = SyscallTable.entry(name, on: architecture) else {
            throw SyscallProfileError(
                profile: "", position: TextPosition(line: 1, column: 1), path: name, reason: "no such call")
        }
        return action(number: number, arguments: arguments)
    }
}
