internal import BoxAudit
internal import BoxKernel
internal import BoxPlan
internal import BoxTypes
internal import CLinux
internal import Glibc

/// The network of a running session: its proxy, the rules as they are now, and what was made for them inside.
///
/// Changes are carried out one after the other, and nothing here waits: the supervisor's one loop calls when there is
/// something to take.
struct SessionNetwork: ~Copyable {
    private let plan: Plan.Proxy
    /// Nil when it has died: then the network is closed for good.
    private var proxy: ProxyProcess?
    private var namespace: NetworkNamespace?
    private var owners: ConnectionOwner?
    private(set) var isReady = false
    private var live: LiveRules
    /// What was made inside so far.
    private var opened: DoorOpening
    private(set) var published: [PublishedPort] = []
    /// Whether sockets for published ports were ever made.
    private var hasStock: Bool
    /// The host's listening sockets of the plan, until the proxy gets them.
    private var hostListeners: [(kind: DoorSocket, number: CInt)]

    /// Tunnels that a change of the policy's files closed, and that no command was told of yet.
    private var unreported = 0

    /// The bytes that have moved, when the proxy was last asked.
    private(set) var traffic = (up: 0, down: 0)
    private var isAskingTraffic = false

    private var waiting: [NetworkWork] = []
    private var current: NetworkWork?
    private var door: DoorProcess?
    private var nextNumber = 1

    /// Starts the proxy and takes the host's ports; the sandbox need not exist yet.
    init(
        _ plan: Plan.Proxy, _ configuration: ProxyConfiguration, isDetached: Bool
    ) throws(SessionError) {
        // First, because a port in use is the user's mistake and nothing needs to be ended then.
        let hostListeners = try HostListener.open(plan.publish)
        let proxy = Optional.some(try SessionNetwork.start(configuration, isDetached, closing: hostListeners))
        self.hostListeners = hostListeners
        self.proxy = proxy
        self.plan = plan
        live = LiveRules(plan.rules)
        opened = DoorOpening(for: plan.rules.allow)
        hasStock = !plan.publish.isEmpty
    }

    private static func start(
        _ configuration: ProxyConfiguration, _ isDetached: Bool,
        closing listeners: [(kind: DoorSocket, number: CInt)]
    ) throws(SessionError) -> ProxyProcess {
        do throws(SessionError) { return try ProxyProcess(configuration, isDetached: isDetached) } catch {
            for listener in listeners { close(listener.number) }
            throw error
        }
    }

    /// The sandbox exists: what is needed to reach into its network, and its first process.
    mutating func attach(_ namespace: consuming NetworkNamespace?, first: CInt) {
        self.namespace = namespace
        owners = ConnectionOwner(first: first)
    }

    /// The rules in force.
    var rules: NetworkRules { live.rules }

    /// What the policy says, without what was only asked for since.
    var policyRules: NetworkRules { live.base }
    /// Whether its proxy serves, or will.
    private(set) var isOpen = true

    // MARK: - Waiting

    mutating func entries() -> [PollEntry] {
        var all: [PollEntry] = []
        if let entry = proxy?.poll { all.append(entry) }
        if let entry = door?.poll { all.append(entry) }
        return all
    }

    /// When something has to be done, by the clock.
    var nextTime: Int? { [nextEnd, current?.deadline].compactMap { $0 }.min() }

    /// When the next rule ends, unless that is being seen to already.
    private var nextEnd: Int? {
        let isSeenTo = waiting.contains(where: \.isExpiry) || current?.isExpiry ?? false
        return isSeenTo || !isOpen ? nil : live.nextEnd
    }

    /// Takes what has come; what it was goes to `log`.
    mutating func take(
        _ ready: [Ready], _ log: inout NetworkLog
    ) throws(SessionError) {
        let numbers = Set(ready.map(\.descriptor))
        // The helper first: what the proxy says may begin another one, for which nothing was found.
        if let entry = door?.poll, numbers.contains(entry.descriptor) { try takeDoorMessage(&log) }
        if let entry = proxy?.poll, numbers.contains(entry.descriptor) { try takeProxyMessage(&log) }
        try checkTime(&log)
    }

    private mutating func checkTime(_ log: inout NetworkLog) throws(SessionError) {
        let now = Clock.milliseconds()
        if let end = nextEnd, end <= now {
            add(NetworkWork(.expire))
            try goOn(&log)
        }
        if let deadline = current?.deadline, deadline <= now {
            try fail("the network proxy does not answer", &log)
        }
    }

