package import BoxTypes

/// A profile that cannot be used: which, where in the file, and why.
package struct SyscallProfileError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The profile's name or file.
    package let profile: String
    package let position: TextPosition
    /// The place in the document, e.g. `syscalls[3].args[0].op`; empty for syntax errors.
    package let path: String
    package let reason: String

    package init(profile: String, position: TextPosition, path: String, reason: String) {
        self.profile = profile
        self.position = position
        self.path = path
        self.reason = reason
    }

    package var description: String {
        let place = path.isEmpty ? "" : "\(path): "
        return "system call profile \(profile.escapedForTerminal), \(position): \(place)\(reason)"
    }
}

/// What a profile's conditional parts depend on.
package struct SyscallContext: Hashable, Sendable {
    package var architecture: SyscallArchitecture
    /// The running kernel's version, e.g. 6 and 18.
    package var kernelMajor: Int
    package var kernelMinor: Int
    /// The capabilities in the bounding set, e.g. `CAP_SYS_ADMIN`. A sandbox has none.
    package var capabilities: Set<String>

    package init(
        architecture: SyscallArchitecture = .native, kernelMajor: Int, kernelMinor: Int,
        capabilities: Set<String> = []
    ) {
        self.architecture = architecture
        self.kernelMajor = kernelMajor
        self.kernelMinor = kernelMinor
        self.capabilities = capabilities
    }
}

/// A system call profile in the OCI format with Docker's and Podman's additions, read and checked.
package struct SyscallProfile: Hashable, Sendable {
    /// What has to hold for an entry to count (`includes`) or not to count (`excludes`).
    struct Selector: Hashable, Sendable {
        var capabilities: [String] = []
        /// Names as Docker writes them: `amd64`, `arm64` …
        var architectures: [String] = []
        var leastKernel: KernelVersion?
    }

    /// A kernel version as `minKernel` gives it.
    struct KernelVersion: Hashable, Sendable {
        let major: Int
        let minor: Int
    }

    /// One element of `syscalls`.
    struct Entry: Hashable, Sendable {
        var names: [String]
        var action: SyscallAction
        var conditions: [ArgumentCondition]
        var includes: Selector
        var excludes: Selector
    }

    /// The name or file that messages mention.
    package let name: String
    let defaultAction: SyscallAction
    let entries: [Entry]
    /// Where the list of entries stands, for errors about the whole.
    let entriesPosition: TextPosition

    /// The longest file that is read.
    package static let longest = 1 << 20
    /// The most rules that a filter may have; the kernel takes 4096 instructions, and each rule needs one.
    package static let mostRules = 4096

    init(name: String, defaultAction: SyscallAction, entries: [Entry], entriesPosition: TextPosition) {
        self.name = name
        self.defaultAction = defaultAction
        self.entries = entries
        self.entriesPosition = entriesPosition
    }

    /// The rules that count in a context, with numbers in place of names.
    ///
    /// Calls that only other architectures have are left out. Throws if no program could be started under the
    /// result, or if it has more rules than the kernel could take.
    package func filter(for context: SyscallContext) throws(SyscallProfileError) -> SyscallFilter {
        var rules: [SyscallRule] = []
        var seen: Set<SyscallRule> = []
        for entry in entries where entry.counts(in: context) {
            for name in entry.names {
                guard case .number(let number)? = SyscallTable.entry(name, on: context.architecture) else {
                    continue
                }
                let rule = SyscallRule(
                    name: name, number: number, action: entry.action, conditions: entry.conditions)
                if seen.insert(rule).inserted { rules.append(rule) }
            }
            guard rules.count <= SyscallProfile.mostRules else {
                throw unusable("more than \(SyscallProfile.mostRules) rules")
            }
        }
        let filter = SyscallFilter(defaultAction: defaultAction, rules: rules)
        guard ["execve", "execveat"].contains(where: { filter.mayPermit($0, on: context.architecture) })
        else {
            throw unusable("execve and execveat are denied, so no command could be started")
        }
        return filter
    }

    private func unusable(_ reason: String) -> SyscallProfileError {
        SyscallProfileError(profile: name, position: entriesPosition, path: "syscalls", reason: reason)
    }
}

extension SyscallProfile.Entry {
    /// Whether the entry is part of the filter in a context: it must meet all of `includes` and none of
    /// `excludes`.
    func counts(in context: SyscallContext) -> Bool {
        if !excludes.architectures.isEmpty, context.isNamed(in: excludes.architectures) { return false }
        if excludes.capabilities.contains(where: context.capabilities.contains) { return false }
        if let kernel = excludes.leastKernel, context.isAtLeast(kernel) { return false }
        if !includes.architectures.isEmpty, !context.isNamed(in: includes.architectures) { return false }
        if !includes.capabilities.allSatisfy(context.capabilities.contains) { return false }
        if let kernel = includes.leastKernel, !context.isAtLeast(kernel) { return false }
        return true
    }
}

extension SyscallContext {
    /// Whether the architecture is one of Docker's names for architectures.
    func isNamed(in names: [String]) -> Bool {
        switch architecture {
        case .x86_64: names.contains("amd64")
        case .aarch64: names.contains("arm64")
        }
    }

    func isAtLeast(_ version: SyscallProfile.KernelVersion) -> Bool {
        (kernelMajor, kernelMinor) >= (version.major, version.minor)
    }
}

extension SyscallFilter {
    /// Whether there are arguments with which the call may be performed, as far as a look at the rules tells.
    func mayPermit(_ name: String, on architecture: SyscallArchitecture) -> Bool {
        guard case .number(let number)? = SyscallTable.entry(name, on: architecture) else { return false }
        let own = rules.filter { $0.number == number }
        // A tracer may permit the call, too.
        func opens(_ action: SyscallAction) -> Bool { action.permits || action.precedence > 3 }
        if own.contains(where: { $0.conditions.isEmpty && !opens($0.action) }) { return false }
        return opens(defaultAction) || own.contains { opens($0.action) }
    }
}
