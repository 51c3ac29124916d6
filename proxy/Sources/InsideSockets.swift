internal import BoxKernel
internal import BoxTypes
internal import Glibc
internal import NIOCore

/// Sockets that were made inside the sandbox and are not connected yet. Each carries one connection to a server
/// inside: the proxy itself has no way into that network.
final class InsideSockets {
    /// With fewer the supervisor is asked for more.
    static let fewest = 32
    /// For how long a connection waits for a socket, and then for the server.
    private static let patience = TimeAmount.seconds(2)
    private static let nextLook = TimeAmount.milliseconds(10)

    /// Whether there is any published port.
    var isWanted = false
    private let loop: DoorLoop
    private let ask: () -> Void
    private var stock: [CInt] = []
    private var waiting = CircularBuffer<Taker>()
    private var isAsking = false

    /// Somebody who waits for a socket.
    private final class Taker {
        var take: ((CInt?) -> Void)?
        init(_ take: @escaping (CInt?) -> Void) { self.take = take }
    }

    init(loop: DoorLoop, ask: @escaping () -> Void) {
        self.loop = loop
        self.ask = ask
    }

    deinit { for number in stock { close(number) } }

    /// Takes a socket into the stock; it is the stock's own from here on.
    func add(_ number: CInt) {
        isAsking = false
        while let taker = waiting.popFirst() {
            guard let take = taker.take else { continue }
            taker.take = nil
            return take(number)
        }
        stock.append(number)
    }

    /// Asks for more sockets, if there are few and nobody has been asked.
    func checkStock() {
        guard isWanted, stock.count < InsideSockets.fewest, !isAsking else { return }
        isAsking = true
        ask()
    }

    /// Calls `done` once with a connection to a port of the sandbox's loopback, which is the receiver's own.
    func connect(to port: Port, _ done: @escaping (Result<CInt, UpstreamFailure>) -> Void) {
        take { [loop] number in
            guard let number else { return done(.failure(.noSocket)) }
            do throws(KernelError) { try RelayOptions.set(number, isLocal: true) } catch {
                close(number)
                return done(.failure(UpstreamFailure(error.code)))
            }
            InsideAttempt(number, port, loop, deadline: .now() + InsideSockets.patience).go(done)
        }
    }

    private func take(_ use: @escaping (CInt?) -> Void) {
        defer { checkStock() }
        if let number = stock.popLast() { return use(number) }
        let taker = Taker(use)
        waiting.append(taker)
        loop.assumeIsolated().scheduleTask(in: InsideSockets.patience) { [weak self] in
            guard let take = taker.take else { return }
            taker.take = nil
            // Whoever was asked did not answer.
            self?.isAsking = false
            take(nil)
        }
    }

    /// One connection that is being made. On loopback the answer is there when connect(2) returns; only a server
    /// that is slow to accept makes it wait.
    private final class InsideAttempt {
        private let number: CInt
        private let loop: DoorLoop
        private let deadline: NIODeadline
        private var targets: [Endpoint]

        init(_ number: CInt, _ port: Port, _ loop: DoorLoop, deadline: NIODeadline) {
            self.number = number
            self.loop = loop
            self.deadline = deadline
            targets = Endpoint.loopback(for: number, port)
        }

        func go(_ done: @escaping (Result<CInt, UpstreamFailure>) -> Void) {
            guard let target = targets.first else { return fail(.refused("refused"), done) }
            switch target.connect(number) {
            case 0: done(.success(number))
            case EINPROGRESS, EALREADY:
                // The second call tells what became of the first.
                let code = target.connect(number)
                if code == 0 { return done(.success(number)) }
                guard code == EALREADY || code == EINPROGRESS else { return next(code, done) }
                guard NIODeadline.now() < deadline else { return fail(.connectTimeout, done) }
                loop.assumeIsolated().scheduleTask(in: InsideSockets.nextLook) { self.go(done) }
            case let code: next(code, done)
            }
        }

        private func next(_ code: CInt, _ done: @escaping (Result<CInt, UpstreamFailure>) -> Void) {
            targets.removeFirst()
            if targets.isEmpty { fail(UpstreamFailure(code), done) } else { go(done) }
        }

        private func fail(
            _ failure: UpstreamFailure, _ done: @escaping (Result<CInt, UpstreamFailure>) -> Void
        ) {
            close(number)
            done(.failure(failure))
        }
    }
}
