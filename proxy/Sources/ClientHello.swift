package import NIOCore

/// Reads the first message of a TLS connection and finds the server name in it (RFC 8446, RFC 6066).
///
/// The message may be spread over several records and any number of reads. Nothing is decrypted or changed.
package struct ClientHelloReader: Sendable {
    /// The longest message: hellos with post-quantum keys have about 2 KiB.
    package static let longest = 16 << 10

    /// What the bytes so far say.
    package enum Finding: Equatable, Sendable {
        case more
        /// A complete hello; nil where it names no server.
        case hello(serverName: String?)
        /// A complete hello with an encrypted part, which may name another server than the visible name. What some
        /// browsers send as a decoy (GREASE) can't be told from a real one: that is what it is for.
        case encrypted
        case notTLS
    }

    private var pending: [UInt8] = []
    private var handshake: [UInt8] = []

    package init() {}

    /// Takes the bytes that follow those of the last call.
    package mutating func read(_ bytes: ByteBufferView) -> Finding {
        pending += bytes
        while true {
            // What came so far must already look like a handshake record, so that no one waits for more of SSH.
            guard pending.prefix(2).elementsEqual([0x16, 0x03].prefix(pending.count)) else { return .notTLS }
            guard pending.count >= 5 else { return .more }
            let length = Int(pending[3]) << 8 | Int(pending[4])
            guard (1...ClientHelloReader.longest).contains(length) else { return .notTLS }
            guard pending.count >= 5 + length else {
                return pending.count + handshake.count > ClientHelloReader.longest + 5 ? .notTLS : .more
            }
            handshake += pending[5..<(5 + length)]
            pending.removeFirst(5 + length)
            if let finding = finding { return finding }
        }
    }

    /// The verdict once the message is complete; nil while it isn't.
    private var finding: Finding? {
        guard handshake.first == 1 else { return .notTLS }
        guard handshake.count >= 4 else { return nil }
        let length = Int(handshake[1]) << 16 | Int(handshake[2]) << 8 | Int(handshake[3])
        guard length <= ClientHelloReader.longest else { return .notTLS }
        guard handshake.count >= 4 + length else { return nil }
        // Nothing follows a hello in its own record before the server has answered.
        guard handshake.count == 4 + length else { return .notTLS }
        do throws(Malformed) {
            return try ClientHelloReader.finding(Cursor(handshake[4...]))
        } catch { return .notTLS }
    }

    private static func finding(_ hello: consuming Cursor) throws(Malformed) -> Finding {
        _ = try hello.take(2 + 32)
        guard try hello.vector(lengthBytes: 1).count <= 32 else { throw Malformed() }
        guard try hello.vector(lengthBytes: 2).count >= 2 else { throw Malformed() }
        guard try hello.vector(lengthBytes: 1).count >= 1 else { throw Malformed() }
        if hello.isAtEnd { return .hello(serverName: nil) }
        var extensions = Cursor(try hello.vector(lengthBytes: 2))
        guard hello.isAtEnd else { throw Malformed() }
        var seen: Set<Int> = []
        var name: String?
        while !extensions.isAtEnd {
            let kind = try extensions.number(bytes: 2)
            let content = try extensions.vector(lengthBytes: 2)
            guard seen.insert(kind).inserted else { throw Malformed() }
            if kind == 0 { name = try hostName(content) }
        }
        return seen.isDisjoint(with: encrypting) ? .hello(serverName: name) : .encrypted
    }

    /// encrypted_client_hello (RFC 9849), and encrypted_server_name of its early drafts.
    private static let encrypting: Set<Int> = [0xFE0D, 0xFFCE]

    /// Exactly one name, of type host_name.
    private static func hostName(_ content: ArraySlice<UInt8>) throws(Malformed) -> String {
        var outer = Cursor(content)
        var list = Cursor(try outer.vector(lengthBytes: 2))
        guard outer.isAtEnd, try list.number(bytes: 1) == 0 else { throw Malformed() }
        let name = try list.vector(lengthBytes: 2)
        guard list.isAtEnd, !name.isEmpty, name.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw Malformed()
        }
        return String(decoding: name.map(\.lowered), as: UTF8.self)
    }
}

/// The bytes are not what their lengths say.
private struct Malformed: Error {}

/// Reads numbers and length-prefixed vectors; every read checks its bounds.
private struct Cursor {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func take(_ count: Int) throws(Malformed) -> ArraySlice<UInt8> {
        guard count <= rest.count else { throw Malformed() }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }

    mutating func number(bytes: Int) throws(Malformed) -> Int {
        try take(bytes).reduce(0) { $0 << 8 | Int($1) }
    }

    mutating func vector(lengthBytes: Int) throws(Malformed) -> ArraySlice<UInt8> {
        try take(try number(bytes: lengthBytes))
    }
}
