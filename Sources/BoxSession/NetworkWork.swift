internal import BoxKernel
internal import BoxPlan
internal import BoxTypes
internal import Glibc

/// Something that is to be done to a session's network, and how far it is.
struct NetworkWork {
    enum Task {
        case change(RuleChange)
        /// Other rules than those that the session began with.
        case reload(NetworkRules)
        /// Rules whose time is over go.
        case expire
        case publish([PublishedPort])
        /// More sockets for published ports.
        case refill
    }
    let task: Task
    /// Who is answered; nil where nobody asked.
    let client: Int?
    var needs = DoorOpening()
    var notes: [String] = []
    /// The host's listening sockets that go to the proxy with it.
    var listeners: [(kind: DoorSocket, number: CInt)] = []
    var published: [PublishedPort] = []
    /// The rules as they will be.
    var changed: LiveRules?
    /// What a reload adds and takes away, for the log.
    var differences: [String] = []
    /// What has ended.
    var expired: [HostRule] = []
    /// What could not be made inside.
    var unopened: [DoorListener] = []
    /// The number of the rules that the proxy was sent.
    var number: Int?
    var deadline: Int?

    /// How long it may take, in milliseconds.
    static let patience = 10_000

    init(_ task: Task, client: Int? = nil) {
        self.task = task
        self.client = client
    }

    var isRefill: Bool { if case .refill = task { true } else { false } }
    var isExpiry: Bool { if case .expire = task { true } else { false } }

    /// A port inside that is taken: programs that use the proxy get through all the same.
    mutating func add(unopened: InitReport.Unopened) {
        let port = unopened.listener.port
        let reason = unopened.code == EADDRINUSE ? "it is in use there" : errorText(unopened.code)
        let note =
            "port \(port) cannot be listened on inside (\(reason)): only programs that use the proxy get there"
        if !notes.contains(note) { notes.append(note) }
        self.unopened.append(unopened.listener)
    }
}

/// The host's own ports that lead inside.
enum HostListener {
    /// Listens on 127.0.0.1 and, where there is IPv6, on ::1, for each port.
    static func open(_ ports: [PublishedPort]) throws(SessionError) -> [(kind: DoorSocket, number: CInt)] {
        var all: [(kind: DoorSocket, number: CInt)] = []
        for port in ports {
            for address in [IPAddress.v4(0x7F00_0001), .v6(1)] {
                let listener = DoorListener(.published(port.inside), address, port.host)
                do throws(KernelError) {
                    guard let socket = try DoorSockets.open(listener) else { continue }
                    all.append((listener.kind, socket.release()))
                } catch {
                    for made in all { close(made.number) }
                    throw SessionError(
                        step: "publish port \(port)", error, hint: hint(error.code, port))
                }
            }
        }
        return all
    }

    private static func hint(_ code: CInt, _ port: PublishedPort) -> String {
        switch code {
        case EADDRINUSE: "Another program has it. Choose another one: --publish PORT:\(port.inside)"
        case EACCES: "Ports below 1024 are root's. Choose a higher one: --publish PORT:\(port.inside)"
        default: ""
        }
    }
}
