import BoxTypes
import NIOCore
import ProxyParsers

/// Feeds arbitrary bytes to the reader of SOCKS conversations.
///
/// Beyond "does not crash": it does not matter in which pieces the bytes come, and a conversation ends with a target
/// that is parsed from its own text, or with none.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzSocks(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = unsafe Array(UnsafeBufferPointer(start: start, count: count))
    let whole = talk(bytes, pieces: count)
    precondition(talk(bytes, pieces: 1) == whole)
    precondition(talk(bytes, pieces: 7) == whole)
    // The answers to methods, credentials and the request.
    precondition(whole.sent.count <= 2 + 2 + 10)
    if let target = whole.target {
        precondition(whole.refusal == nil && whole.unusable == nil)
        do throws(HostRefusal) {
            let again = try HostTarget(authority: target.description)
            precondition(again == target)
        } catch { preconditionFailure(error.description) }
    }
    if let unusable = whole.unusable {
        precondition(whole.refusal != nil && unusable.host.utf8.count <= 255)
        precondition(unusable.host.unicodeScalars.allSatisfy { (0x21...0x7E).contains($0.value) })
    }
    return 0
}

private struct Talk: Equatable {
    var sent: [UInt8] = []
    var target: HostTarget?
    var refusal: String?
    var unusable: SocksReader.Unusable?
    /// How many bytes the conversation took up to the target; the tunnel begins behind them.
    var taken: Int?
}

private func talk(_ bytes: [UInt8], pieces size: Int) -> Talk {
    var talk = Talk()
    var reader = SocksReader()
    for start in stride(from: 0, to: bytes.count, by: max(size, 1)) {
        var buffer = ByteBuffer(bytes: bytes[start..<min(start + size, bytes.count)])
        let goesOn = listen(&reader, &buffer, &talk)
        if talk.target != nil { talk.taken = min(start + size, bytes.count) - buffer.readableBytes }
        guard goesOn else { break }
        precondition(buffer.readableBytes == 0)
    }
    talk.unusable = reader.unusable
    return talk
}

/// Takes all of the buffer; false at the end of the conversation.
private func listen(_ reader: inout SocksReader, _ buffer: inout ByteBuffer, _ talk: inout Talk) -> Bool {
    while true {
        switch reader.read(&buffer) {
        case .more: return true
        case .reply(let bytes): talk.sent += bytes.readableBytesView
        case .connect(let target):
            talk.target = target
            return false
        case .refused(let bytes, let text):
            talk.sent += bytes.readableBytesView
            talk.refusal = text
            return false
        }
    }
}
