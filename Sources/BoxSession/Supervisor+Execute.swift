internal import BoxKernel
internal import BoxPlan
internal import BoxTypes
internal import CLinux
internal import Glibc

/// The programs of `box exec` that run, each with the connection of whoever wants it.
struct FurtherPrograms {
    /// More at once are refused.
    static let most = 32

    /// By the number of the program; nil where its client has gone.
    private var clients: [Int: Int?] = [:]
    private var next = 0

    var count: Int { clients.count }

    /// Those that wait for their programs.
    var waiting: [Int] { clients.values.compactMap(\.self) }

    /// A new one; its number.
    mutating func add(for client: Int) -> Int {
        defer { next += 1 }
        clients[next] = client
        return next
    }

    func client(of program: Int) -> Int? { clients[program] ?? nil }

    func program(of client: Int) -> Int? { clients.first { $0.value == client }?.key }

    mutating func clientHasGone(_ program: Int) { clients[program] = .some(nil) }

    mutating func remove(_ program: Int) { clients[program] = nil }
}

// The supervisor's part in `box exec`: process 1 starts the program, its client moves its bytes.
extension Supervisor {
    /// Has a further program started.
    mutating func execute(_ call: ControlCall, _ request: ExecutionRequest) throws(SessionError) {
        if let refusal = try refusal(call, request) { control?.answer(call.client, .refused(refusal)) }
    }

    /// Why not, if not.
    private mutating func refusal(
        _ call: ControlCall, _ request: ExecutionRequest
    ) throws(SessionError) -> String? {
        guard isServing else { return "its command has not begun yet, or has ended" }
        guard !pause.isPaused else { return "it is paused. To let it go on: box resume \(name)" }
        guard further.count < FurtherPrograms.most else {
            return "\(further.count) programs run beside it already"
        }
        guard further.program(of: call.client) == nil,
            let pipes = call.descriptors.take(request.descriptorCount)
        else { return "the request is not complete" }
        defer { for number in pipes { close(number) } }
        let directory: AbsolutePath?
        do throws(AbsolutePath.Refusal) {
            directory = try request.directory.map { text throws(AbsolutePath.Refusal) in
                try AbsolutePath(text.hasPrefix("/") ? text : "\(plan.workingDirectory)/\(text)")
            }
        } catch { return "the directory: \(error)" }
        var execution = Execution(
            id: 0, command: request.command, environment: request.environment, directory: directory,
            terminal: request.terminal)
        guard InitOrder.execute(execution).wire.count <= Channel.longest else {
            return "command and variables are longer than \(ByteSize(bytes: Channel.longest))"
        }
        do throws(KernelError) { try giveAway(pipes) } catch { return "\(error)" }
        execution.id = further.add(for: call.client)
        // Before the order: what it comes to is told after this.
        control?.answer(call.client, .done(ControlOutcome()))
        try sandbox.order(.execute(execution), descriptors: pipes)
        return nil
    }

    /// Opened anew inside (/dev/stdout) a pipe asks for its owner, which root is not there.
    private borrowing func giveAway(_ pipes: [CInt]) throws(KernelError) {
        guard geteuid() == 0 else { return }
        for number in pipes {
            try check("fchown", fchown(number, plan.identity.outsideUID, plan.identity.outsideGID), "pipe")
        }
    }

    /// Hands a signal on to the program of a client.
    mutating func signal(_ number: Int32, from client: Int) throws(SessionError) {
        guard let program = further.program(of: client) else { return }
        try sandbox.order(.signalExecuted(id: program, signal: number))
    }

    /// A program of a client that has gone is told so, as by a terminal that hangs up.
    mutating func endOfClients() throws(SessionError) {
        for client in control?.takeGone() ?? [] {
            guard let program = further.program(of: client) else { continue }
            further.clientHasGone(program)
            try sandbox.order(.signalExecuted(id: program, signal: SIGHUP))
        }
    }

    /// A program runs, or cannot; its terminal's master is for its client alone.
    mutating func executed(_ program: Int, code: Int32, _ descriptors: [CInt]) {
        defer { for number in descriptors { close(number) } }
        guard let client = further.client(of: program) else { return }
        control?.notify(client, .executed(code: code), descriptors: descriptors)
        if code != 0 { further.remove(program) }
    }

    mutating func executionEnded(_ program: Int, _ end: ProgramEnd) {
        if let client = further.client(of: program) { control?.notify(client, .executionEnded(end)) }
        further.remove(program)
    }
}
