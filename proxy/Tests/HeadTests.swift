import BoxProxy
import BoxTypes
import NIOCore
import Testing

/// Reads a whole request head; nil where more is needed.
private func parse(_ text: String) throws -> RequestHead? {
    try parse(bytes: Array(text.utf8))
}

private func parse(bytes: [UInt8]) throws -> RequestHead? {
    var reader = HeadReader()
    var buffer = ByteBuffer(bytes: bytes)
    guard let head = try reader.read(&buffer) else { return nil }
    return try RequestHead(head)
}

/// The status that a refused head gets; nil where it is not refused.
private func status(_ bytes: [UInt8]) -> Int? {
    do {
        _ = try parse(bytes: bytes)
        return nil
    } catch let error as HTTPRefusal { return error.status } catch RequestRefusal.http(let error) {
        return error.status
    } catch { return 403 }
}

@Suite struct HeadTests {
    @Test(arguments: [
        ("CONNECT github.com:443 HTTP/1.1\r\nHost: github.com:443\r\n\r\n", "github.com:443", ""),
        ("CONNECT github.com:443 HTTP/1.0\r\n\r\n", "github.com:443", ""),
        ("CONNECT GitHub.COM.:443 HTTP/1.1\r\n\r\n", "github.com:443", ""),
        ("CONNECT [2606:4700::1]:443 HTTP/1.1\r\n\r\n", "[2606:4700::1]:443", ""),
        ("CONNECT a.b:443 HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "a.b:443", ""),
        ("GET http://a.b/c?d=e HTTP/1.1\r\nHost: a.b\r\n\r\n", "a.b:80", "/c?d=e"),
        ("GET http://a.b HTTP/1.1\r\nHost: a.b\r\n\r\n", "a.b:80", "/"),
        ("GET http://a.b:8080/ HTTP/1.0\r\n\r\n", "a.b:8080", "/"),
        ("GET http://a.b/http://evil.com/@x HTTP/1.1\r\nHost: a\r\n\r\n", "a.b:80", "/http://evil.com/@x"),
        ("OPTIONS http://a.b/x HTTP/1.1\r\nHost: a\r\n\r\n", "a.b:80", "/x"),
        ("DELETE http://a.b/x HTTP/1.1\r\nHost: a\r\nAccept:\r\n\r\n", "a.b:80", "/x"),
    ])
    func `a good request is understood`(text: String, target: String, path: String) throws {
        let head = try #require(try parse(text))
        #expect(head.target.description == target)
        #expect(head.path == path)
    }

    @Test(arguments: [
        // Line ends and control characters.
        ("GET http://a.b/ HTTP/1.1\nHost: a.b\n\n", 400, "bare line feeds"),
        ("GET http://a.b/ HTTP/1.1\r\nHost: a.b\n\r\n", 400, "one bare line feed"),
        ("GET http://a.b/ HTTP/1.1\r\nA: b\r\n\r\n", 400, "no Host"),
        ("GET http://a.b/ HTTP/1.1\rHost: a.b\r\n\r\n", 400, "a bare carriage return"),
        ("GET http://a.b/ HTTP/1.1\r\nHost: a\r\nA: x\ry\r\n\r\n", 400, "a carriage return in a value"),
        ("GET http://a.b/ HTTP/1.1\r\r\n\r\n", 400, "two carriage returns"),
        ("GET http://a.b/ HTTP/1.1\r\nHost: a\r\nA: x\0y\r\n\r\n", 400, "NUL in a value"),
        ("GET http://a.b\0/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "NUL in the target"),
        ("GET http://a.b/ HTTP/1.1\r\nHost: a\r\nA: x\u{7F}y\r\n\r\n", 400, "DEL in a value"),
        ("GET http://a.b/ HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n", 400, "a continued line"),
        ("GET http://a.b/ HTTP/1.1\r\nHost: a\r\n A: b\r\n\r\n", 400, "a continued line at once"),
        ("\r\nGET http://a.b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "an empty first line"),
        // The request line.
        ("GET  http://a.b/ HTTP/1.1\r\n\r\n", 400, "two spaces"),
        ("GET http://a.b/\r\n\r\n", 400, "HTTP/0.9"),
        (" GET http://a.b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "a space in front"),
        ("GET http://a.b/ HTTP/1.1 \r\n\r\n", 400, "a space behind"),
        ("GET\thttp://a.b/\tHTTP/1.1\r\n\r\n", 400, "tabs"),
        ("GET http://a.b/ x HTTP/1.1\r\n\r\n", 400, "a space in the URL"),
        ("GET http://a.b/ HTTP/1.2\r\n\r\n", 400, "another version"),
        ("GET http://a.b/ HTTP/2.0\r\n\r\n", 400, "HTTP/2"),
        ("GET http://a.b/ http/1.1\r\n\r\n", 400, "a lower-case version"),
        ("GET http://a.b/ HTTP/1.10\r\n\r\n", 400, "1.10"),
        ("PRI * HTTP/2.0\r\n\r\n", 400, "the preface of HTTP/2"),
        ("TRACE http://a.b/ HTTP/1.1\r\n\r\n", 405, "TRACE"),
        ("get http://a.b/ HTTP/1.1\r\n\r\n", 405, "a lower-case method"),
        ("PROPFIND http://a.b/ HTTP/1.1\r\n\r\n", 405, "a method that is not let through"),
        ("CONNECTX a.b:443 HTTP/1.1\r\n\r\n", 405, "no method"),
        // Targets.
        ("GET / HTTP/1.1\r\nHost: a.b\r\n\r\n", 400, "origin form"),
        ("OPTIONS * HTTP/1.1\r\n\r\n", 400, "asterisk form"),
        ("OPTIONS http://a.b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "OPTIONS of the whole server"),
        ("GET https://a.b/ HTTP/1.1\r\n\r\n", 400, "https"), ("GET ftp://a.b/ HTTP/1.1\r\n\r\n", 400, "ftp"),
        ("GET file:///etc/passwd HTTP/1.1\r\n\r\n", 400, "file"),
        ("GET gopher://a.b/ HTTP/1.1\r\n\r\n", 400, "gopher"),
        ("GET a.b/ HTTP/1.1\r\n\r\n", 400, "no scheme"), ("GET //a.b/ HTTP/1.1\r\n\r\n", 400, "no scheme"),
        ("GET a.b:443 HTTP/1.1\r\n\r\n", 400, "authority form"),
        ("GET http:a.b/ HTTP/1.1\r\n\r\n", 400, "no slashes"),
        ("GET http:/a.b/ HTTP/1.1\r\n\r\n", 400, "one slash"),
        ("GET http:///a.b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "no host"),
        ("GET http://a.b@evil.com/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "user information"),
        ("GET http://user:pass@a.b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "user information"),
        ("GET http://evil.com\\@a.b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "a backslash"),
        ("GET http://a.b/\\x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "a backslash"),
        ("GET http://evil.com#@a.b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "a fragment"),
        ("GET http://a.b/#x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "a fragment"),
        ("GET http://a.b;.evil.com/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "a semicolon"),
        ("GET http://evil.com?.a.b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "a query in the host"),
        ("GET http://a.b:/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "an empty port"),
        ("GET http://a.b:0/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "port 0"),
        ("CONNECT http://a.b/ HTTP/1.1\r\n\r\n", 400, "CONNECT with a URL"),
        ("CONNECT a.b HTTP/1.1\r\n\r\n", 400, "no port"),
        ("CONNECT / HTTP/1.1\r\n\r\n", 400, "no host"), ("CONNECT a.b:443/ HTTP/1.1\r\n\r\n", 400, "a path"),
        ("CONNECT a.b@c.d:443 HTTP/1.1\r\n\r\n", 400, "user information"),
        ("CONNECT gіthub.com:443 HTTP/1.1\r\n\r\n", 400, "not ASCII"),
        ("CONNECT 127.1:443 HTTP/1.1\r\n\r\n", 403, "a short address"),
        ("CONNECT printer:443 HTTP/1.1\r\n\r\n", 403, "one label"),
        // Header lines.
        ("GET http://a.b/ HTTP/1.1\r\nHost: a\r\nA b: c\r\n\r\n", 400, "a space in a name"),
        ("GET http://a.b/ HTTP/1.1\r\nHost: a\r\nA : c\r\n\r\n", 400, "a space behind a name"),
        ("GET http://a.b/ HTTP/1.1\r\nHost: a\r\n: c\r\n\r\n", 400, "no name"),
        ("GET http://a.b/ HTTP/1.1\r\nHost: a\r\nA\r\n\r\n", 400, "no colon"),
        ("GET http://a.b/ HTTP/1.1\r\nHost: a\r\nÄ: c\r\n\r\n", 400, "a name that is no token"),
        ("GET http://a.b/ HTTP/1.1\r\nHost: a.b\r\nHost: a.b\r\n\r\n", 400, "two Hosts"),
        // Framing.
        (
            "POST http://a.b/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
            "both framings"
        ),
        (
            "POST http://a.b/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400,
            "the length twice"
        ),
        (
            "POST http://a.b/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400,
            "two lengths"
        ),
        ("POST http://a.b/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", 400, "a list of lengths"),
        ("POST http://a.b/ HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", 400, "a sign"),
        ("POST http://a.b/ HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400, "a sign"),
        ("POST http://a.b/ HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\n", 400, "hexadecimal"),
        ("POST http://a.b/ HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400, "empty"),
        (
            "POST http://a.b/ HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400,
            "overflow"
        ),
        (
            "POST http://a.b/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", 400,
            "another encoding"
        ),
        (
            "POST http://a.b/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 400,
            "two encodings"
        ),
        (
            "POST http://a.b/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", 400,
            "chunked twice"
        ),
        (
            "POST http://a.b/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            400, "the line twice"
        ),
        ("POST http://a.b/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", 400, "identity"),
        (
            "POST http://a.b/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n", 400,
            "a parameter"
        ),
        (
            "POST http://a.b/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n", 400,
            "a space behind the name"
        ),
        (
            "POST http://a.b/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\u{0B}chunked\r\n\r\n", 400,
            "a vertical tab"
        ),
        ("POST http://a.b/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "chunks in HTTP/1.0"),
        ("CONNECT a.b:443 HTTP/1.1\r\nContent-Length: 5\r\n\r\n", 400, "CONNECT with a body"),
        (
            "GET http://a.b/ HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", 501,
            "an upgrade"
        ),
        ("GET http://a.b/ HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n", 501, "an upgrade"),
        // Other protocols.
        ("\u{05}\u{01}\u{00}", 400, "SOCKS5"), ("\u{04}\u{01}\u{01}", 400, "SOCKS4"),
        ("\u{16}\u{03}\u{01}", 400, "TLS"),
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n", 400, "SSH"),
    ])
    func `a request that two programs could read differently is refused`(
        text: String, expected: Int, why: String
    ) {
        #expect(status(Array(text.utf8)) == expected, "\(why)")
    }

    @Test func `lines, heads and the number of fields are bounded`() {
        let start = Array("GET http://a.b/ HTTP/1.1\r\nHost: a\r\n".utf8)
        #expect(status(Array("GET http://a.b/".utf8) + [UInt8](repeating: 0x61, count: 64 << 10)) == 414)
        #expect(status(start + Array("A: ".utf8) + [UInt8](repeating: 0x61, count: 9 << 10)) == 431)
        let line = Array("A: ".utf8) + [UInt8](repeating: 0x61, count: 4 << 10) + [13, 10]
        #expect(status(start + (0..<10).flatMap { _ in line }) == 431)
        let many = { (count: Int) in start + (0..<count).flatMap { _ in Array("A: b\r\n".utf8) } + [13, 10] }
        #expect(status(many(99)) == nil, "and Host")
        #expect(status(many(100)) == 431)
    }

    @Test func `a head may come in any pieces`() throws {
        let bytes = Array("GET http://a.b/c HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\nrest".utf8)
        for cut in 0..<bytes.count {
            var reader = HeadReader()
            var first = ByteBuffer(bytes: bytes[..<cut])
            var head = try reader.read(&first)
            var rest = first
            rest.writeBytes(bytes[cut...])
            if head == nil { head = try reader.read(&rest) }
            #expect(try RequestHead(try #require(head)).path == "/c")
            #expect(rest.text == "rest")
        }
    }

    @Test func `the origin server sees the host that was decided about, and nothing of the proxy's`() throws {
        let head = try #require(
            try parse(
                """
                POST http://A.b:81/c HTTP/1.1\r
                Host: evil.com\r
                Proxy-Authorization: Basic eDp5\r
                Proxy-Connection: keep-alive\r
                Connection: keep-alive, X-Secret\r
                Keep-Alive: 5\r
                TE: trailers\r
                X-Secret: 1\r
                X-Kept:  two words \r
                Content-Length: 3\r
                \r

                """))
        #expect(
            head.serialized(to: head.target).text == """
                POST /c HTTP/1.1\r
                Host: a.b:81\r
                X-Kept: two words\r
                Content-Length: 3\r
                Connection: close\r
                \r

                """)
    }

    @Test func `random bytes never crash the parsers`() {
        var generator = SystemRandomNumberGenerator()
        let seeds = [
            "GET http://a.b/ HTTP/1.1\r\nHost: a.b\r\nContent-Length: 5\r\n\r\nhello",
            "CONNECT [::1]:443 HTTP/1.1\r\n\r\n",
            "POST http://a.b/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ].map { Array($0.utf8) }
        for round in 0..<30_000 {
            var bytes = seeds[round % seeds.count]
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let place = Int.random(in: 0..<bytes.count, using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: bytes[place] = .random(in: 0...255, using: &generator)
                case 1: bytes.insert(.random(in: 0...255, using: &generator), at: place)
                default: bytes.remove(at: place)
                }
            }
            _ = status(bytes)
            var hello = ClientHelloReader()
            _ = hello.read(ByteBuffer(bytes: bytes).readableBytesView)
        }
    }
}

@Suite struct BodyTests {
    private static func read(_ framing: BodyFraming, _ text: String) throws -> (
        body: String, rest: String, over: Bool
    ) {
        var reader = BodyReader(framing)
        var buffer = ByteBuffer(string: text)
        let body = try reader.read(&buffer)
        return (body.text, buffer.text, reader.isComplete)
    }

    @Test(arguments: [
        (BodyFraming.none, "rest", "", "rest", true), (.length(3), "abcrest", "abc", "rest", true),
        (.length(3), "ab", "ab", "", false), (.untilClose, "all", "all", "", false),
        (.chunked, "3\r\nabc\r\n0\r\n\r\nrest", "3\r\nabc\r\n0\r\n\r\n", "rest", true),
        (.chunked, "0\r\n\r\nrest", "0\r\n\r\n", "rest", true),
        (.chunked, "A\r\n0123456789\r\n", "A\r\n0123456789\r\n", "", false),
        (.chunked, "000000000000003\r\nabc\r\n0\r\n\r\n", "000000000000003\r\nabc\r\n0\r\n\r\n", "", true),
    ])
    func `a body ends where its framing says`(
        framing: BodyFraming, text: String, body: String, rest: String, over: Bool
    ) throws {
        let result = try Self.read(framing, text)
        #expect(result.body == body)
        #expect(result.rest == rest)
        #expect(result.over == over)
    }

    @Test(arguments: [
        ("\r\n", "no size"), ("g\r\n", "no number"), ("3;a=b\r\nabc", "an extension"),
        ("3 \r\nabc", "a space"),
        (" 3\r\nabc", "a space"), ("0x3\r\nabc", "a prefix"), ("+3\r\nabc", "a sign"),
        ("-3\r\nabc", "a sign"),
        ("3\nabc", "a bare line feed"), ("3\r\nabcd", "more data than the size"),
        ("3\r\nabc\n", "a bare line feed"),
        ("3\r\nabc\rX", "no line feed"), ("FFFFFFFFFFFFFFFF\r\n", "overflow"),
        ("10000000000000000\r\n", "overflow"),
        ("0\r\nX-Trailer: 1\r\n\r\n", "a trailer"), ("0\r\n\n", "a bare line feed"),
        ("\u{FF11}\r\na", "a full-width digit"),
    ])
    func `broken chunks are refused`(text: String, why: String) {
        #expect(throws: HTTPRefusal.self, "\(why)") { try Self.read(.chunked, text) }
    }

    @Test func `chunks may come in any pieces`() throws {
        let text = "5\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"
        for cut in 0...text.utf8.count {
            var reader = BodyReader(.chunked)
            var first = ByteBuffer(bytes: Array(text.utf8)[..<cut])
            var second = ByteBuffer(bytes: Array(text.utf8)[cut...])
            let body = try reader.read(&first).text + reader.read(&second).text
            #expect(body == text)
            #expect(reader.isComplete)
        }
    }
}

@Suite struct ClientHelloTests {
    private static func find(_ bytes: [UInt8]) -> ClientHelloReader.Finding {
        var reader = ClientHelloReader()
        return reader.read(ByteBuffer(bytes: bytes).readableBytesView)
    }

    @Test(arguments: [1, 2, 5, 40, 16384])
    func `the server name is found in records of any size`(size: Int) {
        #expect(Self.find(Hello().records(of: size)) == .hello(serverName: "github.com"))
    }

    @Test func `the server name is found byte by byte, and not before the end`() {
        let bytes = Hello().records(of: 50)
        var reader = ClientHelloReader()
        for byte in bytes.dropLast() {
            #expect(reader.read(ByteBuffer(bytes: [byte]).readableBytesView) == .more)
        }
        #expect(
            reader.read(ByteBuffer(bytes: bytes.suffix(1)).readableBytesView)
                == .hello(serverName: "github.com"))
    }

    @Test func `capitals are lowered, and no name is no name`() {
        #expect(Self.find(Hello(name: "GitHub.COM").records()) == .hello(serverName: "github.com"))
        #expect(Self.find(Hello(name: nil).records()) == .hello(serverName: nil))
    }

    @Test(arguments: [(0xFE, 0x0D), (0xFF, 0xCE)])
    func `a hello with an encrypted part is told apart, whatever name it shows`(high: UInt8, low: UInt8) {
        let part = [high, low] + Hello.vector([0, 0, 1, 0, 1, 7] + [UInt8](repeating: 9, count: 200), 2)
        for name in ["github.com", nil] {
            #expect(Self.find(Hello(name: name, extraExtensions: [part]).records(of: 100)) == .encrypted)
        }
    }

    @Test(arguments: [
        (Array("SSH-2.0-OpenSSH\r\n".utf8), "SSH"), (Array("GET / HTTP/1.1\r\n\r\n".utf8), "HTTP"),
        ([0x16, 0x02, 0, 0, 5], "another version"), ([0x17, 3, 3, 0, 5], "application data"),
        ([0x16, 3, 1, 0, 0], "an empty record"), ([0x16, 3, 1, 0xFF, 0xFF], "too long a record"),
        ([0x16, 3, 1, 0, 4, 2, 0, 0, 0], "a ServerHello"),
        ([0x16, 3, 1, 0, 4, 1, 0xFF, 0xFF, 0xFF], "too long a message"),
        (Hello(name: "").records(), "an empty name"), (Hello(name: "a b").records(), "a space in the name"),
        (Hello(name: "a\0b").records(), "NUL in the name"),
        (Hello(nameType: 1).records(), "another kind of name"),
        (Hello(extraExtensions: [[0, 0, 0, 0]]).records(), "the extension twice"),
        (Hello(extraExtensions: [[0, 9, 0, 5, 1]]).records(), "an extension that is too long"),
        (Hello().records() + Hello().records(), "a second message"),
    ])
    func `what is not one good hello is not TLS`(bytes: [UInt8], why: String) {
        let finding = Self.find(bytes)
        // A second record after a complete hello is not looked at: it is the tunnel's.
        #expect(finding == (why == "a second message" ? .hello(serverName: "github.com") : .notTLS), "\(why)")
    }

    @Test func `an endless hello is not waited for`() {
        let fragment: [UInt8] =
            [0x16, 3, 1, 0x40, 0] + [1, 0, 0x3F, 0xFC] + [UInt8](repeating: 0, count: 16380)
        #expect(Self.find(fragment) == .notTLS)
        var reader = ClientHelloReader()
        var last = ClientHelloReader.Finding.more
        for _ in 0..<40_000 where last == .more {
            last = reader.read(ByteBuffer(bytes: [0x16, 3, 1, 0, 1, 1]).readableBytesView)
        }
        #expect(last == .notTLS)
    }
}
