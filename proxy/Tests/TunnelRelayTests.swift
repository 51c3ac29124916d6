import BoxProxy
import BoxTypes
import Glibc
import NIOCore
import NIOPosix
import Synchronization
import Testing

/// One connection on loopback: the end of a test, and the end that the relay gets.
private struct WirePair {
    let test: Wire
    let relay: CInt

    init(_ listener: Wire) throws {
        test = try Wire(to: listener.port)
        relay = try listener.accept().number
    }
}

/// Ends of tunnels, as they come.
private final class Ends: Sendable {
    private let ends = Mutex<[TunnelRelay.End]>([])

    var all: [TunnelRelay.End] { ends.withLock { $0 } }
    func add(_ end: TunnelRelay.End) { ends.withLock { $0.append(end) } }

    /// Waits until there are so many.
    func wait(for count: Int = 1) throws -> [TunnelRelay.End] {
        for _ in 0..<20_000 {
            let all = all
            if all.count >= count { return all }
            nextLook()
        }
        throw Wire.Failure(call: "\(count) ends, \(all.count) came", code: 0)
    }
}

/// A relay, and tunnels through it over TCP.
private final class Rig: Sendable {
    let relay: TunnelRelay
    let ends = Ends()
    private let listener: Wire

    init() throws {
        relay = try TunnelRelay()
        listener = try Wire.listener()
    }

    func connection() throws -> WirePair { try WirePair(listener) }

    func tunnel(
        early: [UInt8] = [], accounts: [ByteAccount] = [], counted: (up: Int, down: Int) = (0, 0),
        idle: Double = 600
    ) throws -> (program: Wire, server: Wire, id: TunnelID) {
        let (client, upstream) = (try connection(), try connection())
        let ends = ends
        let id = relay.add(
            client: client.relay, upstream: upstream.relay, early: early, accounts: accounts,
            counted: counted, idle: idle
        ) { ends.add($0) }
        return (client.test, upstream.test, id)
    }

    func stop() {
        relay.stop()
        listener.close()
    }
}

/// Bytes in which each place has its own value, so that a loss or a doubling shows.
private func pattern(_ count: Int, seed: UInt64) -> [UInt8] {
    var state = seed
    var bytes = [UInt8]()
    bytes.reserveCapacity(count)
    for _ in 0..<count {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        bytes.append(UInt8(truncatingIfNeeded: state >> 33))
    }
    return bytes
}

extension Wire {
    /// Everything up to the end.
    fileprivate func receiveBytes(pieces: Int = 1 << 16) throws -> [UInt8] {
        var all: [UInt8] = []
        while true {
            let part = try receive(pieces)
            if part.isEmpty { return all }
            all += part
        }
    }

    /// What is left to read: how it ended; 0 is an orderly end.
    fileprivate func endCode() -> CInt {
        while true {
            do { if try receive().isEmpty { return 0 } } catch { return (error as? Failure)?.code ?? -1 }
        }
    }
}

private let threads: NIOThreadPool = {
    let pool = NIOThreadPool(numberOfThreads: 16)
    pool.start()
    return pool
}()

/// Work that blocks, on a thread of its own from now on.
private func beside<Result: Sendable>(_ work: @escaping @Sendable () throws -> Result) -> Beside<Result> {
    Beside(result: threads.runIfActive(eventLoop: MultiThreadedEventLoopGroup.singleton.next(), work))
}

private struct Beside<Result: Sendable> {
    fileprivate let result: EventLoopFuture<Result>
    var value: Result { get async throws { try await result.get() } }
}

@Suite struct TunnelRelayTests {
    @Test(arguments: [1, 1000, 16 << 10, 300 << 10])
    func `both ways at once, every byte arrives once and in order`(pieces: Int) async throws {
        let rig = try Rig()
        let (program, server, _) = try rig.tunnel()
        let size = pieces == 1 ? 20_000 : 12 << 20
        let (up, down) = (pattern(size, seed: 1), pattern(size, seed: 2))
        let sends = [(program, up), (server, down)].map { wire, bytes in
            beside {
                try wire.send(bytes)
                wire.endOutput()
            }
        }
        let gotUp = beside { try server.receiveBytes(pieces: pieces) }
        let gotDown = beside { try program.receiveBytes(pieces: pieces) }
        #expect(try await gotUp.value == up)
        #expect(try await gotDown.value == down)
        for send in sends { try await send.value }
        #expect(try rig.ends.wait() == [.init(bytesUp: size, bytesDown: size, reason: .finished)])
        program.close()
        server.close()
        rig.stop()
    }

