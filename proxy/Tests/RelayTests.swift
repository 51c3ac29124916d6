import BoxAudit
import BoxProxy
import BoxTypes
import Glibc
import NIOPosix
import Synchronization
import Testing

/// Two programs and two servers at once, which all block.
private let threads: NIOThreadPool = {
    let pool = NIOThreadPool(numberOfThreads: 8)
    pool.start()
    return pool
}()

/// Blocking work beside the test's own thread.
private func beside<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) -> Task<Value, any Error>
{
    Task { try await threads.runIfActive(work) }
}

/// Bytes that differ at every place, and the sum of what was received.
private func pattern(_ seed: UInt64, _ count: Int) -> [UInt8] {
    var state = seed
    return (0..<count).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return UInt8(truncatingIfNeeded: state >> 56)
    }
}

/// Compares parts of two blocks; in one call, since there is much to compare.
private func isSame(_ left: [UInt8], _ from: Int, _ right: [UInt8], _ at: Int, _ count: Int) -> Bool {
    unsafe left.withUnsafeBytes { left in
        unsafe right.withUnsafeBytes { right in
            guard count > 0, let left = left.baseAddress, let right = right.baseAddress else {
                return true
            }
            return unsafe memcmp(left + from, right + at, count) == 0
        }
    }
}

/// Tunnels and plain HTTP from end to end.
extension SocketTests {
    @Suite(.timeLimit(.minutes(2))) struct RelayTests {
        @Test func `64 MiB arrive unchanged in both directions at once`() async throws {
            let setting = try RunningProxy()
            let (program, server) = try setting.tunnel()
            let block = pattern(1, 1 << 20)
            let other = pattern(2, 1 << 20)
            let send = { @Sendable (wire: Wire, block: [UInt8]) in
                for _ in 0..<64 { try wire.send(block) }
                wire.endOutput()
            }
            let take = { @Sendable (wire: Wire, block: [UInt8]) throws -> Int in
                var count = 0
                while true {
                    let part = try wire.receive(1 << 18)
                    if part.isEmpty { return count }
                    let place = count % block.count
                    let first = min(part.count, block.count - place)
                    guard isSame(part, 0, block, place, first),
                        isSame(part, first, block, 0, part.count - first)
                    else { throw Wire.Failure(call: "different at \(count)", code: 0) }
                    count += part.count
                }
            }
            let up = beside { try send(program, block) }
            let down = beside { try send(server, other) }
            let atServer = beside { try take(server, block) }
            let atProgram = beside { try take(program, other) }
            _ = try await (up.value, down.value)
            #expect(try await atServer.value == 64 << 20)
            #expect(try await atProgram.value == 64 << 20)
            let close = try setting.event(.netClose)
            #expect(close.number("bytes_up") == 64 << 20)
            #expect(close.number("bytes_down") == 64 << 20)
            #expect(close.text("detail") == nil)
            program.close()
            server.close()
            try setting.stop()
        }

        @Test func `the program ends its output and still gets the whole answer`() throws {
            let setting = try RunningProxy()
            let (program, server) = try setting.tunnel()
            try program.send("question")
            program.endOutput()
            #expect(try server.receiveAll() == "question")
            try server.send([UInt8](repeating: 0x61, count: 1 << 20))
            server.close()
            #expect(try program.receiveAll().utf8.count == 1 << 20)
            program.close()
            try setting.stop()
        }

        @Test func `the server ends first and still gets everything`() async throws {
            let setting = try RunningProxy()
            let (program, server) = try setting.tunnel()
            try server.send("banner")
            server.endOutput()
            #expect(try program.receiveAll() == "banner")
            let count = beside { try server.receiveAll().utf8.count }
            try program.send([UInt8](repeating: 0x61, count: 4 << 20))
            program.close()
            #expect(try await count.value == 4 << 20)
            server.close()
            try setting.stop()
        }

        @Test func `what a program sent before it went is delivered to a slow server`() async throws {
            let setting = try RunningProxy()
            let (program, server) = try setting.tunnel()
            let sent = beside {
                try program.send([UInt8](repeating: 0x61, count: 8 << 20))
                program.close()
            }
            var count = 0
            while true {
                let part = try server.receive(1 << 12)
                if part.isEmpty { break }
                count += part.count
            }
            _ = try await sent.value
            #expect(count == 8 << 20)
            server.close()
            try setting.stop()
        }

        @Test func `bytes behind the CONNECT head are the tunnel's first`() throws {
            let setting = try RunningProxy()
            let program = try Wire(to: setting.port)
            try program.send("CONNECT \(setting.target) HTTP/1.0\r\n\r\nearly")
            program.endOutput()
            let server = try setting.origin.accept()
            #expect(try server.receiveAll() == "early")
            try server.send("late")
            server.close()
            #expect(try program.receiveAll() == "HTTP/1.1 200 Connection established\r\n\r\nlate")
            program.close()
            try setting.stop()
        }

        @Test(arguments: [
            ("evilgithub.com:443", 403), ("github.com.evil.com:443", 403), ("xexample.com:443", 403),
            ("example.com:443", 403), ("github.com:22", 403), ("127.0.0.1:443", 403), ("[::1]:443", 403),
            ("127.1:443", 403), ("2130706433:443", 403), ("localhost:1", 403),
            ("github.com@evil.com:443", 400),
            ("github.com\0.evil.com:443", 400), ("github.com", 400), ("gіthub.com:443", 400),
            ("github.com:00443", 400),
        ])
        func `a refusal arrives whole, and the connection ends`(target: String, status: Int) throws {
            let setting = try RunningProxy(alsoAllow: ["github.com", "*.example.com"])
            let program = try Wire(to: setting.port)
            try program.send("CONNECT \(target) HTTP/1.1\r\n\r\n")
            let answer = try program.receiveAll()
            #expect(answer.hasPrefix("HTTP/1.1 \(status) "))
            #expect(answer.hasSuffix("\"}\n"))
            #expect(setting.events.map(\.kind) == [.netDeny])
            program.close()
            try setting.stop()
        }

        @Test func `an oversized head is answered although the program is still sending`() throws {
            let setting = try RunningProxy()
            let program = try Wire(to: setting.port)
            try program.send([UInt8](repeating: 0x61, count: 64 << 10))
            #expect(try program.receiveAll().hasPrefix("HTTP/1.1 414 "))
            program.close()
            try setting.stop()
        }

        @Test func `plain HTTP passes with a rebuilt head, and the next request is judged anew`() throws {
            let setting = try RunningProxy()
            let program = try Wire(to: setting.port)
            try program.send(
                "POST http://\(setting.target)/x HTTP/1.1\r\nHost: evil.com\r\nContent-Length: 3\r\n\r\nabc")
            let server = try setting.origin.accept()
            let head = try server.receive(until: "\r\n\r\n")
            #expect(
                head
                    == "POST /x HTTP/1.1\r\nHost: \(setting.target)\r\nContent-Length: 3\r\nConnection: close\r\n\r\n"
            )
            #expect(try server.receive(until: "abc") == "abc")
            try server.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
            #expect(try program.receive(until: "hello").contains("Connection: keep-alive\r\n"))
            #expect(try server.receiveAll().isEmpty, "one request for each connection to the server")
            try program.send("GET http://evil.com/ HTTP/1.1\r\nHost: \(setting.target)\r\n\r\n")
            #expect(try program.receiveAll().hasPrefix("HTTP/1.1 403 Forbidden\r\n"))
            #expect(setting.events.map(\.kind) == [.netAllow, .netClose, .netDeny])
            program.close()
            server.close()
            try setting.stop()
        }

