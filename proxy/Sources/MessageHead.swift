package import NIOCore

/// Why a head or a body is refused, and with which status.
package struct HTTPRefusal: Error, Equatable, Sendable {
    package let status: Int
    /// For people; never contains text of the peer.
    package let explanation: String

    package init(_ explanation: String, status: Int = 400) {
        self.status = status
        self.explanation = explanation
    }
}

/// One header field.
package struct Field: Equatable, Sendable {
    /// As it was written, for forwarding.
    package let name: String
    /// The name in lower case, for comparing.
    package let key: String
    package let value: [UInt8]

    /// Parses `name: value`. The name is a token and the colon follows at once (RFC 9112, 5.1): proxies that
    /// took `name :` for the same field have been used for request smuggling.
    init(line: [UInt8]) throws(HTTPRefusal) {
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > 0,
            line[..<colon].allSatisfy(\.isTokenByte)
        else { throw HTTPRefusal("a header line is not a name, a colon and a value") }
        name = String(decoding: line[..<colon], as: UTF8.self)
        key = String(decoding: line[..<colon].map(\.lowered), as: UTF8.self)
        value = Array(line[(colon + 1)...].trimmed)
    }

    /// The value as lower-case text, for the fields whose values are tokens.
    var token: String { String(decoding: value.map(\.lowered), as: UTF8.self) }

    /// The comma-separated tokens of the value, in lower case.
    var tokens: [String] {
        value.split(separator: UInt8(ascii: ",")).map { part in
            String(decoding: part.trimmed.map(\.lowered), as: UTF8.self)
        }
    }
}

/// The first line and the fields of a message, split but not yet understood.
package struct MessageHead: Equatable, Sendable {
    package let startLine: [UInt8]
    package let fields: [Field]

    /// The fields of this name; the name in lower case.
    func all(_ key: String) -> [Field] { fields.filter { $0.key == key } }

    /// The fields that may be forwarded: those that are about one connection only are left out, also those that
    /// `Connection` names, and those that the proxy writes itself.
    var endToEnd: [Field] {
        let named = Set(all("connection").flatMap(\.tokens))
        return fields.filter { field in
            !MessageHead.hopByHop.contains(field.key) && !named.contains(field.key)
                && !field.key.hasPrefix("proxy-")
        }
    }

    private static let hopByHop: Set<String> = [
        "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "host", "content-length",
        "http2-settings",
    ]
}

/// Reads a message head byte by byte and refuses it at the first byte that is wrong.
///
/// Lines end with CR LF and nothing else; there are no continued lines, no control characters and no empty line
/// before the first. Whatever two parsers could read differently is refused.
package struct HeadReader: Sendable {
    package static let longestLine = 8 << 10
    package static let longestHead = 32 << 10
    package static let mostFields = 100

    private var line: [UInt8] = []
    private var startLine: [UInt8]?
    private var fields: [Field] = []
    private var count = 0
    private var sawCarriageReturn = false

    package init() {}

    /// Whether any byte has come.
    package var isEmpty: Bool { count == 0 }

    /// Takes bytes up to the end of the head; what follows stays in the buffer. Nil: more is needed.
    package mutating func read(_ buffer: inout ByteBuffer) throws(HTTPRefusal) -> MessageHead? {
        var taken = 0
        defer { buffer.moveReaderIndex(forwardBy: taken) }
        for byte in buffer.readableBytesView {
            taken += 1
            if let head = try take(byte) { return head }
        }
        return nil
    }

    private mutating func take(_ byte: UInt8) throws(HTTPRefusal) -> MessageHead? {
        count += 1
        guard count <= HeadReader.longestHead else {
            throw HTTPRefusal("the header is longer than 32 KiB", status: 431)
        }
        if sawCarriageReturn {
            guard byte == 0x0A else { throw HTTPRefusal("a carriage return without a line feed") }
            sawCarriageReturn = false
            return try endLine()
        }
        switch byte {
        case 0x0D: sawCarriageReturn = true
        case 0x09, 0x20...0x7E, 0x80...0xFF:
            line.append(byte)
            guard line.count <= HeadReader.longestLine else {
                let isFirst = startLine == nil
                throw HTTPRefusal("a line is longer than 8 KiB", status: isFirst ? 414 : 431)
            }
        default: throw HTTPRefusal("a control character in the header")
        }
        return nil
    }

    private mutating func endLine() throws(HTTPRefusal) -> MessageHead? {
        defer { line.removeAll(keepingCapacity: true) }
        guard let startLine else {
            guard !line.isEmpty else { throw HTTPRefusal("an empty line before the request") }
            startLine = line
            return nil
        }
        if line.isEmpty { return MessageHead(startLine: startLine, fields: fields) }
        guard fields.count < HeadReader.mostFields else {
            throw HTTPRefusal("more than 100 header lines", status: 431)
        }
        fields.append(try Field(line: line))
        return nil
    }
}

extension UInt8 {
    /// RFC 9110, 5.6.2.
    fileprivate var isTokenByte: Bool {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"):
            true
        default: "!#$%&'*+-.^_`|~".utf8.contains(self)
        }
    }

    /// An ASCII capital as its small letter.
    var lowered: UInt8 { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(self) ? self | 0x20 : self }
}

extension ArraySlice<UInt8> {
    /// Without spaces and tabs at both ends.
    fileprivate var trimmed: ArraySlice<UInt8> {
        let isBlank = { (byte: UInt8) in byte == 0x20 || byte == 0x09 }
        guard let first = firstIndex(where: { !isBlank($0) }), let last = lastIndex(where: { !isBlank($0) })
        else { return [] }
        return self[first...last]
    }
}