    @Test func `the end of one direction leaves the other open`() throws {
        let rig = try Rig()
        for isProgramFirst in [true, false] {
            let (program, server, _) = try rig.tunnel()
            let (first, second) = isProgramFirst ? (program, server) : (server, program)
            try first.send("question")
            first.endOutput()
            #expect(try second.receiveAll() == "question")
            for round in 0..<5 {
                try second.send("answer \(round)")
                #expect(try first.receive() == Array("answer \(round)".utf8))
            }
            second.endOutput()
            #expect(try first.receive().isEmpty)
            first.close()
            second.close()
        }
        #expect(try rig.ends.wait(for: 2).allSatisfy { $0.reason == .finished })
        rig.stop()
    }

    @Test func `a side that reads nothing stops the other, with bounded memory, and loses nothing`()
        async throws
    {
        let rig = try Rig()
        let account = ByteAccount(NetworkLimits())
        let (program, server, _) = try rig.tunnel(accounts: [account])
        let size = 64 << 20
        let sending = beside {
            try program.send([UInt8](repeating: 7, count: size))
            program.endOutput()
        }
        // It is stuck when the relay has read nothing new for a while; a look takes a millisecond.
        var (last, quiet) = (-1, 0)
        while quiet < 200 {
            let now = account.total.up
            quiet = now == last && now > 0 ? quiet + 1 : 0
            last = now
            nextLook()
        }
        #expect(last < size / 2, "the relay took \(last) bytes that nobody reads")
        let received = beside { try server.receiveBytes().count }
        #expect(try await received.value == size)
        try await sending.value
        program.close()
        server.close()
        _ = try rig.ends.wait()
        rig.stop()
    }

    @Test func `a reset on one side is a reset on the other`() throws {
        let rig = try Rig()
        for (number, isProgram) in [true, false].enumerated() {
            let (program, server, _) = try rig.tunnel()
            let (breaking, other) = isProgram ? (program, server) : (server, program)
            try breaking.send("x")
            #expect(try other.receive() == [0x78])
            breaking.reset()
            #expect(other.endCode() == ECONNRESET)
            let end = try rig.ends.wait(for: number + 1).last
            #expect(end?.reason == .broken(isProgram ? .client : .upstream, code: ECONNRESET))
            #expect(end.map { $0.bytesUp + $0.bytesDown } == 1)
            other.close()
        }
        rig.stop()
    }

    @Test func `a tunnel that is quiet for too long ends, one that is not goes on`() throws {
        let rig = try Rig()
        let (program, server, _) = try rig.tunnel()
        let (quiet, quietServer, _) = try rig.tunnel(idle: 0.05)
        #expect(quiet.endCode() == ECONNRESET)
        #expect(quietServer.endCode() == ECONNRESET)
        #expect(try rig.ends.wait() == [.init(bytesUp: 0, bytesDown: 0, reason: .idle)])
        try program.send("still here")
        #expect(try server.receive() == Array("still here".utf8))
        for wire in [program, server, quiet, quietServer] { wire.close() }
        rig.stop()
    }

    @Test func `early bytes go first, and everything is counted on top of what was counted before`() throws {
        let rig = try Rig()
        let account = ByteAccount(NetworkLimits())
        let (program, server, _) = try rig.tunnel(
            early: Array("early ".utf8), accounts: [account], counted: (100, 1000))
        try program.send("late")
        program.endOutput()
        #expect(try server.receiveAll() == "early late")
        try server.send("down")
        server.close()
        #expect(try program.receiveAll() == "down")
        #expect(try rig.ends.wait() == [.init(bytesUp: 110, bytesDown: 1004, reason: .finished)])
        #expect(account.total == (10, 4))
        program.close()
        rig.stop()
    }

    @Test func `a tunnel is closed by its name, once, and others stay`() throws {
        let rig = try Rig()
        let (program, server, id) = try rig.tunnel()
        let (other, otherServer, _) = try rig.tunnel()
        rig.relay.close(id)
        rig.relay.close(id)
        #expect(program.endCode() == ECONNRESET)
        #expect(server.endCode() == ECONNRESET)
        try other.send("x")
        #expect(try otherServer.receive() == [0x78])
        #expect(try rig.ends.wait().map(\.reason) == [.closed])
        for wire in [program, server, other, otherServer] { wire.close() }
        rig.stop()
    }

