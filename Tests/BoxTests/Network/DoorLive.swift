import Foundation
import Testing

extension Door {
    /// NT-20: rules that change while a session runs, and refusals that wait for them.
    @Suite(.recorded("NT-20"), .serialized) struct Live {
        /// A loop inside that asks for a page until the status is this one; prints how long that took.
        static func until(_ status: String, _ options: String, _ url: String) -> String {
            """
            i=0; while [ $i -lt 100 ]; do s=$(curl -s -m 3 -o /dev/null -w '%{http_code}%{http_connect}' \(options) \(url)); \
            case $s in *\(status)*) echo reached; break;; esac; i=$((i+1)); sleep 0.05; done
            """
        }

        @Test(arguments: Identity.all)
        func `a rule is in force within a second, for every way out`(_ identity: Identity) throws {
            row("NT-20")
            let session = try Conversation(try Internet.shared.get().box(as: identity))
            #expect(try session.say(Live.until("403", "", "https://github.com/")).contains("reached"))
            #expect(try session.say("getent hosts github.com || echo none").contains("none"))
            let allowed = try session.command(
                "allow", "github.com", "four.example.com:80", "four.example.com:7777")
            #expect(allowed.status == 0, "\(allowed)")
            let began = Date()
            #expect(try session.say(Live.until("200", "-k", "https://github.com/")).contains("reached"))
            #expect(
                try session.say(Live.until("200", "--noproxy '*'", "http://four.example.com/")).contains(
                    "reached"))
            #expect(
                try session.say(
                    Live.until("200", "-k --socks5-hostname 127.0.0.1:1080", "https://github.com/")
                ).contains("reached"))
            #expect(Date().timeIntervalSince(began) < 1, "it took \(Date().timeIntervalSince(began)) s")
            // A port that no rule named before, without any proxy.
            let raw = try session.exchange([
                Exchange("raw", "four.example.com", 7777, [.send("hello"), .read(5)])
            ])
            #expect(raw["raw"]?.end == "open", "\(raw)")
            #expect(try session.command("deny", "github.com").status == 0)
            #expect(try session.say(Live.until("403", "-k", "https://github.com/")).contains("reached"))
            #expect(try session.say("getent hosts github.com || echo none").contains("none"))
            #expect(try session.end().status == 0)
            #expect(try session.box.events().contains { $0.event == "policy.change" })
        }

        @Test(arguments: Identity.all)
        func `an address and the host's loopback are opened live`(_ identity: Identity) throws {
            row("NT-21")
            let session = try Conversation(try Internet.shared.get().box(as: identity))
            let places = [
                ("93.184.216.41", 7777), ("2606:2800:220:1::6", 7777), ("127.0.0.1", 7777), ("::1", 7777),
            ]
            let list = places.map { Exchange($0.0, $0.0, $0.1, [.send("hello"), .read(5)]) }
            for reply in try session.exchange(list).values { #expect(reply.end != "open", "\(reply)") }
            let allowed = try session.command(
                "allow", "93.184.216.41:7777", "[2606:2800:220:1::6]:7777", "localhost:7777")
            #expect(allowed.status == 0, "\(allowed)")
            for reply in try session.exchange(list).values { #expect(reply.end == "open", "\(reply)") }
            try session.end()
        }

        @Test(arguments: Identity.all)
        func `a change leaves allowed tunnels alone and closes the others at once`(_ identity: Identity)
            throws
        {
            row("NT-22")
            let internet = try Internet.shared.get()
            let options = ["four.example.com:7777", "github.com:7777", "index.example.org:7777"].flatMap {
                ["--allow", $0]
            }
            let session = try Conversation(try internet.box(as: identity), options: options)
            let mark = try internet.mark()
            // Each says something, and then waits for what may come.
            let list = [
                Exchange.tunnel(
                    "stays", "four.example.com:7777",
                    [.send("a"), .read(1), .pause(2), .send("b"), .read(1)], within: 8),
                Exchange.tunnel("goes", "github.com:7777", [.send("a"), .read(1), .rest], within: 8),
                Exchange("captured", "index.example.org", 7777, [.send("a"), .read(1), .rest], within: 8),
            ]
            try session.beginExchange(list, together: 3)
            for host in ["93.184.216.40", "140.82.112.3", "93.184.216.41"] {
                #expect(try internet.eventually(since: mark, "tcp") { $0.to == host && $0.first == "a" })
            }
            let began = Date()
            let denied = try session.command("deny", "github.com:7777", "index.example.org:7777")
            #expect(denied.status == 0, "\(denied)")
            let replies = try session.endExchange(list)
            for key in ["goes", "captured"] {
                let reply = try #require(replies[key])
                #expect(["eof", "reset"].contains(reply.end), "\(reply)")
                #expect(reply.ms < 2500, "\(reply)")
            }
            #expect(replies["stays"]?.end == "open", "\(replies)")
            #expect(Date().timeIntervalSince(began) < 4)
            try session.end()
        }

        @Test(arguments: Identity.all)
        func `a rule for a time ends by itself`(_ identity: Identity) throws {
            row("NT-22")
            let session = try Conversation(try Internet.shared.get().box(as: identity))
            #expect(try session.command("allow", "--for", "2s", "github.com").status == 0)
            #expect(try session.say(Live.until("200", "-k", "https://github.com/")).contains("reached"))
            #expect(try session.say(Live.until("403", "-k", "https://github.com/")).contains("reached"))
            try session.end()
        }

        @Test(arguments: Identity.all)
        func `a refusal waits for the user, and no longer than that`(_ identity: Identity) throws {
            row("NT-23")
            let internet = try Internet.shared.get()
            let session = try Conversation(try internet.box(as: identity), options: ["--hold", "8s"])
            let get = "curl -sk -m 30 -o /dev/null -w '%{http_connect} %{time_total}'"
            session.begin("\(get) https://github.com/")
            // The user sees it while it waits.
            let told = try Host.eventually(within: 7) {
                try session.box.events().contains {
                    $0.event == "net.deny" && $0.host == "github.com" && $0.held != nil
                }
            }
            #expect(told, "no event while it waits")
            #expect(try session.command("allow", "github.com").status == 0)
            let allowed = try session.answer()
            #expect(allowed.hasPrefix("200 "), "\(allowed)")
            let refused = try session.say("\(get) https://evil.net/")
            #expect(refused.hasPrefix("403 "), "\(refused)")
            let time = Double(refused.split(separator: " ").last ?? "") ?? 0
            #expect(time > 7.5 && time < 25, "\(refused)")
            try session.end()
        }

        @Test(arguments: Identity.all)
        func `another's session is not changed, and a wrong rule changes nothing`(_ identity: Identity) throws
        {
            row("NT-24")
            let session = try Conversation(try Internet.shared.get().box(as: identity))
            for wrong in ["*", "*.com", "1.2.3", "a b", "http://github.com", "github.com:99999", "-x"] {
                let outcome = try session.command("allow", wrong)
                #expect(outcome.status == 125, "\(wrong): \(outcome)")
            }
            let nobody = try session.box.call(["allow", "-s", "no-such-session", "github.com"])
            #expect(nobody.status == 125, "\(nobody)")
            // Nothing inside can ask for it: no socket of the supervisor's is to be seen.
            let inside = try session.say(
                "cat /proc/net/unix | tail -n +2; find / -xdev -type s 2>/dev/null; ls -A \"$XDG_STATE_HOME\" 2>/dev/null"
            )
            #expect(!inside.contains("control") && !inside.contains("box"), "\(inside)")
            #expect(try session.say(Live.until("403", "", "https://github.com/")).contains("reached"))
            try session.end()
        }
    }
}
