import Foundation
import Testing

extension Door {
    /// RV: which addresses a name may stand for, and what is dialled.
    @Suite(.recorded("RV"), .serialized) struct Resolution {
        /// An address that no name opens, in the hexadecimal digits of its name below `addr.example.org`.
        struct Row: Sendable, CustomTestStringConvertible {
            var address: String
            var what: String
            var testDescription: String { "RV-01 \(address) \(what)" }

            /// The name that resolves to it.
            var name: String { Row.spelled(address) + ".addr.example.org" }

            static func spelled(_ address: String) -> String {
                var four = in_addr()
                if unsafe inet_pton(AF_INET, address, &four) == 1 {
                    return unsafe withUnsafeBytes(of: &four) { unsafe hex($0) }
                }
                var six = in6_addr()
                guard unsafe inet_pton(AF_INET6, address, &six) == 1 else { return "no-address" }
                return unsafe withUnsafeBytes(of: &six) { unsafe hex($0) }
            }

            private static func hex(_ bytes: UnsafeRawBufferPointer) -> String {
                unsafe bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
            }
        }

        static let rows: [Row] = [
            ("127.0.0.1", "loopback"), ("127.255.255.254", "loopback"), ("10.0.0.5", "private"),
            ("172.16.0.1", "private"), ("172.31.255.254", "private"), ("192.168.0.1", "private"),
            ("169.254.169.254", "link-local"), ("100.64.0.1", "shared"), ("100.127.255.254", "shared"),
            ("100.100.100.200", "metadata in shared"), ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "this network"),
            ("192.0.0.1", "protocols"), ("192.0.2.1", "documentation"), ("198.51.100.1", "documentation"),
            ("203.0.113.1", "documentation"), ("192.88.99.1", "6to4 relay"), ("198.18.0.1", "benchmarks"),
            ("198.19.255.254", "benchmarks"), ("224.0.0.1", "multicast"), ("239.255.255.255", "multicast"),
            ("240.0.0.1", "reserved"), ("255.255.255.255", "broadcast"), ("10.66.0.2", "the host's own"),
            ("10.66.0.1", "the host's gateway"), ("45.33.32.156", "the host's own global"),
            ("::1", "loopback"), ("::", "unspecified"), ("fc00::1", "unique local"),
            ("fd00:ec2::254", "metadata"), ("fd66::2", "the host's own"), ("fe80::1", "link-local"),
            ("fec0::1", "site-local"), ("ff02::1", "multicast"), ("ff0e::1", "multicast"),
            ("::ffff:127.0.0.1", "mapped"), ("::ffff:10.0.0.5", "mapped"), ("::127.0.0.1", "compatible"),
            ("64:ff9b::7f00:1", "NAT64"), ("64:ff9b::a00:5", "NAT64"), ("64:ff9b:1::a00:5", "local NAT64"),
            ("2002:7f00:1::1", "6to4"), ("2002:a00:5::1", "6to4"),
            ("2001:0:4136:e378:8000:63bf:f5ff:fffa", "Teredo"),
            ("2001:db8::1", "documentation"), ("3fff::1", "documentation"), ("100::1", "discard"),
            ("5f00::1", "segment routing"), ("2600:3c01::f03c:91ff:fe18:bb2f", "the host's own global"),
        ].map(Row.init)

