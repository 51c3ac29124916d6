import BoxAudit
import BoxProxy
import BoxTypes
import NIOCore
import Testing

/// The state machine without any socket: what happened goes in, what to do comes out.
@Suite struct ConnectionTests {
    private static let publicAddress = IPAddress.v4(0x0808_0808)
    private static let answer = Lookup(addresses: [publicAddress], own: [])

    private static func start(_ request: String, _ rules: DoorRules) -> (
        ProxyConnection, [ProxyConnection.Action]
    ) {
        var connection = ProxyConnection()
        let actions = connection.received(ByteBuffer(string: request), rules: rules)
        guard case .admit = actions.last else { return (connection, actions) }
        let next = connection.admitted(.granted)
        return (connection, actions.dropLast() + next)
    }

    /// A connection on which the way to the origin server stands.
    private static func connected(_ request: String, _ rules: DoorRules) -> (
        ProxyConnection, [ProxyConnection.Action]
    ) {
        var (connection, _) = start(request, rules)
        _ = connection.resolved(answer, rules: rules)
        let actions = connection.connected(to: publicAddress, rules: rules)
        return (connection, actions)
    }

    @Test func `a refusal says what was refused, why, and what the user can do`() throws {
        let (connection, actions) = Self.start(
            "CONNECT api.example.com:443 HTTP/1.1\r\n\r\n", try doorRules(["github.com"]))
        let body =
            #"{"error":"blocked_by_box","code":403,"host":"api.example.com","port":443,"reason":"host","#
            + #""message":"api.example.com:443 is not allowed (no rule names it). To allow it: "#
            + #"box allow api.example.com","resolution":"box allow api.example.com"}"# + "\n"
        #expect(
            actions.toClient == "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\n"
                + "Content-Length: \(body.utf8.count)\r\nX-Box-Reason: host\r\nConnection: close\r\n\r\n"
                + body)
        #expect(actions.lookups.isEmpty)
        #expect(actions.last == .finish)
        #expect(connection.phase == .over)
        #expect(actions.events.map(\.kind) == [.netDeny])
        #expect(actions.events.first?.text("host") == "api.example.com")
        #expect(actions.events.first?.text("reason") == "host")
    }

    @Test(arguments: [
        ("CONNECT a.b:22 HTTP/1.1\r\n\r\n", "port", "box allow a.b:22"),
        ("GET http://a.b/ HTTP/1.1\r\nHost: a\r\n\r\n", "port", "box allow a.b:80"),
        ("GET http://c.d/ HTTP/1.1\r\nHost: a\r\n\r\n", "host", "box allow c.d:80"),
        ("CONNECT [2606:4700::1]:443 HTTP/1.1\r\n\r\n", "host", "box allow [2606:4700::1]"),
        ("CONNECT 10.0.0.1:443 HTTP/1.1\r\n\r\n", "address", "box allow 10.0.0.1"),
        ("CONNECT 224.0.0.1:443 HTTP/1.1\r\n\r\n", "address", "connect by the host's name"),
        ("CONNECT printer:443 HTTP/1.1\r\n\r\n", "host", "ask for the host by its full name"),
        (
            "CONNECT denied.a.b:443 HTTP/1.1\r\n\r\n", "host",
            "remove the rule denied.a.b from the denied hosts"
        ),
    ])
    func `each refusal has its reason and its remedy`(request: String, reason: String, remedy: String) throws
    {
        let rules = try doorRules(["a.b", "*.a.b"], deny: ["denied.a.b"])
        let (_, actions) = Self.start(request, rules)
        #expect(actions.status == 403)
        #expect(actions.toClient.contains("X-Box-Reason: \(reason)\r\n"))
        #expect(actions.toClient.contains(#""resolution":""# + remedy))
        #expect(actions.lookups.isEmpty)
    }

    @Test func `a HEAD request is refused without a body`() throws {
        let (_, actions) = Self.start("HEAD http://a.b/ HTTP/1.1\r\nHost: a\r\n\r\n", try doorRules([]))
        #expect(actions.toClient.hasSuffix("Connection: close\r\n\r\n"))
    }

    @Test func `an allowed tunnel goes through lookup, dial and relay`() throws {
        let rules = try doorRules(["a.b:22"])
        var (connection, actions) = Self.start("CONNECT A.b:22 HTTP/1.0\r\n\r\nearly", rules)
        #expect(actions == [.resolve(.name(try HostName("a.b")))])
        #expect(!connection.wantsClient)
        actions = connection.resolved(Self.answer, rules: rules)
        #expect(actions.events.map(\.kind) == [.netAllow])
        #expect(actions.last == .dial([Self.publicAddress], try Port("22")))
        actions = connection.connected(to: Self.publicAddress, rules: rules)
        #expect(actions.toClient == "HTTP/1.1 200 Connection established\r\n\r\n")
        #expect(actions.relays)
        #expect(actions.toUpstream == "early")
        #expect(connection.phase == .tunnel)
    }

    @Test(arguments: [
        (["10.0.0.1"], "address"), (["127.0.0.1", "10.0.0.1"], "address"), (["::1"], "address"),
        (["169.254.169.254"], "address"), (["198.18.0.1"], "address"), (["64:ff9b::a00:1"], "address"),
        (["::ffff:8.8.8.8"], "address"), (["8.8.4.4"], "address"), ([], "address"),
    ])
    func `a private address behind a public name is refused`(texts: [String], reason: String) throws {
        let rules = try doorRules(["a.b"])
        var (connection, _) = Self.start("CONNECT a.b:443 HTTP/1.1\r\n\r\n", rules)
        let addresses = texts.compactMap { IPAddress(v4: $0) ?? IPAddress(v6: $0) }
        // 8.8.4.4 is this machine's own here.
        let actions = connection.resolved(Lookup(addresses: addresses, own: [.v4(0x0808_0404)]), rules: rules)
        #expect(actions.status == 403)
        #expect(actions.events.first?.text("reason") == reason)
        #expect(actions.allSatisfy { if case .dial = $0 { false } else { true } })
        for text in texts { #expect(!actions.toClient.contains(text), "the program learns no address") }
        if let first = texts.first { #expect(actions.events.first?.text("detail")?.hasPrefix(first) == true) }
    }

    @Test(arguments: [true, false])
    func `of mixed answers only the public addresses are dialled`(privateFirst: Bool) throws {
        let rules = try doorRules(["a.b"])
        var (connection, _) = Self.start("CONNECT a.b:443 HTTP/1.1\r\n\r\n", rules)
        let inside = IPAddress.v4(0x0A00_0001)
        let addresses = privateFirst ? [inside, Self.publicAddress] : [Self.publicAddress, inside]
        let actions = connection.resolved(Lookup(addresses: addresses, own: []), rules: rules)
        #expect(actions.last == .dial([Self.publicAddress], .https))
    }

    @Test func `localhost is this machine's loopback and nothing that a resolver says`() throws {
        let rules = try doorRules(["localhost:5432"])
        var (connection, _) = Self.start("CONNECT localhost:5432 HTTP/1.1\r\n\r\n", rules)
        let actions = connection.resolved(Lookup(addresses: [Self.publicAddress], own: []), rules: rules)
        #expect(actions.last == .dial([.v4(0x7F00_0001), .v6(1)], try Port("5432")))
    }

    @Test func `500 addresses are not all looked at`() throws {
        let rules = try doorRules(["a.b"])
        let all = (0..<500).map { IPAddress.v4(0x0808_0000 + UInt32($0)) }
        let target = try HostTarget(authority: "a.b:443")
        #expect(
            Vetting(target, Lookup(addresses: all, own: []), rules.list).allowed.count
                == Vetting.mostAddresses)
    }

    @Test(arguments: [
        (UpstreamFailure.nameNotFound, 502), (.resolverTimeout, 504), (.connectTimeout, 504),
        (.refused("refused"), 502),
    ])
    func `a target that can't be reached is told apart from one that is refused`(
        failure: UpstreamFailure, status: Int
    ) throws {
        let rules = try doorRules(["a.b"])
        var (connection, _) = Self.start("CONNECT a.b:443 HTTP/1.1\r\n\r\n", rules)
        let actions = connection.failed(failure)
        #expect(actions.status == status)
        #expect(actions.toClient.contains(#""error":"upstream_failed""#))
        #expect(!actions.toClient.contains("X-Box-Reason"))
        #expect(actions.closes.count == 1)
    }

    // MARK: The name check

    private static func hello(_ bytes: [UInt8]) throws -> [ProxyConnection.Action] {
        let rules = try doorRules(["github.com"])
        var (connection, first) = connected("CONNECT github.com:443 HTTP/1.1\r\n\r\n", rules)
        #expect(first.toClient.contains("200"))
        #expect(!connection.wantsUpstream, "a server that speaks first is not heard")
        return connection.received(ByteBuffer(bytes: bytes), rules: rules)
    }

    @Test func `a tunnel with the right server name is relayed from its first byte`() throws {
        let bytes = Hello().records() + [0x17, 3, 3, 0, 1, 0]
        let actions = try Self.hello(bytes)
        #expect(actions.count == 1)
        #expect(actions.relays)
        #expect(
            actions.first.map {
                if case .relay(_, let early) = $0 { Array(early.readableBytesView) } else { [] }
            } == bytes)
    }

    @Test(arguments: [
        (Hello(name: "evil.com").records(), "name", "sni_mismatch: evil.com"),
        (Hello(name: "www.github.com").records(), "name", "sni_mismatch: www.github.com"),
        (Hello(name: "github.com.").records(), "name", "sni_mismatch: github.com."),
        (Hello(name: nil).records(), "name", "sni_missing: the TLS hello names no server"),
        (Array("SSH-2.0-x\r\n".utf8), "protocol", "not TLS in a tunnel to port 443"),
        (Array("GET / HTTP/1.1\r\n\r\n".utf8), "protocol", "not TLS in a tunnel to port 443"),
    ])
    func `a tunnel with another server name, or none, is closed`(
        bytes: [UInt8], reason: String, detail: String
    ) throws {
        let actions = try Self.hello(bytes)
        #expect(actions.toUpstream.isEmpty, "nothing leaves")
        #expect(actions.last == .abort)
        #expect(actions.events.first?.kind == .netDeny)
        #expect(actions.events.first?.text("reason") == reason)
        #expect(actions.events.first?.text("detail") == detail)
        #expect(actions.closes.count == 1)
    }

    @Test func `a hello in pieces is held until it is whole`() throws {
        let rules = try doorRules(["github.com"])
        var (connection, _) = Self.connected("CONNECT github.com:443 HTTP/1.1\r\n\r\n", rules)
        let bytes = Hello().records(of: 30)
        for byte in bytes.dropLast() {
            #expect(connection.received(ByteBuffer(bytes: [byte]), rules: rules).isEmpty)
        }
        let actions = connection.received(ByteBuffer(bytes: bytes.suffix(1)), rules: rules)
        #expect(actions.count == 1)
        #expect(actions.relays)
        #expect(
            actions.first.map {
                if case .relay(_, let early) = $0 { Array(early.readableBytesView) } else { [] }
            } == bytes)
    }

    @Test func `a hello that does not come closes the tunnel`() throws {
        let rules = try doorRules(["github.com"])
        var (connection, _) = Self.connected("CONNECT github.com:443 HTTP/1.1\r\n\r\n", rules)
        let actions = connection.timedOut()
        #expect(actions.events.first?.text("reason") == "protocol")
        #expect(actions.last == .abort)
    }

    // MARK: Plain HTTP

    @Test func `the verdict is by the target, and the origin server sees no other host`() throws {
        let rules = try doorRules(["a.b:80"])
        let (_, actions) = Self.connected("GET http://a.b/x HTTP/1.1\r\nHost: evil.com\r\n\r\n", rules)
        #expect(actions.toUpstream == "GET /x HTTP/1.1\r\nHost: a.b\r\nConnection: close\r\n\r\n")
        let (_, refused) = Self.start("GET http://evil.com/ HTTP/1.1\r\nHost: a.b\r\n\r\n", rules)
        #expect(refused.status == 403)
    }

    @Test func `the second request of a connection is judged like the first`() throws {
        let rules = try doorRules(["a.b:80"])
        var (connection, _) = Self.connected(
            "GET http://a.b/ HTTP/1.1\r\nHost: a\r\n\r\nGET http://evil.com/ HTTP/1.1\r\nHost: a\r\n\r\n",
            rules)
        let actions = connection.answered(
            ByteBuffer(string: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"), rules: rules)
        #expect(
            actions.toClient.hasPrefix(
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi"))
        #expect(actions.contains(.nextRequest))
        #expect(actions.toClient.contains("HTTP/1.1 403 Forbidden"))
        #expect(actions.last == .finish)
    }

    @Test(arguments: [
        ("HTTP/1.1 200 OK\r\n\r\nall", true, "the end of the connection ends it"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", false, "chunks"),
        ("HTTP/1.0 204 No Content\r\n\r\n", false, "no body"),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n", false, "an interim answer first"),
    ])
    func `an answer is forwarded to its end`(answer: String, untilClose: Bool, why: String) throws {
        let rules = try doorRules(["a.b:80"])
        var (connection, _) = Self.connected("GET http://a.b/ HTTP/1.1\r\nHost: a\r\n\r\n", rules)
        let actions = connection.answered(ByteBuffer(string: answer), rules: rules)
        #expect(actions.contains(.nextRequest) == !untilClose, "\(why)")
        if untilClose {
            #expect(actions.toClient.contains("Connection: close\r\n"))
            #expect(connection.upstreamClosed().last == .finish)
        }
    }

    @Test(arguments: [
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "an upgrade"),
        ("SSH-2.0-x\r\n\r\n", "no HTTP"),
        ("HTTP/2.0 200 OK\r\n\r\n", "another version"), ("HTTP/1.1 200 OK\nA: b\n\n", "bare line feeds"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "both framings"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "two lengths"),
        ("HTTP/1.1 99 X\r\n\r\n", "no status"), ("HTTP/1.1 2000 X\r\n\r\n", "no status"),
    ])
    func `a broken answer becomes 502`(answer: String, why: String) throws {
        let rules = try doorRules(["a.b:80"])
        var (connection, _) = Self.connected("GET http://a.b/ HTTP/1.1\r\nHost: a\r\n\r\n", rules)
        let actions = connection.answered(ByteBuffer(string: answer), rules: rules)
        #expect(actions.status == 502, "\(why)")
        #expect(actions.last == .finish)
    }

    @Test func `an answer that ends early closes the connection without a second answer`() throws {
        let rules = try doorRules(["a.b:80"])
        var (connection, _) = Self.connected("GET http://a.b/ HTTP/1.1\r\nHost: a\r\n\r\n", rules)
        _ = connection.answered(
            ByteBuffer(string: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi"), rules: rules)
        let actions = connection.upstreamClosed()
        #expect(actions.toClient.isEmpty)
        #expect(actions.last == .abort)
    }

    @Test func `smuggled bytes behind a request's body are a request of their own`() throws {
        let rules = try doorRules(["a.b:80"])
        var (connection, actions) = Self.connected(
            "POST http://a.b/ HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET http://evil.com/ HTTP/1.1\r\nHost: a\r\n\r\n",
            rules)
        #expect(actions.toUpstream.hasSuffix("\r\n\r\nabc"))
        actions = connection.answered(ByteBuffer(string: "HTTP/1.1 204 No\r\n\r\n"), rules: rules)
        #expect(actions.toUpstream.isEmpty)
        #expect(actions.toClient.contains("403"))
    }

    @Test func `a broken chunk ends the request with 400`() throws {
        let rules = try doorRules(["a.b:80"])
        var (connection, _) = Self.connected(
            "POST http://a.b/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", rules)
        let actions = connection.received(ByteBuffer(string: "zz\r\n"), rules: rules)
        #expect(actions.toUpstream.isEmpty)
        #expect(actions.status == 400)
    }

    // MARK: Limits and ends

    @Test func `one connection too many is told to wait`() throws {
        var connection = ProxyConnection(isFull: true)
        let actions = connection.received(
            ByteBuffer(string: "CONNECT a.b:443 HTTP/1.1\r\n\r\n"), rules: try doorRules(["a.b"]))
        #expect(actions.status == 429)
        #expect(actions.toClient.contains("Retry-After: 1\r\n"))
        #expect(actions.events.first?.text("reason") == "rate")
    }

    @Test func `a head that does not come in time is refused, silence is closed`() throws {
        var silent = ProxyConnection()
        #expect(silent.timedOut() == [.abort])
        var (slow, _) = Self.start("CONNECT a.b", try doorRules([]))
        #expect(slow.timedOut().status == 400)
    }

    @Test func `every allowed request is closed in the log exactly once`() throws {
        let rules = try doorRules(["a.b:22"])
        var (connection, _) = Self.connected("CONNECT a.b:22 HTTP/1.1\r\n\r\n", rules)
        #expect(connection.abort("broken").closes == ["broken"])
        #expect(connection.abort("again").closes.isEmpty)
        #expect(connection.upstreamClosed().closes.isEmpty)
    }

    @Test func `hostile text in a log line is escaped and bounded`() throws {
        let host = String(repeating: "a", count: 3000)
        let (_, actions) = Self.start("CONNECT \(host):443 HTTP/1.1\r\n\r\n", try doorRules([]))
        let event = try #require(actions.events.first)
        for field in event.fields {
            if case .text(let text) = field.value { #expect(text.utf8.count <= 600) }
        }
    }
}
