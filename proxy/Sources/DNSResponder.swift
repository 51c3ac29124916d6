package import BoxTypes
package import NIOCore

/// Answers the resolvers inside, out of the rules alone: a name that a rule names has an address of its own, every
/// other name does not exist. Nothing is ever asked of another server, so that nothing leaves by a name.
package struct DNSResponder: Sendable {
    package init() {}

    /// Answers one message.
    ///
    /// - Parameters:
    ///   - rules: whether any rule allows the name, on whatever port.
    ///   - names: where a name's address comes from.
    /// - Returns: what to send back, nil for nothing, and the name that was refused, where it is a host name.
    package mutating func answer(
        _ query: ByteBuffer, rules: (HostName) -> Bool, names: inout FakeNames
    ) -> (reply: ByteBuffer?, denied: HostName?) {
        switch DNSQuery.parse(query) {
        case .ignored: return (nil, nil)
        case .refused(let header, let code): return (DNSReply.refusal(header, code), nil)
        case .query(let query):
            let (reply, denied) = answer(query, rules, &names)
            return (reply.serialized, denied)
        }
    }

    private func answer(
        _ query: DNSQuery, _ rules: (HostName) -> Bool, _ names: inout FakeNames
    ) -> (DNSReply, HostName?) {
        guard query.edns ?? 0 == 0 else { return (DNSReply(query, .badVersion), nil) }
        guard query.recordClass == 1 else { return (DNSReply(query, .refused), nil) }
        guard query.type != DNSType.opt else { return (DNSReply(query, .formatError), nil) }
        guard let name = HostName(labels: query.labels) else { return (DNSReply(query, .nameError), nil) }
        if name == .localhost || name.isSubdomain(of: .localhost) { return (loopback(query), nil) }
        if let address = name.reverseAddress { return (reverse(query, names.name(at: address)), nil) }
        guard rules(name) else { return (DNSReply(query, .nameError), name) }
        guard query.type == DNSType.a || query.type == DNSType.any else {
            // IPv6, HTTPS records and all the rest: the name exists, but has none of these.
            return (DNSReply(query, .noError), nil)
        }
        guard let address = names.address(of: name) else { return (DNSReply(query, .serverFailure), nil) }
        return (DNSReply(query, .noError, .address(address)), nil)
    }

    /// RFC 6761: the loopback, whatever the rules say. Where it leads to is decided when something connects.
    private func loopback(_ query: DNSQuery) -> DNSReply {
        switch query.type {
        case DNSType.a, DNSType.any: DNSReply(query, .noError, .address(.v4(0x7F00_0001)))
        case DNSType.aaaa: DNSReply(query, .noError, .address(.v6(1)))
        default: DNSReply(query, .noError)
        }
    }

    /// Which name has an address; only of those that were given out here.
    private func reverse(_ query: DNSQuery, _ name: HostName?) -> DNSReply {
        guard let name else { return DNSReply(query, .nameError) }
        guard query.type == DNSType.ptr || query.type == DNSType.any else { return DNSReply(query, .noError) }
        let data = name.description.utf8.split(separator: UInt8(ascii: ".")).map(Array.init).dnsName
        return DNSReply(query, .noError, DNSReply.Record(type: DNSType.ptr, data: data))
    }
}

extension DNSReply.Record {
    /// An A or AAAA record.
    fileprivate static func address(_ address: IPAddress) -> DNSReply.Record {
        var data = ByteBuffer()
        switch address {
        case .v4(let value): data.writeInteger(value)
        case .v6(let value): data.writeInteger(value)
        }
        let type = data.readableBytes == 4 ? DNSType.a : DNSType.aaaa
        return DNSReply.Record(type: type, data: Array(data.readableBytesView))
    }
}

extension HostName {
    /// The name of these labels. A dot within a label is refused: in text it would look like two labels.
    fileprivate init?(labels: [[UInt8]]) {
        guard !labels.contains(where: { $0.contains(UInt8(ascii: ".")) }) else { return nil }
        let text = String(decoding: Array(labels.joined(separator: [UInt8(ascii: ".")])), as: UTF8.self)
        do throws(HostRefusal) { self = try HostName(text) } catch { return nil }
    }

    /// The address that `4.3.2.1.in-addr.arpa` asks about, or 32 hexadecimal digits below `ip6.arpa`; nil where
    /// this is no such name.
    fileprivate var reverseAddress: IPAddress? {
        let parts = description.split(separator: ".")
        if parts.count == 6, parts.suffix(2) == ["in-addr", "arpa"] {
            return IPAddress(v4: parts.prefix(4).reversed().joined(separator: "."))
        }
        guard parts.count == 34, parts.suffix(2) == ["ip6", "arpa"] else { return nil }
        var value: UInt128 = 0
        for digit in parts.prefix(32).reversed() {
            guard digit.utf8.count == 1, let number = UInt128(digit, radix: 16) else { return nil }
            value = value << 4 | number
        }
        return .v6(value)
    }
}
