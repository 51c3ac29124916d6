package import BoxTypes
package import NIOCore

/// Reads what a SOCKS5 client says before its tunnel begins (RFC 1928): the methods, and one CONNECT request.
///
/// No authentication is wanted; a client that insists on a name and a password (RFC 1929) may send any, and they
/// are forgotten at once. Only the present message is kept, and none is longer than 513 bytes. What follows the
/// request stays in the caller's buffer.
package struct SocksReader: Sendable {
    /// What the bytes so far ask for.
    package enum Progress: Equatable, Sendable {
        /// More bytes are needed.
        case more
        /// Send this, then go on with the same reader and buffer.
        case reply(ByteBuffer)
        /// The request. The caller answers it with `SocksReader.reply`.
        case connect(HostTarget)
        /// Send this, which may be empty, then close. The text is for the log; it holds nothing of the client's.
        case refused(ByteBuffer, String)
    }

    /// The answers to a request (RFC 1928, 6).
    package enum Code: UInt8, Sendable, CaseIterable {
        case succeeded = 0
        case failure = 1
        case notAllowed = 2
        case networkUnreachable = 3
        case hostUnreachable = 4
        case refused = 5
        case ttlExpired = 6
        case commandNotSupported = 7
        case addressNotSupported = 8
    }

    /// A well-formed request for what can name no host on the network: `printer`, `127.1`.
    package struct Unusable: Equatable, Sendable {
        /// In lower case.
        package let host: String
        package let port: Port
        package let why: String
    }

    /// Set together with `refused` where the reason is the host's name, so that the caller can tell what it was.
    package private(set) var unusable: Unusable?

    private enum State: Sendable { case methods, credentials, request, over }

    private struct Refusal: Error {
        var answer = ByteBuffer()
        let text: String
    }

    private var state = State.methods
    private var message: [UInt8] = []

    package init() {}

    /// Takes bytes up to the end of the present message; what follows stays in the buffer.
    package mutating func read(_ bytes: inout ByteBuffer) -> Progress {
        do throws(Refusal) {
            while true {
                let wanted = try size()
                if message.count == wanted { return try complete() }
                let part = min(wanted - message.count, bytes.readableBytes)
                guard part > 0, let taken = bytes.readBytes(length: part) else { return .more }
                message += taken
            }
        } catch {
            state = .over
            message = []
            return .refused(error.answer, error.text)
        }
    }

    /// The answer to a request. The address that the host's side has is not told.
    package static func reply(_ code: Code) -> ByteBuffer {
        ByteBuffer(bytes: [5, code.rawValue, 0, 1, 0, 0, 0, 0, 0, 0])
    }

    /// How long the present message is, or how many bytes it takes to know more; refuses at the first wrong byte.
    private func size() throws(Refusal) -> Int {
        switch state {
        case .methods: try methodsSize()
        case .credentials: try credentialsSize()
        case .request: try requestSize()
        case .over: throw Refusal(text: "bytes behind the end of the SOCKS handshake")
        }
    }

    private mutating func complete() throws(Refusal) -> Progress {
        defer { message = [] }
        switch state {
        case .methods: return try chooseMethod()
        case .credentials:
            state = .request
            return .reply(ByteBuffer(bytes: [1, 0]))
        case .request:
            let target = try target()
            state = .over
            return .connect(target)
        case .over: return .more
        }
    }

    // MARK: Methods and credentials

    private func methodsSize() throws(Refusal) -> Int {
        guard let version = message.first else { return 2 }
        guard version != 4 else {
            // The answer of SOCKS4 for "rejected or failed", so that its client says so too.
            let rejected: [UInt8] = [0, 91, 0, 0, 0, 0, 0, 0]
            throw Refusal(answer: ByteBuffer(bytes: rejected), text: "SOCKS4: only SOCKS5 is spoken here")
        }
        guard version == 5 else { throw Refusal(text: "not SOCKS5") }
        return message.count < 2 ? 2 : 2 + Int(message[1])
    }

    private mutating func chooseMethod() throws(Refusal) -> Progress {
        let offered = message.dropFirst(2)
        if offered.contains(0) {
            state = .request
            return .reply(ByteBuffer(bytes: [5, 0]))
        }
        guard offered.contains(2) else {
            throw Refusal(answer: ByteBuffer(bytes: [5, 0xFF]), text: "no SOCKS method that is spoken here")
        }
        state = .credentials
        return .reply(ByteBuffer(bytes: [5, 2]))
    }

    private func credentialsSize() throws(Refusal) -> Int {
        guard let version = message.first else { return 2 }
        guard version == 1 else { throw Refusal(text: "broken SOCKS credentials") }
        guard message.count >= 2 else { return 2 }
        let password = 2 + Int(message[1])
        return message.count <= password ? password + 1 : password + 1 + Int(message[password])
    }

    // MARK: The request

    private func requestSize() throws(Refusal) -> Int {
        guard let version = message.first else { return 5 }
        guard version == 5 else { throw Refusal(text: "broken SOCKS request") }
        guard message.count >= 5 else { return 5 }
        guard message[2] == 0 else { throw refusal(.failure, "a reserved byte of the SOCKS request is set") }
        switch message[3] {
        case 1: return 4 + 4 + 2
        case 3: return 4 + 1 + Int(message[4]) + 2
        case 4: return 4 + 16 + 2
        default: throw refusal(.addressNotSupported, "a SOCKS address of an unknown type")
        }
    }

    /// Understands the complete request.
    private mutating func target() throws(Refusal) -> HostTarget {
        switch message[1] {
        case 1: break
        case 2: throw refusal(.commandNotSupported, "SOCKS BIND is not offered")
        case 3: throw refusal(.commandNotSupported, "SOCKS UDP ASSOCIATE is not offered")
        default: throw refusal(.commandNotSupported, "an unknown SOCKS command")
        }
        let number = message.suffix(2).reduce(UInt16(0)) { $0 << 8 | UInt16($1) }
        guard let port = Port(number) else { throw refusal(.failure, "port 0") }
        let address = message[4..<(message.count - 2)]
        switch message[3] {
        case 1: return HostTarget(host: .address(.v4(UInt32(truncatingIfNeeded: address.number))), port: port)
        case 4: return HostTarget(host: .address(.v6(address.number)), port: port)
        default: return HostTarget(host: try host(address.dropFirst(), port), port: port)
        }
    }

    /// A domain is parsed as any host is. Bytes that are no text become characters that no host name has.
    private mutating func host(_ name: ArraySlice<UInt8>, _ port: Port) throws(Refusal) -> Host {
        let text = String(decoding: name, as: UTF8.self)
        do throws(HostRefusal) { return try Host(text) } catch {
            switch error.kind {
            case .malformed: throw refusal(.failure, "the SOCKS target is not a host")
            case .unusable:
                unusable = Unusable(host: text.lowercased(), port: port, why: error.description)
                throw refusal(.notAllowed, "the SOCKS target can name no host on the network")
            }
        }
    }

    private func refusal(_ code: Code, _ text: String) -> Refusal {
        Refusal(answer: SocksReader.reply(code), text: text)
    }
}

extension ArraySlice<UInt8> {
    /// The bytes as one number, in network order.
    fileprivate var number: UInt128 { reduce(0) { $0 << 8 | UInt128($1) } }
}
