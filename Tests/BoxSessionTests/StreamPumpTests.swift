import BoxKernel
import BoxSession
import Glibc
import Testing

/// A descriptor that a test closes when it likes.
final class Handle {
    let number: CInt
    private var descriptor: Descriptor?

    init(_ descriptor: consuming Descriptor) {
        number = descriptor.number
        self.descriptor = consume descriptor
    }

    func close() { descriptor = nil }
    func duplicate() throws(KernelError) -> Descriptor {
        try Descriptor(owning: check("dup", fcntl(number, F_DUPFD_CLOEXEC, 3)))
    }
    func setNonBlocking(_ on: Bool) throws(KernelError) { try duplicate().setNonBlocking(on) }
    func write(all bytes: [UInt8]) throws(KernelError) { try duplicate().write(all: bytes) }
    func write(some bytes: ArraySlice<UInt8>) throws(KernelError) -> Int {
        try duplicate().write(some: bytes)
    }
    func read(upTo count: Int) throws(KernelError) -> [UInt8] { try duplicate().read(upTo: count) }
    func readAll(limit: Int) throws(KernelError) -> [UInt8] { try duplicate().readAll(limit: limit) }
}

/// What is read now from a descriptor that does not block; nil at the end of the file.
func readable(_ handle: Handle) throws -> [UInt8]? {
    do throws(KernelError) {
        let bytes = try handle.read(upTo: 1 << 16)
        return bytes.isEmpty ? nil : bytes
    } catch {
        if error.code == EAGAIN { return [] }
        if error.code == EIO { return nil }
        throw error
    }
}

/// Goes round the supervisor's loop until nothing happens any more.
func settle(_ pump: StreamPump) throws {
    while true {
        let ready = try poll(pump.interests, timeout: 0)
        if ready.isEmpty { return }
        pump.handle(ready)
    }
}

/// A pipe whose ends are closed one by one.
struct PipeEnds {
    let read: Handle
    let write: Handle

    init() throws {
        let pipe = try Pipe()
        read = Handle(try pipe.read.duplicate())
        write = Handle(try pipe.write.duplicate())
    }
}

/// A pseudo-terminal whose ends are closed one by one.
struct TerminalEnds {
    let master: Handle
    let slave: Handle

    init() throws {
        let terminal = try PseudoTerminal()
        master = Handle(try terminal.master.duplicate())
        slave = Handle(try terminal.slave.duplicate())
    }
}

private func isNonBlocking(_ number: CInt) -> Bool { fcntl(number, F_GETFL) & O_NONBLOCK != 0 }

private func isOpen(_ number: CInt) -> Bool { fcntl(number, F_GETFD) >= 0 }

/// A stream socket pair.
private func socketPair() throws -> (CInt, CInt) {
    var ends: [CInt] = [-1, -1]
    try unsafe check("socketpair", socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &ends))
    return (ends[0], ends[1])
}

@Suite struct StreamPumpTests {
    init() { _ = signal(SIGPIPE, SIG_IGN) }

    @Test func `bytes and the end of the file pass from a host pipe to the sandbox`() throws {
        let host = try PipeEnds()
        let sandbox = try PipeEnds()
        let pump = StreamPump(
            from: try StreamEnd(host: host.read.number, .source),
            to: try StreamEnd(own: try sandbox.write.duplicate()))
        sandbox.write.close()
        try sandbox.read.setNonBlocking(true)
        try host.write.write(all: Array("hello".utf8))
        try settle(pump)
        #expect(try readable(sandbox.read) == Array("hello".utf8))
        #expect(try readable(sandbox.read) == [])
        #expect(!pump.isFinished)
        host.write.close()
        try settle(pump)
        #expect(pump.isFinished)
        #expect(try readable(sandbox.read) == nil)
        #expect(pump.interests.isEmpty)
    }

    @Test func `an output that nobody reads ends the sandbox's pipe with SIGPIPE`() throws {
        let sandbox = try PipeEnds()
        let host = try PipeEnds()
        let pump = StreamPump(
            from: try StreamEnd(own: try sandbox.read.duplicate()),
            to: try StreamEnd(host: host.write.number, .sink))
        sandbox.read.close()
        try settle(pump)
        #expect(!pump.isFinished)
        host.read.close()
        try settle(pump)
        #expect(pump.isFinished)
        #expect(throws: KernelError(call: "write", code: EPIPE)) { try sandbox.write.write(all: [1]) }
    }

