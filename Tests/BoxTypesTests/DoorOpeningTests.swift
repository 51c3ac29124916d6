import BoxTypes
import Testing

/// What the network door needs inside, for which rules.
struct DoorOpeningTests {
    private func opening(_ rules: [String]) throws -> DoorOpening {
        DoorOpening(for: try rules.map { try HostRule($0) })
    }

    /// The listeners for programs without a proxy, as text.
    private func captured(_ rules: String...) throws -> [String] {
        try opening(rules).listeners.filter { $0.kind == .transparent }.map(\.description)
    }

    /// The routes besides that of the addresses that names get.
    private func routes(_ rules: String...) throws -> [String] {
        try opening(rules).routes.map(\.description).filter { $0 != "198.18.0.0/15" }
    }

    @Test func `without a rule there are the explicit proxies and the DNS responder alone`() {
        let opening = DoorOpening(for: [])
        #expect(opening == DoorOpening.standing)
        #expect(opening.routes.map(\.description) == ["198.18.0.0/15"])
        #expect(
            opening.listeners.map { "\($0.kind.name) \($0)" } == [
                "http 127.0.0.1:3128", "http [::1]:3128", "socks 127.0.0.1:1080", "socks [::1]:1080",
                "dns-datagram 127.0.0.1:53", "dns-stream 127.0.0.1:53",
            ])
    }

    @Test func `a port that names use is listened on once, on all of IPv4`() throws {
        #expect(
            try captured("example.com", "*.example.org", "git.example.com:22") == [
                "0.0.0.0:22", "0.0.0.0:443",
            ])
        #expect(try routes("example.com", "*.example.org").isEmpty)
    }

    @Test(arguments: ["localhost:5432", "127.0.0.1:5432", "[::1]:5432"])
    func `the host's own loopback takes only the loopback inside`(rule: String) throws {
        #expect(try captured(rule) == ["127.0.0.1:5432", "[::1]:5432"])
        #expect(try routes(rule).isEmpty)
    }

    @Test func `a port of names and of the loopback has no two sockets on one address`() throws {
        #expect(try captured("localhost:443", "example.com") == ["0.0.0.0:443", "[::1]:443"])
        #expect(try captured("localhost:443", "[2001:db8::7]:443") == ["127.0.0.1:443", "[::]:443"])
    }

    @Test func `addresses and networks get a route, and a listener of their family`() throws {
        let rules = [
            "192.0.2.7:22", "10.0.0.0/8:5432", "[2001:db8::7]:80", "[fd00::/8]:5432", "192.0.2.7:23",
        ]
        let opening = try opening(rules)
        #expect(
            opening.routes.map(\.description) == [
                "198.18.0.0/15", "192.0.2.7/32", "10.0.0.0/8", "2001:db8::7/128", "fd00::/8",
            ])
        #expect(
            opening.listeners.filter { $0.kind == .transparent }.map(\.description) == [
                "0.0.0.0:22", "0.0.0.0:23", "[::]:80", "0.0.0.0:5432", "[::]:5432",
            ])
    }

    @Test(arguments: [
        "224.0.0.0/8:443", "0.0.0.0/8:443", "240.0.0.0/8:443", "[ff00::/8]:443", "255.255.255.255:443",
    ])
    func `what no rule opens is not routed either`(rule: String) throws {
        #expect(try routes(rule).isEmpty)
    }

    @Test func `the door's own ports are never taken for something else`() throws {
        #expect(try captured("example.com:53", "example.com:1080", "localhost:3128").isEmpty)
    }

    @Test func `what is there already is not made again`() throws {
        let before = try opening(["example.com"])
        var more = try opening(["example.com", "10.0.0.0/8:22"]).subtracting(before)
        #expect(more.routes.map(\.description) == ["10.0.0.0/8"])
        #expect(more.listeners.map(\.description) == ["0.0.0.0:22"])
        more.formUnion(before)
        #expect(try opening(["example.com", "10.0.0.0/8:22"]).subtracting(more).isEmpty)
    }

    @Test func `an opening arrives as it was sent, and a piece of it is an error`() throws {
        var opening = try opening(["example.com", "10.0.0.0/8:22", "[2001:db8::7]:80"])
        opening.unconnected = 64
        var writer = WireWriter()
        opening.write(to: &writer)
        var reader = WireReader(writer.bytes)
        #expect(try DoorOpening(from: &reader) == opening)
        try reader.finish()
        for length in 0..<writer.bytes.count {
            var reader = WireReader(Array(writer.bytes.prefix(length)))
            #expect(throws: WireError.self) { try DoorOpening(from: &reader) }
        }
    }

    @Test func `ten thousand rules are worked out at once`() throws {
        let rules = (0..<10_000).map { "10.\($0 / 250).\($0 % 250).1:443" }
        let time = ContinuousClock().measure { _ = try? opening(rules) }
        #expect(time < .seconds(5))
        #expect(try opening(rules).routes.count == 10_001)
    }
}

