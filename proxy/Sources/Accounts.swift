package import BoxTypes

/// Who may begin something now: the limits of the session and of its hosts. It is used on the event loop only;
/// the byte accounts that it hands out are not bound to it.
///
/// A host has an account of its own if the rules set a limit for it. There are at most 4,096; the hosts of a
/// pattern that come after these share one account, which limits more and never less.
package struct Accounts: Sendable {
    /// The right to one connection, until `release`.
    package struct Ticket: Sendable {
        package let host: Host
        /// Where its bytes count: the session's account first, then the host's, if it has one.
        package let bytes: [ByteAccount]
        fileprivate let scope: Key?
    }

    package enum Admission: Sendable {
        case granted(Ticket)
        /// The key of the limit, `session` or `host`, the seconds after which it is worth another try (0: never),
        /// and `rate` or `bytes`.
        case refused(limit: String, scope: String, retryAfter: Int, reason: RefusalReason)
    }

    /// Whose account it is.
    fileprivate enum Key: Hashable, Sendable {
        case host(Host)
        /// The one that all further hosts of a pattern share.
        case pattern(HostRule)
    }

    /// Accounts of single hosts.
    package static let mostHosts = 4096

    private var rules: NetworkRules
    private var session: Scope
    private var hosts: [Key: Scope] = [:]

    package init(_ rules: NetworkRules, now: UInt64) {
        self.rules = rules
        session = Scope(rules.limits, now: now)
    }

    /// The session's bytes.
    package var sessionBytes: ByteAccount { session.bytes }

    /// Counts a request and an open connection, if every limit allows both; otherwise counts nothing.
    package mutating func admit(_ host: Host, now: UInt64) -> Admission {
        let key = account(of: host, now: now)
        var own = key.flatMap { hosts[$0] }
        if let obstacle = session.obstacle(now: now) { return obstacle.refusal("session") }
        if let obstacle = own?.obstacle(now: now) { return obstacle.refusal("host") }
        session.begin(now: now)
        var bytes = [session.bytes]
        if let key {
            own?.begin(now: now)
            hosts[key] = own
            bytes += [own?.bytes].compactMap(\.self)
        }
        return .granted(Ticket(host: host, bytes: bytes, scope: key))
    }

    /// The connection of the ticket has ended. Once for each ticket.
    package mutating func release(_ ticket: Ticket) {
        session.open -= 1
        if let key = ticket.scope { hosts[key]?.open -= 1 }
    }

    /// Puts other limits in force. What was used stays used, and connections stay counted.
    package mutating func update(_ rules: NetworkRules, now: UInt64) {
        self.rules = rules
        session.update(rules.limits, now: now)
        for key in Array(hosts.keys) {
            let limits =
                switch key {
                case .host(let host): rules.settings(of: host)?.limits
                case .pattern(let rule): rules.hosts.first { $0.rule == rule }?.limits
                }
            // Without limits it still counts: they may come back.
            hosts[key]?.update(limits ?? NetworkLimits(), now: now)
        }
    }

    /// The account that a host's connection counts in, made if it is the first; nil where the host has no limits.
    private mutating func account(of host: Host, now: UInt64) -> Key? {
        let key = Key.host(host)
        if hosts[key] != nil { return key }
        guard let settings = rules.settings(of: host), settings.limits != NetworkLimits() else { return nil }
        let chosen = hosts.count < Accounts.mostHosts ? key : .pattern(settings.rule)
        if hosts[chosen] == nil { hosts[chosen] = Scope(settings.limits, now: now) }
        return chosen
    }
}

extension Accounts {
    /// The limits of the session or of a host, and what has been used of them.
    fileprivate struct Scope: Sendable {
        var open = 0
        let bytes: ByteAccount
        private var limits: NetworkLimits
        private var requests: TokenBucket?

        init(_ limits: NetworkLimits, now: UInt64) {
            self.limits = limits
            bytes = ByteAccount(limits)
            requests = limits.requests(now: now)
        }

        /// What stands against one more connection; nil if nothing does.
        mutating func obstacle(now: UInt64) -> Obstacle? {
            if let limit = bytes.exhausted { return Obstacle(limit: limit, retryAfter: 0, reason: .bytes) }
            if let most = limits.connections, open >= most {
                return Obstacle(limit: "connections", retryAfter: 1, reason: .rate)
            }
            guard let wait = requests?.wait(for: 1, now: now) else { return nil }
            let seconds = Int((wait + 999_999_999) / 1_000_000_000)
            return Obstacle(limit: "requests_per_minute", retryAfter: max(seconds, 1), reason: .rate)
        }

        /// Counts what has no obstacle.
        mutating func begin(now: UInt64) {
            open += 1
            _ = requests?.take(1, now: now)
        }

        mutating func update(_ limits: NetworkLimits, now: UInt64) {
            // An unchanged rate goes on as it was: other rules must not give new tokens.
            if limits.requestsPerMinute != self.limits.requestsPerMinute {
                requests = limits.requests(now: now)
            }
            self.limits = limits
            bytes.update(limits)
        }
    }

    fileprivate struct Obstacle {
        let limit: String
        let retryAfter: Int
        let reason: RefusalReason

        func refusal(_ scope: String) -> Admission {
            .refused(limit: limit, scope: scope, retryAfter: retryAfter, reason: reason)
        }
    }
}

extension NetworkLimits {
    /// The rate of requests. A minute's worth may begin at once, since programs begin in bursts; then they come back
    /// one by one, so that two minutes in a row are never more than the limit and one minute's worth besides.
    fileprivate func requests(now: UInt64) -> TokenBucket? {
        requestsPerMinute.map { perMinute in
            let rate = Double(max(perMinute, 0))
            return TokenBucket(
                perSecond: rate / 60, burst: rate, now: now)
        }
    }
}
