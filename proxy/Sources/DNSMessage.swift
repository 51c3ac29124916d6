package import NIOCore

/// A question as a resolver sends it (RFC 1035): one name, one type, one class, and perhaps EDNS (RFC 6891).
package struct DNSQuery: Equatable, Sendable {
    package let id: UInt16
    package let wantsRecursion: Bool
    /// The labels as they were sent, in their mixed case.
    package let labels: [[UInt8]]
    package let type: UInt16
    package let recordClass: UInt16
    /// The EDNS version; nil where the question has no EDNS.
    package let edns: UInt8?

    package init(
        id: UInt16, wantsRecursion: Bool = true, labels: [[UInt8]], type: UInt16, recordClass: UInt16 = 1,
        edns: UInt8? = nil
    ) {
        self.id = id
        self.wantsRecursion = wantsRecursion
        self.labels = labels
        self.type = type
        self.recordClass = recordClass
        self.edns = edns
    }

    /// What a message turned out to be.
    package enum Parsed: Equatable, Sendable {
        case query(DNSQuery)
        /// It has a header, but what follows is not one question: answered with this code.
        case refused(DNSHeader, DNSCode)
        /// No header, or an answer: answering these would let two programs play tennis.
        case ignored
    }

    /// Reads a message. Everything in it must be accounted for: one question without compression, no records
    /// but one of EDNS, and no bytes behind.
    package static func parse(_ message: ByteBuffer) -> Parsed {
        var reader = DNSReader(message)
        guard let header = reader.header(), !header.isResponse else { return .ignored }
        guard header.operation == 0 else { return .refused(header, .notImplemented) }
        guard header.counts.first == 1, header.counts[1...2] == [0, 0], header.counts[3] <= 1,
            let labels = reader.name(), let type = reader.number(), let recordClass = reader.number()
        else { return .refused(header, .formatError) }
        var edns: UInt8?
        if header.counts[3] == 1 {
            guard let version = reader.edns() else { return .refused(header, .formatError) }
            edns = version
        }
        guard reader.isAtEnd else { return .refused(header, .formatError) }
        return .query(
            DNSQuery(
                id: header.id, wantsRecursion: header.wantsRecursion, labels: labels, type: type,
                recordClass: recordClass, edns: edns))
    }

    /// The question as a message.
    package var serialized: ByteBuffer {
        var out = ByteBuffer()
        let flags: UInt16 = wantsRecursion ? 1 << 8 : 0
        out.writeMultipleIntegers(id, flags, UInt16(1), UInt16(0), UInt16(0), UInt16(edns == nil ? 0 : 1))
        write(to: &out)
        if let edns { out.writeEDNS(version: edns, extendedCode: 0) }
        return out
    }

    /// Writes the question section.
    func write(to out: inout ByteBuffer) {
        out.writeName(labels)
        out.writeMultipleIntegers(type, recordClass)
    }
}

/// The first twelve bytes of a message.
package struct DNSHeader: Equatable, Sendable {
    package let id: UInt16
    package let flags: UInt16
    /// Questions, answers, authorities, additional records.
    package let counts: [UInt16]

    package var isResponse: Bool { flags >> 15 == 1 }
    package var operation: UInt16 { flags >> 11 & 0xF }
    package var wantsRecursion: Bool { flags >> 8 & 1 == 1 }
}

/// The response codes that are used here (RFC 1035, RFC 6891).
package enum DNSCode: UInt16, Sendable {
    case noError = 0
    case formatError = 1
    case serverFailure = 2
    case nameError = 3
    case notImplemented = 4
    case refused = 5
    /// Its upper bits stand in the EDNS record.
    case badVersion = 16
}

/// The record types that are told apart here.
package enum DNSType {
    package static let a: UInt16 = 1
    package static let soa: UInt16 = 6
    package static let ptr: UInt16 = 12
    package static let aaaa: UInt16 = 28
    package static let opt: UInt16 = 41
    package static let any: UInt16 = 255
}

