internal import BoxKernel
internal import BoxPlan
internal import BoxTypes
internal import CLinux
internal import Glibc

/// A session that runs, as another process of box finds it.
package struct RunningSession: Sendable {
    package let name: String
    /// The directory that it belongs to.
    package let project: String
    /// How the project appears inside.
    package let workspace: String
    private let directory: String

    /// The session as it was found in the store.
    init(_ session: StoredSession) {
        name = session.name
        project = session.project
        workspace = session.workspace
        directory = session.directory
    }

    fileprivate init?(_ name: String, in sessions: String) {
        directory = sessions + "/" + name
        // Only a session that runs has a socket, but one that was killed leaves it behind.
        guard unsafe access(directory + "/" + ControlServer.name, F_OK) == 0,
            let text = SmallFile.read(directory + "/session.json"),
            let record = try? JSONValue(parsing: Array(text.utf8)), let project = record.text("project")
        else { return nil }
        self.name = name
        self.project = project
        workspace = record.text("workspace") ?? ""
    }

    /// Asks the session's supervisor and waits for its answer, at most for so many milliseconds; nil if the session does
    /// not run any more.
    package func ask(
        _ request: ControlRequest, patience: Int = RunningSession.patience
    ) throws(SessionError) -> ControlReply? {
        do throws(KernelError) {
            guard let socket = try connect() else { return nil }
            try ControlSocket.send(request.wire, to: socket.number)
            return try RunningSession.answer(socket, within: patience)
        } catch { throw SessionError(step: "talk to the session \(name)", error) }
    }

    /// A connection to its supervisor; nil if the session does not run any more.
    func connect() throws(KernelError) -> Descriptor? {
        let place: Descriptor
        do throws(KernelError) { place = try Descriptor.open(directory, O_RDONLY | BOX_O_DIRECTORY) } catch {
            // It has been removed.
            if error.code == ENOENT { return nil }
            throw error
        }
        let socket = try ControlSocket.make()
        guard unsafe box_connect_unix(socket.number, ControlSocket.path(in: place)) == 0 else {
            let code = errno
            // Nobody listens, or the name has gone: it has ended.
            if code == ECONNREFUSED || code == ENOENT { return nil }
            throw KernelError(call: "connect", code: code)
        }
        return socket
    }

    /// The next reply that comes in that time, in milliseconds; nil at the end of the connection.
    static func answer(
        _ socket: borrowing Descriptor, within patience: Int
    ) throws(KernelError) -> ControlReply? {
        guard try !poll([PollEntry(socket.number, .read)], timeout: patience).isEmpty else {
            throw KernelError(call: "poll", code: ETIMEDOUT)
        }
        guard let (bytes, descriptors) = try ControlSocket.receive(socket.number) else { return nil }
        for number in descriptors { close(number) }
        do throws(WireError) { return try ControlReply(wire: bytes) } catch {
            throw KernelError(call: "answer", code: EPROTO)
        }
    }

    /// A supervisor that takes longer is stopped (^Z) or stuck; in milliseconds.
    package static let patience = 20_000

    /// What the supervisors of these sessions say of them, those that answer in that time, in milliseconds. All are asked
    /// at once.
    package static func statuses(
        of sessions: [StoredSession], within milliseconds: Int
    ) throws(SessionError) -> [String: SessionStatus] {
        var found: [String: SessionStatus] = [:]
        var waiting: [CInt: String] = [:]
        defer { for number in waiting.keys { close(number) } }
        for session in sessions {
            if let socket = try begin(.status, session.directory) { waiting[socket] = session.name }
        }
        let end = Clock.milliseconds() + milliseconds
        do throws(KernelError) {
            while !waiting.isEmpty, Clock.milliseconds() < end {
                let entries = waiting.keys.map { PollEntry($0, .read) }
                for ready in try poll(entries, timeout: end - Clock.milliseconds()) {
                    guard let name = waiting.removeValue(forKey: ready.descriptor) else { continue }
                    let socket = Descriptor(owning: ready.descriptor)
                    if let status = try answer(socket) { found[name] = status }
                }
            }
            return found
        } catch { throw SessionError(step: "ask the sessions that run", error) }
    }

    /// Sends a request without waiting; nil if nobody takes it.
    private static func begin(_ request: ControlRequest, _ directory: String) throws(SessionError) -> CInt? {
        do throws(KernelError) {
            let place = try Descriptor.open(directory, O_RDONLY | BOX_O_DIRECTORY)
            let socket = try ControlSocket.make()
            try socket.setNonBlocking(true)
            guard unsafe box_connect_unix(socket.number, ControlSocket.path(in: place)) == 0 else {
                return nil
            }
            try ControlSocket.send(request.wire, to: socket.number)
            return socket.release()
        } catch {
            // It ends just now.
            if [ENOENT, EPIPE, ECONNRESET, ENOTCONN, EAGAIN].contains(error.code) { return nil }
            throw SessionError(step: "ask the sessions that run", error)
        }
    }

    private static func answer(_ socket: borrowing Descriptor) throws(KernelError) -> SessionStatus? {
        guard let (bytes, descriptors) = try ControlSocket.receive(socket.number) else { return nil }
        for number in descriptors { close(number) }
        guard case .status(let status)? = try? ControlReply(wire: bytes) else { return nil }
        return status
    }

    /// All that seem to run for this user, by name.
    package static func all() throws(SessionError) -> [RunningSession] {
        let sessions = try HostFacts.stateDirectory().string + "/sessions"
        return DirectoryListing.names(of: sessions).sorted().compactMap { RunningSession($0, in: sessions) }
    }

    /// The sessions that belong to a directory, or to one above it.
    package static func ofProject(_ directory: String) throws(SessionError) -> [RunningSession] {
        let place: Descriptor
        do throws(KernelError) { place = try Descriptor.open(directory, O_RDONLY | BOX_O_DIRECTORY) } catch {
            throw SessionError(step: "use \(directory.escapedForTerminal) as the project", error)
        }
        guard let path = SmallFile.readLink("/proc/self/fd/\(place.number)") else {
            throw SessionError(
                step: "find the project", reason: "its path cannot be found; is /proc mounted?")
        }
        return try all().filter { path == $0.project || path.hasPrefix($0.project + "/") }
    }

    /// The one session that a name or the beginning of a name means.
    package static func named(_ id: String) throws(SessionError) -> [RunningSession] {
        let step = "find the session \(id.escapedForTerminal)"
        let all = try all()
        if let exact = all.first(where: { $0.name == id }) { return [exact] }
        let near = id.isEmpty ? [] : all.filter { $0.name.hasPrefix(id) }
        guard near.count <= 1 else {
            throw SessionError(
                step: step, reason: "several sessions begin so: \(near.map(\.name).joined(separator: " "))")
        }
        guard near.count == 1 else {
            let names = all.map(\.name).joined(separator: " ")
            throw SessionError(
                step: step,
                reason: "no session of that name runs" + (names.isEmpty ? "" : ". Running: \(names)"))
        }
        return near
    }
}

extension JSONValue {
    /// A text by its key; nil if there is none.
    fileprivate func text(_ key: String) -> String? {
        guard case .object(let members) = content,
            case .string(let text)? = members.first(where: { $0.key == key })?.value.content
        else { return nil }
        return text
    }
}
