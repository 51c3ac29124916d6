import BoxProxy
import BoxTypes
import NIOCore
import Testing

/// An answer as the wire has it, read by hand.
private struct Answer {
    let bytes: [UInt8]

    var id: Int { number(0) }
    var flags: Int { number(2) }
    var code: Int { flags & 0xF }
    var counts: [Int] { [4, 6, 8, 10].map(number) }
    var isResponse: Bool { flags >> 15 == 1 }
    var operation: Int { flags >> 11 & 0xF }
    var isAuthoritative: Bool { flags >> 10 & 1 == 1 }
    var isTruncated: Bool { flags >> 9 & 1 == 1 }
    var wantsRecursion: Bool { flags >> 8 & 1 == 1 }
    var offersRecursion: Bool { flags >> 7 & 1 == 1 }
    var isAuthentic: Bool { flags >> 5 & 1 == 1 }

    struct Record {
        let type: Int
        let recordClass: Int
        let life: Int
        let data: [UInt8]
    }

    func number(_ index: Int) -> Int { Int(bytes[index]) << 8 | Int(bytes[index + 1]) }

    private func endOfName(_ start: Int) -> Int {
        var index = start
        while bytes[index] != 0 {
            if bytes[index] >= 0xC0 { return index + 2 }
            index += 1 + Int(bytes[index])
        }
        return index + 1
    }

    /// Where the question ends.
    var endOfQuestion: Int { endOfName(12) + 4 }
    var question: [UInt8] { Array(bytes[12..<endOfQuestion]) }

    /// All records behind the question, in order.
    var records: [Record] {
        guard counts[0] == 1 else { return [] }
        var index = endOfQuestion
        var records: [Record] = []
        while index < bytes.count {
            let start = endOfName(index)
            let size = number(start + 8)
            records.append(
                Record(
                    type: number(start), recordClass: number(start + 2),
                    life: number(start + 4) << 16 | number(start + 6),
                    data: Array(bytes[(start + 10)..<(start + 10 + size)])))
            index = start + 10 + size
        }
        return records
    }
}

private func labels(_ name: String) -> [[UInt8]] {
    name.utf8.split(separator: UInt8(ascii: ".")).map(Array.init)
}

private func query(_ name: String, _ type: UInt16, edns: UInt8? = nil) -> DNSQuery {
    DNSQuery(id: 0xABCD, labels: labels(name), type: type, edns: edns)
}

/// A responder with the rules of a small allowlist.
private struct Setting {
    var names = FakeNames()
    var responder = DNSResponder()
    var denied: [String] = []

    static func allows(_ name: HostName) -> Bool {
        let allowed = ["github.com", "example.org", "db.localhost.example"]
        return allowed.contains(name.description) || name.description.hasSuffix(".x.org")
    }

    mutating func ask(_ message: [UInt8]) -> Answer? {
        let (reply, refused) = responder.answer(
            ByteBuffer(bytes: message), rules: Setting.allows, names: &names)
        if let refused { denied.append(refused.description) }
        return reply.map { Answer(bytes: Array($0.readableBytesView)) }
    }

    mutating func ask(_ query: DNSQuery) throws -> Answer {
        let answer = ask(Array(query.serialized.readableBytesView))
        return try #require(answer)
    }
}

@Suite struct DNSTests {
    @Test(arguments: [("github.com", "198.18.0.2"), ("GitHub.Com", "198.18.0.2"), ("a.x.org", "198.18.0.1")])
    func `an allowed name has an address of its own`(name: String, address: String) throws {
        var setting = Setting()
        _ = try setting.ask(query("a.x.org", 1))
        for type in [1, 1, 255] as [UInt16] {
            let answer = try setting.ask(query(name, type))
            #expect(answer.code == 0 && answer.counts == [1, 1, 0, 0])
            #expect(answer.id == 0xABCD && answer.isResponse && answer.isAuthoritative)
            #expect(answer.wantsRecursion && answer.offersRecursion)
            #expect(!answer.isAuthentic && !answer.isTruncated)
            let record = try #require(answer.records.first)
            #expect(record.type == 1 && record.recordClass == 1 && (1...60).contains(record.life))
            #expect(record.data.map(String.init).joined(separator: ".") == address)
        }
        #expect(setting.denied.isEmpty)
    }

