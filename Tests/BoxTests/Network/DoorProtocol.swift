import Foundation
import Testing

extension Door {
    /// PP: the proxy's protocol: heads, bodies, tunnels to 443, what is sent on.
    @Suite(.recorded("PP"), .serialized) struct Wires {
        /// A request that is refused before anything is sent on.
        struct Row: Sendable, CustomTestStringConvertible {
            var id: String
            var what: String
            var request: String
            var statuses: Set<Int>
            var testDescription: String { "\(id) \(what)" }

            init(_ id: String, _ what: String, _ statuses: Set<Int>, _ request: String) {
                (self.id, self.what, self.statuses, self.request) = (id, what, statuses, request)
            }

            /// A POST with these header lines and this body.
            static func post(
                _ what: String, _ lines: String, _ body: String, _ statuses: Set<Int> = [400, 501]
            ) -> Row {
                Row(
                    "PP-07", what, statuses,
                    "POST http://four.example.com/smuggled HTTP/1.1\r\nHost: four.example.com\r\n\(lines)\r\n\r\n\(body)"
                )
            }
        }

        static let head = "Host: four.example.com\r\n\r\n"
        static let smuggled = "0\r\n\r\nGET http://evil.net/ HTTP/1.1\r\nHost: evil.net\r\n\r\n"

        static let smuggling: [Row] = [
            .post("length and chunks", "Content-Length: 4\r\nTransfer-Encoding: chunked", smuggled),
            .post("chunks and length", "Transfer-Encoding: chunked\r\nContent-Length: 4", smuggled),
            .post("two lengths", "Content-Length: 4\r\nContent-Length: 6", "abcdef"),
            .post("a list of lengths", "Content-Length: 4, 6", "abcdef"),
            .post("a signed length", "Content-Length: +4", "abcd"),
            .post("a hexadecimal length", "Content-Length: 0x4", "abcd"),
            .post("a huge length", "Content-Length: 99999999999999999999", "abcd"),
            .post("a negative length", "Content-Length: -1", "abcd"),
            .post("an empty length", "Content-Length:", "abcd"),
            .post("xchunked", "Transfer-Encoding: xchunked", smuggled),
            .post("chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", smuggled),
            .post("chunked, identity", "Transfer-Encoding: chunked, identity", smuggled),
            .post("gzip, chunked", "Transfer-Encoding: gzip, chunked", smuggled),
            .post("a space before the colon", "Transfer-Encoding : chunked", smuggled),
            .post("a vertical tab before chunked", "Transfer-Encoding: \u{0b}chunked", smuggled),
            .post("a folded line", "X-A: b\r\n Transfer-Encoding: chunked", smuggled),
            .post("a folded coding", "Transfer-Encoding:\r\n chunked", smuggled),
            .post("a bare CR in a value", "X-A: b\rTransfer-Encoding: chunked", smuggled),
            .post("a NUL in a value", "X-A: b\0c", ""),
            .post("a header without a name", ": b", ""),
            .post("a header without a colon", "no colon", ""),
            .post("a bad chunk size", "Transfer-Encoding: chunked", "g\r\nabcd\r\n0\r\n\r\n"),
            .post(
                "a chunk size that overflows", "Transfer-Encoding: chunked",
                "10000000000000004\r\nabcd\r\n0\r\n\r\n"),
            .post("a signed chunk size", "Transfer-Encoding: chunked", "+4\r\nabcd\r\n0\r\n\r\n"),
            .post("a chunk size with 0x", "Transfer-Encoding: chunked", "0x4\r\nabcd\r\n0\r\n\r\n"),
            Row(
                "PP-07", "bare line feeds", [400],
                "POST http://four.example.com/smuggled HTTP/1.1\nHost: four.example.com\nContent-Length: 0\n\n"
            ),
            Row(
                "PP-07", "a bare feed in the head", [400],
                "GET http://four.example.com/smuggled HTTP/1.1\r\nX: a\nY: b\r\n\(head)"),
            Row(
                "PP-02", "two hosts", [400],
                "GET http://four.example.com/smuggled HTTP/1.1\r\nHost: evil.net\r\n\(head)"),
            Row(
                "PP-02", "CONNECT with two hosts", [400],
                "CONNECT github.com:443 HTTP/1.1\r\nHost: github.com:443\r\nHost: evil.net:443\r\n\r\n"),
            Row(
                "PP-02", "no host", [400], "GET http://four.example.com/smuggled HTTP/1.1\r\n\r\n"),
        ]

        static let methods: [Row] = [
            Row(
                "PP-17", "TRACE", [400, 405, 501],
                "TRACE http://four.example.com/smuggled HTTP/1.1\r\n\(head)"),
            Row("PP-17", "OPTIONS *", [400, 405], "OPTIONS * HTTP/1.1\r\n\(head)"),
            Row("PP-17", "the preface of HTTP/2", [400, 405, 501, 505], "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
            Row("PP-17", "HTTP/0.9", [400, 505], "GET http://four.example.com/smuggled\r\n\r\n"),
            Row("PP-17", "HTTP/2.0", [400, 505], "GET http://four.example.com/smuggled HTTP/2.0\r\n\(head)"),
            Row("PP-17", "HTTP/1.2", [400, 505], "GET http://four.example.com/smuggled HTTP/1.2\r\n\(head)"),
            Row(
                "PP-17", "a method in lower case", [400, 405, 501],
                "connect github.com:443 HTTP/1.1\r\n\(head)"),
            Row(
                "PP-17", "an unknown method", [400, 405, 501],
                "BREW http://four.example.com/smuggled HTTP/1.1\r\n\(head)"),
            Row("PP-17", "two spaces", [400], "GET  http://four.example.com/smuggled HTTP/1.1\r\n\(head)"),
            Row("PP-17", "a tab", [400], "GET\thttp://four.example.com/smuggled HTTP/1.1\r\n\(head)"),
            Row("PP-17", "origin form", [400], "GET /smuggled HTTP/1.1\r\n\(head)"),
            Row("PP-21", "https", [400], "GET https://four.example.com/smuggled HTTP/1.1\r\n\(head)"),
            Row("PP-21", "ftp", [400], "GET ftp://four.example.com/smuggled HTTP/1.1\r\n\(head)"),
            Row("PP-21", "file", [400], "GET file:///etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n"),
            Row("PP-21", "gopher", [400], "GET gopher://four.example.com/smuggled HTTP/1.1\r\n\(head)"),
            Row("PP-21", "no scheme", [400], "GET four.example.com/smuggled HTTP/1.1\r\n\(head)"),
            Row("PP-21", "ws", [400], "GET ws://four.example.com/smuggled HTTP/1.1\r\n\(head)"),
            Row("PP-21", "an empty target", [400], "GET  HTTP/1.1\r\n\(head)"),
        ]

        static let sizes: [Row] = [
            Row(
                "PP-11", "a line of 64 KiB", [400, 414],
                "GET http://four.example.com/\(String(repeating: "a", count: 65_536)) HTTP/1.1\r\n\(head)"),
            Row(
                "PP-11", "a header of 1 MiB", [400, 431],
                "GET http://four.example.com/smuggled HTTP/1.1\r\nX: \(String(repeating: "a", count: 1 << 20))\r\n\(head)"
            ),
            Row(
                "PP-11", "10000 headers", [400, 431],
                "GET http://four.example.com/smuggled HTTP/1.1\r\n"
                    + (0..<10_000).map { "X-\($0): 1\r\n" }.joined() + head),
            Row(
                "PP-11", "200 headers", [400, 431],
                "CONNECT github.com:443 HTTP/1.1\r\n" + (0..<200).map { "X-\($0): 1\r\n" }.joined() + head),
        ]

        static let garbage: [Row] = [
            Row(
                "PP-20", "a SOCKS4 greeting", [400], "\u{04}\u{01}\u{00}\u{50}\u{01}\u{02}\u{03}\u{04}\u{00}"),
            Row("PP-20", "a SOCKS5 greeting", [400], "\u{05}\u{01}\u{00}"),
            Row("PP-20", "zeroes", [400], String(repeating: "\0", count: 300)),
            Row("PP-20", "an ssh banner", [0, 400], "SSH-2.0-OpenSSH_9.2\r\n"),
            Row("PP-20", "nothing but line ends", [400], String(repeating: "\r\n", count: 100)),
            Row(
                "PP-20", "a TLS hello", [400],
                "\u{16}\u{03}\u{01}\u{02}\u{00}\u{01}\u{00}\u{01}\u{fc}\u{03}\u{03}"),
            Row(
                "PP-19", "the proxy's own address", [403],
                "CONNECT 127.0.0.1:3128 HTTP/1.1\r\nHost: a\r\n\r\n"),
            Row(
                "PP-19", "the proxy by name", [400, 403], "CONNECT localhost:3128 HTTP/1.1\r\nHost: a\r\n\r\n"
            ),
            Row("PP-19", "the proxy by IPv6", [400, 403], "CONNECT [::1]:3128 HTTP/1.1\r\nHost: a\r\n\r\n"),
            Row("PP-19", "the proxy as any", [400, 403], "CONNECT 0.0.0.0:3128 HTTP/1.1\r\nHost: a\r\n\r\n"),
        ]

        static let rows = smuggling + methods + sizes + garbage
        static let rules = ["four.example.com:80", "github.com", "*.example.com"].flatMap { ["--allow", $0] }

        static let seen = Once { identity in
            let list = rows.map { row in
                Exchange.proxy(row.testDescription, [.send(row.request), .shut, .rest], within: 6)
            }
            return try Internet.shared.get().observe(
                as: identity, list, options: rules, together: 8, within: 60)
        }

        @Test(arguments: Identity.all, rows)
        func `what is not strict HTTP is refused and not sent on`(_ identity: Identity, _ row: Row) throws {
            BoxTests.row(row.id)
            let reply = try Wires.seen.get(identity).reply(row.testDescription)
            let ended = reply.end == "eof" || (reply.end == "reset" && row.id == "PP-11")
            #expect(ended, "\(reply)")
            // What is still being sent when the refusal comes can turn it into a reset.
            if reply.end != "reset" || reply.status != nil {
                #expect(row.statuses.contains(reply.status ?? 0) && reply.statuses.count <= 1, "\(reply)")
            }
            #expect(reply.ms < 3000, "slow: \(reply)")
        }

        @Test(arguments: Identity.all)
        func `nothing of it arrived`(_ identity: Identity) throws {
            row("PP-07")
            let seen = try Wires.seen.get(identity)
            let arrived = seen.http.filter { $0.path == "/smuggled" || $0.host == "evil.net" }
            #expect(arrived.allSatisfy { $0.path != "/smuggled" || $0.body == nil }, "\(arrived)")
            #expect(!seen.questions.contains("evil.net"), "\(seen.questions)")
            #expect(seen.packets.subtracting(["tcp 93.184.216.40 80"]).isEmpty, "\(seen.packets)")
            #expect(seen.own.isEmpty, "\(seen.own)")
            // The control: a proper request with the same path does arrive.
            let proper = Exchange.proxy(
                "proper",
                [
                    .send(
                        "POST http://four.example.com/smuggled HTTP/1.1\r\nHost: four.example.com\r\n"
                            + "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"),
                    .rest,
                ])
            let good = try Internet.shared.get().observe(as: identity, [proper], options: Wires.rules)
            #expect(try good.reply("proper").status == 200, "\(good.replies)")
            #expect(good.http.contains { $0.path == "/smuggled" && $0.body == 4 }, "\(good.http)")
        }

        // MARK: What is sent on

        @Test(arguments: Identity.all)
        func `the target decides, and the host header is rebuilt`(_ identity: Identity) throws {
            row("PP-01")
            let list = [
                Exchange.proxy(
                    "good target",
                    [
                        .send(
                            "GET http://four.example.com/rebuilt HTTP/1.1\r\nHost: evil.net\r\nConnection: close\r\n\r\n"
                        ),
                        .rest,
                    ]),
                Exchange.proxy(
                    "bad target",
                    [.send("GET http://evil.net/rebuilt HTTP/1.1\r\nHost: four.example.com\r\n\r\n"), .rest]),
            ]
            let seen = try Internet.shared.get().observe(as: identity, list, options: Wires.rules)
            #expect(try seen.reply("bad target").status == 403, "\(seen.replies)")
            let good = try seen.reply("good target").status
            #expect(good == 200 || good == 400, "\(seen.replies)")
            let arrived = seen.http.filter { $0.path == "/rebuilt" }
            #expect(arrived.allSatisfy { $0.header("host") == ["four.example.com"] }, "\(arrived)")
            #expect(!seen.questions.contains("evil.net"), "\(seen.questions)")
        }

        @Test(arguments: Identity.all)
        func `hop-by-hop headers and credentials for the proxy stay behind`(_ identity: Identity) throws {
            row("PP-08")
            let list = [
                Exchange.proxy(
                    "hop",
                    [
                        .send(
                            "GET http://four.example.com/hop HTTP/1.1\r\nHost: four.example.com\r\n"
                                + "Proxy-Authorization: Basic c2VjcmV0\r\nProxy-Connection: keep-alive\r\n"
                                + "Connection: close, X-Mine\r\nX-Mine: 1\r\nX-Kept: 2\r\nKeep-Alive: 5\r\nTE: trailers\r\n"
                                + "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"), .rest,
                    ])
            ]
            let seen = try Internet.shared.get().observe(as: identity, list, options: Wires.rules)
            #expect([200, 400, 501].contains(try seen.reply("hop").status), "\(seen.replies)")
            for trace in seen.http where trace.path == "/hop" {
                #expect(trace.header("x-kept") == ["2"], "\(trace)")
                for name in [
                    "proxy-authorization", "proxy-connection", "x-mine", "keep-alive", "te", "upgrade",
                ] {
                    #expect(trace.header(name).isEmpty, "\(name) was sent on: \(trace)")
                }
            }
        }

        @Test(arguments: Identity.all)
        func `each request of a connection is judged by itself`(_ identity: Identity) throws {
            row("PP-09")
            let good = "GET http://four.example.com/first HTTP/1.1\r\nHost: four.example.com\r\n\r\n"
            let bad = "GET http://evil.net/second HTTP/1.1\r\nHost: evil.net\r\n\r\n"
            let list = [
                Exchange.proxy("in turn", [.send(good), .until("tls\": false"), .send(bad), .rest]),
                Exchange.proxy("at once", [.send(good + bad), .rest]),
                Exchange.proxy(
                    "behind a refusal", [.send(bad + good), .rest]),
            ]
            let seen = try Internet.shared.get().observe(as: identity, list, options: Wires.rules)
            for key in ["in turn", "at once"] {
                let reply = try seen.reply(key)
                // The connection may also end with the first answer; then the second was never judged.
                #expect(reply.statuses == [200, 403] || reply.statuses == [200], "\(reply)")
            }
            #expect(try seen.reply("behind a refusal").statuses.first == 403, "\(seen.replies)")
            #expect(!seen.http.contains { $0.path == "/second" }, "\(seen.http)")
            #expect(!seen.questions.contains("evil.net"), "\(seen.questions)")
        }

        @Test(arguments: Identity.all)
        func `an upgrade opens no channel that is not logged`(_ identity: Identity) throws {
            row("PP-17")
            let list = ["websocket", "h2c"].map { kind in
                Exchange.proxy(
                    kind,
                    [
                        .send(
                            "GET http://four.example.com/odd/switching HTTP/1.1\r\nHost: four.example.com\r\n"
                                + "Connection: Upgrade\r\nUpgrade: \(kind)\r\n\r\n"), .rest,
                    ])
            }
            let seen = try Internet.shared.get().observe(as: identity, list, options: Wires.rules)
            for reply in seen.replies.values {
                #expect([400, 405, 501, 502].contains(reply.status), "\(reply)")
                #expect(!(reply.got ?? "").contains("hidden"), "\(reply)")
            }
        }

        @Test(arguments: Identity.all)
        func `answers with two meanings do not get through`(_ identity: Identity) throws {
            row("PP-18")
            let names = [
                "two-lengths", "length-and-chunks", "bare-feeds", "no-http", "long-header", "nothing",
            ]
            let good = ["until-close", "early"]
            let list = (names + good).map { name in
                Exchange.proxy(
                    name,
                    [
                        .send("GET http://four.example.com/odd/\(name) HTTP/1.1\r\n\(Wires.head)"), .shut,
                        .rest,
                    ])
            }
            let seen = try Internet.shared.get().observe(as: identity, list, options: Wires.rules)
            for name in names {
                #expect(try seen.reply(name).status == 502, "\(seen.replies[name]?.description ?? "")")
            }
            #expect(try seen.reply("until-close").got?.contains("all of it") == true, "\(seen.replies)")
            #expect(try seen.reply("early").statuses.last == 200, "\(seen.replies)")
        }
    }
}
