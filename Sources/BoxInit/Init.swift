internal import BoxKernel
internal import BoxPlan
internal import BoxTypes
internal import CLinux
internal import Glibc

/// Process 1 of the sandbox: a copy of box's process, made before that had read anything, plain and single-threaded.
///
/// It carries out the plan, starts the command, and stays to reap; when the command ends, it ends, and the kernel
/// ends everything else in the sandbox.
package enum Init {
    /// Where the process begins.
    package static let entry: @convention(c) () -> Void = { Init.run() }

    /// Runs to the end of the process. Needs the descriptor `Launch.control`.
    private static func run() -> Never {
        var stage = Stage(control: Channel(Descriptor(owning: Launch.control)))
        do throws(Failure) { try stage.prepare() } catch {
            // Nobody listens any more: then nothing may run either.
            try? stage.control.send(error.report.wire)
            _exit(125)
        }
        stage.serve()
    }
}

/// What could not be done, for the supervisor.
struct Failure: Error {
    let step: String
    let object: String
    let code: CInt

    init(step: String, object: String, code: CInt) {
        self.step = step
        self.object = object
        self.code = code
    }

    init(step: String, _ error: KernelError) {
        self.init(step: step, object: "\(error.call) \(error.subject)", code: error.code)
    }

    var report: InitReport { .failed(step: step, object: object, code: code) }
}

/// Process 1 from its first line to its last.
struct Stage: ~Copyable {
    let control: Channel
    private var command: [String] = []
    private var environment: [Plan.EnvironmentEntry] = []
    private var directory = AbsolutePath.root
    /// What becomes 0, 1 and 2 of the command.
    private var streams: [CInt] = []
    private var hasTerminal = false
    /// Answers system calls of the command, if the plan wants that.
    private var answers: CallAnswers?

    init(control: consuming Channel) { self.control = control }

    /// Makes the sandbox and becomes a harmless process in it. On return nothing is left to be set up.
    mutating func prepare() throws(Failure) {
        try step("isolate") { () throws(KernelError) in
            // Not the user's session: its terminal must not be ours.
            try Processes.newSession()
            try Stage.replaceStandardStreams()
        }
        // Before any launch: the plan's steps that every plan has.
        var performer = Performer()
        var (launch, inherited) = try takeLaunch(&performer)
        try harden()
        let plan = launch.plan
        command = plan.command
        environment = plan.environment
        directory = plan.workingDirectory

        streams = takeStreams(launch.streams, from: &inherited)
        let mounts = plan.steps.reduce(0) { $0 + $1.descriptorCount }
        guard inherited.count == mounts else {
            throw Failure(step: "launch", object: "\(inherited.count) descriptors", code: EBADF)
        }
        performer.prepared = inherited
        var missing: Set<AbsolutePath> = []
        var awaits = launch.awaitsPlaceholders
        for item in plan.steps {
            if awaits, item.isCover {
                missing = try takePlaceholders()
                awaits = false
            }
            if case .readOnly(let path) = item, missing.contains(path) { continue }
            try perform(item, &performer)
            if item == .enterRoot { try openTerminal(launch.streams) }
        }
        if let listener = performer.takeListener() {
            do throws(KernelError) { answers = try CallAnswers(listener, to: plan.listens) } catch {
                throw Failure(step: "listen", error)
            }
        }
        try step("isolate") { () throws(KernelError) in try Stage.dieWithParent() }
        try enter(plan.workingDirectory)
        let sockets = performer.takeSockets()
        try step("listen") { () throws(KernelError) in try control.send(sockets) }
        try step("report") { () throws(KernelError) in try control.send(InitReport.ready.wire) }
    }

    private borrowing func step(
        _ name: String, _ body: () throws(KernelError) -> Void
    ) throws(Failure) {
        do throws(KernelError) { try body() } catch { throw Failure(step: name, error) }
    }

    private borrowing func enter(_ directory: AbsolutePath) throws(Failure) {
        try step("enter-directory") { () throws(KernelError) in
            try check("chdir", unsafe chdir(directory.string), directory.string)
        }
    }

    /// Cuts the ties to the user's processes; more than once, because a change of ids resets both. A supervisor that has
    /// died before this line is noticed by its socket.
    private static func dieWithParent() throws(KernelError) {
        // Not before the ids are mapped: the supervisor could not do that to a process that is not dumpable.
        try ProcessAttributes.setDumpable(false)
        try ProcessAttributes.setParentDeathSignal(SIGKILL)
    }

    private borrowing func harden() throws(Failure) {
        try step("isolate") { () throws(KernelError) in try Stage.dieWithParent() }
        guard getpid() == 1 else {
            throw Failure(step: "isolate", object: "process \(getpid())", code: EPERM)
        }
        try step("isolate") { () throws(KernelError) in
            // Namespaces and credentials are properties of a thread: there must be only this one.
            guard try Processes.threadCount() == 1 else { throw KernelError(call: "threads", code: EBUSY) }
        }
    }

    /// Carries out one step of a plan.
    private borrowing func perform(_ item: Step, _ performer: inout Performer) throws(Failure) {
        try step(item.name) { () throws(KernelError) in try performer.perform(item) }
        if case .becomeUser = item {
            try step("isolate") { () throws(KernelError) in try Stage.dieWithParent() }
        }
    }

