import BoxPolicy
import BoxTypes
import Testing

@testable import BoxPlan

/// What a policy's network becomes inside.
@Suite struct NetworkPlanTests {
    private func plan(
        _ change: (inout Policy) throws -> Void = { _ in }, facts: (inout HostFacts) -> Void = { _ in }
    ) throws -> Plan {
        var policy = Policy()
        policy.limits.processes = 100
        try change(&policy)
        var host = InventedHost.laptop.facts
        facts(&host)
        return try Planner.plan(
            policy: policy, facts: host, request: Planner.Request(command: ["true"], session: "s"))
    }

    private func content(_ path: String, of plan: Plan) -> String? {
        plan.steps.lazy.compactMap { step in
            if case .file(let target, let content) = step, target.string == path { content } else { nil }
        }.first
    }

    private func isNetwork(_ step: Step) -> Bool {
        switch step {
        case .route, .listen, .unconnected: true
        default: false
        }
    }

    @Test func `the routes and sockets of a plan are those of its rules, after the loopback is up`() throws {
        let rules = try ["example.com", "git.example.com:22", "10.0.0.0/8:80"].map { try HostRule($0) }
        let plan = try plan { $0.network.allow = rules }
        let opening = DoorOpening(for: rules)
        let made = plan.steps.filter(isNetwork)
        #expect(made == opening.routes.map { .route($0) } + opening.listeners.map { .listen($0) })
        let loopback = try #require(plan.steps.firstIndex(of: .loopback))
        let first = try #require(plan.steps.firstIndex(where: isNetwork))
        let drop = try #require(plan.steps.firstIndex(of: .dropCapabilities))
        let last = try #require(plan.steps.lastIndex(where: isNetwork))
        #expect(loopback < first && last < drop)
    }

    @Test func `without rules the resolver and the proxy are there, so that refusals can be read`() throws {
        let plan = try plan()
        #expect(plan.steps.filter(isNetwork).count == 7)
        #expect(content("/etc/resolv.conf", of: plan)?.hasPrefix("nameserver 127.0.0.1\n") == true)
        #expect(content("/etc/nsswitch.conf", of: plan)?.contains("hosts: files dns\n") == true)
        #expect(plan.environment.contains { $0.name == "https_proxy" })
    }

    @Test func `without a network nothing of it exists`() throws {
        let plan = try plan(
            { policy in
                policy.network.mode = .none
                policy.network.allow = [try HostRule("example.com")]
                policy.network.publish = [try PublishedPort("3000")]
            }, facts: { $0.certificates = .init(extra: "X\n", bundle: "Y\n", places: []) })
        #expect(plan.proxy == nil)
        #expect(!plan.steps.contains(where: isNetwork))
        #expect(content("/etc/resolv.conf", of: plan) == "")
        #expect(content("/etc/nsswitch.conf", of: plan)?.contains("dns") == false)
        #expect(content("/etc/box/ca.pem", of: plan) == nil)
        #expect(!plan.environment.contains { $0.name.lowercased().contains("proxy") })
    }

    @Test func `no search domain of the host gets in`() throws {
        let plan = try plan()
        let text = try #require(content("/etc/resolv.conf", of: plan))
        #expect(!text.contains("search") && !text.contains("domain"))
    }

    @Test func `sockets for published ports are made only where there are such ports`() throws {
        #expect(try !plan().steps.contains { if case .unconnected = $0 { true } else { false } })
        let published = try plan { $0.network.publish = [try PublishedPort("3000:80")] }
        #expect(published.steps.contains(.unconnected(count: 64)))
        #expect(published.proxy?.publish.map(\.description) == ["3000:80"])
    }

