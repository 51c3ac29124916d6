import Foundation
import Testing

/// A `policy.change` of a log.
private struct PolicyChange: Decodable, Sendable {
    var event: String
    var action: String?
    var rules: [String]?
    var once: Bool?
}

extension Box {
    /// The changes of rules in the newest session's log.
    fileprivate func changes(of session: String) throws -> [PolicyChange] {
        try Host.text("\(scratch.state)/box/sessions/\(session)/events.jsonl").split(separator: "\n").map {
            try JSONDecoder().decode(PolicyChange.self, from: Data($0.utf8))
        }.filter { $0.event == "policy.change" }
    }

    /// Whether the log of the session says by now that a rule for one connection is over.
    fileprivate func saysUsed(_ rule: String, times: Int = 1) throws -> Bool {
        try Host.eventually {
            try changes(of: Conversation.name).count {
                $0.action == "expire" && $0.once == true && $0.rules == [rule]
            } == times
        }
    }
}

extension Door {
    /// NT-20: `box allow --once`: one connection gets through, whoever asks at the same time.
    @Suite(.recorded("NT-20"), .serialized) struct OneConnection {
        private static let get = "curl -sk -m 10 -o /dev/null -w '%{http_connect} %{http_code} '"

        @Test(arguments: Identity.all)
        func `one connection gets through and no second one, by every way out`(_ identity: Identity) throws {
            let session = try Conversation(try Internet.shared.get().box(as: identity))
            let ways = [
                ("github.com", "\(Self.get) https://github.com/", "200", "403"),
                (
                    "github.com", "\(Self.get) --socks5-hostname 127.0.0.1:1080 https://github.com/", "200",
                    "000"
                ),
                ("four.example.com:80", "\(Self.get) http://four.example.com/", "200", "403"),
                ("a.example.com", "\(Self.get) --noproxy '*' https://a.example.com/", "200", "000"),
            ]
            for (count, (host, script, good, bad)) in ways.enumerated() {
                let before = try session.say(script)
                #expect(before.contains(bad) && !before.contains("200"), "\(script): \(before)")
                let allowed = try session.command("allow", "--once", host)
                #expect(allowed.status == 0 && allowed.text.contains("for one connection"), "\(allowed)")
                let first = try session.say(script)
                #expect(first.contains(good), "\(script): \(first)")
                let rule = host.contains(":") ? host : host + ":443"
                let times = ways[...count].count { $0.0 == host }
                #expect(
                    try session.box.saysUsed(rule, times: times), "\(rule)")
                let second = try session.say(script)
                #expect(second.contains(bad) && !second.contains("200"), "\(script): \(second)")
            }
            try session.end()
        }

        @Test(arguments: Identity.all)
        func `of many at the same time exactly one gets through, and it stays open`(_ identity: Identity)
            throws
        {
            let internet = try Internet.shared.get()
            let session = try Conversation(try internet.box(as: identity))
            for round in 1...3 {
                #expect(try session.command("allow", "--once", "four.example.com:7777").status == 0)
                let list = (0..<40).map { number in
                    // Half by the proxy, half caught; those that get through are there for a while.
                    number % 2 == 0
                        ? Exchange.tunnel(
                            "\(number)", "four.example.com:7777",
                            [.send("hello"), .read(5), .pause(1), .send("again"), .read(5)])
                        : Exchange(
                            "\(number)", "four.example.com", 7777,
                            [.send("hello"), .read(5), .pause(1), .send("again"), .read(5)])
                }
                let mark = try internet.mark()
                let replies = try session.exchange(list, together: 40)
                // To the others the proxy says no, or closes.
                let open = replies.values.filter { $0.end == "open" && $0.status ?? 200 == 200 }
                #expect(open.count == 1, "\(open)")
                let reached = try internet.since(mark, "tcp").filter {
                    $0.event == "accept" && $0.to == "93.184.216.40" && $0.port == 7777
                }
                #expect(reached.count == 1, "round \(round): \(reached.count) connections left")
                #expect(try session.box.saysUsed("four.example.com:7777", times: round))
            }
            try session.end()
        }