    @Test(
        arguments: [
            (28, "AAAA"), (65, "HTTPS"), (64, "SVCB"), (15, "MX"), (16, "TXT"), (33, "SRV"), (2, "NS"),
            (6, "SOA"),
            (5, "CNAME"), (12, "PTR"), (0, "none"), (65535, "unknown"), (252, "a zone transfer"),
        ] as [(UInt16, String)])
    func `an allowed name has nothing else, and the answer says for how long`(type: UInt16, why: String)
        throws
    {
        var setting = Setting()
        let answer = try setting.ask(query("github.com", type))
        #expect(answer.code == 0 && answer.counts == [1, 0, 1, 0], "\(why)")
        let authority = try #require(answer.records.first)
        #expect(authority.type == 6 && authority.life <= 5)
        // RFC 2308: the last number of the SOA is for how long resolvers keep it.
        #expect(Array(authority.data.suffix(4)) == [0, 0, 0, UInt8(authority.life)])
        #expect(setting.denied.isEmpty)
    }

    @Test(
        arguments: [
            ("evil.com", "evil.com", "no rule"), ("x.org", "x.org", "the name above the star"),
            ("github.com.evil.com", "github.com.evil.com", "an allowed name in front"),
            ("evilgithub.com", "evilgithub.com", "an allowed name at the end"),
            ("EVIL.com", "evil.com", "told in lower case"),
            ("secret-data.evil.com", "secret-data.evil.com", "data in a name"),
            ("github.com.localdomain", "github.com.localdomain", "a search domain"),
            ("metadata", nil, "one label"), ("127.1", nil, "a short address"), ("1.2.3.4", nil, "an address"),
            ("", nil, "the root"), ("-a.com", nil, "a hyphen at the front"), ("a b.com", nil, "a space"),
            ("github.com\0", nil, "NUL"), ("gіthub.com", nil, "a Cyrillic letter"),
            ("_dmarc.evil.com", "_dmarc.evil.com", "an underscore"),
            ("notlocalhost", nil, "one label that ends in localhost"),
            ("localhost.evil.com", "localhost.evil.com", "localhost in front"),
            ("in-addr.arpa", "in-addr.arpa", "the parent of the reverse names"),
            ("a.b.c.d.in-addr.arpa", "a.b.c.d.in-addr.arpa", "no reverse name"),
            ("1.2.3.in-addr.arpa", "1.2.3.in-addr.arpa", "half a reverse name"),
        ] as [(String, String?, String)])
    func `every other name does not exist, and is told`(name: String, denied: String?, why: String) throws {
        for type in [1, 28, 65, 12, 255] as [UInt16] {
            var setting = Setting()
            let answer = try setting.ask(query(name, type))
            #expect(answer.code == 3 && answer.counts == [1, 0, 1, 0], "\(why)")
            #expect(answer.records.first?.type == 6)
            #expect(setting.denied == (denied.map { [$0] } ?? []), "\(why)")
        }
    }

    @Test func `a dot within a label is not two labels`() throws {
        var setting = Setting()
        let name = [Array("github.com".utf8)]
        let answer = try setting.ask(DNSQuery(id: 1, labels: name, type: 1))
        #expect(answer.code == 3)
        let below = try setting.ask(DNSQuery(id: 1, labels: [Array("a.x".utf8), Array("org".utf8)], type: 1))
        #expect(below.code == 3)
        #expect(setting.denied.isEmpty)
    }

    @Test(arguments: ["localhost", "LOCALHOST", "db.localhost", "a.b.localhost"])
    func `localhost is the loopback without a rule`(name: String) throws {
        var setting = Setting()
        #expect(try setting.ask(query(name, 1)).records.first?.data == [127, 0, 0, 1])
        #expect(
            try setting.ask(query(name, 28)).records.first?.data == [UInt8](repeating: 0, count: 15) + [1])
        let other = try setting.ask(query(name, 15))
        #expect(other.code == 0 && other.counts == [1, 0, 1, 0])
        #expect(setting.denied.isEmpty)
    }

    @Test func `an address that was given out tells its name, and no other address has one`() throws {
        var setting = Setting()
        _ = try setting.ask(query("github.com", 1))
        let known = try setting.ask(query("1.0.18.198.in-addr.arpa", 12))
        #expect(known.code == 0 && known.counts == [1, 1, 0, 0])
        #expect(known.records.first?.type == 12)
        #expect(known.records.first?.data == labels("github.com").dnsName)
        #expect(try setting.ask(query("1.0.18.198.in-addr.arpa", 1)).counts == [1, 0, 1, 0])
        let v6 = String(repeating: "0.", count: 31) + "1.ip6.arpa"
        for name in ["2.0.18.198.in-addr.arpa", "8.8.8.8.in-addr.arpa", "1.0.0.127.in-addr.arpa", v6] {
            #expect(try setting.ask(query(name, 12)).code == 3, "\(name)")
        }
        #expect(setting.denied.isEmpty, "a reverse question is not an attempt to reach a name")
    }

    @Test func `the question comes back as it was sent, also its mixed case`() throws {
        var setting = Setting()
        for (name, type) in [("gItHuB.cOm", 1), ("eViL.CoM", 1), ("GITHUB.com", 28)] as [(String, UInt16)] {
            let sent = query(name, type)
            let answer = try setting.ask(sent)
            #expect(answer.question == Array(sent.serialized.readableBytesView.dropFirst(12)))
        }
        #expect(
            setting.names.name(at: try #require(IPAddress(v4: "198.18.0.1")))?.description == "github.com")
    }

    @Test func `a full table is a failure of the server, not another name's address`() throws {
        var setting = Setting()
        for number in 0..<FakeNames.most {
            _ = setting.names.address(of: try HostName("h\(number).x.org"))
        }
        #expect(try setting.ask(query("h0.x.org", 1)).code == 0)
        let answer = try setting.ask(query("new.x.org", 1))
        #expect(answer.code == 2 && answer.counts == [1, 0, 0, 0])
    }
}

