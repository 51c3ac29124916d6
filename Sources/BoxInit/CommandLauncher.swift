internal import BoxKernel
internal import BoxPlan
internal import BoxTypes

/// What the programs that process 1 starts have in common.
struct CommandLauncher {
    let words: [String]
    let environment: [Plan.EnvironmentEntry]
    let directory: AbsolutePath

    /// The start of the session's command; process 1 is in its directory.
    func command(_ streams: [CInt], takesTerminal: Bool) -> CommandStart {
        var start = CommandLauncher.start(words, environment, streams)
        start.takesTerminal = takesTerminal
        #if DEBUG
            start.keepsDescriptors = Mutation.drops("descriptors")
        #endif
        return start
    }

    /// The start of a further program.
    func further(_ execution: Execution, _ streams: [CInt]) -> CommandStart {
        let others = Set(execution.environment.map(\.name))
        let all = environment.filter { !others.contains($0.name) } + execution.environment
        var start = CommandLauncher.start(execution.command, all, streams)
        start.beginsSession = execution.terminal != nil
        start.directory = (execution.directory ?? directory).string
        return start
    }

    private static func start(
        _ command: [String], _ environment: [Plan.EnvironmentEntry], _ streams: [CInt]
    ) -> CommandStart {
        let path = environment.first { $0.name == "PATH" }?.value.split(separator: ":").map(String.init)
        var start = CommandStart(
            command: command, environment: environment.map { "\($0.name)=\($0.value)" }, path: path ?? [])
        start.streams = streams
        return start
    }
}
