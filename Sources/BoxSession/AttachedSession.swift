internal import BoxKernel
internal import BoxTypes
internal import CLinux
internal import Glibc

/// A detached session that is shown on this terminal: `box attach` from the first picture to the last.
///
/// The terminal is in order again when this value is gone, whatever ended it.
package struct AttachedSession: ~Copyable {
    /// How it ended.
    package enum End: Equatable, Sendable {
        /// The user left, or a signal ended this part; the session goes on.
        case detached(signal: Int32?)
        /// Nothing more comes: the session has ended, or its supervisor is gone. Its record says how.
        case ended
    }

    private let step: String
    private let control: Descriptor
    private let signals: Descriptor
    private let streams: Streams
    /// Whether the supervisor's end of the connection is open.
    private var isConnected = true

    /// Has the session's supervisor show it here; nil if it has just ended.
    package static func open(_ session: StoredSession) throws(SessionError) -> AttachedSession? {
        let step = "attach to \(session.name.escapedForTerminal)"
        var refusal: String?
        let attached: AttachedSession?
        do throws(KernelError) { attached = try request(session, step, &refusal) } catch {
            throw SessionError(step: step, error)
        }
        if let refusal { throw SessionError(step: step, reason: refusal) }
        return attached
    }

    private static func request(
        _ session: StoredSession, _ step: String, _ refusal: inout String?
    ) throws(KernelError) -> AttachedSession? {
        let signals = try Processes.signalDescriptor([
            SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH, SIGPIPE, SIGTTIN, SIGTTOU,
        ])
        guard let control = try RunningSession(session).connect() else { return nil }
        let pair = try StreamPair()
        let size = try Terminal.size(of: 1)
        try ControlSocket.send(
            ControlRequest.attach(rows: size.rows, columns: size.columns).wire, to: control.number,
            descriptors: [pair.far.number])
        switch try RunningSession.answer(control, within: RunningSession.patience) {
        case nil: return nil
        case .refused(let why)?:
            refusal = why
            return nil
        case .status?, .done?: break
        }
        let streams = try Streams(
            sandbox: .socket(pair.keepNear()), isLinuxConsole: Sandbox.isLinuxConsole)
        return AttachedSession(step, control, signals, streams)
    }

    private init(
        _ step: String, _ control: consuming Descriptor, _ signals: consuming Descriptor, _ streams: Streams
    ) {
        self.step = step
        self.control = control
        self.signals = signals
        self.streams = streams
    }

    /// Shows it until the user leaves or it ends.
    package mutating func show() throws(SessionError) -> End {
        do throws(KernelError) {
            try streams.resume()
            let end = try serve()
            if case .detached = end, !streams.showsAlternateScreen, Terminal.isForeground(1) {
                // What the user does next begins on a line of its own.
                _ = unsafe write(1, AttachedSession.nextLine, AttachedSession.nextLine.count)
            }
            streams.restore()
            return end
        } catch {
            streams.restore()
            throw SessionError(step: step, error)
        }
    }

    private static let nextLine = Array("\r\n\u{1B}[J".utf8)

    /// Waits until the session has come to its end and its record is written; the signal that ended the waiting, if one did.
    package mutating func waitForEnd() throws(SessionError) -> Int32? {
        do throws(KernelError) {
            while isConnected {
                let ready = try poll([
                    PollEntry(signals.number, .read), PollEntry(control.number, .read),
                ])
                if ready.contains(where: { $0.index == 0 }) {
                    let ending = try Processes.takeSignals(signals).first {
                        [SIGINT, SIGTERM, SIGHUP, SIGQUIT].contains($0)
                    }
                    if let ending { return ending }
                }
                if ready.contains(where: { $0.index == 1 }) { _ = try takeNotice() }
            }
            return nil
        } catch { throw SessionError(step: step, error) }
    }

    private mutating func serve() throws(KernelError) -> End {
        while true {
            var entries = [PollEntry(signals.number, .read)]
            if isConnected { entries.append(PollEntry(control.number, .read)) }
            let ready = try poll(entries + streams.entries, timeout: streams.pollTimeout)
            for item in ready {
                if item.descriptor == signals.number {
                    if let signal = try takeSignals() { return .detached(signal: signal) }
                } else if item.descriptor == control.number, case .commandStopped? = try takeNotice() {
                    try stop()
                }
            }
            try streams.handle(ready)
            if streams.isDetached { return .detached(signal: nil) }
            if streams.isDrained { return .ended }
        }
    }

    /// Follows the signals; the one that ends this, if there is one.
    private borrowing func takeSignals() throws(KernelError) -> Int32? {
        for signal in try Processes.takeSignals(signals) {
            switch signal {
            case SIGWINCH:
                try streams.resized()
                sendSize()
            case SIGTSTP: try stop()
            // After a stop that was not asked for.
            case SIGCONT:
                try streams.resume()
                sendSize()
            case SIGINT, SIGTERM, SIGHUP, SIGQUIT: return signal
            default: break
            }
        }
        return nil
    }

    private mutating func takeNotice() throws(KernelError) -> ControlNotice? {
        guard let (bytes, descriptors) = try ControlSocket.receive(control.number) else {
            isConnected = false
            return nil
        }
        for number in descriptors { close(number) }
        do throws(WireError) { return try ControlNotice(wire: bytes) } catch {
            throw KernelError(call: "notice", code: EPROTO)
        }
    }

    /// Lets the user's shell take over (^Z), and paints everything anew when the user comes back.
    private borrowing func stop() throws(KernelError) {
        // Without a shell nobody could continue it.
        if getsid(0) != getpid() {
            try streams.suspend()
            kill(getpid(), SIGSTOP)
            try streams.resume()
        }
        sendSize()
    }

    /// Tells the window's size, and so that a new picture is wanted. A supervisor that is gone is noticed elsewhere.
    private borrowing func sendSize() {
        guard isConnected, let size = try? Terminal.size(of: 1) else { return }
        let request = ControlRequest.resize(rows: size.rows, columns: size.columns)
        try? ControlSocket.send(request.wire, to: control.number)
    }
}

/// A connected pair of stream sockets, close-on-exec: `near` stays, `far` goes to another process.
private struct StreamPair: ~Copyable {
    var near: Descriptor
    var far: Descriptor

    init() throws(KernelError) {
        var ends: [CInt] = [-1, -1]
        let type = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        try check("socketpair", unsafe socketpair(AF_UNIX, type, 0, &ends))
        near = Descriptor(owning: ends[0])
        far = Descriptor(owning: ends[1])
    }

    /// Keeps the near end and closes the other.
    consuming func keepNear() -> Descriptor { near }
}
