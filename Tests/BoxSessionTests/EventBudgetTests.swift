import BoxAudit
import Testing

/// How many events are written one by one, and that the others are counted.
struct EventBudgetTests {
    private func exec(_ pid: Int, _ path: String = "/usr/bin/true") -> Event {
        Event(.exec, [Event.Field("pid", .number(pid)), Event.Field("path", .text(path))])
    }

    private func end(_ pid: Int) -> Event {
        Event(.execEnd, [Event.Field("pid", .number(pid)), Event.Field("exit_status", .number(0))])
    }

    private func net(
        _ kind: Event.Kind, _ host: String, port: Int = 443, _ more: [Event.Field] = []
    ) -> Event {
        Event(kind, [Event.Field("host", .text(host)), Event.Field("port", .number(port))] + more)
    }

    private func count(_ events: [Event]) -> Int {
        events.reduce(0) { sum, event in
            if case .number(let count)? = event["count"] { sum + count } else { sum + 1 }
        }
    }

    @Test func `ten thousand programs started within a millisecond are all written, with their ends`() {
        var budget = EventBudget()
        var written: [Event] = []
        for pid in 1...10_000 {
            written += budget.take(exec(pid), now: 5)
            written += budget.take(end(pid), now: 5)
        }
        #expect(written.count == 20_000)
        #expect(budget.rest() == [])
        #expect(budget.nextTime == nil)
    }

    @Test func `what comes beyond the burst is counted, and none is lost`() {
        var budget = EventBudget(burst: 100, perSecond: 10)
        var written: [Event] = []
        for number in 0..<5_000 {
            // One a millisecond.
            written += budget.take(exec(number), now: number)
            written += budget.take(end(number), now: number)
            written += budget.due(now: number)
        }
        let ends = written.filter { $0.kind == .execEnd }
        let starts = written.filter { $0.kind == .exec }
        // 100 at first and 10 in each of five seconds.
        #expect((148...151).contains(starts.count))
        #expect(ends.count == starts.count)
        let rest = budget.rest()
        #expect(count(starts + rest) == 5_000)
        #expect(rest.map { $0["path"] } == [.text("/usr/bin/true")])
        #expect(rest[0]["pid"] == nil)
    }

    @Test func `a pause gives the budget back, and no more than all of it`() {
        var budget = EventBudget(burst: 50, perSecond: 10)
        func written(at time: Int) -> Int {
            (0..<200).reduce(0) { sum, _ in sum + budget.take(exec(1), now: time).count }
        }
        #expect(written(at: 0) == 50)
        #expect(written(at: 0) == 0)
        #expect(written(at: 1_000) == 10)
        #expect(written(at: 1_050) == 0)
        #expect(written(at: 1_100) == 1)
        #expect(written(at: 1_000_000) == 50)
        #expect(written(at: Int.max) == 50)
        // A clock that jumps back gives nothing and takes nothing.
        #expect(written(at: 5) == 0)
    }

    @Test func `the end of a process whose start was written is written, also in the middle of a storm`() {
        var budget = EventBudget(burst: 1, perSecond: 1)
        #expect(budget.take(exec(7), now: 0).count == 1)
        #expect(budget.take(exec(8), now: 0).isEmpty)
        #expect(budget.take(end(8), now: 0).isEmpty)
        #expect(budget.take(end(7), now: 0).count == 1)
        // The number is given out again.
        #expect(budget.take(exec(8), now: 1_000).count == 1)
        #expect(budget.take(end(8), now: 1_000).count == 1)
    }

    @Test func `what a start turned out to be goes with the start`() {
        var budget = EventBudget(burst: 1, perSecond: 0)
        func instead(_ pid: Int) -> Event {
            Event(.exec, [Event.Field("pid", .number(pid)), Event.Field("instead_of", .text("/a"))])
        }
        #expect(budget.take(exec(7), now: 0).count == 1)
        #expect(budget.take(instead(7), now: 0).count == 1)
        #expect(budget.take(exec(8), now: 0).isEmpty)
        #expect(budget.take(instead(8), now: 0).isEmpty)
        #expect(budget.rest().map { $0["count"] } == [.number(1)])
    }