    /// Waits for the launch, which is made while this process lays the groundwork.
    private borrowing func takeLaunch(_ performer: inout Performer) throws(Failure) -> (Launch, [CInt]) {
        var message = try takeOrder()
        if case .groundwork(let identity) = message.order {
            try step("isolate") { () throws(KernelError) in try Stage.dieWithParent() }
            for item in Groundwork.steps(becoming: identity) { try perform(item, &performer) }
            message = try takeOrder()
        }
        let bytes: [UInt8]
        do throws(KernelError) {
            guard case .launch = message.order, !message.descriptors.isEmpty else {
                throw KernelError(call: "order", code: EPROTO)
            }
            bytes = try Descriptor(owning: message.descriptors.removeFirst()).readAll(limit: 16 << 20)
        } catch { throw Failure(step: "launch", error) }
        do throws(WireError) { return (try Launch(wire: bytes), message.descriptors) } catch {
            throw Failure(step: "launch", object: "\(error)", code: EPROTO)
        }
    }

    /// The next order with its descriptors. Where there is none the supervisor has refused what was asked for: nothing
    /// to set up, and nothing to say.
    private borrowing func takeOrder() throws(Failure) -> (order: InitOrder, descriptors: [CInt]) {
        do throws(KernelError) {
            guard let message = try control.receive() else { _exit(0) }
            return (try InitOrder(checking: message.bytes), message.descriptors)
        } catch { throw Failure(step: "launch", error) }
    }

    /// Waits until the supervisor has made the placeholders: it does that while the mounts are made here.
    private borrowing func takePlaceholders() throws(Failure) -> Set<AbsolutePath> {
        var missing: Set<AbsolutePath> = []
        try step("placeholders") { () throws(KernelError) in
            guard case .placeholders(let without)? = try nextOrder() else {
                throw KernelError(call: "order", code: EPROTO)
            }
            missing = Set(without)
        }
        return missing
    }

    /// 0, 1 and 2 were the user's own; nothing inside may ever hold those.
    private static func replaceStandardStreams() throws(KernelError) {
        let null = try Descriptor.open("/dev/null", O_RDWR)
        for number in CInt(0)..<3 { try check("dup3", box_dup3(null.number, number, 0)) }
    }

    // MARK: - Streams

    private mutating func takeStreams(
        _ streams: Launch.Streams, from inherited: inout [CInt]
    ) -> [CInt] {
        switch streams {
        case .pipes:
            defer { inherited.removeFirst(min(3, inherited.count)) }
            return Array(inherited.prefix(3))
        case .terminal(_, _, let separateError):
            hasTerminal = true
            guard separateError, !inherited.isEmpty else { return [-1, -1, -1] }
            return [-1, -1, inherited.removeFirst()]
        }
    }

    /// Makes the pseudo-terminal of the sandbox, takes it as controlling terminal and hands the master out.
    private mutating func openTerminal(_ wanted: Launch.Streams) throws(Failure) {
        guard case .terminal(let rows, let columns, _) = wanted else { return }
        do throws(KernelError) {
            let pty = try PseudoTerminal(multiplexer: "/dev/pts/ptmx")
            try Terminal.setSize(Terminal.Size(rows: rows, columns: columns), of: pty.master.number)
            // As leader of this session, so that the command's group can be stopped and continued (^Z): a group
            // whose parent is outside the session is orphaned, and the kernel would ignore its stop signals.
            try check("ioctl(TIOCSCTTY)", box_set_controlling_terminal(pty.slave.number))
            try control.send(InitReport.terminal.wire, descriptors: [pty.master.number])
            // The master is the supervisor's alone from here on.
            let number = try pty.slave.duplicate().release()
            streams = streams.map { $0 < 0 ? number : $0 }
        } catch { throw Failure(step: "terminal", error) }
    }

    // MARK: - The command

    /// Waits for the word to start, then serves until the command ends.
    consuming func serve() -> Never {
        do throws(KernelError) {
            guard case .start? = try nextOrder() else { _exit(125) }
            let children = try Processes.signalDescriptor([SIGCHLD])
            let launcher = CommandLauncher(words: command, environment: environment, directory: directory)
            var reaper = try Reaper(
                control: control, children: children, launcher: launcher, answers: answers.take())
            try reaper.start(streams, takesTerminal: hasTerminal)
            // The pipes are the command's alone, so that their readers and writers see its end. The terminal stays open
            // here: a program that closes it and opens it again would otherwise find it hung up.
            if !hasTerminal { for number in streams { close(number) } }
            try reaper.run()
        } catch { _exit(125) }
        _exit(0)
    }

    private borrowing func nextOrder() throws(KernelError) -> InitOrder? {
        guard let message = try control.receive() else { return nil }
        return try InitOrder(checking: message.bytes)
    }
}

extension InitOrder {
    /// Reads an order; a message that no supervisor sends is `EPROTO`.
    init(checking bytes: [UInt8]) throws(KernelError) {
        do throws(WireError) { self = try InitOrder(wire: bytes) } catch {
            throw KernelError(call: "order", code: EPROTO)
        }
    }
}
