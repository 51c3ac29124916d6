internal import NIOCore

/// Sends reports in order, and returns how many of them. If it may not wait, these are fewer where the supervisor is
/// behind.
package typealias ReportSender = (_ reports: [ProxyReport], _ waits: Bool) -> Int

/// Reports that the supervisor has not taken yet. What can't be logged must not happen: when the queue is full the
/// door decides nothing new. Open connections go on; each has at most its last line to add, which bounds the queue.
final class ReportQueue {
    /// From here on nothing new is decided.
    static let most = 256
    /// So many go at once; that is less than a message can hold.
    private static let batch = 32
    private static let retry = TimeAmount.milliseconds(5)
    /// For how long a report waits for others to go with.
    private static let gathering = TimeAmount.milliseconds(5)

    private let loop: DoorLoop
    private let sender: ReportSender
    /// Called when the queue has room again.
    var hasRoom: () -> Void = {}
    private var waiting = CircularBuffer<ProxyReport>()
    private var isRetrying = false
    private var isGathering = false
    private var wasFull = false

    init(loop: DoorLoop, send: @escaping ReportSender) {
        self.loop = loop
        sender = send
    }

    var isEmpty: Bool { waiting.isEmpty }
    var isFull: Bool { waiting.count >= ReportQueue.most }

    /// Adds a report behind all others; it goes with the next `flush`.
    func add(_ report: ProxyReport) {
        waiting.append(report)
        if waiting.count >= ReportQueue.batch { flush() }
    }

    /// Sends a report behind all others.
    func send(_ report: ProxyReport) {
        add(report)
        flush()
    }

    /// Sends what was added, if the supervisor takes it.
    func flush() {
        if !isRetrying, !waiting.isEmpty { sendWaiting() }
    }

    /// Sends what was added within a short while, alone or with what else is sent by then. A message for each end of
    /// a tunnel would be half of all messages.
    func flushSoon() {
        guard !waiting.isEmpty, !isRetrying, !isGathering else { return }
        isGathering = true
        loop.assumeIsolated().scheduleTask(in: ReportQueue.gathering) { [weak self] in
            self?.isGathering = false
            self?.flush()
        }
    }

    /// Sends everything, however long that takes.
    func drain() {
        while !waiting.isEmpty { sendSome(waits: true) }
    }

    /// Sends a batch, and returns whether all of it went.
    @discardableResult private func sendSome(waits: Bool) -> Bool {
        let batch = Array(waiting.prefix(ReportQueue.batch))
        let sent = sender(batch, waits)
        waiting.removeFirst(sent)
        return sent == batch.count
    }

    private func sendWaiting() {
        if isFull { wasFull = true }
        while !waiting.isEmpty, sendSome(waits: false) {}
        if !waiting.isEmpty { scheduleRetry() }
        guard wasFull, waiting.count < ReportQueue.most / 2 else { return }
        wasFull = false
        hasRoom()
    }

    private func scheduleRetry() {
        isRetrying = true
        loop.assumeIsolated().scheduleTask(in: ReportQueue.retry) { [weak self] in
            self?.isRetrying = false
            self?.sendWaiting()
        }
    }
}
