import BoxAudit
import BoxProxy
import BoxTypes
import Glibc
import NIOCore
import Testing

/// Limits, rules that change, held requests, the next proxy and the log.
extension SocketTests {
    @Suite(.timeLimit(.minutes(2))) struct LiveTests {
        @Test func `too many requests a minute are 429 with the seconds to wait`() throws {
            let setting = try RunningProxy { $0.limits.requestsPerMinute = 1 }
            let (program, server) = try setting.tunnel()
            let answer = try setting.ask("CONNECT \(setting.target) HTTP/1.1\r\n\r\n")
            #expect(answer.hasPrefix("HTTP/1.1 429 Too Many Requests\r\n"))
            #expect(answer.contains("X-Box-Reason: rate\r\n"))
            #expect(answer.contains("Retry-After: "))
            let limit = try setting.event(.netLimit)
            #expect(limit.text("limit") == "requests_per_minute")
            #expect(limit.text("scope") == "session")
            #expect(limit.text("reason") == "rate")
            program.close()
            server.close()
            try setting.stop()
        }

        @Test func `a connection that ends makes room for another`() throws {
            let setting = try RunningProxy { rules in
                rules.hosts = [HostSettings(rule: rules.allow[0])]
                rules.hosts[0].limits.connections = 1
            }
            let (program, server) = try setting.tunnel()
            #expect(try setting.ask("CONNECT \(setting.target) HTTP/1.1\r\n\r\n").hasPrefix("HTTP/1.1 429 "))
            #expect(try setting.event(.netLimit).text("scope") == "host")
            program.close()
            server.close()
            try setting.event(.netClose)
            let (next, other) = try setting.tunnel()
            next.close()
            other.close()
            try setting.stop()
        }

        @Test func `an upload limit ends every tunnel, and nothing new begins`() throws {
            let setting = try RunningProxy { $0.limits.upload = ByteSize(bytes: 1000) }
            let (first, firstServer) = try setting.tunnel()
            let (second, secondServer) = try setting.tunnel()
            try first.send([UInt8](repeating: 1, count: 600))
            #expect(try firstServer.receive().count == 600)
            try second.send([UInt8](repeating: 1, count: 600))
            for end in [first, second, firstServer, secondServer] {
                #expect(throws: Wire.Failure.self, "reset: cut data must not look complete") {
                    try end.receiveAll()
                }
            }
            try setting.event(.netClose, count: 2)
            let limit = try setting.event(.netLimit)
            #expect(limit.text("limit") == "upload")
            #expect(limit.text("reason") == "bytes")
            let details = setting.events.filter { $0.kind == .netClose }.map { $0.text("detail") }
            #expect(details == ["the limit upload was reached", "the limit upload was reached"])
            let answer = try setting.ask("CONNECT \(setting.target) HTTP/1.1\r\n\r\n")
            #expect(answer.hasPrefix("HTTP/1.1 403 "))
            #expect(answer.contains("X-Box-Reason: bytes\r\n"))
            for end in [first, second, firstServer, secondServer] { end.close() }
            try setting.stop()
        }