/// An answer to one question: no record, or one for the name that was asked about.
package struct DNSReply: Equatable, Sendable {
    /// The one record that answers.
    package struct Record: Equatable, Sendable {
        package let type: UInt16
        package let data: [UInt8]
    }

    /// Seconds. Short, because rules change while programs run; the other is for what does not exist, which the
    /// user may allow in the next moment.
    package static let positiveLife: UInt32 = 5
    package static let negativeLife: UInt32 = 1
    /// What this end takes and sends in one datagram (RFC 9715 has this as the value that is never fragmented).
    static let payload: UInt16 = 1232

    package let query: DNSQuery
    package let code: DNSCode
    package let record: Record?

    init(_ query: DNSQuery, _ code: DNSCode, _ record: Record? = nil) {
        self.query = query
        self.code = code
        self.record = record
    }

    /// Whether a resolver may keep that there is no such name or record.
    private var isNegative: Bool { record == nil && (code == .noError || code == .nameError) }

    /// The answer as a message. The longest has fewer than 512 bytes, so that none is ever truncated: a question
    /// of at most 259, and one record whose data is at most a name or the few bytes of the SOA.
    package var serialized: ByteBuffer {
        var out = ByteBuffer()
        // An answer; authoritative where it says something about a name; recursion is "available", because stub
        // resolvers turn away from servers without it.
        var flags: UInt16 = 1 << 15 | 1 << 7 | code.rawValue & 0xF
        if query.wantsRecursion { flags |= 1 << 8 }
        if record != nil || isNegative { flags |= 1 << 10 }
        out.writeMultipleIntegers(
            query.id, flags, UInt16(1), UInt16(record == nil ? 0 : 1), UInt16(isNegative ? 1 : 0),
            UInt16(query.edns == nil ? 0 : 1))
        query.write(to: &out)
        if let record {
            // A pointer to the question's name, so that its case comes back as it was sent.
            out.writeMultipleIntegers(UInt16(0xC00C), record.type, UInt16(1), DNSReply.positiveLife)
            out.writeVector(record.data)
        }
        if isNegative { out.writeStartOfAuthority() }
        if query.edns != nil {
            out.writeEDNS(version: 0, extendedCode: UInt8(truncatingIfNeeded: code.rawValue >> 4))
        }
        return out
    }

    /// The answer to what is no question: a header alone.
    static func refusal(_ header: DNSHeader, _ code: DNSCode) -> ByteBuffer {
        var out = ByteBuffer()
        let kept = header.flags & (0xF << 11 | 1 << 8)
        out.writeMultipleIntegers(header.id, 1 << 15 | kept | 1 << 7 | code.rawValue & 0xF)
        out.writeRepeatingByte(0, count: 8)
        return out
    }
}

/// Reads a message; every read checks its bounds.
private struct DNSReader {
    private var rest: ByteBuffer

    init(_ message: ByteBuffer) { rest = message }

    var isAtEnd: Bool { rest.readableBytes == 0 }

    mutating func number() -> UInt16? { rest.readInteger() }

    mutating func header() -> DNSHeader? {
        guard rest.readableBytes >= 12, let id = number(), let flags = number() else { return nil }
        var counts: [UInt16] = []
        for _ in 0..<4 {
            guard let count = number() else { return nil }
            counts.append(count)
        }
        return DNSHeader(id: id, flags: flags, counts: counts)
    }

    /// A name without compression: in a question there is nothing to point to.
    mutating func name() -> [[UInt8]]? {
        var labels: [[UInt8]] = []
        var size = 1
        while let length = rest.readInteger(as: UInt8.self) {
            if length == 0 { return labels }
            size += 1 + Int(length)
            guard length <= 63, size <= 255, let label = rest.readBytes(length: Int(length)) else {
                return nil
            }
            labels.append(label)
        }
        return nil
    }

    /// The version in an EDNS record; nil where this is another record or it is broken. Its options must be well
    /// formed, but none has a meaning here.
    mutating func edns() -> UInt8? {
        guard rest.readInteger() == UInt8(0), number() == DNSType.opt, number() != nil,
            rest.readInteger(as: UInt8.self) != nil, let version = rest.readInteger(as: UInt8.self),
            number() != nil, let length = number(), var options = rest.readSlice(length: Int(length))
        else { return nil }
        while options.readableBytes > 0 {
            guard options.readInteger(as: UInt16.self) != nil,
                let size = options.readInteger(as: UInt16.self),
                options.readSlice(length: Int(size)) != nil
            else { return nil }
        }
        return version
    }
}

extension ByteBuffer {
    fileprivate mutating func writeName(_ labels: [[UInt8]]) { writeBytes(labels.dnsName) }

    fileprivate mutating func writeVector(_ bytes: [UInt8]) {
        writeInteger(UInt16(truncatingIfNeeded: bytes.count))
        writeBytes(bytes)
    }

    /// Says how long "there is none" holds (RFC 2308). It is the root's, which is above every name.
    fileprivate mutating func writeStartOfAuthority() {
        writeMultipleIntegers(UInt8(0), DNSType.soa, UInt16(1), DNSReply.negativeLife)
        var data = ByteBuffer()
        data.writeName([Array("box".utf8), Array("invalid".utf8)])
        data.writeName([Array("nobody".utf8), Array("invalid".utf8)])
        let life = DNSReply.negativeLife
        // Serial, refresh, retry, expire, minimum: no one transfers this zone.
        data.writeMultipleIntegers(UInt32(1), life, life, life, life)
        writeVector(Array(data.readableBytesView))
    }

    fileprivate mutating func writeEDNS(version: UInt8, extendedCode: UInt8) {
        writeMultipleIntegers(
            UInt8(0), DNSType.opt, DNSReply.payload, extendedCode, version, UInt16(0), UInt16(0))
    }
}

extension [[UInt8]] {
    /// The labels of a name as messages have them, without compression. A label has at most 63 bytes.
    package var dnsName: [UInt8] { flatMap { [UInt8(truncatingIfNeeded: $0.count)] + $0 } + [0] }
}
