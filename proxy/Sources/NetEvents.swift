internal import BoxAudit
package import BoxTypes

/// What one request of a program is about: kept from the decision to the last byte.
package struct Request: Equatable, Sendable {
    package let head: RequestHead
    /// The rule that allowed it.
    package let rule: HostRule

    package var target: HostTarget { head.target }
    package var via: Via { head.via }
}

/// How much an allowed request moved, and for how long it lived.
package struct Meter: Equatable, Sendable {
    package var bytesUp = 0
    package var bytesDown = 0
    package var milliseconds = 0
}

extension Event {
    private static func place(_ host: String, _ port: Port?, _ via: Via) -> [Field] {
        [
            Field("host", .text(host.shortened.escapedForTerminal)),
            Field("port", .number(Int(port?.number ?? 0))), Field("via", .text(via.rawValue)),
        ]
    }

    static func allowed(_ request: Request) -> Event {
        let host = request.target.host.description
        let rule = Field("rule", .text(request.rule.description))
        return Event(.netAllow, place(host, request.target.port, request.via) + [rule])
    }

    static func denied(
        _ host: String, _ port: Port?, _ via: Via, _ reason: RefusalReason, _ detail: String
    ) -> Event {
        let why = [
            Field("reason", .text(reason.rawValue)),
            Field("detail", .text(detail.shortened.escapedForTerminal)),
        ]
        return Event(.netDeny, place(host, port, via) + why)
    }

    static func denied(_ request: Request, _ reason: RefusalReason, _ detail: String) -> Event {
        denied(request.target.host.description, request.target.port, request.via, reason, detail)
    }

    /// The end of an allowed request. A detail is there where it did not end as it should.
    static func closed(_ request: Request, _ meter: Meter, _ detail: String?) -> Event {
        let fields = [
            Field("rule", .text(request.rule.description)), Field("bytes_up", .number(meter.bytesUp)),
            Field("bytes_down", .number(meter.bytesDown)), Field("ms", .number(meter.milliseconds)),
        ]
        let why = detail.map { [Field("detail", .text($0))] } ?? []
        let host = request.target.host.description
        return Event(.netClose, place(host, request.target.port, request.via) + fields + why)
    }
}
