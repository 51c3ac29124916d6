internal import BoxKernel
internal import BoxTypes
internal import CLinux
internal import Glibc

/// The proxy's end of the control socket.
struct Control: ~Copyable {
    private let channel: Channel

    /// What the supervisor says after the configuration.
    enum Order {
        /// Sockets, each with what it is for; they are the receiver's to close.
        case serve([(DoorSocket, CInt)])
        /// Other rules from now on, and the number that the answer repeats.
        case rules(NetworkRules, UInt64)
        /// How much has moved?
        case traffic
        /// The session is over: log what is still open, and go.
        case end
    }

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    init(owning number: CInt) { channel = Channel(Descriptor(owning: number)) }

    /// A second descriptor, which the caller owns, for the other thread that sends.
    borrowing func duplicate() throws(KernelError) -> CInt { try channel.descriptor.duplicate().release() }

    /// The first message.
    borrowing func configuration() throws(Failure) -> ProxyConfiguration {
        // Without a session there is nothing to say either.
        guard let (bytes, descriptors) = try receive() else { _exit(0) }
        guard ProxyMessage(rawValue: bytes[0]) == .configuration, descriptors.count == 1 else {
            for number in descriptors { close(number) }
            throw Failure(description: "the first message is not the configuration")
        }
        return try Control.read(descriptors[0]) { (reader: inout WireReader) throws(WireError) in
            try ProxyConfiguration(from: &reader)
        }
    }

    /// The value in a memory file, which is closed.
    private static func read<Value>(
        _ number: CInt, _ parse: (inout WireReader) throws(WireError) -> Value
    ) throws(Failure) -> Value {
        let file = Descriptor(owning: number)
        let content: [UInt8]
        do throws(KernelError) { content = try file.readAll(limit: 64 << 20) } catch {
            throw Failure(description: "\(error)")
        }
        do throws(WireError) {
            var reader = WireReader(content)
            let value = try parse(&reader)
            try reader.finish()
            return value
        } catch { throw Failure(description: "a broken message: \(error)") }
    }

    /// The next order; waits for it.
    borrowing func order() throws(Failure) -> Order {
        guard let (bytes, descriptors) = try receive() else { return .end }
        var reader = WireReader(Array(bytes.dropFirst()))
        switch ProxyMessage(rawValue: bytes[0]) {
        case .sockets:
            do throws(WireError) {
                let sockets = try reader.list { (reader: inout WireReader) throws(WireError) in
                    try DoorSocket(from: &reader)
                }
                guard sockets.count == descriptors.count else { throw reader.malformed("sockets") }
                return .serve(Array(zip(sockets, descriptors)))
            } catch { throw Control.unknown(descriptors) }
        case .rules:
            guard descriptors.count == 1 else { throw Control.unknown(descriptors) }
            let rules = try Control.read(descriptors[0]) { (reader: inout WireReader) throws(WireError) in
                try NetworkRules(from: &reader)
            }
            do throws(WireError) { return .rules(rules, try reader.unsigned()) } catch {
                throw Control.unknown([])
            }
        case .traffic: return .traffic
        case .configuration, .ready, .event, .failed, .applied, .wantsSockets, .used, nil:
            throw Control.unknown(descriptors)
        }
    }

    private static func unknown(_ descriptors: [CInt]) -> Failure {
        for number in descriptors { close(number) }
        return Failure(description: "an order that is not one")
    }

    private borrowing func receive() throws(Failure) -> (bytes: [UInt8], descriptors: [CInt])? {
        do throws(KernelError) { return try channel.receive() } catch {
            throw Failure(description: "\(error)")
        }
    }

    /// Says that the door is open.
    borrowing func sendReady() { send([ProxyMessage.ready.rawValue]) }

    /// Says why the proxy does not serve.
    borrowing func sendFailed(_ text: String) {
        var writer = WireWriter()
        writer.write(ProxyMessage.failed.rawValue)
        writer.write(text)
        send(writer.bytes)
    }

    /// Sends reports in order, and returns how many were sent: fewer than all if it may not wait and the supervisor
    /// is behind.
    borrowing func send(_ reports: [ProxyReport], waits: Bool) -> Int {
        var sent = 0
        while sent < reports.count {
            let (bytes, count) = ProxyReport.message(reports[sent...])
            if waits { send(bytes) } else { guard sendNow(bytes) else { return sent } }
            sent += count
        }
        return sent
    }

    private borrowing func sendNow(_ bytes: [UInt8]) -> Bool {
        let flags = CInt(MSG_DONTWAIT) | CInt(MSG_NOSIGNAL)
        let number = channel.descriptor.number
        let sent = unsafe bytes.withUnsafeBytes { raw in
            retry { unsafe Glibc.send(number, raw.baseAddress, raw.count, flags) }
        }
        if sent >= 0 { return true }
        guard errno == EAGAIN else { _exit(1) }
        return false
    }

    private borrowing func send(_ bytes: [UInt8]) {
        do throws(KernelError) { try channel.send(bytes) } catch {
            // What can't be logged must not happen.
            _exit(1)
        }
    }
}

/// The process before it serves: what it inherits and which signals it takes.
enum ProcessHygiene {
    /// Closes everything but the standard streams and the control socket, and leaves signals to the whole group, a
    /// terminal's or those of a pipeline that is cancelled, to the supervisor: its end of the control socket is what stops
    /// the proxy.
    static func enter(keeping control: CInt) throws(KernelError) {
        if control > 3 { try check("close_range", box_close_range(3, UInt32(control - 1), 0)) }
        try check("close_range", box_close_range(UInt32(control + 1), .max, 0))
        for number in [SIGPIPE, SIGINT, SIGQUIT, SIGHUP, SIGTERM, SIGTSTP] {
            var ignore = sigaction()
            unsafe ignore.__sigaction_handler.sa_handler = SIG_IGN
            try unsafe check("sigaction", sigaction(number, &ignore, nil))
        }
    }
}
