import BoxProxy
import Glibc
import NIOCore
import Testing

/// A service on real sockets, with the answer of a fixed text.
private final class Server {
    let datagrams: UInt16
    let streams: UInt16
    private let loop: DoorLoop

    init(patience: TimeAmount = DNSService.patience) throws {
        let loop = try DoorLoop()
        self.loop = loop
        let datagram = try Wire.bound(SOCK_DGRAM)
        let stream = try Wire.listener()
        datagrams = datagram.port
        streams = stream.port
        try loop.submit {
            let service = DNSService(loop, patience: patience) { question in
                question.readableBytes < 12
                    ? nil : ByteBuffer(bytes: question.readableBytesView.reversed())
            }
            try service.serve(datagrams: datagram.number)
            try service.serve(streams: stream.number)
        }.wait()
    }

    func stop() throws { loop.stop() }
}

extension Wire {
    /// One answer with its length in front.
    fileprivate func receiveFramed() throws -> [UInt8] {
        let size = try receive(exactly: 2)
        return try receive(exactly: Int(size[0]) << 8 | Int(size[1]))
    }

    private func receive(exactly count: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            let part = try receive(count - bytes.count)
            guard !part.isEmpty else { throw Failure(call: "recv", code: 0) }
            bytes += part
        }
        return bytes
    }
}

@Suite struct DNSServiceTests {
    private static func framed(_ question: [UInt8]) -> [UInt8] {
        [UInt8(question.count >> 8), UInt8(question.count & 0xFF)] + question
    }

    @Test func `each datagram is answered to where it came from`() throws {
        let server = try Server()
        let clients = try (0..<3).map { _ in try Wire(to: server.datagrams, SOCK_DGRAM) }
        for (number, client) in clients.enumerated() {
            try client.send([UInt8](repeating: UInt8(number), count: 20) + [255])
        }
        try clients[0].send([1, 2, 3])
        for (number, client) in clients.enumerated() {
            #expect(try client.receive() == [255] + [UInt8](repeating: UInt8(number), count: 20))
            client.close()
        }
        // The service outlives a client that has gone before its answer came.
        let gone = try Wire(to: server.datagrams, SOCK_DGRAM)
        for _ in 0..<20 { try gone.send([UInt8](repeating: 7, count: 12)) }
        gone.close()
        let last = try Wire(to: server.datagrams, SOCK_DGRAM)
        try last.send([UInt8](repeating: 9, count: 12))
        #expect(try last.receive() == [UInt8](repeating: 9, count: 12))
        last.close()
        try server.stop()
    }

    @Test func `questions of a connection are answered in order, however they come`() throws {
        let server = try Server()
        let client = try Wire(to: server.streams)
        let questions = (1...5).map { [UInt8](repeating: UInt8($0), count: 100 * $0) + [0] }
        let all = questions.flatMap(Self.framed)
        for byte in all[..<50] { try client.send([byte]) }
        try client.send(Array(all[50...]))
        for question in questions { #expect(try client.receiveFramed() == question.reversed()) }
        // A question and the end of the input together.
        try client.send(Self.framed(questions[0]))
        client.endOutput()
        #expect(try client.receiveFramed() == questions[0].reversed())
        #expect(try client.receive().isEmpty)
        client.close()
        try server.stop()
    }

    @Test(
        arguments: [
            ([0, 3, 1, 2, 3], "a message without an answer"), ([0, 0], "an empty message"),
            ([0x10, 0x01], "a message of more than 4096 bytes"), ([0xFF, 0xFF], "the longest message"),
        ] as [([UInt8], String)])
    func `what has no answer closes the connection`(bytes: [UInt8], why: String) throws {
        let server = try Server()
        let client = try Wire(to: server.streams)
        try client.send(bytes)
        #expect(try client.receive().isEmpty, "\(why)")
        client.close()
        try server.stop()
    }

    @Test func `a connection that is too slow is closed, also one that sends single bytes`() throws {
        let server = try Server(patience: .milliseconds(50))
        let quiet = try Wire(to: server.streams)
        #expect(try quiet.receive().isEmpty)
        quiet.close()
        let slow = try Wire(to: server.streams)
        try slow.send([0, 100])
        var wasClosed = false
        for _ in 0..<5000 where !wasClosed {
            do { try slow.send([1]) } catch { wasClosed = true }
            nextLook()
            if try slow.hasEnded() { wasClosed = true }
        }
        #expect(wasClosed)
        slow.close()
        try server.stop()
    }

    @Test func `at most 64 connections are served, and one that ends makes room`() throws {
        let server = try Server()
        let question = [UInt8](repeating: 1, count: 12)
        let clients = try (0..<DNSService.mostStreams).map { _ in
            let client = try Wire(to: server.streams)
            try client.send(Self.framed(question))
            #expect(try client.receiveFramed() == question)
            return client
        }
        let surplus = try Wire(to: server.streams)
        #expect(try surplus.receive().isEmpty)
        surplus.close()
        clients[0].endOutput()
        #expect(try clients[0].receive().isEmpty)
        let next = try Wire(to: server.streams)
        try next.send(Self.framed(question))
        #expect(try next.receiveFramed() == question)
        for client in clients + [next] { client.close() }
        try server.stop()
    }
}

extension Wire {
    /// Whether the other side has closed; takes nothing and waits for nothing.
    fileprivate func hasEnded() throws -> Bool {
        var byte: UInt8 = 0
        let count = unsafe recv(number, &byte, 1, CInt(MSG_PEEK) | CInt(MSG_DONTWAIT))
        if count < 0, errno == EAGAIN { return false }
        return count <= 0
    }
}
