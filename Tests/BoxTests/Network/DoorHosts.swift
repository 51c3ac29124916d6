import Foundation
import Testing

extension Door {
    /// PH: which names and ports a rule means, and what is no name at all.
    @Suite(.recorded("PH"), .serialized) struct Hosts {
        /// What has to become of a request.
        enum Verdict: Sendable, Equatable {
            case allowed
            /// 403 with this reason.
            case refused(String)
            /// 400: no proper request, whatever it may mean.
            case malformed
            /// Either; nothing but the refusal counts.
            case notAllowed
        }

        struct Row: Sendable, CustomTestStringConvertible {
            var id: String
            var what: String
            var request: String
            var verdict: Verdict
            var key: String { "\(id) \(what)" }
            var testDescription: String { key }

            /// `CONNECT` to this target.
            static func tunnel(_ id: String, _ target: String, _ verdict: Verdict) -> Row {
                Row(
                    id: id, what: "CONNECT \(target.debugDescription)",
                    request: "CONNECT \(target) HTTP/1.1\r\nHost: \(target)\r\n\r\n", verdict: verdict)
            }

            /// A plain request with this target.
            static func get(_ id: String, _ target: String, _ verdict: Verdict) -> Row {
                Row(
                    id: id, what: "GET \(target.debugDescription)",
                    request: "GET \(target) HTTP/1.1\r\nHost: github.com\r\n\r\n", verdict: verdict)
            }
        }

        /// Text of UTF-8 as it is on the wire.
        static func wire(_ text: String) -> String {
            String(String.UnicodeScalarView(text.utf8.map { UnicodeScalar($0) }))
        }

        static let rules = [
            "github.com", "*.example.com", "index.example.org:443", "four.example.com:80",
            "xn--bcher-kva.example", "a_b.example.org",
        ]

        static let suffixes: [Row] =
            [
                "evilgithub.com", "github.com.evil.net", "xexample.com", "github.comx", "evil.net",
                "www.github.com", "com", "github", "githubxcom", "github.com.github.com.evil.net",
            ].map { .tunnel("PH-01", "\($0):443", $0.contains(".") ? .refused("host") : .notAllowed) }
            + [
                .tunnel("PH-01", "github.com:443", .allowed),
                .tunnel("PH-02", "example.com:443", .refused("host")),
                .tunnel("PH-02", "a.example.com:443", .allowed),
                .tunnel("PH-02", "a.b.c.example.com:443", .allowed),
                .tunnel("PH-02", ".example.com:443", .malformed),
                .tunnel("PH-02", "*.example.com:443", .malformed),
            ]

        static let spellings: [Row] =
            ["GitHub.COM:443", "gITHUB.com:443", "A.EXAMPLE.com:443"]
            .map { .tunnel("PH-03", $0, .allowed) }
            + [
                .tunnel("PH-04", "github.com.:443", .allowed),
                .tunnel("PH-04", "github.com..:443", .malformed),
                .tunnel("PH-04", "evil.net.:443", .refused("host")),
            ]
            + [
                "evil.net\0.github.com:443", "github.com\0.evil.net:443", "github.com\0:443",
                "git\thub.com:443", "github.com\u{7f}:443", "\u{01}github.com:443", "github.com\u{80}:443",
                "github.com\u{ff}:443", "git hub.com:443", "github.com\u{0b}:443", "github.com\r:443",
            ].map { .tunnel("PH-05", $0, .malformed) }
            + [
                "github%2ecom:443", "%67ithub.com:443", "github.com%00.evil.net:443",
                "evil.net%23github.com:443",
                "github.com%20:443",
            ].map { .tunnel("PH-06", $0, .malformed) }
            + [
                "http://%67ithub.com/", "http://evil%2enet/", "http://github.com%2f@evil.net/",
            ].map { .get("PH-06", $0, .malformed) }

        static let delimiters: [Row] =
            [
                "github.com@evil.net:443", "user:pass@github.com:443", "@github.com:443",
                "evil.net:443@github.com:443",
            ]
            .map { .tunnel("PH-07", $0, .malformed) }
            + [
                "http://github.com@evil.net/", "http://user:pass@four.example.com/",
                "http://@four.example.com/",
                "http://four.example.com:80@evil.net/",
            ].map { .get("PH-07", $0, .malformed) }
            + [
                "http://evil.net\\@four.example.com/", "http://evil.net#@four.example.com",
                "http://four.example.com;.evil.net/", "http://evil.net?.four.example.com",
                "//four.example.com",
                "http:///four.example.com/", "http:/four.example.com/", "http:four.example.com",
                "http://four.example.com\\.evil.net/", "http://four.example.com#",
                "http://[four.example.com]/",
            ].map { .get("PH-08", $0, .malformed) }
            + [
                "github.com/evil:443", "github.com?x:443", "github.com#x:443", "http://github.com:443",
                "github.com;x:443",
            ]
            .map { .tunnel("PH-08", $0, .malformed) }

        static let scripts: [Row] =
            [
                "gіthub.com", "ｇithub.com", "github。com", "git\u{200b}hub.com", "git\u{ad}hub.com",
                "\u{feff}github.com", "bücher.example", "ｅxample.com", "ﬁ.example.com", "github.com\u{3002}",
            ].map { .tunnel("PH-09", wire($0) + ":443", .malformed) }
            + [
                .tunnel("PH-10", "xn--bcher-kva.example:443", .allowed),
                .tunnel("PH-10", "XN--BCHER-KVA.example:443", .allowed),
                .tunnel("PH-10", "xn--gthub-n4a.com:443", .refused("host")),
                .get("PH-09", wire("http://fоur.example.com/"), .malformed),
            ]

        static let addresses: [Row] =
            [
                "127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1", "127.0.0.0x1", "169.254.0xa9fe",
                "0251.0376.0251.0376", "127.0.0.1.", "017700000001", "0x7f000001", "127.0.1", "1.2.3.4.5",
                "00.0.0.0", "256.1.1.1", "github.0x7f", "github.123",
            ].map { .tunnel("PH-11", "\($0):443", .notAllowed) }
            + ["127.0.0.1", "10.0.0.5", "169.254.169.254", "0.0.0.0"]
            .map { .tunnel("PH-13", "\($0):443", .refused("address")) }
            + ["140.82.112.3", "93.184.216.34"].map { .tunnel("PH-13", "\($0):443", .refused("host")) }
            + ["http://140.82.112.3:443/", "http://127.0.0.1/", "http://2130706433/"]
            .map { .get("PH-13", $0, .notAllowed) }
            + [
                "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[2606:2800:220:1:248:1893:25c8:1946]",
                "[64:ff9b::7f00:1]",
            ].map { .tunnel("PH-12", "\($0):443", .notAllowed) }
            + [
                "[::1%25lo]", "[fe80::1%eth0]", "::1", "[[::1]]", "[::1", "::1]", "[127.0.0.1]", "[]",
                "[::1]x",
                "[2606:2800:0220:1:248:1893:25C8:1946", "[:::]", "[1:2:3:4:5:6:7:8:9]",
            ].map { .tunnel("PH-12", "\($0):443", .malformed) }

        static let labels: [Row] =
            [
                String(repeating: "a", count: 64) + ".example.com", "a..b.example.com", ".a.example.com", "",
                (0..<50).map { _ in "abcd" }.joined(separator: ".") + ".example.com", "-",
            ].map { .tunnel("PH-14", "\($0):443", .notAllowed) }
            + [
                .tunnel("PH-14", String(repeating: "a", count: 63) + ".example.com:443", .allowed),
                .tunnel("PH-14", "a_b.example.com:443", .allowed),
            ]

        static let ports: [Row] =
            ["22", "25", "80", "8443", "1", "65535"].map {
                .tunnel("PH-15", "github.com:\($0)", .refused("port"))
            }
            + [
                "0", "65536", "99999", "00443", "-1", "+443", "https", "443:443", " 443", "4 43", "443 ",
                "0x1bb",
                "443.0", "٤٤٣", "",
            ].map { .tunnel("PH-15", wire("github.com:\($0)"), .malformed) }
            + [
                .tunnel("PH-15", "github.com", .malformed),
                .tunnel("PH-16", "index.example.org:443", .allowed),
                .tunnel("PH-16", "index.example.org:80", .refused("port")),
                .tunnel("PH-16", "four.example.com:443", .allowed),
                .tunnel("PH-16", "four.example.com:81", .refused("port")),
                .get("PH-16", "http://four.example.com/", .allowed),
                .get("PH-16", "http://four.example.com:80/", .allowed),
                .get("PH-16", "http://github.com/", .refused("port")),
                .get("PH-15", "http://four.example.com:/", .malformed),
                .get("PH-15", "http://four.example.com:080/", .malformed),
                .get("PH-15", "http://four.example.com:99999/", .malformed),
            ]

        static let singles: [Row] =
            [
                "localhost", "metadata", "printer", "LOCALHOST.", "ip6-localhost", "local",
                "localhost.localdomain",
            ]
            .map { .tunnel("PH-17", "\($0):443", .notAllowed) }

        static let rows =
            suffixes + spellings + delimiters + scripts + addresses + labels + ports + singles

        /// All rows in one session.
        static let seen = Once { identity in
            let list = rows.map { row in
                Exchange.proxy(row.key, [.send(row.request), .status, .shut, .rest], within: 4)
            }
            let options = rules.flatMap { ["--allow", $0] }
            return try Internet.shared.get().observe(
                as: identity, list, options: options, together: 16, within: 60)
        }

        @Test(arguments: Identity.all, rows)
        func `a rule means exactly what it names`(_ identity: Identity, _ row: Row) throws {
            BoxTests.row(row.id)
            let reply = try Hosts.seen.get(identity).reply(row.key)
            let reason = reply.header("x-box-reason")
            switch row.verdict {
            case .allowed: #expect(reply.status == 200, "\(reply)")
            case .refused(let wanted):
                #expect(reply.status == 403 && reason == wanted, "\(reply)")
                #expect(reply.refusal?.reason == wanted && reply.end == "eof", "\(reply)")
            case .malformed:
                #expect(reply.status == 400 && reply.end == "eof", "\(reply)")
            case .notAllowed:
                #expect(
                    reply.status == 400 || reply.status == 403 && (reason == "host" || reason == "address"),
                    "\(reply)")
            }
            if row.verdict != .allowed { #expect(reply.ms < 1000, "slow: \(reply)") }
        }

        @Test(arguments: Identity.all)
        func `nothing was asked or sent for what is refused`(_ identity: Identity) throws {
            row("PH-01")
            let seen = try Hosts.seen.get(identity)
            let names = Set(seen.questions.map { $0.lowercased() })
            let foreign = names.filter { name in
                name != "github.com" && !name.hasSuffix(".example.com") && name != "index.example.org"
                    && name != "xn--bcher-kva.example"
            }
            #expect(foreign.isEmpty && !names.contains("example.com"), "\(foreign)")
            #expect(seen.questions == names, "PH-03: not in lower case: \(seen.questions.subtracting(names))")
            let allowed: Set = [
                "tcp 140.82.112.3 443", "tcp 93.184.216.35 443", "tcp 93.184.216.41 443",
                "tcp 93.184.216.43 443",
                "tcp 93.184.216.40 443", "tcp 93.184.216.40 80",
            ]
            #expect(seen.packets.subtracting(allowed).isEmpty, "\(seen.packets)")
            #expect(seen.own.isEmpty, "\(seen.own)")
            #expect(seen.packets.isSuperset(of: ["tcp 140.82.112.3 443"]), "no control: \(seen.packets)")
        }

        @Test(arguments: Identity.all)
        func `without a box every refused name is reached`(_ identity: Identity) throws {
            row("PH-01")
            let internet = try Internet.shared.get()
            let names = [
                "evilgithub.com", "evil.net", "github.com.evil.net", "example.com", "www.github.com",
                "127.0.0.1",
            ]
            let list = names.map { Exchange($0, $0, 443, [.hello($0), .read(1)]) }
            for reply in try internet.box(as: identity).exchangeOutside(list).values {
                #expect(reply.end == "open", "no control: \(reply)")
            }
        }

        @Test(arguments: Identity.all)
        func `an event has the canonical name`(_ identity: Identity) throws {
            row("PH-03")
            let events = try Hosts.seen.get(identity).events
            let hosts = Set(events.filter { $0.event == "net.allow" }.compactMap(\.host))
            #expect(hosts.contains("github.com") && hosts.contains("a.example.com"), "\(hosts)")
            #expect(hosts.allSatisfy { $0 == $0.lowercased() && !$0.hasSuffix(".") }, "\(hosts)")
        }
    }
}
