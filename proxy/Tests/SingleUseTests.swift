import BoxAudit
import BoxProxy
import BoxTypes
import Glibc
import NIOCore
import Testing

/// Rules for one connection, as values.
@Suite struct SingleUseTests {
    private static let server = IPAddress.v4(0x0808_0808)
    private static let lookup = Lookup(addresses: [server], own: [])

    private func rules(_ once: [String], allow: [String] = [], deny: [String] = []) throws -> DoorRules {
        let uses = try once.enumerated().map { SingleUse($0.offset + 1, try HostRule($0.element)) }
        return DoorRules(Allowlist(try networkRules(allow, deny: deny)), single: SingleUses(uses))
    }

    private func use(_ number: Int, _ text: String) throws -> SingleUse {
        SingleUse(number, try HostRule(text))
    }

    @Test func `it is taken by one, and free again if nothing came of it`() throws {
        let one = try use(1, "a.b")
        var uses = SingleUses([one])
        #expect(uses.free { _ in true } == one)
        let take1 = uses.take(one)
        #expect(take1)
        #expect(uses.free { _ in true } == nil, "nobody else gets it meanwhile")
        let take2 = uses.take(one)
        #expect(!take2)
        #expect(uses.contains { _ in true }, "its name is still told")
        uses.giveBack(one)
        let take3 = uses.take(one)
        #expect(take3)
        uses.spend(one)
        let take4 = uses.take(one)
        #expect(!take4)
        #expect(!uses.has(one) && !uses.contains { _ in true })
    }

    @Test func `rules that the supervisor sent before it knew bring nothing back`() throws {
        let (one, two) = (try use(1, "a.b"), try use(2, "a.b"))
        var uses = SingleUses([one])
        _ = uses.take(one)
        uses.spend(one)
        uses.update([one, two])
        #expect(!uses.has(one) && uses.has(two))
        uses.update([])
        #expect(!uses.has(two))
        // Taken away while a connection has it: it is not that one's any more.
        uses.update([two])
        let take5 = uses.take(two)
        #expect(take5)
        uses.update([])
        uses.giveBack(two)
        #expect(uses.free { _ in true } == nil)
    }

    @Test func `it opens what it names and nothing that is denied`() throws {
        func opens(_ rules: DoorRules, _ target: String) throws -> Int? {
            rules.decide(try HostTarget(authority: target)).once?.number
        }
        let list = try rules(
            ["a.b:22", "*.c.d:443", "10.0.0.0/8:80", "127.0.0.1:80"], allow: ["e.f"], deny: ["x.c.d"])
        #expect(try opens(list, "a.b:22") == 1)
        #expect(try opens(list, "a.b:23") == nil)
        #expect(try opens(list, "y.c.d:443") == 2)
        #expect(try opens(list, "x.c.d:443") == nil)
        #expect(try opens(list, "10.1.2.3:80") == 3)
        #expect(try opens(list, "127.0.0.1:80") == 4)
        #expect(try opens(list, "e.f:443") == nil, "no need")
        #expect(list.decide(try HostTarget(authority: "e.f:443")).decision.allowed)
    }

    /// A captured connection up to this phase.
    private func connection(_ text: String, _ rules: DoorRules) throws -> ProxyConnection {
        var connection = ProxyConnection(.transparent(try HostTarget(authority: text)))
        let once = try #require(rules.decide(try HostTarget(authority: text)).once)
        #expect(connection.start(rules: rules) == [.admit(once.rule.host, once: once)])
        _ = connection.admitted(.granted)
        return connection
    }

    @Test func `it is spent when the connection stands, and not before`() throws {
        let rules = try rules(["a.b:22"])
        var one = try connection("a.b:22", rules)
        let allowed = one.resolved(Self.lookup, rules: rules)
        #expect(!allowed.spends)
        #expect(allowed.events.first?.text("rule") == "a.b:22")
        let opened = one.connected(to: Self.server, rules: rules)
        #expect(opened.first == .spend(try use(1, "a.b:22")))
        #expect(opened.relays)
        // Now the rule is gone, and the connection stays.
        #expect(one.rulesChanged(try self.rules([])).isEmpty)
        #expect(one.rulesChanged(try self.rules([], deny: ["a.b:22"])).closes == ["the rule was removed"])
    }

    @Test(arguments: [UpstreamFailure.nameNotFound, .resolverTimeout, .refused("refused"), .connectTimeout])
    func `a lookup or a dial that fails spends nothing`(failure: UpstreamFailure) throws {
        let rules = try rules(["a.b:22"])
        var one = try connection("a.b:22", rules)
        #expect(!one.failed(failure).spends)
        one = try connection("a.b:22", rules)
        _ = one.resolved(Self.lookup, rules: rules)
        #expect(!one.failed(failure).spends)
        one = try connection("a.b:22", rules)
        #expect(!one.resolved(Lookup(addresses: [.v4(0x0A00_0001)], own: []), rules: rules).spends)
    }

