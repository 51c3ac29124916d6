package import BoxKernel
internal import Glibc

/// Which of the host's standard streams are terminals.
package struct StreamFacts: Hashable, Sendable {
    package var inputIsTerminal: Bool
    package var outputIsTerminal: Bool
    package var errorIsTerminal: Bool

    package init(inputIsTerminal: Bool, outputIsTerminal: Bool, errorIsTerminal: Bool) {
        self.inputIsTerminal = inputIsTerminal
        self.outputIsTerminal = outputIsTerminal
        self.errorIsTerminal = errorIsTerminal
    }

    /// Looks at the streams.
    package init(of host: HostStreams) {
        inputIsTerminal = Terminal.isTerminal(host.input)
        outputIsTerminal = Terminal.isTerminal(host.output)
        errorIsTerminal = Terminal.isTerminal(host.error)
    }
}

/// The numbers of the host's standard streams; 0, 1 and 2 but in tests.
package struct HostStreams: Hashable, Sendable {
    package var input: CInt
    package var output: CInt
    package var error: CInt

    package init(input: CInt = 0, output: CInt = 1, error: CInt = 2) {
        self.input = input
        self.output = output
        self.error = error
    }
}

extension HostStreams {
    /// Whether standard output and standard error are one pipe, one socket or one file: `2>&1`. Terminals are left out,
    /// because a filter is behind each of their streams.
    var outputsAreOneFile: Bool {
        var (first, second) = (stat(), stat())
        guard unsafe fstat(output, &first) == 0, unsafe fstat(error, &second) == 0 else { return false }
        return first.st_mode & S_IFMT != S_IFCHR && first.st_dev == second.st_dev
            && first.st_ino == second.st_ino
    }
}

/// How the sandbox's standard streams are made.
package enum StreamLayout: Hashable, Sendable {
    /// A pty inside the sandbox. Standard error is a pipe of its own where the host's is no terminal, so that
    /// `2>file` works as without box.
    case terminal(separateError: Bool)
    /// Three pipes; a filter for each output that goes to a terminal.
    case pipes(filterOutput: Bool, filterError: Bool)

    /// A pty needs the user's terminal on both sides: keys come from standard input, pictures go to standard
    /// output.
    package init(_ facts: StreamFacts) {
        if facts.inputIsTerminal && facts.outputIsTerminal {
            self = .terminal(separateError: !facts.errorIsTerminal)
        } else {
            self = .pipes(filterOutput: facts.outputIsTerminal, filterError: facts.errorIsTerminal)
        }
    }
}

/// The supervisor's ends of the sandbox's standard streams.
package enum SandboxStreams: ~Copyable {
    /// The pty's master and, if standard error is separate, the pipe's read end. The slave must stay open in
    /// the sandbox as long as the command may still use it: once it is closed everywhere, the stream has
    /// ended.
    case terminal(master: Descriptor, error: Descriptor?)
    /// The write end of the input's pipe and the read ends of the outputs'.
    case pipes(input: Descriptor, output: Descriptor, error: Descriptor)
    /// A socket to the supervisor of a session that has its pty: `box attach`.
    case socket(Descriptor)

    /// A program's streams as they were made for it: the pty's master, if it has one, and this end of its pipes, which are
    /// taken over.
    init(master: consuming Descriptor?, pipes: [CInt]) throws(KernelError) {
        if let master {
            self = .terminal(master: master, error: pipes.first.map { Descriptor(owning: $0) })
            return
        }
        guard pipes.count == 3 else { throw KernelError(call: "terminal", code: ENOTTY) }
        self = .pipes(
            input: Descriptor(owning: pipes[0]), output: Descriptor(owning: pipes[1]),
            error: Descriptor(owning: pipes[2]))
    }

    /// The signals that whoever relays streams takes by descriptor; those of the user's terminal would stop or end it
    /// otherwise.
    static let signals = [
        SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH, SIGPIPE, SIGTTIN, SIGTTOU,
    ]
    /// Those that are only passed on.
    static let userSignals = [SIGUSR1, SIGUSR2]
}

