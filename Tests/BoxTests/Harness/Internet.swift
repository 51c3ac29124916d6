import Foundation
import Synchronization
import Testing

/// Who runs box in the pretended internet. Only root can make one, so that root's run of the suite has both.
enum Identity: String, Sendable, CaseIterable, CustomTestStringConvertible {
    case root, user

    var testDescription: String { "as \(rawValue)" }

    static let all = Host.isRoot ? allCases : []

    /// The ordinary user's name.
    static let userName = Result {
        let name = ProcessInfo.processInfo.environment["BOX_TEST_USER"] ?? "boxtest"
        return try Host.shell("getent passwd '\(name)'").status == 0 ? name : "nobody"
    }

    /// The words that make a command another user's.
    func become() throws -> [String] {
        guard self == .user else { return [] }
        let name = try Identity.userName.get()
        return [
            "setpriv", "--reuid", name, "--regid", try Host.shell("id -gn '\(name)'").answer, "--init-groups",
            "--inh-caps=-all", "--",
        ]
    }
}

/// One line of the pretended internet's logs.
struct Trace: Decodable, Sendable {
    var own: Bool?
    var to: String?
    var port: Int?
    var `protocol`: String?
    var name: String?
    var type: Int?
    var event: String?
    var first: String?
    var after: String?
    var total: Int?
    var sni: String?
    var method: String?
    var path: String?
    var host: String?
    var headers: [[String]]?
    var body: Int?
    var target: String?
    var authorized: Bool?
    var query: String?
    var error: String?

    /// The values of a header, as they were sent.
    func header(_ name: String) -> [String] {
        (headers ?? []).filter { $0.first?.lowercased() == name }.compactMap(\.last)
            .map { $0.trimmingCharacters(in: .whitespaces) }
    }
}

/// The pretended host and internet of `Tests/tools/fake-internet`, started once for all tests; it ends with this
/// process, whose end of a pipe it waits for.
final class Internet: Sendable {
    static let shared = Result { try Internet() }

    /// Where its logs, its authority and the copies of the programs under test are; everybody may read it.
    let directory: String
    private let host: pid_t
    private let marks = Atomic<Int>(20_000)

    private init() throws {
        let tools = (Tools.sources as NSString).deletingLastPathComponent + "/tools"
        let running = try Running(
            [tools + "/fake-internet", "--serve"], environment: ["PATH": Host.path, "LC_ALL": "C.UTF-8"],
            directory: "/", streams: .openInput)
        try running.expect("ready ", within: 30)
        let words = try running.expect("\n").split(separator: " ").map(String.init)
        guard words.count == 2, let pid = pid_t(words[0]) else {
            throw HarnessError(description: "the pretended internet said \(words)")
        }
        (host, directory) = (pid, words[1])
        // It has to live as long as this process.
        _ = unsafe Unmanaged.passRetained(running)
        try copyPrograms()
    }

