import BoxProxy
import BoxTypes
import Testing

private let second: UInt64 = 1_000_000_000

private func limits(_ change: (inout NetworkLimits) -> Void) -> NetworkLimits {
    var limits = NetworkLimits()
    change(&limits)
    return limits
}

/// Rules with limits of the session and of hosts, by pattern.
private func rules(
    _ session: NetworkLimits = NetworkLimits(), hosts: [(String, NetworkLimits)] = []
) throws -> NetworkRules {
    NetworkRules(
        limits: session, hosts: try hosts.map { HostSettings(rule: try HostRule($0.0), limits: $0.1) })
}

extension Accounts {
    /// Admits the host, or fails the test.
    fileprivate mutating func ticket(_ host: Host) throws -> Ticket {
        let ticket = admit(host, now: 0).ticket
        return try #require(ticket)
    }
}

extension Accounts.Admission {
    fileprivate var ticket: Accounts.Ticket? {
        if case .granted(let ticket) = self { ticket } else { nil }
    }

    /// `session requests_per_minute 2`, or nil where it is granted.
    fileprivate var refusal: String? {
        guard case .refused(let limit, let scope, let seconds, let reason) = self else { return nil }
        return "\(scope) \(limit) \(seconds) \(reason.rawValue)"
    }
}

@Suite struct TokenBucketTests {
    @Test func `a burst goes through at once, then as fast as tokens come`() {
        var bucket = TokenBucket(perSecond: 2, burst: 3, now: 0)
        #expect((0..<3).allSatisfy { _ in bucket.take(1, now: 0) == nil })
        #expect(bucket.take(1, now: 0) == second / 2)
        #expect(bucket.take(1, now: second / 4) == second / 4)
        #expect(bucket.take(1, now: second / 2) == nil)
        #expect(bucket.take(1, now: second / 2) == second / 2, "what was refused took nothing")
        #expect((0..<3).allSatisfy { _ in bucket.take(1, now: 100 * second) == nil })
        #expect(bucket.take(1, now: 100 * second) != nil, "it fills to the burst and no further")
    }

    @Test func `more than the burst goes through a full bucket and is paid back`() {
        var bucket = TokenBucket(perSecond: 10, burst: 5, now: 0)
        #expect(bucket.take(20, now: 0) == nil)
        #expect(bucket.take(1, now: 0) == 16 * second / 10)
    }

    @Test func `a debt is told in time and paid by time`() {
        var bucket = TokenBucket(perSecond: 100, burst: 50, now: 7 * second)
        #expect(bucket.charge(50, now: 7 * second) == nil)
        #expect(bucket.charge(100, now: 7 * second) == second)
        #expect(bucket.charge(0, now: 7 * second + second / 2) == second / 2)
        #expect(bucket.charge(0, now: 8 * second) == nil)
    }

    @Test func `a clock that stands or goes back gives no tokens`() {
        var bucket = TokenBucket(perSecond: 1, burst: 1, now: 10 * second)
        #expect(bucket.take(1, now: 10 * second) == nil)
        #expect(bucket.take(1, now: 3 * second) == second)
        #expect(bucket.take(1, now: 10 * second) == second)
        #expect(bucket.take(1, now: 11 * second) == nil)
    }

    @Test(arguments: [(0.0, 0.0), (-1, -1), (0, 5), (1e-12, 1)])
    func `no rate is no overflow`(rate: Double, burst: Double) {
        var bucket = TokenBucket(perSecond: rate, burst: burst, now: 0)
        _ = bucket.take(burst, now: 0)
        #expect(bucket.take(1, now: 1) == 3600 * second)
        #expect(bucket.charge(1e18, now: .max) == 3600 * second)
    }

    @Test func `over a long time exactly the rate goes through`() {
        var bucket = TokenBucket(perSecond: 30, burst: 15, now: 0)
        var taken = 0
        for step in 0..<10_000 where bucket.take(1, now: UInt64(step) * second / 100) == nil { taken += 1 }
        // 100 seconds at 30, and the burst.
        #expect((3010...3015).contains(taken), "\(taken)")
    }
}