/// The relay between the host's standard streams and the sandbox's, and the care for the user's terminal.
///
/// The sandbox never gets a descriptor of the host. The terminal is raw only while box is in the foreground
/// and not suspended; `restore` puts it in order, as do the end of this object, `exit` and a crash.
package final class Streams {
    private let host: HostStreams
    private let input: StreamPump
    private let output: StreamPump
    private let error: StreamPump?
    /// A copy of the master for sizes; nil without a pty.
    private var master: Descriptor?
    private let inputIsTerminal: Bool
    /// Both outputs go to a terminal through filters of their own.
    private let outputsShareTerminal: Bool
    /// The user's terminal is raw, because every key is the program's.
    private let isRaw: Bool
    /// The program goes on without this terminal, and paints anew what a new one is to show.
    private let isAttached: Bool

    /// The user's attributes while the terminal is raw.
    private var saved: TerminalState?
    private var isSuspended = true
    private var isRestored = false
    private var queriesSeen = 0
    private var lastQuery: ContinuousClock.Instant?

    /// Takes the sandbox's ends. The user's terminal stays as it is until `resume`.
    package init(
        sandbox: consuming SandboxStreams, host: HostStreams = HostStreams(), isLinuxConsole: Bool = false
    ) throws(KernelError) {
        self.host = host
        let facts = StreamFacts(of: host)
        inputIsTerminal = facts.inputIsTerminal
        func filter(_ mode: TerminalFilter.Mode, _ isTerminal: Bool) -> TerminalFilter? {
            #if DEBUG
                if Mutation.drops("terminal-filter") { return nil }
            #endif
            return isTerminal ? TerminalFilter(mode: mode, isLinuxConsole: isLinuxConsole) : nil
        }
        switch consume sandbox {
        case .terminal(let master, let errorEnd):
            input = try Self.inward(host.input, master.duplicate())
            output = try Self.outward(master.duplicate(), host.output, filter(.relayed, true))
            error = try Self.outward(
                optional: errorEnd, host.error, filter(.oneWay, facts.errorIsTerminal))
            outputsShareTerminal = false
            (isRaw, isAttached) = (true, false)
            // The program finds the terminal as the user has set it: erase key, size, UTF-8.
            try TerminalState(of: host.input).apply(to: master.number)
            self.master = consume master
        case .pipes(let inputEnd, let outputEnd, let errorEnd):
            input = try Self.inward(host.input, inputEnd)
            output = try Self.outward(outputEnd, host.output, filter(.oneWay, facts.outputIsTerminal))
            error = try Self.outward(errorEnd, host.error, filter(.oneWay, facts.errorIsTerminal))
            outputsShareTerminal = facts.outputIsTerminal && facts.errorIsTerminal
            (isRaw, isAttached) = (false, false)
            master = nil
        case .socket(let socket):
            input = StreamPump(
                from: try StreamEnd(host: host.input, .source), to: try StreamEnd(own: socket.duplicate()),
                keys: DetachKeys())
            output = try Self.outward(socket, host.output, filter(.relayed, true))
            error = nil
            outputsShareTerminal = false
            (isRaw, isAttached) = (true, true)
            master = nil
        }
        input.isPaused = inputIsTerminal
        try resized()
    }

    deinit { restore() }

    private static func inward(_ host: CInt, _ own: consuming Descriptor) throws(KernelError) -> StreamPump {
        StreamPump(from: try StreamEnd(host: host, .source), to: try StreamEnd(own: own))
    }

    private static func outward(
        _ own: consuming Descriptor, _ host: CInt, _ filter: TerminalFilter?
    ) throws(KernelError) -> StreamPump {
        StreamPump(from: try StreamEnd(own: own), to: try StreamEnd(host: host, .sink), filter: filter)
    }

    private static func outward(
        optional own: consuming Descriptor?, _ host: CInt, _ filter: TerminalFilter?
    ) throws(KernelError) -> StreamPump? {
        guard let own else { return nil }
        return try outward(own, host, filter)
    }

    // MARK: Relaying

    /// What to poll for now.
    package var entries: [PollEntry] {
        if isRestored { return [] }
        return input.interests + outputs.flatMap(\.interests)
    }

    /// When to call `handle` at the latest, in milliseconds, though nothing is ready; nil if there is no
    /// need.
    ///
    /// A shell that puts a running job in the foreground does not tell the job.
    package var pollTimeout: Int? { waitsForForeground ? 500 : nil }

    private var waitsForForeground: Bool {
        inputIsTerminal && input.isPaused && !isSuspended && !input.isFinished && !isRestored
    }

    /// Two filtered streams to one terminal take turns: in the middle of a sequence that was written in part,
    /// the other stream's text would become part of that sequence.
    private var outputs: [StreamPump] {
        guard let error else { return [output] }
        if outputsShareTerminal, output.hasPending { return [output] }
        if outputsShareTerminal, error.hasPending { return [error] }
        return [output, error]
    }

    /// Moves what can be moved.
    package func handle(_ ready: [Ready]) throws(KernelError) {
        if isRestored { return }
        if waitsForForeground, Terminal.isForeground(host.input) { try resume() }
        input.handle(ready)
        for pump in outputs {
            pump.handle(ready)
            if outputsShareTerminal, pump.hasPending { break }
        }
        if let queries = output.filter?.queries, queries != queriesSeen {
            queriesSeen = queries
            lastQuery = ContinuousClock.now
        }
    }

    /// Whether everything that the sandbox wrote has been written on, and it can write no more.
    package var isDrained: Bool { output.isFinished && error?.isFinished ?? true }

    /// Whether something was read that is not written yet.
    package var hasPending: Bool { output.hasPending || error?.hasPending ?? false }

    /// Whether the user has typed the keys that leave a session that goes on.
    package var isDetached: Bool { input.keys?.isDetached ?? false }

    /// Whether the program shows its alternate screen.
    package var showsAlternateScreen: Bool { output.filter?.modes.isOnAlternateScreen ?? false }

    /// The first stream that ended with an error, e.g. because a disk is full.
    package var failure: KernelError? { input.failure ?? output.failure ?? error?.failure }

    /// How many sequences were kept from the terminal.
    package var removedSequences: Int { (output.filter?.removed ?? 0) + (error?.filter?.removed ?? 0) }

    /// The sandbox is gone: nothing more is read for it.
    package func endInput() { input.close() }

    /// Writes on what the sandbox has left, until all is written or `limit` milliseconds are over; returns
    /// whether all is.
    package func drainToEnd(limit: Int) throws(KernelError) -> Bool {
        endInput()
        let end = ContinuousClock.now + .milliseconds(limit)
        while !isDrained {
            let left = end - ContinuousClock.now
            guard left > .zero else { return false }
            let milliseconds = Int(left / .milliseconds(1)) + 1
            try handle(try poll(entries, timeout: milliseconds))
        }
        return true
    }

    // MARK: The terminal

    /// Hands the user's window size on to the pty; the foreground program gets `SIGWINCH`.
    package func resized() throws(KernelError) {
        guard Terminal.isTerminal(host.output) else { return }
        let size = try Terminal.size(of: host.output)
        if let number = master?.number { try Terminal.setSize(size, of: number) }
        output.resized(rows: Int(size.rows))
        error?.resized(rows: Int(size.rows))
    }

    /// Takes the terminal, at the start and after `suspend`, if box is in the foreground; otherwise does so
    /// when it is.
    package func resume() throws(KernelError) {
        guard !isRestored else { return }
        isSuspended = false
        guard inputIsTerminal, Terminal.isForeground(host.input) else { return }
        if isRaw, saved == nil {
            // What the user has now, which may have changed since the last time.
            let state = try TerminalState(of: host.input)
            state.guardCrash(of: host.input)
            saved = state
            try state.raw.apply(to: host.input)
        }
        input.isPaused = false
        try resized()
    }

    /// Gives the terminal back as it was, for a stop; nothing is read from it until `resume`.
    package func suspend() throws(KernelError) {
        isSuspended = true
        if inputIsTerminal { input.isPaused = true }
        // Whoever takes the terminal next needs it in order; what is painted anew later has all modes in it.
        if isAttached, let resets = output.filter?.resetSequence, !resets.isEmpty { write(resets) }
        try giveBack()
    }

    private func giveBack() throws(KernelError) {
        guard let state = saved else { return }
        saved = nil
        TerminalState.endGuard()
        // In the background it is another job's, and the shell has set it already.
        guard Terminal.isForeground(host.input) else { return }
        try state.apply(to: host.input)
    }

    /// Ends the relay and puts the terminal in order, once: the modes that the program left switched on,
    /// answers to its last queries, the attributes. A terminal that is gone needs none of it.
    package func restore() {
        guard !isRestored else { return }
        isRestored = true
        input.close()
        let resets = (output.filter?.resetSequence ?? []) + (error?.filter?.resetSequence ?? [])
        if !resets.isEmpty { write(resets) }
        do throws(KernelError) {
            // An answer that comes after the program's end would be typed into the user's shell.
            if saved != nil, let lastQuery, ContinuousClock.now - lastQuery < .seconds(1) {
                try Terminal.discardInput(of: host.input)
            }
            try giveBack()
        } catch {
            // Nothing is left that could be done: the terminal hung up (EIO), or was closed (EBADF, ENOTTY).
            TerminalState.endGuard()
        }
        output.close()
        error?.close()
    }

    /// Writes to the output's terminal, for a second at most.
    private func write(_ bytes: [UInt8]) {
        let number = Terminal.isTerminal(host.output) ? host.output : host.error
        guard Terminal.isForeground(number) else { return }
        do throws(KernelError) {
            let terminal = try StreamEnd(host: number, .sink)
            var rest = bytes[...]
            let end = ContinuousClock.now + .seconds(1)
            while !rest.isEmpty, ContinuousClock.now < end {
                switch terminal.write(rest) {
                case .moved(let count): rest = rest.dropFirst(count)
                case .wouldBlock: _ = try poll([PollEntry(terminal.number, .write)], timeout: 100)
                case .closed, .failed: return
                }
            }
        } catch {
            // As in `restore`: the terminal is gone.
        }
    }
}