    @Test func `taken away on the way there, it lets nothing through`() throws {
        let rules = try rules(["a.b:22"])
        let none = try self.rules([])
        var one = try connection("a.b:22", rules)
        #expect(one.rulesChanged(none).events.map(\.kind) == [.netDeny])
        one = try connection("a.b:22", rules)
        _ = one.resolved(Self.lookup, rules: rules)
        #expect(one.rulesChanged(none).closes == ["the rule was removed"])
        one = try connection("a.b:22", rules)
        _ = one.resolved(Self.lookup, rules: rules)
        #expect(!one.connected(to: Self.server, rules: none).spends)
    }

    @Test func `who loses it to another is judged again`() throws {
        var rules = try rules(["a.b:22"])
        var late = ProxyConnection(.transparent(try HostTarget(authority: "a.b:22")))
        _ = late.start(rules: rules)
        _ = rules.single.take(try use(1, "a.b:22"))
        #expect(late.lostRule(rules).events.map { $0.text("reason") } == ["host"])
        #expect(late.phase == .over)
    }

    @Test func `an address on a private network is opened for one connection as well`() throws {
        let rules = try rules(["10.0.0.0/8:22"])
        let inside = IPAddress.v4(0x0A01_0203)
        var one = try connection("10.1.2.3:22", rules)
        let actions = one.resolved(Lookup(addresses: [inside], own: []), rules: rules)
        #expect(actions.last == .dial([inside], try Port("22")))
        #expect(one.connected(to: inside, rules: rules).spends)
        #expect(one.rulesChanged(try self.rules([])).isEmpty)
    }

    @Test func `the upstream proxy has to say yes first`() throws {
        let rules = try rules(["a.b:22"])
        let upstream = UpstreamProxy(target: try HostTarget(authority: "localhost:3128"))
        func asking() throws -> ProxyConnection {
            var one = ProxyConnection(
                .transparent(try HostTarget(authority: "a.b:22")),
                terms: ProxyConnection.Terms(upstream: upstream))
            _ = one.start(rules: rules)
            _ = one.admitted(.granted)
            _ = one.resolved(Self.lookup, rules: rules)
            #expect(!one.connected(to: Self.server, rules: rules).spends)
            return one
        }
        var one = try asking()
        #expect(!one.answered(ByteBuffer(string: "HTTP/1.1 503 No\r\n\r\n"), rules: rules).spends)
        one = try asking()
        #expect(one.answered(ByteBuffer(string: "HTTP/1.1 200 OK\r\n\r\n"), rules: rules).spends)
    }
}

extension HostRule {
    /// A host that the rule opens: of the one network, the one that is asked for.
    fileprivate var host: Host {
        switch pattern {
        case .name(let name), .subdomains(of: let name): .name(name)
        case .address(let address): .address(address)
        case .network: .address(.v4(0x0A01_0203))
        }
    }
}

extension [ProxyConnection.Action] {
    fileprivate var spends: Bool { contains { if case .spend = $0 { true } else { false } } }
}

