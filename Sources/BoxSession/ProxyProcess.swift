internal import BoxAudit
internal import BoxKernel
internal import BoxPlan
internal import BoxTypes
internal import Glibc

/// The network door's process, as the supervisor holds it.
struct ProxyProcess: ~Copyable {
    private let child: Child
    private let control: Channel

    /// What came over the control socket.
    enum Message {
        case ready
        /// At least one, in the order in which they happened.
        case events([Event])
        case failed(String)
        /// The rules of that number are in force, and how many tunnels they closed.
        case applied(number: Int, tunnelsClosed: Int)
        /// It needs more sockets for published ports.
        case wantsSockets
        /// The rule for one connection of this number has let it through.
        case used(number: Int)
        /// The bytes that have moved so far.
        case traffic(up: Int, down: Int)
        /// The proxy is gone.
        case end
    }

    /// Starts the proxy; it waits for a listening socket. With `isDetached` it holds nothing of the caller's.
    init(_ configuration: ProxyConfiguration, isDetached: Bool) throws(SessionError) {
        let executable = try ProxyProcess.find()
        do throws(KernelError) { self = try ProxyProcess(executable, configuration, isDetached) } catch {
            throw SessionError(step: "start the network proxy", error)
        }
    }

    private init(
        _ executable: borrowing Descriptor, _ configuration: ProxyConfiguration, _ isDetached: Bool
    ) throws(KernelError) {
        let pair = try ChannelPair()
        #if DEBUG
            let environment = Mutation.environment
        #else
            let environment: [String] = []
        #endif
        var start = Child.Start(
            .file(executable.number, arguments: ["box-proxy", "--control", "3"], environment: environment),
            namespaces: false)
        start.inherit = [pair.far.number]
        let null = try Descriptor.open("/dev/null", O_RDWR)
        if isDetached { start.streams = null.number }
        var child = try Child(starting: start)
        try child.letGo()
        let control = pair.keepNear()
        var writer = WireWriter()
        configuration.write(to: &writer)
        let file = try MemoryFile.sealed(writer.bytes, name: "box-proxy")
        try control.send([ProxyMessage.configuration.rawValue], descriptors: [file.number])
        self.child = child
        self.control = control
    }

    /// The executable beside box's own, or where `make install` puts it.
    private static func find() throws(SessionError) -> Descriptor {
        let own = SmallFile.readLink("/proc/self/exe") ?? ""
        let directory = own.split(separator: "/").dropLast().joined(separator: "/")
        let places = ["/\(directory)/box-proxy", "/\(directory)/../libexec/box/box-proxy"]
        for place in places {
            if let file = try? Descriptor.open(place, O_RDONLY) { return file }
        }
        throw SessionError(
            step: "start the network proxy",
            reason:
                "box-proxy is neither beside box nor in ../libexec/box. Install box again, or use --net none")
    }

    /// Hands over sockets, each with what it is for.
    borrowing func give(_ sockets: [DoorSocket], _ descriptors: [CInt]) throws(SessionError) {
        var writer = WireWriter()
        writer.write(ProxyMessage.sockets.rawValue)
        writer.write(sockets) { $1.write(to: &$0) }
        try send(writer.bytes, descriptors, "hand the network over to the proxy")
    }

    /// Puts other rules in force; the proxy answers `applied` with the number.
    borrowing func change(_ rules: NetworkRules, number: Int) throws(SessionError) {
        let step = "change the rules of the network proxy"
        let file: Descriptor
        do throws(KernelError) {
            var content = WireWriter()
            rules.write(to: &content)
            file = try MemoryFile.sealed(content.bytes, name: "box-rules")
        } catch { throw SessionError(step: step, error) }
        var writer = WireWriter()
        writer.write(ProxyMessage.rules.rawValue)
        writer.write(number)
        try send(writer.bytes, [file.number], step)
    }

    /// Asks how many bytes have moved; the proxy answers `traffic`.
    borrowing func askTraffic() throws(SessionError) {
        try send([ProxyMessage.traffic.rawValue], [], "ask the network proxy")
    }

    /// A proxy that has died does not listen any more, which its end will tell.
    private borrowing func send(
        _ bytes: [UInt8], _ descriptors: [CInt], _ step: String
    ) throws(SessionError) {
        do throws(KernelError) { try control.send(bytes, descriptors: descriptors) } catch {
            guard error.code == EPIPE || error.code == ECONNRESET else {
                throw SessionError(step: step, error)
            }
        }
    }

    /// Readable when there is a message.
    var poll: PollEntry { PollEntry(control.descriptor.number, .read) }

    /// The next message.
    borrowing func receive() throws(SessionError) -> Message {
        let step = "talk to the network proxy"
        let message: (bytes: [UInt8], descriptors: [CInt])?
        do throws(KernelError) { message = try control.receive() } catch {
            throw SessionError(step: step, error)
        }
        guard let message, let tag = message.bytes.first else { return .end }
        for number in message.descriptors { close(number) }
        var reader = WireReader(Array(message.bytes.dropFirst()))
        do throws(WireError) {
            switch ProxyMessage(rawValue: tag) {
            case .ready: return .ready
            case .event:
                var events: [Event] = []
                repeat { events.append(try Event(from: &reader)) } while !reader.isAtEnd
                return .events(events)
            case .failed: return .failed(try reader.string())
            case .applied: return .applied(number: try reader.int(), tunnelsClosed: try reader.int())
            case .wantsSockets: return .wantsSockets
            case .used: return .used(number: try reader.int())
            case .traffic: return .traffic(up: try reader.int(), down: try reader.int())
            case .configuration, .sockets, .rules, nil: throw reader.malformed("message \(tag)")
            }
        } catch { throw SessionError(step: step, reason: "it sent a broken message (\(error))") }
    }

    /// Asks the proxy to end: it sends what it has to say and closes.
    borrowing func askToEnd() throws(SessionError) {
        guard shutdown(control.descriptor.number, CInt(SHUT_WR)) < 0 else { return }
        throw SessionError(step: "end the network proxy", KernelError(call: "shutdown", code: errno))
    }

    /// Ends the proxy and waits until it is gone.
    consuming func end() throws(KernelError) {
        try child.signal(SIGKILL)
        _ = try child.wait()
    }
}
