import Foundation
import Testing

extension Door {
    /// NT-25: how much and how often, and what is said at the limit.
    @Suite(.recorded("NT-25"), .serialized) struct Bounds {
        private func session(_ identity: Identity, _ limits: String...) throws -> Conversation {
            let hosts = [
                "four.example.com:80", "four.example.com:7005", "four.example.com:7004",
                "four.example.com:7777",
            ]
            let options = hosts.flatMap { ["--allow", $0] } + limits.flatMap { ["--net-limit", $0] }
            return try Conversation(try Internet.shared.get().box(as: identity), options: options)
        }

        /// The events at a limit once the session has ended.
        private func limits(_ session: Conversation, _ key: String) throws -> [Logged] {
            try session.end()
            return try session.box.events().filter { $0.event == "net.limit" && $0.limit == key }
        }

        @Test(arguments: Identity.all)
        func `requests above the rate get 429 and when to come back`(_ identity: Identity) throws {
            row("NT-25")
            let session = try session(identity, "requests_per_minute=6")
            let list = (1...12).map { Resolution.get("\($0)", "four.example.com") }
            let replies = try session.exchange(list)
            let good = replies.values.filter { $0.status == 200 }
            let bad = replies.values.filter { $0.status == 429 }
            #expect(
                good.count >= 6 && good.count <= 8 && good.count + bad.count == 12,
                "\(good.count) and \(bad.count)")
            for reply in bad {
                let seconds = Int(reply.header("retry-after") ?? "") ?? -1
                #expect((1...60).contains(seconds) && reply.header("x-box-reason") == "rate", "\(reply)")
            }
            // The same for a tunnel, and for a program that knows of no proxy.
            let more = try session.exchange([
                .tunnel("tunnel", "four.example.com:7777"),
                Exchange("direct", "four.example.com", 7777, [.send("a"), .read(1)]),
            ])
            #expect(more["tunnel"]?.status == 429, "\(more)")
            #expect(["eof", "reset"].contains(more["direct"]?.end), "\(more)")
            let events = try limits(session, "requests_per_minute")
            #expect(
                events.contains {
                    $0.reason == "rate" && $0.scope == "session" && $0.host == "four.example.com"
                }, "\(events)")
        }

        @Test(arguments: Identity.all)
        func `connections above the number get 429, and a closed one makes room`(_ identity: Identity) throws
        {
            row("NT-25")
            let session = try session(identity, "connections=3")
            let open = (1...3).map {
                Exchange.tunnel("\($0)", "four.example.com:7777", [.send("a"), .read(1), .pause(1.5)])
            }
            let late = Exchange.proxy(
                "late",
                [.pause(0.7), .send("CONNECT four.example.com:7777 HTTP/1.1\r\nHost: a\r\n\r\n"), .status])
            let replies = try session.exchange(open + [late], together: 4)
            #expect(replies["late"]?.status == 429, "\(replies)")
            for key in ["1", "2", "3"] { #expect(replies[key]?.status == 200, "\(replies)") }
            let again = try session.exchange([
                .tunnel("again", "four.example.com:7777", [.send("a"), .read(1)])
            ])
            #expect(again["again"]?.status == 200, "\(again)")
            #expect(try !limits(session, "connections").isEmpty)
        }

        @Test(arguments: Identity.all)
        func `when the upload is used up every tunnel is closed`(_ identity: Identity) throws {
            row("NT-26")
            let internet = try Internet.shared.get()
            let mark = try internet.mark()
            let session = try session(identity, "upload=1MB")
            let replies = try session.exchange(
                [
                    .tunnel("other", "four.example.com:7777", [.send("a"), .read(1), .rest], within: 8),
                    .tunnel(
                        "much", "four.example.com:7005", [.pause(0.3), .fill(8 << 20), .shut, .rest],
                        within: 8),
                ], together: 2)
            #expect(["eof", "reset"].contains(replies["much"]?.end), "\(replies)")
            #expect(["eof", "reset"].contains(replies["other"]?.end), "\(replies)")
            let later = try session.exchange([
                .tunnel("later", "four.example.com:7777"), Resolution.get("plain", "four.example.com"),
            ])
            for reply in later.values {
                #expect(reply.status == 403 && reply.header("x-box-reason") == "bytes", "\(reply)")
            }
            // What arrived is not much more than the budget.
            var arrived = 0
            let told = try internet.eventually(since: mark, "tcp") {
                arrived = $0.port == 7005 ? $0.total ?? arrived : arrived
                return $0.port == 7005 && ($0.total != nil || $0.error != nil)
            }
            #expect(told && arrived < 3 << 20, "\(arrived)")
            #expect(try limits(session, "upload").contains { $0.reason == "bytes" })
        }

        @Test(arguments: Identity.all)
        func `when the download is used up every tunnel is closed`(_ identity: Identity) throws {
            row("NT-26")
            let session = try session(identity, "download=1MB")
            let replies = try session.exchange([.tunnel("much", "four.example.com:7004", [.rest], within: 8)])
            let reply = try #require(replies["much"])
            #expect(["eof", "reset"].contains(reply.end), "\(reply)")
            #expect((reply.bytes ?? 0) < 3 << 20, "\(reply.bytes ?? 0)")
            let later = try session.exchange([.tunnel("later", "four.example.com:7777")])
            #expect(later["later"]?.header("x-box-reason") == "bytes", "\(later)")
            #expect(try !limits(session, "download").isEmpty)
        }

        @Test(arguments: Identity.all)
        func `a rate of bytes slows, or closes where that is said`(_ identity: Identity) throws {
            row("NT-27")
            let slow = try session(identity, "bytes_per_second=1MB")
            let up = Exchange.tunnel(
                "up", "four.example.com:7005", [.fill(3 << 20), .shut, .rest], within: 15)
            let reply = try #require(try slow.exchange([up])["up"])
            #expect(reply.end == "eof" && reply.got?.hasSuffix(reply.sent ?? "-") == true, "\(reply)")
            // A burst of one second's worth is free.
            #expect(reply.ms > 1200 && reply.ms < 6000, "\(reply)")
            #expect(try !limits(slow, "bytes_per_second").isEmpty)
            let strict = try session(identity, "bytes_per_second=1MB", "excess=close")
            let closed = try #require(try strict.exchange([up])["up"])
            #expect(
                ["eof", "reset"].contains(closed.end) && closed.got?.hasSuffix(closed.sent ?? "-") == false,
                "\(closed)")
            #expect(try !limits(strict, "bytes_per_second").isEmpty)
        }

        @Test(arguments: Identity.all)
        func `without limits nothing of this happens`(_ identity: Identity) throws {
            row("NT-25")
            let session = try session(identity)
            let list = (1...40).map { Resolution.get("\($0)", "four.example.com") }
            let replies = try session.exchange(
                list + [.tunnel("up", "four.example.com:7005", [.fill(8 << 20), .shut, .rest])], together: 8)
            #expect(list.allSatisfy { replies[$0.key]?.status == 200 }, "\(replies)")
            #expect(replies["up"]?.end == "eof", "\(replies)")
            try session.end()
            #expect(try !session.box.events().contains { $0.event == "net.limit" })
        }
    }
}
