package import BoxAudit
internal import NIOCore

/// What the proxy tells its supervisor while it serves.
package enum ProxyReport: Equatable, Sendable {
    case event(Event)
    /// The rules of this number are in force, and closed so many connections.
    case applied(UInt64, closed: Int)
    case wantsSockets
}

/// Sends a report. If it may not wait, it returns false where the supervisor is behind.
package typealias ReportSender = (_ report: ProxyReport, _ waits: Bool) -> Bool

/// Reports that the supervisor has not taken yet. What can't be logged must not happen: when the queue is full the
/// door decides nothing new. Open connections go on; each has at most its last line to add, which bounds the queue.
final class ReportQueue {
    /// From here on nothing new is decided.
    static let most = 256
    private static let retry = TimeAmount.milliseconds(5)

    private let loop: any EventLoop
    private let send: ReportSender
    /// Called when the queue has room again.
    var hasRoom: () -> Void = {}
    private var waiting = CircularBuffer<ProxyReport>()
    private var isRetrying = false
    private var wasFull = false

    init(loop: any EventLoop, send: @escaping ReportSender) {
        self.loop = loop
        self.send = send
    }

    var isFull: Bool { waiting.count >= ReportQueue.most }

    /// Sends the report behind all others.
    func add(_ report: ProxyReport) {
        waiting.append(report)
        if !isRetrying { sendWaiting() }
    }

    /// Sends everything, however long that takes.
    func drain() {
        while let report = waiting.popFirst() { _ = send(report, true) }
    }

    private func sendWaiting() {
        while let report = waiting.first {
            guard send(report, false) else { break }
            waiting.removeFirst()
        }
        if isFull { wasFull = true }
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
