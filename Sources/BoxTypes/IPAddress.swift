/// An IPv4 or IPv6 address as a number, in network order.
package enum IPAddress: Hashable, Sendable, CustomStringConvertible {
    case v4(UInt32)
    case v6(UInt128)

    /// Parses dotted decimal: four numbers up to 255 without leading zeros, nothing else.
    package init?(v4 text: some StringProtocol) {
        guard let value = IPAddress.dotted(Array(text.utf8)[...]) else { return nil }
        self = .v4(value)
    }

    /// Parses IPv6 in its canonical spelling (RFC 5952; capitals are lowered). Other spellings of the same
    /// address are refused, so that one address is one text in rules, requests and logs. A zone is refused.
    package init?(v6 text: some StringProtocol) {
        let bytes = text.utf8.map(\.lowercased)
        guard bytes.count <= 45, let value = IPAddress.groups(bytes) else { return nil }
        let address = IPAddress.v6(value)
        guard address.description.utf8.elementsEqual(bytes) else { return nil }
        self = address
    }

    /// Parses IPv6 in any spelling, for messages that tell the canonical one.
    package static func canonicalSpelling(of text: some StringProtocol) -> String? {
        IPAddress.groups(text.utf8.map(\.lowercased)).map { IPAddress.v6($0).description }
    }

    private static func dotted(_ text: ArraySlice<UInt8>) -> UInt32? {
        let parts = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var value: UInt32 = 0
        for part in parts {
            guard (1...3).contains(part.count), part.allSatisfy(\.isDigit),
                part.count == 1 || part.first != UInt8(ascii: "0")
            else { return nil }
            let number = part.reduce(UInt32(0)) { $0 * 10 + UInt32($1 - UInt8(ascii: "0")) }
            guard number <= 255 else { return nil }
            value = value << 8 | number
        }
        return value
    }

    private static func groups(_ text: [UInt8]) -> UInt128? {
        let colon = UInt8(ascii: ":")
        // "::" at most once; it stands for at least one group.
        var gap: Int?
        for index in text.indices.dropLast() where text[index] == colon && text[index + 1] == colon {
            guard gap == nil else { return nil }
            gap = index
        }
        guard let gap else {
            guard let all = halves(text[...]), all.count == 8 else { return nil }
            return number(all)
        }
        guard let head = halves(text[..<gap]), let tail = halves(text[(gap + 2)...]),
            head.count + tail.count <= 7
        else { return nil }
        let zeros = [UInt16](repeating: 0, count: 8 - head.count - tail.count)
        return number(head + zeros + tail)
    }

    private static func number(_ groups: [UInt16]) -> UInt128 {
        groups.reduce(UInt128(0)) { $0 << 16 | UInt128($1) }
    }

    /// The 16-bit groups of one side of `::`; the last may be dotted decimal.
    private static func halves(_ text: ArraySlice<UInt8>) -> [UInt16]? {
        guard !text.isEmpty else { return [] }
        let parts = text.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        var groups: [UInt16] = []
        for (index, part) in parts.enumerated() {
            if index == parts.count - 1, part.contains(UInt8(ascii: ".")) {
                guard let value = dotted(part) else { return nil }
                groups += [UInt16(truncatingIfNeeded: value >> 16), UInt16(truncatingIfNeeded: value)]
                continue
            }
            guard (1...4).contains(part.count), part.allSatisfy(\.isHexadecimal),
                let group = UInt16(String(decoding: part, as: UTF8.self), radix: 16)
            else { return nil }
            groups.append(group)
        }
        return groups
    }

    package var description: String {
        switch self {
        case .v4(let value): IPAddress.dotted(value)
        case .v6(let value): IPAddress.canonical(value)
        }
    }

    private static func dotted(_ value: UInt32) -> String {
        "\(value >> 24).\(value >> 16 & 0xFF).\(value >> 8 & 0xFF).\(value & 0xFF)"
    }

    /// RFC 5952: the longest run of two or more zero groups, the first of equals, is `::`.
    private static func canonical(_ value: UInt128) -> String {
        if value >> 32 == 0xFFFF { return "::ffff:" + dotted(UInt32(truncatingIfNeeded: value)) }
        let groups = (0..<8).map { UInt16(truncatingIfNeeded: value >> (16 * UInt128(7 - $0))) }
        var best = 0..<0
        var start = 0
        while start < 8 {
            let end = groups[start...].firstIndex { $0 != 0 } ?? 8
            if end - start > max(best.count, 1) { best = start..<end }
            start = max(end, start) + 1
        }
        let text = groups.map { String($0, radix: 16) }
        if best.isEmpty { return text.joined(separator: ":") }
        return text[..<best.lowerBound].joined(separator: ":") + "::"
            + text[best.upperBound...].joined(separator: ":")
    }

    /// The address in a host and port text: IPv6 in brackets.
    package var bracketed: String {
        switch self {
        case .v4: description
        case .v6: "[\(description)]"
        }
    }
}

/// An address range: the first bits of an address.
package struct IPNetwork: Hashable, Sendable, CustomStringConvertible {
    package let base: IPAddress
    package let length: Int

    /// The network, unless the length is too long for the family or the base has bits behind it.
    package init?(_ base: IPAddress, length: Int) {
        switch base {
        case .v4(let value):
            guard (0...32).contains(length), value & ~IPNetwork.mask4(length) == 0 else { return nil }
        case .v6(let value):
            guard (0...128).contains(length), value & ~IPNetwork.mask6(length) == 0 else { return nil }
        }
        self.base = base
        self.length = length
    }

    /// A network that is known to be one.
    init(trusted base: IPAddress, length: Int) {
        self.base = base
        self.length = length
    }

    /// Whether the address is of the same family and in the range.
    package func contains(_ address: IPAddress) -> Bool {
        switch (base, address) {
        case (.v4(let base), .v4(let value)): value & IPNetwork.mask4(length) == base
        case (.v6(let base), .v6(let value)): value & IPNetwork.mask6(length) == base
        case (.v4, .v6), (.v6, .v4): false
        }
    }

    private static func mask4(_ length: Int) -> UInt32 { length == 0 ? 0 : ~0 << UInt32(32 - length) }
    private static func mask6(_ length: Int) -> UInt128 { length == 0 ? 0 : ~0 << UInt128(128 - length) }

    package var description: String { "\(base)/\(length)" }
}

extension UInt8 {
    fileprivate var isHexadecimal: Bool {
        isDigit || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(lowercased)
    }
}