        @Test(arguments: Identity.all)
        func `looking the name up and a server that does not answer use nothing up`(_ identity: Identity)
            throws
        {
            let session = try Conversation(try Internet.shared.get().box(as: identity))
            #expect(try session.command("allow", "--once", "github.com").status == 0)
            for _ in 0..<3 {
                #expect(try session.say("getent hosts github.com || echo none").contains("198.18"))
            }
            #expect(try session.say("\(Self.get) --noproxy '*' https://github.com/").contains("200"))
            #expect(try session.box.saysUsed("github.com:443"))
            #expect(try session.say("getent hosts github.com || echo none").contains("none"))
            // No server has this port; a name without an address; an address that is private.
            let list = ["github.com:9", "nowhere.example.org:443", "private.example.org:443"]
            for place in list {
                #expect(try session.command("allow", "--once", place).status == 0)
                for _ in 0..<2 {
                    let answer = try session.say("\(Self.get) https://\(place)/")
                    #expect(!answer.contains("200"), "\(place): \(answer)")
                }
            }
            let changes = try session.box.changes(of: Conversation.name).filter { $0.action == "expire" }
            #expect(changes.count == 1, "\(changes)")
            try session.end()
        }

        @Test(arguments: Identity.all)
        func `the connection that waits is the one`(_ identity: Identity) throws {
            let session = try Conversation(
                try Internet.shared.get().box(as: identity), options: ["--hold", "30s"])
            session.begin("\(Self.get) https://github.com/")
            let waits = try Host.eventually {
                try session.box.events().contains { $0.host == "github.com" && $0.held != nil }
            }
            #expect(waits)
            #expect(try session.command("allow", "--once", "github.com").status == 0)
            #expect(try session.answer().contains("200"))
            #expect(try session.box.saysUsed("github.com:443"))
            // The next one waits again, until the user says something.
            session.begin("\(Self.get) https://github.com/")
            let again = try Host.eventually {
                try session.box.events().count { $0.host == "github.com" && $0.held != nil } == 2
            }
            #expect(again)
            #expect(try session.command("allow", "--once", "github.com").status == 0)
            #expect(try session.answer().contains("200"))
            let pending = try session.box.call(["pending", "--json"]).text
            #expect(!pending.contains("github.com"), "what was let in was not refused: \(pending)")
            try session.end()
        }

        @Test(arguments: Identity.all)
        func `a denial takes it away and closes what it let through, and a time ends it`(_ identity: Identity)
            throws
        {
            let internet = try Internet.shared.get()
            let session = try Conversation(try internet.box(as: identity))
            #expect(try session.command("allow", "--once", "four.example.com:7777").status == 0)
            #expect(try session.command("deny", "four.example.com:7777").status == 0)
            let raw = Exchange("raw", "four.example.com", 7777, [.send("hello"), .read(5)])
            #expect(try session.exchange([raw])["raw"]?.end != "open")
            #expect(try session.command("allow", "--once", "four.example.com:7777").status == 0)
            let list = [
                Exchange.tunnel("goes", "four.example.com:7777", [.send("a"), .read(1), .rest], within: 8)
            ]
            let mark = try internet.mark()
            try session.beginExchange(list)
            #expect(
                try internet.eventually(since: mark, "tcp") { $0.to == "93.184.216.40" && $0.first == "a" })
            #expect(try session.command("deny", "four.example.com:7777").status == 0)
            let reply = try #require(try session.endExchange(list)["goes"])
            #expect(["eof", "reset"].contains(reply.end), "\(reply)")
            #expect(try session.command("allow", "--once", "--for", "1s", "github.com").status == 0)
            let over = try Host.eventually {
                try session.box.changes(of: Conversation.name).contains {
                    $0.action == "expire" && $0.once != true && $0.rules == ["github.com:443"]
                }
            }
            #expect(over)
            #expect(!(try session.say("\(Self.get) https://github.com/").contains("200")))
            try session.end()
        }

        @Test(arguments: Identity.all)
        func `what is allowed anyhow is not taken away, and nothing is written`(_ identity: Identity) throws {
            let session = try Conversation(
                try Internet.shared.get().box(as: identity), options: ["--allow", "github.com"])
            let told = try session.command("allow", "--once", "github.com")
            #expect(told.status == 0 && told.errors.contains("allowed already"), "\(told)")
            for _ in 0..<2 { #expect(try session.say("\(Self.get) https://github.com/").contains("200")) }
            let both = try session.box.call(["allow", "--once", "--user", "github.com"])
            #expect(both.status == 125, "\(both)")
            try session.end()
            let file = session.box.scratch.project + "/box.toml"
            #expect(!FileManager.default.fileExists(atPath: file))
            let nobody = try session.box.call(["allow", "--once", "github.com"])
            #expect(nobody.status == 125 && nobody.errors.contains("no session"), "\(nobody)")
        }
    }
}