        /// What is asked beside the rows: a key, a host, the status, whether it is about time.
        static let publicOne = "5db8d822"  // 93.184.216.34
        static let names: [(id: String, name: String, statuses: Set<Int>)] = [
            ("RV-03", "\(publicOne).0a000005.addr.example.org", [200]),
            ("RV-03", "0a000005.\(publicOne).addr.example.org", [200]),
            ("RV-03", "7f000001.\(publicOne).addr.example.org", [200]),
            ("RV-03", "00000000000000000000000000000001.\(publicOne).addr.example.org", [200]),
            ("RV-03", "mixed.example.org", [200]),
            ("RV-04", "alias.example.org", [403]),
            ("RV-04", "own.example.org", [403]),
            ("RV-04", "own6.example.org", [403]),
            ("RV-04", "a9fea9fe.7f000001.addr.example.org", [403]),
            ("RV-05", "nowhere.example.org", [502]),
            ("RV-05", "servfail.example.org", [502, 504]),
            ("RV-05", "garbage.example.org", [502, 504]),
            ("RV-05", "timeout.example.org", [502, 504]),
            ("RV-05", "many.example.org", [200]),
            ("RV-05", "truncated.example.org", [200]),
            ("RV-06", "search.example.org", [502]),
            ("RV-06", "hosts.example.org", [403, 200]),
            ("RV-07", "six.example.com", [200]),
            ("RV-07", "example.com", [200]),
            ("RV-07", "half.example.org", [200]),
        ]

        static func get(_ key: String, _ host: String, within: Double = 15) -> Exchange {
            .proxy(
                key,
                [.send("GET http://\(host)/ HTTP/1.1\r\nHost: \(host)\r\nConnection: close\r\n\r\n"), .rest],
                within: within)
        }

        static let seen = Once { identity in
            let list =
                rows.map { get($0.name, $0.name) } + names.map { get($0.name, $0.name) }
                + [get("again", "mixed.example.org")]
            let options = ["*.addr.example.org:80", "*.example.org:80", "*.example.com:80", "example.com:80"]
                .flatMap { ["--allow", $0] }
            return try Internet.shared.get().observe(
                as: identity, list, options: options, together: 16, within: 60)
        }

        @Test(arguments: Identity.all, rows)
        func `an address that is not public is not dialled behind an allowed name`(
            _ identity: Identity, _ row: Row
        ) throws {
            BoxTests.row("RV-01")
            let seen = try Resolution.seen.get(identity)
            let reply = try seen.reply(row.name)
            #expect(reply.status == 403 && reply.header("x-box-reason") == "address", "\(reply)")
            #expect(reply.ms < 2000, "slow: \(reply)")
            #expect(seen.questions.contains(row.name), "the name was not even asked for")
            let plain = " \(row.address) "
            #expect(!seen.packets.contains { $0.contains(plain) }, "dialled: \(seen.packets)")
            #expect(seen.own.isEmpty, "\(seen.own)")
        }

        @Test(arguments: Identity.all)
        func `these names do resolve, and their addresses do answer`(_ identity: Identity) throws {
            row("RV-01")
            let internet = try Internet.shared.get()
            let control = ["7f000001", "0a000005", "a9fea9fe", "64400001", "2d21209c"]
            for label in control {
                let outcome = try internet.run(
                    ["curl", "-sS", "-m", "5", "http://\(label).addr.example.org/"], as: identity)
                #expect(outcome.status == 0, "no control: \(outcome)")
            }
        }

        @Test(arguments: Identity.all, names.map(\.name))
        func `only what is left after vetting is dialled`(_ identity: Identity, _ name: String) throws {
            let wanted = try #require(Resolution.names.first { $0.name == name })
            row(wanted.id)
            let seen = try Resolution.seen.get(identity)
            let reply = try seen.reply(name)
            #expect(wanted.statuses.contains(reply.status ?? 0), "\(reply)")
            if reply.status == 403 { #expect(reply.header("x-box-reason") == "address", "\(reply)") }
            if wanted.id == "RV-05" { #expect(reply.ms < 6000, "\(reply)") }
            #expect(reply.ms < 12_000, "\(reply)")
        }

        @Test(arguments: Identity.all)
        func `names are absolute, and the hosts file opens nothing private`(_ identity: Identity) throws {
            row("RV-06")
            let seen = try Resolution.seen.get(identity)
            #expect(
                !seen.questions.contains { $0.lowercased().hasSuffix("corp.example") }, "\(seen.questions)")
            #expect(
                !seen.packets.contains { $0.contains(" 10.") || $0.contains("93.184.216.45") },
                "\(seen.packets)")
            let completed = try Internet.shared.get().run(
                ["getent", "ahosts", "search.example.org"], as: identity)
            #expect(completed.text.contains("93.184.216.45"), "no control: \(completed)")
        }

