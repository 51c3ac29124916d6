import BoxTypes
import Testing

/// What a request may name as its target: every row is one text and why it is good or bad.
@Suite struct HostTargetTests {
    @Test(arguments: [
        ("github.com:443", "github.com:443", "a plain name"),
        ("GitHub.COM:443", "github.com:443", "capitals are lowered"),
        ("gITHUB.com:443", "github.com:443", "capitals are lowered"),
        ("github.com.:443", "github.com:443", "one trailing dot is taken off"),
        ("GITHUB.COM.:443", "github.com:443", "both"),
        ("a_b.com:443", "a_b.com:443", "an underscore, as service names have"),
        ("_dmarc.example.com:443", "_dmarc.example.com:443", "an underscore in front"),
        ("a-b.com:443", "a-b.com:443", "a hyphen inside"),
        ("xn--bcher-kva.example:443", "xn--bcher-kva.example:443", "an encoded name"),
        ("xn--80ak6aa92e.com:443", "xn--80ak6aa92e.com:443", "an encoded name"),
        ("1.example:443", "1.example:443", "a label of digits that is not the last"),
        ("127.0.0.1.example.com:443", "127.0.0.1.example.com:443", "a name that begins like an address"),
        ("0x7f.example.com:443", "0x7f.example.com:443", "0x that is not in the last label"),
        ("example.c0m:443", "example.c0m:443", "a last label with a letter"),
        ("example.x0:443", "example.x0:443", "a last label that does not start with 0x"),
        ("localhost:5432", "localhost:5432", "the one single label"),
        ("LOCALHOST.:5432", "localhost:5432", "the same, lowered"),
        ("a.b:1", "a.b:1", "the lowest port"),
        ("a.b:65535", "a.b:65535", "the highest port"),
        ("192.0.2.1:443", "192.0.2.1:443", "an address"),
        ("0.0.0.0:443", "0.0.0.0:443", "an address that no rule opens"),
        ("255.255.255.255:443", "255.255.255.255:443", "the last address"),
        ("[2001:db8::1]:443", "[2001:db8::1]:443", "an address in brackets"),
        ("[2001:DB8::A]:443", "[2001:db8::a]:443", "capitals are lowered"),
        ("[::1]:443", "[::1]:443", "loopback"),
        ("[::]:443", "[::]:443", "the unspecified address"),
        ("[::ffff:127.0.0.1]:443", "[::ffff:127.0.0.1]:443", "mapped, in its canonical spelling"),
        ("[1:2:3:4:5:6:7:8]:443", "[1:2:3:4:5:6:7:8]:443", "eight groups"),
        ("[1:0:0:4::8]:443", "[1:0:0:4::8]:443", "the longer run is shortened"),
        ("[1::4:0:0:8]:443", "[1::4:0:0:8]:443", "the first of two equal runs is shortened"),
        ("[1:0:3:4:5:6:7:8]:443", "[1:0:3:4:5:6:7:8]:443", "one zero group is written out"),
        ("[64:ff9b::7f00:1]:443", "[64:ff9b::7f00:1]:443", "NAT64"),
    ])
    func `a good target has one canonical spelling`(text: String, canonical: String, why: String) throws {
        #expect(try HostTarget(authority: text).description == canonical, "\(why)")
        #expect(try HostTarget(authority: canonical).description == canonical, "canonical is stable")
    }