        @Test func `a download limit counts plain HTTP as well`() throws {
            let setting = try RunningProxy { $0.limits.download = ByteSize(bytes: 1000) }
            let program = try Wire(to: setting.port)
            try program.send("GET http://\(setting.target)/ HTTP/1.1\r\nHost: a\r\n\r\n")
            let server = try setting.origin.accept()
            _ = try server.receive(until: "\r\n\r\n")
            try server.send(
                "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + String(repeating: "x", count: 5000))
            #expect((try? program.receiveAll().utf8.count) ?? 0 < 1000)
            #expect(try setting.event(.netLimit).text("limit") == "download")
            #expect(try setting.event(.netClose).text("detail") == "the limit download was reached")
            program.close()
            server.close()
            try setting.stop()
        }

        @Test(arguments: [true, false])
        func `a rate slows what moves, and is one event for each connection`(isTunnel: Bool) throws {
            let setting = try RunningProxy { $0.limits.bytesPerSecond = ByteSize(bytes: 1_000_000) }
            let program = try Wire(to: setting.port)
            let request = isTunnel ? "CONNECT \(setting.target)" : "GET http://\(setting.target)/"
            try program.send("\(request) HTTP/1.1\r\nHost: a\r\n\r\n")
            let server = try setting.origin.accept()
            if !isTunnel { _ = try server.receive(until: "\r\n\r\n") }
            let began = ContinuousClock.now
            if !isTunnel { try server.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n") }
            try server.send([UInt8](repeating: 0x61, count: 1_000_000))
            var got = 0
            while got < 1_000_000 { got += try program.receive().count }
            // A quarter of a second's bytes may pass at once, and one read more.
            #expect(ContinuousClock.now - began > .milliseconds(300))
            program.close()
            server.close()
            try setting.event(.netClose)
            let limits = setting.events.filter { $0.kind == .netLimit }
            #expect(limits.map { $0.text("limit") } == ["bytes_per_second"])
            #expect(limits.first?.text("scope") == "session")
            try setting.stop()
        }

        @Test func `a removed rule closes its tunnel and no other`() throws {
            let other = try Wire.listener()
            let setting = try RunningProxy(alsoAllow: ["localhost:\(other.port)"])
            let (program, server) = try setting.tunnel()
            let kept = try Wire(to: setting.port)
            try kept.send("CONNECT localhost:\(other.port) HTTP/1.1\r\n\r\n")
            _ = try kept.receive(until: "\r\n\r\n")
            let keptServer = try other.accept()
            try setting.server.apply(try networkRules(["localhost:\(other.port)"]), number: 3)
            try setting.reported(.applied(3, closed: 1))
            #expect(throws: Wire.Failure.self) { try program.receiveAll() }
            #expect(try setting.event(.netClose).text("detail") == "the rule was removed")
            try kept.send("still")
            #expect(try keptServer.receive(5) == Array("still".utf8))
            #expect(try setting.ask("CONNECT \(setting.target) HTTP/1.1\r\n\r\n").hasPrefix("HTTP/1.1 403 "))
            try setting.server.apply(try networkRules([setting.target]), number: 4)
            try setting.reported(.applied(4, closed: 1))
            let (again, againServer) = try setting.tunnel()
            for end in [program, server, kept, keptServer, other, again, againServer] { end.close() }
            try setting.stop()
        }

        @Test func `a removed rule closes an exchange of plain HTTP`() throws {
            let setting = try RunningProxy()
            let program = try Wire(to: setting.port)
            try program.send("GET http://\(setting.target)/ HTTP/1.1\r\nHost: a\r\n\r\n")
            let server = try setting.origin.accept()
            _ = try server.receive(until: "\r\n\r\n")
            try setting.server.apply(NetworkRules(), number: 1)
            try setting.reported(.applied(1, closed: 1))
            #expect(try program.receiveAll().isEmpty)
            program.close()
            server.close()
            try setting.stop()
        }

        @Test func `a held request goes on when a rule comes, and is seen before`() throws {
            let setting = try RunningProxy(hold: 60) { $0.allow = [] }
            let program = try Wire(to: setting.port)
            try program.send("CONNECT \(setting.target) HTTP/1.1\r\n\r\n")
            let deny = try setting.event(.netDeny)
            #expect(deny.number("held") == 60)
            try setting.server.apply(try networkRules([setting.target]), number: 1)
            #expect(try program.receive(until: "\r\n\r\n").hasPrefix("HTTP/1.1 200 "))
            try setting.event(.netAllow)
            program.close()
            try setting.stop()
        }

        @Test func `a held request that no rule comes for is refused, and logged once`() throws {
            let setting = try RunningProxy(hold: 1) { $0.allow = [] }
            let began = ContinuousClock.now
            #expect(try setting.ask("CONNECT a.b:443 HTTP/1.1\r\n\r\n").hasPrefix("HTTP/1.1 403 "))
            #expect(ContinuousClock.now - began > .milliseconds(900))
            #expect(setting.events.map(\.kind) == [.netDeny])
            // An address that no rule opens is not waited for.
            #expect(
                try setting.ask("CONNECT 10.0.0.1:443 HTTP/1.1\r\n\r\n").contains("X-Box-Reason: address"))
            #expect(ContinuousClock.now - began < .seconds(2))
            try setting.stop()
        }

        // MARK: The proxy of the user's network

        @Test func `through another proxy a name goes as a name`() throws {
            let next = try Wire.listener()
            let setting = try RunningProxy(
                alsoAllow: ["example.com:22", "198.51.100.7:22"], upstream: next.port)
            let program = try Wire(to: setting.port)
            try program.send("CONNECT example.com:22 HTTP/1.1\r\n\r\n")
            let proxy = try next.accept()
            #expect(
                try proxy.receive(until: "\r\n\r\n")
                    == "CONNECT example.com:22 HTTP/1.1\r\nHost: example.com:22\r\nProxy-Authorization: Basic eDp5\r\n\r\n"
            )
            try proxy.send("HTTP/1.0 200 OK\r\nX: y\r\n\r\nSSH-2.0-first")
            #expect(try program.receive(until: "first").hasSuffix("established\r\n\r\nSSH-2.0-first"))
            try program.send("hello")
            #expect(try proxy.receive(5) == Array("hello".utf8))
            proxy.close()
            program.close()
            // What is on this machine is not asked of another.
            let (near, server) = try setting.tunnel()
            near.close()
            server.close()
            try setting.stop()
            next.close()
        }

