import BoxTypes
import Testing

/// First and last address of each special range, and their neighbours outside.
@Suite struct AddressClassTests {
    private static func address(_ text: String) throws -> IPAddress {
        try #require(IPAddress(v4: text) ?? IPAddress(v6: text), "\(text)")
    }

    @Test(arguments: [
        ("0.0.0.0", AddressClass.unspecified), ("0.0.0.1", .thisNetwork), ("0.255.255.255", .thisNetwork),
        ("1.0.0.0", .global), ("9.255.255.255", .global), ("10.0.0.0", .private),
        ("10.255.255.255", .private),
        ("11.0.0.0", .global), ("100.63.255.255", .global), ("100.64.0.0", .shared),
        ("100.100.100.200", .metadata), ("100.127.255.255", .shared), ("100.128.0.0", .global),
        ("126.255.255.255", .global), ("127.0.0.0", .loopback), ("127.0.0.1", .loopback),
        ("127.255.255.255", .loopback), ("128.0.0.0", .global), ("168.63.129.16", .metadata),
        ("169.253.255.255", .global), ("169.254.0.0", .linkLocal), ("169.254.169.253", .linkLocal),
        ("169.254.169.254", .metadata), ("169.254.170.2", .metadata), ("169.254.255.255", .linkLocal),
        ("169.255.0.0", .global), ("172.15.255.255", .global), ("172.16.0.0", .private),
        ("172.31.255.255", .private), ("172.32.0.0", .global), ("191.255.255.255", .global),
        ("192.0.0.0", .protocolAssignments), ("192.0.0.192", .metadata),
        ("192.0.0.255", .protocolAssignments), ("192.0.1.0", .global), ("192.0.2.0", .documentation),
        ("192.0.2.255", .documentation), ("192.0.3.0", .global), ("192.88.98.255", .global),
        ("192.88.99.0", .relay), ("192.88.99.255", .relay), ("192.88.100.0", .global),
        ("192.167.255.255", .global), ("192.168.0.0", .private), ("192.168.255.255", .private),
        ("192.169.0.0", .global), ("198.17.255.255", .global), ("198.18.0.0", .benchmarking),
        ("198.19.255.255", .benchmarking), ("198.20.0.0", .global), ("198.51.99.255", .global),
        ("198.51.100.0", .documentation), ("198.51.100.255", .documentation), ("198.51.101.0", .global),
        ("203.0.112.255", .global), ("203.0.113.0", .documentation), ("203.0.113.255", .documentation),
        ("203.0.114.0", .global), ("223.255.255.255", .global), ("224.0.0.0", .multicast),
        ("239.255.255.255", .multicast), ("240.0.0.0", .reserved), ("255.255.255.254", .reserved),
        ("255.255.255.255", .broadcast), ("8.8.8.8", .global), ("1.1.1.1", .global),
    ])
    func `an IPv4 address has the class of its range`(text: String, kind: AddressClass) throws {
        #expect(AddressClass(of: try Self.address(text)) == kind)
    }

