import Foundation
import Testing

extension Door {
    /// NT-31: what is special about one host, and about no other.
    @Suite(.recorded("NT-31"), .serialized) struct HostSettings {
        @Test(arguments: Identity.all)
        func `a host that is private may be at private addresses, and only there`(_ identity: Identity) throws
        {
            row("NT-31")
            let internet = try Internet.shared.get()
            let list = [
                Resolution.get("named", "private.example.org"), Resolution.get("shared", "cgnat.example.org"),
                Resolution.get("loopback", "loop.example.org"),
                Resolution.get("metadata", "linklocal.example.org"),
            ]
            let names = ["private", "cgnat", "loop", "linklocal"].map { $0 + ".example.org" }
            let allow = names.flatMap { ["--allow", $0 + ":80"] }
            let without = try internet.observe(as: identity, list, options: allow)
            for key in list.map(\.key) { #expect(try without.reply(key).status == 403, "\(key)") }
            #expect(without.packets.isEmpty, "\(without.packets)")
            let special = names.filter { $0 != "cgnat.example.org" }.flatMap { ["--host", $0 + "=private"] }
            let with = try internet.observe(as: identity, list, options: allow + special)
            #expect(try with.reply("named").status == 200, "\(with.replies)")
            for key in ["shared", "loopback", "metadata"] {
                #expect(try with.reply(key).status == 403, "\(key): \(with.replies)")
            }
            #expect(with.packets == ["tcp 10.0.0.5 80"] && with.own.isEmpty, "\(with.packets)")
        }

        @Test(arguments: Identity.all)
        func `a host that is raw needs no TLS on port 443`(_ identity: Identity) throws {
            row("NT-31")
            let internet = try Internet.shared.get()
            let banner = "SSH-2.0-probe\r\n"
            let list = ["github.com", "api.github.com"].map {
                Exchange.tunnel($0, $0 + ":443", [.send(banner), .rest], within: 4)
            }
            let seen = try internet.observe(
                as: identity, list,
                options: ["--allow", "github.com", "--allow", "api.github.com", "--host", "github.com=raw"])
            #expect(seen.replies.allSatisfy { $0.value.status == 200 }, "\(seen.replies)")
            // The banner went to one of them, and not a byte to the other.
            let sent = seen.events.filter { $0.event == "net.close" }
            #expect(sent.first { $0.host == "github.com" }?.bytes_up == banner.utf8.count, "\(sent)")
            #expect(sent.first { $0.host == "api.github.com" }?.bytes_up == 0, "\(sent)")
            let denied = seen.events.filter { $0.event == "net.deny" }
            #expect(denied.count == 1 && denied[0].host == "api.github.com", "\(denied)")
            #expect(denied.first?.reason == "protocol", "\(denied)")
        }

        @Test(arguments: Identity.all)
        func `the limits of a host bound that host alone`(_ identity: Identity) throws {
            row("NT-31")
            let internet = try Internet.shared.get()
            let list = (1...8).flatMap {
                [
                    Resolution.get("bound-\($0)", "four.example.com"),
                    Resolution.get("free-\($0)", "github.com"),
                ]
            }
            let seen = try internet.observe(
                as: identity, list,
                options: [
                    "--allow", "four.example.com:80", "--allow", "github.com:80", "--host",
                    "four.example.com=requests_per_minute=3",
                ])
            let good = seen.replies.filter { $0.value.status == 200 }.map(\.key)
            #expect(good.filter { $0.hasPrefix("free") }.count == 8, "\(good)")
            #expect((3...4).contains(good.filter { $0.hasPrefix("bound") }.count), "\(good)")
            let hits = seen.events.filter { $0.event == "net.limit" }
            #expect(!hits.isEmpty && hits.allSatisfy { $0.host == "four.example.com" && $0.scope == "host" })
        }
    }
}