    @Test(arguments: [
        ("", "nothing"), (":443", "no host"), ("github.com", "no port"), ("github.com:", "an empty port"),
        ("github.com:0", "port 0"), ("github.com:65536", "too high a port"), ("github.com:99999", "too high"),
        ("github.com:00443", "leading zeros"), ("github.com:0443", "a leading zero"),
        ("github.com:-1", "a sign"), ("github.com:+443", "a sign"), ("github.com:https", "a service name"),
        ("github.com:443:443", "two ports"), ("github.com:443:", "a second colon"),
        ("github.com: 443", "a space in the port"), ("github.com:443 ", "a space behind"),
        ("github.com:4４3", "a full-width digit"), ("github.com:0x1bb", "hexadecimal"),
        ("github.com:443443443443443443443", "overflow"),
        (" github.com:443", "a space in front"), ("git hub.com:443", "a space"),
        ("github.com\t:443", "a tab"),
        ("github.com\r\n:443", "a line end"), ("github.com\n.evil.com:443", "a line feed"),
        ("evil.com\0.github.com:443", "NUL in front of the allowed name"),
        ("github.com\0.evil.com:443", "NUL behind the allowed name"), ("github.com\u{7F}:443", "DEL"),
        ("github.com\u{1B}[2J:443", "ESC"), ("github.com\u{80}:443", "C1"), ("gïthub.com:443", "Latin-1"),
        ("gіthub.com:443", "a Cyrillic letter"), ("ｇithub.com:443", "a full-width letter"),
        ("github。com:443", "an ideographic full stop"), ("github．com:443", "a full-width full stop"),
        ("git\u{200B}hub.com:443", "a zero-width space"), ("git\u{AD}hub.com:443", "a soft hyphen"),
        ("\u{FEFF}github.com:443", "a byte order mark"), ("github.com\u{202E}:443", "a direction override"),
        ("gıthub.com:443", "a dotless i"), ("github.com\u{301}:443", "a combining accent"),
        ("bücher.example:443", "a name that is not encoded"), ("ﬁle.com:443", "a ligature"),
        ("github.com@evil.com:443", "user information"), ("user:pass@github.com:443", "user information"),
        ("@github.com:443", "empty user information"), ("github.com%00.evil.com:443", "a percent escape"),
        ("github%2ecom:443", "a percent escape"), ("github.com%25:443", "a percent escape"),
        ("evil.com\\@github.com:443", "a backslash"), ("github.com\\.evil.com:443", "a backslash"),
        ("github.com/:443", "a slash"), ("evil.com/github.com:443", "a slash"),
        ("evil.com#github.com:443", "a fragment"), ("evil.com?.github.com:443", "a query"),
        ("github.com;.evil.com:443", "a semicolon"), ("github.com,evil.com:443", "a comma"),
        ("//github.com:443", "slashes"), ("https://github.com:443", "a scheme"),
        ("*.github.com:443", "a star"),
        ("git*.com:443", "a star"), ("!github.com:443", "a mark"), ("github.com!:443", "a mark"),
        ("(github.com):443", "parentheses"), ("\"github.com\":443", "quotes"), ("$HOME.com:443", "a dollar"),
        ("a..b:443", "an empty label"), (".a.b:443", "an empty first label"),
        ("a.b..:443", "two trailing dots"),
        (".:443", "a dot only"), ("..:443", "dots only"), ("-a.com:443", "a hyphen in front"),
        ("a-.com:443", "a hyphen behind"), ("a.-b.com:443", "a hyphen in front of a label"),
        ("a.com-:443", "a hyphen at the end"),
        ("[::1:443", "no closing bracket"), ("::1]:443", "no opening bracket"), ("::1:443", "no brackets"),
        ("[]:443", "empty brackets"), ("[[::1]]:443", "double brackets"),
        ("[::1]]:443", "two closing brackets"),
        ("[::1]x:443", "text behind the bracket"), ("x[::1]:443", "text in front of the bracket"),
        ("[::1]", "no port behind the bracket"), ("[127.0.0.1]:443", "IPv4 in brackets"),
        ("[github.com]:443", "a name in brackets"), ("[fe80::1%eth0]:443", "a zone"),
        ("[fe80::1%25eth0]:443", "an escaped zone"), ("[::1::]:443", "two gaps"),
        ("[:::1]:443", "three colons"),
        ("[1:2:3:4:5:6:7]:443", "seven groups"), ("[1:2:3:4:5:6:7:8:9]:443", "nine groups"),
        ("[1:2:3:4:5:6:7::8]:443", "a gap of one group"), ("[12345::]:443", "five digits"),
        ("[g::1]:443", "no hexadecimal digit"), ("[:1]:443", "one colon in front"),
        ("[1:]:443", "one colon behind"),
        ("[0:0:0:0:0:0:0:1]:443", "not canonical"), ("[0::1]:443", "not canonical"),
        ("[::01]:443", "not canonical"),
        ("[2001:0db8::1]:443", "not canonical"), ("[2001:db8:0:0::1]:443", "not canonical"),
        ("[::127.0.0.1]:443", "not canonical"), ("[::ffff:7f00:1]:443", "not canonical"),
        ("[::ffff:127.1]:443", "a short address inside"),
        ("[::ffff:127.0.0.01]:443", "a zero in front inside"),
        ("[::ffff:0x7f.0.0.1]:443", "hexadecimal inside"), ("[1:0:0:4:0:0:0:8]:443", "not canonical"),
        ("[v1.fe80::a]:443", "a future address"),
    ])
    func `what is not exactly a host and a port is malformed`(text: String, why: String) {
        #expect { try HostTarget(authority: text) } throws: { ($0 as? HostRefusal)?.kind == .malformed }
    }

