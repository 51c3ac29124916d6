internal import BoxKernel
internal import BoxPlan
internal import BoxTypes
internal import CLinux
internal import Glibc

/// The way into a sandbox's network, kept by the supervisor.
///
/// Opened while the first process may still be looked at: later it is not dumpable, and the kernel refuses.
struct NetworkNamespace: ~Copyable {
    let user: Descriptor
    let network: Descriptor

    /// Opens the namespaces of a child that was not reaped yet: otherwise its number may already be another's.
    init(of process: CInt) throws(KernelError) {
        let user = try Identity.openNamespace(of: process)
        let network = try Descriptor.open("/proc/\(process)/ns/net", O_RDONLY)
        self.user = user
        self.network = network
    }

    /// Starts what makes an opening in it.
    borrowing func makeDoor(for opening: DoorOpening) throws(SessionError) -> DoorProcess {
        do throws(KernelError) { return try DoorProcess(opening, in: self) } catch {
            throw SessionError(step: "open the sandbox's network", error)
        }
    }
}

/// `box __door` as the supervisor holds it: a process that makes sockets in the sandbox's network and ends.
struct DoorProcess: ~Copyable {
    private let child: Child
    private let control: Channel

    /// What came from it.
    enum Message {
        case sockets([DoorSocket], [CInt])
        case unopened([InitReport.Unopened])
        /// Everything was made.
        case done
        case failed(String)
    }

    /// Starts it.
    fileprivate init(
        _ opening: DoorOpening, in namespace: borrowing NetworkNamespace
    ) throws(KernelError) {
        let pair = try ChannelPair()
        let executable = try Descriptor.open("/proc/self/exe", O_RDONLY)
        var start = Child.Start(.file(executable.number, arguments: ["box", "__door"]), namespaces: false)
        start.inherit = [pair.far.number, namespace.user.number, namespace.network.number]
        var child = try Child(starting: start)
        try child.letGo()
        let control = pair.keepNear()
        var writer = WireWriter()
        opening.write(to: &writer)
        let file = try MemoryFile.sealed(writer.bytes, name: "box-door")
        try control.send([0], descriptors: [file.number])
        self.child = child
        self.control = control
    }

    /// Readable when there is a message.
    var poll: PollEntry { PollEntry(control.descriptor.number, .read) }

    /// The next message; its descriptors are the caller's.
    borrowing func receive() -> Message {
        do throws(KernelError) {
            guard let (bytes, descriptors) = try control.receive() else {
                return .failed("box __door ended unexpectedly")
            }
            let report = try? InitReport(wire: bytes)
            switch report {
            case .sockets(let kinds)? where kinds.count == descriptors.count:
                return .sockets(kinds, descriptors)
            case .unopened(let all)?: return .unopened(all)
            case .ready?: return .done
            case .failed(_, let object, let code)?:
                return .failed("\(object.escapedForTerminal): \(errorText(code))")
            case .sockets, .terminal, .notExecuted, .started, .stopped, .continued, .exited, .killed,
                .program, .executed, .executionEnded, .signalled, nil:
                for number in descriptors { close(number) }
                return .failed("box __door sent a broken message")
            }
        } catch { return .failed("\(error)") }
    }

    /// Ends it, if it has not ended already, and waits until it is gone.
    consuming func end() throws(SessionError) {
        do throws(KernelError) {
            try child.signal(SIGKILL)
            _ = try child.wait()
        } catch { throw SessionError(step: "end box __door", error) }
    }
}
