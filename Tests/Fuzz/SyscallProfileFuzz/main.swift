import BoxTypes

/// Feeds arbitrary bytes to the reader of system call profiles, and what it accepts to everything behind it.
///
/// Beyond "does not crash": an accepted profile resolves the same way each time, the stages of a filter mean
/// what the filter means, and messages hold no control characters.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzSyscallProfile(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = unsafe Array(UnsafeBufferPointer(start: start, count: count))
    do throws(SyscallProfileError) {
        let profile = try SyscallProfile(json: bytes, name: "fuzz")
        for architecture in SyscallArchitecture.allCases {
            let context = SyscallContext(architecture: architecture, kernelMajor: 6, kernelMinor: 1)
            let filter = try profile.filter(for: context)
            checkStages(filter)
        }
    } catch {
        let text = error.description
        precondition(text.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F }, text)
        precondition(error.position.line > 0 && error.position.column > 0)
    }
    return 0
}

/// Asks the stages one after the other, as the compiled program does.
private func checkStages(_ filter: SyscallFilter) {
    let stages = filter.stages
    for rule in filter.rules.prefix(50) {
        var arguments = [UInt64](repeating: 0, count: 6)
        for condition in rule.conditions { arguments[Int(condition.index)] = condition.value }
        var staged = SyscallAction.allow
        for stage in stages {
            staged = stage.action(number: rule.number, arguments: arguments)
            if staged != .allow { break }
        }
        precondition(staged == filter.action(number: rule.number, arguments: arguments), rule.name)
    }
}
