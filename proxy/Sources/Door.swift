internal import BoxAudit
internal import BoxTypes
internal import NIOCore

/// What all connections of one proxy share. It lives on the event loop and is used only there.
final class Door {
    /// More connections than this are refused with 429; more than twice as many are closed unanswered.
    static let mostConnections = 256

    let rules: Allowlist
    let resolver: Resolver
    private let report: (Event) -> Void
    private var handlers: [ObjectIdentifier: ClientHandler] = [:]

    init(rules: Allowlist, resolver: Resolver, report: @escaping (Event) -> Void) {
        self.rules = rules
        self.resolver = resolver
        self.report = report
    }

    var isFull: Bool { handlers.count > Door.mostConnections }
    var isOverrun: Bool { handlers.count > 2 * Door.mostConnections }

    func opened(_ handler: ClientHandler) { handlers[ObjectIdentifier(handler)] = handler }
    func closed(_ handler: ClientHandler) { handlers[ObjectIdentifier(handler)] = nil }
    func endAll() { for handler in handlers.values { handler.end() } }
    func log(_ event: Event) { report(event) }
}
