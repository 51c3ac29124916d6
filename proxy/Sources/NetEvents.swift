internal import BoxAudit
internal import BoxTypes

extension Event {
    private static func place(_ host: String, _ port: Port?, _ via: Via) -> [Field] {
        [
            Field("host", .text(host.forLog)),
            Field("port", .number(Int(port?.number ?? 0))), Field("via", .text(via.rawValue)),
        ]
    }

    private static func place(_ asked: Asked) -> [Field] {
        place(asked.target.host.description, asked.target.port, asked.via)
    }

    static func allowed(_ request: Request) -> Event {
        let once = request.grant.single == nil ? [] : [Field("once", .flag(true))]
        return Event(
            .netAllow, place(request.asked) + [Field("rule", .text(request.grant.description))] + once)
    }

    /// - Parameter held: for how many seconds the request waits for a rule.
    static func denied(
        _ host: String, _ port: Port?, _ via: Via, _ reason: RefusalReason, _ detail: String, held: Int? = nil
    ) -> Event {
        let why = [
            Field("reason", .text(reason.rawValue)),
            Field("detail", .text(detail.forLog)),
        ]
        return Event(
            .netDeny, place(host, port, via) + why + (held.map { [Field("held", .number($0))] } ?? []))
    }

    static func denied(
        _ asked: Asked, _ reason: RefusalReason, _ detail: String, held: Int? = nil
    ) -> Event {
        denied(asked.target.host.description, asked.target.port, asked.via, reason, detail, held: held)
    }

    /// A limit was reached: its key in the policy, and whether it is the session's or the host's.
    static func limited(_ asked: Asked, _ reason: RefusalReason, limit: String, scope: String) -> Event {
        Event(
            .netLimit,
            place(asked) + [
                Field("reason", .text(reason.rawValue)), Field("limit", .text(limit)),
                Field("scope", .text(scope)),
            ])
    }

    /// The end of an allowed request. A detail is there where it did not end as it should.
    ///
    /// "Up" is what leaves the sandbox; of a published port that is what its server says.
    static func closed(_ request: Request, _ meter: Meter, _ detail: String?) -> Event {
        let isInward = request.via == .publish
        let fields = [
            Field("rule", .text(request.grant.description)),
            Field("bytes_up", .number(isInward ? meter.bytesDown : meter.bytesUp)),
            Field("bytes_down", .number(isInward ? meter.bytesUp : meter.bytesDown)),
            Field("ms", .number(meter.milliseconds)),
        ]
        return Event(
            .netClose, place(request.asked) + fields + (detail.map { [Field("detail", .text($0))] } ?? []))
    }

    /// The same event with one more field.
    func adding(_ name: String, _ value: Value) -> Event { Event(kind, fields + [Field(name, value)]) }
}

extension String {
    /// The text without what a terminal would obey, and not too long for a line of the log. Nearly all texts are that
    /// already, and every tunnel has some.
    fileprivate var forLog: String {
        let isPlain = utf8.count <= 255 && utf8.allSatisfy { (0x20..<0x7F).contains($0) }
        return isPlain ? self : shortened.escapedForTerminal
    }
}
