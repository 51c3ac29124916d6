import BoxPolicy
import BoxTypes
import Profiles
import Testing

/// `[network]` beyond its lists of hosts.
struct NetworkPolicyTests {
    private func layer(_ text: String) throws -> PolicyLayer {
        try PolicyReader.read(Array(text.utf8), file: "test")
    }

    private func merged(_ texts: String...) throws -> Policy.Network {
        Policy(merging: try texts.map { try layer($0) }).network
    }

    @Test func `every key of the network is read`() throws {
        let network = try merged(
            """
            [network]
            hold = "30s"
            upstream_proxy = "http://ann:secret@proxy.example.com:3128"
            ca = "~/company.pem"
            publish = ["3000", "8080:80"]
            on_proxy_failure = "end"
            [network.limits]
            requests_per_minute = 60
            connections = 10
            upload = "1MB"
            download = 5000
            bytes_per_second = "1MiB"
            excess = "close"
            [network.hosts."git.example.com"]
            raw = true
            [network.hosts."*.corp.example"]
            private = true
            upload = "10MB"
            """)
        #expect(network.hold == 30)
        #expect(network.upstreamProxy?.target.description == "proxy.example.com:3128")
        #expect(network.certificates == "~/company.pem")
        #expect(network.publish.map(\.description) == ["3000", "8080:80"])
        #expect(network.onProxyFailure == .end)
        var limits = NetworkLimits()
        limits.requestsPerMinute = 60
        limits.connections = 10
        limits.upload = ByteSize(bytes: 1_000_000)
        limits.download = ByteSize(bytes: 5000)
        limits.bytesPerSecond = ByteSize(bytes: 1 << 20)
        limits.excess = .close
        #expect(network.limits == limits)
        #expect(network.hosts.map(\.rule.short) == ["git.example.com", "*.corp.example"])
        #expect(network.hosts.map(\.raw) == [true, false])
        #expect(network.hosts.map(\.isPrivate) == [false, true])
        #expect(network.hosts[1].limits.upload == ByteSize(bytes: 10_000_000))
    }

