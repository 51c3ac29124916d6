internal import BoxKernel
internal import BoxPlan
internal import BoxTypes
internal import CLinux
internal import Glibc

/// A sandbox's first process as the supervisor holds it: the child, the socket to it and the command's streams.
struct Sandbox: ~Copyable {
    private let process: FirstProcess
    private let group: ControlGroup?
    private let hasMemoryLimit: Bool
    private var hasProcessLimit = false
    private let facts: StreamFacts
    private var namespace: NetworkNamespace?
    private var mounts: MountNamespace?
    /// The supervisor's ends of the command's pipes, until the relay takes them.
    private var pipes: [CInt]
    private var master: Descriptor?
    private var streams: (any StreamRelay)?
    /// Its terminal, if it has none of the user's.
    private(set) var detached: DetachedStreams?
    let isDetached: Bool

    /// Lets the first process set itself up for a plan; it reports.
    static func launch(
        _ plan: Plan, _ seed: consuming SandboxSeed, isDetached: Bool
    ) throws(SessionError) -> Sandbox {
        let prepared = try PreparedMounts.make(for: plan)
        defer { for number in prepared { close(number) } }
        var seed = seed
        var rest = plan
        let process = try seed.takeProcess(for: &rest)
        let group = seed.takeGroup()
        do throws(KernelError) {
            if let limits = plan.controlGroup { try group?.apply(limits) }
        } catch { throw SessionError(step: "limit the control group", error) }
        do throws(KernelError) { return try launch(plan, rest, prepared, process, group, isDetached) } catch {
            throw SessionError(step: "launch the sandbox", error, hint: SandboxSeed.hint(error))
        }
    }

    private static func launch(
        _ plan: Plan, _ rest: Plan, _ prepared: [CInt], _ process: consuming FirstProcess,
        _ group: consuming ControlGroup?, _ isDetached: Bool
    ) throws(KernelError) -> Sandbox {
        let facts = StreamFacts(of: HostStreams())
        let layout = isDetached ? .terminal(separateError: false) : StreamLayout(facts)
        let identity = plan.identity
        let isRoot = geteuid() == 0
        let ends = try makePipes(layout, owner: isRoot ? (identity.outsideUID, identity.outsideGID) : nil)
        defer { for number in ends.inside { close(number) } }
        let launch = Launch(
            plan: rest, streams: try launchStreams(layout, isDetached),
            awaitsPlaceholders: !plan.placeholders.isEmpty)
        var process = process
        let namespace = plan.proxy == nil ? nil : process.takeNetwork()
        let mounts = process.takeMounts()
        try process.launch(launch, descriptors: ends.inside + prepared)
        var sandbox = Sandbox(
            process, group, plan.controlGroup?.memoryBytes != nil, facts, ends.own, namespace, isDetached)
        sandbox.mounts = mounts
        sandbox.hasProcessLimit = plan.controlGroup?.processes != nil
        return sandbox
    }

    private init(
        _ process: consuming FirstProcess, _ group: consuming ControlGroup?, _ hasMemoryLimit: Bool,
        _ facts: StreamFacts, _ pipes: [CInt], _ namespace: consuming NetworkNamespace?, _ isDetached: Bool
    ) {
        self.isDetached = isDetached
        self.process = process
        self.group = group
        self.hasMemoryLimit = hasMemoryLimit
        self.facts = facts
        self.pipes = pipes
        self.namespace = namespace
    }

    /// The way into its network, which is given away once; nil without a network.
    mutating func takeNetwork() -> NetworkNamespace? { namespace.take() }

    /// The way to its mounts, which is given away once.
    mutating func takeMounts() -> MountNamespace? { mounts.take() }

    /// The first process's number on the host.
    var firstProcess: CInt { process.pid }

