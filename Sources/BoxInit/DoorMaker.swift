internal import BoxKernel
internal import BoxPlan
internal import BoxTypes
internal import CLinux
internal import Glibc

/// Makes the routes of the network door in the present network namespace.
struct DoorMaker: ~Copyable {
    private let socket: RouteSocket

    init() throws(KernelError) { socket = try RouteSocket() }

    /// Adds a local route. Where there is no IPv6 nobody can send to the network either.
    borrowing func addRoute(_ network: IPNetwork) throws(KernelError) {
        do throws(KernelError) { try socket.addLocalRoute(network) } catch {
            guard case .v6 = network.base, !DoorSockets.hasIPv6() else { throw error }
        }
    }
}

extension Channel {
    /// The most descriptors in one message; the kernel's own limit is a little higher (SCM_MAX_FD).
    private static let mostDescriptors = 200

    /// Hands out sockets with what each is for, and closes them here.
    borrowing func send(_ sockets: [(kind: DoorSocket, number: CInt)]) throws(KernelError) {
        defer { for socket in sockets { close(socket.number) } }
        var rest = sockets[...]
        while !rest.isEmpty {
            let batch = rest.prefix(Channel.mostDescriptors)
            rest = rest.dropFirst(batch.count)
            try send(InitReport.sockets(batch.map(\.kind)).wire, descriptors: batch.map(\.number))
        }
    }
}

/// The entry of `box __door`: enters the namespaces of a sandbox that runs already, makes there what the network door
/// needs besides, hands it out and ends.
///
/// It reads nothing from inside, and what is inside cannot see it: it stays in the host's pid and mount namespaces.
package enum DoorEntry {
    /// Where it finds its socket to the supervisor and the two namespaces: the only descriptors it is born with.
    private static let control: CInt = 3
    private static let userNamespace: CInt = 4
    private static let networkNamespace: CInt = 5

    /// Runs to the end of the process.
    package static func run() -> Never {
        let channel = Channel(Descriptor(owning: control))
        let user = Descriptor(owning: userNamespace)
        let network = Descriptor(owning: networkNamespace)
        do throws(Failure) {
            let opening = try prepare(channel, user, network)
            try serve(opening, channel)
            _exit(0)
        } catch {
            // Nobody listens any more: then there is nobody to tell.
            try? channel.send(error.report.wire)
            _exit(1)
        }
    }

    private static func prepare(
        _ channel: borrowing Channel, _ user: borrowing Descriptor, _ network: borrowing Descriptor
    ) throws(Failure) -> DoorOpening {
        do throws(KernelError) {
            try ProcessAttributes.setDumpable(false)
            try ProcessAttributes.setParentDeathSignal(SIGKILL)
            let null = try Descriptor.open("/dev/null", O_RDWR)
            for number in CInt(0)..<3 { try check("dup3", box_dup3(null.number, number, 0)) }
            guard let message = try channel.receive(), message.descriptors.count == 1 else {
                throw KernelError(call: "order", code: EPROTO)
            }
            let order = try Descriptor(owning: message.descriptors[0]).readAll(limit: 16 << 20)
            // The user namespace first: its owner has all capabilities in it, and so in the other one.
            try check("setns", box_setns(user.number, Int32(bitPattern: 0x1000_0000)), "user namespace")
            try check("setns", box_setns(network.number, Int32(bitPattern: 0x4000_0000)), "network namespace")
            do throws(WireError) {
                var reader = WireReader(order)
                let opening = try DoorOpening(from: &reader)
                try reader.finish()
                return opening
            } catch { throw KernelError(call: "order", code: EPROTO, subject: "\(error)") }
        } catch { throw Failure(step: "enter", error) }
    }

    private static func serve(_ opening: DoorOpening, _ channel: borrowing Channel) throws(Failure) {
        do throws(KernelError) {
            if !opening.routes.isEmpty {
                let maker = try DoorMaker()
                for network in opening.routes { try maker.addRoute(network) }
            }
            var sockets: [(kind: DoorSocket, number: CInt)] = []
            var unopened: [InitReport.Unopened] = []
            for listener in opening.listeners {
                do throws(KernelError) {
                    guard let socket = try DoorSockets.open(listener) else { continue }
                    sockets.append((listener.kind, socket.release()))
                } catch {
                    // A program inside has the port: that is its right, and the others are opened all the same.
                    unopened.append(InitReport.Unopened(listener, code: error.code))
                }
            }
            for _ in 0..<opening.unconnected {
                sockets.append((.unconnected, try DoorSockets.unconnected().release()))
            }
            try channel.send(sockets)
            if !unopened.isEmpty { try channel.send(InitReport.unopened(unopened).wire) }
            try channel.send(InitReport.ready.wire)
        } catch { throw Failure(step: "open", error) }
    }
}
