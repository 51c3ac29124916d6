internal import BoxKernel
internal import BoxTypes
internal import CLinux
internal import Glibc
internal import NIOCore

/// Connects to one of several vetted addresses, the first that answers (RFC 8305): while one is silent the next is
/// tried beside it, and one that fails makes room at once.
struct Dialler {
    /// For all tries together.
    static let patience = TimeAmount.seconds(10)
    /// For how long one try is alone.
    static let stagger = TimeAmount.milliseconds(250)
    private static let mostTries = 6

    let loop: DoorLoop
    let port: Port

    init(_ loop: DoorLoop, _ port: Port) {
        self.loop = loop
        self.port = port
    }

    /// A connection that stands.
    struct Dialled {
        /// The receiver's to close.
        let socket: CInt
        /// Whether it is in the loop's epoll instance.
        let isKnown: Bool
        /// Nil for a server inside.
        let address: IPAddress?
    }

    typealias Done = (Result<Dialled, UpstreamFailure>) -> Void

    /// Calls `done` once, perhaps at once, with the first connection that stands, or the failure of the first try.
    func dial(_ addresses: [IPAddress], _ done: @escaping Done) {
        Race(self, Array(Dialler.order(addresses).prefix(Dialler.mostTries)), done).next()
    }

    /// The families take turns, the resolver's first choice first: if one family is broken here, the other is
    /// tried next.
    static func order(_ addresses: [IPAddress]) -> [IPAddress] {
        // Most names have one address, and localhost two.
        guard let first = addresses.first, addresses.count > 2 else { return addresses }
        let same = addresses.filter { $0.isV6 == first.isV6 }
        let other = addresses.filter { $0.isV6 != first.isV6 }
        return (0..<max(same.count, other.count)).flatMap { place in
            same.dropFirst(place).prefix(1) + other.dropFirst(place).prefix(1)
        }
    }

    /// The tries of one target, on the event loop.
    private final class Race {
        private let dialler: Dialler
        private let done: Done
        private let deadline = NIODeadline.now() + Dialler.patience
        private var left: ArraySlice<IPAddress>
        /// Those that do not stand yet.
        private var tries: [Try] = []
        private var isOver = false
        private var failure: UpstreamFailure?
        private var timer: Scheduled<Void>?

        init(_ dialler: Dialler, _ addresses: [IPAddress], _ done: @escaping Done) {
            self.dialler = dialler
            left = addresses[...]
            self.done = done
        }

        /// Begins with the next address, if there is one.
        func next() {
            timer?.cancel()
            timer = nil
            while !isOver, let address = left.popFirst() {
                let attempt = Try(dialler.loop, Endpoint(address, dialler.port))
                switch attempt.begin() {
                case .stands: return won(attempt)
                case .failed(let why): failure = failure ?? why
                case .waits:
                    tries.append(attempt)
                    // The timer keeps the race, and the race its tries.
                    attempt.ended = { [weak self, unowned attempt] in self?.ended(attempt, $0) }
                    return wait()
                }
            }
            guard !isOver else { return }
            if tries.isEmpty { end(.failure(failure ?? .refused("no address"))) } else { wait() }
        }

        /// Until this try has failed, or the next may begin, or the time is up for all.
        private func wait() {
            let now = NIODeadline.now()
            let time = left.isEmpty ? deadline : min(deadline, now + Dialler.stagger)
            timer = dialler.loop.assumeIsolated().scheduleTask(deadline: time) { [self] in
                if NIODeadline.now() >= deadline {
                    end(.failure(failure ?? .connectTimeout))
                } else {
                    next()
                }
            }
        }

        private func ended(_ attempt: Try, _ outcome: Try.Outcome) {
            guard !isOver else { return }
            switch outcome {
            case .stands: won(attempt)
            case .failed(let why):
                attempt.giveUp()
                tries.removeAll { $0 === attempt }
                failure = failure ?? why
                // Where others are still on their way, the clock for the next goes on.
                if !left.isEmpty || tries.isEmpty { next() }
            case .waits: break
            }
        }

        private func won(_ attempt: Try) {
            tries.removeAll { $0 === attempt }
            end(.success(attempt.take()))
        }

        private func end(_ result: Result<Dialled, UpstreamFailure>) {
            isOver = true
            timer?.cancel()
            timer = nil
            for attempt in tries { attempt.giveUp() }
            tries = []
            done(result)
        }
    }

    /// One connection on its way.
    private final class Try: Watcher {
        enum Outcome {
            case stands
            case waits
            case failed(UpstreamFailure)
        }

        /// Told how it went, after `begin` said that it waits.
        var ended: ((Outcome) -> Void)?
        private let loop: DoorLoop
        private let endpoint: Endpoint
        private var socket: CInt = -1
        private var watch: Poller.Watch?

        init(_ loop: DoorLoop, _ endpoint: Endpoint) {
            self.loop = loop
            self.endpoint = endpoint
        }

        deinit { if socket >= 0 { close(socket) } }

        func begin() -> Outcome {
            do throws(KernelError) {
                socket = try check("socket", box_tcp_socket(endpoint.raw.family))
                try RelayOptions.set(socket, isLocal: endpoint.isLoopback)
            } catch { return .failed(UpstreamFailure(error.code)) }
            var code = endpoint.connect(socket)
            // Here the answer is there when the call returns; the second one takes it.
            if code == EINPROGRESS, endpoint.isLoopback { code = endpoint.connect(socket) }
            switch code {
            case 0, EISCONN: return .stands
            case EINPROGRESS, EALREADY:
                watch = loop.poller.watch(socket, self, BOX_EPOLLOUT | BOX_EPOLLET)
                return watch == nil ? .failed(UpstreamFailure(errno)) : .waits
            default: return .failed(UpstreamFailure(code))
            }
        }

        func ready(_ events: UInt32) {
            var code: CInt = 0
            var size = socklen_t(MemoryLayout<CInt>.size)
            let asked = unsafe getsockopt(socket, SOL_SOCKET, SO_ERROR, &code, &size)
            if asked < 0 { code = errno }
            ended?(code == 0 ? .stands : .failed(UpstreamFailure(code)))
        }

        func turn() {}

        /// The connection, which is the receiver's now.
        func take() -> Dialled {
            let isKnown = watch != nil
            forget()
            defer { socket = -1 }
            return Dialled(socket: socket, isKnown: isKnown, address: endpoint.address)
        }

        func giveUp() {
            forget()
            if socket >= 0 { close(socket) }
            socket = -1
        }

        private func forget() {
            if let watch { loop.poller.forget(watch) }
            watch = nil
            ended = nil
        }
    }
}

extension IPAddress {
    fileprivate var isV6: Bool {
        switch self {
        case .v4: false
        case .v6: true
        }
    }
}