    // MARK: - The sandbox's sockets

    /// Hands over what the first process made.
    mutating func give(_ sockets: [DoorSocket], _ descriptors: [CInt]) throws(SessionError) {
        defer { for number in descriptors { close(number) } }
        try proxy?.give(sockets, descriptors)
        guard sockets.contains(.unconnected), !hostListeners.isEmpty else { return }
        // Their connections need the sockets that were just given.
        try giveHostListeners(hostListeners)
        hostListeners = []
        published = plan.publish
    }

    private mutating func giveHostListeners(
        _ listeners: [(kind: DoorSocket, number: CInt)]
    ) throws(SessionError) {
        defer { for listener in listeners { close(listener.number) } }
        try proxy?.give(listeners.map(\.kind), listeners.map(\.number))
    }

    // MARK: - Requests

    /// Takes a change for a client, who is answered when it is done.
    mutating func change(_ change: RuleChange, for client: Int, _ log: inout NetworkLog) throws(SessionError)
    {
        add(NetworkWork(.change(change), client: client))
        try goOn(&log)
    }

    /// Takes the rules of a policy that has changed.
    mutating func reload(
        _ rules: NetworkRules, for client: Int?, _ log: inout NetworkLog
    ) throws(SessionError) {
        add(NetworkWork(.reload(rules), client: client))
        try goOn(&log)
    }

    /// Publishes ports for a client.
    mutating func publish(
        _ ports: [PublishedPort], for client: Int, _ log: inout NetworkLog
    ) throws(SessionError) {
        add(NetworkWork(.publish(ports), client: client))
        try goOn(&log)
    }

    private mutating func add(_ work: NetworkWork) { waiting.append(work) }

    /// Begins the next work, if none is under way.
    private mutating func goOn(_ log: inout NetworkLog) throws(SessionError) {
        while current == nil, !waiting.isEmpty {
            var work = waiting.removeFirst()
            guard isOpen, isReady else {
                let why = isOpen ? "it has not begun yet" : "its network is closed: the network proxy ended"
                log.answer(work, .refused(why))
                continue
            }
            do throws(SessionError) { try begin(&work) } catch {
                for listener in work.listeners { close(listener.number) }
                log.answer(work, .refused(error.description))
                continue
            }
            current = work
            if work.needs.isEmpty { try open(&log) }
        }
    }

    /// Works out what is needed inside, and starts to make it.
    private mutating func begin(_ work: inout NetworkWork) throws(SessionError) {
        work.deadline = Clock.milliseconds() + NetworkWork.patience
        switch work.task {
        case .refill: work.needs.unconnected = Planner.publishStock
        case .expire: work.expired = live.expire(now: Clock.milliseconds())
        case .change(let change):
            var changed = live
            work.notes = changed.apply(change, now: Clock.milliseconds())
            try plan(changed, in: &work)
        case .reload(let rules):
            var changed = live
            work.differences = changed.replaceBase(by: rules)
            try plan(changed, in: &work)
        case .publish(let ports):
            let new = ports.filter { !published.contains($0) }
            work.notes = ports.filter(published.contains).map { "port \($0) was published already" }
            work.listeners = try HostListener.open(new)
            work.published = new
            if !hasStock, !new.isEmpty { work.needs.unconnected = Planner.publishStock }
        }
        guard !work.needs.isEmpty else { return }
        door = try namespace?.makeDoor(for: work.needs)
    }

    /// What other rules need inside.
    private borrowing func plan(_ changed: LiveRules, in work: inout NetworkWork) throws(SessionError) {
        let rules = changed.rules
        guard rules.once.count <= RuleChange.mostRules else {
            throw SessionError(
                step: "change the rules",
                reason: "there would be more than \(RuleChange.mostRules) rules for one connection")
        }
        work.needs = DoorOpening(for: rules.opening).subtracting(opened)
        let ports = opened.capturedPorts.union(work.needs.capturedPorts).count
        guard ports <= DoorOpening.mostPorts else {
            throw SessionError(
                step: "change the rules",
                reason:
                    "they would name \(ports) different ports, and at most \(DoorOpening.mostPorts) can be "
                    + "listened on")
        }
        work.changed = changed
    }