@Suite struct DNSMessageTests {
    @Test func `EDNS is answered with EDNS, and nothing of it is echoed`() throws {
        var setting = Setting()
        var message = Array(query("github.com", 1, edns: 0).serialized.readableBytesView)
        // The DNSSEC flag, and a cookie (RFC 7873).
        message[message.count - 4] = 0x80
        message.replaceSubrange((message.count - 2)..., with: [0, 12, 0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8])
        let reply = setting.ask(message)
        let answer = try #require(reply)
        #expect(answer.code == 0 && answer.counts == [1, 1, 0, 1])
        #expect(Array(answer.bytes.suffix(11)) == [0, 0, 41, 0x04, 0xD0, 0, 0, 0, 0, 0, 0])
    }

    @Test func `another EDNS version is told so`() throws {
        var setting = Setting()
        let answer = try setting.ask(query("github.com", 1, edns: 1))
        // BADVERS is 16: its upper eight bits stand in the EDNS record.
        #expect(answer.code == 0 && answer.counts == [1, 0, 0, 1])
        #expect(Array(answer.bytes.suffix(6)) == [1, 0, 0, 0, 0, 0])
    }

    @Test(
        arguments: [
            (3, 5, "CHAOS"), (4, 5, "HESIOD"), (255, 5, "any class"), (0, 5, "no class"), (254, 5, "NONE"),
        ] as [(UInt16, Int, String)])
    func `other classes are refused`(recordClass: UInt16, code: Int, why: String) throws {
        var setting = Setting()
        for name in ["github.com", "evil.com", "version.bind"] {
            let asked = DNSQuery(id: 7, labels: labels(name), type: 16, recordClass: recordClass)
            let answer = try setting.ask(asked)
            #expect(answer.code == code && answer.counts == [1, 0, 0, 0], "\(why)")
        }
        #expect(setting.denied.isEmpty)
    }

    /// A message from its parts.
    private static func message(
        flags: [UInt8] = [1, 0], counts: [UInt8] = [1, 0, 0, 0], _ rest: [UInt8]
    ) -> [UInt8] { [0xAB, 0xCD] + flags + counts.flatMap { [0, $0] } + rest }

    private static let name: [UInt8] = [6] + Array("github".utf8) + [3] + Array("com".utf8) + [0]
    private static let question: [UInt8] = name + [0, 1, 0, 1]
    private static let edns: [UInt8] = [0, 0, 41, 4, 0xD0, 0, 0, 0, 0, 0, 0]

