import Foundation
import Testing

extension Door {
    /// NT-16 to NT-18: programs that know of no proxy are captured.
    @Suite(.recorded("NT-16"), .serialized) struct Capture {
        static let rules = [
            "github.com", "*.example.com", "four.example.com:80", "four.example.com:7777",
            "index.example.org:22",
            "93.184.216.41:7777", "93.184.217.0/30:7777", "[2606:2800:220:1::6]:7777", "localhost:7777",
        ].flatMap { ["--allow", $0] }

        /// Straight to a host and port, as a program does that knows of no proxy.
        struct Row: Sendable, CustomTestStringConvertible {
            var id: String
            var host: String
            var port: Int
            var steps: [Exchange.Step]
            /// How it may end: `open` is a success.
            var ends: Set<String>
            var key: String { "\(host) \(port) \(ends.sorted())" }
            var testDescription: String { "\(id) \(key)" }

            init(_ id: String, _ host: String, _ port: Int, _ steps: [Exchange.Step], _ ends: String...) {
                (self.id, self.host, self.port, self.steps, self.ends) = (id, host, port, steps, Set(ends))
            }
        }

        static let echo: [Exchange.Step] = [.send("hello"), .read(5)]
        static let rows: [Row] = [
            Row("NT-16", "four.example.com", 7777, echo, "open"),
            Row(
                "NT-16", "four.example.com", 80, [.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), .status], "open"
            ),
            Row("NT-16", "github.com", 443, [.hello("github.com"), .read(5)], "open"),
            Row("NT-16", "index.example.org", 22, [.read(5)], "open"),
            Row("NT-17", "93.184.216.41", 7777, echo, "open"),
            Row("NT-17", "93.184.217.1", 7777, echo, "open"),
            Row("NT-17", "93.184.217.3", 7777, echo, "open"),
            Row("NT-17", "2606:2800:220:1::6", 7777, echo, "open"),
            Row("NT-18", "127.0.0.1", 7777, echo, "open"),
            Row("NT-18", "::1", 7777, echo, "open"),
            Row("NT-18", "localhost", 7777, echo, "open"),
            // Other ports, other names, other addresses.
            Row("NT-16", "four.example.com", 443, [.hello("github.com"), .read(1)], "eof", "reset"),
            Row("PP-03", "github.com", 443, [.hello("evil.net"), .read(1)], "eof", "reset"),
            Row("PP-05", "github.com", 443, [.send("SSH-2.0-a\r\n"), .read(1)], "eof", "reset"),
            Row("NT-16", "github.com", 80, [.send("GET / HTTP/1.1\r\n\r\n"), .read(1)], "eof", "reset"),
            Row("NT-16", "github.com", 7777, echo, "eof", "reset"),
            Row("NT-16", "github.com", 25, echo, "ECONNREFUSED"),
            Row("NT-16", "evil.net", 443, echo, "EAI_NONAME", "EAI_AGAIN", "EAI_NODATA"),
            Row("NT-17", "198.18.77.77", 7777, echo, "eof", "reset"),
            Row("NT-17", "198.19.255.255", 443, echo, "eof", "reset", "ENETUNREACH", "EACCES"),
            Row("NT-17", "93.184.216.41", 80, echo, "eof", "reset"),
            Row("NT-17", "93.184.216.41", 9, echo, "ECONNREFUSED"),
            Row("NT-02", "93.184.217.4", 7777, echo, "ENETUNREACH", "EHOSTUNREACH"),
            Row("NT-02", "140.82.112.3", 443, echo, "ENETUNREACH", "EHOSTUNREACH"),
            Row("NT-02", "2606:2800:220:1::7", 7777, echo, "ENETUNREACH", "EHOSTUNREACH", "EADDRNOTAVAIL"),
            Row("NT-02", "10.66.0.1", 7777, echo, "ENETUNREACH", "EHOSTUNREACH"),
            Row("NT-04", "127.0.0.1", 5432, echo, "ECONNREFUSED"),
            Row("NT-04", "127.0.0.1", 9999, echo, "ECONNREFUSED"),
            Row("NT-04", "::1", 5432, echo, "ECONNREFUSED"),
            Row("NT-04", "127.0.0.1", 80, echo, "ECONNREFUSED", "eof", "reset"),
            Row("NT-06", "169.254.169.254", 80, echo, "ENETUNREACH", "EHOSTUNREACH"),
        ]

