/// What an address is for, by the IANA special-purpose registries: `global`, or why it is not a host on the
/// public internet. The raw values are the words that messages and logs use.
package enum AddressClass: String, Hashable, Sendable, CaseIterable {
    case global
    case unspecified
    case thisNetwork = "this network"
    case loopback
    case `private`
    case linkLocal = "link-local"
    case shared = "carrier-grade NAT"
    case metadata = "cloud metadata"
    case protocolAssignments = "protocol assignments"
    case documentation
    case benchmarking
    case relay = "6to4 relay"
    case multicast
    case broadcast
    case reserved
    case mapped = "IPv4-mapped"
    case compatible = "IPv4-compatible"
    case translated = "IPv4-translated"
    case nat64 = "NAT64"
    case sixToFour = "6to4"
    case teredo = "Teredo"
    case discard = "discard-only"
    case orchid
    case segmentRouting = "segment routing"
    case uniqueLocal = "unique local"
    case siteLocal = "site-local"

    /// What a rule must say so that an address of the class is dialled all the same.
    package enum Opening: Hashable, Sendable {
        /// Nothing: the name's own rule is enough.
        case open
        /// A rule that names the address or a network around it.
        case network
        /// A rule that names exactly this address. A wide network must not open what is on the host itself.
        case exact
        /// No rule opens it: no host has such an address, or it is another address in disguise.
        case never
    }

    package var opening: Opening {
        switch self {
        case .global: .open
        case .private, .shared, .uniqueLocal, .documentation, .benchmarking, .siteLocal: .network
        case .loopback, .metadata, .linkLocal: .exact
        case .unspecified, .thisNetwork, .protocolAssignments, .relay, .multicast, .broadcast, .reserved,
            .mapped, .compatible, .translated, .nat64, .sixToFour, .teredo, .discard, .orchid,
            .segmentRouting:
            .never
        }
    }

    /// Classifies an address. The first line of the table that holds it counts.
    package init(of address: IPAddress) {
        switch address {
        case .v4(let value):
            self = AddressClass.v4.first { value >> (32 - $0.length) == $0.prefix }?.kind ?? .global
        case .v6(let value):
            let match = AddressClass.v6.first { value >> (128 - $0.length) == $0.prefix }
            // Only 2000::/3 is given out; everything else that has no line of its own is reserved.
            self = match?.kind ?? (value >> 125 == 0b001 ? .global : .reserved)
        }
    }

    /// The first bits, how many they are, and the class.
    private static let v4: [(prefix: UInt32, length: UInt32, kind: AddressClass)] = [
        (0x0000_0000, 32, .unspecified),
        (0x00, 8, .thisNetwork),
        (0x7F, 8, .loopback),
        (0x0A, 8, .private), (0xAC1, 12, .private), (0xC0A8, 16, .private),
        // The metadata services of AWS, GCP, Azure and others; ECS tasks; EKS pods; Azure's wire server, which
        // is a public address that the host answers; Alibaba; Oracle.
        (0xA9FE_A9FE, 32, .metadata), (0xA9FE_AA02, 32, .metadata), (0xA9FE_AA17, 32, .metadata),
        (0xA83F_8110, 32, .metadata), (0x6464_64C8, 32, .metadata), (0xC000_00C0, 32, .metadata),
        (0xA9FE, 16, .linkLocal),
        (0x191, 10, .shared),
        (0xC00000, 24, .protocolAssignments),
        (0xC00002, 24, .documentation), (0xC63364, 24, .documentation), (0xCB0071, 24, .documentation),
        (0xC05863, 24, .relay),
        (0xC612 >> 1, 15, .benchmarking),
        (0xE, 4, .multicast),
        (0xFFFF_FFFF, 32, .broadcast),
        (0xF, 4, .reserved),
    ]

    private static let v6: [(prefix: UInt128, length: UInt128, kind: AddressClass)] = [
        (0, 128, .unspecified),
        (1, 128, .loopback),
        (0xFFFF, 96, .mapped),
        (0xFFFF_0000, 96, .translated),
        (0, 96, .compatible),
        (0x0064_FF9B << 64, 96, .nat64), (0x0064_FF9B_0001, 48, .nat64),
        (0x0100 << 48, 64, .discard),
        // AWS, GCP and Oracle.
        (0xFD00_0EC2 << 96 | 0x254, 128, .metadata), (0xFD20_00CE << 96 | 0x254, 128, .metadata),
        (0xFD00_00C1 << 96 | 0xA9FE_A9FE, 128, .metadata),
        (0x2001_0000, 32, .teredo),
        (0x2001_0002 << 16, 48, .benchmarking),
        (0x2001_001, 28, .orchid), (0x2001_002, 28, .orchid), (0x2001_003, 28, .orchid),
        (0x2001_0000 >> 9, 23, .protocolAssignments),
        (0x2001_0DB8, 32, .documentation), (0x3FFF_0, 20, .documentation),
        (0x2002, 16, .sixToFour),
        (0x5F00, 16, .segmentRouting),
        (0b1111_110, 7, .uniqueLocal),
        (0b1111_1110_10, 10, .linkLocal), (0b1111_1110_11, 10, .siteLocal),
        (0xFF, 8, .multicast),
    ]
}
