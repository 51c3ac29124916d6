package import BoxTypes

/// What another process of box asks of the supervisor of a running session, one packet on its control socket.
package enum ControlRequest: Equatable, Sendable {
    /// What the session is like now.
    case status
    /// Other rules for its network.
    case change(RuleChange)
    /// Ports inside that the host may connect to.
    case publish([PublishedPort])
    /// The rules as the policy's files say now.
    case reload
    /// The session is to end: its command is asked to, and after so many milliseconds it is ended.
    case stop(within: Int)
    /// The session is to be shown on a terminal of this size; a stream socket for what is shown and typed comes along.
    /// It ends with that socket.
    case attach(rows: UInt16, columns: UInt16)
    /// The terminal that was attached by this connection has another size, or has to be painted anew.
    case resize(rows: UInt16, columns: UInt16)
    /// A further program is to run in the session; what it needs of this one's streams comes along. It gets a hang-up
    /// when the connection ends.
    case execute(ExecutionRequest)
    /// A signal for the program that was asked for by this connection.
    case signal(Int32)
    /// Everything inside is to stand still.
    case pause
    /// It is to go on, with as much again of what it has used up.
    case resume

    /// The first byte of every message: another build of box may speak otherwise.
    static let version: UInt8 = 4

    /// The longest time that a command may be given to end, in milliseconds: a day.
    package static let longestGrace = 86_400_000

    package var wire: [UInt8] {
        var writer = WireWriter()
        writer.write(ControlRequest.version)
        switch self {
        case .status: writer.write(UInt8(1))
        case .change(let change):
            writer.write(UInt8(2))
            writer.write(change.action.rawValue)
            writer.write(change.rules) { $0.write($1.description) }
            writer.write(change.everyPort) { $0.write($1.description) }
            writer.write(change.seconds) { $0.write($1) }
            writer.write(change.once)
        case .publish(let ports):
            writer.write(UInt8(3))
            writer.write(ports) { $0.write($1.description) }
        case .reload: writer.write(UInt8(4))
        case .stop(let milliseconds):
            writer.write(UInt8(5))
            writer.write(milliseconds)
        case .attach(let rows, let columns):
            writer.write(UInt8(8))
            writer.write(Int(rows))
            writer.write(Int(columns))
        case .resize(let rows, let columns):
            writer.write(UInt8(9))
            writer.write(Int(rows))
            writer.write(Int(columns))
        case .execute(let request):
            writer.write(UInt8(10))
            request.write(to: &writer)
        case .signal(let number):
            writer.write(UInt8(11))
            writer.write(Int(number))
        case .pause: writer.write(UInt8(6))
        case .resume: writer.write(UInt8(7))
        }
        return writer.bytes
    }

    package init(wire: [UInt8]) throws(WireError) {
        var reader = WireReader(wire)
        guard try reader.byte() == ControlRequest.version else { throw reader.malformed("version") }
        switch try reader.byte() {
        case 1: self = .status
        case 2: self = .change(try RuleChange(from: &reader))
        case 3:
            self = .publish(
                try reader.list { (reader: inout WireReader) throws(WireError) in try reader.publishedPort() }
            )
        case 4: self = .reload
        case 5:
            let milliseconds = try reader.int()
            guard (0...ControlRequest.longestGrace).contains(milliseconds) else {
                throw reader.malformed("time")
            }
            self = .stop(within: milliseconds)
        case 8: self = .attach(rows: try reader.windowSide(), columns: try reader.windowSide())
        case 9: self = .resize(rows: try reader.windowSide(), columns: try reader.windowSide())
        case 10: self = .execute(try ExecutionRequest(from: &reader))
        case 11:
            let number = try reader.int32()
            guard (1...64).contains(number) else { throw reader.malformed("signal") }
            self = .signal(number)
        case 6: self = .pause
        case 7: self = .resume
        default: throw reader.malformed("request")
        }
        try reader.finish()
    }
}

/// What the supervisor answers.
package enum ControlReply: Equatable, Sendable {
    /// It was not done, or not wholly, and why.
    case refused(String)
    case status(SessionStatus)
    case done(ControlOutcome)

    package var wire: [UInt8] {
        var writer = WireWriter()
        writer.write(ControlRequest.version)
        switch self {
        case .refused(let why):
            writer.write(UInt8(1))
            writer.write(why)
        case .status(let status):
            writer.write(UInt8(2))
            status.write(to: &writer)
        case .done(let outcome):
            writer.write(UInt8(3))
            writer.write(outcome.tunnelsClosed)
            writer.write(outcome.notes) { $0.write($1) }
        }
        return writer.bytes
    }

    package init(wire: [UInt8]) throws(WireError) {
        var reader = WireReader(wire)
        guard try reader.byte() == ControlRequest.version else { throw reader.malformed("version") }
        switch try reader.byte() {
        case 1: self = .refused(try reader.string())
        case 2: self = .status(try SessionStatus(from: &reader))
        case 3:
            self = .done(
                ControlOutcome(
                    tunnelsClosed: try reader.int(),
                    notes: try reader.list { (r: inout WireReader) throws(WireError) in try r.string() }))
        default: throw reader.malformed("reply")
        }
        try reader.finish()
    }
}

/// What a change did.
package struct ControlOutcome: Equatable, Sendable {
    /// Tunnels that the new rules no longer allow.
    package var tunnelsClosed = 0
    /// What a user should know: that a rule has no effect, or that a port inside was taken.
    package var notes: [String] = []
    package init(tunnelsClosed: Int = 0, notes: [String] = []) {
        self.tunnelsClosed = tunnelsClosed
        self.notes = notes
    }
}