    /// What is needed inside is there: the rules can follow.
    private mutating func open(_ log: inout NetworkLog) throws(SessionError) {
        guard let work = current else { return }
        var made = work.needs
        // These are tried again with the next change that wants them.
        made.listeners.removeAll(where: work.unopened.contains)
        opened.formUnion(made)
        switch work.task {
        case .refill: try finish(tunnelsClosed: 0, &log)
        case .publish:
            if work.needs.unconnected > 0 { hasStock = true }
            current?.listeners = []
            try giveHostListeners(work.listeners)
            published += work.published
            try finish(tunnelsClosed: 0, &log)
        case .change, .reload, .expire:
            if let changed = work.changed { live = changed }
            current?.number = nextNumber
            try proxy?.change(live.rules, number: nextNumber)
            nextNumber += 1
        }
    }

    private mutating func finish(tunnelsClosed: Int, _ log: inout NetworkLog) throws(SessionError) {
        guard let work = current.take() else { return }
        var closed = tunnelsClosed
        if case .reload = work.task {
            // The file itself was followed before the command that wrote it could ask.
            if work.client == nil {
                unreported += closed
            } else {
                (closed, unreported) = (closed + unreported, 0)
            }
        }
        log.finished(work, tunnelsClosed: closed)
        try goOn(&log)
    }

    private mutating func fail(_ why: String, _ log: inout NetworkLog) throws(SessionError) {
        if let door = door.take() { try door.end() }
        guard let work = current.take() else { return }
        for listener in work.listeners { close(listener.number) }
        log.answer(work, .refused(why))
        if work.isRefill { log.notices.append("published ports take no more connections: \(why)") }
        try goOn(&log)
    }

    /// Asks the proxy how much has moved, for whoever asks the next time: nothing here waits for an answer.
    mutating func askTraffic() throws(SessionError) {
        guard isReady, isOpen, !isAskingTraffic else { return }
        isAskingTraffic = true
        try proxy?.askTraffic()
    }

    // MARK: - The helper

    private mutating func takeDoorMessage(_ log: inout NetworkLog) throws(SessionError) {
        guard let message = door?.receive() else { return }
        switch message {
        case .sockets(let kinds, let descriptors):
            defer { for number in descriptors { close(number) } }
            try proxy?.give(kinds, descriptors)
        case .unopened(let all):
            for one in all { current?.add(unopened: one) }
        case .done:
            if let door = door.take() { try door.end() }
            try open(&log)
        case .failed(let why): try fail("the sandbox's network cannot be opened: \(why)", &log)
        }
    }

    // MARK: - The proxy

    private mutating func takeProxyMessage(_ log: inout NetworkLog) throws(SessionError) {
        guard let message = try proxy?.receive() else { return }
        switch message {
        case .ready: isReady = true
        case .events(let events): for event in events { log.take(event, &owners) }
        case .applied(let number, let closed):
            if current?.number == number { try finish(tunnelsClosed: closed, &log) }
        case .wantsSockets:
            guard !waiting.contains(where: \.isRefill), !(current?.isRefill ?? false) else { return }
            add(NetworkWork(.refill))
            try goOn(&log)
        case .used(let number): use(number, &log)
        case .traffic(let up, let down):
            traffic = (up, down)
            isAskingTraffic = false
        case .failed(let text): throw SessionError(step: "start the network proxy", reason: text)
        case .end:
            guard isReady else {
                throw SessionError(step: "start the network proxy", reason: "it ended before it was ready")
            }
            // Its sockets are closed with it: the network is shut, never open.
            isOpen = false
            if let ended = proxy.take() { try SessionNetwork.end(ended) }
            log.proxyEnded(endsSession: plan.endsSession)
            try fail("its network is closed: the network proxy ended", &log)
        }
    }

    /// A rule for one connection is over. A change that is under way must not bring it back.
    private mutating func use(_ number: Int, _ log: inout NetworkLog) {
        _ = current?.changed?.use(number)
        if let rule = live.use(number) { log.used(rule) }
    }

    /// What the proxy said last is kept; then it ends.
    mutating func end(_ log: inout NetworkLog) throws(SessionError) {
        if let door = door.take() { try door.end() }
        for listener in hostListeners { close(listener.number) }
        hostListeners = []
        guard let last = proxy.take() else { return }
        try last.askToEnd()
        reading: while true {
            switch try last.receive() {
            case .events(let events): for event in events { log.take(event, &owners) }
            case .used(let number): use(number, &log)
            case .ready, .applied, .wantsSockets, .traffic: continue
            case .failed, .end: break reading
            }
        }
        try SessionNetwork.end(last)
    }

    private static func end(_ proxy: consuming ProxyProcess) throws(SessionError) {
        do throws(KernelError) { try proxy.end() } catch {
            throw SessionError(step: "end the network proxy", error)
        }
    }
}
