package import BoxKernel
internal import Glibc

/// What the supervisor's loop does with the command's streams, whoever sees them.
protocol StreamRelay: AnyObject {
    /// What to poll for now.
    var entries: [PollEntry] { get }
    /// When to call `handle` at the latest, in milliseconds, though nothing is ready; nil if there is no need.
    var pollTimeout: Int? { get }
    /// Moves what can be moved.
    func handle(_ ready: [Ready]) throws(KernelError)
    /// Whether everything that the sandbox wrote has been written on, and it can write no more.
    var isDrained: Bool { get }
    /// The first stream that ended with an error.
    var failure: KernelError? { get }
    /// The sandbox is gone: nothing more is read for it.
    func endInput()
    /// Follows the size of the user's window.
    func resized() throws(KernelError)
    /// Takes the user's terminal.
    func resume() throws(KernelError)
    /// Gives the user's terminal back for a stop.
    func suspend() throws(KernelError)
    /// Ends the relay and puts the terminal in order.
    func restore()
}

extension Streams: StreamRelay {}

/// The terminal of a session that has none of the user's: what the command writes is taken at once and kept as a
/// screen, whether somebody looks or not. Whoever attaches gets the screen, and from then on what is written.
///
/// Only what `TerminalFilter` lets through reaches the screen and those who look. While nobody looks, the screen answers
/// what programs ask a terminal; otherwise the newest viewer's terminal does.
package final class DetachedStreams: StreamRelay {
    /// A terminal that nobody sees has this size; larger ones than the limits are no windows.
    package static let size = Terminal.Size(rows: 24, columns: 80)
    private static let mostRows: UInt16 = 500
    private static let mostColumns: UInt16 = 1000
    /// More viewers at once are refused.
    private static let mostViewers = 16
    /// No more than that is kept of what the command does not read.
    private static let mostInput = 1 << 16
    /// How long viewers get for the last output, in milliseconds.
    private static let lastPatience = 2000

    private let master: Descriptor
    private let terminal: StreamEnd
    private var filter: TerminalFilter?
    private var screen = Screen(rows: Int(size.rows), columns: Int(size.columns))
    private var size = DetachedStreams.size
    /// Those who look, the newest last.
    private var viewers: [DetachedViewer] = []
    /// What the command has not read yet.
    private var input: [UInt8] = []
    private var buffer = [UInt8](repeating: 0, count: StreamPump.bufferSize)
    private var filtered: [UInt8] = []
    /// When the command's output ended.
    private var ended: Int?
    private var isRestored = false
    package private(set) var failure: KernelError?

    /// Takes the pseudo-terminal's master; it is set up like the caller's terminal where there is one.
    package init(master: consuming Descriptor, likeCaller: Bool) throws(KernelError) {
        let state = likeCaller ? try TerminalState(of: 0) : try TerminalState(of: master.number).withUTF8
        try state.apply(to: master.number)
        try Terminal.setSize(DetachedStreams.size, of: master.number)
        terminal = try StreamEnd(own: master.duplicate())
        self.master = master
        filter = TerminalFilter(mode: .relayed)
        #if DEBUG
            if Mutation.drops("terminal-filter") { filter = nil }
        #endif
        filter?.resized(rows: Int(size.rows))
    }

    // MARK: - The loop

    package var entries: [PollEntry] {
        if isRestored { return [] }
        var entries: [PollEntry] = []
        if ended == nil {
            entries.append(PollEntry(terminal.number, input.isEmpty ? .read : [.read, .write]))
        }
        let takesInput = ended == nil && input.isEmpty
        return entries + viewers.compactMap { $0.entry(takesInput: takesInput) }
    }

    package var pollTimeout: Int? {
        guard let ended, !isDrained else { return nil }
        return max(0, ended + DetachedStreams.lastPatience - Clock.milliseconds())
    }

    package var isDrained: Bool {
        guard let ended else { return false }
        return isRestored || viewers.allSatisfy(\.isWritten)
            || Clock.milliseconds() >= ended + DetachedStreams.lastPatience
    }

    package func handle(_ ready: [Ready]) {
        if isRestored { return }
        for item in ready {
            if item.descriptor == terminal.number {
                if item.events.contains(.write) { writeInput() }
                if !item.events.isDisjoint(with: [.read, .error, .hangup]) { read() }
            } else if let viewer = viewers.first(where: { $0.number == item.descriptor }) {
                viewer.handle(item.events) { type($0) }
            }
        }
        removeGone()
    }

    private func read() {
        switch terminal.read(into: &buffer) {
        case .moved(let count): take(count)
        case .wouldBlock: break
        case .closed: end()
        case .failed(let error):
            failure = error
            end()
        }
    }

    private func end() {
        ended = Clock.milliseconds()
        let rest = filter?.flush() ?? []
        screen.feed(rest)
        for viewer in viewers { viewer.show(rest, answers: false) }
        removeGone()
    }

    private func take(_ count: Int) {
        filtered.removeAll(keepingCapacity: true)
        if filter == nil { filtered += buffer[..<count] }
        filter?.filter(buffer.span.extracting(0..<count), into: &filtered)
        screen.feed(filtered)
        // Of several terminals one answers; one that is not shown the question does not.
        let answering = viewers.last { $0.isLive }
        let answers = screen.takeAnswers()
        if answering == nil { type(answers) }
        for viewer in viewers { viewer.show(filtered, answers: viewer === answering) }
        removeGone()
    }

    /// What shows the screen as it is now on a terminal of its size; what is written next may follow it.
    var picture: [UInt8] { screen.redraw }

    // MARK: - Input

    private func type(_ bytes: [UInt8]) {
        guard ended == nil, !bytes.isEmpty, input.count + bytes.count <= DetachedStreams.mostInput else {
            return
        }
        input += bytes
        writeInput()
    }

    private func writeInput() {
        guard !input.isEmpty else { return }
        switch terminal.write(input[...]) {
        case .moved(let count): input.removeFirst(count)
        case .wouldBlock: break
        case .closed, .failed: input = []
        }
    }

    package func endInput() { input = [] }

    // MARK: - Viewers

    /// Shows the session to one more terminal; why not, if not. Its sockets are its own then.
    package func attach(
        client: Int, socket: consuming Descriptor, control: consuming Descriptor, rows: UInt16,
        columns: UInt16
    ) throws(KernelError) -> String? {
        guard ended == nil else { return "it is just ending" }
        guard viewers.count < DetachedStreams.mostViewers else {
            return "\(viewers.count) terminals show it already"
        }
        let viewer = DetachedViewer(
            client: client, socket: try StreamEnd(own: socket), control: control, of: self)
        viewers.append(viewer)
        viewer.size = DetachedStreams.size(rows, columns)
        try useNewestSize()
        viewer.repaint()
        return nil
    }

    /// A viewer's window has another size, or its screen was used for something else meanwhile: it gets all anew.
    package func resize(client: Int, rows: UInt16, columns: UInt16) throws(KernelError) {
        guard let viewer = viewers.first(where: { $0.client == client }) else { return }
        viewer.size = DetachedStreams.size(rows, columns)
        try useNewestSize()
        viewer.repaint()
        removeGone()
    }

    /// Whether somebody looks.
    package var isViewed: Bool { !viewers.isEmpty }

    /// Tells all that look that the command has stopped itself.
    func tellOfStop() { for viewer in viewers { viewer.tell(.commandStopped) } }

    /// Tells all that look something in the middle of what they see.
    func tell(_ text: String) { for viewer in viewers { viewer.tell(.message(text)) } }

    /// Shows the screen anew to all that look.
    func repaint() { for viewer in viewers { viewer.repaint() } }

    private static func size(_ rows: UInt16, _ columns: UInt16) -> Terminal.Size {
        // A terminal that does not know its size says 0.
        Terminal.Size(
            rows: rows == 0 ? size.rows : min(rows, mostRows),
            columns: columns == 0 ? size.columns : min(columns, mostColumns))
    }

    private func useNewestSize() throws(KernelError) {
        guard let wanted = viewers.last?.size, wanted != size else { return }
        size = wanted
        screen.resize(rows: Int(size.rows), columns: Int(size.columns))
        filter?.resized(rows: Int(size.rows))
        if ended == nil { try Terminal.setSize(size, of: master.number) }
        for viewer in viewers { viewer.repaint() }
    }

    private func removeGone() {
        guard viewers.contains(where: \.isGone) else { return }
        for viewer in viewers where viewer.isGone { viewer.leave() }
        viewers.removeAll(where: \.isGone)
        do throws(KernelError) { try useNewestSize() } catch { failure = error }
    }

    // MARK: - No terminal of the user

    package func resized() {}
    package func resume() {}
    package func suspend() {}

    package func restore() {
        guard !isRestored else { return }
        isRestored = true
        for viewer in viewers { viewer.end() }
    }
}