    @Test(arguments: [
        ("::", AddressClass.unspecified), ("::1", .loopback), ("::2", .compatible), ("::7f00:1", .compatible),
        ("::ffff:127.0.0.1", .mapped), ("::ffff:8.8.8.8", .mapped), ("::ffff:0:7f00:1", .translated),
        ("::1:0:0:1", .reserved), ("64:ff9b::", .nat64), ("64:ff9b::7f00:1", .nat64),
        ("64:ff9b::808:808", .nat64), ("64:ff9b:0:1::", .reserved), ("64:ff9b:1::", .nat64),
        ("64:ff9b:1:ffff:ffff:ffff:ffff:ffff", .nat64), ("64:ff9b:2::", .reserved), ("100::", .discard),
        ("100::ffff:ffff:ffff:ffff", .discard), ("100:0:0:1::", .reserved),
        ("1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", .reserved), ("2000::", .global),
        ("2001::", .teredo), ("2001:0:ffff:ffff:ffff:ffff:ffff:ffff", .teredo),
        ("2001:1::", .protocolAssignments), ("2001:2::", .benchmarking),
        ("2001:2:0:ffff:ffff:ffff:ffff:ffff", .benchmarking), ("2001:2:1::", .protocolAssignments),
        ("2001:10::", .orchid), ("2001:1f:ffff:ffff:ffff:ffff:ffff:ffff", .orchid), ("2001:20::", .orchid),
        ("2001:30::", .orchid), ("2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", .protocolAssignments),
        ("2001:200::", .global), ("2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", .global),
        ("2001:db8::", .documentation), ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", .documentation),
        ("2001:db9::", .global), ("2001:4860:4860::8888", .global), ("2001:ffff::", .global),
        ("2002::", .sixToFour), ("2002:7f00:1::", .sixToFour),
        ("2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", .sixToFour), ("2003::", .global),
        ("2606:4700:4700::1111", .global), ("3ffe:ffff::", .global), ("3fff::", .documentation),
        ("3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", .documentation), ("3fff:1000::", .global),
        ("3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", .global), ("4000::", .reserved),
        ("5f00::", .segmentRouting), ("5f01::", .reserved), ("fbff::", .reserved), ("fc00::", .uniqueLocal),
        ("fd00::1", .uniqueLocal), ("fd00:ec2::253", .uniqueLocal), ("fd00:ec2::254", .metadata),
        ("fd20:ce::254", .metadata), ("fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", .uniqueLocal),
        ("fe00::", .reserved), ("fe7f:ffff::", .reserved), ("fe80::", .linkLocal), ("fe80::1", .linkLocal),
        ("febf:ffff::", .linkLocal), ("fec0::", .siteLocal), ("feff:ffff::", .siteLocal),
        ("ff00::", .multicast),
        ("ff02::1", .multicast), ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", .multicast),
    ])
    func `an IPv6 address has the class of its range`(text: String, kind: AddressClass) throws {
        #expect(AddressClass(of: try Self.address(text)) == kind)
    }

    @Test func `only global addresses are open without a rule of their own`() {
        for kind in AddressClass.allCases { #expect((kind.opening == .open) == (kind == .global), "\(kind)") }
    }

    @Test(arguments: [
        "127.0.0.1", "169.254.169.254", "10.0.0.1", "192.168.1.1", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1", "fd00::1", "fd00:ec2::254", "::ffff:8.8.8.8",
        "64:ff9b::808:808", "2002:808:808::", "2001::1", "ff02::1", "fec0::1",
    ])
    func `a name's rule does not open an address that is not global`(text: String) throws {
        let rules = Allowlist(allow: [try HostRule("example.com"), try HostRule("*.example.com")], deny: [])
        let decision = rules.vet(try Self.address(text), port: .https)
        #expect(!decision.allowed)
        #expect(decision.reason == .address)
    }

    @Test(arguments: [
        ("10.1.2.3", "10.0.0.0/8", true, "a private network that is named"),
        ("10.1.2.3", "10.1.2.3", true, "a private address that is named"),
        ("10.1.2.3", "10.1.2.4", false, "another address"),
        ("10.1.2.3", "10.0.0.0/8:80", false, "another port"),
        ("fd00::1", "[fd00::/8]", true, "a unique local network that is named"),
        ("127.0.0.1", "127.0.0.1", true, "loopback by its address"),
        ("127.0.0.1", "127.0.0.0/8", false, "no network opens loopback"),
        ("169.254.169.254", "169.254.0.0/16", false, "no network opens the metadata service"),
        ("169.254.169.254", "169.254.169.254", true, "its address does"),
        ("224.0.0.1", "224.0.0.1", false, "multicast is never opened"),
        ("::ffff:10.1.2.3", "[::ffff:10.1.2.3]", false, "an address in disguise is never opened"),
        ("64:ff9b::a01:203", "[64:ff9b::/96]", false, "an address in disguise is never opened"),
        ("2002:a01:203::", "[2002::/16]", false, "an address in disguise is never opened"),
        ("0.0.0.0", "0.0.0.0", false, "the unspecified address is never opened"),
        ("8.8.8.8", "example.com", true, "a global address needs no rule here"),
    ])
    func `an address that is not global is opened by a rule that names it, or by none`(
        address: String, rule: String, allowed: Bool, why: String
    ) throws {
        let rules = Allowlist(allow: [try HostRule(rule)], deny: [])
        #expect(rules.vet(try Self.address(address), port: .https).allowed == allowed, "\(why)")
    }
}
