import BoxAudit
import BoxProxy
import BoxTypes
import NIOCore

/// Rules from their texts.
func networkRules(_ allow: [String], deny: [String] = []) throws -> NetworkRules {
    NetworkRules(allow: try allow.map { try HostRule($0) }, deny: try deny.map { try HostRule($0) })
}

/// What connections are judged by, from the texts of rules.
func doorRules(_ allow: [String], deny: [String] = [], hosts: [HostSettings] = []) throws -> DoorRules {
    var network = try networkRules(allow, deny: deny)
    network.hosts = hosts
    return DoorRules(Allowlist(network))
}

extension ByteBuffer {
    var text: String { String(decoding: readableBytesView, as: UTF8.self) }
}

extension [ProxyConnection.Action] {
    /// What goes to the client, as one text.
    var toClient: String {
        map { if case .toClient(let bytes) = $0 { bytes.text } else { "" } }.joined()
    }

    /// What goes to the server, with the first bytes of a relayed tunnel.
    var toUpstream: String {
        map {
            switch $0 {
            case .toUpstream(let bytes), .relay(_, early: let bytes): bytes.text
            default: ""
            }
        }.joined()
    }

    /// Whether the tunnel goes to the relay.
    var relays: Bool { contains { if case .relay = $0 { true } else { false } } }

    var status: Int? { Int(toClient.split(separator: " ").dropFirst().first ?? "") }

    var events: [Event] { compactMap { if case .log(let event) = $0 { event } else { nil } } }

    var lookups: [Host] { compactMap { if case .resolve(let host) = $0 { host } else { nil } } }

    var closes: [String?] {
        compactMap { if case .logClose(_, let detail) = $0 { .some(detail) } else { nil } }
    }
}

extension Event {
    func text(_ name: String) -> String? {
        for field in fields where field.name == name {
            if case .text(let value) = field.value { return value }
        }
        return nil
    }
}

/// A TLS ClientHello, built by hand so that single fields can be wrong.
struct Hello {
    var name: String? = "github.com"
    var extraExtensions: [[UInt8]] = []
    var nameType: UInt8 = 0

    /// The handshake message without record headers.
    var message: [UInt8] {
        var extensions: [UInt8] = []
        if let name {
            let entry = [nameType] + Hello.vector(Array(name.utf8), 2)
            extensions += [0, 0] + Hello.vector(Hello.vector(entry, 2), 2)
        }
        for raw in extraExtensions { extensions += raw }
        let body: [UInt8] =
            [3, 3] + [UInt8](repeating: 7, count: 32) + Hello.vector([1, 2, 3], 1)
            + Hello.vector([0x13, 1], 2)
            + Hello.vector([0], 1) + Hello.vector(extensions, 2)
        return [1] + Hello.vector(body, 3)
    }

    /// The message in records of at most `size` bytes.
    func records(of size: Int = 16384) -> [UInt8] {
        stride(from: 0, to: message.count, by: size).flatMap { start in
            [0x16, 3, 1] + Hello.vector(Array(message[start..<min(start + size, message.count)]), 2)
        }
    }

    static func vector(_ content: [UInt8], _ lengthBytes: Int) -> [UInt8] {
        (0..<lengthBytes).map { UInt8(truncatingIfNeeded: content.count >> (8 * (lengthBytes - 1 - $0))) }
            + content
    }
}