    @Test func `stop ends everything, and what comes later is refused`() throws {
        let rig = try Rig()
        let wires = try (0..<5).flatMap { _ in
            let (program, server, _) = try rig.tunnel()
            return [program, server]
        }
        rig.relay.stop()
        #expect(rig.ends.all.map(\.reason) == Array(repeating: .closed, count: 5))
        let (late, lateServer, _) = try rig.tunnel(counted: (3, 4))
        #expect(rig.ends.all.last == .init(bytesUp: 3, bytesDown: 4, reason: .closed))
        for wire in wires + [late, lateServer] {
            #expect(wire.endCode() == ECONNRESET)
            wire.close()
        }
        rig.stop()
    }

    @Test func `a tunnel that moves much leaves turns to the others`() async throws {
        let rig = try Rig()
        let account = ByteAccount(NetworkLimits())
        let (bulk, bulkServer, _) = try rig.tunnel(accounts: [account])
        let (program, server, _) = try rig.tunnel()
        let isOver = Atomic(false)
        let sending = beside {
            let bytes = [UInt8](repeating: 1, count: 1 << 20)
            while !isOver.load(ordering: .relaxed) { try bulk.send(bytes) }
            bulk.endOutput()
        }
        let taking = beside { while try !bulkServer.receive(1 << 20).isEmpty {} }
        while account.total.up < 8 << 20 { nextLook() }
        for _ in 0..<200 {
            try program.send("ping")
            #expect(try server.receive() == Array("ping".utf8))
        }
        isOver.store(true, ordering: .relaxed)
        try await sending.value
        try await taking.value
        for wire in [bulk, bulkServer, program, server] { wire.close() }
        rig.stop()
    }

    @Test func `as many tunnels as descriptors allow, each with its own bytes, and none is left`() throws {
        var files = rlimit()
        unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &files)
        files.rlim_cur = files.rlim_max
        unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &files)
        let rig = try Rig()
        // Four for each: both ends of both connections are in this process.
        let count = min(5000, (Int(files.rlim_max) - openDescriptors() - 500) / 4)
        var tunnels: [(program: Wire, server: Wire)] = []
        for _ in 0..<count {
            let (program, server, _) = try rig.tunnel()
            tunnels.append((program, server))
        }
        for (number, tunnel) in tunnels.enumerated() { try tunnel.program.send("tunnel \(number)") }
        for (number, tunnel) in tunnels.enumerated() {
            #expect(try tunnel.server.receive() == Array("tunnel \(number)".utf8))
        }
        for (number, tunnel) in tunnels.enumerated() {
            if number.isMultiple(of: 2) { tunnel.program.close() } else { tunnel.server.reset() }
        }
        for (number, tunnel) in tunnels.enumerated() {
            if number.isMultiple(of: 2) { tunnel.server.close() } else { tunnel.program.close() }
        }
        #expect(try rig.ends.wait(for: count).count == count)
        rig.stop()
    }

    @Test func `no descriptor of a relay or its tunnels is left`() async throws {
        await #expect(processExitsWith: .success) {
            var before = 0
            for round in 0..<20 {
                let rig = try Rig()
                for number in 0..<10 {
                    let (program, server, id) = try rig.tunnel()
                    if number == 3 { program.reset() } else { program.close() }
                    if number == 5 { rig.relay.close(id) }
                    server.close()
                }
                rig.stop()
                guard rig.ends.all.count == 10 else { exit(2) }
                // Whatever opens something once, outside of the relay, has done so.
                if round == 0 { before = openDescriptors() }
            }
            exit(openDescriptors() <= before ? 0 : 1)
        }
    }
}

@Suite struct TunnelLimitTests {
    @Test func `a rate slows a tunnel and loses nothing`() async throws {
        let rig = try Rig()
        var limits = NetworkLimits()
        limits.bytesPerSecond = ByteSize(bytes: 1_000_000)
        let (program, server, _) = try rig.tunnel(accounts: [ByteAccount(limits)])
        let bytes = pattern(700_000, seed: 5)
        let clock = ContinuousClock()
        let began = clock.now
        let sending = beside {
            try server.send(bytes)
            server.endOutput()
        }
        #expect(try program.receiveBytes() == bytes)
        // A quarter of a second's bytes may come at once.
        let took = began.duration(to: clock.now)
        #expect(took > .milliseconds(350) && took < .seconds(3), "\(took)")
        try await sending.value
        program.close()
        server.close()
        #expect(try rig.ends.wait().first?.reason == .finished)
        rig.stop()
    }

