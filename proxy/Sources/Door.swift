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
    private(set) var connections = 0

    init(rules: Allowlist, resolver: Resolver, report: @escaping (Event) -> Void) {
        self.rules = rules
        self.resolver = resolver
        self.report = report
    }

    var isFull: Bool { connections > Door.mostConnections }
    var isOverrun: Bool { connections > 2 * Door.mostConnections }

    func opened() { connections += 1 }
    func closed() { connections -= 1 }
    func log(_ event: Event) { report(event) }
}
