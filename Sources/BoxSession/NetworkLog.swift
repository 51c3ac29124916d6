internal import BoxAudit
internal import BoxTypes

/// What the network of a session has to say, collected while it is served: the supervisor writes it down, counts it
/// and answers the clients.
struct NetworkLog {
    var events: [Event] = []
    var answers: [(client: Int, reply: ControlReply)] = []
    /// For the user, at once.
    var notices: [String] = []
    /// The session is to end, because its policy wants that without a proxy.
    var endsSession = false

    mutating func answer(_ work: NetworkWork, _ reply: ControlReply) {
        if let client = work.client { answers.append((client, reply)) }
    }

    /// The proxy's events say which socket inside asked; the log says which program.
    mutating func take(_ event: Event, _ owners: inout ConnectionOwner?) {
        guard case .text(let client)? = event["client"] else {
            events.append(event)
            return
        }
        var fields = event.fields.filter { $0.name != "client" }
        if let (address, port) = NetworkLog.place(client),
            let owner = owners?.owner(address: address, port: port)
        {
            fields.append(Event.Field("process", .text(owner.name)))
            fields.append(Event.Field("pid", .number(owner.pid)))
        }
        events.append(Event(event.kind, fields))
    }

    private static func place(_ text: String) -> (IPAddress, UInt16)? {
        guard let target = try? HostTarget(authority: text), case .address(let address) = target.host else {
            return nil
        }
        return (address, target.port.number)
    }

    /// A change is in force.
    mutating func finished(_ work: NetworkWork, tunnelsClosed: Int) {
        answer(work, .done(ControlOutcome(tunnelsClosed: tunnelsClosed, notes: work.notes)))
        guard let (action, what) = work.logged else { return }
        var fields = [
            Event.Field("action", .text(action)), Event.Field("rules", .list(what)),
            Event.Field("tunnels_closed", .number(tunnelsClosed)),
        ]
        if case .change(let change) = work.task, let seconds = change.seconds {
            fields.append(Event.Field("seconds", .number(seconds)))
        }
        if case .change(let change) = work.task, change.once {
            fields.append(Event.Field("once", .flag(true)))
        }
        events.append(Event(.policyChange, fields))
    }

    /// A rule for one connection has let it through; the connection goes on.
    mutating func used(_ rule: HostRule) {
        events.append(
            Event(
                .policyChange,
                [
                    Event.Field("action", .text("expire")),
                    Event.Field("rules", .list([rule.description])),
                    Event.Field("tunnels_closed", .number(0)), Event.Field("once", .flag(true)),
                ]))
    }

    mutating func proxyEnded(endsSession: Bool) {
        let what = endsSession ? "The session ends" : "The network is closed for the rest of this session"
        notices.append("the network proxy ended. \(what)")
        events.append(Event(.limit, [Event.Field("reason", .text("the network proxy ended"))]))
        self.endsSession = endsSession
    }
}

extension NetworkWork {
    /// What a `policy.change` event says of it; nil for what is no change.
    fileprivate var logged: (action: String, what: [String])? {
        switch task {
        case .change(let change): (change.action.rawValue, change.rules.map(\.description))
        case .reload: differences.isEmpty ? nil : ("reload", differences)
        case .expire: ("expire", expired.map(\.description))
        case .publish: published.isEmpty ? nil : ("publish", published.map(\.description))
        case .refill: nil
        }
    }
}
