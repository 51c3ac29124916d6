package import BoxKernel

/// Relays one stream in one direction, without ever waiting, for the supervisor's `poll` loop.
///
/// It holds one buffer's worth of bytes at most: it reads again only when all is written, so a slow reader
/// slows the writer down, as with a pipe. The end of the file goes on to the sink; a sink that nobody reads
/// closes the source, so that the writer gets `SIGPIPE`. The process must ignore or block `SIGPIPE` itself.
package final class StreamPump {
    /// The most that is read at once; a pipe holds this much.
    package static let bufferSize = 1 << 16

    private var source: StreamEnd?
    private var sink: StreamEnd?
    /// What makes a stream safe for a terminal; nil where the sink is none.
    package private(set) var filter: TerminalFilter?
    /// What takes the keys out that are not for the program; nil where all are.
    package private(set) var keys: DetachKeys?
    private var buffer = [UInt8](repeating: 0, count: bufferSize)
    private var filtered: [UInt8] = []
    /// What is read and not yet written, in `buffer` or, where something is taken out, in `filtered`.
    private var pending = 0..<0
    /// Nothing is read from the source while this is set; what was read is written all the same.
    package var isPaused = false
    /// Why a stream ended that should not have: a full disk, for example.
    package private(set) var failure: KernelError?

    /// Takes both ends; they are closed when the stream has ended.
    package init(
        from source: consuming StreamEnd, to sink: consuming StreamEnd, filter: TerminalFilter? = nil,
        keys: DetachKeys? = nil
    ) {
        self.source = consume source
        self.sink = consume sink
        self.filter = filter
        self.keys = keys
    }

    private var passesAll: Bool { filter == nil && keys == nil }

    /// Whether the stream has ended and everything was written.
    package var isFinished: Bool { sink == nil }

    /// Whether something was read that is not written yet.
    package var hasPending: Bool { !pending.isEmpty }

    /// What to poll for now. The sink is always watched, since that is how one learns that nobody reads any
    /// more.
    package var interests: [PollEntry] {
        var entries: [PollEntry] = []
        if let number = sinkNumber { entries.append(PollEntry(number, hasPending ? .write : [])) }
        if let number = sourceNumber, !hasPending, !isPaused { entries.append(PollEntry(number, .read)) }
        return entries
    }

    private var sourceNumber: CInt? { if source == nil { nil } else { source?.number } }
    private var sinkNumber: CInt? { if sink == nil { nil } else { sink?.number } }

    /// Moves what can be moved. Entries of other descriptors are not looked at.
    package func handle(_ ready: [Ready]) {
        if hasPending {
            if events(ready, sinkNumber, [.write, .error, .hangup, .invalid]) { drain() }
        } else if events(ready, sinkNumber, [.error, .hangup, .invalid]) {
            abandon()
        }
        if !hasPending, !isPaused, events(ready, sourceNumber, [.read, .error, .hangup, .invalid]) {
            fill()
            // Most of the time the sink takes it at once, which saves a poll.
            if hasPending { drain() }
        }
    }

    private func events(_ ready: [Ready], _ number: CInt?, _ wanted: PollEvents) -> Bool {
        guard let number else { return false }
        return ready.contains { $0.descriptor == number && !$0.events.isDisjoint(with: wanted) }
    }

    /// Changes the terminal's height that the filter knows.
    package func resized(rows: Int) { filter?.resized(rows: rows) }

    /// Ends the stream at once: what is read and not written is lost.
    package func close() {
        pending = 0..<0
        source = nil
        sink = nil
    }

    private func fill() {
        guard let result = source?.read(into: &buffer) else { return }
        switch result {
        case .moved(let count): take(count)
        case .wouldBlock: break
        case .closed: end()
        case .failed(let error):
            failure = error
            end()
        }
    }

    private func take(_ count: Int) {
        guard !passesAll else {
            pending = 0..<count
            return
        }
        filtered.removeAll(keepingCapacity: true)
        filter?.filter(buffer.span.extracting(0..<count), into: &filtered)
        keys?.take(buffer[..<count], into: &filtered)
        pending = 0..<filtered.count
    }

    /// The source has no more: the rest is written, then the sink is closed.
    private func end() {
        source = nil
        if filter != nil {
            filtered = filter?.flush() ?? []
            pending = 0..<filtered.count
        }
        if !hasPending { sink = nil }
    }

    private func drain() {
        let bytes = passesAll ? buffer[pending] : filtered[pending]
        guard let result = sink?.write(bytes) else { return }
        switch result {
        case .moved(let count):
            pending = (pending.lowerBound + count)..<pending.upperBound
            if !hasPending, source == nil { sink = nil }
        case .wouldBlock: break
        case .closed: abandon()
        case .failed(let error):
            failure = error
            abandon()
        }
    }

    /// Nobody reads any more.
    private func abandon() {
        pending = 0..<0
        sink = nil
        guard let source = source.take() else { return }
        do throws(KernelError) { try source.closeSource() } catch { failure = error }
    }
}