        static let seen = Once { identity in
            let list = rows.map { Exchange($0.key, $0.host, $0.port, $0.steps) }
            return try Internet.shared.get().observe(as: identity, list, options: rules, together: 4)
        }

        @Test(arguments: Identity.all, rows)
        func `a connection goes where a rule says, or nowhere`(_ identity: Identity, _ row: Row) throws {
            BoxTests.row(row.id)
            let reply = try Capture.seen.get(identity).reply(row.key)
            #expect(row.ends.contains(reply.end), "\(reply)")
            if row.ends != ["open"] {
                #expect((reply.bytes ?? 0) == 0 && reply.ms < 3000, "\(reply)")
            }
        }

        @Test(arguments: Identity.all)
        func `only what was allowed left the host`(_ identity: Identity) throws {
            row("NT-16")
            let seen = try Capture.seen.get(identity)
            let allowed: Set = [
                "tcp 93.184.216.40 7777", "tcp 93.184.216.40 80", "tcp 140.82.112.3 443",
                "tcp 93.184.216.41 22",
                "tcp 93.184.216.41 7777", "tcp 93.184.217.1 7777", "tcp 93.184.217.3 7777",
                "tcp 2606:2800:220:1::6 7777", "tcp 93.184.216.40 443",
            ]
            #expect(seen.packets.subtracting(allowed).isEmpty, "\(seen.packets.subtracting(allowed))")
            #expect(seen.packets.isSuperset(of: ["tcp 93.184.216.40 7777", "tcp 2606:2800:220:1::6 7777"]))
            #expect(!seen.questions.contains("evil.net"), "\(seen.questions)")
            #expect(seen.own.allSatisfy { $0.port == 7777 } && seen.own.count == 3, "\(seen.own)")
            let vias = Set(seen.events.filter { $0.event == "net.allow" }.compactMap(\.via))
            #expect(vias == ["transparent"], "\(vias)")
            for (host, port) in [("github.com", 80), ("github.com", 7777)] {
                #expect(
                    seen.events.contains {
                        $0.event == "net.deny" && $0.host == host && $0.port == port && $0.reason == "port"
                    }, "no event of \(host):\(port)")
            }
        }

        @Test(arguments: Identity.all)
        func `the door's ports and addresses cannot be taken over`(_ identity: Identity) throws {
            row("NT-08")
            let box = try Internet.shared.get().box(as: identity)
            let places = [
                "127.0.0.1,3128", "::1,3128", "127.0.0.1,1080", "::1,1080", "127.0.0.1,53", "0.0.0.0,53",
                "0.0.0.0,443",
                "127.0.0.1,443", "198.18.0.1,443", "127.0.0.1,7777", "::1,7777", "0.0.0.0,3128",
            ]
            let acts = places.map { "listen,\($0)" }
            let answers = try box.probe(acts, options: Capture.rules)
            for act in acts {
                #expect(answers[act]?.word == "EADDRINUSE", "\(act): \(String(describing: answers[act]))")
            }
            let free = "listen,127.0.0.1,3129"
            #expect(try box.probe([free], options: Capture.rules)[free]?.worked == true, "no control")
            let resolver = try box.shell(
                "cat /etc/resolv.conf; getent hosts localhost", options: Capture.rules)
            #expect(
                resolver.text.contains("nameserver 127.0.0.1") && resolver.text.contains("localhost"),
                "\(resolver)")
            #expect(
                !resolver.text.contains("10.66.0.1") && !resolver.text.contains("corp.example"), "\(resolver)"
            )
        }
    }
}
