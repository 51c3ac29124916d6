package import BoxTypes

/// The addresses that stand for names inside: each name that the DNS responder tells gets one of
/// 198.18.0.0/15, which no host on the internet has (RFC 2544), and keeps it for the session.
///
/// The table is bounded, and an address is never given to a second name: a program that kept it from an earlier
/// answer would reach another host by it.
package struct FakeNames: Sendable {
    /// How many names there can be: at most 253 bytes each, so 16 MiB and some.
    package static let most = 65_536

    private static let base: UInt32 = 198 << 24 | 18 << 16
    /// .0 and .255 are left out: some programs take them for a network and a broadcast.
    private static let perBlock: UInt32 = 254

    private var names: [HostName] = []
    private var numbers: [HostName: UInt32] = [:]

    package init() {}

    /// The address of the name: the one that it has, or else the next free one; nil when all are given out.
    package mutating func address(of name: HostName) -> IPAddress? {
        if let number = numbers[name] { return FakeNames.address(number) }
        guard names.count < FakeNames.most else { return nil }
        let number = UInt32(names.count)
        names.append(name)
        numbers[name] = number
        return FakeNames.address(number)
    }

    /// The name that has the address; nil where it is none of these addresses or was never given out.
    package func name(at address: IPAddress) -> HostName? {
        guard FakeNames.isFake(address), case .v4(let value) = address else { return nil }
        let (block, host) = (value - FakeNames.base).quotientAndRemainder(dividingBy: 256)
        guard (1...FakeNames.perBlock).contains(host) else { return nil }
        let number = Int(block * FakeNames.perBlock + host - 1)
        return names.indices.contains(number) ? names[number] : nil
    }

    /// Whether the address lies in 198.18.0.0/15.
    package static func isFake(_ address: IPAddress) -> Bool {
        switch address {
        case .v4(let value): value >> 17 == base >> 17
        case .v6: false
        }
    }

    private static func address(_ number: UInt32) -> IPAddress {
        .v4(base + number / perBlock * 256 + number % perBlock + 1)
    }
}
