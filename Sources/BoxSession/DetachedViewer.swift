internal import BoxKernel
internal import Glibc

/// A terminal to which a detached session is shown, as the supervisor has it. It never makes the session wait.
final class DetachedViewer {
    /// A terminal that is further behind gets no more of what was written, but the screen when it can take it.
    private static let mostBacklog = 1 << 20

    /// The number of its control connection.
    let client: Int
    /// Of its window.
    var size = DetachedStreams.size
    private unowned let source: DetachedStreams
    /// Nil when it has gone.
    private var socket: StreamEnd?
    /// Open until this process ends: so it learns that the session has come to its end.
    private var control: Descriptor?
    private var backlog: [UInt8] = []
    private var written = 0
    private var needsPicture = false
    /// Takes the questions to the terminal out where another one answers.
    private var silent: TerminalFilter?
    private var buffer: [UInt8] = []

    init(
        client: Int, socket: consuming StreamEnd, control: consuming Descriptor, of source: DetachedStreams
    ) {
        self.client = client
        self.socket = consume socket
        self.control = consume control
        self.source = source
    }

    /// Whether it has gone.
    var isGone: Bool { socket == nil }
    /// The number of its socket.
    var number: CInt? { if socket == nil { nil } else { socket?.number } }
    /// Whether it gets what is written now.
    var isLive: Bool { !isGone && !needsPicture }
    /// Whether it has got everything.
    var isWritten: Bool { isGone || backlog.isEmpty && !needsPicture }

    /// What to wait for.
    func entry(takesInput: Bool) -> PollEntry? {
        guard let number else { return nil }
        var events: PollEvents = takesInput ? .read : []
        if !backlog.isEmpty || needsPicture { events.insert(.write) }
        return PollEntry(number, events)
    }

    /// Sends what waits and hands on what was typed.
    func handle(_ events: PollEvents, type: ([UInt8]) -> Void) {
        if events.contains(.write) { flush() }
        guard !events.isDisjoint(with: [.read, .error, .hangup, .invalid]) else { return }
        if buffer.isEmpty { buffer = [UInt8](repeating: 0, count: 4096) }
        switch socket?.read(into: &buffer) {
        case .moved(let count)?: type(Array(buffer[..<count]))
        case .wouldBlock?, nil: break
        case .closed?, .failed?: socket = nil
        }
    }

    /// Sends what was written, or keeps it.
    func show(_ bytes: [UInt8], answers: Bool) {
        // The picture will have it.
        guard isLive else { return }
        guard backlog.count - written + bytes.count <= DetachedViewer.mostBacklog else {
            discardBacklog()
            needsPicture = true
            return
        }
        if answers {
            silent = nil
            backlog += bytes
        } else {
            if silent == nil { silent = TerminalFilter(mode: .oneWay) }
            silent?.filter(bytes.span, into: &backlog)
        }
        flush()
    }

    /// Sends the screen as it is now, instead of what it has not got yet.
    func repaint() {
        discardBacklog()
        needsPicture = true
        flush()
    }

    /// The first escape of the next picture ends a sequence that is under way.
    private func discardBacklog() {
        backlog = []
        written = 0
    }

    private func flush() {
        if backlog.isEmpty, needsPicture {
            backlog = source.picture
            needsPicture = false
            silent = nil
        }
        while !backlog.isEmpty, let result = socket?.write(backlog[written...]) {
            switch result {
            case .moved(let count):
                written += count
                guard written == backlog.count else { continue }
                backlog.removeAll(keepingCapacity: backlog.capacity <= 1 << 17)
                written = 0
            case .wouldBlock: return
            case .closed, .failed: socket = nil
            }
        }
    }

    /// Tells it something beside the picture; one that does not listen is gone.
    func tell(_ notice: ControlNotice) {
        do throws(KernelError) {
            if let number = control?.number { try ControlSocket.send(notice.wire, to: number) }
        } catch { socket = nil }
    }

    /// It has gone, while the session goes on: its connection ends on this side, too.
    func leave() {
        if let number = control?.number { shutdown(number, CInt(SHUT_RDWR)) }
    }

    /// The command's output has ended, and soon the session: this process keeps the control connection until then.
    func end() {
        socket = nil
        _ = control.take()?.release()
    }
}
