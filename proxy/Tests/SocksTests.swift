import BoxProxy
import BoxTypes
import NIOCore
import Testing

/// What a whole conversation came to: all that was sent back, and its end.
private struct Talk: Equatable {
    var sent: [UInt8] = []
    var target: String?
    var refusal: String?
    /// What was left for the tunnel.
    var rest: [UInt8] = []
    var unusable: String?

    /// Reads the bytes in pieces of `size`, as they would come over the wire.
    init(_ bytes: [UInt8], pieces size: Int = .max) {
        var reader = SocksReader()
        var buffer = ByteBuffer()
        var index = 0
        while index < bytes.count, target == nil, refusal == nil {
            let end = size < bytes.count - index ? index + size : bytes.count
            buffer.writeBytes(bytes[index..<end])
            index = end
            listen(&reader, &buffer)
        }
        rest = Array(buffer.readableBytesView) + bytes[index...]
        unusable = reader.unusable.map { "\($0.host):\($0.port)" }
    }

    private mutating func listen(_ reader: inout SocksReader, _ buffer: inout ByteBuffer) {
        while true {
            switch reader.read(&buffer) {
            case .more: return
            case .reply(let bytes): sent += bytes.readableBytesView
            case .connect(let target):
                self.target = target.description
                return
            case .refused(let bytes, let text):
                sent += bytes.readableBytesView
                refusal = text
                return
            }
        }
    }
}

private let hello: [UInt8] = [5, 1, 0]

/// A request for a domain.
private func request(_ host: [UInt8], _ port: UInt16 = 443, command: UInt8 = 1) -> [UInt8] {
    [5, command, 0, 3, UInt8(host.count)] + host + [UInt8(port >> 8), UInt8(port & 0xFF)]
}

private func request(_ host: String, _ port: UInt16 = 443) -> [UInt8] { request(Array(host.utf8), port) }

@Suite struct SocksTests {
    private static let good: [([UInt8], String, [UInt8], String)] = [
        (hello + request("github.com"), "github.com:443", [5, 0], "a name"),
        (hello + request("GitHub.COM.", 22), "github.com:22", [5, 0], "capitals and a dot at the end"),
        (hello + request("140.82.121.3"), "140.82.121.3:443", [5, 0], "an address as text"),
        (hello + request("[2606:4700::1]"), "[2606:4700::1]:443", [5, 0], "an IPv6 address as text"),
        (hello + request("localhost", 5432), "localhost:5432", [5, 0], "the host's loopback, by its name"),
        (hello + [5, 1, 0, 1, 140, 82, 121, 3, 0, 80], "140.82.121.3:80", [5, 0], "an IPv4 address"),
        (
            hello + [5, 1, 0, 4, 0x26, 6, 0x47, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 187],
            "[2606:4700::1]:443", [5, 0], "an IPv6 address"
        ),
        (
            hello + [5, 1, 0, 4] + [UInt8](repeating: 0, count: 10) + [255, 255, 127, 0, 0, 1, 0, 80],
            "[::ffff:127.0.0.1]:80", [5, 0], "a mapped address stays what it is: the rules refuse it"
        ),
        ([5, 3, 2, 1, 0] + request("a.b"), "a.b:443", [5, 0], "several methods, one of them none"),
        (
            [5, 1, 2, 1, 4] + Array("user".utf8) + [4] + Array("pass".utf8) + request("a.b"), "a.b:443",
            [5, 2, 1, 0], "a client that insists on a password"
        ),
        ([5, 2, 1, 2, 1, 0, 0] + request("a.b"), "a.b:443", [5, 2, 1, 0], "an empty name and password"),
        (
            [5, 1, 2, 1, 255] + [UInt8](repeating: 0x80, count: 255) + [255]
                + [UInt8](repeating: 0, count: 255) + request("a.b"), "a.b:443", [5, 2, 1, 0],
            "the longest credentials, which are any bytes"
        ),
        (
            [5, 255] + [UInt8](0..<255).map { $0 == 2 ? 0 : $0 | 0x80 } + request("a.b"), "a.b:443", [5, 0],
            "the longest list of methods"
        ),
    ]

    @Test(arguments: good)
    func `a good request is understood, in one piece or in many`(
        bytes: [UInt8], target: String, sent: [UInt8], why: String
    ) {
        for size in [1, 2, 3, 7, .max] {
            let talk = Talk(bytes, pieces: size)
            #expect(talk.target == target, "\(why), in pieces of \(size)")
            #expect(talk.sent == sent, "\(why), in pieces of \(size)")
            #expect(talk.rest.isEmpty && talk.refusal == nil)
        }
    }

