internal import BoxKernel
internal import CLinux
internal import Glibc
internal import NIOCore

/// A listening socket on the loop.
final class Listener: Watcher {
    /// Connections that are taken before others have their turn.
    private static let batch = 32
    /// For how long it rests when the process has no descriptor for another connection.
    private static let rest = TimeAmount.milliseconds(50)

    private let loop: DoorLoop
    private let socket: CInt
    private let accepted: (CInt, Endpoint?) -> Void
    private var watch: Poller.Watch?

    /// - Parameters:
    ///   - socket: becomes the listener's own.
    ///   - accepted: takes each connection, with who connected; the socket is its own from then on.
    init(_ loop: DoorLoop, _ socket: CInt, accepted: @escaping (CInt, Endpoint?) -> Void) throws(KernelError)
    {
        self.loop = loop
        self.socket = socket
        self.accepted = accepted
        try Listener.makeNonBlocking(socket)
        try start()
    }

    deinit { close(socket) }

    /// No call on the socket waits any more.
    static func makeNonBlocking(_ socket: CInt) throws(KernelError) {
        let flags = try check("fcntl(F_GETFL)", box_fcntl_getfl(socket))
        try check("fcntl(F_SETFL)", box_fcntl_setfl(socket, flags | O_NONBLOCK))
    }

    private func start() throws(KernelError) {
        // Not edge triggered: what is left of a batch is told again.
        watch = loop.poller.watch(socket, self, BOX_EPOLLIN)
        guard watch != nil else { throw KernelError(call: "epoll_ctl", code: errno) }
    }

    func ready(_ events: UInt32) {
        for _ in 0..<Listener.batch {
            var from = box_endpoint()
            let connection = unsafe box_accept_from(socket, &from)
            if connection >= 0 {
                accepted(connection, Endpoint(from))
                continue
            }
            switch errno {
            case EMFILE, ENFILE, ENOBUFS, ENOMEM: return pause()
            // Everything else is about one connection that is gone (accept(2)).
            default: return
            }
        }
    }

    func turn() {}

    /// Otherwise the loop would be told again and again.
    private func pause() {
        if let watch { loop.poller.forget(watch) }
        watch = nil
        box_epoll_remove(loop.epoll, socket)
        loop.assumeIsolated().scheduleTask(in: Listener.rest) {
            do throws(KernelError) { try self.start() } catch { self.pause() }
        }
    }
}
