/// All that decides about the network of a session, and that can change while it runs: the rules, what is special
/// about some hosts, and the limits of the whole session.
package struct NetworkRules: Hashable, Sendable {
    package var allow: [HostRule]
    package var deny: [HostRule]
    package var limits: NetworkLimits
    /// At most one entry a pattern; of several that match a host the first counts.
    package var hosts: [HostSettings]
    /// Rules beside `allow` that let one connection through each.
    package var once: [SingleUse]

    package init(
        allow: [HostRule] = [], deny: [HostRule] = [], limits: NetworkLimits = NetworkLimits(),
        hosts: [HostSettings] = [], once: [SingleUse] = []
    ) {
        self.allow = allow
        self.deny = deny
        self.limits = limits
        self.hosts = hosts
        self.once = once
    }

    /// All rules that open something, for how long it may be.
    package var opening: [HostRule] { allow + once.map(\.rule) }

    /// What is special about a host; nil if nothing is.
    package func settings(of host: Host) -> HostSettings? { hosts.first { $0.rule.matches(host) } }

    /// Writes the rules for another process of box; host rules go as their canonical text.
    package func write(to writer: inout WireWriter) {
        writer.write(allow) { $0.write($1.description) }
        writer.write(deny) { $0.write($1.description) }
        limits.write(to: &writer)
        writer.write(hosts) { $1.write(to: &$0) }
        writer.write(once) {
            $0.write($1.number)
            $0.write($1.rule.description)
        }
    }

    /// Reads what `write` wrote; host rules are parsed again.
    package init(from reader: inout WireReader) throws(WireError) {
        allow = try reader.list { (reader: inout WireReader) throws(WireError) in try reader.hostRule() }
        deny = try reader.list { (reader: inout WireReader) throws(WireError) in try reader.hostRule() }
        limits = try NetworkLimits(from: &reader)
        hosts = try reader.list { (reader: inout WireReader) throws(WireError) in
            try HostSettings(from: &reader)
        }
        once = try reader.list { (reader: inout WireReader) throws(WireError) in
            SingleUse(try reader.int(), try reader.hostRule())
        }
    }
}

/// `[network.hosts."NAME"]`: what is special about one host, or about all that a pattern names.
package struct HostSettings: Hashable, Sendable {
    /// Which hosts; the port of the rule does not count.
    package var rule: HostRule
    package var limits: NetworkLimits
    /// Tunnels to port 443 need no TLS hello with the host's name.
    package var raw: Bool
    /// The name may resolve to addresses of private networks.
    package var isPrivate: Bool

    package init(
        rule: HostRule, limits: NetworkLimits = NetworkLimits(), raw: Bool = false, isPrivate: Bool = false
    ) {
        self.rule = rule
        self.limits = limits
        self.raw = raw
        self.isPrivate = isPrivate
    }

    fileprivate func write(to writer: inout WireWriter) {
        writer.write(rule.description)
        limits.write(to: &writer)
        writer.write(raw)
        writer.write(isPrivate)
    }

    fileprivate init(from reader: inout WireReader) throws(WireError) {
        rule = try reader.hostRule()
        limits = try NetworkLimits(from: &reader)
        raw = try reader.bool()
        isPrivate = try reader.bool()
    }
}

extension WireReader {
    /// Reads a host rule and parses it again.
    fileprivate mutating func hostRule() throws(WireError) -> HostRule {
        let text = try string()
        do throws(HostRefusal) { return try HostRule(text) } catch { throw malformed("rule") }
    }
}
