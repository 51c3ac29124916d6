import BoxTypes
import NIOCore
import ProxyParsers

/// Feeds arbitrary bytes to the DNS codec and to the responder behind it.
///
/// Beyond "does not crash": a question that is read is written and read as the same; an answer fits any datagram, is
/// itself no question, has the number of the question, and gives addresses to allowed names alone.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzDNS(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let message = unsafe ByteBuffer(bytes: UnsafeBufferPointer(start: start, count: count))
    let parsed = DNSQuery.parse(message)
    if case .query(let query) = parsed {
        precondition(DNSQuery.parse(query.serialized) == .query(query))
    }
    var names = FakeNames()
    var responder = DNSResponder()
    var asked: [HostName] = []
    let (reply, denied) = responder.answer(
        message,
        rules: { name in
            asked.append(name)
            return isAllowed(name)
        }, names: &names)
    precondition((reply == nil) == (parsed == .ignored))
    precondition(asked.count <= 1 && asked.allSatisfy { $0.description == $0.description.lowercased() })
    if let denied { precondition(asked == [denied] && !isAllowed(denied)) }
    if let first = IPAddress(v4: "198.18.0.1"), let given = names.name(at: first) {
        precondition(asked == [given] && isAllowed(given))
    }
    if let reply { check(reply, of: message, denied) }
    return 0
}

/// Names with an even number of characters, so that both answers are reached.
private func isAllowed(_ name: HostName) -> Bool { name.description.utf8.count.isMultiple(of: 2) }

private func check(_ reply: ByteBuffer, of message: ByteBuffer, _ denied: HostName?) {
    let bytes = Array(reply.readableBytesView)
    precondition((12...512).contains(bytes.count))
    precondition(bytes.prefix(2).elementsEqual(message.readableBytesView.prefix(2)))
    precondition(bytes[2] & 0x80 != 0 && bytes[2] & 0x02 == 0, "an answer, and whole")
    precondition(DNSQuery.parse(reply) == .ignored, "it is never answered again")
    let code = bytes[3] & 0xF
    if denied != nil { precondition(code == 3) }
    let answers = Int(bytes[6]) << 8 | Int(bytes[7])
    precondition(answers <= 1 && (answers == 0 || code == 0))
}