    @Test func `one port of the host cannot lead to two places`() {
        #expect(throws: PlanError.self) {
            try plan { $0.network.publish = try ["3000:80", "3000:81"].map { try PublishedPort($0) } }
        }
    }

    @Test func `more ports than can be listened on are refused`() throws {
        func rules(_ count: Int) throws -> [HostRule] {
            try (0..<count).map { try HostRule("example.com:\(2000 + $0)") }
        }
        _ = try plan { $0.network.allow = try rules(256) }
        #expect(throws: PlanError.self) { try plan { $0.network.allow = try rules(257) } }
    }

    @Test func `the password for a proxy is in no form of the plan`() throws {
        let plan = try plan { policy in
            policy.network.upstreamProxy = try UpstreamProxy(url: "http://ann:hunter2@proxy.example.com:3128")
        }
        let secret = try #require(plan.proxy?.upstream?.authorization)
        #expect(secret == "Basic YW5uOmh1bnRlcjI=")
        #expect(plan.text.contains("through http://proxy.example.com:3128 (with a password)"))
        let wire = String(decoding: Launch(plan: plan, streams: .pipes).wire, as: UTF8.self)
        for text in [plan.text, plan.json.pretty, wire, "\(plan)"] {
            #expect(!text.contains("YW5uOmh1bnRlcjI") && !text.contains("hunter2"))
        }
    }

    @Test func `what the proxy is told is in the plan`() throws {
        let plan = try plan { policy in
            policy.network.allow = [try HostRule("example.com")]
            policy.network.deny = [try HostRule("bad.example.com")]
            policy.network.limits.upload = ByteSize(bytes: 5_000_000)
            policy.network.hosts = [HostSettings(rule: try HostRule("example.com"), raw: true)]
            policy.network.hold = 30
            policy.network.onProxyFailure = .end
        }
        let proxy = try #require(plan.proxy)
        #expect(proxy.rules.allow.count == 1 && proxy.rules.deny.count == 1 && proxy.rules.hosts.count == 1)
        #expect(proxy.rules.limits.upload?.bytes == 5_000_000 && proxy.hold == 30 && proxy.endsSession)
        for text in [
            "denied: bad.example.com:443", "limits: 5 MB up", "example.com: raw", "refusals are held for 30s",
            "the session ends if the proxy does",
        ] { #expect(plan.text.contains(text)) }
    }

    // MARK: - Certificates

    private let places = [AbsolutePath(literal: "/etc/ssl/certs/ca-certificates.crt")]

    @Test func `extra certificates are added to the host's, where programs look for them`() throws {
        let plan = try plan(facts: { facts in
            facts.certificates = .init(extra: "USERS-OWN\n", bundle: "HOST\n", places: places)
        })
        #expect(content("/etc/box/ca.pem", of: plan) == "USERS-OWN\n")
        #expect(content("/etc/box/ca-bundle.pem", of: plan) == "HOST\nUSERS-OWN\n")
        let bundle = AbsolutePath(literal: "/etc/box/ca-bundle.pem")
        #expect(plan.steps.contains(.substitute(places[0], by: bundle)))
        for (name, value) in [
            ("SSL_CERT_FILE", bundle.string), ("REQUESTS_CA_BUNDLE", bundle.string),
            ("GIT_SSL_CAINFO", bundle.string),
            ("CURL_CA_BUNDLE", bundle.string), ("NODE_EXTRA_CA_CERTS", "/etc/box/ca.pem"),
        ] { #expect(plan.environment.first { $0.name == name }?.value == value, "\(name)") }
        // Their text is no part of what is shown.
        #expect(
            !plan.text.contains("USERS-OWN") && plan.text.contains("target=/etc/box/ca-bundle.pem bytes=15"))
    }

    @Test func `the root has room for the certificates`() throws {
        let large = String(repeating: "x", count: 3 << 20)
        let plan = try plan(facts: { $0.certificates = .init(extra: "E\n", bundle: large, places: []) })
        let bytes = plan.steps.lazy.compactMap {
            if case .mountRoot(let bytes, _) = $0 { bytes } else { nil }
        }.first
        #expect(try #require(bytes) >= (4 << 20) + large.utf8.count)
    }

    @Test func `without extra certificates no program is told to look elsewhere`() throws {
        let plan = try plan()
        #expect(!plan.environment.contains { $0.name == "REQUESTS_CA_BUNDLE" || $0.name == "GIT_SSL_CAINFO" })
    }

    // MARK: - On the way

    @Test func `the network's steps arrive as they were sent, and a piece is an error`() throws {
        let plan = try plan(
            { policy in
                policy.network.allow = try ["example.com", "[2001:db8::7]:80", "10.0.0.0/8:22"].map {
                    try HostRule($0)
                }
                policy.network.publish = [try PublishedPort("3000")]
            }, facts: { $0.certificates = .init(extra: "E\n", bundle: "B\n", places: places) })
        let launch = Launch(plan: plan, streams: .pipes)
        #expect(try Launch(wire: launch.wire).plan.steps == plan.steps)
        for step in plan.steps.filter(isNetwork) {
            var writer = WireWriter()
            step.write(to: &writer)
            for length in 0..<writer.bytes.count {
                var reader = WireReader(Array(writer.bytes.prefix(length)))
                #expect(throws: WireError.self) { try Step(from: &reader) }
            }
        }
    }

    @Test func `a report about sockets says what each is for`() throws {
        let port = try #require(Port(8080))
        let reports: [InitReport] = [
            .sockets([.http, .socks, .transparent, .dnsDatagram, .dnsStream, .published(port), .unconnected]),
            .unopened([.init(DoorListener(.transparent, .v4(0), port), code: 98)]), .sockets([]),
        ]
        for report in reports { #expect(try InitReport(wire: report.wire) == report) }
        #expect(throws: WireError.self) { try InitReport(wire: [2, 1, 0, 0, 0, 0, 0, 0, 0, 99]) }
    }
}