    @Test func `single values are replaced, ports united, and hosts merged by their pattern`() throws {
        let network = try merged(
            """
            network.hold = 10
            network.publish = ["1", "2"]
            network.on_proxy_failure = "end"
            network.limits = { upload = "1MB", connections = 5 }
            network.hosts."a.example.com" = { upload = "1MB", raw = true }
            """,
            """
            network.hold = 0
            network.publish = ["2", "3"]
            network.on_proxy_failure = "continue"
            network.limits = { upload = "9MB" }
            network.hosts."A.example.com" = { connections = 3, raw = false }
            network.hosts."b.example.com" = { private = true }
            """)
        #expect(network.hold == 0)
        #expect(network.publish.map(\.description) == ["1", "2", "3"])
        #expect(network.onProxyFailure == .continue)
        #expect(network.limits.upload == ByteSize(bytes: 9_000_000) && network.limits.connections == 5)
        #expect(network.hosts.map(\.rule.short) == ["a.example.com", "b.example.com"])
        let first = try #require(network.hosts.first)
        #expect(
            first.limits.upload == ByteSize(bytes: 1_000_000) && first.limits.connections == 3 && !first.raw)
    }

    @Test func `the more exact pattern is asked first, in whatever order they stand`() throws {
        let network = try merged(
            """
            [network.hosts."*.example.com"]
            [network.hosts."10.0.0.0/8"]
            [network.hosts."*.a.example.com"]
            [network.hosts."x.a.example.com"]
            [network.hosts."10.1.0.0/16"]
            """)
        #expect(
            network.hosts.map(\.rule.short)
                == [
                    "x.a.example.com", "10.1.0.0/16", "*.a.example.com", "*.example.com", "10.0.0.0/8",
                ].sorted { left, right in
                    network.hosts.firstIndex { $0.rule.short == left } ?? 0
                        < network.hosts.firstIndex { $0.rule.short == right } ?? 0
                })
        let rules = NetworkRules(hosts: network.hosts)
        for (host, pattern) in [
            ("x.a.example.com", "x.a.example.com"), ("y.a.example.com", "*.a.example.com"),
            ("b.example.com", "*.example.com"), ("10.1.2.3", "10.1.0.0/16"), ("10.2.2.3", "10.0.0.0/8"),
        ] { #expect(rules.settings(of: try Host(host))?.rule.short == pattern) }
    }

    @Test(arguments: [
        ("hold = -1", "network.hold: \"-1\" is not a time"),
        ("hold = \"2h\"", "network.hold: 2h is more than an hour"),
        ("hold = true", "network.hold must be a string with a unit, or an integer"),
        (
            "upstream_proxy = \"http://u:hunter2@x:1\"",
            "network.upstream_proxy: the proxy's host: \"x\" has no dot"
        ),
        ("ca = \"relative.pem\"", "network.ca: \"relative.pem\" must begin with / or ~/"),
        ("publish = [\"0\"]", "network.publish: \"0\" is not a port"),
        ("publish = \"3000\"", "network.publish must be an array of strings"),
        ("on_proxy_failure = \"restart\"", "network.on_proxy_failure: unknown value \"restart\""),
        ("limits = 3", "network.limits must be a table"),
        ("limits = { uplaod = 3 }", "unknown key \"uplaod\" in [network.limits] (did you mean \"upload\"?)"),
        (
            "limits = { connections = 0 }",
            "network.limits.connections: 0 is not a whole number from 1 to 65536"
        ),
        ("limits = { requests_per_minute = \"6\" }", "network.limits.requests_per_minute must be an integer"),
        ("limits = { upload = \"0B\" }", "network.limits.upload: 0B is less than 1B"),
        ("limits = { bytes_per_second = 100 }", "network.limits.bytes_per_second: 100 is less than 1KiB"),
        ("limits = { excess = \"drop\" }", "network.limits.excess: unknown value \"drop\""),
        ("hosts = { \"a.example.com:22\" = {} }", "leave the port out"),
        ("hosts = { \"a.example.com:443\" = {} }", "leave the port out"),
        ("hosts = { \"*\" = {} }", "a star stands only at the front"),
        ("hosts = { \"*.com\" = {} }", "has no dot"),
        ("hosts = { \"a.example.com\" = 3 }", "network.hosts.a.example.com must be a table"),
        (
            "hosts = { \"a.example.com\" = { raw = 1 } }",
            "network.hosts.a.example.com.raw must be true or false"
        ),
        ("hosts = { \"a.example.com\" = { allow = [] } }", "unknown key \"allow\""),
        (
            "hosts = { \"a.example.com\" = {}, \"A.example.com\" = {} }",
            "two tables are about the host a.example.com"
        ),
    ])
    func `what is no such value is refused with its key`(text: String, expected: String) {
        do throws(PolicyErrors) {
            _ = try PolicyReader.read(Array("[network]\n\(text)\n".utf8), file: "test")
            Issue.record("accepted")
        } catch {
            #expect(error.description.contains(expected), "\(error)")
            #expect(!error.description.contains("hunter2"))
        }
    }

    @Test func `the base policy bounds what can be carried out, far above normal work`() throws {
        let base = try PolicyReader.read(Shipped.base, file: "base.toml")
        let network = Policy(merging: [base]).network
        #expect(network.limits.requestsPerMinute == 6000)
        #expect(network.limits.connections == 512)
        #expect(network.limits.upload == ByteSize(bytes: 2_000_000_000))
        #expect(network.limits.download == ByteSize(bytes: 50_000_000_000))
        #expect(network.limits.bytesPerSecond == nil)
        #expect(network.hosts.isEmpty && network.hold == 0 && network.publish.isEmpty)
        #expect(network.upstreamProxy == nil && network.certificates == nil)
        #expect(network.onProxyFailure == .continue)
    }

    @Test func `the command line sets a limit by its key`() throws {
        var limits = NetworkLimits()
        for (key, text) in [
            ("requests_per_minute", "7"), ("connections", "8"), ("upload", "9KB"), ("download", "1GB"),
            ("bytes_per_second", "2KiB"), ("excess", "close"),
        ] { try limits.set(try #require(NetworkLimits.Key(rawValue: key)), text) }
        #expect(limits.requestsPerMinute == 7 && limits.connections == 8 && limits.upload?.bytes == 9000)
        #expect(limits.download?.bytes == 1_000_000_000 && limits.bytesPerSecond?.bytes == 2048)
        #expect(limits.excess == .close)
        #expect(throws: UnitRefusal.self) { try limits.set(.upload, "much") }
    }
}
