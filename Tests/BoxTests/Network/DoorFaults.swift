import Foundation
import Testing

extension Door {
    /// PP: upstreams and clients that break, wait or come in thousands; what is left of them.
    @Suite(.recorded("PP"), .serialized) struct Faults {
        static let ports = [80, 7001, 7002, 7003, 7007, 7777, 9999].flatMap {
            ["--allow", "four.example.com:\($0)"]
        }
        static let plenty = ["requests_per_minute=100000", "connections=6000"].flatMap {
            ["--net-limit", $0]
        }

        /// A storm inside; its last line.
        private func storm(_ session: Conversation, _ words: String, within seconds: Double = 60) throws
            -> [String: Int]
        {
            let text = try session.say("python3 storm.py \(words)", within: seconds)
            let line = text.split(separator: "\n").last ?? ""
            return try JSONDecoder().decode([String: Int].self, from: Data(line.utf8))
        }

        /// The proxy gets back to so few descriptors.
        private func settles(
            _ proxy: Process, at count: Int, sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            var now = 0
            let settled = try Host.eventually(within: 15) {
                now = try proxy.descriptors()
                return now <= count
            }
            #expect(settled, "\(now) descriptors, and not \(count)", sourceLocation: sourceLocation)
        }

        private func session(_ identity: Identity, _ options: [String] = plenty) throws -> Conversation {
            let box = try Internet.shared.get().box(as: identity)
            try box.scratch.write(
                try Host.text(Tools.sources + "/storm.py"), to: box.scratch.project + "/storm.py")
            return try Conversation(
                box,
                options: Faults.ports
                    + [
                        "--allow", "dead.example.org:80", "--allow", "github.com", "--allow",
                        "github.com:7777",
                    ]
                    + options)
        }

        @Test(arguments: Identity.all)
        func `everything that waits ends in its time`(_ identity: Identity) throws {
            row("PP-12")
            let session = try session(identity)
            let list = [
                Resolution.get("dead", "dead.example.org", within: 15),
                Exchange.proxy(
                    "slow head", [.send("GET http://four.example.com/ HTTP/1.1\r\n")] + slowly("X: 1\r\n"),
                    within: 15),
                Exchange.proxy("no head", [.read(1)], within: 15),
                Exchange.proxy("half a line", [.send("CONNECT four.exam"), .read(1)], within: 15),
                Exchange.tunnel("no hello", "github.com:443", [.read(1)], within: 15),
                Exchange.tunnel(
                    "half a hello", "github.com:443", [.send("\u{16}\u{03}\u{01}\u{02}\u{00}"), .read(1)],
                    within: 15),
                Exchange.tunnel(
                    "black hole", "four.example.com:9999", [.send("a"), .pause(8), .send("b")], within: 15),
                Resolution.get("reset", "four.example.com:7001"),
                Exchange.tunnel("reset at once", "four.example.com:7001", [.read(1)]),
                Exchange.tunnel("reset later", "four.example.com:7002", [.send("a"), .read(1)]),
                Exchange.proxy(
                    "reset in the middle",
                    [.send("GET http://four.example.com/reset/1000 HTTP/1.1\r\nHost: a\r\n\r\n"), .rest]),
                Exchange.tunnel(
                    "half close and silence", "four.example.com:7777", [.send("abc"), .shut, .rest],
                    within: 15),
                Exchange.proxy(
                    "drip",
                    [
                        .send("GET http://four.example.com/drip/30 HTTP/1.1\r\nHost: a\r\n\r\n"),
                        .until(String(repeating: ".", count: 30)),
                    ], within: 15),
                Exchange.proxy(
                    "events",
                    [
                        .send("GET http://four.example.com/sse/3 HTTP/1.1\r\nHost: a\r\n\r\n"),
                        .until("data: 0"), .until("data: 2"),
                    ], within: 15),
            ]
            let replies = try session.exchange(list, together: list.count)
            func ends(_ key: String, _ ends: Set<String>, _ time: ClosedRange<Int>, _ statuses: Set<Int> = [])
            {
                let reply = replies[key]
                #expect(ends.contains(reply?.end ?? ""), "\(key): \(String(describing: reply))")
                #expect(time.contains(reply?.ms ?? -1), "\(key): \(String(describing: reply))")
                if !statuses.isEmpty {
                    #expect(statuses.contains(reply?.status ?? 0), "\(String(describing: reply))")
                }
            }
            ends("dead", ["eof"], 5000...12_500, [504, 502])
            // A slow loris has ten seconds, however it trickles.
            ends("slow head", ["eof", "reset"], 7000...14_500, [400, 408])
            ends("no head", ["eof", "reset", "open"], 7000...13_000)
            ends("half a line", ["eof", "reset", "open"], 7000...13_000)
            ends("no hello", ["eof", "reset"], 3000...8000)
            ends("half a hello", ["eof", "reset"], 3000...8000)
            ends("black hole", ["open"], 8000...10_000)
            ends("reset", ["eof", "reset"], 0...2000, [502])
            ends("reset at once", ["eof", "reset", "open"], 0...2000)
            ends("reset later", ["eof", "reset"], 0...2000)
            ends("reset in the middle", ["eof", "reset"], 0...3000)
            ends("half close and silence", ["eof"], 0...3000)
            ends("drip", ["open"], 2500...6000, [200])
            ends("events", ["open"], 1500...5000, [200])
            #expect(try session.end().status == 0)
        }

        /// The same line every now and then for 14 seconds.
        private func slowly(_ line: String) -> [Exchange.Step] {
            (0..<20).flatMap { _ in [Exchange.Step.pause(0.7), .send(line)] } + [.rest]
        }

        @Test(arguments: Identity.all)
        func `refused, broken and abandoned connections leave nothing behind`(_ identity: Identity) throws {
            row("PP-14")
            let session = try session(identity)
            let proxy = try session.proxy()
            _ = try storm(session, "short 20 10 four.example.com:7777")
            try settles(proxy, at: 40)
            let before = (try proxy.descriptors(), try proxy.memory())
            #expect(try storm(session, "short 400 20 evil.net:443")["403"] == 400)
            #expect(try storm(session, "short 200 20 four.example.com:7001")["ok"] == nil)
            #expect(try storm(session, "leave 200 dead.example.org:80")["left"] == 200)
            #expect(try storm(session, "leave 200 four.example.com:9999")["left"] == 200)
            #expect(try storm(session, "plain 100 http://four.example.com/odd/nothing")["502"] == 100)
            #expect(try storm(session, "plain 100 http://four.example.com/")["200"] == 100)
            try settles(proxy, at: before.0 + 2)
            let grown = try proxy.memory() - before.1
            #expect(grown < 24 << 20, "grew by \(grown)")
            // Every one of them is in the log.
            try session.end()
            let refused = try session.box.events().filter { $0.event == "net.deny" && $0.host == "evil.net" }
            #expect(refused.reduce(0) { $0 + ($1.count ?? 1) } == 400, "\(refused.count) events")
        }

        @Test(arguments: Identity.all)
        func `ten thousand short tunnels all work`(_ identity: Identity) throws {
            row("PP-16")
            let session = try session(identity)
            let proxy = try session.proxy()
            let before = try proxy.descriptors()
            let result = try storm(session, "short 10000 32 four.example.com:7777")
            #expect(result["ok"] == 10_000, "\(result)")
            try settles(proxy, at: before + 2)
            try session.end()
            let closed = try session.box.events().filter { $0.event == "net.close" }
            #expect(closed.count == 10_000, "\(closed.count) closings in the log")
        }

        @Test(arguments: Identity.all)
        func `five thousand idle tunnels cost little and all still work`(_ identity: Identity) throws {
            row("PP-16")
            let session = try session(identity)
            let proxy = try session.proxy()
            // The first ones pay for what is allocated once.
            _ = try storm(session, "short 100 50 four.example.com:7777")
            let before = (try proxy.descriptors(), try proxy.memory())
            try session.say("mkfifo go")
            // Another address than that of the storms: a port is free again a minute after its connection.
            session.begin("ulimit -n 12000; python3 storm.py idle 5000 github.com:7777 <>go >told; cat told")
            let told = session.box.scratch.project + "/told"
            var opened = ""
            let open = try Host.eventually(within: 30) {
                opened = FileManager.default.fileExists(atPath: told) ? try Host.text(told) : ""
                return opened.contains("\"open\"")
            }
            let refused = try session.box.events().filter {
                $0.event == "net.deny" || $0.event == "net.limit"
            }
            #expect(open && opened.contains("5000"), "\(opened) \(refused.prefix(3))")
            let each = (try proxy.memory() - before.1) / 5000
            #expect(each < 8192, "\(each) bytes each")
            try Data("\n".utf8).write(to: URL(filePath: session.box.scratch.project + "/go"))
            let answer = try session.answer(within: 30)
            #expect(answer.contains("\"echoed\": 5000"), "\(answer)")
            try settles(proxy, at: before.0 + 2)
            try session.end()
        }

        @Test(arguments: Identity.all)
        func `a slow reader slows its own tunnel and fills no memory`(_ identity: Identity) throws {
            row("PP-15")
            let session = try session(identity)
            let proxy = try session.proxy()
            let before = try proxy.memory()
            let list = [
                Exchange.tunnel(
                    "slow", "four.example.com:7003", [.fill(16 << 20), .shut, .rest], within: 25),
                Exchange.tunnel("stuck", "four.example.com:7007", [.pause(0.1), .fill(4 << 20)], within: 25),
                Resolution.get("other", "four.example.com"),
            ]
            try session.beginExchange(list, together: 3)
            var highest = 0
            _ = try Host.eventually(within: 1) {
                highest = max(highest, try proxy.memory())
                return false
            }
            let replies = try session.endExchange(list)
            #expect(replies["slow"]?.got?.hasSuffix(replies["slow"]?.sent ?? "-") == true, "\(replies)")
            #expect(replies["other"]?.status == 200, "\(replies)")
            #expect(highest - before < 6 << 20, "grew by \(highest - before)")
            try session.end()
        }

        @Test(arguments: Identity.all)
        func `garbage in quantity breaks nothing`(_ identity: Identity) throws {
            row("PP-20")
            let session = try session(identity)
            let proxy = try session.proxy()
            let before = (try proxy.descriptors(), try proxy.memory())
            let script = """
                cat > garbage.py <<'END'
                import random, socket
                random.seed(7)
                words = [b'CONNECT ', b'GET ', b'http://', b'four.example.com', b':80', b' HTTP/1.1', b'\\r\\n', b'\\r\\n\\r\\n', b'Host: ', b'\\0',
                         b'Content-Length: 5', b'Transfer-Encoding: chunked', b'\\x05\\x01\\x00', b'\\x16\\x03\\x01\\x00\\x05', bytes(range(256))]
                for i in range(3000):
                    s = socket.create_connection(('127.0.0.1', random.choice([3128, 3128, 1080]) if i % 3 == 0 else 3128), timeout=5)
                    try:
                        s.sendall(b''.join(random.choice(words) for _ in range(random.randrange(1, 12))))
                        s.shutdown(socket.SHUT_WR)
                        while s.recv(65536): pass
                    except OSError: pass
                    s.close()
                print('alive')
                END
                python3 garbage.py
                """
            #expect(try session.say(script, within: 40).contains("alive"))
            #expect(try session.proxy() == proxy, "another process")
            #expect(
                try session.exchange([Resolution.get("after", "four.example.com")])["after"]?.status == 200)
            try settles(proxy, at: before.0 + 2)
            #expect(try proxy.memory() - before.1 < 24 << 20)
            try session.end()
        }

