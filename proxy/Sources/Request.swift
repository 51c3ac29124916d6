internal import BoxAudit
package import BoxTypes

/// What a program asks for, before any rule has spoken.
package struct Asked: Equatable, Sendable {
    package let target: HostTarget
    package let via: Via
    /// Only of plain HTTP.
    package let head: RequestHead?

    package init(_ target: HostTarget, _ via: Via, head: RequestHead? = nil) {
        self.target = target
        self.via = via
        self.head = head
    }

    /// Whether an answer of the proxy's own may have a body.
    var takesBody: Bool { head?.method != .head }
}

/// What allows a request.
package enum Grant: Equatable, Sendable, CustomStringConvertible {
    case rule(HostRule)
    /// A rule for one connection, which this one has until it stands.
    case once(SingleUse)
    /// The connection stands that a rule was for, which is over now.
    case used(HostRule)
    case published(Port)

    /// The rule where it is for this connection alone.
    var single: HostRule? {
        switch self {
        case .once(let use): use.rule
        case .used(let rule): rule
        case .rule, .published: nil
        }
    }

    package var description: String {
        switch self {
        case .rule(let rule), .used(let rule): rule.description
        case .once(let use): use.rule.description
        case .published(let port): "publish \(port)"
        }
    }
}

/// An allowed request: kept from the decision to the last byte.
package struct Request: Equatable, Sendable {
    package let asked: Asked
    package internal(set) var grant: Grant
    /// The address that it goes to; nil before the connection stands, and where another proxy dials.
    package var address: IPAddress?

    package init(_ asked: Asked, _ grant: Grant) {
        self.asked = asked
        self.grant = grant
    }

    package var target: HostTarget { asked.target }
    package var via: Via { asked.via }

    /// Whether the way leads through the proxy of the user's network, where there is one: everything but what is on
    /// this machine.
    var leavesMachine: Bool {
        switch grant {
        case .rule, .once, .used: target.host != .name(.localhost)
        case .published: false
        }
    }
}

/// How much an allowed request moved, and for how long it lived.
package struct Meter: Equatable, Sendable {
    package var bytesUp = 0
    package var bytesDown = 0
    package var milliseconds = 0

    package init(bytesUp: Int = 0, bytesDown: Int = 0, milliseconds: Int = 0) {
        self.bytesUp = bytesUp
        self.bytesDown = bytesDown
        self.milliseconds = milliseconds
    }
}
