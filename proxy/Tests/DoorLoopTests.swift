import BoxAudit
import BoxProxy
import BoxTypes
import Glibc
import NIOCore
import Synchronization
import Testing

/// What four threads left.
private final class Numbers: Sendable {
    private let lists = Mutex<[[Int]]>(Array(repeating: [], count: 4))
    func add(_ number: Int, of thread: Int) { lists.withLock { $0[thread].append(number) } }
    var all: [[Int]] { lists.withLock { $0 } }
}

/// The event loop by itself.
@Suite(.timeLimit(.minutes(1))) struct DoorLoopTests {
    @Test func `timers go off in the order of their times, and cancelled ones do not`() throws {
        let loop = try DoorLoop()
        let order = Mutex<[Int]>([])
        var timers: [Scheduled<Void>] = []
        for number in [5, 3, 9, 1, 7, 2, 8, 4, 6] {
            let timer = loop.scheduleTask(in: .milliseconds(Int64(20 + 5 * number))) {
                order.withLock { $0.append(number) }
            }
            timers.append(timer)
        }
        for place in [1, 4] { timers[place].cancel() }
        try timers[2].futureResult.wait()
        #expect(order.withLock { $0 } == [1, 2, 4, 5, 6, 8, 9])
        #expect(throws: EventLoopError.self) { try timers[1].futureResult.wait() }
        loop.stop()
    }

    @Test func `tasks of many threads are all done, those of one thread in order`() async throws {
        let loop = try DoorLoop()
        let seen = Numbers()
        await withTaskGroup(of: Void.self) { group in
            for thread in 0..<4 {
                group.addTask {
                    for number in 0..<2000 {
                        loop.execute { seen.add(number, of: thread) }
                    }
                }
            }
        }
        loop.stop()
        #expect(seen.all == Array(repeating: Array(0..<2000), count: 4))
    }

    @Test func `a loop that ends keeps no promise open, and leaves no descriptor`() async {
        // In a process of its own, since others open descriptors meanwhile.
        await #expect(processExitsWith: .success) {
            let before = openDescriptors()
            for _ in 0..<10 {
                let loop = try DoorLoop()
                let ending = Mutex<(any Error)?>(nil)
                loop.scheduleTask(in: .hours(1)) {}.futureResult.whenFailure { error in
                    ending.withLock { $0 = error }
                }
                loop.stop()
                guard case .some(.shutdown) = ending.withLock({ $0 }) as? EventLoopError else { exit(1) }
                // Too late: it is dropped, and nothing hangs.
                loop.execute { exit(2) }
            }
            // The language's runtime may open one meanwhile; ten loops would leave twenty.
            exit(openDescriptors() - before < 10 ? 0 : 3)
        }
    }
}

/// Events on their way to the supervisor.
@Suite struct ReportMessageTests {
    private static func event(_ number: Int, size: Int = 10) -> ProxyReport {
        .event(
            Event(
                .netDeny,
                [
                    .init("number", .number(number)),
                    .init("text", .text(String(repeating: "x", count: size))),
                ]))
    }

    /// All messages of these reports, as the supervisor reads them: tag, and the numbers of the events.
    private static func read(_ reports: [ProxyReport]) throws -> [(tag: UInt8, numbers: [Int])] {
        var messages: [(UInt8, [Int])] = []
        var rest = reports[...]
        while !rest.isEmpty {
            let (bytes, count) = ProxyReport.message(rest)
            #expect(count > 0)
            #expect(bytes.count < 1 << 16, "longer than a packet may be")
            var numbers: [Int] = []
            var reader = WireReader(Array(bytes.dropFirst()))
            if bytes[0] == ProxyMessage.event.rawValue {
                repeat {
                    numbers.append(try Event(from: &reader).number("number") ?? -1)
                } while !reader.isAtEnd
                #expect(numbers.count == count)
            }
            messages.append((bytes[0], numbers))
            rest = rest.dropFirst(count)
        }
        return messages
    }

    @Test func `events that follow each other are one message, in order`() throws {
        let messages = try Self.read((0..<20).map { Self.event($0) })
        #expect(messages.map(\.numbers) == [Array(0..<20)])
    }

    @Test func `long events make several messages, none too long for a packet`() throws {
        let messages = try Self.read((0..<40).map { Self.event($0, size: 9000) })
        #expect(messages.flatMap(\.numbers) == Array(0..<40))
        #expect(messages.count == 20)
    }

