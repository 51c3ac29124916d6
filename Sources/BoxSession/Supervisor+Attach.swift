internal import BoxKernel
internal import BoxPlan
internal import BoxTypes
internal import Glibc

// The supervisor's part in showing a detached session on terminals.
extension Supervisor {
    /// Shows the session on one more terminal.
    mutating func attach(_ call: ControlCall, rows: UInt16, columns: UInt16) throws(SessionError) {
        do throws(KernelError) {
            let refusal = try attachViewer(call, rows, columns)
            // It reads this before it looks at its socket.
            control?.answer(call.client, refusal.map { .refused($0) } ?? .done(ControlOutcome()))
            guard refusal == nil else { return }
        } catch {
            control?.answer(call.client, .refused("\(error)"))
            return
        }
        try wake()
        tellOfPause()
    }

    /// Why not, if not.
    private mutating func attachViewer(
        _ call: ControlCall, _ rows: UInt16, _ columns: UInt16
    ) throws(KernelError) -> String? {
        guard sandbox.isDetached else { return Supervisor.ownTerminal }
        guard let detached = sandbox.detached else { return "its command has not begun yet" }
        guard let numbers = call.descriptors.take(1),
            let connection = try control?.connection(of: call.client)
        else { throw KernelError(call: "attach", code: EBADF) }
        return try detached.attach(
            client: call.client, socket: Descriptor(owning: numbers[0]), control: connection, rows: rows,
            columns: columns)
    }

    /// Why a session cannot be attached to that was not detached.
    static let ownTerminal =
        "it runs where it was started. Only a session of box run --detach can be attached to"

    /// Follows the size of a terminal on which the session is shown.
    mutating func resize(_ client: Int, rows: UInt16, columns: UInt16) throws(SessionError) {
        do throws(KernelError) {
            try sandbox.detached?.resize(client: client, rows: rows, columns: columns)
        } catch { throw SessionError(step: "follow the window's size", error) }
        try wake()
    }
}
