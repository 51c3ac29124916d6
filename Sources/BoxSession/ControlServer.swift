internal import BoxKernel
internal import BoxTypes
internal import CLinux
internal import Glibc

/// The supervisor's end of a session's control socket: other processes of box that this user starts ask here.
///
/// Nothing waits for a client: one that does not read its answer loses it.
struct ControlServer: ~Copyable {
    /// The name of the socket in the session's directory.
    static let name = "control"
    /// More clients at once than this wait in the kernel's queue.
    private static let mostClients = 64

    private let listener: Descriptor
    private let directory: Descriptor
    /// Open connections by a number that is never used again.
    private var clients: [Int: CInt] = [:]
    private var nextClient = 0
    /// Those that have gone since that was asked.
    private var gone: [Int] = []

    /// Listens in a session's directory.
    init(in path: String) throws(SessionError) {
        do throws(KernelError) {
            let directory = try Descriptor.open(path, O_RDONLY | BOX_O_DIRECTORY)
            listener = try ControlServer.listen(in: directory)
            self.directory = directory
        } catch { throw SessionError(step: "make the session's control socket", error) }
    }

    private static func listen(in directory: borrowing Descriptor) throws(KernelError) -> Descriptor {
        let socket = try ControlSocket.make()
        // The mode of the name is that of the socket: nobody else may connect, whatever the umask.
        try check("fchmod", fchmod(socket.number, 0o600), name)
        // One that is there is of a session that was killed: whoever comes here holds the session's lock.
        _ = unsafe unlinkat(directory.number, name, 0)
        try check("bind", unsafe box_bind_unix(socket.number, ControlSocket.path(in: directory)), name)
        try check("listen", Glibc.listen(socket.number, 16), name)
        try socket.setNonBlocking(true)
        return socket
    }

    /// The name goes with the session.
    consuming func end() {
        _ = unsafe unlinkat(directory.number, ControlServer.name, 0)
        for number in clients.values { close(number) }
    }

    /// What to wait for.
    var entries: [PollEntry] {
        let open = clients.values.map { PollEntry($0, .read) }
        return open + (clients.count < ControlServer.mostClients ? [PollEntry(listener.number, .read)] : [])
    }

    /// Takes new clients and the requests that have come.
    mutating func take(_ ready: [Ready]) -> [ControlCall] {
        var calls: [ControlCall] = []
        let waiting = Set(ready.map(\.descriptor))
        if waiting.contains(listener.number) { accept() }
        for (client, number) in clients.sorted(by: { $0.key < $1.key }) where waiting.contains(number) {
            if let call = receive(client, number) { calls.append(call) }
        }
        return calls
    }

    private mutating func accept() {
        let number = box_accept(listener.number)
        // Its client may have gone again.
        guard number >= 0 else { return }
        var uid: uid_t = 0
        guard unsafe box_peer_uid(number, &uid) == 0, uid == geteuid() || uid == 0 else {
            close(number)
            return
        }
        clients[nextClient] = number
        nextClient += 1
    }

    private mutating func receive(_ client: Int, _ number: CInt) -> ControlCall? {
        let message: (bytes: [UInt8], descriptors: [CInt])?
        do throws(KernelError) { message = try ControlSocket.receive(number) } catch {
            drop(client)
            return nil
        }
        guard let message else {
            drop(client)
            return nil
        }
        let attached = AttachedDescriptors(owning: message.descriptors)
        do throws(WireError) {
            return ControlCall(
                client: client, request: try ControlRequest(wire: message.bytes), descriptors: attached)
        } catch {
            answer(client, .refused("the session was started by another version of box (\(error))"))
            return nil
        }
    }

    /// Answers a client, if it is still there.
    mutating func answer(_ client: Int, _ reply: ControlReply) {
        guard let number = clients[client] else { return }
        do throws(KernelError) { try ControlSocket.send(reply.wire, to: number) } catch { drop(client) }
    }