    @Test func `an input that the sandbox closed ends the host's pipe for its writer`() throws {
        let host = try PipeEnds()
        let sandbox = try PipeEnds()
        let number = host.read.number
        let pump = StreamPump(
            from: try StreamEnd(host: number, .source), to: try StreamEnd(own: try sandbox.write.duplicate()))
        sandbox.write.close()
        try host.write.write(all: [1, 2, 3])
        sandbox.read.close()
        try settle(pump)
        #expect(pump.isFinished)
        #expect(throws: KernelError(call: "write", code: EPIPE)) { try host.write.write(all: [1]) }
        // The number stays taken, and reads as empty.
        #expect(isOpen(number))
        #expect(try host.read.read(upTo: 1) == [])
    }

    @Test func `64 MiB pass a pipe unchanged, whatever the sizes of the pieces`() throws {
        let from = try PipeEnds()
        let to = try PipeEnds()
        let pump = StreamPump(
            from: try StreamEnd(own: try from.read.duplicate()),
            to: try StreamEnd(host: to.write.number, .sink))
        try from.write.setNonBlocking(true)
        try to.read.setNonBlocking(true)
        var random = Sequence64(state: 42)
        let total = 64 << 20
        let block = (0..<(1 << 20)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        var sent = 0
        var received = 0
        var isSame = true
        while received < total {
            if sent < total {
                let at = sent % block.count
                let size = min(Int(random.next() % 100_000) + 1, block.count - at, total - sent)
                do throws(KernelError) { sent += try from.write.write(some: block[at..<(at + size)]) } catch {
                    try #require(error.code == EAGAIN)
                }
            }
            pump.handle(try poll(pump.interests, timeout: 0))
            let size = Int(random.next() % 100_000) + 1
            do throws(KernelError) {
                let piece = try to.read.read(upTo: min(size, block.count - received % block.count))
                let at = received % block.count
                isSame = isSame && piece[...] == block[at..<(at + piece.count)]
                received += piece.count
            } catch { try #require(error.code == EAGAIN) }
        }
        #expect(isSame)
        #expect(sent == total)
    }

    @Test func `a slow reader slows the writer down, and little is kept in between`() throws {
        let from = try PipeEnds()
        let to = try PipeEnds()
        let pump = StreamPump(
            from: try StreamEnd(own: try from.read.duplicate()),
            to: try StreamEnd(host: to.write.number, .sink))
        try from.write.setNonBlocking(true)
        let block = [UInt8](repeating: 7, count: 1 << 16)
        var sent = 0
        while true {
            try settle(pump)
            do throws(KernelError) { sent += try from.write.write(some: block[...]) } catch {
                try #require(error.code == EAGAIN)
                break
            }
        }
        // Two pipes of 64 KiB and one buffer.
        #expect(sent <= 3 * (1 << 16))
        #expect(pump.hasPending)
        #expect(!pump.interests.contains { $0.events.contains(.read) })
        try to.read.setNonBlocking(true)
        from.write.close()
        var received = 0
        while let piece = try readable(to.read), !pump.isFinished || !piece.isEmpty {
            received += piece.count
            try settle(pump)
        }
        #expect(received == sent)
    }

    @Test func `the host's descriptors keep their flags`() throws {
        let pipe = try PipeEnds()
        let terminal = try TerminalEnds()
        let sockets = try socketPair()
        defer {
            _ = close(sockets.0)
            _ = close(sockets.1)
        }
        for (number, direction) in [
            (pipe.read.number, StreamEnd.Direction.source), (pipe.write.number, .sink),
            (terminal.slave.number, .source), (terminal.slave.number, .sink), (sockets.0, .source),
            (sockets.0, .sink), (terminal.master.number, .sink),
        ] {
            let before = fcntl(number, F_GETFL)
            let end = try StreamEnd(host: number, direction)
            #expect(end.number != number)
            #expect(fcntl(number, F_GETFL) == before)
            #expect(!isNonBlocking(number))
            #expect(fcntl(end.number, F_GETFD) & FD_CLOEXEC != 0)
        }
    }

    @Test func `a socket and a terminal as host ends do not make the relay wait`() throws {
        let sockets = try socketPair()
        let near = Handle(Descriptor(owning: sockets.0))
        let far = Handle(Descriptor(owning: sockets.1))
        let from = try PipeEnds()
        let pump = StreamPump(
            from: try StreamEnd(own: try from.read.duplicate()), to: try StreamEnd(host: near.number, .sink))
        try from.write.setNonBlocking(true)
        try far.setNonBlocking(true)
        let block = [UInt8](repeating: 9, count: 1 << 16)
        var sent = 0
        while sent < 4 << 20 {
            try settle(pump)
            do throws(KernelError) { sent += try from.write.write(some: block[...]) } catch {
                try #require(error.code == EAGAIN)
                break
            }
        }
        #expect(pump.hasPending)
        var received = 0
        while received < sent {
            received += try readable(far)?.count ?? 0
            try settle(pump)
        }
        #expect(received == sent)
    }

    @Test func `files are read and written at their own position`() throws {
        let path = "/tmp/box-pump-\(getpid())"
        let file = Handle(try Descriptor.open(path, O_RDWR | O_CREAT | O_TRUNC, mode: 0o600))
        defer { unsafe unlink(path) }
        try file.write(all: Array("before ".utf8))
        let from = try PipeEnds()
        let out = StreamPump(
            from: try StreamEnd(own: try from.read.duplicate()), to: try StreamEnd(host: file.number, .sink))
        try from.write.write(all: Array("inside".utf8))
        from.write.close()
        try settle(out)
        #expect(out.isFinished)
        try file.write(all: Array(" after".utf8))
        #expect(lseek(file.number, 7, SEEK_SET) == 7)
        let to = try PipeEnds()
        let inward = StreamPump(
            from: try StreamEnd(host: file.number, .source), to: try StreamEnd(own: try to.write.duplicate()))
        to.write.close()
        try settle(inward)
        #expect(inward.isFinished)
        #expect(try to.read.readAll(limit: 100) == Array("inside after".utf8))
    }

    @Test func `a full disk ends the stream and is told`() throws {
        let full = try Descriptor.open("/dev/full", O_WRONLY)
        let from = try PipeEnds()
        let pump = StreamPump(
            from: try StreamEnd(own: try from.read.duplicate()), to: try StreamEnd(host: full.number, .sink))
        try from.write.write(all: [1])
        try settle(pump)
        #expect(pump.isFinished)
        #expect(pump.failure == KernelError(call: "write", code: ENOSPC))
    }

    @Test func `a stream to a terminal is filtered, and what is incomplete at its end is dropped`() throws {
        let from = try PipeEnds()
        let to = try PipeEnds()
        let pump = StreamPump(
            from: try StreamEnd(own: try from.read.duplicate()),
            to: try StreamEnd(host: to.write.number, .sink),
            filter: TerminalFilter(mode: .oneWay))
        try from.write.write(all: Array("a\u{1B}]52;c;YQ==\u{7}b\u{1B}[6nc\u{1B}[3".utf8))
        try settle(pump)
        from.write.close()
        try settle(pump)
        #expect(pump.isFinished)
        to.write.close()
        #expect(try to.read.readAll(limit: 100) == Array("abc".utf8))
        #expect(pump.filter?.removed == 2)
    }

    @Test func `a pause stops the reading and nothing else`() throws {
        let from = try PipeEnds()
        let to = try PipeEnds()
        try to.read.setNonBlocking(true)
        let pump = StreamPump(
            from: try StreamEnd(host: from.read.number, .source),
            to: try StreamEnd(own: try to.write.duplicate()))
        pump.isPaused = true
        try from.write.write(all: [1])
        try settle(pump)
        #expect(try readable(to.read) == [])
        pump.isPaused = false
        try settle(pump)
        #expect(try readable(to.read) == [1])
    }

    @Test func `a pty's master whose slaves are closed is at its end, after the last output`() throws {
        let terminal = try TerminalEnds()
        let to = try PipeEnds()
        let pump = StreamPump(
            from: try StreamEnd(own: try terminal.master.duplicate()),
            to: try StreamEnd(host: to.write.number, .sink))
        try terminal.slave.write(all: Array("last words\n".utf8))
        terminal.slave.close()
        try settle(pump)
        #expect(pump.isFinished)
        #expect(pump.failure == nil)
        to.write.close()
        #expect(try to.read.readAll(limit: 100) == Array("last words\r\n".utf8))
    }
}