        @Test func `plain HTTP goes to another proxy with its whole address`() throws {
            let next = try Wire.listener()
            let setting = try RunningProxy(alsoAllow: ["example.com:80"], upstream: next.port)
            let program = try Wire(to: setting.port)
            try program.send(
                "GET http://example.com/x HTTP/1.1\r\nHost: a\r\nProxy-Authorization: mine\r\n\r\n")
            let proxy = try next.accept()
            #expect(
                try proxy.receive(until: "\r\n\r\n")
                    == "GET http://example.com/x HTTP/1.1\r\nHost: example.com\r\nProxy-Authorization: Basic eDp5\r\n"
                    + "Connection: close\r\n\r\n")
            try proxy.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
            #expect(try program.receive(until: "hi").hasPrefix("HTTP/1.1 200 OK\r\n"))
            proxy.close()
            program.close()
            try setting.stop()
            next.close()
        }

        @Test(arguments: [
            (
                "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n",
                "wants a name and a password (407)"
            ),
            ("HTTP/1.1 503 No\r\n\r\n", "answered 503"), ("SSH-2.0-x\r\n\r\n", "gave a broken answer"),
            ("", "closed the connection without an answer"),
        ])
        func `another proxy that refuses is named`(answer: String, what: String) throws {
            let next = try Wire.listener()
            let setting = try RunningProxy(alsoAllow: ["example.com:22"], upstream: next.port)
            let program = try Wire(to: setting.port)
            try program.send("CONNECT example.com:22 HTTP/1.1\r\n\r\n")
            let proxy = try next.accept()
            _ = try proxy.receive(until: "\r\n\r\n")
            try proxy.send(answer)
            proxy.close()
            let refusal = try program.receiveAll()
            #expect(refusal.hasPrefix("HTTP/1.1 502 Bad Gateway\r\n"))
            #expect(refusal.contains("the upstream proxy localhost:\(next.port) \(what)"))
            #expect(!refusal.contains("Proxy-Authenticate"))
            program.close()
            try setting.stop()
            next.close()
        }

        // MARK: The log

        @Test func `repeated refusals are one line and a count`() throws {
            let setting = try RunningProxy()
            for _ in 0..<20 { _ = try setting.ask("CONNECT evil.com:443 HTTP/1.1\r\n\r\n") }
            _ = try setting.ask("CONNECT evil.com:444 HTTP/1.1\r\n\r\n")
            try setting.server.logOpen()
            let events = setting.events
            #expect(events.first?.number("count") == nil)
            #expect(
                events.filter { $0.number("port") == 443 }.map { $0.number("count") ?? 1 }.reduce(0, +) == 20)
            #expect(events.count { $0.number("port") == 443 } <= 4)
            #expect(events.count { $0.number("port") == 444 } == 1)
            try setting.stop()
        }

        @Test func `while the log is behind nothing new is decided, and open tunnels go on`() throws {
            let setting = try RunningProxy()
            let (program, server) = try setting.tunnel()
            setting.stall(true)
            // Each asks for another port, so that all are told apart. At some point there is no answer any more.
            var last: Wire?
            for number in 0..<1000 where last == nil {
                let asking = try Wire(to: setting.port)
                try asking.send("CONNECT evil.com:\(1000 + number) HTTP/1.1\r\n\r\n")
                // Behind it, the open tunnel shows that the proxy has had its turn.
                try program.send("x")
                #expect(try server.receive(1) == [0x78])
                try server.send("y")
                #expect(try program.receive(1) == [0x79])
                if number < 250 { _ = try asking.receiveAll() }
                if number >= 250, asking.isSilent { last = asking } else { asking.close() }
            }
            let silent = try #require(last, "refusals go on without a log")
            setting.stall(false)
            #expect(try silent.receiveAll().hasPrefix("HTTP/1.1 403 "))
            for end in [program, server, silent] { end.close() }
            try setting.stop()
        }
    }
}

extension Wire {
    /// Whether there is nothing to read now.
    fileprivate var isSilent: Bool {
        var byte: UInt8 = 0
        let got = unsafe recv(number, &byte, 1, CInt(MSG_DONTWAIT) | CInt(MSG_PEEK))
        return got < 0 && errno == EAGAIN
    }
}
