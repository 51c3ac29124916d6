import BoxAudit
import BoxProxy
import BoxTypes
import Glibc
import NIOCore
import Testing

/// Connections by other ways than the HTTP proxy.
extension SocketTests {
    @Suite(.timeLimit(.minutes(2))) struct EntryTests {
        /// The whole of what a SOCKS5 client says, at once.
        private static func socksName(_ name: String, _ port: UInt16) -> [UInt8] {
            [5, 1, 0, 5, 1, 0, 3, UInt8(name.utf8.count)] + Array(name.utf8)
                + [UInt8(port >> 8), UInt8(port & 0xFF)]
        }

        @Test func `a SOCKS tunnel is relayed, and its success is said when the connection stands`() throws {
            let setting = try RunningProxy()
            let program = try Wire(to: try setting.listen(.socks))
            try program.send(Self.socksName("localhost", setting.origin.port))
            let server = try setting.origin.accept()
            #expect(try program.receive(2) == [5, 0])
            #expect(try program.receive(10) == [5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
            try program.send("question")
            program.endOutput()
            #expect(try server.receiveAll() == "question")
            try server.send("answer")
            server.close()
            #expect(try program.receiveAll() == "answer")
            let close = try setting.event(.netClose)
            #expect(close.text("via") == "socks")
            #expect(close.number("bytes_up") == 8)
            #expect(close.number("bytes_down") == 6)
            #expect(close.text("client")?.hasPrefix("127.0.0.1:") == true)
            program.close()
            try setting.stop()
        }

        @Test func `SOCKS refusals and failures have their codes`() throws {
            let gone = try Wire.listener()
            let port = gone.port
            gone.close()
            let setting = try RunningProxy(alsoAllow: ["localhost:\(port)"])
            let socks = try setting.listen(.socks)
            for (name, target, code) in [("evil.com", UInt16(443), UInt8(2)), ("localhost", port, 5)] {
                let program = try Wire(to: socks)
                try program.send(Self.socksName(name, target))
                let answer = try program.receiveAll()
                #expect(Array(answer.utf8).prefix(4).elementsEqual([5, 0, 5, code]))
                program.close()
            }
            #expect(setting.events.map(\.kind) == [.netDeny, .netAllow, .netClose])
            try setting.stop()
        }

        @Test func `a captured connection that no rule allows is closed at once, and the log says why`()
            throws
        {
            let setting = try RunningProxy()
            let program = try Wire(to: try setting.listen(.transparent))
            #expect(try program.receiveAll().isEmpty)
            let deny = try setting.event(.netDeny)
            #expect(deny.text("via") == "transparent")
            #expect(deny.text("host") == "localhost")
            #expect(deny.text("reason") == "port")
            program.close()
            try setting.stop()
        }

        @Test func `a published port reaches a server inside, both ways`() throws {
            let setting = try RunningProxy()
            let inside = try Port("\(setting.origin.port)")
            let published = try setting.listen(.published(inside))
            try setting.reported(.wantsSockets)
            let program = try Wire(to: published)
            // It waits for a socket that was made inside.
            let socket = socket(AF_INET, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
            try setting.server.serve(.unconnected, socket)
            let server = try setting.origin.accept()
            try program.send("question")
            #expect(try server.receive(8) == Array("question".utf8))
            try server.send("an answer")
            server.close()
            #expect(try program.receiveAll() == "an answer")
            program.close()
            let close = try setting.event(.netClose)
            #expect(close.text("via") == "publish")
            #expect(close.text("rule") == "publish \(inside)")
            #expect(close.number("bytes_up") == 9, "up is what leaves the sandbox")
            #expect(close.number("bytes_down") == 8)
            try setting.stop()
        }

        @Test func `a published port whose server listens on the IPv6 loopback alone is reached`() throws {
            let setting = try RunningProxy()
            guard let inside = Wire6.listener() else { return }
            let published = try setting.listen(.published(try Port("\(inside.port)")))
            let socket = socket(AF_INET6, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
            try setting.server.serve(.unconnected, socket)
            let program = try Wire(to: published)
            let server = try inside.wire.accept()
            try server.send("hello")
            server.close()
            #expect(try program.receiveAll() == "hello")
            program.close()
            inside.wire.close()
            try setting.stop()
        }

        @Test func `without a server inside a published connection is closed, not left open`() throws {
            let setting = try RunningProxy()
            let gone = try Wire.listener()
            let port = gone.port
            gone.close()
            let published = try setting.listen(.published(try Port("\(port)")))
            let socket = socket(AF_INET, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
            try setting.server.serve(.unconnected, socket)
            let program = try Wire(to: published)
            #expect(try program.receiveAll().isEmpty)
            #expect(try setting.event(.netClose).text("detail") == "the connection failed (refused)")
            program.close()
            try setting.stop()
        }

        @Test func `names are answered by the rules, over datagrams and streams`() throws {
            let setting = try RunningProxy(alsoAllow: ["github.com", "*.example.com:22"])
            let datagrams = try Wire.bound(SOCK_DGRAM)
            let port = datagrams.port
            try setting.server.serve(.dnsDatagram, datagrams.number)
            let streams = try setting.listen(.dnsStream)
            let client = try Wire(to: port, SOCK_DGRAM)
            try client.send(AddressQuestion(id: 7, labels: ["github", "com"]).bytes)
            let answer = try client.receive()
            #expect(answer.prefix(2).elementsEqual([0, 7]))
            #expect(answer.suffix(4).elementsEqual([198, 18, 0, 1]))
            try client.send(AddressQuestion(id: 8, labels: ["evil", "com"]).bytes)
            let refused = try client.receive()
            #expect(refused[3] & 0xF == 3, "NXDOMAIN")
            let deny = try setting.event(.netDeny)
            #expect(deny.text("host") == "evil.com")
            #expect(deny.text("via") == "dns")
            let stream = try Wire(to: streams)
            let question = AddressQuestion(id: 9, labels: ["a", "example", "com"]).bytes
            try stream.send([0, UInt8(question.count)] + question)
            #expect(try stream.receive().suffix(4).elementsEqual([198, 18, 0, 2]))
            client.close()
            stream.close()
            try setting.stop()
        }

        @Test func `an address that a name got means the name, also where a program asks the proxy for it`()
            throws
        {
            let setting = try RunningProxy(alsoAllow: ["github.com"])
            let datagrams = try Wire.bound(SOCK_DGRAM)
            let port = datagrams.port
            try setting.server.serve(.dnsDatagram, datagrams.number)
            let client = try Wire(to: port, SOCK_DGRAM)
            try client.send(AddressQuestion(id: 7, labels: ["github", "com"]).bytes)
            _ = try client.receive()
            #expect(
                try setting.ask("CONNECT 198.18.0.1:22 HTTP/1.1\r\n\r\n").contains(
                    #""host":"github.com","port":22"#))
            #expect(
                try setting.ask("CONNECT 198.18.0.2:22 HTTP/1.1\r\n\r\n").contains(#""host":"198.18.0.2""#))
            client.close()
            try setting.stop()
        }

        @Test func `the loopback's second address is tried beside a silent first one`() throws {
            guard let good = Wire6.listener() else { return }
            // The same port of 127.0.0.1, whose queue is full: it drops what comes.
            let silent = try #require(Wire6.silent(good.port))
            let setting = try RunningProxy(alsoAllow: ["localhost:\(good.port)"])
            let program = try Wire(to: setting.port)
            let began = ContinuousClock.now
            try program.send("CONNECT localhost:\(good.port) HTTP/1.1\r\n\r\n")
            #expect(try program.receive(until: "\r\n\r\n").hasPrefix("HTTP/1.1 200 "))
            let took = ContinuousClock.now - began
            #expect(took > .milliseconds(200))
            #expect(took < .seconds(3))
            program.close()
            for number in silent { close(number) }
            good.wire.close()
            try setting.stop()
        }
    }
}

/// A question for the A record of a name.
private struct AddressQuestion {
    let id: UInt8
    let labels: [String]

    var bytes: [UInt8] {
        var bytes: [UInt8] = [0, id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]
        for label in labels { bytes += [UInt8(label.utf8.count)] + Array(label.utf8) }
        return bytes + [0, 0, 1, 0, 1]
    }
}

/// Listeners that need more than 127.0.0.1.
private enum Wire6 {
    /// A listener on a free port of ::1; nil where this machine has no IPv6.
    static func listener() -> (wire: Wire, port: UInt16)? {
        let number = socket(AF_INET6, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in6()
        address.sin6_family = sa_family_t(AF_INET6)
        unsafe address.sin6_addr.__in6_u.__u6_addr32.3 = UInt32(1).bigEndian
        let size = socklen_t(MemoryLayout<sockaddr_in6>.size)
        let bound = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe bind(number, $0, size) }
        }
        guard bound == 0, listen(number, 16) == 0 else { return nil }
        let wire = Wire(owning: number)
        return (wire, wire.port)
    }

    /// A listener on this port of 127.0.0.1 whose queue is full, with what fills it.
    static func silent(_ port: UInt16) -> [CInt]? {
        let number = socket(AF_INET, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe bind(number, $0, size) }
        }
        guard bound == 0, listen(number, 0) == 0 else { return nil }
        var all = [number]
        for _ in 0..<3 {
            let filler = socket(
                AF_INET,
                CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue) | CInt(SOCK_NONBLOCK.rawValue), 0)
            _ = unsafe withUnsafePointer(to: &address) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    unsafe connect(filler, $0, size)
                }
            }
            all.append(filler)
        }
        return all
    }
}
