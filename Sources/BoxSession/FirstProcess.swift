internal import BoxKernel
internal import BoxPlan
internal import BoxTypes
internal import CLinux
internal import Glibc

/// Process 1 of the sandbox and the socket to it.
struct FirstProcess: ~Copyable {
    private let child: Child
    private let control: Channel
    private var network: NetworkNamespace?
    private var mounts: MountNamespace?

    /// Starts it in seven namespaces of its own, born into the control group `group` (a directory, or -1), at `entry`.
    /// It waits for `launch`.
    ///
    /// It is a copy of this process and not a program executed anew: the start of a program costs about as much as all
    /// that it does then. The copy is made before anything of the user's was read, in a process of one thread.
    init(group: CInt, entry: @escaping @convention(c) () -> Void) throws(KernelError) {
        let pair = try ChannelPair()
        var start = Child.Start(.entry(entry), namespaces: true)
        start.inherit = [pair.far.number]
        start.controlGroup = group
        let child = try Child(starting: start)
        // Now: when it has begun its work the kernel lets nobody look.
        network = try NetworkNamespace(of: child.pid)
        mounts = try MountNamespace(of: child.pid)
        self.child = child
        control = pair.keepNear()
    }

    /// Its number on the host; its own as long as this value lives.
    var pid: CInt { child.pid }

    /// The way into its network, which is given away once.
    mutating func takeNetwork() -> NetworkNamespace? { network.take() }

    /// The way to its mounts, which is given away once.
    mutating func takeMounts() -> MountNamespace? { mounts.take() }

    /// Maps its ids. Once, and before anything is asked of it.
    borrowing func map(_ ids: Plan.Identity) throws(KernelError) {
        try Identity.write(
            user: IdentityMapping(inside: ids.insideUID, outside: ids.outsideUID),
            group: IdentityMapping(inside: ids.insideGID, outside: ids.outsideGID), for: child.pid)
    }

    /// Lets it make what every sandbox has.
    borrowing func layGroundwork(becoming identity: InitOrder.Identity?) throws(KernelError) {
        try control.send(InitOrder.groundwork(becoming: identity).wire)
    }

    /// Hands over what it is to set up; the descriptors stay the caller's.
    borrowing func launch(_ launch: Launch, descriptors: [CInt]) throws(KernelError) {
        let file = try MemoryFile.sealed(launch.wire, name: "box-plan")
        try control.send(InitOrder.launch.wire, descriptors: [file.number] + descriptors)
    }

    /// Readable when there is a report, or when the process has ended.
    var controlEntry: PollEntry { PollEntry(control.descriptor.number, .read) }

    /// What there is of reports.
    enum Next {
        /// With its descriptors, which are the caller's.
        case report(InitReport, [CInt])
        /// None for now.
        case nothing
        /// It has ended.
        case end
    }

    /// The next report, if it is there.
    borrowing func next() throws(SessionError) -> Next {
        let step = "talk to the sandbox"
        let (message, isOpen): ((bytes: [UInt8], descriptors: [CInt])?, Bool)
        do throws(KernelError) { (message, isOpen) = try control.receivePresent() } catch {
            throw SessionError(step: step, error)
        }
        guard let message else { return isOpen ? .nothing : .end }
        do throws(WireError) {
            return .report(try InitReport(wire: message.bytes), message.descriptors)
        } catch {
            for number in message.descriptors { close(number) }
            throw SessionError(step: step, reason: "its first process sent a broken message (\(error))")
        }
    }

    /// Sends an order. A process that is ending does not listen any more, which its end will tell.
    borrowing func order(_ order: InitOrder, descriptors: [CInt] = []) throws(SessionError) {
        do throws(KernelError) { try control.send(order.wire, descriptors: descriptors) } catch {
            guard error.code == EPIPE || error.code == ECONNRESET else {
                throw SessionError(step: "talk to the sandbox", error)
            }
        }
    }

    /// Ends it at once, and so everything in the sandbox.
    borrowing func kill() throws(SessionError) {
        do throws(KernelError) { try child.signal(SIGKILL) } catch {
            throw SessionError(step: "end the sandbox", error)
        }
    }

    /// Ends it and waits until it is gone.
    consuming func discard() {
        if (try? kill()) != nil { _ = try? end() }
    }

    /// Waits until it is gone; why it never became box, if it did not.
    consuming func end() throws(SessionError) -> ChildChange {
        do throws(KernelError) {
            if let failure = try child.executionFailure() { throw failure }
            return try child.wait()
        } catch { throw SessionError(step: "start the sandbox", error) }
    }
}