    @Test func `counts are due ten seconds after the first, each class for itself`() {
        var budget = EventBudget(burst: 0, perSecond: 0)
        #expect(budget.take(exec(1), now: 1_000).isEmpty)
        #expect(budget.take(net(.netDeny, "a.example"), now: 4_000).isEmpty)
        #expect(budget.nextTime == 11_000)
        #expect(budget.due(now: 10_999).isEmpty)
        #expect(budget.due(now: 11_000).map(\.kind) == [.exec])
        #expect(budget.nextTime == 14_000)
        #expect(budget.due(now: 20_000).map(\.kind) == [.netDeny])
        #expect(budget.nextTime == nil)
    }

    @Test func `programs and network have a budget each`() {
        var budget = EventBudget(burst: 1, perSecond: 1)
        #expect(budget.take(exec(1), now: 0).count == 1)
        #expect(budget.take(exec(2), now: 0).isEmpty)
        #expect(budget.take(net(.netAllow, "a.example"), now: 0).count == 1)
        #expect(budget.take(net(.netAllow, "a.example"), now: 0).isEmpty)
    }

    @Test(arguments: [
        Event.Kind.sessionStart, .sessionEnd, .policyChange, .limit, .apply, .undo, .discard,
    ])
    func `what box does itself always passes`(_ kind: Event.Kind) {
        var budget = EventBudget(burst: 0, perSecond: 0)
        #expect(budget.take(Event(kind, []), now: 0).count == 1)
        #expect(budget.rest().isEmpty)
    }

    @Test func `what the network refused is told apart by host, port and reason`() {
        var budget = EventBudget(burst: 0, perSecond: 0)
        func deny(_ host: String, _ port: Int, _ reason: String, _ times: Int? = nil) -> Event {
            let more = times.map { [Event.Field("count", .number($0))] } ?? []
            return net(
                .netDeny, host, port: port,
                [
                    Event.Field("via", .text("connect")), Event.Field("reason", .text(reason)),
                    Event.Field("held", .number(5)),
                ] + more)
        }
        for event in [
            deny("a.example", 443, "host"), deny("a.example", 443, "host"), deny("a.example", 80, "host"),
            deny("a.example", 443, "name"), deny("a.example", 443, "host", 40),
        ] {
            #expect(budget.take(event, now: 0).isEmpty)
        }
        let rest = budget.rest()
        #expect(rest.map { count([$0]) } == [42, 1, 1])
        #expect(rest[0].fields.map(\.name) == ["host", "port", "reason", "count"])
        #expect(rest.map { $0["port"] } == [.number(443), .number(443), .number(80)])
    }

    @Test func `the bytes of connections that were only counted are added up`() {
        var budget = EventBudget(burst: 0, perSecond: 0)
        for _ in 0..<3 {
            let bytes = [Event.Field("bytes_up", .number(10)), Event.Field("bytes_down", .number(200))]
            #expect(budget.take(net(.netAllow, "a.example"), now: 0).isEmpty)
            #expect(budget.take(net(.netClose, "a.example", port: 443, bytes), now: 0).isEmpty)
        }
        let rest = budget.rest()
        #expect(rest.map(\.kind) == [.netAllow, .netClose])
        #expect(rest.map { $0["count"] } == [.number(3), .number(3)])
        #expect(rest[1]["bytes_up"] == .number(30))
        #expect(rest[1]["bytes_down"] == .number(600))
        #expect(rest[0]["bytes_up"] == nil)
    }

    @Test func `of ever new programs and hosts only so many are told apart`() {
        var budget = EventBudget(burst: 0, perSecond: 0)
        for number in 0..<10_000 {
            #expect(budget.take(exec(number, "/tmp/x\(number)"), now: 0).isEmpty)
            #expect(
                budget.take(
                    net(.netDeny, "h\(number).example", [Event.Field("reason", .text("host"))]), now: 0
                ).isEmpty)
        }
        let rest = budget.rest()
        #expect(rest.count == 2 * (EventBudget.most + 1))
        #expect(count(rest) == 20_000)
        let others = rest.filter { $0["path"] == .text("other") || $0["host"] == .text("") }
        #expect(others.map { $0["count"] } == [.number(9_936), .number(9_936)])
        #expect(others.last?["port"] == .number(0))
        #expect(others.last?["reason"] == .text("host"))
    }

    @Test func `long lines cost more, so that the bytes are bounded as well`() {
        var budget = EventBudget(burst: 100, perSecond: 0)
        let long = Event(.exec, [Event.Field("arguments", .list([String](repeating: "x", count: 9 * 1024)))])
        let written = (0..<100).reduce(0) { sum, _ in sum + budget.take(long, now: 0).count }
        #expect(written == 10)
    }
}
