internal import BoxKernel
internal import BoxPlan
internal import BoxTypes
internal import CLinux
internal import Glibc

/// A further program in a session that runs, with this process's streams: `box exec` from its start to its end.
package struct ExecutedProgram: ~Copyable {
    private let step: String
    private let name: String
    private var connection: ControlConnection
    private let signals: Descriptor
    /// This end of its pipes, until the relay takes them.
    private var pipes: [CInt]
    private var streams: Streams?
    private var end: ProgramEnd?

    /// Asks the session's supervisor for it; nil if the session has just ended.
    package static func request(
        _ request: ExecutionRequest, in session: StoredSession
    ) throws(SessionError) -> ExecutedProgram? {
        let step = "run a program in \(session.name.escapedForTerminal)"
        var refusal: String?
        let program: ExecutedProgram?
        do throws(KernelError) { program = try ask(request, session, step, &refusal) } catch {
            throw SessionError(step: step, error)
        }
        if let refusal { throw SessionError(step: step, reason: refusal) }
        return program
    }

    private static func ask(
        _ request: ExecutionRequest, _ session: StoredSession, _ step: String, _ refusal: inout String?
    ) throws(KernelError) -> ExecutedProgram? {
        let signals = try Processes.signalDescriptor(
            SandboxStreams.signals + SandboxStreams.userSignals)
        guard let control = try RunningSession(session).connect() else { return nil }
        let layout = StreamLayout(StreamFacts(of: HostStreams()))
        var request = request
        if case .terminal(let separateError) = layout {
            let size = try Terminal.size(of: 1)
            request.terminal = Execution.Window(rows: size.rows, columns: size.columns)
            request.separateError = separateError
        }
        let ends = try Sandbox.makePipes(layout, owner: nil)
        defer { for number in ends.inside { close(number) } }
        guard ControlRequest.execute(request).wire.count <= ControlSocket.longest else {
            refusal = "command and variables are longer than \(ControlSocket.longest) bytes"
            return nil
        }
        try ControlSocket.send(
            ControlRequest.execute(request).wire, to: control.number, descriptors: ends.inside)
        switch try RunningSession.answer(control, within: RunningSession.patience) {
        case nil: return nil
        case .refused(let why)?:
            refusal = why
            return nil
        case .status?, .done?: break
        }
        return ExecutedProgram(step, session.name, ControlConnection(control), signals, ends.own)
    }

    private init(
        _ step: String, _ name: String, _ connection: consuming ControlConnection,
        _ signals: consuming Descriptor, _ pipes: [CInt]
    ) {
        self.step = step
        self.name = name
        self.connection = connection
        self.signals = signals
        self.pipes = pipes
    }

    /// Relays its streams and signals until it has ended.
    package mutating func run(_ command: String) throws(SessionError) -> Outcome {
        do throws(KernelError) {
            let outcome = try serve(command)
            streams?.endInput()
            if end != nil || !connection.isOpen { try writeRest() }
            streams?.restore()
            return outcome
        } catch {
            streams?.restore()
            throw SessionError(step: step, error)
        }
    }

    private mutating func serve(_ command: String) throws(KernelError) -> Outcome {
        while true {
            let own = [PollEntry(signals.number, .read)] + connection.entries
            let ready = try poll(own + (streams?.entries ?? []), timeout: streams?.pollTimeout)
            if ready.contains(where: { $0.descriptor == signals.number }), let signal = try takeSignals() {
                return Outcome(status: ExitStatus.signal(signal))
            }
            if connection.isReady(ready), let outcome = try takeNotice(command) { return outcome }
            try streams?.handle(ready)
        }
    }

    /// How it ended, if it did.
    private mutating func takeNotice(_ command: String) throws(KernelError) -> Outcome? {
        guard let (notice, descriptors) = try connection.take() else {
            return Outcome(
                status: ExitStatus.signal(SIGKILL),
                message: "session \(name.escapedForTerminal) has ended, and all its programs with it")
        }
        switch notice {
        case .commandStopped:
            for number in descriptors { close(number) }
            return nil
        case .message(let text):
            AttachedSession.show(text)
            return nil
        case .executed(0):
            try start(descriptors)
            return nil
        case .executed(let code): return ExecutedProgram.notExecuted(command, code)
        case .executionEnded(let end):
            self.end = end
            switch end {
            case .exited(let code): return Outcome(status: code)
            case .killed(let signal): return Outcome(status: ExitStatus.signal(signal))
            case .unknown: return Outcome(status: ExitStatus.refused, message: "nobody knows how it ended")
            }
        }
    }

    private static func notExecuted(_ command: String, _ code: Int32) -> Outcome {
        let shown = command.escapedForTerminal
        if code & Execution.directoryFailed != 0 {
            let why = errorText(code & ~Execution.directoryFailed)
            return Outcome(status: ExitStatus.refused, message: "its directory cannot be entered: \(why)")
        }
        switch code {
        case ENOENT, ENOTDIR:
            return Outcome(status: ExitStatus.notFound, message: "\(shown): not found inside")
        case EACCES, EPERM, ENOEXEC, EISDIR:
            return Outcome(status: ExitStatus.notExecutable, message: "\(shown) is not executable")
        default:
            return Outcome(
                status: ExitStatus.notExecutable, message: "\(shown) cannot be executed: \(errorText(code))")
        }
    }

    // MARK: - Streams

    private mutating func start(_ masters: [CInt]) throws(KernelError) {
        let owned = pipes
        pipes = []
        for number in masters.dropFirst() { close(number) }
        let ends = try SandboxStreams(
            master: masters.first.map { Descriptor(owning: $0) }, pipes: owned)
        let streams = try Streams(sandbox: ends, isLinuxConsole: Sandbox.isLinuxConsole)
        try streams.resume()
        self.streams = streams
    }

    /// Writes on what the program has left. What it started may go on and hold its streams open: that is not waited
    /// for.
    private mutating func writeRest() throws(KernelError) {
        guard let streams else { return }
        let end = Clock.milliseconds() + ExecutedProgram.rest
        while !streams.isDrained {
            let waits = streams.hasPending
            let ready = try poll(
                [PollEntry(signals.number, .read)] + streams.entries,
                timeout: waits ? nil : ExecutedProgram.quiet)
            if ready.contains(where: { $0.index == 0 }), try takeSignals() != nil { return }
            try streams.handle(ready)
            // A terminal hands bytes on in its own time.
            if !waits, ready.isEmpty || Clock.milliseconds() > end { return }
        }
    }

    /// So long nothing must come before that counts as the end, and so long it may take at most; in milliseconds.
    private static let quiet = 20
    private static let rest = 2000

    // MARK: - Signals

    /// Hands signals on; the one that ends this process's part, if one does.
    private mutating func takeSignals() throws(KernelError) -> Int32? {
        for signal in try Processes.takeSignals(signals) {
            switch signal {
            case SIGWINCH: try streams?.resized()
            case SIGPIPE, SIGTTIN, SIGTTOU: break
            // The supervisor tells the program when this process has gone.
            case SIGHUP: return signal
            case SIGTSTP: try stop()
            case SIGCONT:
                try streams?.resume()
                connection.send(.signal(SIGCONT))
            default:
                connection.send(.signal(signal))
                // Nothing runs yet that could take it.
                if streams == nil { return signal }
            }
        }
        return nil
    }

    private mutating func stop() throws(KernelError) {
        connection.send(.signal(SIGTSTP))
        try streams?.suspend()
        kill(getpid(), SIGSTOP)
        try streams?.resume()
        connection.send(.signal(SIGCONT))
    }
}