/// A running session as its supervisor knows it.
package struct SessionStatus: Equatable, Sendable {
    package enum Network: String, Equatable, Sendable, CaseIterable { case open, closed, none }
    package var name: String
    package var supervisor: Int32
    package var network: Network
    package var rules: NetworkRules
    package var published: [PublishedPort]
    /// Requests that were refused so far.
    package var refusals: Int
    /// Why it is paused: `user`, `time`, `disk`; nil if it is not.
    package var pause: [String]?
    /// Whether it is paused by the kernel's freezer, and not by signals.
    package var isFrozen = false
    /// The sandbox's first process, by its number on the host.
    var firstProcess: Int32 = 0
    /// Bytes that left the sandbox through its network door and came in, those of open connections too as far as they
    /// were known a moment ago.
    package var bytesUp = 0
    package var bytesDown = 0
    /// The hosts that were refused last, the newest first.
    package var refused: [Refused] = []
    /// The limits that were hit.
    package var limits: [LimitHit] = []
    /// How many programs were started inside; 0 where nobody counts.
    package var programs = 0
    /// The command line of the program that was started last and still runs. Nothing in it is trusted.
    package var current: String?
    /// Whether it runs without a terminal, to be attached to.
    package var isDetached = false

    package var isPaused: Bool { pause != nil }

    /// The longest command line that is told, and the most refused hosts.
    static let longestCommand = 200
    static let mostRefused = 20

    /// A host and port that was refused. The host is text of the sandbox's.
    package struct Refused: Equatable, Sendable {
        package var host: String
        /// 0 where only the name was looked up.
        package var port: Int
        package var count: Int
        package var reason: String

        package init(host: String, port: Int, count: Int, reason: String) {
            self.host = host
            self.port = port
            self.count = count
            self.reason = reason
        }
    }

    package init(
        name: String, supervisor: Int32, network: Network, rules: NetworkRules, published: [PublishedPort],
        refusals: Int = 0
    ) {
        self.name = name
        self.supervisor = supervisor
        self.network = network
        self.rules = rules
        self.published = published
        self.refusals = refusals
    }

    fileprivate func write(to writer: inout WireWriter) {
        writer.write(name)
        writer.write(Int(supervisor))
        writer.write(network.rawValue)
        rules.write(to: &writer)
        writer.write(published) { $0.write($1.description) }
        writer.write(refusals)
        writer.write(pause) { writer, reasons in writer.write(reasons) { $0.write($1) } }
        writer.write(isFrozen)
        writer.write(Int(firstProcess))
        writer.write(bytesUp)
        writer.write(bytesDown)
        writer.write(refused) { writer, one in
            writer.write(one.host)
            writer.write(one.port)
            writer.write(one.count)
            writer.write(one.reason)
        }
        writer.write(limits) { writer, hit in
            writer.write(hit.name)
            writer.write(hit.detail)
        }
        writer.write(programs)
        writer.write(current) { $0.write($1) }
        writer.write(isDetached)
    }

    fileprivate init(from reader: inout WireReader) throws(WireError) {
        name = try reader.string()
        supervisor = try reader.int32()
        guard let network = Network(rawValue: try reader.string()) else { throw reader.malformed("network") }
        self.network = network
        rules = try NetworkRules(from: &reader)
        published = try reader.list { (r: inout WireReader) throws(WireError) in try r.publishedPort() }
        refusals = try reader.int()
        pause = try reader.optional { (r: inout WireReader) throws(WireError) in
            try r.list { (r: inout WireReader) throws(WireError) in try r.string() }
        }
        isFrozen = try reader.bool()
        firstProcess = try reader.int32()
        bytesUp = try reader.int()
        bytesDown = try reader.int()
        refused = try reader.list { (r: inout WireReader) throws(WireError) in
            Refused(host: try r.string(), port: try r.int(), count: try r.int(), reason: try r.string())
        }
        limits = try reader.list { (r: inout WireReader) throws(WireError) in
            LimitHit(name: try r.string(), detail: try r.string())
        }
        programs = try reader.int()
        current = try reader.optional { (r: inout WireReader) throws(WireError) in try r.string() }
        isDetached = try reader.bool()
    }
}

extension RuleChange {
    fileprivate init(from reader: inout WireReader) throws(WireError) {
        guard let action = Action(rawValue: try reader.string()) else { throw reader.malformed("action") }
        self.action = action
        let rule = { (reader: inout WireReader) throws(WireError) -> HostRule in
            let text = try reader.string()
            do throws(HostRefusal) { return try HostRule(text) } catch { throw reader.malformed("rule") }
        }
        rules = try reader.list(rule)
        everyPort = try reader.list(rule)
        seconds = try reader.optional { (r: inout WireReader) throws(WireError) in try r.int() }
        once = try reader.bool()
        guard rules.count <= RuleChange.mostRules, !once || action == .allow,
            seconds.map({ (1...366 * 86400).contains($0) }) ?? true
        else {
            throw reader.malformed("change")
        }
    }
}

extension WireReader {
    fileprivate mutating func publishedPort() throws(WireError) -> PublishedPort {
        let text = try string()
        do throws(HostRefusal) { return try PublishedPort(text) } catch { throw malformed("port") }
    }
}
