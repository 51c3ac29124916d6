package import BoxTypes

/// What the sandbox's first process gets from the supervisor, in a sealed memory file: the plan and how the
/// three standard streams are connected. It comes attached to the order `.launch`, before the streams' pipes (standard
/// input, output, error, as far as they are pipes) and the prepared mounts in the order of the plan's steps.
package struct Launch: Equatable, Sendable {
    package var plan: Plan
    package var streams: Streams
    /// Whether the first process waits for `.placeholders` before it protects what may not be there yet.
    package var awaitsPlaceholders = false

    /// How the command's standard streams are made.
    package enum Streams: Equatable, Sendable {
        /// Three pipes, handed in as descriptors.
        case pipes
        /// A pseudo-terminal made inside; standard error is a pipe of its own if `separateError`.
        case terminal(rows: UInt16, columns: UInt16, separateError: Bool)
    }

    package init(plan: Plan, streams: Streams, awaitsPlaceholders: Bool = false) {
        self.plan = plan
        self.streams = streams
        self.awaitsPlaceholders = awaitsPlaceholders
    }

    /// Where the first process finds its packet socket to the supervisor: the only descriptor it is born with.
    package static let control: Int32 = 3

    /// The value's wire form.
    package var wire: [UInt8] {
        var writer = WireWriter()
        switch streams {
        case .pipes: writer.write(UInt8(0))
        case .terminal(let rows, let columns, let separateError):
            writer.write(UInt8(1))
            writer.write(Int(rows))
            writer.write(Int(columns))
            writer.write(separateError)
        }
        writer.write(awaitsPlaceholders)
        plan.write(to: &writer)
        return writer.bytes
    }

    /// Reads the wire form.
    package init(wire: [UInt8]) throws(WireError) {
        var reader = WireReader(wire)
        switch try reader.byte() {
        case 0: streams = .pipes
        case 1:
            guard let rows = UInt16(exactly: try reader.int()),
                let columns = UInt16(exactly: try reader.int())
            else { throw reader.malformed("window size") }
            streams = .terminal(rows: rows, columns: columns, separateError: try reader.bool())
        default: throw reader.malformed("streams")
        }
        awaitsPlaceholders = try reader.bool()
        plan = try Plan(from: &reader)
        try reader.finish()
    }
}

/// What the sandbox's first process tells the supervisor, one message a packet.
package enum InitReport: Equatable, Sendable {
    /// The pseudo-terminal's master is attached.
    case terminal
    /// Sockets of the network door are attached, each for what the list says.
    case sockets([DoorSocket])
    /// These listening sockets could not be made, by the errno; only in a sandbox that runs already.
    case unopened([Unopened])
    /// Everything is in place; the command starts on `.start`.
    case ready
    /// A step failed; nothing was started.
    case failed(step: String, object: String, code: Int32)
    /// The command could not be executed.
    case notExecuted(code: Int32)
    /// The command runs; it is this process in the sandbox.
    case started(pid: Int32)
    case stopped(signal: Int32)
    case continued
    case exited(code: Int32)
    case killed(signal: Int32)
    /// Something about a program inside, where programs are listened to.
    case program(ProgramReport)
    /// A further program runs (0), or could not be executed (an errno). The master of its terminal is attached, if it
    /// wanted one and runs.
    case executed(id: Int, code: Int32)
    case executionEnded(id: Int, ProgramEnd)
    /// A signal was sent to every process but the first. What was reported before it happened before it.
    case signalled(signal: Int32)

    /// A listening socket that could not be made.
    package struct Unopened: Equatable, Sendable {
        package let listener: DoorListener
        package let code: Int32
        package init(_ listener: DoorListener, code: Int32) {
            self.listener = listener
            self.code = code
        }
    }

    package var wire: [UInt8] {
        var writer = WireWriter()
        switch self {
        case .terminal: writer.write(UInt8(1))
        case .sockets(let sockets):
            writer.write(UInt8(2))
            writer.write(sockets) { $1.write(to: &$0) }
        case .ready: writer.write(UInt8(3))
        case .failed(let step, let object, let code):
            writer.write(UInt8(4))
            writer.write(step)
            writer.write(object)
            writer.write(Int(code))
        case .notExecuted(let code): InitReport.write(5, code, to: &writer)
        case .started(let pid): InitReport.write(6, pid, to: &writer)
        case .stopped(let signal): InitReport.write(7, signal, to: &writer)
        case .continued: writer.write(UInt8(8))
        case .exited(let code): InitReport.write(9, code, to: &writer)
        case .killed(let signal): InitReport.write(10, signal, to: &writer)
        case .signalled(let signal): InitReport.write(20, signal, to: &writer)
        case .unopened(let all):
            writer.write(UInt8(11))
            writer.write(all) { writer, one in
                one.listener.write(to: &writer)
                writer.write(Int(one.code))
            }
        case .program(let report):
            writer.write(UInt8(12))
            report.write(to: &writer)
        case .executed(let id, let code):
            writer.write(UInt8(13))
            writer.write(id)
            writer.write(Int(code))
        case .executionEnded(let id, let end):
            writer.write(UInt8(14))
            writer.write(id)
            end.write(to: &writer)
        }
        return writer.bytes
    }

    private static func write(_ tag: UInt8, _ value: Int32, to writer: inout WireWriter) {
        writer.write(tag)
        writer.write(Int(value))
    }

    package init(wire: [UInt8]) throws(WireError) {
        var reader = WireReader(wire)
        switch try reader.byte() {
        case 1: self = .terminal
        case 2:
            self = .sockets(
                try reader.list { (r: inout WireReader) throws(WireError) in try DoorSocket(from: &r) })
        case 3: self = .ready
        case 4:
            self = .failed(step: try reader.string(), object: try reader.string(), code: try reader.int32())
        case 5: self = .notExecuted(code: try reader.int32())
        case 6: self = .started(pid: try reader.int32())
        case 7: self = .stopped(signal: try reader.int32())
        case 8: self = .continued
        case 9: self = .exited(code: try reader.int32())
        case 10: self = .killed(signal: try reader.int32())
        case 11:
            self = .unopened(
                try reader.list { (r: inout WireReader) throws(WireError) -> Unopened in
                    Unopened(try DoorListener(from: &r), code: try r.int32())
                })
        case 12: self = .program(try ProgramReport(from: &reader))
        case 13: self = .executed(id: try reader.int(), code: try reader.int32())
        case 14: self = .executionEnded(id: try reader.int(), try ProgramEnd(from: &reader))
        case 20: self = .signalled(signal: try reader.int32())
        default: throw reader.malformed("report")
        }
        try reader.finish()
    }
}