    private static let broken: [([UInt8], Int, String)] = [
        (message(flags: [0x28, 0], question), 4, "UPDATE"),
        (message(flags: [0x10, 0], question), 4, "STATUS"),
        (message(flags: [0x20, 0], question), 4, "NOTIFY"),
        (message(flags: [0x08, 0], question), 4, "IQUERY"),
        (message(flags: [0x78, 0], []), 4, "operation 15, without a question"),
        (message(counts: [0, 0, 0, 0], []), 1, "no question"),
        (message(counts: [2, 0, 0, 0], question + question), 1, "two questions"),
        (
            message(counts: [1, 1, 0, 0], question + name + [0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4]), 1,
            "an answer"
        ),
        (message(counts: [1, 0, 1, 0], question + edns), 1, "an authority"),
        (message(counts: [1, 0, 0, 2], question + edns + edns), 1, "two additional records"),
        (message(counts: [1, 0, 0, 1], question), 1, "a record that is missing"),
        (message(counts: [1, 0, 0, 1], question + edns.dropLast()), 1, "a record that is cut off"),
        (message(counts: [1, 0, 0, 1], question + name + edns.dropFirst()), 1, "EDNS with a name"),
        (
            message(counts: [1, 0, 0, 1], question + [0, 0, 1] + edns.dropFirst(3)), 1,
            "a record that is not EDNS"
        ),
        (message(counts: [1, 0, 0, 1], question + edns.dropLast() + [3, 0, 1, 0]), 1, "half an option"),
        (
            message(counts: [1, 0, 0, 1], question + edns.dropLast() + [4, 0, 1, 0, 9]), 1,
            "an option too long"
        ),
        (message(question + [0]), 1, "a byte behind the question"),
        (message(question + edns), 1, "EDNS that is not counted"),
        (message(Array(question.dropLast())), 1, "half a class"), (message(name), 1, "no type"),
        (message(Array(name.dropLast())), 1, "a name without an end"), (message([]), 1, "no question at all"),
        (message([5, 0x61]), 1, "a label that is cut off"),
        (message([0xC0, 12, 0, 1, 0, 1]), 1, "a pointer to itself"),
        (message([1, 0x61, 0xC0, 12, 0, 1, 0, 1]), 1, "a pointer behind a label"),
        (message([0xC0, 0, 0, 1, 0, 1]), 1, "a pointer into the header"),
        (message([0xC0]), 1, "half a pointer"), (message([0x40, 1, 0, 0, 1, 0, 1]), 1, "an extended label"),
        (message([0x80, 1, 0, 0, 1, 0, 1]), 1, "a label of an unknown kind"),
        (
            message([64] + [UInt8](repeating: 0x61, count: 64) + [0, 0, 1, 0, 1]), 1,
            "a label of 64 bytes"
        ),
        (
            message([UInt8](repeating: 1, count: 256) + [0, 0, 1, 0, 1]), 1,
            "a name of 257 bytes"
        ),
        (message(name + [0, 41, 0, 1]), 1, "a question for EDNS"),
    ]

    @Test(arguments: broken)
    func `what is not one whole question is an error`(message: [UInt8], code: Int, why: String) throws {
        var setting = Setting()
        let reply = setting.ask(message)
        let answer = try #require(reply, "\(why)")
        #expect(answer.code == code && answer.id == 0xABCD && answer.isResponse, "\(why)")
        #expect(answer.operation == Int(message[2] >> 3), "\(why)")
        #expect(answer.records.isEmpty && setting.denied.isEmpty, "\(why)")
    }

    @Test func `no question that is cut off anywhere is taken for a whole one`() {
        let whole = Array(query("github.com", 1, edns: 0).serialized.readableBytesView)
        for count in 0..<whole.count {
            var setting = Setting()
            let answer = setting.ask(Array(whole[..<count]))
            #expect((answer == nil) == (count < 12), "\(count) bytes")
            #expect(answer?.code ?? 1 == 1, "\(count) bytes")
        }
    }

    @Test func `an answer is not answered, nor is what has no header`() {
        var setting = Setting()
        #expect(setting.ask(Self.message(flags: [0x81, 0x80], Self.question)) == nil)
        #expect(setting.ask(Self.message(flags: [0xA8, 0], [])) == nil)
        #expect(setting.ask([]) == nil)
        #expect(setting.ask([UInt8](repeating: 0, count: 11)) == nil)
    }

    @Test func `no answer is longer than the shortest datagram that resolvers take`() throws {
        var setting = Setting()
        let label = String(repeating: "a", count: 61)
        let longest = "\(label).\(label).\(label).\(label).x.org"
        #expect(longest.utf8.count == 253)
        for type in [1, 28] as [UInt16] {
            #expect(try setting.ask(query(longest, type, edns: 0)).bytes.count <= 512)
        }
        let reverse = try setting.ask(query("1.0.18.198.in-addr.arpa", 12, edns: 0))
        #expect(reverse.counts[1] == 1 && reverse.bytes.count <= 512)
    }

    @Test(arguments: [
        DNSQuery(id: 0, labels: [], type: 2), DNSQuery(id: 1, labels: [[0], [0x2E, 0xFF]], type: 0),
        DNSQuery(id: 65535, wantsRecursion: false, labels: labels("gItHub.com"), type: 65, edns: 0),
        DNSQuery(id: 2, labels: labels("a.b"), type: 255, recordClass: 3, edns: 255),
    ])
    func `a question that is written and read again is the same`(query: DNSQuery) {
        #expect(DNSQuery.parse(query.serialized) == .query(query))
    }
}