/// The same with real sockets.
extension SocketTests {
    @Suite(.timeLimit(.minutes(2))) struct SingleUseLiveTests {
        private func once(_ setting: RunningProxy, _ numbers: [Int], allow: [String] = []) throws
            -> NetworkRules
        {
            var rules = try networkRules(allow)
            rules.once = try numbers.map { SingleUse($0, try HostRule(setting.target)) }
            return rules
        }

        @Test func `of many that connect at the same time exactly one gets through, again and again`() throws
        {
            let setting = try RunningProxy { $0.allow = [] }
            for number in 1...20 {
                try setting.server.apply(try once(setting, [number]), number: UInt64(number))
                let programs = try (0..<30).map { _ in try Wire(to: setting.port) }
                for program in programs { try program.send("CONNECT \(setting.target) HTTP/1.1\r\n\r\n") }
                let heads = try programs.map { try $0.receive(until: "\r\n\r\n").prefix(12) }
                #expect(heads.count { $0 == "HTTP/1.1 200" } == 1, "\(heads)")
                #expect(heads.count { $0 == "HTTP/1.1 403" } == 29)
                try setting.reported(.used(number))
                let server = try setting.origin.accept()
                // The rules are other ones by now, and the tunnel stays.
                try setting.server.apply(NetworkRules(), number: UInt64(100 + number))
                try setting.reported(.applied(UInt64(100 + number), closed: 0))
                let open = try #require(heads.firstIndex { $0 == "HTTP/1.1 200" })
                try programs[open].send("still")
                #expect(try server.receive(5) == Array("still".utf8))
                for end in programs + [server] { end.close() }
            }
            #expect(setting.reports.count { if case .used = $0 { true } else { false } } == 20)
            try setting.stop()
        }

        @Test func `two rules are for two connections`() throws {
            let setting = try RunningProxy { $0.allow = [] }
            try setting.server.apply(try once(setting, [1, 2]), number: 1)
            let (one, oneServer) = try setting.tunnel()
            let (two, twoServer) = try setting.tunnel()
            #expect(try setting.ask("CONNECT \(setting.target) HTTP/1.1\r\n\r\n").hasPrefix("HTTP/1.1 403 "))
            for end in [one, oneServer, two, twoServer] { end.close() }
            try setting.stop()
        }

        @Test func `a denial closes the connection that the rule let through`() throws {
            let setting = try RunningProxy { $0.allow = [] }
            try setting.server.apply(try once(setting, [1]), number: 1)
            let (program, server) = try setting.tunnel()
            try setting.server.apply(try networkRules([], deny: [setting.target]), number: 2)
            try setting.reported(.applied(2, closed: 1))
            #expect(throws: Wire.Failure.self) { try program.receiveAll() }
            for end in [program, server] { end.close() }
            try setting.stop()
        }

        @Test func `a server that refuses does not use it up`() throws {
            // Bound and not listening: whoever connects is refused.
            let origin = try Wire.bound(SOCK_STREAM)
            let port = origin.port
            let setting = try RunningProxy { $0.allow = [] }
            var rules = NetworkRules()
            rules.once = [SingleUse(1, try HostRule("localhost:\(port)"))]
            try setting.server.apply(rules, number: 1)
            for _ in 0..<3 {
                let answer = try setting.ask("CONNECT localhost:\(port) HTTP/1.1\r\n\r\n")
                #expect(answer.hasPrefix("HTTP/1.1 502 "), "\(answer)")
            }
            #expect(listen(origin.number, 8) == 0)
            let program = try Wire(to: setting.port)
            try program.send("CONNECT localhost:\(port) HTTP/1.1\r\n\r\n")
            #expect(try program.receive(until: "\r\n\r\n").hasPrefix("HTTP/1.1 200 "))
            try setting.reported(.used(1))
            #expect(try setting.ask("CONNECT localhost:\(port) HTTP/1.1\r\n\r\n").hasPrefix("HTTP/1.1 403 "))
            for end in [program, origin] { end.close() }
            try setting.stop()
        }

        @Test func `one of those that wait gets it, the one that waits longest`() throws {
            let setting = try RunningProxy(hold: 60) { $0.allow = [] }
            var programs: [Wire] = []
            for number in 1...3 {
                let program = try Wire(to: setting.port)
                try program.send("CONNECT \(setting.target) HTTP/1.1\r\n\r\n")
                programs.append(program)
                // Repeats are counted later; that the proxy has had its turn is seen by another refusal.
                let other = try Wire(to: setting.port)
                try other.send("CONNECT other\(number).example:443 HTTP/1.1\r\n\r\n")
                #expect(becomes { setting.events.contains { $0.text("host") == "other\(number).example" } })
                other.close()
            }
            for (number, program) in programs.enumerated() {
                try setting.server.apply(try once(setting, [number + 1]), number: UInt64(number + 1))
                #expect(try program.receive(until: "\r\n\r\n").hasPrefix("HTTP/1.1 200 "))
                try setting.reported(.used(number + 1))
                try setting.server.apply(NetworkRules(), number: UInt64(number + 10))
                let server = try setting.origin.accept()
                server.close()
                program.close()
            }
            #expect(setting.reports.count { if case .used = $0 { true } else { false } } == 3)
            try setting.stop()
        }

        @Test func `plain HTTP gets one request through`() throws {
            let setting = try RunningProxy { $0.allow = [] }
            try setting.server.apply(try once(setting, [1]), number: 1)
            let program = try Wire(to: setting.port)
            try program.send("GET http://\(setting.target)/ HTTP/1.1\r\nHost: a\r\n\r\n")
            let server = try setting.origin.accept()
            _ = try server.receive(until: "\r\n\r\n")
            try server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
            #expect(try program.receive(until: "hi").hasPrefix("HTTP/1.1 200 "))
            try program.send("GET http://\(setting.target)/ HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try program.receive(until: "\r\n\r\n").hasPrefix("HTTP/1.1 403 "))
            for end in [program, server] { end.close() }
            try setting.stop()
        }
    }
}