    @Test(arguments: [
        ("127.1", "two parts"), ("2130706433", "one number"), ("0x7f.0.0.1", "hexadecimal"),
        ("0x7f000001", "hexadecimal"), ("0X7F.1", "hexadecimal"), ("0177.0.0.1", "octal"),
        ("127.0.0.0x1", "hexadecimal at the end"), ("169.254.0xa9fe", "hexadecimal at the end"),
        ("0251.0376.0251.0376", "octal"), ("127.0.0.1.", "a trailing dot"), ("127.0.0.01", "a leading zero"),
        ("127.0.0.256", "too large a number"), ("127.0.0.1.1", "five parts"), ("1.2.3", "three parts"),
        ("00.0.0.0", "zeros"), ("0", "zero"), ("example.123", "a last label of digits"),
        ("example.0x1", "a last label with 0x"), ("example.0xcom", "a last label with 0x"),
        ("example.1_2", "a last label without a letter"), ("127.0.0.1_", "an address with a mark"),
        ("metadata", "one label"), ("printer", "one label"), ("ip6-localhost", "one label"),
        ("localhost4", "one label"), ("com", "one label"), ("x.", "one label with a dot"),
    ])
    func `what resolvers would take for an address or complete by themselves is unusable`(
        host: String, why: String
    ) {
        #expect { try HostTarget(authority: host + ":443") } throws: {
            ($0 as? HostRefusal)?.kind == .unusable
        }
    }

    @Test func `labels have at most 63 bytes and names at most 253`() throws {
        let label = String(repeating: "a", count: 63)
        let name = [label, label, label, String(repeating: "b", count: 57), "com"].joined(separator: ".")
        #expect(name.utf8.count == 253)
        #expect(try HostName(name).description == name)
        #expect(try HostName(name + ".").description == name)
        #expect(throws: HostRefusal.self) { try HostName("x" + name) }
        #expect(throws: HostRefusal.self) { try HostName(label + "a.com") }
        #expect(throws: HostRefusal.self) { try HostName(String(repeating: "a.", count: 200_000) + "com") }
    }

    @Test func `a refusal is safe to print and bounded`() throws {
        let hostile = String(repeating: "\u{1B}[2J\u{202E}", count: 100_000) + ".com:443"
        let refusal = try #require(throws: HostRefusal.self) { try HostTarget(authority: hostile) }
        #expect(!refusal.description.contains("\u{1B}"))
        #expect(!refusal.description.contains("\u{202E}"))
        #expect(refusal.description.utf8.count < 3000)
    }

    @Test func `a default port counts only where none is written`() throws {
        #expect(try HostTarget(authority: "a.b", defaultPort: .http).description == "a.b:80")
        #expect(try HostTarget(authority: "a.b:81", defaultPort: .http).description == "a.b:81")
        #expect(throws: HostRefusal.self) { try HostTarget(authority: "a.b:", defaultPort: .http) }
    }

    @Test func `every IPv6 number survives its spelling`() throws {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<2000 {
            var value = UInt128.random(in: .min ... .max, using: &generator)
            // Zero groups, so that runs of all kinds come up.
            for group in 0..<8 where Bool.random(using: &generator) {
                value &= ~(0xFFFF << UInt128(16 * group))
            }
            let address = IPAddress.v6(value)
            #expect(IPAddress(v6: address.description) == address, "\(address)")
        }
    }
}