@Suite struct ByteAccountTests {
    @Test func `without limits everything goes, and is counted`() {
        let account = ByteAccount(NetworkLimits())
        #expect(!account.isLimited)
        #expect(account.take(1 << 40, .up, now: 0) == .go)
        #expect(account.take(7, .down, now: 0) == .go)
        #expect(account.total == (1 << 40, 7))
        #expect(account.exhausted == nil)
    }

    @Test(arguments: ByteAccount.Direction.allCases)
    func `the last byte that may move does, and no byte more`(direction: ByteAccount.Direction) {
        let name = direction == .up ? "upload" : "download"
        let account = ByteAccount(
            limits {
                if direction == .up { $0.upload = ByteSize(bytes: 1000) }
                if direction == .down { $0.download = ByteSize(bytes: 1000) }
            })
        let other: ByteAccount.Direction = direction == .up ? .down : .up
        #expect(account.take(999, direction, now: 0) == .go)
        #expect(account.exhausted == nil)
        #expect(account.take(5000, other, now: 0) == .go, "the limit is on one direction")
        #expect(account.take(1, direction, now: 0) == .go)
        #expect(account.exhausted == name, "nothing new begins")
        #expect(account.take(1, direction, now: 0) == .exhausted(limit: name))
        #expect(account.take(1, other, now: 0) == .exhausted(limit: name), "every tunnel of the scope ends")
    }

    @Test func `a limit that is set later counts what has moved before`() {
        let account = ByteAccount(NetworkLimits())
        _ = account.take(600, .up, now: 0)
        account.update(limits { $0.upload = ByteSize(bytes: 1000) })
        #expect(account.isLimited)
        #expect(account.take(400, .up, now: 0) == .go)
        #expect(account.take(1, .up, now: 0) == .exhausted(limit: "upload"))
        account.update(limits { $0.upload = ByteSize(bytes: 2000) })
        #expect(account.take(0, .up, now: 0) == .go, "a higher limit opens it again")
        account.update(limits { $0.upload = ByteSize(bytes: 500) })
        #expect(account.exhausted == "upload", "a lower one is reached at once")
        account.update(NetworkLimits())
        #expect(!account.isLimited && account.take(1, .up, now: 0) == .go)
        #expect(account.total.up == 1002)
    }

    @Test func `a tunnel is slowed to the rate, each direction for itself`() {
        let account = ByteAccount(limits { $0.bytesPerSecond = ByteSize(bytes: 1000) })
        #expect(account.take(250, .up, now: 0) == .go, "a quarter of a second's worth at once")
        #expect(account.take(1000, .up, now: 0) == .wait(nanoseconds: second))
        #expect(account.take(250, .down, now: 0) == .go)
        #expect(account.take(0, .up, now: second) == .go)
        #expect(account.take(500, .up, now: second) == .wait(nanoseconds: second / 2))
    }

    @Test func `a stream that waits as it is told moves at the rate`() {
        let account = ByteAccount(limits { $0.bytesPerSecond = ByteSize(bytes: 100_000) })
        var now: UInt64 = 0
        for _ in 0..<100 {
            switch account.take(10_000, .down, now: now) {
            case .go: break
            case .wait(let nanoseconds): now += nanoseconds
            case .exhausted(let limit): Issue.record("\(limit)")
            }
        }
        // A megabyte, less the quarter of a second that goes at once.
        #expect(now == 10 * second - second / 4)
    }

    @Test func `excess closes where the rules say so, but not within a second's worth`() {
        let account = ByteAccount(
            limits {
                $0.bytesPerSecond = ByteSize(bytes: 1000)
                $0.excess = .close
            })
        #expect(account.take(1000, .up, now: 0) == .go)
        #expect(account.take(500, .up, now: second / 2) == .go)
        #expect(account.take(1, .up, now: second / 2) == .exhausted(limit: "bytes_per_second"))
    }

