import BoxTypes
import NIOCore
import ProxyParsers

/// Feeds arbitrary bytes to the reader of TLS hellos.
///
/// Beyond "does not crash": it does not matter in which pieces the bytes come, a name has no other characters than
/// the ones that can be compared, and nobody waits for more than the longest hello.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzHello(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = unsafe Array(UnsafeBufferPointer(start: start, count: count))
    let whole = read(bytes, pieces: count)
    precondition(read(bytes, pieces: 1) == whole)
    precondition(read(bytes, pieces: 100) == whole)
    switch whole {
    case .more: precondition(count <= 2 * ClientHelloReader.longest)
    case .hello(let name?):
        precondition(!name.isEmpty && name.utf8.allSatisfy { (0x21...0x7E).contains($0) })
        precondition(name == name.lowercased())
        do throws(HostRefusal) {
            let host = try HostName(name)
            // What is compared with the host that was asked for is its one spelling, or is no host.
            precondition(host.description == name || host.description + "." == name)
        } catch {}
    case .hello(nil), .encrypted, .notTLS: break
    }
    return 0
}

private func read(_ bytes: [UInt8], pieces size: Int) -> ClientHelloReader.Finding {
    var reader = ClientHelloReader()
    for start in stride(from: 0, to: bytes.count, by: max(size, 1)) {
        let piece = ByteBuffer(bytes: bytes[start..<min(start + size, bytes.count)])
        let finding = reader.read(piece.readableBytesView)
        if finding != .more { return finding }
    }
    return .more
}