        @Test func `a server that is not there is 502`() throws {
            let setting = try RunningProxy()
            let gone = try Wire.listener()
            let port = gone.port
            gone.close()
            let other = try RunningProxy(alsoAllow: ["localhost:\(port)"])
            let program = try Wire(to: other.port)
            try program.send("CONNECT localhost:\(port) HTTP/1.1\r\n\r\n")
            let answer = try program.receiveAll()
            #expect(answer.hasPrefix("HTTP/1.1 502 Bad Gateway\r\n"))
            #expect(answer.contains(#""error":"upstream_failed""#))
            #expect(other.events.map(\.kind) == [.netAllow, .netClose])
            program.close()
            try other.stop()
            try setting.stop()
        }

        @Test func `a reset on one side ends the other`() throws {
            let setting = try RunningProxy()
            var (program, server) = try setting.tunnel()
            server.reset()
            // A reset and no end: cut data must not look complete.
            #expect(throws: Wire.Failure.self) { try program.receiveAll() }
            program.close()
            (program, server) = try setting.tunnel()
            program.reset()
            #expect(throws: Wire.Failure.self) { try server.receiveAll() }
            server.close()
            try setting.stop()
        }

        @Test func `no descriptor is left after refusals, resets and failures`() throws {
            let unheard = try Wire.listener()
            let setting = try RunningProxy(alsoAllow: ["localhost:\(unheard.port)"])
            let before = openDescriptors()
            for round in 0..<300 {
                switch round % 3 {
                case 0:
                    let program = try Wire(to: setting.port)
                    try program.send("CONNECT evil.com:443 HTTP/1.1\r\n\r\n")
                    _ = try program.receiveAll()
                    program.close()
                case 1:
                    let (program, server) = try setting.tunnel()
                    server.reset()
                    program.reset()
                default:
                    let program = try Wire(to: setting.port)
                    try program.send("CONNECT localhost:\(unheard.port) HTTP/1.1\r\n\r\n")
                    program.reset()
                }
            }
            #expect(becomes { openDescriptors() <= before })
            unheard.close()
            try setting.stop()
        }
    }
}
