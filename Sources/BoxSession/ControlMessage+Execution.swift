package import BoxPlan
internal import BoxTypes

/// What `box exec` asks for: a further program, under the same protections as the command.
package struct ExecutionRequest: Equatable, Sendable {
    package var command: [String]
    /// Variables beside those of the session's command, or in their place.
    package var environment: [Plan.EnvironmentEntry]
    /// Where it starts, from where the session's command did; nil is there.
    package var directory: String?
    /// The size of the terminal that it gets; nil: its three pipes come along.
    package var terminal: Execution.Window?
    /// With a terminal: a pipe for standard error comes along.
    package var separateError = false

    package init(command: [String], environment: [Plan.EnvironmentEntry] = [], directory: String? = nil) {
        self.command = command
        self.environment = environment
        self.directory = directory
    }

    /// How many descriptors come along.
    var descriptorCount: Int { terminal == nil ? 3 : separateError ? 1 : 0 }

    func write(to writer: inout WireWriter) {
        writer.write(command) { $0.write($1) }
        writer.write(environment) { writer, entry in
            writer.write(entry.name)
            writer.write(entry.value)
        }
        writer.write(directory) { $0.write($1) }
        writer.write(terminal) { writer, window in
            writer.write(Int(window.rows))
            writer.write(Int(window.columns))
        }
        writer.write(separateError)
    }

    init(from reader: inout WireReader) throws(WireError) {
        command = try reader.list { (r: inout WireReader) throws(WireError) in try r.string() }
        environment = try reader.list { (r: inout WireReader) throws(WireError) in
            Plan.EnvironmentEntry(try r.string(), try r.string())
        }
        directory = try reader.optional { (r: inout WireReader) throws(WireError) in try r.string() }
        terminal = try reader.optional { (r: inout WireReader) throws(WireError) in
            Execution.Window(rows: try r.windowSide(), columns: try r.windowSide())
        }
        separateError = try reader.bool()
        guard command.first?.isEmpty == false else { throw reader.malformed("command") }
    }
}

/// What the supervisor tells a client whose connection stays, after its reply.
package enum ControlNotice: Equatable, Sendable {
    /// To a terminal that is attached: the command has stopped itself (^Z) and waits for `resize`.
    case commandStopped
    /// To a terminal that is attached: something for its user.
    case message(String)
    /// The further program runs (0), or could not be executed (an errno). The master of its terminal comes along.
    case executed(code: Int32)
    case executionEnded(ProgramEnd)

    var wire: [UInt8] {
        var writer = WireWriter()
        writer.write(ControlRequest.version)
        switch self {
        case .commandStopped: writer.write(UInt8(1))
        case .executed(let code):
            writer.write(UInt8(2))
            writer.write(Int(code))
        case .executionEnded(let end):
            writer.write(UInt8(3))
            end.write(to: &writer)
        case .message(let text):
            writer.write(UInt8(4))
            writer.write(text)
        }
        return writer.bytes
    }

    init(wire: [UInt8]) throws(WireError) {
        var reader = WireReader(wire)
        guard try reader.byte() == ControlRequest.version else { throw reader.malformed("version") }
        switch try reader.byte() {
        case 1: self = .commandStopped
        case 2: self = .executed(code: try reader.int32())
        case 3: self = .executionEnded(try ProgramEnd(from: &reader))
        case 4: self = .message(try reader.string())
        default: throw reader.malformed("notice")
        }
        try reader.finish()
    }
}

extension WireReader {
    mutating func windowSide() throws(WireError) -> UInt16 {
        guard let side = UInt16(exactly: try int()) else { throw malformed("window size") }
        return side
    }
}
