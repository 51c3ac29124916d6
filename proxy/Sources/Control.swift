internal import BoxAudit
internal import BoxKernel
internal import BoxTypes
internal import CLinux
internal import Glibc

/// The proxy's end of the control socket.
struct Control: ~Copyable {
    private let channel: Channel

    /// What the supervisor says after the configuration.
    enum Order {
        /// Listening sockets, which are the receiver's to close.
        case serve([CInt])
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
        let content = try Control.read(descriptors[0])
        do throws(WireError) {
            var reader = WireReader(content)
            let configuration = try ProxyConfiguration(from: &reader)
            try reader.finish()
            return configuration
        } catch { throw Failure(description: "the configuration is broken: \(error)") }
    }

    /// The content of a memory file, which is closed.
    private static func read(_ number: CInt) throws(Failure) -> [UInt8] {
        let file = Descriptor(owning: number)
        do throws(KernelError) { return try file.readAll(limit: 64 << 20) } catch {
            throw Failure(description: "\(error)")
        }
    }

    /// The next order; waits for it.
    borrowing func order() throws(Failure) -> Order {
        guard let (bytes, descriptors) = try receive() else { return .end }
        do throws(WireError) {
            var reader = WireReader(Array(bytes.dropFirst()))
            let sockets = try reader.list { (reader: inout WireReader) throws(WireError) in
                try DoorSocket(from: &reader)
            }
            guard ProxyMessage(rawValue: bytes[0]) == .sockets, sockets.count == descriptors.count else {
                throw reader.malformed("order")
            }
            return .serve(descriptors)
        } catch {
            for number in descriptors { close(number) }
            throw Failure(description: "an order that is not one")
        }
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

    /// Sends an event; waits while the supervisor is behind, so that the log has no gaps.
    borrowing func send(_ event: Event) {
        var writer = WireWriter()
        writer.write(ProxyMessage.event.rawValue)
        event.write(to: &writer)
        send(writer.bytes)
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
    /// Closes everything but the standard streams and the control socket, and leaves the terminal's signals to
    /// the supervisor: its end of the control socket is what stops the proxy.
    static func enter(keeping control: CInt) throws(KernelError) {
        if control > 3 { try check("close_range", box_close_range(3, UInt32(control - 1), 0)) }
        try check("close_range", box_close_range(UInt32(control + 1), .max, 0))
        for number in [SIGPIPE, SIGINT, SIGQUIT, SIGHUP, SIGTSTP] {
            var ignore = sigaction()
            unsafe ignore.__sigaction_handler.sa_handler = SIG_IGN
            try unsafe check("sigaction", sigaction(number, &ignore, nil))
        }
    }
}