    /// The pipes of a layout: the ends that the sandbox gets, and the supervisor's own, in the order of the streams.
    static func makePipes(
        _ layout: StreamLayout, owner: (UInt32, UInt32)?
    ) throws(KernelError) -> (inside: [CInt], own: [CInt]) {
        switch layout {
        case .terminal(let separateError):
            guard separateError else { return ([], []) }
            let error = try Pipe().numbers()
            if let owner { try give(error.write, to: owner) }
            return ([error.write], [error.read])
        case .pipes:
            let (input, output) = (try Pipe().numbers(), try Pipe().numbers())
            var error = try Pipe().numbers()
            if HostStreams().outputsAreOneFile {
                // Then they are one inside, too: what is written to both keeps its order. The other end reads nothing.
                let shared = try check("fcntl(F_DUPFD_CLOEXEC)", box_fcntl_dupfd_cloexec(output.write, 0))
                close(error.write)
                error.write = shared
            }
            // Opened anew inside (/dev/stdout) a pipe asks for its owner, which root is not there.
            if let owner {
                for pipe in [input.read, output.write, error.write] { try give(pipe, to: owner) }
            }
            return ([input.read, output.write, error.write], [input.write, output.read, error.read])
        }
    }

    private static func give(_ pipe: CInt, to owner: (uid: UInt32, gid: UInt32)) throws(KernelError) {
        try check("fchown", fchown(pipe, owner.uid, owner.gid), "pipe")
    }

    private static func launchStreams(
        _ layout: StreamLayout, _ isDetached: Bool
    ) throws(KernelError) -> Launch.Streams {
        guard case .terminal(let separateError) = layout else { return .pipes }
        let size = isDetached ? DetachedStreams.size : try Terminal.size(of: 1)
        return .terminal(rows: size.rows, columns: size.columns, separateError: separateError)
    }

    // MARK: - Talking to the first process

    /// Readable when there is a report, or when the first process has ended.
    var controlEntry: PollEntry { process.controlEntry }

    /// The next report, if it is there.
    borrowing func next() throws(SessionError) -> FirstProcess.Next { try process.next() }

    /// Sends an order; a first process that has ended does not mind.
    borrowing func order(_ order: InitOrder, descriptors: [CInt] = []) throws(SessionError) {
        try process.order(order, descriptors: descriptors)
    }

    /// Ends everything in the sandbox at once.
    borrowing func kill() throws(SessionError) { try process.kill() }

    /// How long the supervisor waits until everything stands still, in milliseconds: nobody else is served meanwhile.
    private static let freezingTime = 300

    /// Freezes all that is in the sandbox, its first process too, or lets it go on; false where there is no group of
    /// its own, or the kernel cannot.
    borrowing func freeze(_ isFrozen: Bool) throws(SessionError) -> Bool {
        do throws(KernelError) {
            switch group {
            case .none: return false
            case .some(let group):
                do throws(KernelError) { try group.freeze(isFrozen) } catch {
                    guard isFrozen else { throw error }
                    return false
                }
                if isFrozen { try group.waitForFreeze(within: Sandbox.freezingTime) }
                return true
            }
        } catch { throw SessionError(step: isFrozen ? "freeze the sandbox" : "let the sandbox go on", error) }
    }

    /// How often a process could not be started because there were too many, as far as that is counted.
    borrowing func refusedProcesses() throws(KernelError) -> UInt64 {
        guard hasProcessLimit else { return 0 }
        return try group?.refusedProcesses() ?? 0
    }

    /// What is left when the sandbox is gone: how its first process ended, what is still to be written, and whether
    /// the kernel killed in it because of the memory limit.
    struct End {
        let change: ChildChange
        let remains: Remains
        let ranOutOfMemory: Bool
        /// How often nothing could be started because there were too many processes.
        let refusedProcesses: Int
    }

    /// Waits until the first process is gone, and with it everything in the sandbox.
    consuming func end() throws(SessionError) -> End {
        let remains = Remains(streams: streams)
        let change = try process.end()
        var (kills, refused): (UInt64, UInt64) = (0, 0)
        do throws(KernelError) {
            if hasMemoryLimit { kills = try group?.usage().outOfMemoryKills ?? 0 }
            if hasProcessLimit { refused = try group?.refusedProcesses() ?? 0 }
            try group?.remove(within: 2000)
        } catch {
            throw SessionError(step: "remove the control group", error)
        }
        return End(
            change: change, remains: remains, ranOutOfMemory: kills > 0,
            refusedProcesses: Int(clamping: refused))
    }

