import Foundation
import Testing

extension Door {
    /// NT-28: servers inside that the host may reach, the company's proxy, and its authority.
    @Suite(.recorded("NT-28"), .serialized) struct Services {
        static let server = """
            cat > serve.py <<'END'
            import socket, threading
            def serve(family, address):
                listener = socket.create_server((address, 3000), family=family)
                while True:
                    one, _ = listener.accept()
                    def answer(one=one):
                        data = one.recv(65536)
                        one.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 12\\r\\nConnection: close\\r\\n\\r\\nfrom inside\\n')
                        one.close()
                    threading.Thread(target=answer).start()
            threading.Thread(target=serve, args=(socket.AF_INET, '127.0.0.1')).start()
            END
            python3 serve.py >/dev/null 2>&1 &
            i=0; while [ $i -lt 100 ]; do curl -s --noproxy '*' http://127.0.0.1:3000/ && break; sleep 0.05; i=$((i+1)); done
            """

        /// What the pretended host gets from one of its own ports.
        private func get(_ place: String, as identity: Identity) throws -> Outcome {
            try Internet.shared.get().run(
                ["curl", "-sS", "-m", "5", "--noproxy", "*", "http://\(place)/"], as: identity)
        }

        @Test(arguments: Identity.all, [true, false])
        func `a published port is on the host's loopback, and nowhere else`(
            _ identity: Identity, _ live: Bool
        ) throws {
            row("NT-28")
            let options = live ? [] : ["--publish", "3100:3000", "--publish", "3000"]
            let session = try Conversation(try Internet.shared.get().box(as: identity), options: options)
            #expect(try session.say(Services.server).contains("from inside"))
            if live {
                #expect(
                    try get("127.0.0.1:3100", as: identity).status == 7, "reached before it was published")
                for port in ["3100:3000", "3000"] {
                    let outcome = try session.command("publish", port)
                    #expect(outcome.status == 0, "\(outcome)")
                }
            }
            for place in ["127.0.0.1:3100", "[::1]:3100", "127.0.0.1:3000", "[::1]:3000", "localhost:3100"] {
                let outcome = try get(place, as: identity)
                #expect(outcome.text == "from inside\n", "\(place): \(outcome)")
            }
            for place in ["10.66.0.2:3100", "45.33.32.156:3100", "[fd66::2]:3100"] {
                #expect(try get(place, as: identity).status == 7, "\(place)")
            }
            // More than were made beforehand.
            let many = try Internet.shared.get().run(
                [
                    "sh", "-c",
                    "for i in $(seq 120); do curl -s --noproxy '*' http://127.0.0.1:3100/; done | sort | uniq -c",
                ])
            #expect(many.answer.split(separator: " ").first == "120", "\(many)")
            // A port of which nobody inside listens.
            #expect(try session.say("pkill -f serve.py; sleep 0.1; echo gone").contains("gone"))
            #expect(try get("127.0.0.1:3100", as: identity).status != 0)
            try session.end()
            #expect(try get("127.0.0.1:3100", as: identity).status == 7, "it outlives its session")
            let vias = Set(try session.box.events().filter { $0.event == "net.close" }.compactMap(\.via))
            #expect(vias == ["publish"] || vias == ["published"], "\(vias)")
        }

