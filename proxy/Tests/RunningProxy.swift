import BoxAudit
import BoxProxy
import BoxTypes
import Glibc
import Synchronization
import Testing

/// Tests with real sockets, one after the other: some count the descriptors of the process.
@Suite(.serialized) struct SocketTests {}

/// A proxy with real sockets: its own listeners, and a server that `localhost:PORT` opens.
final class RunningProxy: Sendable {
    let origin: Wire
    /// The HTTP listener's port.
    let port: UInt16
    let server: Server
    private let originPort: UInt16
    private let sink: Sink

    /// - Parameter change: changes the configuration before the proxy starts.
    init(
        alsoAllow: [String] = [], hold: Int = 0, upstream: UInt16? = nil,
        change: (inout NetworkRules) -> Void = { _ in }
    ) throws {
        origin = try Wire.listener()
        originPort = origin.port
        let listener = try Wire.listener()
        port = listener.port
        var rules = try networkRules(["localhost:\(origin.port)"] + alsoAllow)
        change(&rules)
        var configuration = ProxyConfiguration(session: "test", rules: rules, identity: nil)
        configuration.hold = hold
        if let upstream {
            configuration.upstream = UpstreamProxy(
                target: try HostTarget(authority: "localhost:\(upstream)"), authorization: "Basic eDp5")
        }
        let sink = Sink()
        self.sink = sink
        server = try Server(configuration) { { sink.add($0, waits: $1) } }
        try server.serve(.http, listener.number)
    }

    /// Takes what the proxy reports; it can be told to be behind.
    final class Sink: Sendable {
        private let reports = Mutex<[ProxyReport]>([])
        private let isBehind = Mutex(false)

        func add(_ reports: [ProxyReport], waits: Bool) -> Int {
            guard waits || !isBehind.withLock({ $0 }) else { return 0 }
            self.reports.withLock { $0 += reports }
            return reports.count
        }
        func stall(_ stalls: Bool) { isBehind.withLock { $0 = stalls } }
        var all: [ProxyReport] { reports.withLock { $0 } }
    }

    /// Whether the supervisor takes no reports.
    func stall(_ stalls: Bool) { sink.stall(stalls) }

    var reports: [ProxyReport] { sink.all }
    var events: [Event] {
        sink.all.compactMap { if case .event(let event) = $0 { event } else { nil } }
    }
    var target: String { "localhost:\(originPort)" }

    /// Waits until the log has so many events of this kind, and returns the last of these.
    @discardableResult
    func event(_ kind: Event.Kind, count: Int = 1) throws -> Event {
        for _ in 0..<8000 {
            let found = events.filter { $0.kind == kind }
            if found.count >= count { return found[count - 1] }
            nextLook()
        }
        throw Wire.Failure(call: "event \(kind)", code: 0)
    }

    /// Waits until the proxy has reported this.
    func reported(_ report: ProxyReport) throws {
        for _ in 0..<8000 {
            if reports.contains(report) { return }
            nextLook()
        }
        throw Wire.Failure(call: "report \(report)", code: 0)
    }

    /// One more listener of the proxy; its port.
    func listen(_ socket: DoorSocket) throws -> UInt16 {
        let listener = try Wire.listener()
        let port = listener.port
        try server.serve(socket, listener.number)
        try server.checkStock()
        return port
    }

    /// The proxy's answer to one request.
    func ask(_ request: String) throws -> String {
        let program = try Wire(to: port)
        try program.send(request)
        defer { program.close() }
        return try program.receiveAll()
    }

    /// A tunnel: the program's end and the server's end.
    func tunnel() throws -> (program: Wire, server: Wire) {
        let program = try Wire(to: port)
        try program.send("CONNECT \(target) HTTP/1.1\r\nHost: \(target)\r\n\r\n")
        let head = try program.receive(until: "\r\n\r\n")
        guard head.hasPrefix("HTTP/1.1 200 ") else { throw Wire.Failure(call: head, code: 0) }
        return (program, try origin.accept())
    }

    func stop() throws {
        try server.stop()
        origin.close()
    }
}

/// Looks until the condition holds, for some seconds.
func becomes(_ condition: () -> Bool) -> Bool {
    for _ in 0..<4000 {
        if condition() { return true }
        nextLook()
    }
    return false
}

extension Event {
    func number(_ name: String) -> Int? {
        for field in fields where field.name == name {
            if case .number(let value) = field.value { return value }
        }
        return nil
    }
}
