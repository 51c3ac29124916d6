internal import BoxKernel
internal import BoxTypes
internal import Glibc

/// A connection to a session's supervisor that stays, as `box attach` and `box exec` have one.
struct ControlConnection: ~Copyable {
    private let control: Descriptor
    /// Whether the supervisor's end is open.
    private(set) var isOpen = true

    init(_ control: consuming Descriptor) { self.control = control }

    /// What to wait for.
    var entries: [PollEntry] { isOpen ? [PollEntry(control.number, .read)] : [] }

    /// Whether something came, or the end.
    func isReady(_ ready: [Ready]) -> Bool { isOpen && ready.contains { $0.descriptor == control.number } }

    /// Takes what came, with its descriptors, which are the caller's; nil at the end.
    mutating func take() throws(KernelError) -> (notice: ControlNotice, descriptors: [CInt])? {
        guard let (bytes, descriptors) = try ControlSocket.receive(control.number) else {
            isOpen = false
            return nil
        }
        do throws(WireError) { return (try ControlNotice(wire: bytes), descriptors) } catch {
            for number in descriptors { close(number) }
            throw KernelError(call: "notice", code: EPROTO)
        }
    }

    /// Sends a request that has no answer.
    func send(_ request: ControlRequest) {
        guard isOpen else { return }
        do throws(KernelError) { try ControlSocket.send(request.wire, to: control.number) } catch {
            // A supervisor that is gone is noticed by the end of the connection.
        }
    }
}