    @Test func `other reports are messages of their own, in their place`() throws {
        let reports = [
            Self.event(0), Self.event(1), .applied(7, closed: 2), .wantsSockets, .wantsSockets, Self.event(2),
        ]
        let messages = try Self.read(reports)
        #expect(messages.map(\.tag) == [4, 7, 8, 8, 4])
        #expect(messages.map(\.numbers) == [[0, 1], [], [], [], [2]])
    }
}

/// What the loop's own sockets do.
extension SocketTests {
    @Suite(.timeLimit(.minutes(2))) struct DoorSocketTests {
        @Test func `nothing is dialled before the log has it`() throws {
            let setting = try RunningProxy()
            setting.stall(true)
            let program = try Wire(to: setting.port)
            try program.send("CONNECT \(setting.target) HTTP/1.1\r\n\r\n")
            // Behind it, another request shows that the proxy has had its turn.
            _ = try setting.ask("CONNECT evil.com:1 HTTP/1.1\r\n\r\n")
            #expect(!setting.origin.hasConnection, "dialled without a log")
            setting.stall(false)
            let server = try setting.origin.accept()
            #expect(setting.events.map(\.kind) == [.netAllow, .netDeny])
            #expect(try program.receive(until: "\r\n\r\n").hasPrefix("HTTP/1.1 200 "))
            program.close()
            server.close()
            try setting.stop()
        }

        @Test func `who waits for a rule and goes is not let in, also with bytes that nobody has read`()
            throws
        {
            let setting = try RunningProxy(hold: 60) { $0.allow = [] }
            let program = try Wire(to: setting.port)
            try program.send("CONNECT \(setting.target) HTTP/1.1\r\n\r\n")
            try setting.event(.netDeny)
            try program.send("more")
            program.endOutput()
            // The connection ends, although it would have waited for a minute.
            #expect(program.endCode() == ECONNRESET)
            try setting.server.apply(try networkRules([setting.target]), number: 1)
            try setting.reported(.applied(1, closed: 0))
            #expect(!setting.events.contains { $0.kind == .netAllow })
            program.close()
            try setting.stop()
        }

        @Test func `a server that takes no connection is waited for, and the other address is tried`() throws
        {
            let full = try Wire.listener(backlog: 0)
            // A backlog of 0 holds one connection that nobody has accepted; then the kernel drops what comes.
            let first = try Wire(to: full.port)
            let setting = try RunningProxy(alsoAllow: ["localhost:\(full.port)"])
            let program = try Wire(to: setting.port)
            try program.send("CONNECT localhost:\(full.port) HTTP/1.1\r\n\r\n")
            try setting.event(.netAllow)
            let held = try full.accept()
            // The kernel tries again after a second. On ::1, which was tried meanwhile, nobody listens.
            let server = try full.accept()
            #expect(try program.receive(until: "\r\n\r\n").hasPrefix("HTTP/1.1 200 "))
            try server.send("late")
            server.close()
            #expect(try program.receiveAll() == "late")
            for end in [first, held, program, full] { end.close() }
            try setting.stop()
        }

        @Test func `a program that goes while its server is dialled leaves nothing behind`() throws {
            let full = try Wire.listener(backlog: 0)
            let first = try Wire(to: full.port)
            let setting = try RunningProxy(alsoAllow: ["localhost:\(full.port)"])
            let before = openDescriptors()
            let program = try Wire(to: setting.port)
            try program.send("CONNECT localhost:\(full.port) HTTP/1.1\r\n\r\n")
            try setting.event(.netAllow)
            program.reset()
            #expect(try setting.event(.netClose).text("detail") == "the program's connection broke")
            try full.accept().close()
            // What was on its way stands after a second, and is closed.
            try full.accept().close()
            #expect(becomes { openDescriptors() <= before })
            for end in [first, full] { end.close() }
            try setting.stop()
        }

        @Test
        func `a long answer and a long request pass plain HTTP unchanged, however slow the other side is`()
            async throws
        {
            let setting = try RunningProxy()
            let program = try Wire(to: setting.port)
            let size = 16 << 20
            let block = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 11) }
            let sending = Task.detached {
                try program.send(
                    "POST http://\(setting.target)/ HTTP/1.1\r\nHost: x\r\nContent-Length: \(size)\r\n\r\n")
                try program.send(block)
            }
            let server = try setting.origin.accept()
            _ = try server.receive(until: "\r\n\r\n")
            // The kernel's buffers and the proxy's are full long before it is read: the program has to wait.
            nextLook()
            #expect(try server.receive(exactly: size) == block)
            _ = try await sending.value
            let answering = Task.detached {
                try server.send("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n")
                try server.send(block)
                server.close()
            }
            _ = try program.receive(until: "\r\n\r\n")
            nextLook()
            #expect(try program.receive(exactly: size) == block)
            _ = try await answering.value
            program.close()
            let close = try setting.event(.netClose)
            #expect(close.text("detail") == nil)
            #expect(try #require(close.number("bytes_down")) > size)
            try setting.stop()
        }

        @Test func `an address of this machine is refused in a network that a rule opens, each time`() throws
        {
            guard let (address, network) = ownAddress() else { return }
            let setting = try RunningProxy(alsoAllow: ["\(network):9"])
            // The first asks for the machine's addresses, the second uses the answer.
            for _ in 0..<2 {
                let answer = try setting.ask("CONNECT \(address):9 HTTP/1.1\r\n\r\n")
                #expect(answer.hasPrefix("HTTP/1.1 403 "))
                #expect(answer.contains("\"reason\":\"address\""))
            }
            #expect(!setting.events.contains { $0.kind == .netAllow })
            try setting.stop()
        }

        @Test func `without a descriptor for another connection the loop rests and then goes on`() async {
            await #expect(processExitsWith: .success) {
                let setting = try RunningProxy()
                let programs = try (0..<3).map { _ in try Wire(to: setting.port) }
                // Each is answered once, so that all are accepted.
                for program in programs {
                    try program.send("GET http://evil.com/ HTTP/1.1\r\nHost: evil.com\r\n\r\n")
                    guard try program.receive(1).count == 1 else { exit(5) }
                }
                let waiting = try Wire(unconnected: SOCK_STREAM)
                var limit = rlimit(rlim_cur: rlim_t(openDescriptors()), rlim_max: 4096)
                let all = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
                guard unsafe setrlimit(all, &limit) == 0 else { exit(1) }
                try waiting.connect(to: setting.port)
                let before = clock()
                for _ in 0..<200 { nextLook() }
                // It would be all of the time if the loop did not rest.
                guard clock() - before < 100_000 else { exit(2) }
                limit.rlim_cur = 4096
                guard unsafe setrlimit(all, &limit) == 0 else { exit(3) }
                try waiting.send("CONNECT evil.com:1 HTTP/1.1\r\n\r\n")
                guard try waiting.receiveAll().hasPrefix("HTTP/1.1 403 ") else { exit(4) }
                for program in programs { program.close() }
                exit(0)
            }
        }
    }
}