    @Test func `other limits give a rate no new tokens`() {
        let slow = limits { $0.bytesPerSecond = ByteSize(bytes: 1000) }
        let account = ByteAccount(slow)
        #expect(account.take(1250, .up, now: 0) == .wait(nanoseconds: second))
        account.update(
            limits {
                $0 = slow
                $0.upload = ByteSize(bytes: 1 << 30)
            })
        #expect(account.take(0, .up, now: 0) == .wait(nanoseconds: second))
        account.update(limits { $0.bytesPerSecond = ByteSize(bytes: 2000) })
        #expect(account.take(0, .up, now: 0) == .go, "another rate starts anew")
    }

    @Test func `bytes of several threads are all counted`() async {
        let account = ByteAccount(limits { $0.upload = ByteSize(bytes: 40_000) })
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    for _ in 0..<10_000 {
                        #expect(account.take(1, .up, now: 0) == .go)
                        _ = account.take(2, .down, now: 0)
                    }
                }
            }
        }
        #expect(account.total == (40_000, 80_000))
        #expect(account.take(1, .up, now: 0) == .exhausted(limit: "upload"))
    }
}

@Suite struct AccountsTests {
    private let github: Host
    private let other: Host

    init() throws {
        github = try Host("github.com")
        other = try Host("example.org")
    }

    @Test func `without limits everything is admitted into the session's account`() throws {
        var accounts = Accounts(try rules(), now: 0)
        for _ in 0..<10_000 {
            let ticket = try accounts.ticket(github)
            #expect(ticket.host == github && ticket.bytes.count == 1)
            #expect(ticket.bytes.first === accounts.sessionBytes)
        }
    }

