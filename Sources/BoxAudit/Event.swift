package import BoxTypes

/// One line of `events.jsonl`. The supervisor adds time and session; everything else is in `fields`, in order.
package struct Event: Equatable, Sendable {
    /// What happened; the raw values are the format's names.
    package enum Kind: String, Sendable, CaseIterable {
        case sessionStart = "session.start"
        case sessionEnd = "session.end"
        case sessionPause = "session.pause"
        case sessionResume = "session.resume"
        case netAllow = "net.allow"
        case netDeny = "net.deny"
        case netClose = "net.close"
        case netLimit = "net.limit"
        /// A program starts, and one has ended.
        case exec
        case execEnd = "exec.end"
        case policyChange = "policy.change"
        case limit
        case apply
        case undo
        case discard

        /// Whether it is a decision of the network door.
        package var isNetwork: Bool {
            switch self {
            case .netAllow, .netDeny, .netClose, .netLimit: true
            case .sessionStart, .sessionEnd, .sessionPause, .sessionResume, .exec, .execEnd, .policyChange,
                .limit, .apply, .undo, .discard:
                false
            }
        }
    }

    /// A value of a field.
    package enum Value: Equatable, Sendable {
        case text(String)
        case number(Int)
        case flag(Bool)
        case list([String])
    }

    package struct Field: Equatable, Sendable {
        package let name: String
        package let value: Value
        package init(_ name: String, _ value: Value) {
            self.name = name
            self.value = value
        }
    }

    package let kind: Kind
    package let fields: [Field]

    package init(_ kind: Kind, _ fields: [Field]) {
        self.kind = kind
        self.fields = fields
    }

    /// Writes the event for the supervisor's control socket.
    package func write(to writer: inout WireWriter) {
        writer.write(kind.rawValue)
        writer.write(fields) { writer, field in
            writer.write(field.name)
            switch field.value {
            case .text(let text):
                writer.write(UInt8(0))
                writer.write(text)
            case .number(let number):
                writer.write(UInt8(1))
                writer.write(number)
            case .flag(let flag):
                writer.write(UInt8(2))
                writer.write(flag)
            case .list(let list):
                writer.write(UInt8(3))
                writer.write(list) { $0.write($1) }
            }
        }
    }

    /// Reads an event; throws on an unknown kind or a broken message.
    package init(from reader: inout WireReader) throws(WireError) {
        let name = try reader.string()
        guard let kind = Kind(rawValue: name) else { throw reader.malformed("event \(name)") }
        self.kind = kind
        fields = try reader.list { (reader: inout WireReader) throws(WireError) -> Field in
            let name = try reader.string()
            switch try reader.byte() {
            case 0: return Field(name, .text(try reader.string()))
            case 1: return Field(name, .number(try reader.int()))
            case 2: return Field(name, .flag(try reader.bool()))
            case 3:
                return Field(
                    name,
                    .list(try reader.list { (r: inout WireReader) throws(WireError) in try r.string() }))
            default: throw reader.malformed("field tag")
            }
        }
    }
}