/// An IPv4 address of this machine that is not on the loopback, and the private network of it; nil if it has none.
private func ownAddress() -> (address: String, network: String)? {
    var list: UnsafeMutablePointer<ifaddrs>?
    guard unsafe getifaddrs(&list) == 0 else { return nil }
    defer { if let list = unsafe list { unsafe freeifaddrs(list) } }
    var next = unsafe list
    while let entry = unsafe next {
        unsafe next = entry.pointee.ifa_next
        guard let address = unsafe entry.pointee.ifa_addr, unsafe CInt(address.pointee.sa_family) == AF_INET
        else { continue }
        let value = unsafe UInt32(
            bigEndian: UnsafeRawPointer(address).loadUnaligned(fromByteOffset: 4, as: UInt32.self))
        let text = IPAddress.v4(value).description
        if value >> 24 == 10 { return (text, "10.0.0.0/8") }
        if value >> 20 == 0xAC1 { return (text, "172.16.0.0/12") }
        if value >> 16 == 0xC0A8 { return (text, "192.168.0.0/16") }
    }
    return nil
}

extension Wire {
    /// Whether a connection waits to be accepted.
    fileprivate var hasConnection: Bool {
        var entry = pollfd(fd: number, events: Int16(POLLIN), revents: 0)
        return unsafe poll(&entry, 1, 0) == 1
    }

    /// Waits for the end of the input, and says how it came; 0 is an orderly end.
    fileprivate func endCode() -> CInt {
        do { return try receive().isEmpty ? 0 : -1 } catch { return (error as? Failure)?.code ?? -1 }
    }

    fileprivate func receive(exactly count: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            let part = try receive(min(1 << 18, count - bytes.count))
            guard !part.isEmpty else { throw Failure(call: "recv", code: 0) }
            bytes += part
        }
        return bytes
    }
}