    @Test func `requests of a minute: all at once, and others as time goes`() throws {
        var accounts = Accounts(try rules(limits { $0.requestsPerMinute = 60 }), now: 0)
        for _ in 0..<60 { #expect(accounts.admit(github, now: 0).refusal == nil) }
        #expect(accounts.admit(other, now: 0).refusal == "session requests_per_minute 1 rate")
        #expect(accounts.admit(other, now: second).refusal == nil)
        #expect(accounts.admit(other, now: second).refusal == "session requests_per_minute 1 rate")
    }

    @Test(arguments: [
        (1, "session requests_per_minute 60 rate"), (2, "session requests_per_minute 30 rate"),
        (0, "session requests_per_minute 3600 rate"), (120, "session requests_per_minute 1 rate"),
    ])
    func `a refusal tells when to come again`(perMinute: Int, refusal: String) throws {
        var accounts = Accounts(try rules(limits { $0.requestsPerMinute = perMinute }), now: 0)
        for _ in 0..<perMinute {
            #expect(accounts.admit(github, now: 0).refusal == nil)
        }
        #expect(accounts.admit(github, now: 0).refusal == refusal)
    }

    @Test func `open connections are bounded, and one that ends makes room`() throws {
        var accounts = Accounts(try rules(limits { $0.connections = 2 }), now: 0)
        let first = try accounts.ticket(github)
        _ = try accounts.ticket(other)
        #expect(accounts.admit(other, now: 0).refusal == "session connections 1 rate")
        accounts.release(first)
        #expect(accounts.admit(other, now: 0).refusal == nil)
        #expect(accounts.admit(other, now: 0).refusal == "session connections 1 rate")
    }

    @Test func `a host's limits are its own, and a pattern's are each host's own`() throws {
        let one = limits { $0.connections = 1 }
        var accounts = Accounts(try rules(hosts: [("github.com", one), ("*.example.org", one)]), now: 0)
        let ticket = try accounts.ticket(github)
        #expect(ticket.bytes.count == 2)
        #expect(accounts.admit(github, now: 0).refusal == "host connections 1 rate")
        for name in ["a.example.org", "b.example.org"] {
            #expect(accounts.admit(try Host(name), now: 0).refusal == nil)
            #expect(accounts.admit(try Host(name), now: 0).refusal == "host connections 1 rate")
        }
        for _ in 0..<5 { #expect(accounts.admit(other, now: 0).refusal == nil, "no pattern names it") }
        accounts.release(ticket)
        #expect(accounts.admit(github, now: 0).refusal == nil)
    }

    @Test func `what one scope refuses counts in no other`() throws {
        let busy = limits { $0.requestsPerMinute = 2 }
        let tight = limits { $0.requestsPerMinute = 1 }
        var accounts = Accounts(try rules(busy, hosts: [("github.com", tight)]), now: 0)
        #expect(accounts.admit(github, now: 0).refusal == nil)
        for _ in 0..<5 {
            #expect(accounts.admit(github, now: 0).refusal == "host requests_per_minute 60 rate")
        }
        #expect(accounts.admit(other, now: 0).refusal == nil, "the session's second request")
        #expect(accounts.admit(other, now: 0).refusal == "session requests_per_minute 30 rate")
    }

    @Test func `bytes that are used up refuse what is new, in the scope that they belong to`() throws {
        let some = limits { $0.upload = ByteSize(bytes: 10) }
        var accounts = Accounts(try rules(hosts: [("github.com", some)]), now: 0)
        let ticket = try accounts.ticket(github)
        for account in ticket.bytes { _ = account.take(10, .up, now: 0) }
        #expect(accounts.admit(github, now: 0).refusal == "host upload 0 bytes")
        #expect(accounts.admit(other, now: 0).refusal == nil)
        #expect(accounts.sessionBytes.total.up == 10)
        accounts.update(try rules(limits { $0.download = ByteSize(bytes: 0) }), now: 0)
        #expect(accounts.admit(other, now: 0).refusal == "session download 0 bytes")
    }

    @Test func `other rules keep what was used and what is open`() throws {
        let two = limits {
            $0.connections = 2
            $0.requestsPerMinute = 8
            $0.upload = ByteSize(bytes: 100)
        }
        var accounts = Accounts(try rules(two, hosts: [("github.com", two)]), now: 0)
        let first = try accounts.ticket(github)
        for account in first.bytes { _ = account.take(60, .up, now: 0) }
        accounts.update(try rules(), now: 0)
        let second = try accounts.ticket(github)
        #expect(second.bytes.count == 2, "the account is kept: its limits may come back")
        accounts.update(try rules(two, hosts: [("github.com", two)]), now: 0)
        #expect(accounts.admit(github, now: 0).refusal == "session connections 1 rate")
        accounts.release(first)
        accounts.release(second)
        #expect(accounts.admit(github, now: 0).refusal == nil)
        for account in second.bytes { #expect(account.take(41, .up, now: 0) == .exhausted(limit: "upload")) }
        #expect(accounts.admit(github, now: 0).refusal == "session upload 0 bytes")
    }

    @Test func `rules that leave the rate alone give no new requests`() throws {
        let slow = limits { $0.requestsPerMinute = 1 }
        var accounts = Accounts(try rules(slow), now: 0)
        #expect(accounts.admit(github, now: 0).refusal == nil)
        for _ in 0..<3 {
            accounts.update(try rules(slow, hosts: [("github.com", slow)]), now: 0)
            #expect(accounts.admit(github, now: 0).refusal == "session requests_per_minute 60 rate")
        }
    }

    @Test func `hosts beyond the bound share one account of their pattern`() throws {
        let one = limits { $0.connections = 1 }
        var accounts = Accounts(try rules(hosts: [("*.example.org", one)]), now: 0)
        for number in 0..<Accounts.mostHosts {
            #expect(accounts.admit(try Host("h\(number).example.org"), now: 0).refusal == nil)
        }
        let shared = try accounts.ticket(try Host("x.example.org"))
        #expect(accounts.admit(try Host("y.example.org"), now: 0).refusal == "host connections 1 rate")
        #expect(accounts.admit(try Host("h0.example.org"), now: 0).refusal == "host connections 1 rate")
        accounts.release(shared)
        #expect(accounts.admit(try Host("y.example.org"), now: 0).refusal == nil)
        accounts.update(try rules(hosts: [("*.example.org", limits { $0.connections = 2 })]), now: 0)
        #expect(accounts.admit(try Host("z.example.org"), now: 0).refusal == nil)
        #expect(accounts.admit(try Host("z.example.org"), now: 0).refusal == "host connections 1 rate")
    }
}