    // MARK: - Streams

    /// Whether the command has a pseudo-terminal that stands for the user's.
    var hasTerminal: Bool {
        !isDetached && (master != nil || streams != nil && facts.inputIsTerminal && facts.outputIsTerminal)
    }

    /// Whether the user's terminal is there and box is the job in its foreground.
    var isInForeground: Bool { !isDetached && facts.inputIsTerminal && Terminal.isForeground(0) }

    /// Takes the master of the sandbox's pseudo-terminal.
    mutating func take(master descriptors: [CInt]) throws(SessionError) {
        guard descriptors.count == 1 else {
            for number in descriptors { close(number) }
            throw SessionError(
                step: "take the sandbox's terminal", reason: "\(descriptors.count) descriptors came")
        }
        master = Descriptor(owning: descriptors[0])
    }

    /// Begins to relay, and takes the user's terminal.
    mutating func startStreams() throws(SessionError) {
        let owned = pipes
        pipes = []
        try attempt("relay the streams") { () throws(KernelError) in
            if isDetached {
                guard let master = master.take() else { throw KernelError(call: "terminal", code: ENOTTY) }
                let screen = try DetachedStreams(master: master, likeCaller: facts.inputIsTerminal)
                (detached, streams) = (screen, screen)
                return
            }
            let ends = try SandboxStreams(master: master.take(), pipes: owned)
            let streams = try Streams(sandbox: ends, isLinuxConsole: Sandbox.isLinuxConsole)
            try streams.resume()
            self.streams = streams
        }
    }

    /// The kernel's own console obeys sequences of its own.
    static var isLinuxConsole: Bool {
        unsafe getenv("TERM").map { unsafe String(cString: $0) } == "linux"
    }

    /// What the relay waits for.
    var streamEntries: [PollEntry] { streams?.entries ?? [] }

    /// When the relay has to be called although nothing is ready; milliseconds, or nil.
    var streamTimeout: Int? { streams?.pollTimeout }

    /// Moves what can be moved.
    borrowing func relay(_ ready: [Ready]) throws(SessionError) {
        try attempt("relay the streams") { () throws(KernelError) in try streams?.handle(ready) }
    }

    borrowing func resized() throws(SessionError) {
        try attempt("follow the window's size") { () throws(KernelError) in try streams?.resized() }
    }

    borrowing func suspendStreams() throws(SessionError) {
        try attempt("give the terminal back") { () throws(KernelError) in try streams?.suspend() }
    }

    borrowing func resumeStreams() throws(SessionError) {
        try attempt("take the terminal") { () throws(KernelError) in try streams?.resume() }
    }

    /// Puts the user's terminal in order.
    borrowing func restoreTerminal() { streams?.restore() }

    /// Tells the user something in the middle of a session; a raw terminal needs the return as well.
    borrowing func notice(_ text: String) {
        let line = Array("box: \(text)\r\n".utf8)
        _ = unsafe write(2, line, line.count)
    }
}

/// What is left when the sandbox is gone: output that is not written yet, and the user's terminal.
struct Remains {
    fileprivate let streams: (any StreamRelay)?

    /// When to go on although nothing is ready; milliseconds, or nil.
    var timeout: Int? { streams?.pollTimeout }

    /// Whether everything is written.
    var isDrained: Bool { streams?.isDrained ?? true }

    /// Nothing more is read for the sandbox.
    func endInput() { streams?.endInput() }

    var entries: [PollEntry] { streams?.entries ?? [] }

    /// Moves what can be moved.
    func relay(_ ready: [Ready]) throws(SessionError) {
        try attempt("relay the streams") { () throws(KernelError) in try streams?.handle(ready) }
    }

    /// Puts the user's terminal in order.
    func restoreTerminal() { streams?.restore() }

    /// Why output was lost, if it was.
    var failure: KernelError? { streams?.failure }
}

/// Runs a call of the kernel as a step of the session.
private func attempt(_ step: String, _ body: () throws(KernelError) -> Void) throws(SessionError) {
    do throws(KernelError) { try body() } catch { throw SessionError(step: step, error) }
}