        @Test(arguments: Identity.all)
        func `when the proxy dies the network is closed and box says so`(_ identity: Identity) throws {
            row("NT-10")
            let internet = try Internet.shared.get()
            let session = try session(identity)
            let proxy = try session.proxy()
            let open = Exchange.tunnel(
                "open", "four.example.com:7777", [.send("a"), .read(1), .rest], within: 8)
            let mark = try internet.mark()
            try session.beginExchange([open])
            #expect(try internet.eventually(since: mark, "tcp") { $0.port == 7777 && $0.first == "a" })
            kill(proxy.pid, SIGKILL)
            let died = Host.eventually { !proxy.isAlive }
            #expect(died)
            let reply = try session.endExchange([open])["open"]
            #expect(["eof", "reset"].contains(reply?.end), "\(String(describing: reply))")
            let after = try internet.mark()
            let list = [
                Resolution.get("proxy", "four.example.com"),
                Exchange("direct", "four.example.com", 80, [.send("GET / HTTP/1.1\r\n\r\n"), .read(1)]),
                Exchange("literal", "93.184.216.40", 80, [.read(1)]),
                Exchange("local", "127.0.0.1", 7777, [.send("a"), .read(1)]),
            ]
            for reply in try session.exchange(list).values {
                #expect(reply.status == nil && reply.end != "open", "\(reply)")
                #expect(reply.ms < 3000 || reply.key == "direct", "hangs: \(reply)")
            }
            let sent = (try internet.packets(since: after), try internet.ownConnections(since: after))
            #expect(sent.0.isEmpty && sent.1.isEmpty, "\(sent)")
            let outcome = try session.end()
            #expect(outcome.errors.contains("proxy"), "box does not say that its proxy died: \(outcome)")
        }
    }
}