        @Test(arguments: Identity.all)
        func `a name that turns to loopback is refused, and resolved once a request`(_ identity: Identity)
            throws
        {
            row("RV-02")
            let internet = try Internet.shared.get()
            // Every run has a name of its own below the rebinding one's parent; the answer depends on how often.
            let box = try internet.box(as: identity)
            let mark = try internet.mark()
            let list = (1...3).map { Resolution.get("\($0)", "rebind.example.org") }
            let replies = try box.exchange(list, options: ["--allow", "rebind.example.org:80"])
            let asked = try internet.since(mark, "dns").filter { $0.name == "rebind.example.org" }
            let own = try internet.ownConnections(since: mark)
            #expect(replies["3"]?.status == 403, "\(replies)")
            #expect(replies["3"]?.header("x-box-reason") == "address", "\(replies)")
            #expect(own.isEmpty, "\(own)")
            // One question for each family and request.
            #expect(asked.count <= 6, "\(asked.count) questions for 3 requests")
            let packets = try internet.packets(since: mark)
            #expect(packets.subtracting(["tcp 93.184.216.37 80"]).isEmpty, "\(packets)")
        }

        @Test(arguments: Identity.all)
        func `a rule of the network opens private addresses, and those alone`(_ identity: Identity) throws {
            row("RV-08")
            let internet = try Internet.shared.get()
            let list = [
                Resolution.get("name", "private.example.org"), Resolution.get("literal", "10.0.0.5"),
                Resolution.get("loopback", "loop.example.org"),
                Resolution.get("metadata", "linklocal.example.org"),
                Resolution.get("metadata-literal", "169.254.169.254"),
                Resolution.get("shared", "cgnat.example.org"),
            ]
            let rules = [
                "*.example.org:80", "10.0.0.0/8:80", "127.0.0.0/8:80", "169.254.0.0/16:80",
            ]
            let seen = try internet.observe(as: identity, list, options: rules.flatMap { ["--allow", $0] })
            #expect(try seen.reply("name").status == 200, "\(seen.replies)")
            #expect(try seen.reply("literal").status == 200, "\(seen.replies)")
            for key in ["loopback", "metadata", "metadata-literal", "shared"] {
                #expect(try seen.reply(key).status == 403, "\(seen.replies)")
            }
            #expect(seen.packets == ["tcp 10.0.0.5 80"] && seen.own.isEmpty, "\(seen.packets) \(seen.own)")
            let exact = try internet.observe(
                as: identity, [Resolution.get("exact", "169.254.169.254")],
                options: ["--allow", "169.254.169.254:80"])
            #expect(try exact.reply("exact").status == 200, "\(exact.replies)")
        }

        @Test(arguments: Identity.all)
        func `a name that is slow to resolve delays nobody else`(_ identity: Identity) throws {
            row("RV-05")
            let internet = try Internet.shared.get()
            let script = """
                for i in 1 2 3 4 5 6; do curl -s -o /dev/null -m 20 http://timeout.example.org/ & done
                for i in $(seq 20); do curl -sS -m 5 -o /dev/null -w '%{http_code} %{time_total}\\n' http://four.example.com/ || exit 1; done
                """
            let outcome = try internet.box(as: identity).shell(
                script, options: ["--allow", "timeout.example.org:80", "--allow", "four.example.com:80"])
            let times = outcome.lines.compactMap { Double($0.split(separator: " ").last ?? "") }
            #expect(
                outcome.lines.count == 20 && outcome.lines.allSatisfy { $0.hasPrefix("200 ") }, "\(outcome)")
            #expect((times.max() ?? 9) < 1, "\(times)")
        }
    }
}