/// `--publish` and `--upstream-proxy`.
struct NetworkValueTests {
    @Test(arguments: [("3000", 3000, 3000), ("3000:8080", 3000, 8080), ("65535:1", 65535, 1)])
    func `a published port is one number or two`(text: String, host: UInt16, inside: UInt16) throws {
        let port = try PublishedPort(text)
        #expect(port.host.number == host && port.inside.number == inside)
        #expect(try PublishedPort(port.description) == port)
    }

    @Test(arguments: [
        "", "0", "3000:", ":3000", "1:2:3", "127.0.0.1:3000", "65536", "03000", "3000:0", "a", " 1",
    ])
    func `what is no port is not published`(text: String) {
        #expect(throws: HostRefusal.self) { try PublishedPort(text) }
    }

    @Test(arguments: [
        ("http://proxy.example.com:3128", "proxy.example.com:3128", nil),
        ("HTTP://10.1.2.3:8080/", "10.1.2.3:8080", nil),
        ("http://[2001:db8::1]:80", "[2001:db8::1]:80", nil),
        // The examples of RFC 7617, and bytes of every place in a group of three.
        (
            "http://Aladdin:open%20sesame@proxy.example.com:1", "proxy.example.com:1",
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
        ),
        ("http://test:123%C2%A3@p.example.com:1", "p.example.com:1", "Basic dGVzdDoxMjPCow=="),
        ("http://a:b@p.example.com:1", "p.example.com:1", "Basic YTpi"),
        ("http://ann@p.example.com:1", "p.example.com:1", "Basic YW5uOg=="),
        ("http://a:p@ss@p.example.com:1", "p.example.com:1", "Basic YTpwQHNz"),
    ])
    func `a proxy's URL says where it is and who asks`(url: String, target: String, authorization: String?)
        throws
    {
        let proxy = try UpstreamProxy(url: url)
        #expect(proxy.target.description == target)
        #expect(proxy.authorization == authorization)
    }

    @Test(arguments: [
        "", "proxy.example.com:3128", "https://p.example.com:1", "socks5://p.example.com:1",
        "http://p.example.com",
        "http://p.example.com:0", "http://p.example.com:1/path", "http://u:hunter2%0D%0AX@p.example.com:1",
        "http://u:hunter2%@p.example.com:1", "http://u:hunter2%zz@p.example.com:1", "http://u:hunter2@p_x:1",
    ])
    func `a proxy's URL that is none is refused, without the password in the message`(url: String) {
        #expect {
            try UpstreamProxy(url: url)
        } throws: { error in
            error is HostRefusal && !"\(error)".contains("hunter2")
        }
    }

    @Test func `a proxy's password is in no text of it`() throws {
        let proxy = try UpstreamProxy(url: "http://ann:hunter2@p.example.com:1")
        let authorization = try #require(proxy.authorization)
        for text in ["\(proxy)", String(reflecting: proxy), "\([proxy])", "\(Optional(proxy) as Any)"] {
            #expect(!text.contains("hunter2") && !text.contains(authorization))
        }
        var dumped = ""
        dump(proxy, to: &dumped)
        #expect(!dumped.contains(authorization))
    }
}
