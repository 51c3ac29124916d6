internal import BoxAudit
internal import BoxKernel
internal import BoxPlan
internal import BoxTypes
internal import CLinux
internal import Glibc

// The supervisor's part in the network door, and in what other processes of box ask for.
extension Supervisor {
    mutating func takeNetworkMessages(
        _ ready: [Ready], _ directory: borrowing SessionDirectory
    ) throws(SessionError) {
        var log = NetworkLog()
        try network?.take(ready, &log)
        try write(log, directory)
    }

    mutating func takeRequests(
        _ ready: [Ready], _ directory: borrowing SessionDirectory
    ) throws(SessionError) {
        for call in control?.take(ready) ?? [] {
            var log = NetworkLog()
            try take(call, &log)
            try write(log, directory)
        }
        try endOfClients()
    }

    private mutating func take(_ call: ControlCall, _ log: inout NetworkLog) throws(SessionError) {
        let client = call.client
        switch call.request {
        case .status: log.answers.append((client, .status(try status())))
        case .change(let change):
            if let why = change.action == .allow ? change.rules.lazy.compactMap(\.liveRefusal).first : nil {
                log.answers.append((client, .refused(why)))
            } else if network == nil {
                log.answers.append((client, .refused("it has no network (--net none)")))
            } else {
                try network?.change(change, for: client, &log)
            }
        case .reload: try reload(for: client, &log)
        case .stop(let milliseconds):
            // It may have no time left to answer later.
            control?.answer(client, .done(ControlOutcome()))
            try stop(within: milliseconds)
        case .pause: try pause(for: client, &log)
        case .resume: try resume(for: client, &log)
        case .publish(let ports):
            guard network != nil else {
                log.answers.append((client, .refused("it has no network (--net none)")))
                return
            }
            try network?.publish(ports, for: client, &log)
        case .attach(let rows, let columns): try attach(call, rows: rows, columns: columns)
        case .resize(let rows, let columns): try resize(client, rows: rows, columns: columns)
        case .execute(let request): try execute(call, request)
        case .signal(let number): try signal(number, from: client)
        }
    }

    /// Reads the policy anew if a file of it has changed.
    mutating func watchPolicy(
        hasNews: Bool, _ directory: borrowing SessionDirectory
    ) throws(SessionError) {
        guard try policy?.hasChanged(hasNews: hasNews) == true else { return }
        var log = NetworkLog()
        protectPolicy(&log)
        try reload(for: nil, &log)
        try write(log, directory)
    }

    /// A file that was put in the place of the policy's is not protected inside, until now. If that fails, the policy is
    /// still obeyed only as the user agreed to it.
    private mutating func protectPolicy(_ log: inout NetworkLog) {
        guard let policyFile, mounts != nil, unsafe access(policyFile.string, F_OK) == 0 else { return }
        do throws(SessionError) { try mounts?.protect(policyFile) } catch {
            let fields = [
                Event.Field("action", .text("protect")), Event.Field("error", .text(error.description)),
            ]
            log.events.append(Event(.policyChange, fields))
        }
    }

    /// A policy that cannot be read changes nothing: the rules stay as they were.
    private mutating func reload(for client: Int?, _ log: inout NetworkLog) throws(SessionError) {
        if client != nil { protectPolicy(&log) }
        guard policy != nil, network != nil else {
            if let client { log.answers.append((client, .refused("it has no network (--net none)"))) }
            return
        }
        let rules: NetworkRules
        do throws(SessionError) {
            guard let read = try policy?.rules() else { return }
            rules = read
        } catch {
            if let client { log.answers.append((client, .refused(error.description))) }
            let fields = [
                Event.Field("action", .text("reload")), Event.Field("error", .text(error.description)),
            ]
            log.events.append(Event(.policyChange, fields))
            return
        }
        try network?.reload(rules, for: client, &log)
    }

    /// Takes an event of the running session: counts it for the receipt, and writes it down if the policy wants that, unless
    /// there are so many that only their number is written. All events of a session that runs go through here.
    mutating func record(
        _ event: Event, _ directory: borrowing SessionDirectory
    ) throws(SessionError) {
        try record([event], directory)
    }

    /// The same for several.
    mutating func record(_ events: [Event], _ directory: borrowing SessionDirectory) throws(SessionError) {
        var written: [Event] = []
        for event in events {
            receipt.count(event)
            guard plan.audit != .off || !event.kind.isNetwork else { continue }
            written += budget.take(event, now: Clock.milliseconds())
        }
        try directory.append(written)
    }

    /// Writes down the numbers of events that were only counted, if it is time.
    mutating func recordCounts(_ directory: borrowing SessionDirectory) throws(SessionError) {
        try directory.append(budget.due(now: Clock.milliseconds()))
    }

    /// Writes down what was only counted, at the end.
    mutating func recordRest(_ directory: borrowing SessionDirectory) throws(SessionError) {
        try directory.append(budget.rest())
    }

    /// Writes down, counts, tells and answers what the network had to say.
    mutating func write(
        _ log: NetworkLog, _ directory: borrowing SessionDirectory
    ) throws(SessionError) {
        try record(log.events, directory)
        for (client, reply) in log.answers { control?.answer(client, reply) }
        for notice in log.notices { sandbox.notice(notice) }
        if log.endsSession, endedBecause == nil {
            endedBecause = "the session was ended because its network proxy ended (network.on_proxy_failure)"
            try sandbox.order(.signal(SIGTERM))
            try endSoon(status: ExitStatus.signal(SIGTERM))
        }
    }

    mutating func endNetwork(_ directory: borrowing SessionDirectory) throws(SessionError) {
        var log = NetworkLog()
        try network?.end(&log)
        try write(log, directory)
    }
}