    /// A second end of a client's connection, which stays open when this one is closed.
    func connection(of client: Int) throws(KernelError) -> Descriptor? {
        guard let number = clients[client] else { return nil }
        return Descriptor(owning: try check("fcntl(F_DUPFD_CLOEXEC)", box_fcntl_dupfd_cloexec(number, 0)))
    }

    /// Tells a client something beside an answer; the descriptors stay the caller's.
    mutating func notify(_ client: Int, _ notice: ControlNotice, descriptors: [CInt] = []) {
        guard let number = clients[client] else { return }
        do throws(KernelError) {
            try ControlSocket.send(notice.wire, to: number, descriptors: descriptors)
        } catch { drop(client) }
    }

    /// The clients that have gone since this was asked last.
    mutating func takeGone() -> [Int] {
        defer { gone = [] }
        return gone
    }

    private mutating func drop(_ client: Int) {
        guard let number = clients.removeValue(forKey: client) else { return }
        close(number)
        gone.append(client)
    }
}

/// A request with who made it and what came along.
struct ControlCall {
    let client: Int
    let request: ControlRequest
    let descriptors: AttachedDescriptors
}

/// Descriptors that came with a request; those that nobody takes are closed.
final class AttachedDescriptors {
    private var numbers: [CInt]
    init(owning numbers: [CInt]) { self.numbers = numbers }
    deinit { for number in numbers { close(number) } }

    /// All of them, if there are as many as they must be; they are the caller's then.
    func take(_ count: Int) -> [CInt]? {
        guard numbers.count == count else { return nil }
        defer { numbers = [] }
        return numbers
    }
}

/// What both ends of a control socket need.
enum ControlSocket {
    static func make() throws(KernelError) -> Descriptor {
        let type = CInt(SOCK_SEQPACKET.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        return Descriptor(owning: try check("socket", Glibc.socket(AF_UNIX, type, 0)))
    }

    /// The socket's path by way of its directory's descriptor: the real one may be longer than an address.
    static func path(in directory: borrowing Descriptor) -> String {
        "/proc/self/fd/\(directory.number)/\(ControlServer.name)"
    }

    /// Sends a message with descriptors, which stay the caller's; one that is longer than a packet goes as a memory file,
    /// and alone.
    static func send(_ bytes: [UInt8], to number: CInt, descriptors: [CInt] = []) throws(KernelError) {
        guard bytes.count > longest else {
            try check(
                "sendmsg",
                unsafe box_send_with_fds(number, bytes, bytes.count, descriptors, CInt(descriptors.count)))
            return
        }
        guard descriptors.isEmpty else { throw KernelError(call: "sendmsg", code: EMSGSIZE) }
        let file = try MemoryFile.sealed(bytes, name: "box-control")
        try check("sendmsg", unsafe box_send_with_fds(number, [inFile], 1, [file.number], 1))
    }

    /// Receives a message as it was sent.
    static func receive(_ number: CInt) throws(KernelError) -> (bytes: [UInt8], descriptors: [CInt])? {
        var descriptors = [CInt](repeating: -1, count: 8)
        var count = CInt(descriptors.count)
        var code: CInt = 0
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: Channel.longest) { buffer, filled in
            let got = unsafe box_recv_with_fds(
                number, buffer.baseAddress, buffer.count, &descriptors, &count, 1)
            if got < 0 { code = errno }
            filled = max(got, 0)
        }
        guard code == 0 else {
            if code == ECONNRESET { return nil }
            throw KernelError(call: "recvmsg", code: code)
        }
        if bytes.isEmpty { return nil }
        let received = Array(descriptors.prefix(Int(count)))
        guard bytes == [inFile], received.count == 1 else { return (bytes, received) }
        return (try Descriptor(owning: received[0]).readAll(limit: 16 << 20), [])
    }

    static let longest = 60_000
    /// Stands for a message that is in the file that comes along; no message begins like this.
    private static let inFile: UInt8 = 0
}