        @Test(arguments: Identity.all)
        func `a port that is taken is refused before anything runs`(_ identity: Identity) throws {
            row("NT-28")
            let outcome = try Internet.shared.get().box(as: identity)
                .run(["/bin/echo", "ran"], options: ["--publish", "7777:3000"])
            #expect(
                outcome.status == 125 && outcome.text.isEmpty && outcome.errors.contains("7777"), "\(outcome)"
            )
        }

        // MARK: The company's network

        static let proxy = "http://worker:pa%3Ass%40word@proxy.corp.example:3128"

        @Test(arguments: Identity.all)
        func `everything but localhost goes by the company's proxy, as a name`(_ identity: Identity) throws {
            row("NT-29")
            let internet = try Internet.shared.get()
            let box = try internet.box(as: identity)
            let mark = try internet.mark()
            let list = [
                Exchange.tunnel("connect", "github.com:443", [.hello("github.com"), .read(1)]),
                Resolution.get("plain", "four.example.com"),
                Exchange("direct", "github.com", 443, [.hello("github.com"), .read(1)]),
                Exchange("local", "localhost", 7777, [.send("hello"), .read(5)]),
                Exchange.tunnel("refused", "evil.net:443"),
                Exchange.tunnel("fronted", "github.com:443", [.hello("evil.net"), .read(1)]),
            ]
            let rules = ["github.com", "four.example.com:80", "localhost:7777"].flatMap { ["--allow", $0] }
            let replies = try box.exchange(list, options: rules + ["--upstream-proxy", Services.proxy])
            #expect(replies["connect"]?.end == "open" && replies["connect"]?.status == 200, "\(replies)")
            #expect(replies["plain"]?.status == 200, "\(replies)")
            #expect(replies["direct"]?.end == "open", "\(replies)")
            #expect(replies["local"]?.end == "open", "\(replies)")
            #expect(replies["refused"]?.status == 403, "\(replies)")
            #expect(["eof", "reset"].contains(replies["fronted"]?.end), "\(replies)")
            let asked = try internet.since(mark, "proxy")
            let targets = Set(asked.compactMap(\.target))
            #expect(targets == ["github.com:443", "http://four.example.com/"], "\(targets)")
            #expect(asked.allSatisfy { $0.authorized == true }, "\(asked)")
            let packets = try internet.packets(since: mark)
            #expect(packets == ["tcp 10.20.0.1 3128"], "\(packets)")
            #expect(try internet.questions(since: mark) == ["proxy.corp.example"])
            let local = try internet.ownConnections(since: mark)
            #expect(local.map(\.port) == [7777], "\(local)")
        }

        @Test(arguments: Identity.all)
        func `the company's password is for nobody to see`(_ identity: Identity) throws {
            row("NT-29")
            let session = try Conversation(
                try Internet.shared.get().box(as: identity),
                options: ["--allow", "github.com", "--upstream-proxy", Services.proxy])
            let inside = try session.say(
                "env; cat /proc/*/cmdline /proc/*/environ 2>/dev/null | tr '\\0' '\\n'")
            #expect(!inside.contains("pa%3Ass") && !inside.contains("pa:ss@word"), "\(inside)")
            for process in Host.descendants(of: session.running.pid)
                + [Process(session.running.pid)].compactMap({ $0 })
            {
                #expect(!process.commandLine.contains("pa%3Ass"), "\(process.commandLine)")
            }
            try session.end()
            let kept = try Host.shell(
                "grep -rlE 'pa%3Ass|pa:ss@word' '\(session.box.scratch.state)' || echo none")
            #expect(kept.answer == "none", "\(kept)")
        }

        @Test(arguments: Identity.all)
        func `a company's proxy that refuses or is not there is an upstream failure`(_ identity: Identity)
            throws
        {
            row("NT-29")
            let internet = try Internet.shared.get()
            for proxy in [
                "http://worker:wrong@proxy.corp.example:3128", "http://proxy.corp.example:3128",
                "http://proxy.corp.example:9",
            ] {
                let box = try internet.box(as: identity)
                let mark = try internet.mark()
                let replies = try box.exchange(
                    [
                        .tunnel("connect", "github.com:443", [.rest]),
                        Resolution.get("plain", "four.example.com"),
                    ],
                    options: [
                        "--allow", "github.com", "--allow", "four.example.com:80", "--upstream-proxy", proxy,
                    ])
                for reply in replies.values { #expect(reply.status == 502, "\(proxy): \(reply)") }
                #expect(
                    replies.values.allSatisfy { !($0.got ?? "").lowercased().contains("proxy-authenticate") },
                    "\(replies)")
                #expect(try internet.packets(since: mark).allSatisfy { $0.hasPrefix("tcp 10.20.0.1 ") })
            }
        }

        @Test(
            arguments: Identity.all,
            [
                "curl -sS -o /dev/null -w '%{http_code}' https://github.com/",
                "python3 -c \"import urllib.request as u; print(u.urlopen('https://github.com/').status)\"",
                "node -e \"require('https').get('https://github.com/', r => { console.log(r.statusCode); r.destroy() })\"",
                "git ls-remote -q https://git.example.org/git/project.git >/dev/null && echo 200",
                "openssl s_client -connect github.com:443 -verify_return_error </dev/null 2>&1 | grep -q 'Verification: OK' && echo 200",
            ])
        func `the company's authority is trusted by the usual programs`(
            _ identity: Identity, _ script: String
        ) throws {
            row("NT-30")
            let program = String(script.prefix { $0 != " " })
            guard has(program) else { return }
            let internet = try Internet.shared.get()
            let rules = ["github.com", "git.example.org"].flatMap { ["--allow", $0] }
            let box = try internet.box(as: identity)
            let outcome = try box.shell(script, options: rules + ["--ca", internet.authority])
            #expect(outcome.status == 0 && outcome.answer == "200", "\(outcome)")
            let without = try internet.box(as: identity).shell(script, options: rules)
            #expect(without.answer != "200", "no control: \(without)")
        }
    }
}