    private static let bad: [([UInt8], [UInt8], String)] = [
        ([4, 1, 0, 80, 1, 2, 3, 4, 0], [0, 91, 0, 0, 0, 0, 0, 0], "SOCKS4"),
        ([4], [0, 91, 0, 0, 0, 0, 0, 0], "SOCKS4, from the first byte on"),
        (Array("GET / HTTP/1.1\r\n\r\n".utf8), [], "HTTP"),
        ([0x16, 3, 1, 0, 5], [], "TLS"), ([0, 0, 0], [], "zeros"), ([6, 1, 0], [], "a later version"),
        ([5, 0], [5, 0xFF], "no method at all"),
        ([5, 2, 1, 3], [5, 0xFF], "no method that is spoken"),
        ([5, 1, 2, 5, 1, 65], [5, 2], "credentials of another version"),
        (hello + [4, 1, 0, 1], [5, 0], "another version in the request"),
        (hello + request(Array("a.b".utf8), command: 2), [5, 0] + failure(7), "BIND"),
        (hello + request(Array("a.b".utf8), command: 3), [5, 0] + failure(7), "UDP ASSOCIATE"),
        (hello + request(Array("a.b".utf8), command: 0), [5, 0] + failure(7), "no command"),
        (hello + request(Array("a.b".utf8), command: 0xF0), [5, 0] + failure(7), "Tor's RESOLVE"),
        (hello + [5, 1, 1, 1, 1, 2, 3, 4, 0, 80], [5, 0] + failure(1), "a reserved byte"),
        (hello + [5, 1, 0, 0, 1, 2, 3, 4, 0, 80], [5, 0] + failure(8), "address type 0"),
        (hello + [5, 1, 0, 2, 1], [5, 0] + failure(8), "address type 2"),
        (hello + [5, 1, 0, 5, 1], [5, 0] + failure(8), "address type 5"),
        (hello + [5, 1, 0, 1, 140, 82, 121, 3, 0, 0], [5, 0] + failure(1), "port 0 of an address"),
        (hello + request("github.com", 0), [5, 0] + failure(1), "port 0 of a name"),
        (hello + request(""), [5, 0] + failure(1), "an empty name"),
        (hello + request("."), [5, 0] + failure(1), "a dot"),
        (hello + request("evil.com\0.github.com"), [5, 0] + failure(1), "NUL in the name"),
        (hello + request("github.com\0"), [5, 0] + failure(1), "NUL behind the name"),
        (hello + request("github.com\n"), [5, 0] + failure(1), "a line feed"),
        (hello + request(" github.com"), [5, 0] + failure(1), "a space"),
        (hello + request("gіthub.com"), [5, 0] + failure(1), "a Cyrillic letter"),
        (hello + request("github\u{3002}com"), [5, 0] + failure(1), "an ideographic full stop"),
        (
            hello + request(Array("git".utf8) + [0xFF] + Array("hub.com".utf8)), [5, 0] + failure(1),
            "a byte that is no text"
        ),
        (hello + request("a@github.com"), [5, 0] + failure(1), "user information"),
        (hello + request("github.com:443"), [5, 0] + failure(1), "a port in the name"),
        (hello + request("github%2ecom"), [5, 0] + failure(1), "a percent escape"),
        (hello + request("github..com"), [5, 0] + failure(1), "an empty label"),
        (hello + request("github.com.."), [5, 0] + failure(1), "two dots at the end"),
        (hello + request("*.github.com"), [5, 0] + failure(1), "a pattern"),
        (hello + request("::1"), [5, 0] + failure(1), "IPv6 without brackets"),
        (hello + request("[0::1]"), [5, 0] + failure(1), "IPv6 in another spelling"),
        (hello + request("[fe80::1%lo]"), [5, 0] + failure(1), "a zone"),
        (
            hello + request(String(repeating: "a", count: 64) + ".com"), [5, 0] + failure(1),
            "a label of 64 bytes"
        ),
        (
            hello + request([UInt8](repeating: 0x61, count: 255)), [5, 0] + failure(1),
            "the longest name there can be, and it is none"
        ),
    ]

    @Test(arguments: bad)
    func `everything else is refused`(bytes: [UInt8], sent: [UInt8], why: String) {
        for size in [1, 5, .max] {
            let talk = Talk(bytes, pieces: size)
            #expect(talk.refusal != nil && talk.target == nil, "\(why)")
            #expect(talk.sent == sent, "\(why)")
            #expect(talk.unusable == nil, "\(why)")
        }
    }

    @Test(arguments: [
        ("printer", "one label"), ("127.1", "a short address"), ("2130706433", "an address as a number"),
        ("0x7f.0.0.1", "hexadecimal"), ("0177.0.0.1", "octal"), ("a.0x1", "a hexadecimal last label"),
        ("METADATA", "one label, in capitals"),
    ])
    func `a name that can be no host is refused and told`(name: String, why: String) {
        let talk = Talk(hello + request(name, 8080))
        #expect(talk.sent == [5, 0] + failure(2), "\(why)")
        #expect(talk.unusable == "\(name.lowercased()):8080", "\(why)")
        #expect(talk.refusal?.contains(name) == false, "the text for the log holds nothing of the client's")
    }

    @Test func `what follows the request stays for the tunnel`() {
        let early: [UInt8] = [0x16, 3, 1, 2, 0, 1]
        let talk = Talk(hello + request("a.b") + early)
        #expect(talk.target == "a.b:443")
        #expect(talk.rest == early)
    }

    @Test func `an incomplete conversation waits, and takes no more than its message`() {
        let whole = [5, 1, 2, 1, 1, 65, 1, 66] + request("github.com")
        for count in 0..<whole.count {
            let talk = Talk(Array(whole[..<count]))
            #expect(talk.target == nil && talk.refusal == nil, "after \(count) bytes")
            #expect(talk.rest.isEmpty)
        }
    }

    @Test func `a reader that is done takes nothing more`() {
        var reader = SocksReader()
        var buffer = ByteBuffer(bytes: hello + request("a.b") + [5, 1, 0])
        guard case .reply = reader.read(&buffer), case .connect = reader.read(&buffer) else {
            Issue.record("no request")
            return
        }
        guard case .refused = reader.read(&buffer) else {
            Issue.record("a second conversation")
            return
        }
        #expect(buffer.readableBytes == 3)
    }

    @Test(arguments: SocksReader.Code.allCases)
    func `an answer has its code and tells no address`(code: SocksReader.Code) {
        #expect(Array(SocksReader.reply(code).readableBytesView) == failure(code.rawValue))
    }
}

/// The answer to a request, with the code.
private func failure(_ code: UInt8) -> [UInt8] { [5, code, 0, 1, 0, 0, 0, 0, 0, 0] }