    /// The ordinary user may not be able to reach the programs where they were built.
    private func copyPrograms() throws {
        let bin = directory + "/bin"
        try FileManager.default.createDirectory(
            atPath: bin, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o755])
        let built = (Box.binary as NSString).deletingLastPathComponent
        for name in ["box", "box-proxy"] {
            try FileManager.default.copyItem(atPath: "\(built)/\(name)", toPath: "\(bin)/\(name)")
        }
    }

    /// The file of the throw-away authority.
    var authority: String { directory + "/ca.pem" }

    /// The words before a command that has to run on the pretended host, as this user, in this directory.
    func enter(as identity: Identity, at directory: String = "/") throws -> [String] {
        ["/usr/bin/env", "nsenter", "--target", "\(host)", "--net", "--mount", "--"] + (try identity.become())
            + ["env", "-C", directory]
    }

    /// A box of this user's on the pretended host, with a scratch world of its own.
    func box(as identity: Identity) throws -> Box {
        var box = try Box()
        if identity == .user {
            let name = try Identity.userName.get()
            let owned = try Host.shell("chown -R '\(name):' '\(box.scratch.root)'")
            guard owned.status == 0 else { throw HarnessError(description: "\(owned)") }
        }
        box.prefix = try enter(as: identity, at: box.scratch.project)
        box.executable = directory + "/bin/box"
        return box
    }

    /// Runs a program on the pretended host, outside of any box: the control.
    func run(_ command: [String], as identity: Identity = .root, at directory: String = "/") throws -> Outcome
    {
        try Host.run(try enter(as: identity, at: directory) + command)
    }

    // MARK: Evidence

    /// How far the logs have come.
    struct Mark: Sendable { fileprivate var lengths: [String: Int] }

    private static let logs = ["packets", "dns", "tcp", "http", "proxy"]

    /// Now: what was on its way before is behind it, because all that arrives is written down in its order.
    func mark() throws -> Mark {
        try settle()
        return Mark(
            lengths: try Dictionary(uniqueKeysWithValues: Internet.logs.map { ($0, try bytes($0).count) }))
    }

    /// The lines of a log since then, when all that was sent until now is in them.
    func since(_ mark: Mark, _ log: String) throws -> [Trace] {
        try settle()
        return try lines(log, since: mark)
    }

    /// Waits for a line; the logs of servers are written when they get to it.
    func eventually(
        since mark: Mark, _ log: String, within seconds: Double = 30, _ holds: (Trace) -> Bool
    ) throws -> Bool {
        try Host.eventually(within: seconds) { try lines(log, since: mark).contains(where: holds) }
    }

    /// What left the host since then, but for the questions to its name server: `tcp 192.0.2.1 443`.
    func packets(since mark: Mark) throws -> Set<String> {
        Set(
            try since(mark, "packets").filter { $0.to != "10.66.0.1" }
                .map { "\($0.protocol ?? "?") \($0.to ?? "?") \($0.port ?? 0)" })
    }

    /// The names that were asked for since then, in the spelling of the question.
    func questions(since mark: Mark) throws -> Set<String> {
        Set(try since(mark, "dns").compactMap(\.name).filter { !$0.hasPrefix("settled-") })
    }

    /// Connections that reached the host's own services since then.
    func ownConnections(since mark: Mark) throws -> [Trace] {
        try since(mark, "tcp").filter { $0.own == true && $0.event == "accept" }
    }

    private func lines(_ log: String, since mark: Mark) throws -> [Trace] {
        let fresh = try bytes(log).dropFirst(mark.lengths[log] ?? 0)
        return try fresh.split(separator: UInt8(ascii: "\n")).filter { $0.last == UInt8(ascii: "}") }
            .map { try JSONDecoder().decode(Trace.self, from: $0) }
    }

    private func bytes(_ log: String) throws -> Data {
        try Data(contentsOf: URL(filePath: "\(directory)/\(log).log"))
    }

    /// Sends a datagram and a question that nobody else sends, and waits for both to be written down.
    private func settle() throws {
        let number = marks.add(1, ordering: .relaxed).newValue
        let sent = try run(
            [
                "bash", "-c",
                "echo > /dev/udp/10.66.0.1/\(number); getent ahostsv4 settled-\(number).example.com >/dev/null",
            ])
        guard sent.status == 0 else { throw HarnessError(description: "no mark: \(sent)") }
        let ends = [("packets", "\"port\": \(number)}"), ("dns", "settled-\(number)")]
        for (log, text) in ends {
            let arrived = try Host.eventually { try bytes(log).firstRange(of: Data(text.utf8)) != nil }
            guard arrived else {
                throw HarnessError(description: "\(log).log does not get the mark \(number)")
            }
        }
    }
}

/// What a list of exchanges inside looked like, from inside and from the internet.
struct Seen: Sendable {
    var replies: [String: Reply]
    var packets: Set<String>
    var questions: Set<String>
    var own: [Trace]
    var http: [Trace]
    var events: [Logged]

    /// The reply of one exchange.
    func reply(_ key: String) throws -> Reply {
        guard let reply = replies[key] else { throw HarnessError(description: "no reply to \(key)") }
        return reply
    }
}

extension Internet {
    /// Carries out exchanges in one session of this user's, with the evidence.
    func observe(
        as identity: Identity, _ list: [Exchange], options: [String] = [], together: Int = 1,
        within seconds: Double = 60
    ) throws -> Seen {
        let box = try box(as: identity)
        let mark = try mark()
        let replies = try box.exchange(list, options: options, together: together, within: seconds)
        return Seen(
            replies: replies, packets: try packets(since: mark), questions: try questions(since: mark),
            own: try ownConnections(since: mark), http: try since(mark, "http"), events: try box.events())
    }
}

/// Something that is done once for each identity, when it is first asked for: a table's one session.
final class Once<Value: Sendable>: Sendable {
    private let make: @Sendable (Identity) throws -> Value
    private let made = Mutex<[Identity: Result<Value, HarnessError>]>([:])

    init(_ make: @escaping @Sendable (Identity) throws -> Value) { self.make = make }

    func get(_ identity: Identity) throws -> Value {
        try made.withLock { made in
            if let known = made[identity] { return known }
            let result: Result<Value, HarnessError>
            do { result = .success(try make(identity)) } catch {
                result = .failure(HarnessError(description: "\(error)"))
            }
            made[identity] = result
            return result
        }.get()
    }
}
