import BoxTypes
import Testing

@testable import BoxSession

/// Rules for one connection, as the supervisor keeps them.
struct LiveRulesOnceTests {
    private func once(_ texts: String..., seconds: Int? = nil) throws -> RuleChange {
        var change = RuleChange(.allow, try texts.map { try HostRule($0) }, seconds: seconds)
        change.once = true
        return change
    }

    private func numbers(_ live: LiveRules) -> [Int] { live.rules.once.map(\.number) }

    @Test func `it is beside the rules for all connections until it was used`() throws {
        var live = LiveRules(NetworkRules(allow: [try HostRule("a.b")]))
        #expect(live.apply(try once("c.d"), now: 0).isEmpty)
        #expect(live.rules.allow.map(\.short) == ["a.b"])
        #expect(live.rules.once.map(\.rule.short) == ["c.d"])
        #expect(live.rules.opening.map(\.short) == ["a.b", "c.d"], "its port has to be listened on")
        let number = try #require(numbers(live).first)
        let (other, used) = (live.use(number + 1), live.use(number))
        #expect(try other == nil && used == HostRule("c.d"))
        #expect(live.rules.once.isEmpty)
        let again = live.use(number)
        #expect(again == nil, "once")
    }

    @Test func `asked for twice it is for two connections, and no number comes back`() throws {
        var live = LiveRules(NetworkRules())
        _ = live.apply(try once("c.d"), now: 0)
        _ = live.apply(try once("c.d"), now: 0)
        let two = numbers(live)
        #expect(Set(two).count == 2)
        _ = live.use(two[0])
        _ = live.use(two[1])
        _ = live.apply(try once("c.d"), now: 0)
        #expect(Set(two + numbers(live)).count == 3)
    }

    @Test func `what is allowed for all connections is not allowed for one`() throws {
        var live = LiveRules(NetworkRules(allow: [try HostRule("*.b.org")]))
        let notes = live.apply(try once("a.b.org"), now: 0)
        #expect(notes.first?.contains("allowed already, by *.b.org") == true)
        #expect(live.rules.once.isEmpty)
        // And a rule for all takes the place of one for one.
        _ = live.apply(try once("c.d"), now: 0)
        _ = live.apply(RuleChange(.allow, [try HostRule("c.d")]), now: 0)
        #expect(live.rules.once.isEmpty && live.rules.allow.map(\.short) == ["*.b.org", "c.d"])
    }

    @Test func `a denial takes it away, and it ends with its time`() throws {
        var live = LiveRules(NetworkRules())
        _ = live.apply(try once("a.b", "c.d", seconds: 10), now: 0)
        _ = live.apply(RuleChange(.deny, [try HostRule("a.b")]), now: 0)
        #expect(live.rules.once.map(\.rule.short) == ["c.d"])
        #expect(live.nextEnd == 10_000)
        #expect(live.expire(now: 10_000).map(\.short) == ["c.d"])
        #expect(live.rules.once.isEmpty)
        let notes = live.apply(try once("a.b"), now: 0)
        #expect(
            notes.isEmpty && live.rules.deny.isEmpty,
            "a denial of the same rule is taken back, as by any allow")
    }

    @Test func `it goes over the wire with its number`() throws {
        let change = ControlRequest.change(try once("a.b:80", seconds: 5))
        #expect(try ControlRequest(wire: change.wire) == change)
        for length in 0..<change.wire.count {
            #expect(throws: WireError.self) { try ControlRequest(wire: Array(change.wire.prefix(length))) }
        }
        var denial = RuleChange(.deny, [try HostRule("a.b")])
        denial.once = true
        #expect(throws: WireError.self) { try ControlRequest(wire: ControlRequest.change(denial).wire) }
        let rules = NetworkRules(once: [SingleUse(7, try HostRule("*.a.b:80"))])
        var writer = WireWriter()
        rules.write(to: &writer)
        var reader = WireReader(writer.bytes)
        #expect(try NetworkRules(from: &reader) == rules)
        #expect(reader.isAtEnd)
    }
}
