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
    private var connection: ControlConnection
    private let signals: Descriptor
    private let streams: Streams

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
        let signals = try Processes.signalDescriptor(SandboxStreams.signals)
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
        return AttachedSession(step, ControlConnection(control), signals, streams)
    }

    private init(
        _ step: String, _ connection: consuming ControlConnection, _ signals: consuming Descriptor,
        _ streams: Streams
    ) {
        self.step = step
        self.connection = connection
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
            while connection.isOpen {
                let ready = try poll([PollEntry(signals.number, .read)] + connection.entries)
                if ready.contains(where: { $0.index == 0 }) {
                    let ending = try Processes.takeSignals(signals).first {
                        [SIGINT, SIGTERM, SIGHUP, SIGQUIT].contains($0)
                    }
                    if let ending { return ending }
                }
                if connection.isReady(ready) { _ = try takeNotice() }
            }
            return nil
        } catch { throw SessionError(step: step, error) }
    }

    /// What is on its way to the screen comes before a message, or it would paint over it; in milliseconds.
    private static let quietTime = 50

    private mutating func serve() throws(KernelError) -> End {
        var messages: [String] = []
        while true {
            let own = [PollEntry(signals.number, .read)] + connection.entries
            let ready = try poll(
                own + streams.entries,
                timeout: messages.isEmpty ? streams.pollTimeout : AttachedSession.quietTime)
            if ready.isEmpty {
                for message in messages { AttachedSession.show(message) }
                messages = []
            }
            if ready.contains(where: { $0.descriptor == signals.number }), let signal = try takeSignals() {
                return .detached(signal: signal)
            }
            if connection.isReady(ready) {
                switch try takeNotice() {
                case .commandStopped?: try stop()
                case .message(let text)?: messages.append(text)
                case .executed?, .executionEnded?, nil: break
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
        guard let (notice, descriptors) = try connection.take() else { return nil }
        for number in descriptors { close(number) }
        return notice
    }

    /// In the middle of what is shown; a raw terminal needs the return as well.
    static func show(_ text: String) {
        let line = Array("box: \(text.escapedForTerminal)\r\n".utf8)
        _ = unsafe write(2, line, line.count)
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

    /// Tells the window's size, and so that a new picture is wanted. A terminal that is gone has none.
    private borrowing func sendSize() {
        guard let size = try? Terminal.size(of: 1) else { return }
        connection.send(.resize(rows: size.rows, columns: size.columns))
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