    @Test func `a limit that is lifted lets a slowed tunnel go on`() throws {
        let rig = try Rig()
        var limits = NetworkLimits()
        limits.bytesPerSecond = ByteSize(bytes: 100)
        let account = ByteAccount(limits)
        let (program, server, _) = try rig.tunnel(accounts: [account])
        // At this rate the rest would take an hour.
        try program.send([UInt8](repeating: 0, count: 400_000))
        program.endOutput()
        while account.total.up == 0 { nextLook() }
        account.update(NetworkLimits())
        var got = 0
        while true {
            let part = try server.receive()
            if part.isEmpty { break }
            got += part.count
        }
        #expect(got == 400_000)
        program.close()
        server.close()
        _ = try rig.ends.wait()
        rig.stop()
    }

    @Test func `a rate that closes ends the tunnel that is too fast, and no other`() throws {
        let rig = try Rig()
        var limits = NetworkLimits()
        limits.bytesPerSecond = ByteSize(bytes: 1000)
        limits.excess = .close
        let account = ByteAccount(limits)
        let (slow, slowServer, id) = try rig.tunnel(accounts: [account])
        let (program, server, _) = try rig.tunnel(accounts: [account])
        try program.send([UInt8](repeating: 0, count: 5000))
        #expect(server.endCode() == ECONNRESET)
        rig.relay.close(id)
        #expect(slow.endCode() == ECONNRESET)
        let reasons = try rig.ends.wait(for: 2).map(\.reason)
        #expect(reasons == [.limit("bytes_per_second"), .closed])
        for wire in [slow, slowServer, program, server] { wire.close() }
        rig.stop()
    }

    @Test(arguments: [true, false])
    func `what a budget does not allow does not pass, and every tunnel of the scope ends`(isUp: Bool) throws {
        let rig = try Rig()
        var limits = NetworkLimits()
        if isUp {
            limits.upload = ByteSize(bytes: 100_000)
        } else {
            limits.download = ByteSize(bytes: 100_000)
        }
        let (session, other) = (ByteAccount(limits), ByteAccount(limits))
        let (quiet, quietServer, _) = try rig.tunnel(accounts: [ByteAccount(NetworkLimits()), session])
        let (apart, apartServer, _) = try rig.tunnel(accounts: [other])
        let (program, server, _) = try rig.tunnel(accounts: [session])
        let (sender, receiver) = isUp ? (program, server) : (server, program)
        try sender.send([UInt8](repeating: 0, count: 100_000))
        var got = 0
        while got < 100_000 { got += try receiver.receive().count }
        #expect(rig.ends.all.isEmpty, "the last byte that may pass does not end the tunnel")
        try sender.send([0])
        #expect(receiver.endCode() == ECONNRESET)
        for wire in [quiet, quietServer] { #expect(wire.endCode() == ECONNRESET) }
        let ends = try rig.ends.wait(for: 2)
        #expect(ends.map(\.reason) == Array(repeating: .limit(isUp ? "upload" : "download"), count: 2))
        #expect(ends.map { $0.bytesUp + $0.bytesDown } == [100_000, 0])
        try apart.send("x")
        #expect(try apartServer.receive() == [0x78])
        for wire in [quiet, quietServer, apart, apartServer, program, server] { wire.close() }
        rig.stop()
    }

    @Test func `the relay runs under the proxy's confinement`() async {
        await #expect(processExitsWith: .success) {
            let identity: UInt32? = geteuid() == 0 ? 65534 : nil
            try Confinement.enter(
                ProxyConfiguration(session: "s", rules: NetworkRules(), identity: identity))
            let rig = try Rig()
            let (program, server, _) = try rig.tunnel()
            try program.send("through")
            program.endOutput()
            guard try server.receiveAll() == "through" else { exit(1) }
            server.close()
            guard try rig.ends.wait().first?.reason == .finished else { exit(2) }
            rig.stop()
            exit(0)
        }
    }
}