/// What the supervisor tells the sandbox's first process.
package enum InitOrder: Equatable, Sendable {
    /// The ids are mapped, and the `Groundwork` can be made; root becomes this identity first.
    case groundwork(becoming: Identity?)
    /// The launch and all that belongs to it is attached; the ids are mapped.
    case launch
    /// The placeholders are there, but for these names, whose directories are not writable.
    case placeholders(without: [AbsolutePath])
    /// Start the command.
    case start
    /// Send a signal to the command's process group.
    case signal(Int32)
    /// Send a signal to every process of the sandbox but the first, and report that.
    case signalAll(Int32)
    /// Start a further program; its three pipes are attached, unless it wants a terminal.
    case execute(Execution)
    /// Send a signal to a further program.
    case signalExecuted(id: Int, signal: Int32)

    package var wire: [UInt8] {
        var writer = WireWriter()
        switch self {
        case .groundwork(let identity):
            writer.write(UInt8(5))
            writer.write(identity) { writer, identity in
                writer.write(Int(identity.uid))
                writer.write(Int(identity.gid))
            }
        case .launch: writer.write(UInt8(0))
        case .start: writer.write(UInt8(1))
        case .signal(let number):
            writer.write(UInt8(2))
            writer.write(Int(number))
        case .signalAll(let number):
            writer.write(UInt8(3))
            writer.write(Int(number))
        case .placeholders(let missing):
            writer.write(UInt8(4))
            writer.write(missing) { $0.write($1.string) }
        case .execute(let execution):
            writer.write(UInt8(6))
            execution.write(to: &writer)
        case .signalExecuted(let id, let number):
            writer.write(UInt8(7))
            writer.write(id)
            writer.write(Int(number))
        }
        return writer.bytes
    }

    package init(wire: [UInt8]) throws(WireError) {
        var reader = WireReader(wire)
        switch try reader.byte() {
        case 0: self = .launch
        case 1: self = .start
        case 2: self = .signal(try reader.int32())
        case 3: self = .signalAll(try reader.int32())
        case 4:
            self = .placeholders(
                without: try reader.list { (r: inout WireReader) throws(WireError) in try r.path() })
        case 5:
            self = .groundwork(
                becoming: try reader.optional { (r: inout WireReader) throws(WireError) in
                    Identity(uid: try r.uint32(), gid: try r.uint32())
                })
        case 6: self = .execute(try Execution(from: &reader))
        case 7: self = .signalExecuted(id: try reader.int(), signal: try reader.int32())
        default: throw reader.malformed("order")
        }
        try reader.finish()
    }

    /// The ids inside.
    package struct Identity: Equatable, Sendable {
        package let uid: UInt32
        package let gid: UInt32
        package init(uid: UInt32, gid: UInt32) {
            self.uid = uid
            self.gid = gid
        }
    }
}
