package import BoxTypes

/// What a user asks of a running session's rules.
package struct RuleChange: Equatable, Sendable {
    package enum Action: String, Equatable, Sendable, CaseIterable { case allow, deny }
    package var action: Action
    package var rules: [HostRule]
    /// Those of the denied rules that were written without a port: every port that is open for them is denied.
    package var everyPort: [HostRule] = []
    /// Seconds after which an allowed host is as before; nil for the rest of the session.
    package var seconds: Int?
    /// The rules end with the first connection that they let through.
    package var once = false

    package init(_ action: Action, _ rules: [HostRule], seconds: Int? = nil) {
        self.action = action
        self.rules = rules
        self.seconds = seconds
    }

    /// More at once is no one's request.
    static let mostRules = 1000
}

/// The rules of a session as they change while it runs: those that it began with, and what was added since.
package struct LiveRules: Equatable, Sendable {
    /// What the policy says.
    private(set) var base: NetworkRules
    private var allowed: [Allowance] = []
    private var denied: [HostRule] = []

    /// A rule that was added, and when it ends.
    private struct Allowance: Equatable, Sendable {
        let rule: HostRule
        /// By a clock in milliseconds; nil for the rest of the session.
        let end: Int?
        /// It is for one connection, and has this number; nil if it is for all of them.
        var single: Int?
    }

    /// The last number that was given to a rule for one connection. None is given twice: what the proxy says about
    /// one is never about another.
    private var lastSingle = 0

    package init(_ base: NetworkRules) { self.base = base }

    /// What is in force.
    package var rules: NetworkRules {
        var rules = base
        for allowance in allowed {
            if let number = allowance.single {
                rules.once.append(SingleUse(number, allowance.rule))
            } else {
                rules.allow.append(allowance.rule)
            }
        }
        rules.deny += denied
        return rules
    }

    /// The policy says something else now; what was asked for since stays. Gives back what is new and what is gone.
    package mutating func replaceBase(by rules: NetworkRules) -> [String] {
        func texts(_ rules: NetworkRules) -> [String] {
            rules.allow.map { "allow \($0)" } + rules.deny.map { "deny \($0)" }
        }
        let (old, new) = (texts(base), texts(rules))
        let (had, has) = (Set(old), Set(new))
        var differences = new.filter { !had.contains($0) }.map { "+ \($0)" }
        differences += old.filter { !has.contains($0) }.map { "- \($0)" }
        if base.limits != rules.limits || base.hosts != rules.hosts { differences.append("limits") }
        base = rules
        return differences
    }

    /// Makes a change at a time in milliseconds; says what it does not do, for people.
    package mutating func apply(_ change: RuleChange, now: Int) -> [String] {
        change.rules.flatMap { rule in
            switch change.action {
            case .allow:
                allow(rule, end: change.seconds.map { now + $0 * 1000 }, once: change.once)
            case .deny: deny(rule, everyPort: change.everyPort.contains(rule))
            }
        }
    }

    private mutating func allow(_ rule: HostRule, end: Int?, once: Bool) -> [String] {
        var notes: [String] = []
        denied.removeAll { $0 == rule }
        if let stronger = base.deny.first(where: { $0.covers(rule) })
            ?? denied.first(where: { $0.covers(rule) })
        {
            notes.append(
                "\(rule.short) stays refused: the rule \(stronger.short) denies it, which is stronger")
        }
        if once { return notes + allowOnce(rule, end: end) }
        let isPermanent =
            base.allow.contains(rule)
            || allowed.contains { $0.rule == rule && $0.end == nil && $0.single == nil }
        if isPermanent {
            if end != nil { notes.append("\(rule.short) was allowed already, and stays so") }
            return notes
        }
        allowed.removeAll { $0.rule == rule }
        allowed.append(Allowance(rule: rule, end: end))
        return notes
    }

    /// Another one for the same host is for another connection.
    private mutating func allowOnce(_ rule: HostRule, end: Int?) -> [String] {
        let lasting = base.allow + allowed.filter { $0.single == nil }.map(\.rule)
        if let wider = lasting.first(where: { $0.covers(rule) }) {
            return ["\(rule.short) is allowed already, by \(wider.short), and stays so"]
        }
        lastSingle += 1
        allowed.append(Allowance(rule: rule, end: end, single: lastSingle))
        return []
    }

    /// The rule of this number has let its connection through, and is over; nil if it was so before.
    package mutating func use(_ number: Int) -> HostRule? {
        guard let place = allowed.firstIndex(where: { $0.single == number }) else { return nil }
        return allowed.remove(at: place).rule
    }

    private mutating func deny(_ rule: HostRule, everyPort: Bool) -> [String] {
        if everyPort {
            let ports = Set((base.allow + allowed.map(\.rule)).map(\.port)).subtracting([rule.port])
            let others = ports.sorted().map { HostRule(rule.pattern, port: $0) }
            let open = base.allow + allowed.map(\.rule)
            for other in others where open.contains(where: other.meets) { _ = deny(other, everyPort: false) }
        }
        allowed.removeAll { $0.rule == rule }
        guard !base.deny.contains(rule), !denied.contains(rule) else {
            return ["\(rule.short) was denied already"]
        }
        denied.append(rule)
        return []
    }

    /// When the next rule ends.
    package var nextEnd: Int? { allowed.compactMap(\.end).min() }

    /// Takes out what has ended by now, and says what that was.
    package mutating func expire(now: Int) -> [HostRule] {
        func isOver(_ allowance: Allowance) -> Bool { allowance.end.map { $0 <= now } ?? false }
        let over = allowed.filter(isOver).map(\.rule)
        allowed.removeAll(where: isOver)
        return over
    }
}

extension HostRule {
    /// Whether some target of another rule may also be one of this.
    fileprivate func meets(_ other: HostRule) -> Bool { covers(other) || other.covers(self) }

    /// Why the rule is not taken while a session runs; nil if it is. What is refused here can still be in a policy.
    package var liveRefusal: String? {
        let address: IPAddress
        switch pattern {
        case .name, .subdomains: return nil
        case .address(let one): address = one
        case .network(let network): address = network.base
        }
        let kind = AddressClass(of: address)
        if kind == .metadata {
            return
                "\(short) is a cloud's metadata service, which gives out keys. It is opened only by --allow at the start"
        }
        guard kind.opening != .never else { return "\(short) is no host (\(kind.rawValue))" }
        return nil
    }
}
