import Foundation
import Testing

extension Door {
    /// PP: what goes through a tunnel: the TLS name, both directions to their ends, all bytes.
    @Suite(.recorded("PP"), .serialized) struct Tunnels {
        static let options = ["github.com", "four.example.com:443"].flatMap { ["--allow", $0] }
        static let target = "github.com:443"

        /// What is said first in a tunnel to port 443, and whether an answer comes.
        struct Row: Sendable, CustomTestStringConvertible {
            var id: String
            var what: String
            var steps: [Exchange.Step]
            /// nil: it goes through.
            var reason: String?
            var testDescription: String { "\(id) \(what)" }

            init(_ id: String, _ what: String, _ reason: String?, _ steps: Exchange.Step...) {
                (self.id, self.what, self.reason, self.steps) = (id, what, reason, steps)
            }
        }

        static let rows: [Row] = [
            Row("PP-03", "the same name", nil, .hello("github.com")),
            Row("PP-03", "the same name in capitals", nil, .hello("GitHub.com")),
            Row("PP-03", "another name", "name", .hello("evil.net")),
            Row("PP-03", "a name below it", "name", .hello("www.github.com")),
            Row("PP-03", "a name that is allowed too", "name", .hello("four.example.com")),
            Row("PP-04", "no name", "name", .hello(nil)),
            Row("PP-04", "the same name byte by byte", nil, .hello("github.com", piece: 1)),
            Row("PP-04", "the same name in pieces of 7", nil, .hello("github.com", piece: 7)),
            Row("PP-04", "another name in pieces of 7", "name", .hello("evil.net", piece: 7)),
            Row("PP-04", "the same name after a while", nil, .pause(1.5), .hello("github.com")),
            Row("PP-05", "an ssh banner", "protocol", .send("SSH-2.0-OpenSSH_9.2\r\n")),
            Row("PP-05", "plain HTTP", "protocol", .send("GET / HTTP/1.1\r\nHost: github.com\r\n\r\n")),
            Row(
                "PP-05", "random bytes", "protocol",
                .send("\u{99}\u{17}\u{80}\u{ff}\u{00}\u{42}\u{42}\u{42}\u{42}\u{42}")),
            Row("PP-05", "a TLS alert", "protocol", .send("\u{15}\u{03}\u{01}\u{00}\u{02}\u{02}\u{28}")),
            Row("PP-05", "application data", "protocol", .send("\u{17}\u{03}\u{03}\u{00}\u{05}hello")),
            Row(
                "PP-05", "an SSL 2 hello", "protocol",
                .send("\u{80}\u{2e}\u{01}\u{00}\u{02}\u{00}\u{15}\u{00}\u{00}\u{00}\u{10}")),
            Row("PP-05", "the end at once", "protocol", .shut),
            Row(
                "PP-05", "half a hello and the end", "protocol",
                .send("\u{16}\u{03}\u{01}\u{02}\u{00}\u{01}"), .shut),
            Row(
                "PP-04", "a hello of 80 KB", "protocol",
                .send(
                    "\u{16}\u{03}\u{01}\u{40}\u{00}\u{01}\u{01}\u{38}\u{80}"
                        + String(repeating: "\0", count: 80_000))),
        ]

        static let seen = Once { identity in
            let list = rows.map { row in
                Exchange.tunnel(row.testDescription, target, row.steps + [.read(1)], within: 6)
            }
            return try Internet.shared.get().observe(as: identity, list, options: options, together: 8)
        }

        @Test(arguments: Identity.all, rows)
        func `a tunnel to port 443 has the name it was opened for`(_ identity: Identity, _ row: Row) throws {
            BoxTests.row(row.id)
            let seen = try Tunnels.seen.get(identity)
            let reply = try seen.reply(row.testDescription)
            #expect(reply.status == 200, "\(reply)")
            let behind = (reply.got ?? "").components(separatedBy: "\r\n\r\n").dropFirst().joined()
            if row.reason == nil {
                #expect(reply.end == "open" && behind.hasPrefix("\u{16}\u{03}"), "\(reply)")
            } else {
                #expect(behind.isEmpty && ["eof", "reset"].contains(reply.end), "\(reply)")
                #expect(reply.ms < 4000, "slow: \(reply)")
            }
        }

        @Test(arguments: Identity.all)
        func `every refused hello is an event, and none reached the server`(_ identity: Identity) throws {
            row("PP-03")
            let seen = try Tunnels.seen.get(identity)
            for reason in ["name", "protocol"] {
                let wanted = Tunnels.rows.count { $0.reason == reason }
                let told = seen.events.filter { $0.event == "net.deny" && $0.reason == reason }
                    .reduce(0) { $0 + ($1.count ?? 1) }
                let about =
                    "\(reason): \(told) events for \(wanted) rows: \(seen.events.filter { $0.event == "net.deny" })"
                #expect(told == wanted, "\(about)")
            }
            #expect(!seen.questions.contains("evil.net"), "\(seen.questions)")
            #expect(!seen.packets.contains { $0.contains("185.199.108.1") }, "\(seen.packets)")
        }

        @Test(arguments: Identity.all)
        func `TLS works end to end, also in one piece with the request`(_ identity: Identity) throws {
            row("PP-10")
            let internet = try Internet.shared.get()
            let box = try internet.box(as: identity)
            try box.scratch.write(try Host.text(internet.authority), to: box.scratch.project + "/ca.crt")
            let request = "GET /inner HTTP/1.1\r\nHost: evil.net\r\nConnection: close\r\n\r\n"
            let mark = try internet.mark()
            let replies = try box.exchange(
                [
                    .tunnel(
                        "tls", Tunnels.target,
                        [.tls("github.com", authority: "ca.crt"), .send(request), .rest]),
                    // The request for the tunnel and the hello behind it in one segment.
                    .proxy(
                        "early",
                        [
                            .send(
                                "CONNECT github.com:443 HTTP/1.1\r\nHost: github.com:443\r\n\r\nSSH-2.0-early\r\n"
                            ),
                            .status, .read(1),
                        ]),
                ], options: Tunnels.options)
            #expect(replies["tls"]?.got?.contains("\"name\": \"evil.net\"") == true, "\(replies)")
            #expect(["eof", "reset"].contains(replies["early"]?.end), "\(replies)")
            // PP-06: what is asked for inside TLS cannot be seen; the log says the tunnel's name.
            #expect(
                try internet.eventually(since: mark, "http") { $0.path == "/inner" && $0.sni == "github.com" }
            )
            let events = try box.events()
            #expect(
                events.contains {
                    $0.event == "net.close" && $0.host == "github.com" && $0.bytes_down ?? 0 > 100
                })
            #expect(!events.contains { $0.host == "evil.net" })
        }

        // MARK: Both directions to their ends

        static let raw = [
            "four.example.com:7005", "four.example.com:7006", "four.example.com:7777",
            "four.example.com:7004",
        ]
        .flatMap { ["--allow", $0] }

        @Test(arguments: Identity.all)
        func `the end of one direction leaves the other one whole`(_ identity: Identity) throws {
            row("PP-13")
            let internet = try Internet.shared.get()
            let box = try internet.box(as: identity)
            let mark = try internet.mark()
            let replies = try box.exchange(
                [
                    .tunnel("client first", "four.example.com:7005", [.fill(300_000), .shut, .rest]),
                    .tunnel(
                        "server first", "four.example.com:7006",
                        [.read(5), .pause(0.3), .send("after the end"), .shut, .rest]),
                ], options: Tunnels.raw)
            let first = try #require(replies["client first"])
            #expect(first.end == "eof" && first.got?.hasSuffix(first.sent ?? "-") == true, "\(first)")
            let second = try #require(replies["server first"])
            #expect(second.end == "eof" && second.got?.hasSuffix("\r\n\r\nhello") == true, "\(second)")
            #expect(
                try internet.eventually(since: mark, "tcp") { $0.port == 7006 && $0.after == "after the end" }
            )
        }

        @Test(arguments: Identity.all)
        func `64 MiB arrive as they were sent, in bounded memory`(_ identity: Identity) throws {
            row("PP-15")
            let internet = try Internet.shared.get()
            let session = try Conversation(try internet.box(as: identity), options: Tunnels.raw)
            let proxy = try session.proxy()
            let before = try proxy.memory()
            let down = Exchange.tunnel("down", "four.example.com:7004", [.pause(0.5), .rest], within: 60)
            let up = Exchange.tunnel(
                "up", "four.example.com:7005", [.fill(64 << 20), .shut, .rest], within: 60)
            try session.beginExchange([down, up], together: 2)
            var highest = before
            _ = try Host.eventually(within: 0.6) {
                highest = max(highest, try proxy.memory())
                return false
            }
            let replies = try session.endExchange([down, up])
            highest = max(highest, try proxy.memory())
            let sent = try #require(replies["up"])
            #expect(sent.end == "eof" && sent.got?.hasSuffix(sent.sent ?? "-") == true, "\(sent)")
            let got = try #require(replies["down"])
            #expect(got.end == "eof" && (got.bytes ?? 0) - (32 << 20) < 200, "\(got.bytes ?? 0)")
            #expect(got.bytes ?? 0 > 32 << 20, "\(got.bytes ?? 0)")
            #expect(highest - before < 8 << 20, "grew by \(highest - before)")
            try session.end()
            let closed = try session.box.events().filter { $0.event == "net.close" }
            #expect(
                closed.contains { $0.port == 7005 && $0.bytes_up == 64 << 20 && $0.bytes_down == 64 },
                "\(closed)")
            #expect(closed.contains { $0.port == 7004 && $0.bytes_down == 32 << 20 }, "\(closed)")
        }
    }
}
